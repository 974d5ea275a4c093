//! Calls of gRPC against a server made of the h2 crate alone, in this process: its messages are written here by hand, as the
//! protocol has them.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fuseboard_load::{
    Cancel, CommandLine, Event, Expectation, Observer, Report, RunError, Style, run_observed,
};
use fuseboard_testkit::tls::{Authority, Front};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

/// Head and message of each request.
type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

async fn server() -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Requests::default();
    let told = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(talk(socket, Arc::clone(&told)));
        }
    });
    (address, requests)
}

async fn talk(socket: TcpStream, requests: Requests) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        tokio::spawn(answer_to(request, answer, Arc::clone(&requests)));
    }
}

async fn answer_to(request: Request<RecvStream>, mut answer: SendResponse<Bytes>, requests: Requests) {
    let (head, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        message.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    requests
        .lock()
        .unwrap()
        .push((format!("{} {} {:?}", head.method, head.uri, head.headers), message.clone()));
    let grpc = || Response::builder().header("content-type", "application/grpc");
    let service = String::from_utf8_lossy(message.get(7..).unwrap_or_default()).into_owned();
    let said = match (head.uri.path(), &service[..]) {
        ("/fgrpc.PingServer/Ping", _) => message,
        (_, "down") => b"\0\0\0\0\x02\x08\x02".to_vec(),
        (_, "garbage") => b"\0\0\0\0\x02\x08".to_vec(),
        (_, "reset") => return answer.send_reset(Reason::ENHANCE_YOUR_CALM),
        (_, "hang") => return std::future::pending().await,
        (_, "proxy") => {
            let head = Response::builder().status(503).header("x-fuseboard-refused", "limit.queue_full");
            answer.send_response(head.body(()).unwrap(), true).unwrap();
            return;
        }
        (_, "nobody") => {
            let head = grpc().header("grpc-status", "5").header("grpc-message", "unknown%20service");
            answer.send_response(head.body(()).unwrap(), true).unwrap();
            return;
        }
        _ => b"\0\0\0\0\x02\x08\x01".to_vec(),
    };
    let Ok(mut stream) = answer.send_response(grpc().body(()).unwrap(), false) else { return };
    stream.send_data(said.into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    drop(stream.send_trailers(trailers));
}

/// The report, and what was logged.
async fn tried(flags: &str, to: &str, style: Style) -> (Result<Report, RunError>, String) {
    let words = flags.split_whitespace().map(str::to_owned).chain([to.to_owned()]);
    let line = CommandLine::parse(&words.collect::<Vec<_>>(), style).unwrap();
    let payload = line.payload.read().unwrap();
    let mut options = line.options;
    options.http.payload = payload;
    let log = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&log);
    let observer = Observer::new(move |event| {
        if let Event::Log(line) = event {
            *told.lock().unwrap() += &(line.to_text(None) + "\n");
        }
    });
    let run = run_observed(options, Cancel::new(), observer);
    let report = tokio::time::timeout(PATIENCE, run).await.expect("an end");
    let log = log.lock().unwrap().clone();
    (report, log)
}

async fn made(flags: &str, to: &str) -> (Report, String) {
    let (report, log) = tried(flags, to, Style::Fuseboard).await;
    (report.unwrap(), log)
}

fn json(report: &Report) -> serde_json::Value {
    serde_json::from_str(&report.json()).unwrap()
}

#[tokio::test]
async fn health_is_asked_for_and_counted_by_its_name() {
    let (address, requests) = server().await;
    let (report, log) = made("-grpc -c 2 -qps 0 -n 40 -H a:b -user u:p", &address.to_string()).await;
    let text = report.text();
    assert!(text.contains("\nJitter: false\n") && text.contains("\nHealth SERVING : 40\n"), "{text} {log}");
    assert_eq!((report.errors(), report.sockets_used()), (0, 2));
    let (head, message) = requests.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("POST http://{address}/grpc.health.v1.Health/Check ")), "{head}");
    for part in ["\"te\": \"trailers\"", "\"content-type\": \"application/grpc\"", "\"a\": \"b\""] {
        assert!(head.contains(part), "{head}");
    }
    assert_eq!(message, b"\0\0\0\0\0");
    let json = json(&report);
    assert_eq!(json["RunType"], "GRPC Health for ''");
    assert_eq!(json["RetCodes"], serde_json::json!({ "SERVING": 40 }));
    assert_eq!((&json["Destination"], &json["Streams"]), (&address.to_string().into(), &1.into()));
    assert_eq!(json["Metadata"]["a"], serde_json::json!(["b"]));
    assert!(!report.json().contains("authorization"), "the password is not shown");
}

#[tokio::test]
async fn an_expectation_may_name_a_status() {
    let (address, _) = server().await;
    let (mut report, _) = made("-grpc -c 1 -qps 0 -n 4", &address.to_string()).await;
    let judge = |report: &mut Report, text| report.judge(&[Expectation::parse(text).unwrap()], None);
    assert!(judge(&mut report, "code SERVING == 4"));
    assert!(!judge(&mut report, "code UNAVAILABLE > 0"));
}

#[tokio::test]
async fn a_service_that_is_not_well_is_an_error_and_a_run_all_the_same() {
    let (address, requests) = server().await;
    let (report, _) = made("-grpc -healthservice down -c 2 -qps 20 -t 200ms", &address.to_string()).await;
    assert!(report.text().contains("\nHealth NOT_SERVING : 4\n"), "{}", report.text());
    assert_eq!((report.errors(), requests.lock().unwrap().len()), (4, 6));
    assert_eq!(requests.lock().unwrap()[0].1, b"\0\0\0\0\x06\x0a\x04down");
}

#[tokio::test]
async fn errors_are_counted_by_their_names_and_by_fortio_as_one() {
    let (address, _) = server().await;
    let expected = BTreeMap::from([
        ("nobody", ("NOT_FOUND", "rpc error: code = NotFound desc = unknown service")),
        ("garbage", ("INTERNAL", "rpc error: code = Internal")),
        ("reset", ("RESOURCE_EXHAUSTED", "rpc error: code = ResourceExhausted")),
        (
            "hang",
            ("DEADLINE_EXCEEDED", "rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
        ),
        ("proxy", ("UNAVAILABLE", "status code received from server: 503")),
    ]);
    for (service, (name, logged)) in expected {
        let flags = format!("-grpc -healthservice {service} -c 1 -qps 0 -n 2 -timeout 100ms");
        let (report, log) = made(&flags, &address.to_string()).await;
        assert!(report.text().contains(&format!("\nHealth {name} : 2\n")), "{}", report.text());
        assert!(log.contains("[WRN] Error making grpc call: ") && log.contains(logged), "{log}");
        assert_eq!(report.refused().count(), usize::from(service == "proxy"));
        let fortio = tried(&flags, &address.to_string(), Style::Fortio).await.0.unwrap();
        assert!(fortio.text().contains("\nHealth ERROR : 2\n"), "{}", fortio.text());
    }
}

#[tokio::test]
async fn a_ping_carries_its_payload_and_its_delay() {
    let (address, requests) = server().await;
    let flags = "-grpc -ping -grpc-ping-delay 1ms -payload abc -c 1 -s 2 -qps 0 -n 6";
    let (report, log) = made(flags, &address.to_string()).await;
    assert!(report.text().contains("\nPing SERVING : 6\n"), "{} {log}", report.text());
    let json = json(&report);
    assert_eq!(json["RunType"], "GRPC Ping Delay=1ms PayloadLength=3");
    // Two callers on one connection.
    assert_eq!((&json["NumThreads"], &json["Streams"], report.sockets_used()), (&2.into(), &2.into(), 1));
    let (head, message) = requests.lock().unwrap()[0].clone();
    assert!(head.contains("/fgrpc.PingServer/Ping "), "{head}");
    // Fields 3 and 4: the payload, and 1000000 ns.
    assert!(message.ends_with(b"\x1a\x03abc\x20\xc0\x84\x3d"), "{message:?}");

    let (report, _) =
        made("-grpc -ping -grpc-compression -payload abc -c 1 -qps 0 -n 1", &address.to_string()).await;
    assert!(report.text().contains("\nPing SERVING : 1\n"), "{}", report.text());
    let (head, message) = requests.lock().unwrap().last().unwrap().clone();
    assert!(head.contains("\"grpc-encoding\": \"gzip\"") && message.starts_with(b"\x01\0\0\0"), "{head}");
}

#[tokio::test]
async fn over_tls_the_certificate_counts() {
    let (address, _) = server().await;
    let authority = Authority::new("the test's");
    let front = Front::start(authority.issue(&["localhost"]).server(), address).await;
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let port = front.address().port();
    let trusting = format!("-grpc -c 1 -qps 0 -n 2 -cacert {}", ca.display());
    let (report, log) = made(&trusting, &format!("localhost:{port}")).await;
    assert!(report.text().contains("\nHealth SERVING : 2\n"), "{} {log}", report.text());
    assert_eq!(front.seen()[0].protocol.as_deref(), Some("h2"));
    let (report, log) = made("-grpc -c 1 -qps 0 -n 1", &format!("https://localhost:{port}")).await;
    assert!(report.text().contains("\nHealth UNAVAILABLE : 1\n"), "{}", report.text());
    assert!(log.contains("x509: certificate signed by unknown authority"), "{log}");
}

#[tokio::test]
async fn nobody_there_ends_a_timed_run_before_it_begins() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (outcome, log) = tried("-grpc -c 1 -t 100ms", &free.to_string(), Style::Fuseboard).await;
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, format!("Aborting because of rpc error: UNAVAILABLE from {free}"));
    assert!(log.contains("Error while dialing: dial tcp"), "{log}");
}

/// Ours, as `fuseboard httpbin` and `fuseboard server` have it.
#[tokio::test]
async fn our_own_server_answers_health_and_pings() {
    let server = fuseboard_httpbin::serve(fuseboard_httpbin::Options::on("127.0.0.1:0".parse().unwrap()));
    let server = server.await.unwrap();
    let to = server.addresses()[0].to_string();
    let (report, log) = made("-grpc -c 2 -s 3 -qps 0 -n 30 -grpc-compression", &to).await;
    assert!(report.text().contains("\nHealth SERVING : 30\n"), "{} {log}", report.text());
    assert_eq!(report.sockets_used(), 2);
    let (report, log) = made("-grpc -ping -payload abc -grpc-ping-delay 5ms -c 1 -qps 0 -n 4", &to).await;
    assert!(report.text().contains("\nPing SERVING : 4\n"), "{} {log}", report.text());
    assert!(report.durations().min >= 0.005, "{:?}", report.durations());
    let (report, _) = made("-grpc -healthservice nobody -c 1 -qps 0 -n 2", &to).await;
    assert!(report.text().contains("\nHealth NOT_FOUND : 2\n"), "{}", report.text());
    // The same port speaks HTTP/2 to callers of HTTP.
    let (report, log) = made("-h2 -c 2 -streams 4 -qps 0 -n 40", &format!("http://{to}/get")).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (40, 2), "{log}");
}
