//! Changing rates and open arrivals against servers of known service times: how many calls reach the server, and whose
//! latency tells of a stall.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fuseboard_httpbin::{Options as ServerOptions, Server, serve};
use fuseboard_load::{Cancel, CommandLine, Options, Report, Style, run};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nothing here takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start() -> Server {
    serve(ServerOptions::on(ANY_PORT)).await.unwrap()
}

fn options(flags: &str, address: SocketAddr, path: &str) -> Options {
    let url = format!("http://{address}{path}");
    let arguments: Vec<String> = flags.split(' ').map(str::to_owned).chain([url]).collect();
    CommandLine::parse(&arguments, Style::Fuseboard).unwrap().options
}

async fn made(options: Options) -> Report {
    tokio::time::timeout(PATIENCE, run(options, Cancel::new())).await.expect("an end").unwrap()
}

fn json(report: &Report) -> Value {
    serde_json::from_str(&report.json()).unwrap()
}

#[tokio::test]
async fn p66_every_phase_makes_the_calls_of_its_rate() {
    let server = start().await;
    for open in ["", "-open "] {
        let before = server.control().counts().requests.total;
        let flags = format!("{open}-c 4 -steps 20,40:200ms -ramp 40:0:200ms -burst 5:100ms:200ms");
        let report = made(options(&flags, server.addresses()[0], "/get")).await;
        let json = json(&report);
        let phases = json["fuseboard"]["phases"].as_array().unwrap();
        let calls: Vec<u64> = phases.iter().map(|phase| phase["calls"].as_u64().unwrap()).collect();
        assert_eq!(calls, [4, 8, 4, 10], "{open}");
        assert_eq!((report.calls(), report.missed()), (26, 0), "{open}");
        let warm_up = if open.is_empty() { 4 } else { 1 };
        assert_eq!(server.control().counts().requests.total - before, 26 + warm_up, "{open}");
        assert!(report.elapsed() >= Duration::from_millis(700));
        let text = report.text();
        assert!(text.contains("\n40/s to 0/s in 200ms "), "{text}");
        assert!(text.contains("\n5 each 100ms for 200ms "), "{text}");
    }
}

#[tokio::test]
async fn open_arrivals_do_not_wait_for_slow_answers() {
    let server = start().await;
    let report = made(options("-open -qps 100 -n 20", server.addresses()[0], "/delay/300ms")).await;
    assert_eq!((report.count_of(200), report.held(), report.missed()), (20, 0, 0));
    // The last call is due after 190 ms, before the first answer comes.
    assert_eq!(server.control().counts().requests.peak, 20);
    assert!(report.elapsed() < Duration::from_millis(19 * 300), "{:?}", report.elapsed());
}

#[tokio::test]
async fn connections_are_used_again_before_new_ones_are_made() {
    let server = start().await;
    let report = made(options("-open -qps 50 -n 15", server.addresses()[0], "/get")).await;
    assert_eq!(report.calls(), 15);
    assert!(report.sockets_used() < 15, "{}", report.sockets_used());
}

#[tokio::test]
async fn at_the_bound_calls_wait_and_are_counted_and_those_left_are_not_made() {
    let server = start().await;
    let options = options("-open -c 2 -qps 50 -t 400ms", server.addresses()[0], "/delay/150ms");
    let report = made(options).await;
    assert!(server.control().counts().requests.peak <= 2);
    assert_eq!(report.calls() + report.missed(), 20);
    // The first two find a place; everything behind them waits for one.
    assert_eq!(report.held(), report.calls() - 2);
    assert!(report.missed() >= 10, "{}", report.missed());
    // The third call was due after 40 ms and found its place after 150 ms.
    assert!(report.latency_from_due(100.0).unwrap() >= Duration::from_millis(250));
    assert!(report.text().contains(" calls were due and not made\n"), "{}", report.text());
}

/// Answers at once, but stands still for `stall` beginning `after` the first request of a counted call.
async fn stalling(after: Duration, stall: Duration) -> SocketAddr {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut first = None;
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let begin = *first.get_or_insert_with(Instant::now) + after;
            tokio::spawn(answering(socket, begin, begin + stall));
        }
    });
    address
}

async fn answering(mut socket: TcpStream, begin: Instant, end: Instant) {
    let mut request = [0; 4_096];
    while socket.read(&mut request).await.is_ok_and(|count| count > 0) {
        if Instant::now() >= begin {
            tokio::time::sleep_until(end).await;
        }
        if socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn p66_a_stall_shows_from_when_calls_were_due_and_hides_in_service_time() {
    let stall = Duration::from_millis(400);
    let address = stalling(Duration::from_millis(200), stall).await;
    // 100 calls, a connection each 10 ms: 40 of them are due within the stall, one is sent.
    let report = made(options("-c 1 -qps 100 -n 100", address, "/")).await;
    assert_eq!(report.calls(), 100);
    assert!(report.latency(95.0) < Duration::from_millis(100), "{:?}", report.latency(95.0));
    assert!(report.latency(100.0) >= Duration::from_millis(350), "{:?}", report.latency(100.0));
    // The 40 waited from 400 ms down to nothing: a fifth of all calls more than 150 ms.
    let due = report.latency_from_due(80.0).unwrap();
    assert!(due >= Duration::from_millis(150), "{due:?}");

    // Open arrivals meet the stall with every call that is due in it.
    let address = stalling(Duration::from_millis(200), stall).await;
    let report = made(options("-open -qps 100 -n 100", address, "/")).await;
    assert!(report.latency(80.0) >= Duration::from_millis(150), "{:?}", report.latency(80.0));
    assert_eq!((report.held(), report.missed()), (0, 0));
}
