//! fortio's flags about requests and connections, each seen from the server's side: through the command line, over real
//! sockets, against our test server or a scripted one.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use fuseboard_httpbin::{Options as ServerOptions, Server, serve};
use fuseboard_load::{
    Cancel, CommandLine, Event, Fetched, Observer, Options, Report, Style, curl, curl_to, run, run_observed,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

/// Nothing here takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

async fn httpbin() -> Server {
    serve(ServerOptions::on("127.0.0.1:0".parse().unwrap())).await.unwrap()
}

/// What a command line asks for; `URL` in it stands for `http://address`.
fn asked(line: &str, address: SocketAddr) -> Options {
    let words = line.split_whitespace().map(|word| word.replace("URL", &format!("http://{address}")));
    let line = CommandLine::parse(&words.collect::<Vec<_>>(), Style::Fortio).unwrap();
    let payload = line.payload.read().unwrap();
    let mut options = line.options;
    options.http.payload = payload;
    options
}

async fn made(options: Options) -> Report {
    tokio::time::timeout(PATIENCE, run(options, Cancel::new())).await.expect("an end").unwrap()
}

async fn fetched(options: &Options) -> Fetched {
    let silent = Observer::silent();
    tokio::time::timeout(PATIENCE, curl(options, &silent)).await.expect("an end").unwrap()
}

fn json(report: &Report) -> serde_json::Value {
    serde_json::from_str(&report.json()).unwrap()
}

/// Requests as they came, one after the other on each connection.
type Heard = Arc<Mutex<Vec<String>>>;

/// Answers every request with `answer`, on as many connections as come.
async fn scripted(answer: Vec<u8>) -> (SocketAddr, Heard) {
    answering(Arc::new(move |_: &str| answer.clone())).await
}

type Answers = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

async fn answering(answers: Answers) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(talk(socket, Arc::clone(&answers), Arc::clone(&told)));
        }
    });
    (address, heard)
}

async fn talk(mut socket: impl AsyncRead + AsyncWrite + Unpin, answers: Answers, heard: Heard) {
    // Small requests come in one piece.
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut buffer).await {
        let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let answer = answers(&request);
        heard.lock().unwrap().push(request);
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

#[tokio::test]
async fn a_uuid_is_another_in_every_place_of_every_call_of_every_connection() {
    let (address, heard) = scripted(ok(b"")).await;
    made(asked("-c 2 -n 6 -qps 0 -payload a{uuid} URL/{uuid}", address)).await;
    let heard = heard.lock().unwrap();
    let uuids: BTreeSet<&str> = heard
        .iter()
        .flat_map(|request| {
            let path = request.split(' ').nth(1).unwrap().trim_start_matches('/');
            let body = request.split_once("\r\n\r\n").unwrap().1.strip_prefix('a').unwrap();
            [path, body]
        })
        .collect();
    assert_eq!((heard.len(), uuids.len()), (6, 12), "{heard:?}");
    assert!(uuids.iter().all(|uuid| uuid.len() == 36 && &uuid[14..15] == "4"), "{uuids:?}");
}

#[tokio::test]
async fn a_payload_is_text_random_bytes_or_a_file() {
    let server = httpbin().await;
    let address = server.addresses()[0];
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(b"from a file").unwrap();
    let with_file = format!("-payload-file {} URL/post", file.path().display());
    let echoed = |body: &[u8]| -> String {
        serde_json::from_slice::<serde_json::Value>(body).unwrap()["data"].as_str().unwrap().to_owned()
    };
    let text = "-content-type text/plain";
    let of_file = fetched(&asked(&format!("{text} {with_file}"), address)).await;
    assert_eq!(echoed(&of_file.body), "from a file");
    let of_text = fetched(&asked(&format!("{text} -payload abc URL/post"), address)).await;
    assert_eq!(echoed(&of_text.body), "abc");
    let random = asked("-n 3 -c 1 -qps 0 -payload-size 1000 URL/post", address);
    assert_eq!(random.http.payload.len(), 1_000);
    assert_eq!(made(random).await.count_of(200), 3);
}

#[tokio::test]
async fn a_connection_serves_only_as_many_calls_as_allowed() {
    let server = httpbin().await;
    let address = server.addresses()[0];
    let report = made(asked("-c 1 -n 10 -qps 0 -connection-reuse 3:3 URL/get", address)).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (10, 4));
    assert_eq!(server.control().counts().connections.total, 4);
    assert_eq!(json(&report)["ConnReuseRange"], serde_json::json!([3, 3]));
    let drawn = made(asked("-c 1 -n 40 -qps 0 -connection-reuse 2:4 URL/get", address)).await.sockets_used();
    assert!((10..=20).contains(&drawn), "{drawn}");
}

#[tokio::test]
async fn a_unix_socket_is_called_whatever_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        talk(socket, Arc::new(|_: &str| ok(b"hi")), told).await;
    });
    let line = format!("-c 1 -n 3 -qps 0 -unix-socket {} http://no-such-host.invalid/x", path.display());
    let report = made(asked(&line, "127.0.0.1:1".parse().unwrap())).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (3, 1));
    assert!(heard.lock().unwrap()[0].contains("\r\nHost: no-such-host.invalid\r\n"));
    assert!(report.text().contains("socket used, resolved to [], connection timing"), "{}", report.text());
    assert_eq!(json(&report)["UnixDomainSocket"], path.display().to_string());
}

#[tokio::test]
async fn the_standard_client_keeps_its_socket_after_an_error() {
    let server = httpbin().await;
    let report = made(asked("-c 1 -n 5 -qps 0 -stdclient URL/status/503", server.addresses()[0])).await;
    assert_eq!((report.count_of(503), report.sockets_used()), (5, 1));
    assert_eq!(json(&report)["DisableFastClient"], true);
}

/// `/redirect/3` leads to `/redirect/2`, and so on to `/`.
fn redirecting(request: &str) -> Vec<u8> {
    let path = request.split(' ').nth(1).unwrap();
    match path.strip_prefix("/redirect/").map(|left| left.parse::<u32>().unwrap()) {
        None => ok(b"done"),
        Some(left) => {
            let next = if left == 1 { "/".to_owned() } else { format!("/redirect/{}", left - 1) };
            format!("HTTP/1.1 302 Found\r\nLocation: {next}\r\nContent-Length: 5\r\n\r\nmoved").into_bytes()
        }
    }
}

#[tokio::test]
async fn redirects_are_followed_when_asked_and_not_for_ever() {
    let (address, _) = answering(Arc::new(redirecting)).await;
    assert_eq!(fetched(&asked("URL/redirect/2", address)).await.code, 302);
    let followed = fetched(&asked("-L URL/redirect/2", address)).await;
    assert_eq!((followed.code, followed.body.as_slice()), (200, &b"done"[..]));
    assert!(followed.head.starts_with(b"HTTP/1.1 200 OK\r\n"), "only the last answer is shown");
    assert_eq!(fetched(&asked("-L URL/redirect/10", address)).await.code, 200);
    assert_eq!(fetched(&asked("-L URL/redirect/11", address)).await.code, -1);
    let report = made(asked("-L -c 1 -n 4 -qps 0 URL/redirect/2", address)).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (4, 1));
}

#[tokio::test]
async fn a_redirect_to_another_host_tells_it_no_password() {
    let (there, heard) = scripted(ok(b"there")).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://localhost:{}/y\r\nContent-Length: 0\r\n\r\n",
        there.port()
    );
    let (here, heard_here) = scripted(moved.into_bytes()).await;
    let report = made(asked("-L -user u:p -payload abc -c 1 -n 3 -qps 0 URL/x", here)).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (3, 2));
    assert!(heard_here.lock().unwrap()[0].contains("\r\nAuthorization: Basic "));
    let heard = heard.lock().unwrap();
    assert!(heard[0].starts_with("GET /y HTTP/1.1\r\nHost: localhost:"), "{}", heard[0]);
    assert!(heard.iter().all(|request| !request.contains("Authorization") && request.ends_with("\r\n\r\n")));
}

#[tokio::test]
async fn http_1_0_has_a_socket_for_each_call() {
    let (address, heard) = scripted(ok(b"hi")).await;
    let report = made(asked("-http1.0 -c 1 -n 3 -qps 0 URL/", address)).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (3, 3));
    assert!(
        heard.lock().unwrap().iter().all(|request| request.starts_with("GET / HTTP/1.0\r\nUser-Agent: "))
    );
}

#[tokio::test]
async fn the_sending_side_is_closed_when_asked_and_connections_are_not_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        // Ends only because the other side closes.
        socket.read_to_end(&mut Vec::new()).await.unwrap();
        socket.write_all(&ok(b"")).await.unwrap();
    });
    assert_eq!(
        made(asked("-c 1 -n 1 -qps 0 -keepalive=false -halfclose URL/", address)).await.count_of(200),
        1
    );
}

#[tokio::test]
async fn compressed_answers_are_asked_for_and_shown_unpacked() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"so it was").unwrap();
    let packed = encoder.finish().unwrap();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len())
            .into_bytes();
    answer.extend_from_slice(&packed);
    let (address, heard) = scripted(answer).await;
    assert_eq!(fetched(&asked("-compression URL/", address)).await.body, b"so it was");
    assert_eq!(fetched(&asked("URL/", address)).await.body, packed);
    let asked_for: Vec<bool> =
        heard.lock().unwrap().iter().map(|request| request.contains("Accept-Encoding: gzip\r\n")).collect();
    assert_eq!(asked_for, [true, false]);
}

#[tokio::test]
async fn a_name_leads_where_it_is_told_to() {
    let server = httpbin().await;
    let address = server.addresses()[0];
    let port = address.port();
    let line =
        format!("-c 1 -n 2 -qps 0 -keepalive=false -resolve 127.0.0.1 http://foo.example:{port}/headers");
    let report = made(asked(&line, address)).await;
    assert_eq!(
        (report.count_of(200), &json(&report)["IPCountMap"][format!("127.0.0.1:{port}")]),
        (2, &2.into())
    );
    // The first address is kept, and so it is picked once.
    let report = made(asked(
        &format!("-no-reresolve {}", line.replace("-resolve 127.0.0.1", "-resolve localhost")),
        address,
    ))
    .await;
    let document = json(&report);
    assert_eq!(
        (&document["SocketCount"], &document["IPCountMap"][format!("127.0.0.1:{port}")]),
        (&2.into(), &1.into())
    );
    assert_eq!(document["NoResolveEachConn"], true);
    for method in ["rr", "rnd", "first", "cached-rr"] {
        let line =
            format!("-c 2 -n 6 -qps 0 -dns-method {method} -keepalive=false http://localhost:{port}/get");
        assert_eq!(made(asked(&line, address)).await.count_of(200), 6, "{method}");
    }
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_call() {
    let server = httpbin().await;
    let folder = tempfile::tempdir().unwrap();
    for (format, rate) in [("json", "0"), ("influx", "200")] {
        let path = folder.path().join(format);
        let line = format!(
            "-c 2 -n 20 -qps {rate} -access-log-file {} -access-log-format {format} URL/status/503",
            path.display()
        );
        let told = Arc::new(Mutex::new(String::new()));
        let observer = Observer::new({
            let told = Arc::clone(&told);
            move |event| {
                if let Event::Line(line) = event {
                    told.lock().unwrap().push_str(&line);
                }
            }
        });
        let options = asked(&line, server.addresses()[0]);
        let report = run_observed(options, Cancel::new(), observer).await.unwrap();
        let info = format!("mode {format} to {}", path.display());
        assert!(told.lock().unwrap().ends_with(&format!(" with access logger {info}")));
        assert_eq!(json(&report)["AccessLoggerInfo"], info);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 20, "{text}");
        if format == "json" {
            let mut calls = BTreeSet::new();
            for line in text.lines() {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((&entry["ok"], &entry["details"]), (&false.into(), &"503".into()));
                calls.insert((entry["thread"].as_u64(), entry["iter"].as_u64()));
            }
            assert_eq!(calls.len(), 20);
        } else {
            assert!(
                text.lines()
                    .all(|line| line.starts_with("latency,thread=") && line.contains(",details=\"503\" "))
            );
        }
    }
    let nowhere = asked("-access-log-file /no/such/folder/log URL/", server.addresses()[0]);
    let error = run(nowhere, Cancel::new()).await.unwrap_err().to_string();
    assert!(error.contains("the access log /no/such/folder/log cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_body_from_standard_input_is_sent_as_it_comes() {
    let server = httpbin().await;
    let body = b"0123456789".repeat(10_000);
    let options = asked("-content-type text/plain URL/post", server.addresses()[0]);
    let mut answer = Fetched::default();
    let input = Box::new(std::io::Cursor::new(body.clone()));
    let silent = Observer::silent();
    let call = curl_to(&options, Some(input), &silent, &mut answer);
    assert_eq!(tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap(), 200);
    let echoed: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(echoed["data"].as_str().unwrap().len(), body.len());
    assert_eq!(
        echoed["headers"]["Transfer-Encoding"][0]
            .as_str()
            .or(echoed["headers"]["Transfer-Encoding"].as_str()),
        Some("chunked")
    );
}

#[tokio::test]
async fn the_result_says_what_was_asked_and_never_the_password() {
    let server = httpbin().await;
    let line = "-c 1 -n 1 -qps 0 -user me:secret -labels a,b -runid 7 -L -compression -gomaxprocs 1 -httpbufferkb 1 -H content-type:x/y URL/post";
    let options = asked(line, server.addresses()[0]);
    assert_eq!((options.threads, options.http.read_buffer), (Some(1), 1_024));
    let report = made(options).await;
    assert!(report.file_name().ends_with("_7_a_b.json"), "{}", report.file_name());
    assert!(!report.json().contains("secret"));
    let document = json(&report);
    for (key, value) in [("FollowRedirects", true), ("Compression", true), ("DisableFastClient", true)] {
        assert_eq!(document[key], value, "{key}");
    }
    assert_eq!(
        (document["UserCredentials"].as_str(), document["ContentType"].as_str()),
        (Some(""), Some("x/y"))
    );
    assert_eq!((document["RunID"].as_u64(), document["Labels"].as_str()), (Some(7), Some("a,b")));
}
