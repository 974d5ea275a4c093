//! Peers of HTTP/2 that do what no peer should, frame by frame. Each gets one well-defined end, nobody else notices, and nothing is left
//! behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fuseboard_snapshot::{UpstreamHttp, UpstreamVersion};
use fuseboard_testkit::http2::frames::{
    ACK, END_HEADERS, END_STREAM, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PREFACE, block, kind,
};
use fuseboard_testkit::http2::{Client, Frame, Frames};
use fuseboard_testkit::{DEADLINE, Script, Upstream, settle};
use http::Request;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::rig::{Rig, WORKERS, limits};

/// A host that misbehaves for as long as it is told to.
struct Host {
    rig: Rig,
    misbehaves: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

/// A time that is meant to run out.
const SHORT: Duration = Duration::from_millis(200);

const NEVER_ENDS: &str = "never ends its body";

/// What is answered to the request of a stream; for 0, what the connection begins with if it is not just SETTINGS.
type Misbehaviour = fn(u32) -> Vec<Frame>;

impl Host {
    /// `bad` is what a bad connection answers the request of this stream with.
    async fn start(workers: usize, bad: Misbehaviour, patience: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rig = Rig::start(workers, &[listener.local_addr().unwrap()], |draft| {
            draft.cluster.http = UpstreamHttp { version: UpstreamVersion::Http2, ..UpstreamHttp::default() };
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
            draft.cluster.connect_timeout = patience;
            draft.route.timeout = Some(patience);
            draft.route.retry = None;
        });
        let misbehaves = Arc::new(AtomicBool::new(true));
        let own = Arc::clone(&misbehaves);
        let serving = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(Frames::over(socket), bad, Arc::clone(&own)));
            }
        });
        Self { rig, misbehaves, serving }
    }

    /// What a client of HTTP/1.1 gets: a status, or 0 for an answer that breaks off.
    async fn ask(&self) -> u16 {
        let mut client = self.rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody").await;
        client.try_response().await.map_or(0, |answer| answer.status)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut frames: Frames, bad: Misbehaviour, misbehaves: Arc<AtomicBool>) {
    let answer = |stream: u32, good: &[Frame]| {
        let frames = if misbehaves.load(Ordering::SeqCst) { bad(stream) } else { good.to_vec() };
        // What is about a stream is no beginning.
        let fits = |frame: &&Frame| stream != 0 || matches!(frame.kind, kind::SETTINGS | kind::GOAWAY);
        frames.iter().filter(fits).flat_map(Frame::bytes).collect::<Vec<_>>()
    };
    if frames.take(PREFACE.len()).await.is_none() {
        return;
    }
    let mut bytes = answer(0, &[]);
    if bytes.is_empty() {
        bytes = Frame::settings(&[]).bytes();
    }
    // Whoever asks may leave in the middle.
    while frames.try_send(&bytes).await.is_ok()
        && let Some(frame) = frames.next().await
    {
        bytes = match frame.kind {
            kind::HEADERS => answer(frame.stream, &Frame::hello(frame.stream)),
            kind::SETTINGS if frame.flags != ACK => Frame::new(kind::SETTINGS, ACK, 0, []).bytes(),
            _ => Vec::new(),
        };
    }
}

fn head(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Frame {
    Frame::new(kind::HEADERS, flags, stream, block(fields))
}

/// What a host may do as a connection begins, and what its client gets for it.
fn bad_beginnings() -> Vec<(&'static str, Misbehaviour, &'static [u16])> {
    fn first(stream: u32, frames: impl Into<Vec<Frame>>) -> Vec<Frame> {
        if stream == 0 { frames.into() } else { Vec::new() }
    }
    vec![
        ("takes no body", |s| first(s, [Frame::settings(&[(INITIAL_WINDOW_SIZE, 0)])]), &[504]),
        ("takes no stream", |s| first(s, [Frame::settings(&[(MAX_CONCURRENT_STREAMS, 0)])]), &[503, 504]),
        ("begins with settings of a stream", |s| first(s, [Frame::new(kind::SETTINGS, 0, 7, [])]), &[503]),
        ("begins with half a setting", |s| first(s, [Frame::new(kind::SETTINGS, 0, 0, [0; 5])]), &[503]),
        ("goes away at once", |s| first(s, [Frame::settings(&[]), goaway(0)]), &[503]),
    ]
}

/// The same for what it answers a request.
fn bad_answers() -> Vec<(&'static str, Misbehaviour, &'static [u16])> {
    const OVER: u8 = END_HEADERS | END_STREAM;
    const OK: (&str, &str) = (":status", "200");
    const BAD: &[u16] = &[502, 503];
    vec![
        ("never answers", |_| Vec::new(), &[504]),
        ("resets every stream", |s| vec![Frame::new(kind::RST_STREAM, 0, s, [0, 0, 0, 2])], &[503]),
        ("has no status", |s| vec![head(s, OVER, &[("a", "b")])], BAD),
        ("has a name in capitals", |s| vec![head(s, OVER, &[OK, ("A", "b")])], BAD),
        ("has a quote in a name", |s| vec![head(s, OVER, &[OK, ("a\"b", "c")])], BAD),
        ("names its connection", |s| vec![head(s, OVER, &[OK, ("connection", "x")])], BAD),
        ("has 10,000 fields", many_fields, BAD),
        ("has a head without end", endless, BAD),
        ("breaks its compression", |s| vec![Frame::new(kind::HEADERS, END_HEADERS, s, [0xff; 16])], BAD),
        ("sends more than it announced", |s| announced(s, "hello hello"), &[0]),
        ("sends less than it announced", |s| announced(s, "he"), &[0]),
        ("sends more than fits", flood, &[0, 502, 503]),
        ("pushes", |s| vec![Frame::new(kind::PUSH_PROMISE, END_HEADERS, s, [0, 0, 0, 2, 0x82])], BAD),
        ("answers another stream", |s| vec![head(s + 2, END_HEADERS, &[OK])], BAD),
        ("opens a window too far", |_| vec![Frame::window(0, 0x7fff_ffff)], BAD),
        (NEVER_ENDS, |s| vec![head(s, END_HEADERS, &[OK])], &[0]),
    ]
}

fn goaway(last: u32) -> Frame {
    Frame::new(kind::GOAWAY, 0, 0, [last.to_be_bytes(), [0; 4]].concat())
}

/// 10,000 fields, in frames of the usual size.
fn many_fields(stream: u32) -> Vec<Frame> {
    let fields = [block(&[(":status", "200")]), block(&[("a", "b")]).repeat(10_000)].concat();
    let mut frames: Vec<Frame> =
        fields.chunks(16_000).map(|part| Frame::new(kind::CONTINUATION, 0, stream, part)).collect();
    frames[0].kind = kind::HEADERS;
    frames.last_mut().unwrap().flags = END_HEADERS;
    frames
}

/// CONTINUATION after CONTINUATION (CVE-2024-27316).
fn endless(stream: u32) -> Vec<Frame> {
    let mut frames = vec![head(stream, 0, &[(":status", "200")])];
    frames.extend((0..2_000).map(|_| Frame::new(kind::CONTINUATION, 0, stream, block(&[("a", "b")]))));
    frames
}

/// 5 bytes are announced.
fn announced(stream: u32, body: &str) -> Vec<Frame> {
    let head = head(stream, END_HEADERS, &[(":status", "200"), ("content-length", "5")]);
    vec![head, Frame::new(kind::DATA, END_STREAM, stream, body)]
}

/// More than the windows that were given.
fn flood(stream: u32) -> Vec<Frame> {
    let mut frames = vec![head(stream, END_HEADERS, &[(":status", "200")])];
    frames.extend((0..200).map(|_| Frame::new(kind::DATA, 0, stream, vec![b'x'; 16_000])));
    frames
}

#[tokio::test]
async fn whatever_a_host_does_its_client_gets_one_end_and_the_next_request_works() {
    for workers in WORKERS {
        for (what, bad, expected) in bad_beginnings().into_iter().chain(bad_answers()) {
            let patience = if expected.contains(&504) || what == NEVER_ENDS { SHORT } else { DEADLINE };
            let host = Host::start(workers, bad, patience).await;
            let end = host.ask().await;
            assert!(expected.contains(&end), "{what}: {end}");
            host.rig.until_idle().await;
            host.misbehaves.store(false, Ordering::SeqCst);
            // Its connection may be found to be closed only now.
            let mut good = host.ask().await;
            if good != 200 {
                good = host.ask().await;
            }
            assert_eq!(good, 200, "after a host that {what}");
            host.rig.until_at_rest().await;
        }
    }
}

/// What a client may say after its preface and SETTINGS; all of it ends its connection.
fn nonsense() -> Vec<(&'static str, Vec<Frame>)> {
    let ping = || Frame::new(kind::PING, 0, 0, [0; 8]);
    vec![
        ("an even stream", vec![Frame::get(2, "/")]),
        ("a stream that went by", vec![Frame::get(5, "/"), Frame::get(3, "/")]),
        ("a body for nobody", vec![Frame::new(kind::DATA, 0, 1, "x")]),
        ("broken compression", vec![Frame::new(kind::HEADERS, END_HEADERS | END_STREAM, 1, [0xff; 16])]),
        ("a head without end", endless(1)),
        ("another frame inside a head", vec![head(1, 0, &[(":method", "GET")]), ping()]),
        ("a window too far", vec![Frame::window(0, 0x7fff_ffff)]),
        ("a window of nothing", vec![Frame::window(0, 0)]),
        ("half a setting", vec![Frame::new(kind::SETTINGS, 0, 0, [0; 5])]),
        ("a setting that cannot be", vec![Frame::settings(&[(2, 7)])]),
        ("a frame that is too large", vec![Frame::new(kind::DATA, 0, 1, vec![0; 20_000])]),
        ("a promise", vec![Frame::get(1, "/"), Frame::new(kind::PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2])]),
        ("a long ping", vec![Frame::new(kind::PING, 0, 0, [0; 9])]),
        ("words about nobody", vec![Frame::new(kind::RST_STREAM, 0, 1, [0, 0, 0, 8])]),
    ]
}

#[tokio::test]
async fn whatever_frames_a_client_sends_its_connection_ends_and_the_next_client_is_served() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("good")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(4, 4, u32::MAX);
        });
        for (what, frames) in nonsense() {
            let mut client = Frames::connect(rig.address).await;
            client.send(PREFACE).await;
            client.send_all(&[Frame::settings(&[])]).await;
            // It may be cut off before all of that is taken.
            drop(client.try_send(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>()).await);
            client.rest().await;
            assert_eq!(
                Client::connect(rig.address).await.get("shop", "/").await.text(),
                "good",
                "after {what}"
            );
        }
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn a_client_of_10_000_fields_is_refused_on_its_stream_or_loses_its_connection() {
    let upstream = Upstream::start(Script::ok("good")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = Frames::connect(rig.address).await;
    client.send(PREFACE).await;
    let begin = [(":method", "GET"), (":scheme", "http"), (":authority", "shop"), (":path", "/")];
    let fields = [block(&begin), block(&[("a", "b")]).repeat(10_000)].concat();
    let mut frames: Vec<Frame> =
        fields.chunks(16_000).map(|part| Frame::new(kind::CONTINUATION, 0, 1, part)).collect();
    (frames[0].kind, frames[0].flags) = (kind::HEADERS, END_STREAM);
    frames.last_mut().unwrap().flags = END_HEADERS;
    client.send_all(&[Frame::settings(&[])]).await;
    drop(client.try_send(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>()).await);
    let end = loop {
        match client.next().await {
            Some(frame) if matches!(frame.kind, kind::HEADERS | kind::GOAWAY | kind::RST_STREAM) => {
                break Some(frame);
            }
            Some(_) => {}
            None => break None,
        }
    };
    assert!(end.is_none_or(|frame| frame.kind != kind::HEADERS || frame.payload[0] != 0x88), "it was served");
    drop(client);
    assert_eq!(upstream.counts().requests, 0);
    assert_eq!(Client::connect(rig.address).await.get("shop", "/").await.text(), "good");
    rig.until_at_rest().await;
}

#[tokio::test]
async fn a_client_that_opens_no_window_holds_its_own_streams_only_and_is_let_go_in_time() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok(vec![b'x'; 1 << 20])).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.listener.http.stream_idle_timeout = Duration::from_millis(200);
        });
        let mut narrow = Frames::connect(rig.address).await;
        narrow.send(PREFACE).await;
        narrow
            .send_all(&[Frame::settings(&[(INITIAL_WINDOW_SIZE, 0)]), Frame::get(1, "/"), Frame::get(3, "/")])
            .await;
        let good = Client::connect(rig.address).await;
        assert_eq!(good.get("shop", "/").await.body.len(), 1 << 20);
        let mut ended = 0;
        while ended < 2 {
            let frame = narrow.next_of(kind::RST_STREAM).await;
            assert!(frame.stream == 1 || frame.stream == 3);
            ended += 1;
        }
        assert_eq!(rig.numbers().get("http.downstream_rq_idle_timeout"), 2);
        drop((narrow, good));
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn half_a_preface_is_waited_for_no_longer_than_for_a_head() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("good")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.listener.http.request_headers_timeout = Duration::from_millis(100);
        });
        for end in [1, 10, 14, 20, 23] {
            let mut client = Frames::connect(rig.address).await;
            client.send(&PREFACE[..end]).await;
            client.rest().await;
        }
        assert!(settle(DEADLINE, || rig.numbers().get("http.downstream_cx_active") == 0).await);
        let request = Request::get("http://shop/").body(()).unwrap();
        assert_eq!(Client::connect(rig.address).await.ask(request, b"").await.unwrap().text(), "good");
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_costs_no_more_than_the_windows() {
    for workers in WORKERS {
        const STREAMS: u32 = 50;
        let upstream = Upstream::start(Script::ok(vec![b'x'; 4 << 20])).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = Frames::connect(rig.address).await;
        client.send(PREFACE).await;
        let settings = Frame::settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
        client.send_all(&[settings, Frame::window(0, 0x7fff_0000)]).await;
        let streams: Vec<Frame> = (0..STREAMS).map(|n| Frame::get(2 * n + 1, "/")).collect();
        client.send_all(&streams).await;
        let came = || rig.numbers().get("upstream_cx_rx_bytes_total");
        let mut before = 0;
        assert!(settle(DEADLINE, || std::mem::replace(&mut before, came()) == before && before > 0).await);
        assert!(came() < u64::from(STREAMS) << 20, "{} bytes for who reads none", came());
        drop(client);
        rig.until_at_rest().await;
    }
}
