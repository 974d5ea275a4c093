//! Peers that do what no peer should. Each gets one well-defined end; the next good request works; nothing is left behind.

use fuseboard_testkit::{Behaviour, Client, Gate, OnAccept, ReadFailure, Reply, Script, Upstream};

use crate::rig::{Rig, WORKERS, limits};

/// How a request ended for its client.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Answered(u16),
    /// With the status whose body was broken off.
    Broken(u16),
    /// Before a byte of an answer.
    Nothing,
}

async fn get(rig: &Rig) -> End {
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    end(&mut client).await
}

async fn end(client: &mut Client) -> End {
    let mut response = match client.head().await {
        Ok(response) => response,
        Err(ReadFailure::Deadline(_)) => panic!("no end"),
        Err(_) => return End::Nothing,
    };
    match client.body(&mut response).await {
        Ok(()) => End::Answered(response.status),
        Err(ReadFailure::Deadline(_)) => panic!("no end"),
        Err(_) => End::Broken(response.status),
    }
}

/// The next good request works, and nothing is left of those before.
async fn unharmed(rig: &Rig, upstream: &Upstream, after: &str) {
    upstream.on_accept(OnAccept::Serve);
    upstream.follow(Script::ok("good"));
    assert_eq!(rig.client().await.get("a", "/").await.text(), "good", "after {after}");
    rig.until_at_rest().await;
}

/// What an upstream may do once it has read a request.
fn misbehaviours() -> Vec<(&'static str, Behaviour, End)> {
    let gate = Gate::new();
    gate.open();
    let reply = Reply::ok("0123456789");
    let chunked = Reply::ok("0123456789").chunked(4);
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
    vec![
        ("a close", Behaviour::close(), End::Answered(503)),
        ("a reset", Behaviour::reset(), End::Answered(503)),
        ("a close in the head", Behaviour::raw("HTTP/1.1 200 OK\r\nx:").then_close(), End::Answered(502)),
        ("a close after the head", Behaviour::close_after_head(&reply), End::Broken(200)),
        ("a close in the body", Behaviour::close_in_body(&reply, 5), End::Broken(200)),
        ("a close in a chunk", Behaviour::close_in_body(&chunked, 5), End::Broken(200)),
        ("a close before the last chunk", Behaviour::close_in_body(&chunked, 9), End::Broken(200)),
        ("a reset in the body", Behaviour::reset_in_body(&gate, &reply, 5), End::Broken(200)),
        ("garbage", Behaviour::raw([0xff; 64]), End::Answered(502)),
        ("a line without end", Behaviour::raw("x".repeat(200_000)), End::Answered(502)),
        ("a head without end", Behaviour::raw(endless), End::Answered(502)),
        ("too many fields", Behaviour::raw(many), End::Answered(502)),
        ("a chunk size of 17 digits", broken_chunk(chunks, "10000000000000000\r\n"), End::Broken(200)),
        ("a chunk without its end", broken_chunk(chunks, "2\r\nabc"), End::Broken(200)),
        (
            "an extension without end",
            broken_chunk(chunks, &format!("2;{}", "x".repeat(200_000))),
            End::Broken(200),
        ),
        ("a thousand hints", Behaviour::raw(format!("{interim}{ANSWER}")), End::Answered(200)),
    ]
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn broken_chunk(head: &str, chunk: &str) -> Behaviour {
    Behaviour::raw(format!("{head}1\r\nx\r\n{chunk}"))
}

#[tokio::test]
async fn whatever_an_upstream_answers_its_client_gets_one_end_and_the_next_request_works() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        for (what, behaviour, expected) in misbehaviours() {
            upstream.follow(Script::always(behaviour));
            let end = ending(&rig, what).await;
            assert!(end == expected || is_early(&end, &expected), "{what}: {end:?}, not {expected:?}");
            unharmed(&rig, &upstream, what).await;
        }
    }
}

/// Reads past hints, of which a client may get any number.
async fn ending(rig: &Rig, what: &str) -> End {
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    if what != "a thousand hints" {
        return end(&mut client).await;
    }
    let response = client.response().await;
    assert_eq!(response.interim.len(), 1_000);
    End::Answered(response.status)
}

/// An answer that breaks in the packet that it began in may be broken off before its first byte goes out.
fn is_early(end: &End, expected: &End) -> bool {
    *end == End::Nothing && matches!(expected, End::Broken(_))
}

#[tokio::test]
async fn whatever_an_upstream_does_to_new_connections_the_next_request_works() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
            draft.cluster.connection.max_requests = std::num::NonZeroU32::new(1);
        });
        for (what, on_accept, expected) in [
            ("a close", OnAccept::Close, End::Answered(503)),
            ("a reset", OnAccept::Reset, End::Answered(503)),
            ("a word in between", OnAccept::Speak(b"220 ready\r\n".to_vec()), End::Answered(502)),
        ] {
            upstream.on_accept(on_accept);
            assert_eq!(get(&rig).await, expected, "{what}");
            unharmed(&rig, &upstream, what).await;
        }
        // Silence lasts until the client has enough of it.
        upstream.on_accept(OnAccept::Silence);
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.open == 1).await;
        client.close();
        rig.until_closed().await;
        unharmed(&rig, &upstream, "silence").await;
    }
}

#[tokio::test]
async fn an_upstream_of_one_byte_at_a_time_is_as_good_as_any_other() {
    for workers in WORKERS {
        let gate = Gate::new();
        let reply = Reply::ok("drop by drop").chunked(5);
        let upstream = Upstream::start(Script::always(Behaviour::trickle(&gate, &reply))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let reading = tokio::spawn(async move { client.response().await });
        let mut bytes = 0;
        while !reading.is_finished() {
            // The next byte leaves when the one before has arrived.
            let arrived = || rig.count(|block| block.stats.upstream_cx_rx_bytes_total.get()) == bytes;
            assert!(
                fuseboard_testkit::settle(fuseboard_testkit::DEADLINE, || arrived() || reading.is_finished())
                    .await
            );
            gate.pass(1);
            bytes += 1;
        }
        assert_eq!(reading.await.unwrap().text(), "drop by drop");
        gate.open();
        unharmed(&rig, &upstream, "one byte at a time").await;
    }
}

/// What a client may send before it goes away or is sent away.
fn nonsense() -> Vec<(&'static str, Vec<u8>, End)> {
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(10 * 1024 * 1024));
    vec![
        ("garbage", vec![0xff; 512], End::Answered(400)),
        ("NULs", vec![0; 512], End::Answered(400)),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), End::Answered(400)),
        ("half a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(), End::Nothing),
        (
            "HTTP/2 without its frames",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n".to_vec(),
            End::Nothing,
        ),
        ("HTTP/3.0", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_vec(), End::Answered(505)),
        ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n".to_vec(), End::Answered(400)),
        ("a head of 10 MiB", large.into_bytes(), End::Answered(431)),
        ("a line of 100 kB", vec![b'G'; 100_000], End::Answered(431)),
        (
            "a bad chunk",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n".to_vec(),
            End::Answered(400),
        ),
    ]
}

#[tokio::test]
async fn whatever_a_client_says_it_gets_one_answer_and_the_next_client_is_served() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        for (what, bytes, expected) in nonsense() {
            let mut client = rig.client().await;
            let sender = client.sender();
            let sending = tokio::spawn(async move { sender.send(bytes).await });
            assert_eq!(end(&mut client).await, expected, "{what}");
            client.closed().await;
            // It may have been cut off.
            drop(sending.await.unwrap());
            drop(client);
            unharmed(&rig, &upstream, what).await;
        }
        assert_eq!(upstream.counts().requests, nonsense().len(), "only good requests reached the upstream");
    }
}

#[tokio::test]
async fn whenever_a_client_leaves_nothing_is_left_behind() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    let chunk = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha";
    let twice = [head, head].concat();
    for workers in WORKERS {
        let (gate, upstream) = crate::rig::judge::held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        for (what, bytes) in [
            ("", ""),
            ("half a head", &head[..20]),
            ("a request", head),
            ("two", &twice),
            ("half a body", post),
            ("half a chunk", chunk),
        ] {
            for reset in [false, true] {
                let mut client = rig.client().await;
                client.send(bytes).await;
                if bytes.contains("\r\n\r\n") {
                    upstream.until(|counts| counts.in_flight == 1).await;
                }
                if reset {
                    client.reset();
                } else {
                    client.close();
                }
                rig.until_at_rest().await;
                upstream.until(|counts| counts.in_flight == 0).await;
                assert_eq!(
                    rig.cluster().live.limits(fuseboard_core::limit::Priority::Default).view().connections,
                    0,
                    "{what}"
                );
            }
        }
        gate.open();
        unharmed(&rig, &upstream, "those who left").await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_stops_the_upstream() {
    for workers in WORKERS {
        let body = vec![b'x'; 32 * 1024 * 1024];
        let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok(body)))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        for reset in [false, true] {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.head().await.unwrap();
            if reset {
                client.reset();
            } else {
                client.close();
            }
            rig.until_closed().await;
            upstream.until(|counts| counts.open == 0).await;
        }
        let cut = rig.count(|block| block.stats.upstream_cx_destroy_local_with_active_rq.get());
        assert_eq!(cut, 2);
        unharmed(&rig, &upstream, "two who left").await;
    }
}

#[tokio::test]
async fn ten_thousand_pipelined_requests_are_answered_in_order() {
    const MANY: usize = 10_000;
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::by(|request| Behaviour::answer(&Reply::ok(request.target.clone()))))
                .await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        let sender = client.sender();
        let requests: Vec<_> = (0..MANY).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        let sending = tokio::spawn(async move { sender.send(requests.concat()).await });
        for n in 0..MANY {
            assert_eq!(client.response().await.text(), format!("/{n}"));
        }
        sending.await.unwrap().unwrap();
        assert_eq!(upstream.counts().accepted, 1, "one request at a time, all on one connection");
        drop(client);
        unharmed(&rig, &upstream, "a long pipeline").await;
    }
}
