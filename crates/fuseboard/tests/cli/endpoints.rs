//! Which endpoint is out, why, and until when: in the table, in JSON and in the log.

use fuseboard_testkit::{Behaviour, Client, Reply, Script, Upstream};
use serde_json::Value;

use crate::home::Home;

/// The service `httpbin` with one pod for each upstream: `httpbin-0` and so on.
pub(crate) fn pods(upstreams: &[Upstream]) -> String {
    let mut text = "apiVersion: v1\nkind: Service\nmetadata: {name: httpbin}\nspec: {ports: [{name: http, port: 8000}]}\n"
        .to_owned();
    for (index, upstream) in upstreams.iter().enumerate() {
        let address = upstream.address();
        let slice = format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: httpbin-{index}, labels: {{kubernetes.io/service-name: httpbin}}}}\naddressType: IPv4\n\
             endpoints:\n- addresses: [{}]\n  nodeName: node-{index}\n  zone: zone-a\n  \
             targetRef: {{kind: Pod, name: httpbin-{index}, uid: u{index}}}\nports: [{{name: http, port: {}}}]\n",
            address.ip(),
            address.port()
        );
        text.push_str(&slice);
    }
    text
}

pub(crate) fn rule(policy: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: httpbin}}\nspec:\n  host: httpbin\n  \
         trafficPolicy:\n    {policy}\n"
    )
}

#[tokio::test]
async fn p17_which_pod_is_ejected_why_and_until_when() {
    let home = Home::new();
    let mut upstreams = Vec::new();
    for status in [200, 503, 200] {
        upstreams.push(Upstream::start(Script::always(Behaviour::answer(&Reply::status(status)))).await);
    }
    home.write("rules/service.yaml", &pods(&upstreams));
    let detection = "outlierDetection: {consecutiveGatewayErrors: 2, interval: 10s, baseEjectionTime: 1m, \
                     maxEjectionPercent: 100}";
    home.write("rules/rule.yaml", &rule(detection));
    let proxy = home.proxy("--outlier-log outlier.log").await;
    let mut client = Client::connect(proxy.listen).await;
    while !home.fuseboard("stats --filter ejections_active").await.out.contains("active: 1\n") {
        for _ in 0..10 {
            client.get("httpbin", "/").await;
        }
    }

    let table = home.fuseboard("endpoints httpbin:8000").await.out;
    assert!(table.contains("2 of 3 in rotation, 1 ejected\n"), "{table}");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let line = lines.iter().find(|words| words.get(1) == Some(&"httpbin-1")).unwrap();
    let bad = upstreams[1].address().to_string();
    let said = [&bad, "httpbin-1", "node-1", "zone-a", "ejected", "CONSECUTIVE_GATEWAY_FAILURE", "2/2", "1"];
    assert_eq!(line[..8], said, "{table}");
    assert!(line[8] == "1m" || line[8].ends_with('s'), "{table}");
    assert_eq!(lines.iter().filter(|words| words.contains(&"healthy")).count(), 2, "{table}");

    let json = home.fuseboard("endpoints httpbin.default -o json").await.out;
    let document: Value = serde_json::from_str(&json).unwrap();
    let seen = &document["clusters"][0]["endpoints"][1];
    assert_eq!(
        (seen["pod"].as_str(), seen["state"].as_str()),
        (Some("httpbin-1"), Some("ejected")),
        "{json}"
    );
    let left = seen["ejection"]["remaining_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&left), "{json}");
    assert!(seen["ejection"]["returns_in_ms"].as_u64().unwrap() >= left, "{json}");

    let counted = home.fuseboard("stats --filter ejections_enforced_total").await.out;
    assert!(counted.ends_with("ejections_enforced_total: 1\n"), "{counted}");

    // Without outlier detection it is back at once, and the log says what had ejected it.
    home.write(
        "rules/rule.yaml",
        &rule("connectionPool: {tcp: {maxConnections: 1000, connectTimeout: 1s}} # instead of detection"),
    );
    home.until("endpoints httpbin", "3 of 3 in rotation; no outlier detection\n").await;
    proxy.process.signal(rustix::process::Signal::TERM);
    proxy.process.end().await;
    let log = std::fs::read_to_string(home.path("outlier.log")).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |action: &str| -> Vec<&Value> { records.iter().filter(|one| one["action"] == action).collect() };
    // As many records as the counter said.
    assert_eq!((of("EJECT").len(), of("UNEJECT").len()), (1, 1), "{log}");
    for record in &records {
        assert_eq!(record["type"], "CONSECUTIVE_GATEWAY_FAILURE", "{log}");
        assert_eq!((&record["pod"], &record["node"]), (&"httpbin-1".into(), &"node-1".into()), "{log}");
        assert_eq!(record["upstream_url"], bad.as_str(), "{log}");
    }
    assert_eq!(of("EJECT")[0]["enforced"], true, "{log}");
    assert!(
        of("EJECT")[0]["ejected_until"].is_string() && of("UNEJECT")[0]["ejected_until"].is_null(),
        "{log}"
    );
}

#[tokio::test]
async fn a_service_that_nobody_knows_is_told_with_one_that_is_known() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    home.write("rules/service.yaml", &pods(&[upstream]));
    let _proxy = home.proxy("").await;
    let said = home.fuseboard("endpoints htpbin").await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("next: fuseboard endpoints httpbin.default.svc.cluster.local"), "{}", said.err);
}
