//! Listeners that find out what a connection carries: HTTP, TLS that passes through, other bytes, and servers that speak first.

use std::time::Duration;

use fuseboard_core::tcp::{Proxied, ProxyVersion};
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};
use fuseboard_snapshot::{Detect, ListenerTarget, TcpProxy};
use fuseboard_testkit::tls::{Authority, Front, Tunnel, client};
use fuseboard_testkit::{Behaviour, Client, DEADLINE, Gate, OnAccept, Reply, Script, Upstream, settle};

use crate::rig::log::LogFile;
use crate::rig::{Draft, Rig, WORKERS, limits, options};

/// Long enough for every test.
const LONG: Duration = Duration::from_secs(60);

fn rig(
    options: ProxyOptions,
    upstream: std::net::SocketAddr,
    patience: Duration,
    change: impl FnOnce(&mut Draft),
) -> Rig {
    Rig::start_with(options, &[upstream], |draft| {
        draft.listener.target = ListenerTarget::Detect(Detect { routes: 0, tcp: TcpProxy::to(0), patience });
        change(draft);
    })
}

#[tokio::test]
async fn http_is_served_as_http_in_however_many_parts_it_begins() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = rig(options(workers), upstream.address(), LONG, |_| {});
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for split in [0, 1, 3, 4, 5, 15, 16, request.len()] {
            let mut client = rig.client().await;
            for part in [&request[..split], &request[split..]] {
                drop(client.try_send(part).await);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(client.response().await.text(), "served", "split at {split}");
            assert_eq!(client.get("a", "/again").await.text(), "served", "the connection is kept");
        }
        assert_eq!(upstream.requests()[0].field("x-forwarded-proto"), Some("http"));
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(40_000));
        let mut client = rig.client().await;
        client.send(long).await;
        assert_eq!(client.response().await.text(), "served", "decided before its line is whole");
        drop(client);
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn http2_is_served_as_http2() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = rig(options(workers), upstream.address(), LONG, |_| {});
        let mut client = rig.client().await;
        for part in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".chunks(11) {
            client.send(part).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(client.received(9).await.unwrap()[3], 4, "its settings");
        assert_eq!(upstream.counts().accepted, 0, "they are ours");
    }
}

#[tokio::test]
async fn tls_passes_through_and_the_log_has_the_server_that_was_asked_for() {
    for workers in WORKERS {
        let authority = Authority::new("theirs");
        let upstream = Upstream::start(Script::ok("served")).await;
        let front = Front::start(authority.issue(&["a.test"]).server(), upstream.address()).await;
        let log = LogFile::new(AccessLogFormat::Text);
        let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
        let rig = rig(options, front.address(), LONG, |_| {});
        let tunnel = Tunnel::start(client(&authority), "a.test", rig.address).await;
        let mut client = Client::connect(tunnel.address()).await;
        assert_eq!(client.get("a.test", "/").await.text(), "served");
        drop(client);
        until_over(&rig).await;
        rig.proxy.drain();
        rig.proxy.join();
        let lines = log.raw();
        assert!(lines.contains(" a.test "), "{lines}");
        assert!(lines.contains("\"- - -\" 0 "), "{lines}");
    }
}

#[tokio::test]
async fn other_bytes_are_carried_all_of_them() {
    for workers in WORKERS {
        let upstream = Upstream::start_with(OnAccept::Speak("+PONG\r\n".into()), Script::ok("")).await;
        let rig = rig(options(workers), upstream.address(), LONG, |_| {});
        for bytes in [&b"PING\r\n"[..], b"\0", b"*1\r\n$4\r\nPING\r\n"] {
            let mut client = rig.client().await;
            client.send(bytes).await;
            assert_eq!(client.received(7).await.unwrap(), b"+PONG\r\n");
        }
        until_over(&rig).await;
        assert_eq!(rig.numbers().get("tcp.downstream_cx_rx_bytes_total"), 6 + 1 + 14);
        assert_eq!(rig.numbers().get("listener.fuseboard.detection_timeout"), 0);
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_when_the_time_is_over() {
    for workers in WORKERS {
        let upstream = Upstream::start_with(OnAccept::Speak("220 ready\r\n".into()), Script::ok("")).await;
        let rig = rig(options(workers), upstream.address(), Duration::from_millis(50), |_| {});
        for begun in ["", "GET"] {
            let mut client = rig.client().await;
            drop(client.try_send(begun).await);
            assert_eq!(client.received(11).await.unwrap(), b"220 ready\r\n");
        }
        assert_eq!(rig.numbers().get("listener.fuseboard.detection_timeout"), 2);
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn who_ends_before_it_is_clear_is_not_waited_for() {
    for workers in WORKERS {
        let upstream = Upstream::start_with(OnAccept::Speak("bye".into()), Script::ok("")).await;
        let rig = rig(options(workers), upstream.address(), LONG, |_| {});
        for begun in ["", "GE"] {
            let mut client = rig.client().await;
            drop(client.try_send(begun).await);
            client.half_close();
            assert_eq!(client.received(3).await.unwrap(), b"bye");
        }
        let client = rig.client().await;
        client.reset();
        until_over(&rig).await;
        assert_eq!(rig.numbers().get("listener.fuseboard.detection_timeout"), 0);
    }
}

#[tokio::test]
async fn http_and_bytes_share_the_places_and_only_http_waits_for_one() {
    for workers in WORKERS {
        let gate = Gate::new();
        let held = Script::always(Behaviour::answer(&Reply::ok("served")).after(&gate));
        let upstream = Upstream::start_with(OnAccept::Serve, held).await;
        let rig = rig(options(workers), upstream.address(), LONG, |draft| {
            draft.cluster.thresholds.default = limits(1, 5, 5);
        });
        let mut first = rig.client().await;
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.requests == 1).await;
        let mut second = rig.client().await;
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(settle(DEADLINE, || rig.numbers().get("upstream_rq_pending_active") == 1).await);
        let mut bytes = rig.client().await;
        bytes.send("*1\r\n").await;
        assert_eq!(bytes.closed().await, b"", "no queue for it");
        assert_eq!(rig.numbers().get("fuseboard.refused.limit.connections"), 1);
        gate.open();
        assert_eq!(first.response().await.text(), "served");
        assert_eq!(second.response().await.text(), "served", "it waited");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_proxy_header_is_no_part_of_it() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = rig(options(workers), upstream.address(), LONG, |draft| draft.listener.accept_proxy = true);
        let proxied = Proxied {
            source: "192.0.2.7:4711".parse().unwrap(),
            destination: "198.51.100.1:80".parse().unwrap(),
        };
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let mut client = rig.client().await;
            client.send([&proxied.header(version)[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
            assert_eq!(client.response().await.text(), "served");
        }
        assert_eq!(upstream.requests()[1].field("x-forwarded-for"), Some("192.0.2.7"));
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let _ = client.received(1).await;
        let counted = || rig.numbers().get("listener.fuseboard.proxy_header_malformed");
        assert!(settle(DEADLINE, || counted() == 1).await, "{}", counted());
    }
}

/// Waits until no client is there.
async fn until_over(rig: &Rig) {
    let open = || rig.numbers().get("listener.downstream_cx_active");
    rig.until_closed().await;
    assert!(settle(DEADLINE, || open() == 0).await, "{} clients are still there", open());
}
