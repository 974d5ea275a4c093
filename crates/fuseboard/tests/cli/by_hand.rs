//! Opening and closing a breaker by hand, as somebody does in an incident: what is said, what is seen, what is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use serde_json::Value;

use fuseboard_testkit::{Behaviour, Client, Reply, Script, Upstream};

use crate::endpoints::{pods, rule};
use crate::home::{Home, Process, Proxy, Said, service};

/// Two services: `httpbin` with one port, and `web`, which has two and is in two namespaces.
async fn running(home: &Home) -> (Process, Proxy) {
    let (httpbin, address) = home.httpbin().await;
    home.write("rules/httpbin.yaml", &service(address));
    home.write(
        "rules/web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n\
         spec: {ports: [{name: http, port: 80}, {name: http-admin, port: 81}]}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: bank}\nspec: {ports: [{name: http, port: 80}]}\n",
    );
    (httpbin, home.proxy("").await)
}

fn failed(said: &Said, code: i32, parts: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    for part in parts {
        assert!(said.err.contains(part), "no {part:?} in {}", said.err);
    }
}

#[tokio::test]
async fn p43_a_breaker_that_nobody_wrote_is_opened_seen_everywhere_and_reset() {
    let home = Home::new();
    let (_httpbin, mut proxy) = running(&home).await;
    let mut client = Client::connect(proxy.listen).await;
    assert_eq!(client.get("httpbin", "/status/200").await.status, 200);

    let opened = home.fuseboard("breaker open httpbin --for 10m --reason INC-42").await;
    assert_eq!(opened.code, Some(0), "{opened:?}");
    assert!(opened.out.contains("held open by hand for another "), "{}", opened.out);
    let line = proxy.process.told("opened by hand for").await;
    assert!(line.contains("warning admin: outbound|8000||httpbin"), "{line}");
    assert!(line.contains("for 10m by ") && line.ends_with(": INC-42"), "{line}");

    let refused = client.get("httpbin", "/status/200").await;
    assert_eq!((refused.status, refused.field("x-fuseboard-refused")), (503, Some("breaker.open")));
    let why = home.fuseboard("why").await.out;
    assert!(why.contains("breaker.open") && why.contains("opened by hand: INC-42"), "{why}");
    let list = home.fuseboard("breaker list").await.out;
    let row = list.lines().find(|line| line.starts_with("httpbin.default")).unwrap();
    assert!(row.contains("OPEN    opened by hand: INC-42"), "{list}");
    let show = home.fuseboard("breaker show httpbin").await.out;
    assert!(show.contains("no CircuitBreaker is for this service"), "{show}");
    let history = home.fuseboard("breaker history httpbin").await.out;
    assert!(history.contains("CLOSED -> OPEN   opened by hand: INC-42   10m"), "{history}");
    let stats = home.fuseboard("stats").await.out;
    assert!(stats.contains("fuseboard.breaker.forced_open: 1"), "{stats}");

    let closed = home.fuseboard("breaker close httpbin --for 1h --reason INC-43 -o json").await;
    let document: Value = serde_json::from_str(&closed.out).unwrap();
    let held = &document["breaker"]["override"];
    assert_eq!((&held["force"], &held["reason"]), (&"closed".into(), &"INC-43".into()), "{}", closed.out);
    assert_eq!(client.get("httpbin", "/status/200").await.status, 200);
    let list = home.fuseboard("breaker list").await.out;
    assert!(list.contains("CLOSED   closed by hand: INC-43"), "{list}");

    let reset = home.fuseboard("breaker reset httpbin").await;
    assert!(reset.out.ends_with("no override any more, and no breaker\n"), "{}", reset.out);
    let again = home.fuseboard("breaker reset httpbin").await;
    assert_eq!(again.code, Some(0));
    assert!(again.out.ends_with("nothing to reset: no breaker, and no override\n"), "{}", again.out);
}

#[tokio::test]
async fn p43_one_endpoint_is_taken_out_by_hand_seen_everywhere_and_reset() {
    let home = Home::new();
    let upstreams = [Upstream::start(Script::ok("one")).await, Upstream::start(Script::ok("two")).await];
    home.write("rules/httpbin.yaml", &pods(&upstreams));
    let mut proxy = home.proxy("").await;
    let mut client = Client::connect(proxy.listen).await;
    let address = upstreams[0].address();
    let opened =
        home.fuseboard(&format!("breaker open httpbin --endpoint {address} --for 10m --reason INC-42")).await;
    assert_eq!(opened.code, Some(0), "{opened:?}");
    assert!(opened.out.contains(&format!(" {address}\nheld open by hand for another ")), "{}", opened.out);
    let line = proxy.process.told("opened by hand for").await;
    assert!(line.contains(&format!(": breaker of {address} opened by hand for 10m by ")), "{line}");
    for _ in 0..10 {
        assert_eq!(client.get("httpbin", "/").await.text(), "two");
    }
    let table = home.fuseboard("endpoints httpbin").await.out;
    assert!(table.contains("1 of 2 in rotation, 1 with an open breaker"), "{table}");
    assert!(table.contains("breaker open: opened by hand: INC-42"), "{table}");
    let list = home.fuseboard("breaker list").await.out;
    assert!(list.contains("1/2 OPEN   opened by hand: INC-42"), "{list}");
    let show = home.fuseboard("breaker show httpbin").await.out;
    assert!(show.contains("no CircuitBreaker is for single endpoints"), "{show}");
    assert!(
        show.lines().any(|line| line.contains(&address.to_string()) && line.contains("INC-42")),
        "{show}"
    );
    let history = home.fuseboard("breaker history httpbin").await.out;
    assert!(
        history.lines().any(|line| line.contains(&format!("{address}   opened by hand: INC-42"))),
        "{history}"
    );

    // With the whole service open, that is what the list says; a reset is for all.
    let whole = home.fuseboard("breaker open httpbin --for 10m --reason INC-43").await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let refused = client.get("httpbin", "/").await;
    assert_eq!(refused.field("x-fuseboard-refused"), Some("breaker.open"));
    let list = home.fuseboard("breaker list").await.out;
    assert!(list.contains("OPEN    opened by hand: INC-43"), "{list}");
    let show = home.fuseboard("breaker show httpbin").await.out;
    assert!(show.contains("INC-42") && show.contains("INC-43"), "{show}");
    let reset = home.fuseboard("breaker reset httpbin").await.out;
    assert!(reset.ends_with("no override any more, and no breaker\n"), "{reset}");
    assert!(home.fuseboard("endpoints httpbin").await.out.contains("2 of 2 in rotation"));

    // With the last endpoint out, `why` names it.
    for upstream in &upstreams {
        let line =
            format!("breaker open httpbin --endpoint {} --for 1h --reason drill -o json", upstream.address());
        let document: Value = serde_json::from_str(&home.fuseboard(&line).await.out).unwrap();
        assert_eq!(document["endpoint"], upstream.address().to_string());
        assert_eq!(document["breaker"]["override"]["reason"], "drill");
    }
    assert_eq!(client.get("httpbin", "/").await.status, 503);
    let why = home.fuseboard("why").await.out;
    let named = |upstream: &Upstream| why.contains(&format!("{}: opened by hand: drill", upstream.address()));
    assert!(upstreams.iter().any(named), "{why}");
    let reset = home.fuseboard(&format!("breaker reset httpbin --endpoint {address}")).await.out;
    assert!(reset.ends_with(&format!(" {address}\nno override any more, and no breaker\n")), "{reset}");
    assert_eq!(client.get("httpbin", "/").await.text(), "one");
    let again = home.fuseboard(&format!("breaker reset httpbin --endpoint {address}")).await.out;
    assert!(again.ends_with("nothing to reset: no breaker, no override, and not ejected\n"), "{again}");

    let unknown = home.fuseboard("breaker reset httpbin --endpoint 127.0.0.9:1").await;
    let there = format!("has no endpoint 127.0.0.9:1; there is {address}, {}", upstreams[1].address());
    failed(&unknown, 1, &[&there]);
    failed(&home.fuseboard("breaker reset httpbin --endpoint pod-1").await, 2, &["an address with a port"]);
}

#[tokio::test]
async fn p43_an_ejected_endpoint_is_brought_back_by_hand() {
    let home = Home::new();
    let failing = Script::always(Behaviour::answer(&Reply::status(503)));
    let upstreams = [Upstream::start(failing).await, Upstream::start(Script::ok("two")).await];
    home.write("rules/service.yaml", &pods(&upstreams));
    let detection = "outlierDetection: {consecutiveGatewayErrors: 2, interval: 1h, baseEjectionTime: 1h, \
                     maxEjectionPercent: 100}";
    home.write("rules/rule.yaml", &rule(detection));
    let proxy = home.proxy("").await;
    let mut client = Client::connect(proxy.listen).await;
    while !home.fuseboard("stats --filter ejections_active").await.out.contains("active: 1\n") {
        for _ in 0..10 {
            client.get("httpbin", "/").await;
        }
    }
    let address = upstreams[0].address();
    let reset = home.fuseboard(&format!("breaker reset httpbin --endpoint {address}")).await;
    assert!(reset.out.ends_with(&format!(" {address}\nnot ejected any more\n")), "{reset:?}");
    let table = home.fuseboard("endpoints httpbin").await.out;
    assert!(table.contains("2 of 2 in rotation"), "{table}");
    let history = home.fuseboard("breaker history httpbin").await.out;
    assert!(history.lines().last().unwrap().contains(&format!("RETURN   {address}")), "{history}");
}

#[tokio::test]
async fn p43_what_is_not_clear_is_asked_back_and_nothing_is_opened() {
    let home = Home::new();
    let _running = running(&home).await;
    let open = async |rest: &str| home.fuseboard(&format!("breaker open {rest}")).await;
    failed(&open("httpbin --reason x").await, 2, &["--for"]);
    failed(&open("httpbin --for 1m").await, 2, &["--reason"]);
    failed(&open("httpbin --for soon --reason x").await, 2, &["a duration has a unit"]);
    failed(&open("httpbin --for 9days --reason x").await, 2, &["at most 7days"]);
    failed(&open("htpbin --for 1m --reason x").await, 1, &["no service `htpbin`", "did you mean `httpbin`?"]);
    failed(&open("httpbin --port 9 --for 1m --reason x").await, 1, &["no such port; there is 8000"]);
    failed(&open("httpbin:8000 --port 9 --for 1m --reason x").await, 2, &["contradict each other"]);
    failed(&open("httpbin --subset v1 --for 1m --reason x").await, 1, &["no subset `v1`; there is none"]);
    failed(
        &open("web --for 1m --reason x").await,
        2,
        &[
            "web.bank.svc.cluster.local:80, web.shop.svc.cluster.local:80, web.shop.svc.cluster.local:81",
            "next: fuseboard breaker open web.bank.svc.cluster.local --port 80",
        ],
    );
    failed(&open("web.shop --for 1m --reason x").await, 2, &["say which one"]);
    let list = home.fuseboard("breaker list").await.out;
    assert!(!list.contains("OPEN "), "{list}");
    let opened = open("web.shop --port 81 --for 1m --reason x").await;
    assert_eq!(opened.code, Some(0), "{opened:?}");
    assert!(opened.out.starts_with("outbound|81||web.shop.svc.cluster.local\n"), "{}", opened.out);
}

#[tokio::test]
async fn p52_a_listener_for_other_peoples_clients_does_not_say_what_refused_them() {
    for (flag, said) in [("", Some("1")), ("--refusal-headers off", None)] {
        let home = Home::new();
        home.write("rules/httpbin.yaml", &service(([127, 0, 0, 1], 9).into()));
        let proxy = home.proxy(flag).await;
        let opened = home.fuseboard("breaker open httpbin --for 10m --reason INC-42").await;
        assert_eq!(opened.code, Some(0), "{opened:?}");
        let refused = Client::connect(proxy.listen).await.get("httpbin", "/").await;
        assert_eq!((refused.status, refused.field("x-fuseboard-not-processed")), (503, said));
        assert_eq!(refused.field("x-fuseboard-refused").is_some(), said.is_some());
        assert!(refused.field("retry-after").is_some());
    }
}
