//! Whole runs against our own test server, in one process: what the report counts is what the server saw.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuseboard_httpbin::{Options as ServerOptions, Server, serve};
use fuseboard_load::{
    Cancel, Event, Level, Observer, Options, Report, RunError, Style, curl, run, run_observed,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nothing here takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start() -> Server {
    serve(ServerOptions::on(ANY_PORT)).await.unwrap()
}

fn options(server: &Server, path: &str) -> Options {
    let mut options = Options::to(format!("http://{}{path}", server.addresses()[0]));
    options.style = Style::Fortio;
    options
}

/// As fast as possible, exactly `calls`.
fn exactly(server: &Server, path: &str, connections: usize, calls: u64) -> Options {
    let mut options = options(server, path);
    (options.connections, options.calls, options.qps) = (connections, Some(calls), 0.0);
    options
}

async fn made(options: Options) -> Report {
    tokio::time::timeout(PATIENCE, run(options, Cancel::new())).await.expect("an end").unwrap()
}

#[tokio::test]
async fn exactly_the_calls_asked_for_reach_the_server() {
    for (connections, calls) in [(1, 1), (1, 20), (2, 21), (3, 30), (5, 3), (16, 200)] {
        let server = start().await;
        let report = made(exactly(&server, "/get", connections, calls)).await;
        assert_eq!(report.count_of(200), calls, "{connections} {calls}");
        let counts = server.control().counts();
        assert_eq!(counts.requests.total, calls);
        assert_eq!(counts.connections.total, report.sockets_used());
        assert_eq!(report.sockets_used(), calls.min(connections as u64));
        assert!(counts.requests.peak <= connections as u64);
    }
}

#[tokio::test]
async fn a_timed_run_warms_up_uncounted_and_stops_in_time() {
    let server = start().await;
    let mut options = options(&server, "/get");
    (options.connections, options.qps, options.duration) = (2, 40.0, Some(Duration::from_millis(500)));
    let report = made(options).await;
    assert_eq!(report.count_of(200), 20);
    assert_eq!(server.control().counts().requests.total, 22);
    assert_eq!(server.control().counts().connections.total, 2);
    assert!(report.elapsed() >= Duration::from_millis(500));
    assert!(report.text().contains("\nAll done 20 calls (plus 2 warmup) "), "{}", report.text());
}

#[tokio::test]
async fn ipv6_is_called_as_any_other_address() {
    let mut listen = ServerOptions::on("[::1]:0".parse().unwrap());
    listen.listen.push(ANY_PORT);
    let server = serve(listen).await.unwrap();
    assert_eq!(made(exactly(&server, "/ip", 2, 4)).await.count_of(200), 4);
    let fetched = curl(&options(&server, "/ip"), &Observer::silent()).await.unwrap();
    assert_eq!(fetched.body, b"{\n  \"origin\": \"::1\"\n}\n");
}

#[tokio::test]
async fn a_refused_call_costs_its_socket() {
    let server = start().await;
    let report = made(exactly(&server, "/status/503", 2, 10)).await;
    assert_eq!((report.count_of(503), report.errors()), (10, 10));
    assert_eq!(report.sockets_used(), 10);
    assert_eq!(server.control().counts().connections.total, 10);
    assert!(report.text().contains("\nSockets used: 10 (for perfect keepalive, would be 2)\n"));
    assert!(report.text().contains("\nResponse Header Sizes : count 10 avg 0 +/- 0 min 0 max 0 sum 0\n"));
}

#[tokio::test]
async fn without_keep_alive_every_call_has_its_own_socket() {
    let server = start().await;
    let mut options = exactly(&server, "/get", 2, 10);
    options.http.keep_alive = false;
    assert_eq!(made(options).await.sockets_used(), 10);
    assert_eq!(server.control().counts().connections.total, 10);
}

#[tokio::test]
async fn sizes_are_those_of_the_bytes_on_the_wire() {
    let server = start().await;
    // 100,000 bytes are several reads.
    let report = made(exactly(&server, "/bytes/100000?seed=1", 1, 3)).await;
    let sizes: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    let head = sizes["HeaderSizes"]["Max"].as_u64().unwrap();
    assert_eq!(sizes["Sizes"]["Min"].as_u64().unwrap(), head + 100_000);
    assert_eq!(sizes["Sizes"]["Sum"].as_u64().unwrap(), 3 * (head + 100_000));
}

#[tokio::test]
async fn a_failed_warm_up_ends_the_run_unless_allowed() {
    let server = start().await;
    let mut options = options(&server, "/status/503");
    (options.connections, options.qps, options.duration) = (2, 0.0, Some(Duration::from_millis(50)));
    let url = options.http.url.clone();
    let error = run(options.clone(), Cancel::new()).await.unwrap_err();
    let RunError::Warmup { code: 503, bytes, .. } = error else { panic!("{error}") };
    assert_eq!(error.to_string(), format!("Aborting because of error 503 for {url} ({bytes} bytes)"));
    options.allow_initial_errors = true;
    let report = made(options).await;
    assert_eq!(report.calls(), report.count_of(503));
    assert!(report.calls() > 0);
}

#[tokio::test]
async fn abort_on_ends_the_run_at_that_code() {
    let server = start().await;
    let mut options = exactly(&server, "/status/503", 1, 1_000);
    options.abort_on = Some(503);
    assert_eq!(made(options).await.codes().clone(), [(503, 1)].into());
}

#[tokio::test]
async fn cancelling_returns_what_was_measured_so_far() {
    let server = start().await;
    let mut options = options(&server, "/get");
    (options.connections, options.qps, options.duration) = (2, 100.0, None);
    let cancel = Cancel::new();
    let control = server.control();
    let interrupt = async {
        while control.counts().requests.total < 12 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(run(options, cancel.clone()), interrupt) };
    let (report, ()) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let report = report.unwrap();
    // Two of what the server saw were warm-up calls.
    assert_eq!(report.calls() + 2, server.control().counts().requests.total);
    assert!(report.calls() >= 10);
}

#[tokio::test]
async fn cancelling_the_warm_up_waits_for_no_answer() {
    let server = start().await;
    for sequential in [false, true] {
        let mut options = options(&server, "/delay/10");
        (options.connections, options.qps, options.duration) = (3, 0.0, None);
        (options.http.timeout, options.sequential_warmup) = (4 * PATIENCE, sequential);
        let cancel = Cancel::new();
        let control = server.control();
        let before = control.counts().requests.total;
        let interrupt = async {
            while control.counts().requests.total == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cancel.cancel();
        };
        let both = async { tokio::join!(run(options, cancel.clone()), interrupt) };
        let (run, ()) = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
        assert!(matches!(run, Err(RunError::Interrupted)), "{run:?}");
    }
}

#[tokio::test]
async fn a_closed_port_is_code_minus_one() {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = Options::to(format!("http://{address}/"));
    (options.connections, options.calls, options.qps) = (2, Some(4), 0.0);
    let report = made(options).await;
    assert_eq!(report.codes().clone(), [(-1, 4)].into());
    assert_eq!(report.sockets_used(), 4);
    assert!(report.text().contains("\nCode  -1 : 4 (100.0 %)\n"), "{}", report.text());
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_code_minus_one_after_the_time_out() {
    let server = start().await;
    let mut options = exactly(&server, "/delay/10", 1, 2);
    options.http.timeout = Duration::from_millis(50);
    let report = made(options).await;
    assert_eq!(report.codes().clone(), [(-1, 2)].into());
    assert!(report.elapsed() >= Duration::from_millis(100));
    assert_eq!(report.sockets_used(), 2);
}

#[tokio::test]
async fn a_slow_server_shows_in_the_latency_since_due_and_not_in_that_since_sent() {
    let server = start().await;
    let mut options = options(&server, "/delay/40ms");
    (options.connections, options.qps, options.calls) = (1, 100.0, Some(10));
    for jitter in [false, true] {
        options.jitter = jitter;
        let report = made(options.clone()).await;
        assert!(report.latency(99.9) < Duration::from_millis(200), "{:?}", report.latency(99.9));
        // The last of 10 calls was due after 100 ms and could not end before 400 ms.
        assert!(report.latency_from_due(100.0).unwrap() >= Duration::from_millis(290), "jitter: {jitter}");
        assert!(report.text().contains("% of sleep were falling behind\n"));
    }
}

#[tokio::test]
async fn no_catch_up_makes_fewer_calls() {
    let server = start().await;
    let mut options = options(&server, "/delay/30ms");
    (options.connections, options.qps, options.calls) = (1, 100.0, Some(20));
    options.no_catch_up = true;
    let report = made(options).await;
    assert!(report.calls() >= 2 && report.calls() <= 10, "{}", report.calls());
}

#[tokio::test]
async fn the_first_lines_and_each_error_are_told_at_once() {
    let server = start().await;
    let mut options = exactly(&server, "/status/503", 1, 2);
    options.log_level = Level::Warning;
    let url = options.http.url.clone();
    let told = Arc::new(Mutex::new(Vec::new()));
    let observer = Observer::new({
        let told = Arc::clone(&told);
        move |event| told.lock().unwrap().push(event)
    });
    run_observed(options, Cancel::new(), observer).await.unwrap();
    let told = told.lock().unwrap();
    let lines: Vec<&str> = told
        .iter()
        .map(|event| match event {
            Event::Line(line) => line.as_str(),
            Event::Log(line) => line.message.as_str(),
            Event::WarmedUp(_) => "warmed up",
            _ => "",
        })
        .collect();
    let procs = std::thread::available_parallelism().unwrap();
    assert_eq!(
        lines,
        [
            format!(
                "Fortio 1.66.5 running at 0 queries per second, {procs}->{procs} procs, for 2 calls: {url}"
            ),
            format!(
                "Starting at max qps with 1 thread(s) [gomax {procs}] for exactly 2 calls (2 per thread + 0)"
            ),
            "warmed up".to_owned(),
            "Non ok http code".to_owned(),
            "Non ok http code".to_owned(),
        ]
    );
}

#[tokio::test]
async fn curl_returns_head_and_body_whatever_the_status() {
    let server = start().await;
    let fetched = curl(&options(&server, "/get"), &Observer::silent()).await.unwrap();
    assert_eq!(fetched.code, 200);
    assert!(fetched.head.starts_with(b"HTTP/1.1 200 OK\r\n") && fetched.head.ends_with(b"\r\n\r\n"));
    assert!(fetched.body.starts_with(b"{\n  \"args\""));
    let teapot = curl(&options(&server, "/status/418"), &Observer::silent()).await.unwrap();
    assert_eq!((teapot.code, teapot.body.as_slice()), (418, &b"I'm a teapot!"[..]));
    let nowhere = Options::to("http://no-such-host.invalid/");
    assert!(matches!(curl(&nowhere, &Observer::silent()).await, Err(RunError::Target(_))));
}

/// Answers each connection with the given bytes after its first read, then closes it.
async fn scripted(answers: Vec<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(answer).await;
        }
    });
    address
}

async fn codes_of(answers: Vec<&'static [u8]>, calls: u64) -> (Vec<(i32, u64)>, u64) {
    let address = scripted(answers).await;
    let mut options = Options::to(format!("http://{address}/"));
    (options.connections, options.calls, options.qps) = (1, Some(calls), 0.0);
    options.http.timeout = Duration::from_secs(5);
    let report = made(options).await;
    (report.codes().clone().into_iter().collect(), report.sockets_used())
}

#[tokio::test]
async fn a_kept_socket_that_died_is_replaced_once_and_in_silence() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".as_slice();
    assert_eq!(codes_of(vec![ok, ok, ok], 3).await, (vec![(200, 3)], 3));
}

#[tokio::test]
async fn answers_in_every_framing_are_read_to_their_end() {
    for answer in [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (codes, sockets) = codes_of(vec![answer], 1).await;
        let ok: u64 = codes.iter().filter(|(code, _)| (200..300).contains(code)).map(|(_, count)| count).sum();
        assert_eq!((ok, sockets), (1, 1), "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn garbage_and_half_answers_are_code_minus_one() {
    for answer in [
        b"".as_slice(),
        b"SSH-2.0-hello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        assert_eq!(
            codes_of(vec![answer], 1).await,
            (vec![(-1, 1)], 1),
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}
