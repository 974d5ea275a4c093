//! The fake upstream and the raw client against each other: what tests of the proxy rely on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use fuseboard_testkit::{
    Behaviour, Client, Counts, Gate, OnAccept, ReadFailure, RefusingPort, Reply, Script, UnansweringPort,
    Upstream,
};
use tokio::net::TcpStream;

const GET: &str = "GET /p HTTP/1.1\r\nHost: a\r\n\r\n";

async fn answered_by(behaviour: Behaviour) -> (Upstream, Client) {
    let upstream = Upstream::start(Script::always(behaviour)).await;
    let client = Client::connect(upstream.address()).await;
    (upstream, client)
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (upstream, mut client) = answered_by(Behaviour::answer(&Reply::ok("hi").field("X-A", "1"))).await;
    for _ in 0..3 {
        let answer = client.get("a", "/p").await;
        assert_eq!((answer.status, answer.text(), answer.field("x-a")), (200, "hi", Some("1")));
    }
    let counts = upstream.counts();
    assert_eq!(
        counts,
        Counts { open: 1, open_peak: 1, accepted: 1, in_flight: 0, in_flight_peak: 1, requests: 3 }
    );
    client.close();
    upstream.until(|counts| counts.open == 0).await;
}

#[tokio::test]
async fn requests_are_logged_with_head_body_and_trailers() {
    let (upstream, mut client) = answered_by(Behaviour::answer(&Reply::status(204))).await;
    client.send("POST /x HTTP/1.1\r\nhOst: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n").await;
    assert_eq!(client.response().await.status, 204);
    let seen = &upstream.requests()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/x"));
    assert!(seen.head.contains("hOst: a\r\n"));
    assert_eq!((seen.body.as_slice(), seen.trailers.as_slice()), (&b"abc"[..], &["X-T: 1".to_owned()][..]));
}

#[tokio::test]
async fn replies_come_in_every_framing() {
    let chunked = Reply::ok("hello world").chunked(4).trailer("X-T", "1").preceded_by(103);
    let (_upstream, mut client) = answered_by(Behaviour::answer(&chunked)).await;
    let answer = client.get("a", "/").await;
    assert_eq!((answer.text(), answer.trailers.as_slice()), ("hello world", &["X-T: 1".to_owned()][..]));
    assert_eq!(answer.interim.len(), 1);

    let (_upstream, mut client) = answered_by(Behaviour::answer(&Reply::ok("all").until_close())).await;
    assert_eq!(client.get("a", "/").await.text(), "all");
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn a_gate_holds_an_answer_and_a_close_frees_it() {
    let gate = Gate::new();
    let (upstream, mut client) = answered_by(Behaviour::answer(&Reply::ok("late")).after(&gate)).await;
    client.send(GET).await;
    upstream.until(|counts| counts.in_flight == 1).await;
    let mut other = Client::connect(upstream.address()).await;
    other.send(GET).await;
    upstream.until(|counts| counts.in_flight == 2).await;
    other.close();
    upstream.until(|counts| counts.in_flight == 1 && counts.open == 1).await;
    gate.pass(1);
    assert_eq!(client.response().await.text(), "late");
    assert_eq!(upstream.counts().in_flight_peak, 2);
}

#[tokio::test]
async fn a_trickle_sends_one_byte_a_pass() {
    let gate = Gate::new();
    let (_upstream, mut client) = answered_by(Behaviour::trickle(&gate, &Reply::ok("x"))).await;
    client.send(GET).await;
    for wanted in b"HTTP" {
        gate.pass(1);
        assert_eq!(client.received(1).await, Ok(vec![*wanted]));
    }
    gate.open();
    let rest = b"/1.1 200 Status\r\ncontent-length: 1\r\n\r\nx".to_vec();
    assert_eq!(client.received(rest.len()).await, Ok(rest));
}

#[tokio::test]
async fn failures_look_as_they_are_named() {
    let body = Reply::ok("hello");
    let (_upstream, mut client) = answered_by(Behaviour::close()).await;
    client.send(GET).await;
    assert_eq!(client.try_response().await, Err(ReadFailure::Closed(vec![])));

    let (_upstream, mut client) = answered_by(Behaviour::close_after_head(&body)).await;
    client.send(GET).await;
    assert_eq!(client.try_response().await, Err(ReadFailure::Closed(vec![])));

    let (_upstream, mut client) = answered_by(Behaviour::close_in_body(&body, 2)).await;
    client.send(GET).await;
    let mut answer = client.head().await.unwrap();
    assert_eq!(client.body(&mut answer).await, Err(ReadFailure::Closed(b"he".to_vec())));
    assert_eq!(answer.body, b"he");

    let (_upstream, mut client) = answered_by(Behaviour::reset()).await;
    client.send(GET).await;
    assert_eq!(client.try_response().await, Err(ReadFailure::Reset));

    let (_upstream, mut client) = answered_by(Behaviour::raw("SSH-2.0\r\n")).await;
    client.send(GET).await;
    assert_eq!(client.received(9).await, Ok(b"SSH-2.0\r\n".to_vec()));
}

#[tokio::test]
async fn a_silent_upstream_says_nothing_until_the_peer_leaves() {
    let (upstream, client) = answered_by(Behaviour::silent()).await;
    let mut client = client.with_deadline(Duration::from_millis(1));
    client.send(GET).await;
    upstream.until(|counts| counts.in_flight == 1).await;
    assert_eq!(client.try_response().await, Err(ReadFailure::Deadline(vec![])));
    client.reset();
    upstream.until(|counts| counts.open == 0 && counts.in_flight == 0).await;
}

#[tokio::test]
async fn connections_can_end_before_any_request() {
    let upstream = Upstream::start_with(OnAccept::Close, Script::ok("x")).await;
    assert_eq!(Client::connect(upstream.address()).await.closed().await, b"");
    upstream.on_accept(OnAccept::Reset);
    assert_eq!(Client::connect(upstream.address()).await.received(1).await, Err(ReadFailure::Reset));
    upstream.on_accept(OnAccept::Speak(b"hi".to_vec()));
    assert_eq!(Client::connect(upstream.address()).await.received(2).await, Ok(b"hi".to_vec()));
    upstream.on_accept(OnAccept::Silence);
    let client = Client::connect(upstream.address()).await;
    client.half_close();
    upstream.until(|counts| counts.accepted == 4 && counts.open == 0).await;
}

#[tokio::test]
async fn scripts_follow_an_order_and_can_be_exchanged() {
    let order = [Behaviour::answer(&Reply::status(500)), Behaviour::answer(&Reply::status(200))];
    let upstream = Upstream::start(Script::in_order(order)).await;
    let mut client = Client::connect(upstream.address()).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.get("a", "/").await.status);
    }
    upstream.follow(Script::by(|request| Behaviour::answer(&Reply::ok(request.target.clone()))));
    assert_eq!((statuses, client.get("a", "/q").await.text()), (vec![500, 200, 200], "/q"));
}

#[tokio::test]
async fn an_upgraded_connection_echoes() {
    let (_upstream, mut client) = answered_by(Behaviour::upgrade_and_echo("chat")).await;
    assert_eq!(client.get("a", "/").await.status, 101);
    client.send("ping").await;
    assert_eq!(client.received(4).await, Ok(b"ping".to_vec()));
}

/// A connection closed before another is opened is never counted beside it, even with unread bytes in it.
#[tokio::test]
async fn one_connection_at_a_time_is_seen_as_one() {
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::read_body_after(&gate, &Reply::ok("x")))).await;
    for number in 1..=200 {
        let mut client = Client::connect(upstream.address()).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
        // Half of them leave while they are served, half before they are accepted.
        if number % 2 == 0 {
            upstream.until(|counts| counts.requests == number).await;
        }
        client.close();
    }
    let counts = upstream.until(|counts| counts.requests == 200).await;
    assert_eq!((counts.open_peak, counts.in_flight_peak), (1, 1));
}

/// A client that sends its next request as soon as it has its answer is never seen with two in flight.
#[tokio::test]
async fn one_request_at_a_time_is_seen_as_one() {
    let upstream = Upstream::start(Script::ok("x")).await;
    let address = upstream.address();
    // On a thread of its own: the client goes on while the upstream is still between two instructions.
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut first = Client::connect(address).await;
            let mut second = Client::connect(address).await;
            for _ in 0..200 {
                first.get("a", "/").await;
                second.get("a", "/").await;
            }
        });
    });
    asking.await.unwrap();
    assert_eq!(upstream.counts().in_flight_peak, 1);
}

#[tokio::test]
async fn a_stopped_upstream_refuses() {
    let (upstream, mut client) = answered_by(Behaviour::answer(&Reply::ok("x"))).await;
    client.get("a", "/").await;
    let address = upstream.address();
    upstream.stop().await;
    assert_eq!(client.closed().await, b"");
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn ports_refuse_or_do_not_answer() {
    let refusing = RefusingPort::bind();
    let refused = TcpStream::connect(refusing.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let address = refusing.address();
    let upstream = Upstream::serve(refusing.listen(), OnAccept::Serve, Script::ok("back"));
    assert_eq!(upstream.address(), address);
    assert_eq!(Client::connect(address).await.get("a", "/").await.text(), "back");
    if cfg!(target_os = "linux") {
        let unanswering = UnansweringPort::bind().await;
        let connecting = TcpStream::connect(unanswering.address());
        assert!(tokio::time::timeout(Duration::from_millis(100), connecting).await.is_err());
    }
}
