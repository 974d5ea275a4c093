//! Calls in HTTP/2, seen from the server's side: a server made of the h2 crate alone, in this process.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fuseboard_load::{
    Cancel, CommandLine, Event, Fetched, Observer, Options, Report, Style, curl, curl_to, run_observed,
};
use fuseboard_testkit::tls::{Authority, Front};
use fuseboard_tls::ServerContext;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

const PATIENCE: Duration = Duration::from_secs(30);

/// What the server saw, and how it behaves.
struct Seen {
    heads: Mutex<Vec<String>>,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    /// Calls of `/together` wait until so many are there.
    together: Barrier,
    most_streams: u32,
    /// The connection is closed, with a word, after so many requests.
    requests_each: usize,
}

struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

async fn server(together: usize, most_streams: u32, requests_each: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen {
        heads: Mutex::default(),
        connections: AtomicUsize::new(0),
        in_flight: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
        together: Barrier::new(together),
        most_streams,
        requests_each,
    });
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(talk(socket, Arc::clone(&told)));
        }
    });
    Server { address, seen }
}

async fn plain() -> Server {
    server(1, 100, usize::MAX).await
}

async fn talk(socket: TcpStream, seen: Arc<Seen>) {
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(seen.most_streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    let mut requests = 0;
    while let Some(Ok((request, answer))) = connection.accept().await {
        requests += 1;
        if requests == seen.requests_each {
            connection.graceful_shutdown();
        }
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            seen.peak.fetch_max(now, Ordering::SeqCst);
            answer_to(request, answer, &seen).await;
            seen.in_flight.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn answer_to(request: Request<RecvStream>, mut answer: SendResponse<Bytes>, seen: &Seen) {
    let (head, mut body) = request.into_parts();
    seen.heads.lock().unwrap().push(format!("{} {} {:?}", head.method, head.uri, head.headers));
    let mut length = 0;
    while let Some(Ok(piece)) = body.data().await {
        length += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    let (status, text) = match head.uri.path() {
        "/reset" => return answer.send_reset(Reason::INTERNAL_ERROR),
        "/hang" => return std::future::pending().await,
        "/together" => {
            seen.together.wait().await;
            (200, "all are here".to_owned())
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(5)).await;
            (200, String::new())
        }
        "/refused" => (503, "no".to_owned()),
        "/moved" => (302, String::new()),
        "/long" => (200, "x".repeat(5_000_000)),
        "/broken" => {
            let head = Response::builder().body(()).unwrap();
            let mut stream = answer.send_response(head, false).unwrap();
            stream.send_data("half".into(), false).unwrap();
            // What is sent behind a reset may overtake it; the reader has had the piece by then.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return stream.send_reset(Reason::CANCEL);
        }
        _ => (200, format!("{length} bytes")),
    };
    let mut head = Response::builder().status(status).header("content-type", "text/plain");
    if status == 503 {
        head = head.header("x-fuseboard-refused", "limit.queue_full").header("x-envoy-overloaded", "true");
    } else if status == 302 {
        head = head.header("location", "/get");
    }
    let Ok(mut stream) = answer.send_response(head.body(()).unwrap(), text.is_empty()) else { return };
    if !text.is_empty() {
        drop(stream.send_data(text.into(), true));
    }
}

fn asked(flags: &str, url: &str, style: Style) -> Options {
    let words = flags.split_whitespace().map(str::to_owned).chain([url.to_owned()]);
    let line = CommandLine::parse(&words.collect::<Vec<_>>(), style).unwrap();
    let payload = line.payload.read().unwrap();
    let mut options = line.options;
    options.http.payload = payload;
    options
}

/// The report, and what was logged.
async fn made(flags: &str, url: &str) -> (Report, String) {
    let log = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&log);
    let observer = Observer::new(move |event| {
        if let Event::Log(line) = event {
            *told.lock().unwrap() += &(line.to_text(None) + "\n");
        }
    });
    let run = run_observed(asked(flags, url, Style::Fuseboard), Cancel::new(), observer);
    let report = tokio::time::timeout(PATIENCE, run).await.expect("an end").unwrap();
    let log = log.lock().unwrap().clone();
    (report, log)
}

async fn fetched(flags: &str, url: &str) -> Fetched {
    let (options, silent) = (asked(flags, url, Style::Fortio), Observer::silent());
    tokio::time::timeout(PATIENCE, curl(&options, &silent)).await.expect("an end").unwrap()
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn each_caller_has_a_connection_and_every_call_a_stream_of_its_own() {
    let server = plain().await;
    let (report, log) = made("-h2 -c 3 -qps 0 -n 30", &server.url("/get?a=b")).await;
    assert_eq!((report.count_of(200), report.sockets_used(), server.connections()), (30, 3, 3), "{log}");
    let heads = server.seen.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 30);
    assert!(heads[0].starts_with(&format!("GET {} ", server.url("/get?a=b"))), "{}", heads[0]);
    assert!(heads[0].contains("\"user-agent\": \"fuseboard/"), "{}", heads[0]);
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(
        (&json["H2"], &json["NumThreads"], &json["SocketCount"]),
        (&true.into(), &3.into(), &3.into())
    );
    // As by fortio's standard client: the body's bytes, and no head's.
    assert_eq!((&json["Sizes"]["Avg"], &json["HeaderSizes"]["Max"]), (&7.into(), &0.into()));
}

#[tokio::test]
async fn a_timed_run_warms_up_on_each_connection_and_keeps_its_rate() {
    let server = plain().await;
    let (report, _) = made("-h2 -c 2 -streams 3 -qps 60 -t 500ms", &server.url("/get")).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (30, 2));
    assert_eq!(server.seen.heads.lock().unwrap().len(), 32);
    assert!(report.latency_from_due(99.0).is_some());
}

#[tokio::test]
async fn streams_share_a_connection_and_are_in_flight_at_once() {
    // None of them is answered before all are there.
    let server = server(10, 100, usize::MAX).await;
    let (report, _) = made("-h2 -c 2 -streams 5 -qps 0 -n 10", &server.url("/together")).await;
    assert_eq!((report.count_of(200), report.sockets_used(), server.connections()), (10, 2, 2));
    assert!(report.text().contains("Sockets used: 2 (for perfect keepalive, would be 2)"));
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["NumThreads"], 10);
}

#[tokio::test]
async fn open_arrivals_share_connections_too() {
    let server = server(6, 100, usize::MAX).await;
    let (report, _) = made("-h2 -open -c 6 -streams 3 -qps 1000 -n 6", &server.url("/together")).await;
    assert_eq!((report.count_of(200), report.sockets_used(), report.missed()), (6, 2, 0));
}

#[tokio::test]
async fn no_more_streams_are_open_than_the_server_allows() {
    let server = server(1, 2, usize::MAX).await;
    // What the server allows is known once it has said so: one call is made before the others.
    let (report, log) = made("-h2 -c 1 -streams 8 -qps 0 -t 200ms", &server.url("/slow")).await;
    assert!(report.calls() > 8 && report.errors() == 0, "{log}");
    assert!(server.seen.peak.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_reset_is_an_error_of_its_call_alone() {
    let server = plain().await;
    let (report, log) = made("-h2 -c 1 -qps 0 -n 3", &server.url("/reset")).await;
    assert_eq!((report.count_of(-1), report.sockets_used()), (3, 1));
    assert!(
        log.contains("[ERR] Unable to send request, method=\"GET\"")
            && log.contains("err=\"stream error: INTERNAL_ERROR; received from peer\""),
        "{log}"
    );
    let (report, _) = made("-h2 -c 1 -qps 0 -n 1", &server.url("/broken")).await;
    assert_eq!(report.count_of(-1), 1);
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_and_its_connection_stays() {
    let server = plain().await;
    let (report, log) = made("-h2 -c 1 -qps 0 -n 2 -timeout 50ms", &server.url("/hang")).await;
    assert_eq!((report.count_of(-1), report.sockets_used()), (2, 1));
    assert!(log.contains("err=\"i/o timeout\""), "{log}");
}

#[tokio::test]
async fn a_payload_is_posted_through_any_window_and_a_long_answer_read() {
    let server = plain().await;
    let got = fetched("-h2 -payload-size 200000", &server.url("/post")).await;
    assert_eq!((got.code, String::from_utf8_lossy(&got.body).into_owned()), (200, "200000 bytes".to_owned()));
    let head = server.seen.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST ") && head.contains("\"content-length\": \"200000\""), "{head}");
    // Longer than what a server may send before we have taken some of it.
    assert_eq!(fetched("-h2", &server.url("/long")).await.body.len(), 5_000_000);
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_replaced_without_an_error() {
    let server = server(1, 100, 5).await;
    let (report, log) = made("-h2 -c 1 -qps 0 -n 20", &server.url("/get")).await;
    assert_eq!((report.count_of(200), report.errors()), (20, 0), "{log}");
    assert!((4..=5).contains(&report.sockets_used()), "{}", report.sockets_used());
}

#[tokio::test]
async fn a_connection_serves_no_more_calls_than_it_may() {
    let server = plain().await;
    let sockets = async |flags: &str| {
        let (report, log) = made(&format!("-h2 -c 1 -qps 0 -n 6 {flags}"), &server.url("/get")).await;
        assert_eq!(report.count_of(200), 6, "{log}");
        report.sockets_used()
    };
    assert_eq!(sockets("").await, 1);
    assert_eq!(sockets("-connection-reuse 2:2").await, 3);
    assert_eq!(sockets("-keepalive=false").await, 6);
}

#[tokio::test]
async fn refusals_are_counted_by_their_reason() {
    let server = plain().await;
    let (report, log) = made("-h2 -c 1 -qps 0 -n 3", &server.url("/refused")).await;
    assert_eq!((report.count_of(503), report.overloaded(), report.sockets_used()), (3, 3, 1));
    assert_eq!(
        report.refused().map(|(reason, count)| (reason.token(), count)).collect::<Vec<_>>(),
        [("limit.queue_full", 3)]
    );
    assert!(log.contains("[WRN] Non ok http code, code=503, status=\"HTTP/2.0 503\""), "{log}");
}

#[tokio::test]
async fn curl_shows_the_head_follows_redirects_and_sends_what_comes() {
    let server = plain().await;
    let got = fetched("-h2", &server.url("/get")).await;
    assert_eq!(String::from_utf8_lossy(&got.head), "HTTP/2 200\r\ncontent-type: text/plain\r\n\r\n");
    let got = fetched("-h2 -L", &server.url("/moved")).await;
    assert_eq!((got.code, &got.body[..]), (200, &b"0 bytes"[..]));
    let (options, silent) = (asked("-h2 -stream", &server.url("/post"), Style::Fortio), Observer::silent());
    let input = Box::new(std::io::Cursor::new(vec![b'x'; 150_000]));
    let mut got = Fetched::default();
    got.code = curl_to(&options, Some(input), &silent, &mut got).await.unwrap();
    assert_eq!((got.code, String::from_utf8_lossy(&got.body).into_owned()), (200, "150000 bytes".to_owned()));
}

#[tokio::test]
async fn over_tls_the_protocol_is_agreed_upon() {
    let server = plain().await;
    let authority = Authority::new("the test's");
    let front = Front::start(authority.issue(&["localhost"]).server(), server.address).await;
    let url = format!("https://localhost:{}/get", front.address().port());
    let (report, log) = made("-h2 -k -c 2 -qps 0 -n 6", &url).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (6, 2), "{log}");
    assert_eq!(front.seen()[0].protocol.as_deref(), Some("h2"));
    let head = server.seen.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("GET {url} ")), "{head}");
}

#[tokio::test]
async fn a_server_without_http_2_is_told_apart() {
    // With TLS, it does not agree.
    let context = ServerContext::new(&Arc::new(Authority::new("x").issue(&["localhost"]).server()), &[]);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(context.unwrap().config()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        drop(acceptor.accept(socket).await);
    });
    let (report, log) = made("-h2 -k -c 1 -n 1", &url).await;
    assert_eq!(report.count_of(-1), 1);
    assert!(log.contains("err=\"the server did not agree on HTTP/2 (ALPN h2)\""), "{log}");

    // Without, it answers in its own way.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_exact(&mut [0; 24]).await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // The connection stays until the other side has read.
        drop(socket.read_to_end(&mut Vec::new()).await);
    });
    let (report, log) = made("-h2 -c 1 -n 1", &url).await;
    assert_eq!(report.count_of(-1), 1);
    assert!(log.contains("the server may speak HTTP/1.1 only"), "{log}");
}

#[test]
fn streams_need_http_2() {
    let words = ["-streams", "2", "http://h/"].map(str::to_owned);
    let error = CommandLine::parse(&words, Style::Fuseboard).unwrap_err();
    assert!(error.to_string().contains("add -h2"), "{error}");
}
