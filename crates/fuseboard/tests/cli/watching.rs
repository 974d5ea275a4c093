//! Following what happens on a terminal: a line for each, over restarts of the proxy, until somebody has seen enough.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use rustix::process::Signal;
use serde_json::Value;

use fuseboard_testkit::Client;

use crate::home::{Home, Process, listeners, service};

const RULE: &str = "apiVersion: fuseboard.dev/v1alpha1
kind: CircuitBreaker
metadata: {name: httpbin}
spec: {host: httpbin, trip: {consecutiveFailures: 2}}
";

/// An address where nobody listens.
fn dead() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A proxy whose admin socket is at the same place each time.
async fn proxy(home: &Home) -> (Process, std::net::SocketAddr) {
    let mut process = home.start("run -f rules --listen 127.0.0.1:0 --admin unix:admin.sock");
    let listen = listeners(&process.line("ready").await)[0];
    (process, listen)
}

async fn trip(listen: std::net::SocketAddr) {
    let mut client = Client::connect(listen).await;
    for _ in 0..3 {
        client.get("httpbin", "/").await;
    }
}

#[tokio::test]
async fn p43_what_happens_is_seen_and_a_restart_of_the_proxy_is_not_passed_over_in_silence() {
    let home = Home::new();
    home.write("rules/service.yaml", &service(dead()));
    home.write("rules/breaker.yaml", RULE);
    let (first, listen) = proxy(&home).await;
    let mut watch = home.start("breaker watch httpbin --admin unix:admin.sock");
    // There is no line before something happens, and what happened before the watch is not told.
    let ask = "breaker open httpbin --for 1h --reason drill --admin unix:admin.sock";
    let seen = async {
        loop {
            home.fuseboard(ask).await;
            tokio::task::yield_now().await;
            if let Ok(line) =
                tokio::time::timeout(std::time::Duration::from_millis(500), watch.line("OVERRIDE SET")).await
            {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(crate::home::PATIENCE, seen).await.unwrap();
    assert!(
        line.contains("httpbin.default:8000") && line.contains("open") && line.contains(": drill"),
        "{line}"
    );

    first.signal(Signal::TERM);
    let (status, _, _) = first.end().await;
    assert!(status.success());
    watch.told("the stream broke").await;
    let (_second, listen_again) = proxy(&home).await;
    assert_ne!(listen, listen_again);
    watch.told("connected again").await;
    watch.line("the proxy was started anew").await;
    trip(listen_again).await;
    let line = watch.line("CLOSED -> OPEN").await;
    assert!(line.contains("2 failures in a row"), "{line}");

    watch.signal(Signal::INT);
    let (status, _, _) = watch.end().await;
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_watch_ends_when_it_has_seen_enough_and_speaks_json() {
    let home = Home::new();
    home.write("rules/service.yaml", &service(dead()));
    home.write("rules/breaker.yaml", RULE);
    let (_proxy, listen) = proxy(&home).await;
    let quiet = home.fuseboard("breaker watch --for 50ms --admin unix:admin.sock").await;
    assert_eq!((quiet.code, quiet.out.as_str()), (Some(0), ""), "{quiet:?}");
    let watching = "breaker watch --type breaker --count 1 -o json --admin unix:admin.sock";
    let watch = home.fuseboard_later(watching);
    while !watch.is_finished() {
        trip(listen).await;
        home.fuseboard("breaker reset httpbin --admin unix:admin.sock").await;
    }
    let said = watch.await.unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let event: Value = serde_json::from_str(said.out.trim_end()).unwrap();
    assert_eq!((&event["what"], &event["version"]), (&"breaker".into(), &1.into()));

    let unknown = home.fuseboard("breaker watch htpbin --admin unix:admin.sock").await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("did you mean `httpbin`?"), "{unknown:?}");
    let wrong = home.fuseboard("breaker watch --type trips --admin unix:admin.sock").await;
    assert_eq!(wrong.code, Some(2));
    let nobody = home.fuseboard("breaker watch --admin unix:nobody.sock").await;
    assert_eq!(nobody.code, Some(69));
}
