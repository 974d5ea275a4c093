//! The end of a proxy: not ready any more, what was let in is served, what runs is finished, and nothing lasts longer than
//! it was allowed to.

use std::fs::File;
use std::time::Duration;

use fuseboard_admin::AdminClient;
use fuseboard_proxy::{AccessLog, AccessLogFormat, LogSink, Phase, ProxyOptions};
use fuseboard_testkit::{Behaviour, DEADLINE, Script, Upstream};
use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::net::TcpStream;

use crate::rig::judge::held;
use crate::rig::{Rig, WORKERS, limits, options};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Waits for the proxy's end elsewhere, so that the test's upstreams go on.
async fn joined(rig: Rig) {
    let join = tokio::task::spawn_blocking(move || rig.proxy.join());
    tokio::time::timeout(DEADLINE, join).await.expect("the proxy ends").unwrap();
}

fn ready(rig: &Rig) -> (u16, String) {
    let answer = AdminClient::new(rig.proxy.admin_address().unwrap().clone()).get("/ready").unwrap();
    (answer.status, answer.text().trim().to_owned())
}

#[tokio::test]
async fn a_draining_proxy_says_so_and_serves_until_nothing_runs() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 4, u32::MAX);
        });
        assert_eq!(ready(&rig), (200, "LIVE".to_owned()));
        let mut running = rig.client().await;
        running.send(GET).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut waiting = rig.client().await;
        waiting.send(GET).await;
        rig.until_pending(1).await;

        rig.proxy.drain();
        rig.proxy.drain();
        assert_eq!((ready(&rig), rig.proxy.phase()), ((503, "DRAINING".to_owned()), Phase::Draining));
        gate.open();
        for client in [&mut running, &mut waiting] {
            let answer = client.response().await;
            assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
            assert_eq!(client.closed().await, b"");
        }
        let address = rig.address;
        joined(rig).await;
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
        upstream.until(|counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn who_ignores_connection_close_is_not_served_any_more_and_holds_no_drain() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.send(GET).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        rig.proxy.drain();
        gate.open();
        assert_eq!(client.response().await.field("connection"), Some("close"));
        let ignoring = async { while client.try_send(GET).await.is_ok() {} };
        tokio::time::timeout(DEADLINE, ignoring).await.expect("an end of the connection");
        joined(rig).await;
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test]
async fn everybody_who_was_let_in_before_the_drain_gets_an_answer() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut clients = Vec::new();
        for _ in 0..32 {
            let mut client = rig.client().await;
            client.send(GET).await;
            clients.push(client);
        }
        rig.proxy.drain();
        for client in &mut clients {
            assert_eq!(client.response().await.text(), "served");
        }
        drop(clients);
        joined(rig).await;
    }
}

#[tokio::test]
async fn what_does_not_end_in_time_is_ended() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::by(|request| match request.target.as_str() {
            "/tunnel" => Behaviour::upgrade_and_echo("x"),
            _ => Behaviour::silent(),
        }))
        .await;
        let short = ProxyOptions { drain_time: Duration::from_millis(50), ..options(workers) };
        let rig = Rig::start_with(short, &[upstream.address()], |_| {});
        let mut running = rig.client().await;
        running.send(GET).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut tunnel = rig.client().await;
        tunnel.send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
        assert_eq!(tunnel.head().await.unwrap().status, 101);
        let mut half = rig.client().await;
        half.send("GET / HTTP/1.1\r\nHost").await;
        rig.proxy.drain();
        joined(rig).await;
        for client in [&mut running, &mut tunnel, &mut half] {
            assert_eq!(client.closed().await, b"");
        }
        upstream.until(|counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn an_access_log_that_nobody_reads_does_not_keep_the_proxy_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    // Open for reading, or opening it for writing would wait.
    let _reader = File::options().read(true).write(true).open(&path).unwrap();
    let access_log = Some(AccessLog { format: AccessLogFormat::Text, sink: LogSink::File(path) });
    let upstream = Upstream::start(Script::ok("served")).await;
    let rig = Rig::start_with(ProxyOptions { access_log, ..options(1) }, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    // More than a pipe and our own buffers take.
    let path = format!("/{}", "x".repeat(50_000));
    for _ in 0..20 {
        assert_eq!(client.get("a", &path).await.text(), "served", "requests do not wait for the log");
    }
    rig.proxy.drain();
    joined(rig).await;
}

#[tokio::test]
async fn d31_quitquitquit_drains_before_it_ends() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        assert_eq!(rig.client().await.get("a", "/").await.status, 200);
        let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
        assert_eq!(admin.post("/quitquitquit").unwrap().status, 200);
        tokio::time::timeout(DEADLINE, rig.proxy.draining()).await.expect("it drains");
        joined(rig).await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_dropped_ends_at_once() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut running = rig.client().await;
        running.send(GET).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let dropped = tokio::task::spawn_blocking(move || drop(rig));
        tokio::time::timeout(DEADLINE, dropped).await.expect("it ends").unwrap();
        assert_eq!(running.closed().await, b"");
        upstream.until(|counts| counts.open == 0).await;
    }
}

fn admin(rig: &Rig) -> AdminClient {
    AdminClient::new(rig.proxy.admin_address().unwrap().clone())
}

/// A gauge or counter of the whole proxy.
fn stat(rig: &Rig, name: &str) -> String {
    let text = admin(rig).get(&format!("/stats?filter=^{name}$")).unwrap().text();
    text.rsplit(' ').next().unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_failed_health_check_asks_clients_to_go_until_it_is_ok_again() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut idle = rig.client().await;
        assert_eq!(idle.get("a", "/").await.field("connection"), None);
        assert_eq!(admin(&rig).post("/healthcheck/fail").unwrap().text(), "OK\n");
        assert_eq!(ready(&rig), (503, "DRAINING".to_owned()));
        assert_eq!(rig.proxy.phase(), Phase::Serving, "it does not end");
        let answer = idle.get("a", "/").await;
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")), "still served");
        assert_eq!(idle.closed().await, b"");
        assert_eq!(rig.client().await.get("b", "/").await.field("connection"), Some("close"), "new ones too");
        assert_eq!(stat(&rig, "http.*downstream_cx_drain_close"), "2");
        admin(&rig).post("/healthcheck/ok").unwrap();
        assert_eq!(ready(&rig), (200, "LIVE".to_owned()));
        assert_eq!(rig.client().await.get("a", "/").await.field("connection"), None);
    }
}

/// Until nobody listens at the proxy's address.
async fn until_closed(rig: &Rig) {
    let closed = async {
        while TcpStream::connect(rig.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("nobody listens");
}

#[tokio::test]
async fn drained_listeners_stop_listening_and_keep_their_connections() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.get("a", "/").await;
        assert_eq!(admin(&rig).post("/drain_listeners?inboundonly").unwrap().status, 200);
        assert_eq!(stat(&rig, "listener_manager.total_listeners_active"), "1", "it is not inbound");
        assert_eq!(admin(&rig).post("/drain_listeners").unwrap().text(), "OK\n");
        until_closed(&rig).await;
        assert_eq!(client.get("a", "/").await.field("connection"), None, "nobody asked it to go");
        assert_eq!(ready(&rig), (200, "LIVE".to_owned()), "as in Envoy");
        assert_eq!(stat(&rig, "listener_manager.total_listeners_active"), "0");
        rig.proxy.drain();
        joined(rig).await;
    }
}

#[tokio::test]
async fn d31_gracefully_drained_listeners_ask_at_once_and_stop_after_the_drain_time() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let short = ProxyOptions { drain_time: Duration::from_millis(300), ..options(workers) };
        let rig = Rig::start_with(short, &[upstream.address()], |_| {});
        admin(&rig).post("/drain_listeners?graceful&skip_exit").unwrap();
        assert_eq!(rig.client().await.get("a", "/").await.field("connection"), Some("close"));
        assert_eq!(stat(&rig, "listener_manager.total_listeners_active"), "1");
        let asked = std::time::Instant::now();
        admin(&rig).post("/drain_listeners?graceful").unwrap();
        until_closed(&rig).await;
        assert!(asked.elapsed() >= Duration::from_millis(300), "not at once: {:?}", asked.elapsed());
    }
}
