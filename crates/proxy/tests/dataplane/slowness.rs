//! Peers that are slow, silent or too many: time-outs of both sides, bodies that arrive while their request waits, want of descriptors.

use std::time::Duration;

use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream, settle};

use crate::rig::{Rig, WORKERS, limits};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_408() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig =
            Rig::start(workers, &[upstream.address()], |d| d.listener.http.request_headers_timeout = SHORT);
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost:").await;
        assert_eq!(client.response().await.status, 408);
        client.closed().await;
    }
}

#[tokio::test]
async fn a_body_that_stops_is_answered_408_and_frees_its_slot() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.listener.http.stream_idle_timeout = SHORT;
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (408, "stream timeout"));
        rig.until_idle().await;
        upstream.until(|counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn an_idle_client_is_closed_and_so_is_an_idle_upstream_connection() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.listener.http.idle_timeout = SHORT;
            d.cluster.connection.idle_timeout = Some(SHORT);
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.status, 200);
        client.closed().await;
        upstream.until(|counts| counts.open == 0).await;
        assert_eq!(rig.count(|block| block.stats.upstream_cx_idle_timeout.get()), 1);
    }
}

#[tokio::test]
async fn a_body_that_comes_while_its_request_waits_is_not_lost() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::ok("ok")).after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let mut first = rig.client().await;
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut second = rig.client().await;
        second.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n").await;
        rig.until_pending(1).await;
        second.send(vec![b'x'; 60_000]).await;
        gate.open();
        assert_eq!(first.response().await.status, 200);
        assert_eq!(second.response().await.status, 200);
        assert_eq!(upstream.requests()[1].body.len(), 60_000);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_the_client_and_nothing_is_lost() {
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::read_body_after(&gate, &Reply::ok("ok")))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n").await;
    let sending = tokio::spawn(async move {
        client.send(vec![b'x'; 20_000_000]).await;
        client
    });
    upstream.until(|counts| counts.requests == 1).await;
    gate.open();
    let mut client = sending.await.unwrap();
    assert_eq!(client.response().await.status, 200);
    assert_eq!(upstream.requests()[0].body.len(), 20_000_000);
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_arrives_whole() {
    let gate = Gate::new();
    gate.open();
    let reply = Reply::ok("slow and steady").chunked(4).trailer("x-end", "1");
    let upstream = Upstream::start(Script::always(Behaviour::trickle(&gate, &reply))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let response = rig.client().await.get("a", "/").await;
    assert_eq!((response.text(), response.trailers.len()), ("slow and steady", 1));
}

#[tokio::test]
async fn a_connection_that_is_too_old_is_not_used_again() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.connection.max_duration = Some(Duration::from_nanos(1));
        });
        let mut client = rig.client().await;
        for _ in 0..3 {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
        assert_eq!(upstream.counts().accepted, 3);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_max_duration_reached.get()), 3);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_although_the_upstream_does_not_take_its_body() {
    for workers in WORKERS {
        let gate = Gate::new();
        let behaviour = Behaviour::read_body_after(&gate, &Reply::ok("ok"));
        let upstream = Upstream::start(Script::always(behaviour)).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let client = rig.client().await;
        let mut client = client.with_deadline(Duration::from_millis(300));
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n").await;
        client.try_send(vec![b'x'; 50_000_000]).await.unwrap_err();
        client.reset();
        rig.until_idle().await;
        gate.open();
    }
}

#[tokio::test]
async fn a_request_that_fills_a_buffer_to_the_brim_leaves_the_idle_time_out_in_force() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |d| d.listener.http.idle_timeout = SHORT);
    let mut client = rig.client().await;
    let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
    let filler = "x".repeat(16 * 1024 - start.len() - end.len());
    client.send([start, &filler, end].concat()).await;
    assert_eq!(client.response().await.status, 200);
    client.closed().await;
}

#[tokio::test]
async fn interim_answers_that_the_client_does_not_read_stop_the_upstream() {
    // 21 MB: more than the kernel's buffers of four sockets hold together, and little enough for a busy machine.
    const MANY: usize = 700;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(30_000));
    let all = (hint.len() * MANY) as u64;
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let upstream =
        Upstream::start(Script::always(Behaviour::raw([hint.repeat(MANY).as_str(), last].concat()))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let taken = || rig.count(|block| block.stats.upstream_cx_rx_bytes_total.get());
    let mut before = 0;
    while settle(Duration::from_millis(300), || taken() > before).await {
        before = taken();
    }
    assert!(before > 0 && before < all, "{before} of {all} bytes are taken while nobody reads them");
    assert!(client.closed().await.len() as u64 > all);
}
