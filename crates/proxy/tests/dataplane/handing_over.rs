//! Two proxies and one listening socket: the second begins when it is told to, and nobody who connects meanwhile is lost.

use std::sync::Arc;

use fuseboard_proxy::{Inherited, Place, ProxyOptions};
use fuseboard_testkit::{DEADLINE, Script, Upstream};
use tokio::time::timeout;

use crate::rig::{Rig, WORKERS, options};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A second proxy with the sockets of the first.
fn successor(first: &Rig, options: ProxyOptions, upstream: &Upstream) -> Rig {
    let inherited = Some(Arc::new(Inherited::new(first.proxy.sockets().unwrap())));
    let wanted = first.draft.listener.address;
    Rig::start_with(ProxyOptions { inherited, ..options }, &[upstream.address()], |draft| {
        draft.listener.address = wanted;
    })
}

async fn joined(rig: Rig) {
    let join = tokio::task::spawn_blocking(move || rig.proxy.join());
    timeout(DEADLINE, join).await.expect("the proxy ends").unwrap();
}

#[tokio::test]
async fn who_connects_while_nobody_accepts_waits_and_is_served() {
    for workers in WORKERS {
        for reuse_port in [false, true] {
            let options = ProxyOptions { reuse_port, ..options(workers) };
            let upstream = Upstream::start(Script::ok("served")).await;
            let first = Rig::start_with(options.clone(), &[upstream.address()], |_| {});
            let second = successor(&first, options, &upstream);
            assert_eq!(second.address, first.address, "the same port");

            // Until it is told to begin, the first one serves alone.
            for _ in 0..8 {
                assert_eq!(first.client().await.get("a", "/").await.text(), "served");
            }
            // Not asked of the admin servers: they have one socket, too.
            let served = |rig: &Rig| rig.count(|block| block.stats.upstream_rq_total.get());
            assert_eq!(served(&first), 8);

            first.proxy.hand_over();
            joined(first).await;
            let mut waiting = Vec::new();
            for _ in 0..32 {
                let mut client = second.client().await;
                client.send(GET).await;
                waiting.push(client);
            }
            second.proxy.begin();
            for client in &mut waiting {
                assert_eq!(client.response().await.text(), "served");
            }
            assert_eq!(served(&second), 32);
        }
    }
}

#[tokio::test]
async fn one_that_was_used_lately_gets_one_more_answer_and_is_told_that_it_closes() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let first = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = first.client().await;
        let mut fresh = first.client().await;
        assert_eq!(client.get("a", "/").await.field("connection"), None);
        first.proxy.hand_over();
        for client in [&mut client, &mut fresh] {
            // Long enough for a drain that closes at once.
            tokio::task::yield_now().await;
            let answer = client.get("a", "/").await;
            assert_eq!((answer.text(), answer.field("connection")), ("served", Some("close")));
            assert_eq!(client.closed().await, b"");
        }
        joined(first).await;
    }
}

#[tokio::test]
async fn every_socket_is_handed_over_with_what_was_asked_for_and_what_nobody_wants_is_closed() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let metrics = Some(([127, 0, 0, 1], 0).into());
        let first =
            Rig::start_with(ProxyOptions { metrics, ..options(workers) }, &[upstream.address()], |_| {});
        let any = "127.0.0.1:0";
        let places: Vec<_> = first.proxy.sockets().unwrap().into_iter().map(|handed| handed.place).collect();
        let wanted = ["listener", "admin", "metrics"].map(|kind| format!("{kind} {any}"));
        assert_eq!(places, wanted.map(|text| text.parse::<Place>().unwrap()));

        let second = successor(&first, options(workers), &upstream);
        assert_eq!(second.proxy.admin_address(), first.proxy.admin_address());
        let metrics = first.proxy.metrics_address().unwrap().to_string();
        first.proxy.hand_over();
        joined(first).await;
        second.proxy.begin();
        assert_eq!(second.client().await.get("a", "/").await.text(), "served");
        assert!(tokio::net::TcpStream::connect(metrics).await.is_err(), "the second one wants no metrics");
    }
}
