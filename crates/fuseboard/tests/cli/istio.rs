//! The binary under the name `istioctl`, beside a proxy that runs.

use crate::home::{Home, service};

const EJECTING: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: httpbin}\n\
    spec: {host: httpbin, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 100}}}\n";

#[tokio::test]
async fn its_tables_show_the_running_proxy_and_what_is_ejected_now() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    home.write("rules/rule.yaml", EJECTING);
    let proxy = home.proxy("").await;
    let istioctl = home.alias("istioctl");

    let clusters =
        home.said(home.command(&istioctl, "proxy-config cluster --fqdn httpbin --port 8000")).await;
    assert_eq!(
        clusters.out,
        "SERVICE FQDN                          PORT     SUBSET     DIRECTION     TYPE       DESTINATION RULE\n\
         httpbin.default.svc.cluster.local     8000     -          outbound      STATIC     httpbin.default\n",
        "{clusters:?}"
    );
    let listeners = home.said(home.command(&istioctl, "pc listener")).await.out;
    let line = format!("\n127.0.0.1 {} ALL   Route: ", proxy.listen.port());
    assert!(listeners.starts_with("ADDRESSES PORT  MATCH DESTINATION\n127"), "{listeners}");
    assert!(listeners.contains(&line), "{listeners}");
    let table = listeners.trim_end().rsplit(' ').next().unwrap();
    let routes = home.fuseboard(&format!("pc r --name {table}")).await.out;
    assert!(routes.contains("httpbin, httpbin.default"), "{routes}");
    let json = home.fuseboard("proxy-config route -o json").await.out;
    assert!(json.contains("\"cluster\": \"outbound|8000||httpbin.default.svc.cluster.local\""), "{json}");
    assert_eq!(home.fuseboard("pc secret").await.out, "No secret items to show.\n");
    let endpoints = home.fuseboard(&format!("pc ep {}", proxy.admin)).await;
    let line = |check: &str| {
        format!("{address}     HEALTHY     {check}     outbound|8000||httpbin.default.svc.cluster.local\n")
    };
    assert!(endpoints.out.ends_with(&line("OK           ")), "{endpoints:?}");

    let url = format!("curl -H Host:httpbin:8000 http://{}/status/503", proxy.listen);
    assert_eq!(home.fuseboard(&url).await.code, Some(1));
    home.until("pc ep", &line("FAILED       ")).await;

    let json = home.fuseboard("pc c -o json").await.out;
    assert!(
        json.contains("\n        \"outlierDetection\": {\n            \"consecutive5xx\": 1,\n"),
        "{json}"
    );
    let log = home.fuseboard("pc log --level upstream:debug,error").await.out;
    assert!(log.starts_with(&format!("{}:\nactive loggers:\n", proxy.admin)), "{log}");
    assert!(log.contains("  http: error\n") && log.contains("  upstream: debug\n"), "{log}");
    let wrong = home.said(home.command(&istioctl, "pc log --level loud")).await;
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(64), ""), "{wrong:?}");
    assert!(
        wrong.err.starts_with("error: unknown logger level\n  next: write one of trace, debug"),
        "{wrong:?}"
    );
    let reset = home.said(home.command(&istioctl, "pc log -r")).await.out;
    assert_eq!(reset.matches(": warning\n").count(), reset.lines().count() - 3, "{reset}");
    let version = home.said(home.command(&istioctl, "version")).await.out;
    let number = env!("CARGO_PKG_VERSION");
    assert_eq!(version, format!("client version: {number}\ndata plane version: {number} (1 proxies)\n"));
    let none = home.fuseboard("pc c --fqdn httpbon").await;
    assert!(none.err.contains("did you mean `httpbin`?"), "{none:?}");
    let none = home.fuseboard("stats --cluster httpbon").await;
    assert!(none.code == Some(1) && none.err.contains("did you mean `httpbin`?"), "{none:?}");
}

#[tokio::test]
async fn a_dump_of_ours_is_read_back_from_a_file() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let _proxy = home.proxy("").await;
    let dump = home.fuseboard("pc all -o json").await.out;
    home.write("dump.json", &dump);
    let (live, kept) = (home.fuseboard("pc all").await, home.fuseboard("pc all --file dump.json").await);
    assert!(live.out.contains("httpbin.default.svc.cluster.local     8000"), "{live:?}");
    assert_eq!(live.out, kept.out);
    let istioctl = home.alias("istioctl");
    let piped = home.said(home.command(&istioctl, "pc ep -f dump.json --status UNHEALTHY")).await;
    assert_eq!(piped.out, "NAME     STATUS     LOCALITY     CLUSTER\n", "{piped:?}");
}
