//! Clients that ask to go on in HTTP/2 (`Upgrade: h2c`, RFC 7540 section 3.2): the request that asked is stream 1, others follow, and
//! whoever asks badly, or where it cannot be, is served in HTTP/1.1.

use std::time::Duration;

use fuseboard_testkit::http2::frames::{ACK, INITIAL_WINDOW_SIZE, PREFACE, kind};
use fuseboard_testkit::http2::{Frame, Frames};
use fuseboard_testkit::tls::{Authority, Tunnel, client};
use fuseboard_testkit::{Behaviour, Client, DEADLINE, Reply, Script, Upstream, settle};

use crate::rig::{Rig, WORKERS};

const OPTIONS: &str = "Connection: Upgrade, HTTP2-Settings\r\n";
const H2C: &str = "Upgrade: h2c\r\n";
/// `SETTINGS_MAX_CONCURRENT_STREAMS` is 100.
const SETTINGS: &str = "HTTP2-Settings: AAMAAABk\r\n";
/// `SETTINGS_INITIAL_WINDOW_SIZE` is 5.
const NARROW: &str = "HTTP2-Settings: AAQAAAAF\r\n";

fn asking(path: &str, settings: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\nX-Own: 1\r\n{OPTIONS}{H2C}{settings}\r\n")
}

/// Answers with the path.
async fn echo() -> Upstream {
    Upstream::start(Script::by(|request| Behaviour::answer(&Reply::ok(request.target.clone())))).await
}

/// Switches, and says the preface and an empty first frame.
async fn switched(rig: &Rig, head: &str) -> Frames {
    let mut client = Frames::connect(rig.address).await;
    client.send(head).await;
    begin(&mut client).await;
    client.send_all(&[Frame::settings(&[])]).await;
    client
}

async fn begin(client: &mut Frames) {
    for line in ["HTTP/1.1 101 Switching Protocols", "connection: upgrade", "upgrade: h2c", ""] {
        assert_eq!(client.line().await, line);
    }
    client.send(PREFACE).await;
}

/// The answer of a stream: 200, and this body.
async fn answered(client: &mut Frames, stream: u32, body: &str) {
    let head = client.until(kind::HEADERS, stream).await;
    assert_eq!(head.payload[0], 0x88, "`:status: 200`, which comes first");
    let data = client.until(kind::DATA, stream).await;
    assert_eq!(String::from_utf8(data.payload).unwrap(), body);
}

#[tokio::test]
async fn d45_the_request_that_asked_is_stream_1_and_others_follow() {
    for workers in WORKERS {
        let upstream = echo().await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = Frames::connect(rig.address).await;
        client.send("GET /before HTTP/1.1\r\nHost: shop\r\n\r\n").await;
        while !client.line().await.is_empty() {}
        assert_eq!(client.take(7).await.unwrap(), b"/before");

        client.send(asking("/one?a=b", SETTINGS)).await;
        begin(&mut client).await;
        // The first frame may come in pieces.
        let first = Frame::settings(&[(INITIAL_WINDOW_SIZE, 100_000)]).bytes();
        client.send(&first[..7]).await;
        client.send(&first[7..]).await;
        let ours = client.next().await.unwrap();
        assert_eq!((ours.kind, ours.flags), (kind::SETTINGS, 0), "our first frame");
        answered(&mut client, 1, "/one?a=b").await;
        client.send_all(&[Frame::get(3, "/three"), Frame::get(5, "/five")]).await;
        for _ in 0..2 {
            assert_eq!(client.next_of(kind::HEADERS).await.payload[0], 0x88);
        }
        let seen = upstream.requests();
        let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
        assert_eq!(targets[..2], ["/before", "/one?a=b"]);
        assert!(targets[2..].contains(&"/three") && targets[2..].contains(&"/five"), "{targets:?}");
        assert_eq!((seen[1].field("x-own"), seen[1].field("host")), (Some("1"), Some("shop")));
        for field in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(seen[1].field(field), None);
        }
        rig.until_idle().await;
        let numbers = rig.numbers();
        assert_eq!(numbers.get("http.downstream_rq_http1_total"), 1);
        assert_eq!(numbers.get("http.downstream_rq_http2_total"), 3, "each request counts once");
        assert_eq!(numbers.get("http.downstream_cx_http1_active"), 0);
        assert_eq!(numbers.get("http.downstream_cx_http2_active"), 1);
        drop(client);
        assert!(settle(DEADLINE, || rig.numbers().get("http.downstream_cx_http2_active") == 0).await);
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn what_http2_settings_says_holds_and_is_acknowledged_once_with_the_first_frame() {
    let upstream = Upstream::start(Script::ok("hello world")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = switched(&rig, &asking("/", NARROW)).await;
    client.send_all(&[Frame::new(kind::PING, 0, 0, [7; 8])]).await;
    let (mut acknowledged, mut body) = (0, Vec::new());
    let mut note = |frame: &Frame| match (frame.kind, frame.flags) {
        (kind::SETTINGS, ACK) => acknowledged += 1,
        (kind::DATA, _) => body.extend_from_slice(&frame.payload),
        _ => {}
    };
    loop {
        let frame = client.next().await.unwrap();
        note(&frame);
        if frame.kind == kind::DATA {
            break;
        }
    }
    // What comes before the second word is all that fits into the window.
    client.send_all(&[Frame::new(kind::PING, 0, 0, [8; 8])]).await;
    loop {
        let frame = client.next().await.unwrap();
        note(&frame);
        if frame.kind == kind::PING && frame.payload == [8; 8] {
            break;
        }
    }
    assert_eq!((acknowledged, String::from_utf8_lossy(&body).as_ref()), (1, "hello"));
    client.send_all(&[Frame::window(1, 100)]).await;
    assert_eq!(client.until(kind::DATA, 1).await.payload, b" world");
}

#[tokio::test]
async fn whoever_asks_badly_is_served_in_http_1() {
    let upstream = echo().await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let head = |fields: &[&str]| format!("GET / HTTP/1.1\r\nHost: shop\r\n{}\r\n", fields.concat());
    let post = |fields: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: shop\r\n{OPTIONS}{H2C}{SETTINGS}{fields}\r\n{body}")
    };
    for (what, request) in [
        ("no settings", head(&[OPTIONS, H2C])),
        ("settings twice", head(&[OPTIONS, H2C, SETTINGS, SETTINGS])),
        ("half a setting", head(&[OPTIONS, H2C, "HTTP2-Settings: AAMA\r\n"])),
        ("no base64", head(&[OPTIONS, H2C, "HTTP2-Settings: ????\r\n"])),
        ("one option", head(&["Connection: Upgrade\r\n", H2C, SETTINGS])),
        ("an old draft", head(&[OPTIONS, "Upgrade: h2c-14\r\n", SETTINGS])),
        ("a body", post("Content-Length: 4\r\n", "body")),
        ("chunks", post("Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n")),
    ] {
        let mut client = rig.client().await;
        client.send(&request).await;
        assert_eq!(client.response().await.text(), "/", "{what}");
        assert_eq!(client.get("shop", "/next").await.text(), "/next", "{what}: the connection goes on");
    }
    let mut pipelining = rig.client().await;
    pipelining.send([asking("/1", SETTINGS), asking("/2", "")].concat()).await;
    assert_eq!(pipelining.response().await.text(), "/1");
    assert_eq!(pipelining.response().await.text(), "/2");
    for seen in upstream.requests() {
        assert_eq!((seen.field("upgrade"), seen.field("http2-settings")), (None, None));
    }
    assert_eq!(rig.numbers().get("http.downstream_cx_http2_total"), 0);
}

#[tokio::test]
async fn with_tls_there_is_no_h2c() {
    let authority = Authority::new("us");
    let pair = authority.issue(&["shop"]);
    let upstream = echo().await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        draft.listener.tls = Some(std::sync::Arc::new(pair.server()));
    });
    let tunnel = Tunnel::start(client(&authority), "shop", rig.address).await;
    let mut client = Client::connect(tunnel.address()).await;
    client.send(asking("/", SETTINGS)).await;
    assert_eq!(client.response().await.text(), "/");
}

#[tokio::test]
async fn what_is_no_http_2_after_the_101_ends_the_connection_and_reaches_nobody() {
    for workers in WORKERS {
        let upstream = echo().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.listener.http.request_headers_timeout = Duration::from_millis(200);
        });
        let headers = [PREFACE, &Frame::get(1, "/smuggled").bytes()].concat();
        for (what, then) in [
            ("the old version", b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec()),
            ("another first frame", headers),
            ("half a preface", PREFACE[..10].to_vec()),
            ("half a frame", [PREFACE, &[0, 0, 6, kind::SETTINGS]].concat()),
        ] {
            let mut client = Frames::connect(rig.address).await;
            client.send(asking("/", SETTINGS)).await;
            while !client.line().await.is_empty() {}
            client.send(&then).await;
            assert_eq!(client.rest().await, b"", "{what}");
        }
        assert_eq!(rig.numbers().get("http.downstream_cx_protocol_error"), 2);
        // Stream 1 is taken.
        let mut client = switched(&rig, &asking("/one", SETTINGS)).await;
        client.send_all(&[Frame::get(1, "/smuggled")]).await;
        let ends = client.rest().await;
        assert!(!ends.is_empty());
        rig.until_at_rest().await;
        for seen in upstream.requests() {
            assert_eq!(seen.target, "/one");
        }
    }
}

#[tokio::test]
async fn who_drains_takes_no_upgrade() {
    let (gate, upstream) = crate::rig::judge::held().await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut running = rig.client().await;
    let head = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
    running.send(head).await;
    upstream.until(|counts| counts.in_flight == 1).await;
    let mut late = rig.client().await;
    late.send("GET ").await;
    assert!(
        settle(DEADLINE, || rig.numbers().get("http.downstream_cx_rx_bytes_total") == head.len() as u64 + 4)
            .await
    );
    rig.proxy.drain();
    gate.open();
    late.send(&asking("/", SETTINGS)[4..]).await;
    let answer = late.response().await;
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(running.response().await.status, 200);
}
