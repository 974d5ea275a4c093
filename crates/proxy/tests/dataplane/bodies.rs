//! Bodies on their way: whole and unchanged in every framing, in bounded memory, and with either side ahead of the other.

use std::time::Duration;

use crate::rig::{Rig, WORKERS};
use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Script, Upstream, settle};
use tokio::net::TcpSocket;

const MIB: usize = 1024 * 1024;

/// More than the proxy and the kernel's buffers of four sockets hold together.
const LARGE: usize = 16 * MIB;

/// What may be under way at most: the kernel's send buffer grows to some MiB, the proxy's own are tiny beside it.
const UNDER_WAY: u64 = 12 * MIB as u64;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 4096) % 251).unwrap()).collect()
}

/// Waits until a number no longer moves, and gives it.
async fn at_rest(number: impl Fn() -> u64) -> u64 {
    let mut last = (number(), 0);
    let still = || {
        let now = number();
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        last.1 == 100
    };
    assert!(settle(Duration::from_secs(10), still).await, "it never comes to rest");
    number()
}

/// A client whose kernel takes little for it.
async fn narrow(rig: &Rig) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    Client::over(socket.connect(rig.address).await.unwrap())
}

#[tokio::test]
async fn a_slow_reader_stops_the_upstream_and_gets_every_byte() {
    for workers in WORKERS {
        let body = pattern(LARGE);
        let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok(body.clone())))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = narrow(&rig).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let read = || rig.count(|block| block.stats.upstream_cx_rx_bytes_total.get());
        assert!(settle(Duration::from_secs(5), || read() > 0).await);
        let taken = at_rest(read).await;
        assert!(taken < UNDER_WAY, "{taken} bytes were read for a client that reads none");
        let response = client.response().await;
        assert!(response.body == body, "every byte, in order");
        assert_eq!(client.get("a", "/").await.body.len(), LARGE, "the connection goes on");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_slow_upstream_stops_the_client_and_gets_every_byte() {
    for workers in WORKERS {
        let gate = Gate::new();
        let behaviour = Behaviour::read_body_after(&gate, &Reply::ok("all of it"));
        let upstream = Upstream::start(Script::always(behaviour)).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        let body = pattern(LARGE);
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")).await;
        let sender = client.sender();
        let part = body.clone();
        let sending = tokio::spawn(async move { sender.send(part).await });
        let sent = || rig.count(|block| block.stats.upstream_cx_tx_bytes_total.get());
        assert!(settle(Duration::from_secs(5), || sent() > 0).await);
        let taken = at_rest(sent).await;
        assert!(taken < UNDER_WAY, "{taken} bytes were sent to an upstream that reads none");
        assert!(!sending.is_finished(), "the client has to wait");
        gate.open();
        assert_eq!(client.response().await.text(), "all of it");
        sending.await.unwrap().unwrap();
        assert!(upstream.requests()[0].body == body, "every byte, in order");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn d57_chunks_pass_in_any_size_with_extensions_and_trailers() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::ok(pattern(70_000)).chunked(1)))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: Chunked\r\n\r\n")
            .await;
        for part in
            ["1;a=b\r\nh\r\n", "0003\r\nel", "l\r\n", "A;c\r\n0123456789\r\n0\r", "\nX-Sum: 1\r\n\r\n"]
        {
            client.send(part).await;
        }
        let response = client.response().await;
        assert_eq!((response.status, response.body.len()), (200, 70_000), "{response:?}");
        let seen = upstream.requests().remove(0);
        assert_eq!(
            (seen.body.as_slice(), seen.trailers.clone()),
            (&b"hell0123456789"[..], vec!["X-Sum: 1".to_owned()])
        );
        assert_eq!(seen.fields("transfer-encoding"), ["chunked"]);
    }
}

#[tokio::test]
async fn a_body_of_no_bytes_is_announced_as_it_was() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    client.response().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    client.response().await;
    let seen = upstream.requests();
    let framing: Vec<_> =
        seen.iter().map(|seen| (seen.field("content-length"), seen.field("transfer-encoding"))).collect();
    assert_eq!(framing, [(Some("0"), None), (None, None), (None, Some("chunked"))]);
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_refused_without_one() {
    for workers in WORKERS {
        let (gate, upstream) = crate::rig::judge::held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = crate::rig::limits(1, 0, u32::MAX);
        });
        let mut busy = rig.client().await;
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
        let refused = client.response().await;
        assert_eq!((refused.status, refused.interim.len()), (503, 0));
        // Whether the body follows is now the client's choice, so its connection is of no further use.
        assert_eq!(refused.field("connection"), Some("close"));
        client.closed().await;
        gate.open();
        busy.response().await;
    }
}

#[tokio::test]
async fn a_client_that_sends_its_body_unasked_is_not_told_to_continue() {
    let upstream = Upstream::start(Script::ok("ok")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody").await;
    let response = client.response().await;
    assert_eq!((response.text(), response.interim.len()), ("ok", 0));
    assert_eq!(upstream.requests()[0].body, b"body");
}

#[tokio::test]
async fn http_1_0_is_never_told_to_continue() {
    let upstream = Upstream::start(Script::ok("ok")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    // RFC 9110 section 10.1.1: it has sent its body already, or is about to.
    upstream.until(|counts| counts.requests == 1).await;
    client.send("body").await;
    let response = client.response().await;
    assert_eq!((response.text(), response.interim.len()), ("ok", 0));
}

#[tokio::test]
async fn d58_interim_answers_reach_those_who_can_read_them() {
    let reply = Reply::ok("final").preceded_by(100).preceded_by(102).preceded_by(103);
    let upstream = Upstream::start(Script::always(Behaviour::answer(&reply))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    let response = client.get("a", "/").await;
    let statuses: Vec<_> = response.interim.iter().map(|head| &head[9..12]).collect();
    assert_eq!(statuses, ["102", "103"], "nobody waited for the 100");
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let old = client.response().await;
    assert_eq!((old.text(), old.interim.len()), ("final", 0));
    rig.until_idle().await;
    let numbers = rig.numbers();
    let counted = [numbers.get("upstream_rq_1xx"), numbers.get("http.downstream_rq_1xx")];
    assert_eq!(counted, [6, 2], "those that came, and those that went on");
}

#[tokio::test]
async fn an_answer_that_is_earlier_than_the_end_of_the_request_ends_the_connection_after_it() {
    for workers in WORKERS {
        // The upstream neither reads on nor closes.
        let early = Behaviour::raw_unread("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
        let upstream = Upstream::start(Script::always(early)).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")).await;
        let sender = client.sender();
        let sending = tokio::spawn(async move { sender.send(vec![b'x'; 200_000]).await });
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (403, "no"));
        assert_eq!(response.field("connection"), Some("close"));
        sending.await.unwrap().unwrap();
        rig.until_closed().await;
        // What it still sends is read for a moment: a reset could take the answer away from a client that reads late.
        for _ in 0..20 {
            client.send([b'x'; 1_000]).await;
        }
        client.half_close();
        assert_eq!(client.received(usize::MAX).await, Ok(Vec::new()), "an end in order");
        assert_eq!(rig.client().await.get("a", "/").await.status, 403, "the next request works");
    }
}
