//! `maxConnections` of TCP: exact at any number of workers, and never a queue (difference D15).

use super::{Host, clients, held, tcp, through, until_counted, until_over, view};
use crate::rig::{Rig, WORKERS, limits};
use fuseboard_core::limit::Thresholds;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{ListenerTarget, Snapshot, TcpProxy};
use fuseboard_testkit::Client;
use std::sync::Arc;

/// Whether a client is let through: its host answers each byte with one.
async fn is_served(client: &mut Client) -> bool {
    client.try_send("?").await.is_ok() && client.received(1).await.is_ok_and(|answer| answer == b"!")
}

/// Answers every byte with `!` until the client ends.
async fn answer(mut peer: Client) {
    while let Ok(bytes) = peer.received(1).await {
        if bytes.is_empty() || peer.try_send("!".repeat(bytes.len())).await.is_err() {
            return;
        }
    }
}

fn answering(host: Host) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let address = host.address();
    let task = tokio::spawn(async move {
        loop {
            tokio::spawn(answer(Client::over(host.0.accept().await.unwrap().0)));
        }
    });
    (address, task)
}

#[tokio::test]
async fn d15_at_the_limit_a_connection_is_closed_at_once_with_flag_reason_and_rule_and_nobody_waits() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            // Room to wait does not matter, nor do requests.
            draft.cluster.thresholds.default = Thresholds { max_connections: 1, ..limits(1, 10, 10) };
        });
        let (mut client, mut peer) = through(&rig, &host).await;
        for _ in 0..2 {
            let mut refused = rig.client().await;
            assert_eq!(refused.closed().await, b"");
        }
        assert!(!host.is_called().await, "nobody refused reaches the host");
        assert_eq!((held(&rig), view(&rig).pending), ((1, 1), 0));
        let numbers = rig.numbers();
        assert_eq!(numbers.get("upstream_cx_overflow"), 2);
        assert_eq!(numbers.get("upstream_rq_pending_overflow"), 0);
        assert_eq!(numbers.get("upstream_cx_total"), 1);
        assert_eq!(numbers.get("circuit_breakers.default.cx_open"), 1);
        assert_eq!(numbers.get("fuseboard.refused.limit.connections"), 2);
        let refusals = rig.refusals();
        assert_eq!(refusals.len(), 2);
        for record in &refusals {
            assert_eq!((record.reason, record.flag), (RefusalReason::LimitConnections, "UO"));
            assert_eq!((record.bound, record.value, record.status), (Some(1), Some(1), 0));
            assert_eq!((record.setting, record.cluster.as_deref()), (Some("maxConnections"), Some("rig")));
        }
        // The one that is through never noticed.
        client.send("still").await;
        assert_eq!(peer.received(5).await.unwrap(), b"still");
        drop((client, peer));
        until_over(&rig).await;
        through(&rig, &host).await;
    }
}

#[tokio::test]
async fn of_a_burst_exactly_the_limit_is_served_and_the_places_come_back() {
    for workers in WORKERS {
        let (address, serving) = answering(Host::listen().await);
        for bound in [0, 1, 3, 17] {
            let rig = tcp(workers, &[address], |draft| {
                draft.cluster.thresholds.default = limits(bound, 0, u32::MAX);
            });
            for _ in 0..3 {
                let mut clients = clients(&rig, 40).await;
                let mut served = 0;
                for client in &mut clients {
                    served += u32::from(is_served(client).await);
                }
                assert_eq!(served, bound);
                assert_eq!(held(&rig), (bound, bound));
                drop(clients);
                until_over(&rig).await;
            }
        }
        serving.abort();
    }
}

#[tokio::test]
async fn d36_limits_on_requests_and_their_queue_are_none_on_connections() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(3, 0, 1);
        });
        let three = [through(&rig, &host).await, through(&rig, &host).await, through(&rig, &host).await];
        assert_eq!(held(&rig), (3, 3));
        assert_eq!(rig.client().await.closed().await, b"");
        drop(three);
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn a_limit_that_is_lowered_cuts_nobody_and_one_that_is_raised_lets_in_at_once() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let mut rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(2, 0, u32::MAX);
        });
        let (mut first, mut peer) = through(&rig, &host).await;
        let second = through(&rig, &host).await;
        rig.apply(|draft| draft.cluster.thresholds.default = limits(1, 0, u32::MAX));
        first.send("here").await;
        assert_eq!(peer.received(4).await.unwrap(), b"here");
        drop(second);
        until_counted(&rig, "upstream_cx_active", 1).await;
        assert_eq!(rig.client().await.closed().await, b"", "the lowered limit holds");
        rig.apply(|draft| draft.cluster.thresholds.default = limits(2, 0, u32::MAX));
        through(&rig, &host).await;
    }
}

/// A rig with a second listener, for HTTP, that leads to the same cluster.
fn with_http(rig: &Rig) -> (std::net::SocketAddr, Snapshot) {
    let draft = rig.draft.snapshot(7);
    let mut http = draft.listeners[0].clone();
    http.name = "http".into();
    http.target = ListenerTarget::Routes(0);
    let listeners = vec![draft.listeners[0].clone(), http];
    let both = Snapshot::new(7, listeners, draft.routes.clone(), draft.clusters.clone()).unwrap();
    rig.proxy.apply(&Arc::new(both.clone())).unwrap();
    (rig.proxy.listeners()[1].address, both)
}

#[tokio::test]
async fn an_idle_http_connection_of_the_cluster_makes_room_for_a_tcp_connection() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let (http, _) = with_http(&rig);
        let mut asking = Client::connect(http).await;
        asking.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut peer = host.accept().await;
        peer.request_head().await.unwrap();
        assert_eq!(rig.client().await.closed().await, b"", "it is busy");
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(asking.response().await.status, 200);
        assert_eq!(view(&rig).connections, 1, "it is idle");
        let (mut client, mut other) = through(&rig, &host).await;
        assert_eq!(peer.closed().await, b"", "it was closed");
        assert_eq!(held(&rig), (1, 1));
        client.send("bytes").await;
        assert_eq!(other.received(5).await.unwrap(), b"bytes");
    }
}

#[tokio::test]
async fn a_listener_that_becomes_a_tcp_listener_keeps_its_socket_and_connections() {
    let host = Host::listen().await;
    let mut rig = Rig::start(1, &[host.address()], |_| {});
    let mut http = rig.client().await;
    http.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await;
    assert_eq!(http.response().await.status, 501);
    rig.apply(|draft| draft.listener.target = ListenerTarget::Tcp(TcpProxy::to(0)));
    let (mut client, mut peer) = through(&rig, &host).await;
    client.send("GET").await;
    assert_eq!(peer.received(3).await.unwrap(), b"GET", "bytes are not looked at");
    http.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(http.response().await.status, 404, "the route is gone");
}
