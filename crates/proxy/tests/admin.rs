//! The admin server through real sockets: who may ask, what is bounded, what each path does.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuseboard_admin::follow::{EventStream, Next};
use fuseboard_admin::logging::LogControl;
use fuseboard_admin::orders::{Order, Outcome};
use fuseboard_admin::status::{
    HistoryEvent, HistoryRecord, ListenerStatus, ProxyStatus, RefusalRecord, ServerInfo, ServerState,
};
use fuseboard_admin::{AdminAddress, AdminClient};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::Source;
use fuseboard_proxy::admin::{AdminServer, AdminSocket, AdminSource, BindError, ListenerDrain};
use fuseboard_proxy::events::EventRing;
use fuseboard_proxy::stats::{ListenerBlock, MessageSeries, Observation, RequestSeries};
use fuseboard_snapshot::{ServiceName, Snapshot};
use fuseboard_stats::Sharded;

/// A proxy with one listener and no cluster.
struct FakeProxy {
    listener: Arc<Sharded<ListenerBlock>>,
    quits: AtomicUsize,
    fails: AtomicBool,
    drains: Mutex<Vec<ListenerDrain>>,
    asked_windows: Mutex<Vec<Duration>>,
    orders: Mutex<Vec<Order>>,
    events: Arc<EventRing>,
}

impl AdminSource for FakeProxy {
    fn server(&self) -> ServerInfo {
        ServerInfo {
            version: "1.2.3",
            state: if self.fails.load(Ordering::Relaxed) { ServerState::Draining } else { ServerState::Live },
            uptime: Duration::from_secs(7),
            concurrency: 2,
            drain_time: Duration::from_secs(45),
            node_id: Arc::from("test"),
        }
    }

    fn observe(&self) -> Observation {
        let address = "127.0.0.1:9000".parse().unwrap();
        Observation {
            status: ProxyStatus {
                server: self.server(),
                listeners: vec![ListenerStatus {
                    name: Arc::from("outbound"),
                    address,
                    accepting: true,
                    tls: false,
                }],
                clusters: Vec::new(),
                snapshot: Arc::new(Snapshot::default()),
                applied_at: SystemTime::UNIX_EPOCH,
            },
            cluster_blocks: Vec::new(),
            listener_blocks: vec![Arc::clone(&self.listener)],
            cluster_requests: Vec::new(),
            cluster_connections: Vec::new(),
            unrouted: Arc::new(RequestSeries::new(2)),
            cluster_messages: Vec::new(),
            unrouted_messages: Arc::new(MessageSeries::new(2)),
            source: Source::default(),
            rules_held_back: false,
            max_connections: 1000,
        }
    }

    fn histories(&self) -> HashMap<Arc<str>, Vec<HistoryRecord>> {
        HashMap::new()
    }

    fn order_breaker(&self, order: &Order) -> Outcome {
        self.orders.lock().unwrap().push(order.clone());
        Outcome::UnknownCluster
    }

    fn events(&self) -> &Arc<EventRing> {
        &self.events
    }

    fn refusals(&self, window: Duration) -> (Vec<RefusalRecord>, bool) {
        self.asked_windows.lock().unwrap().push(window);
        let record = RefusalRecord {
            trip: None,
            at: SystemTime::now(),
            cluster: None,
            listener: Arc::from("outbound"),
            reason: RefusalReason::LimitDownstreamConnections,
            status: 0,
            flag: "-",
            setting: None,
            bound: Some(5),
            value: Some(5),
            queue: 0,
            rule: None,
        };
        (vec![record], true)
    }

    fn fail_health_check(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    fn drain_listeners(&self, drain: ListenerDrain) {
        self.drains.lock().unwrap().push(drain);
    }

    fn log(&self) -> Option<&dyn LogControl> {
        None
    }

    fn quit(&self) {
        self.quits.fetch_add(1, Ordering::Relaxed);
    }
}

fn fake() -> Arc<FakeProxy> {
    Arc::new(FakeProxy {
        listener: Arc::new(Sharded::new(2)),
        quits: AtomicUsize::new(0),
        fails: AtomicBool::new(false),
        drains: Mutex::default(),
        asked_windows: Mutex::default(),
        orders: Mutex::default(),
        events: Arc::new(EventRing::of_run(0xabc)),
    })
}

fn started() -> (AdminServer, Arc<FakeProxy>) {
    let proxy = fake();
    let socket = AdminSocket::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    (AdminServer::start(socket, Arc::clone(&proxy) as Arc<dyn AdminSource>).unwrap(), proxy)
}

fn client(server: &AdminServer) -> AdminClient {
    AdminClient::new(server.address().clone()).with_timeout(Duration::from_secs(20))
}

/// The whole answer to bytes sent as they are.
fn raw(server: &AdminServer, request: &str) -> String {
    let AdminAddress::Tcp(address) = server.address() else { unreachable!("tests use TCP") };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or("")
}

#[test]
fn an_address_that_other_machines_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let refused = AdminSocket::bind(&address.parse().unwrap());
        assert!(matches!(refused, Err(BindError::NotLoopback(_))), "{address}");
    }
    assert!(AdminSocket::bind(&"[::1]:0".parse().unwrap()).is_ok());
}

#[test]
fn the_pages_answer_with_envoys_content_types() {
    let (server, _) = started();
    let answer = raw(&server, "GET /stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!(status_line(&answer), "HTTP/1.1 200 OK");
    assert!(answer.contains("content-type: text/plain; charset=UTF-8\r\n"), "{answer}");
    assert!(answer.contains("cache-control: no-cache, max-age=0\r\n"));
    assert!(answer.contains("x-content-type-options: nosniff\r\n"));
    assert!(answer.contains("\nserver.uptime: 7\n"));
    let answer = raw(&server, "GET /server_info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(answer.contains("content-type: application/json\r\n"));
    let answer = raw(&server, "HEAD /stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n"), "HEAD has no body: {answer}");
}

#[test]
fn every_page_that_reads_answers_200() {
    let (server, _) = started();
    for path in [
        "/",
        "/help",
        "/stats",
        "/stats/prometheus",
        "/stats?format=json",
        "/clusters",
        "/clusters?format=json",
        "/listeners",
        "/listeners?format=json",
        "/server_info",
        "/ready",
        "/config_dump",
        "/config_dump?include_eds",
        "/certs",
        "/memory",
        "/runtime",
        "/hot_restart_version",
        "/stats?format=html",
        "/fuseboard/v1/refusals",
        "/fuseboard/v1/ejections",
    ] {
        let answer = client(&server).get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    let missing = client(&server).get("/nosuch").unwrap();
    assert_eq!(missing.status, 404);
    assert!(missing.text().starts_with("invalid path. admin commands are:\n"));
}

#[test]
fn get_on_what_changes_state_is_405_with_envoys_words() {
    let (server, proxy) = started();
    for path in [
        "/quitquitquit",
        "/reset_counters",
        "/healthcheck/fail",
        "/healthcheck/ok",
        "/drain_listeners",
        "/logging",
        "/fuseboard/v1/breakers/open",
        "/fuseboard/v1/breakers/close",
        "/fuseboard/v1/breakers/reset",
    ] {
        let answer = client(&server).get(path).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (405, "Method GET not allowed, POST required."));
    }
    assert_eq!(proxy.quits.load(Ordering::Relaxed), 0);
    assert_eq!(client(&server).request("DELETE", "/stats", b"").unwrap().status, 405);
    let done = client(&server).post("/quitquitquit").unwrap();
    assert_eq!((done.status, done.text().as_str()), (200, "OK\n"));
    assert_eq!(proxy.quits.load(Ordering::Relaxed), 1);
}

#[test]
fn listeners_are_drained_as_the_parameters_say_in_the_address_or_in_a_form() {
    use ListenerDrain::{AskOnly, Graceful, Now};
    let (server, proxy) = started();
    for query in ["", "?graceful", "?graceful&skip_exit", "?inboundonly&graceful"] {
        assert_eq!(client(&server).post(&format!("/drain_listeners{query}")).unwrap().text(), "OK\n");
    }
    let form = "POST /drain_listeners HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n\
        content-type: application/x-www-form-urlencoded\r\ncontent-length: 11\r\nconnection: close\r\n\r\ngraceful=on";
    assert_eq!(status_line(&raw(&server, form)), "HTTP/1.1 200 OK");
    assert_eq!(*proxy.drains.lock().unwrap(), [Now, Graceful, AskOnly, Graceful], "none of ours is inbound");
    let large = form
        .replace("content-length: 11", "content-length: 99999")
        .replace("graceful=on", &"x".repeat(99_999));
    assert_eq!(status_line(&raw(&server, &large)), "HTTP/1.1 400 Bad Request");
}

#[test]
fn pages_for_a_browser_may_load_nothing_from_elsewhere() {
    let (server, _) = started();
    let home = raw(&server, "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(home.contains("content-type: text/html; charset=UTF-8\r\n"), "{home}");
    assert!(home.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{home}");
    let text = raw(&server, "GET /help HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(!text.contains("content-security-policy"), "{text}");
}

#[test]
fn memory_is_what_the_kernel_counts() {
    let (server, _) = started();
    let read = || -> serde_json::Value {
        serde_json::from_str(&client(&server).get("/memory").unwrap().text()).unwrap()
    };
    let heap = |memory: &serde_json::Value| memory["heap_size"].as_str().unwrap().parse::<u64>().unwrap();
    let before = read();
    let held = std::hint::black_box(vec![1u8; 64 << 20]);
    let after = read();
    assert!(heap(&after) >= heap(&before) + (60 << 20), "{before} {after}");
    assert!(after["total_physical_bytes"].as_str().unwrap().parse::<u64>().unwrap() > heap(&after));
    drop(held);
}

#[test]
fn without_a_log_there_are_no_levels() {
    let (server, _) = started();
    assert_eq!(client(&server).post("/logging").unwrap().status, 503);
}

#[test]
fn a_rebound_name_reads_nothing() {
    let (server, _) = started();
    for host in ["evil.example", "127.0.0.1.evil.example:15000", "10.0.0.1"] {
        let request = format!("GET /config_dump HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = raw(&server, &request);
        assert_eq!(status_line(&answer), "HTTP/1.1 403 Forbidden", "{host}");
        assert!(!answer.contains("configs"));
    }
    let answer = raw(
        &server,
        "GET http://evil.example/stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(status_line(&answer), "HTTP/1.1 403 Forbidden");
    let answer = raw(&server, "GET /stats HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_eq!(status_line(&answer), "HTTP/1.1 400 Bad Request");
}

#[test]
fn a_page_of_another_origin_cannot_shut_the_proxy_down() {
    let (server, proxy) = started();
    for field in ["origin: http://evil.example", "origin: null", "sec-fetch-site: cross-site"] {
        let request = format!(
            "POST /quitquitquit HTTP/1.1\r\nhost: localhost\r\n{field}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(status_line(&raw(&server, &request)), "HTTP/1.1 403 Forbidden", "{field}");
    }
    assert_eq!(proxy.quits.load(Ordering::Relaxed), 0);
}

#[test]
fn p43_nobody_but_a_tool_of_this_machine_orders_a_breaker() {
    let (server, proxy) = started();
    let ask = |host: &str, field: &str| {
        let target = "/fuseboard/v1/breakers/open?cluster=a&for=1m&reason=x";
        raw(
            &server,
            &format!(
                "POST {target} HTTP/1.1\r\nhost: {host}\r\n{field}content-length: 0\r\nconnection: close\r\n\r\n"
            ),
        )
    };
    for (host, field) in [
        ("evil.example", ""),
        ("localhost", "origin: http://evil.example\r\n"),
        ("localhost", "sec-fetch-site: cross-site\r\n"),
    ] {
        assert_eq!(status_line(&ask(host, field)), "HTTP/1.1 403 Forbidden", "{host} {field}");
    }
    assert!(proxy.orders.lock().unwrap().is_empty());
    assert_eq!(status_line(&ask("localhost", "")), "HTTP/1.1 404 Not Found");
    assert_eq!(proxy.orders.lock().unwrap()[0].reason.as_ref(), "x");
}

#[test]
fn the_address_for_prometheus_shows_two_pages_to_anybody_and_changes_nothing() {
    let proxy = fake();
    let socket = AdminSocket::bind_open("127.0.0.1:0".parse().unwrap()).unwrap();
    let source = Arc::clone(&proxy) as Arc<dyn AdminSource>;
    let server = AdminServer::start_metrics(socket, source).unwrap();
    let ask = |method: &str, path: &str| {
        raw(&server, &format!("{method} {path} HTTP/1.1\r\nhost: proxy:15090\r\nconnection: close\r\n\r\n"))
    };
    let scraped = ask("GET", "/stats/prometheus");
    assert_eq!(status_line(&scraped), "HTTP/1.1 200 OK");
    assert!(scraped.contains("\nenvoy_server_uptime{} 7\n"), "{scraped}");
    assert!(ask("GET", "/ready").ends_with("LIVE\n"));
    for (method, path) in
        [("GET", "/stats"), ("GET", "/config_dump"), ("GET", "/"), ("POST", "/quitquitquit")]
    {
        assert_eq!(status_line(&ask(method, path)), "HTTP/1.1 404 Not Found", "{path}");
    }
    assert_eq!(status_line(&ask("DELETE", "/ready")), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(proxy.quits.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reset_is_seen_by_the_next_reading_and_leaves_gauges() {
    let (server, proxy) = started();
    let block = &proxy.listener.shard(0).listener;
    block.downstream_cx_total.add(3);
    block.downstream_cx_active.add(2);
    assert_eq!(client(&server).post("/reset_counters").unwrap().text(), "OK\n");
    block.downstream_cx_total.inc();
    let text = client(&server).get("/stats?filter=listener.*downstream_cx_(total|active)").unwrap().text();
    assert_eq!(
        text,
        "listener.127.0.0.1_9000.downstream_cx_active: 2\nlistener.127.0.0.1_9000.downstream_cx_total: 1\n"
    );
}

#[test]
fn a_failed_health_check_shows_as_draining_until_it_is_ok_again() {
    let (server, _) = started();
    let ready = || client(&server).get("ready").unwrap();
    assert_eq!((ready().status, ready().text().as_str()), (200, "LIVE\n"));
    client(&server).post("/healthcheck/fail").unwrap();
    assert_eq!((ready().status, ready().text().as_str()), (503, "DRAINING\n"));
    let live = client(&server).get("/stats?filter=server.(live|state)$").unwrap().text();
    assert_eq!(live, "server.live: 0\nserver.state: 1\n");
    client(&server).post("/healthcheck/ok").unwrap();
    assert_eq!(ready().status, 200);
}

#[test]
fn refusals_are_asked_for_by_window() {
    let (server, proxy) = started();
    let text = client(&server).get("/fuseboard/v1/refusals?last=5m").unwrap().text();
    assert!(text.contains("\"reason\": \"limit.downstream_connections\""), "{text}");
    assert!(text.contains("\"truncated\": true"));
    assert_eq!(*proxy.asked_windows.lock().unwrap(), [Duration::from_mins(5)]);
    let bad = client(&server).get("/fuseboard/v1/refusals?last=soon").unwrap();
    assert_eq!(bad.status, 400);
    assert!(bad.text().starts_with("last=soon: "));
}

#[test]
fn idle_and_silent_connections_do_not_keep_others_out() {
    let (server, _) = started();
    let AdminAddress::Tcp(address) = server.address() else { unreachable!("tests use TCP") };
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(client(&server).get("/ready").unwrap().status, 200);
    drop(silent);
}

#[test]
fn a_connection_beyond_the_bound_takes_the_place_of_the_one_that_is_silent_for_longest() {
    let (server, _) = started();
    let AdminAddress::Tcp(address) = server.address() else { unreachable!("tests use TCP") };
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    };
    let ready = |stream: &mut TcpStream| {
        stream.write_all(b"HEAD /ready HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    };
    let mut first = connect();
    let mut others: Vec<_> = (0..63).map(|_| connect()).collect();
    // Answered by the newest, so that all of them are in.
    ready(others.last_mut().unwrap());
    ready(&mut first);
    ready(&mut connect());
    assert_eq!(others[0].read(&mut [0]).unwrap(), 0, "the longest silent one makes room");
    others[1].set_nonblocking(true).unwrap();
    let waits = others[1].read(&mut [0]).unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::WouldBlock, "one place was wanted, and one given up");
    let mut rest = [0; 1024];
    let _ = first.read(&mut rest).unwrap();
    ready(&mut first);
}

#[test]
fn an_endless_head_is_refused_and_not_kept() {
    let (server, _) = started();
    let request = format!("GET /stats HTTP/1.1\r\nhost: localhost\r\nx: {}", "a".repeat(64 * 1024));
    let answer = raw(&server, &request);
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_eq!(client(&server).get("/ready").unwrap().status, 200);
}

#[test]
fn a_unix_socket_serves_is_private_and_is_removed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let address = AdminAddress::Unix(path.clone());
    let proxy = fake();
    let server = AdminServer::start(AdminSocket::bind(&address).unwrap(), proxy).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(client(&server).get("/ready").unwrap().text(), "LIVE\n");
    assert!(matches!(AdminSocket::bind(&address), Err(BindError::System { .. })), "it is in use");
    drop(server);
    assert!(!path.exists());

    // left behind by a process that was killed
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(AdminSocket::bind(&address).is_ok(), "an abandoned file is replaced");
}

#[test]
fn dropping_the_server_ends_its_thread_though_a_client_hangs_on() {
    let (server, _) = started();
    let AdminAddress::Tcp(address) = server.address().clone() else { unreachable!("tests use TCP") };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /sta").unwrap();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

const WAIT: Duration = Duration::from_secs(10);
const EVENTS: &str = "/fuseboard/v1/events";

fn happens(proxy: &FakeProxy, times: usize) {
    let part = |text: &str| Arc::<str>::from(text);
    let service = ServiceName {
        host: part("web.shop.svc.cluster.local"),
        port: 80,
        name: part("web"),
        namespace: part("shop"),
        subset: part(""),
    };
    for _ in 0..times {
        let event = HistoryEvent::Returned { address: ([127, 0, 0, 1], 80).into() };
        let record = HistoryRecord { at: SystemTime::UNIX_EPOCH, event };
        proxy.events.push(&part("outbound|80||web"), &service, record);
    }
}

/// The next event's type and data.
fn next(stream: &mut EventStream) -> (String, serde_json::Value) {
    match stream.next(WAIT).unwrap() {
        Next::Event(event) => (event.kind, serde_json::from_str(&event.data).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_come_as_they_happen_and_go_on_where_a_reader_stopped() {
    let (server, proxy) = started();
    happens(&proxy, 3);
    let mut stream = client(&server).follow(EVENTS, None).unwrap();
    let (kind, hello) = next(&mut stream);
    assert_eq!((kind.as_str(), &hello["id"]), ("hello", &"abc-3".into()), "what was is over");
    happens(&proxy, 1);
    let (kind, event) = next(&mut stream);
    assert_eq!((kind.as_str(), &event["id"], &event["version"]), ("returned", &"abc-4".into(), &1.into()));
    assert_eq!((&event["service"]["name"], &event["host"]), (&"web".into(), &"127.0.0.1:80".into()));
    let position = stream.position().unwrap().to_owned();
    drop(stream);
    happens(&proxy, 2);
    let mut again = client(&server).follow(EVENTS, Some(&position)).unwrap();
    let ids: Vec<_> = (0..3).map(|_| next(&mut again).1["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["abc-4", "abc-5", "abc-6"], "hello, and what was missed");
}

#[test]
fn what_is_not_kept_any_more_is_a_gap_and_so_is_another_run() {
    let (server, proxy) = started();
    happens(&proxy, 3000);
    let mut stream = client(&server).follow(EVENTS, Some("abc-10")).unwrap();
    assert_eq!(next(&mut stream).0, "hello");
    let (kind, gap) = next(&mut stream);
    let (_, first) = next(&mut stream);
    let lost = gap["lost"].as_u64().unwrap();
    assert_eq!((kind.as_str(), first["id"].as_str()), ("gap", Some(&*format!("abc-{}", 11 + lost))));
    for foreign in ["abd-10", "abc-99999", "4711"] {
        let mut stream = client(&server).follow(EVENTS, Some(foreign)).unwrap();
        assert_eq!(next(&mut stream).0, "hello");
        let (kind, gap) = next(&mut stream);
        assert_eq!((kind.as_str(), gap["lost"].is_null()), ("gap", true), "{foreign}");
        assert_eq!(next(&mut stream).1, first, "all that is kept");
    }
}

#[test]
fn a_reader_gets_what_it_asked_for_and_is_told_what_cannot_be_asked() {
    let (server, proxy) = started();
    for query in ["?type=ejected,breaker", "?service=shop", "?service=web.shop:81"] {
        let mut stream = client(&server).follow(&format!("{EVENTS}{query}"), None).unwrap();
        assert_eq!(next(&mut stream).0, "hello");
        happens(&proxy, 1);
        assert_eq!(stream.next(Duration::from_millis(50)).unwrap(), Next::Nothing, "{query}");
    }
    let mut wanted = client(&server).follow(&format!("{EVENTS}?service=web:80&type=returned"), None).unwrap();
    assert_eq!(next(&mut wanted).0, "hello");
    happens(&proxy, 1);
    assert_eq!(next(&mut wanted).0, "returned");
    let refused = client(&server).follow(&format!("{EVENTS}?type=trips"), None).err().unwrap().to_string();
    assert!(refused.contains("answers 400: type: there is no trips; write some of breaker,"), "{refused}");
    let page =
        raw(&server, "GET /fuseboard/v1/events HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    assert_eq!(status_line(&page), "HTTP/1.1 403 Forbidden");
    let head =
        raw(&server, "HEAD /fuseboard/v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(head.contains("content-type: text/event-stream\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn streams_are_bounded_in_number_and_leave_room_for_others() {
    let (server, _proxy) = started();
    let open = || client(&server).follow(EVENTS, None);
    let mut streams: Vec<_> = (0..16).map(|_| open().unwrap()).collect();
    let refused = open().err().unwrap().to_string();
    assert!(refused.contains("answers 503: 16 streams are open"), "{refused}");
    assert_eq!(client(&server).get("/ready").unwrap().status, 200);
    streams.pop();
    let deadline = std::time::Instant::now() + WAIT;
    while open().is_err() {
        assert!(std::time::Instant::now() < deadline, "the place of one that went is not free");
    }
    drop(server);
    let end = std::time::Instant::now();
    while streams[0].next(WAIT).unwrap() != Next::End {
        assert!(end.elapsed() < WAIT, "a server that ends ends its streams");
    }
}
