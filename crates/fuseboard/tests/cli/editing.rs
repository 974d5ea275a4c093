//! Edits of the rules while the proxy runs: good ones apply without anybody noticing but the rule's subject, broken ones
//! are told with their place and change nothing.

use fuseboard_testkit::{Behaviour, Client, Reply, Script, Upstream};
use rustix::process::Signal;

use crate::home::{Home, rule, service};

#[tokio::test]
async fn an_edit_applies_and_keeps_connections_and_ejections() {
    let home = Home::new();
    let bad = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
    let good = Upstream::start(Script::ok("hi")).await;
    home.write("rules/service.yaml", &two_endpoints(&bad, &good));
    home.write("rules/rule.yaml", &ejecting("1m"));
    let mut proxy = home.proxy("").await;

    // One connection of the caller's, from before the ejection to after the edit.
    let mut client = Client::connect(proxy.listen).await;
    let own = client.local_address();
    while client.get("httpbin", "/").await.status != 500 {}
    home.until("stats --filter ejections_active", "ejections_active: 1\n").await;

    home.write("rules/rule.yaml", &ejecting("2m"));
    proxy.process.told("rules 2 in force").await;
    let seen = bad.counts().requests;
    for _ in 0..10 {
        assert_eq!(client.get("httpbin", "/").await.status, 200);
    }
    assert_eq!((client.local_address(), bad.counts().requests), (own, seen));
    let stats = home.fuseboard("stats --filter ejections_active|downstream_cx_total|cx_destroy$").await;
    assert!(stats.out.contains("ejections_active: 1\n"), "{}", stats.out);
    assert!(stats.out.contains(".downstream_cx_destroy: 0\n"), "{}", stats.out);
    let ejections = home.fuseboard("admin request GET fuseboard/v1/ejections").await;
    assert!(ejections.out.contains(&bad.address().to_string()), "{}", ejections.out);
}

#[tokio::test]
async fn a_broken_edit_is_told_with_its_place_and_the_last_good_rule_serves_on() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    home.write("rules/rule.yaml", &rule("7", "1"));
    let mut proxy = home.proxy("").await;
    let bound = "stats --filter fuseboard.limit.connections";
    assert!(home.fuseboard(bound).await.out.contains(": 7\n"));

    home.write("rules/rule.yaml", &rule("seven", "1"));
    let told = proxy.process.told("FB108").await;
    assert!(told.contains("DestinationRule httpbin.default rules/rule.yaml:11"), "{told}");
    proxy.process.told("rules/rule.yaml:11:25").await;
    proxy.process.told("help: write maxConnections: 10").await;
    proxy.process.told("what is broken stays as it was").await;
    let held_back = "stats --filter rules_held_back";
    assert_eq!(home.fuseboard(held_back).await.out, "server.fuseboard.rules_held_back: 1\n");
    assert!(home.fuseboard(bound).await.out.contains(": 7\n"));
    assert_eq!(Client::connect(proxy.listen).await.get("httpbin", "/get").await.status, 200);

    home.write("rules/rule.yaml", &rule("8", "1"));
    proxy.process.told("rules 3 in force").await;
    assert!(home.fuseboard(bound).await.out.contains(": 8\n"));
    assert_eq!(home.fuseboard(held_back).await.out, "server.fuseboard.rules_held_back: 0\n");
}

#[tokio::test]
async fn a_folder_that_goes_is_told_and_one_that_comes_back_is_read() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let mut proxy = home.proxy("").await;
    std::fs::rename(home.path("rules"), home.path("away")).unwrap();
    proxy.process.told("rules cannot be read").await;
    assert_eq!(Client::connect(proxy.listen).await.get("httpbin", "/get").await.status, 200);
    std::fs::write(home.path("away/rule.yaml"), rule("8", "1")).unwrap();
    std::fs::rename(home.path("away"), home.path("rules")).unwrap();
    home.until("stats --filter fuseboard.limit.connections", ": 8\n").await;
}

#[tokio::test]
async fn hangup_reads_files_that_nobody_watches() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let mut proxy = home.proxy("--watch=false").await;
    home.write("rules/rule.yaml", &rule("8", "1"));
    proxy.process.signal(Signal::HUP);
    proxy.process.told("rules 2 in force").await;
    assert!(home.fuseboard("stats --filter fuseboard.limit.connections").await.out.contains(": 8\n"));
}

#[tokio::test]
async fn a_file_that_is_emptied_and_refilled_slowly_serves_with_its_last_rules() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    home.write("rules/rule.yaml", &rule("7", "1"));
    let mut proxy = home.proxy("").await;
    let bound = "stats --filter fuseboard.limit.connections";

    home.write("rules/rule.yaml", "");
    // Another file's edit shows that the folder was read since.
    home.write("rules/other.yaml", &service(address).replace("httpbin", "other"));
    proxy.process.told("rules 2 in force").await;
    assert!(
        home.fuseboard(bound)
            .await
            .out
            .contains("httpbin.default.svc.cluster.local;.fuseboard.limit.connections: 7\n")
    );
    home.write("rules/rule.yaml", &rule("9", "1"));
    home.until(bound, "httpbin.default.svc.cluster.local;.fuseboard.limit.connections: 9\n").await;
}

#[tokio::test]
async fn a_problem_is_told_when_it_comes_and_when_it_goes_and_not_with_every_edit() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    home.write("rules/odd.yaml", &rule("7", "1").replace("httpbin", "htpbin"));
    let mut proxy = home.proxy("").await;
    proxy.process.told("IST0174").await;
    for edit in 2..4 {
        home.write("rules/rule.yaml", &rule("7", &"1".repeat(edit)));
        let before = proxy.process.told_before(&format!("rules {edit} in force")).await;
        assert!(!before.iter().any(|line| line.contains("IST0174")), "{before:#?}");
    }
    std::fs::remove_file(home.path("rules/odd.yaml")).unwrap();
    let gone = proxy.process.told("IST0174").await;
    assert!(
        gone.starts_with("no longer [IST0174] (DestinationRule htpbin.default) The host htpbin"),
        "{gone}"
    );
}

/// One error ejects for so long.
fn ejecting(time: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: httpbin}}\nspec:\n  host: httpbin\n  \
         trafficPolicy:\n    loadBalancer: {{simple: ROUND_ROBIN}}\n    outlierDetection: {{consecutive5xxErrors: 1, \
         interval: 1m, baseEjectionTime: {time}, maxEjectionPercent: 50}}\n"
    )
}

fn two_endpoints(one: &Upstream, other: &Upstream) -> String {
    let subset = |upstream: &Upstream| {
        let address = upstream.address();
        format!(
            "- addresses: [{{ip: {}}}]\n  ports: [{{name: http, port: {}}}]\n",
            address.ip(),
            address.port()
        )
    };
    let before = service(one.address());
    format!("{before}{}", subset(other))
}
