//! What a breaker does, seen in the commands: it opens, why, by which line, and that it did.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use serde_json::Value;

use fuseboard_testkit::Client;

use crate::home::{Home, service};

const RULE: &str = "apiVersion: fuseboard.dev/v1alpha1
kind: CircuitBreaker
metadata: {name: httpbin}
spec:
  host: httpbin
  trip:
    consecutiveFailures: 3
  open:
    openFor: 5m
";

/// An address where nobody listens.
fn dead() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn an_open_breaker_is_seen_with_why_and_by_which_line() {
    let home = Home::new();
    home.write("rules/service.yaml", &service(dead()));
    home.write("rules/breaker.yaml", RULE);
    let proxy = home.proxy("").await;
    let before = home.fuseboard("breaker list").await.out;
    assert!(before.contains("CLOSED"), "{before}");
    let quiet = home.fuseboard("breaker history httpbin").await.out;
    assert!(quiet.ends_with("nothing happened yet\n"), "{quiet}");

    let mut client = Client::connect(proxy.listen).await;
    for _ in 0..4 {
        client.get("httpbin", "/").await;
    }
    let list = home.fuseboard("br list").await.out;
    let words: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..7], ["httpbin.default", "8000", "OPEN", "3", "failures", "in", "a"], "{list}");
    assert_eq!(words.last(), Some(&"1/1"), "{list}");

    let show = home.fuseboard("breaker show httpbin").await.out;
    assert!(show.contains("3 failures in a row (calls are refused; a probe in "), "{show}");
    let line = |setting: &str| {
        let line = show.lines().find(|line| line.trim_start().starts_with(setting)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("trip.consecutiveFailures"),
        "3 CircuitBreaker httpbin.default, rules/breaker.yaml:7",
        "{show}"
    );
    assert_eq!(line("halfOpen.probes"), "1 default", "{show}");

    let history = home.fuseboard("breaker history httpbin.default:8000").await.out;
    assert!(
        history.lines().any(|line| line.contains("CLOSED -> OPEN   3 failures in a row   5m")),
        "{history}"
    );

    let json = home.fuseboard("breaker show httpbin -o json").await.out;
    let document: Value = serde_json::from_str(&json).unwrap();
    let cluster = &document["clusters"][0];
    assert_eq!(cluster["breaker"]["cause"]["token"], "consecutive_failures", "{json}");
    assert_eq!(
        (&cluster["history"][0]["to"], &cluster["breaker"]["trips"]),
        (&"open".into(), &1.into()),
        "{json}"
    );
}

#[tokio::test]
async fn a_service_without_a_breaker_has_no_state_and_an_unknown_one_is_told() {
    let home = Home::new();
    home.write("rules/service.yaml", &service(dead()));
    let _proxy = home.proxy("").await;
    let list = home.fuseboard("breaker list").await.out;
    let words: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..4], ["httpbin.default", "8000", "-", "-"], "{list}");
    let show = home.fuseboard("breaker show httpbin").await.out;
    assert!(show.ends_with("no breaker: no CircuitBreaker is for this service\n"), "{show}");
    let said = home.fuseboard("breaker show htpbin").await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("next: fuseboard breaker show httpbin.default.svc.cluster.local"),
        "{}",
        said.err
    );
}
