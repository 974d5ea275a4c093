//! Being told to stop: what runs is finished, what was measured is printed, and nothing is left behind.

use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Script, Upstream};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::home::{Home, PATIENCE, Process, service};

#[tokio::test]
async fn terminate_finishes_what_runs_and_takes_nothing_new() {
    let home = Home::new();
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("late")).after(&gate))).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    let mut proxy = home.proxy("").await;
    let mut client = Client::connect(proxy.listen).await;
    client.send("GET /slow HTTP/1.1\r\nHost: httpbin\r\n\r\n").await;
    upstream.until(|counts| counts.in_flight == 1).await;

    proxy.process.signal(Signal::TERM);
    proxy.process.told("draining").await;
    let ready = home.fuseboard(&format!("admin request GET ready --admin {}", proxy.admin)).await;
    assert!(ready.code == Some(1) && ready.err.contains("DRAINING"), "{ready:?}");
    gate.open();
    let answer = client.response().await;
    assert_eq!((answer.status, answer.text(), answer.field("connection")), (200, "late", Some("close")));
    let (status, ..) = proxy.process.end().await;
    assert_eq!(status.code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(home.path("run/fuseboard")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_what_runs() {
    let home = Home::new();
    let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    let mut proxy = home.proxy("").await;
    let mut client = Client::connect(proxy.listen).await;
    client.send("GET /never HTTP/1.1\r\nHost: httpbin\r\n\r\n").await;
    upstream.until(|counts| counts.requests == 1).await;
    proxy.process.signal(Signal::INT);
    proxy.process.told("draining").await;
    proxy.process.signal(Signal::INT);
    let (status, ..) = proxy.process.end().await;
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn an_interrupted_load_prints_what_it_has_measured() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    let mut load = home.start(&format!("load -c 2 -qps 0 -t 0 http://{}/", upstream.address()));
    upstream.until(|counts| counts.requests > 100).await;
    load.signal(Signal::INT);
    let last = load.line("All done").await;
    let (status, ..) = load.end().await;
    assert_eq!(status.code(), Some(0));
    let calls: usize = last.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!(calls > 90, "{last}");
}

#[tokio::test]
async fn httpbin_ends_when_it_is_told_to() {
    let home = Home::new();
    for signal in [Signal::INT, Signal::TERM] {
        let (httpbin, _) = home.httpbin().await;
        httpbin.signal(signal);
        assert_eq!(httpbin.end().await.0.code(), Some(0));
    }
}

#[tokio::test]
async fn a_service_manager_is_told_when_it_serves_and_when_it_ends() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    let manager = tokio::net::UnixDatagram::bind(home.path("notify")).unwrap();
    let line = "run -f rules --listen 127.0.0.1:0 --no-admin";
    let mut run = home.command(env!("CARGO_BIN_EXE_fuseboard"), line);
    let run = Process::spawn(run.env("NOTIFY_SOCKET", home.path("notify")));
    let mut told = [0; 1024];
    let length = timeout(PATIENCE, manager.recv(&mut told)).await.unwrap().unwrap();
    let text = std::str::from_utf8(&told[..length]).unwrap();
    assert!(text.starts_with("READY=1\nSTATUS=ready"), "{text}");

    run.signal(Signal::TERM);
    let length = timeout(PATIENCE, manager.recv(&mut told)).await.unwrap().unwrap();
    assert_eq!(std::str::from_utf8(&told[..length]).unwrap(), "STOPPING=1\nSTATUS=draining\n");
    assert_eq!(run.end().await.0.code(), Some(0));
}
