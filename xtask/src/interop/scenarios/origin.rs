//! The hosts behind a scenario, played in this process: what each does is said by the path that it is asked for.

use std::net::SocketAddr;

use fuseboard_testkit::{
    Behaviour, Gate, OnAccept, RefusingPort, Reply, Script, SeenRequest, UnansweringPort, Upstream, http2,
};
use h2::Reason;

use super::scenario::Host;

/// The hosts of one scenario, for one of the proxies.
pub(super) struct Origin {
    pub(super) addresses: Vec<SocketAddr>,
    /// What `/gate` waits for.
    pub(super) gate: Gate,
    _serving: Vec<Upstream>,
    _streaming: Vec<http2::Upstream>,
    _refusing: Vec<RefusingPort>,
    _unanswering: Vec<UnansweringPort>,
}

impl Origin {
    pub(super) async fn start(hosts: &[Host]) -> Self {
        let gate = Gate::new();
        let (mut addresses, mut serving, mut streaming) = (vec![], vec![], vec![]);
        let (mut refusing, mut unanswering) = (vec![], vec![]);
        for host in hosts {
            let port = RefusingPort::bind();
            match host {
                Host::Serves => {
                    addresses.push(port.address());
                    let gate = gate.clone();
                    let script = Script::by(move |request| behaviour(request, &gate));
                    serving.push(Upstream::serve(port.listen(), OnAccept::Serve, script));
                }
                Host::Streams => {
                    let gate = gate.clone();
                    let host = http2::Upstream::start(move |request, _| stream(request, &gate)).await;
                    addresses.push(host.address());
                    streaming.push(host);
                }
                Host::Refuses => {
                    addresses.push(port.address());
                    refusing.push(port);
                }
                Host::NeverAccepts => {
                    let port = UnansweringPort::bind().await;
                    addresses.push(port.address());
                    unanswering.push(port);
                }
            }
        }
        Self {
            addresses,
            gate,
            _serving: serving,
            _streaming: streaming,
            _refusing: refusing,
            _unanswering: unanswering,
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn behaviour(request: &SeenRequest, gate: &Gate) -> Behaviour {
    let path = request.target.trim_start_matches('/');
    let ok = Reply::ok("ok");
    if request.method == "HEAD" {
        return Behaviour::raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    }
    match path {
        "gate" => Behaviour::answer(&ok).after(gate),
        "head-then-gate" => Behaviour::body_after(gate, &ok),
        "silent" => Behaviour::silent(),
        "close" => Behaviour::close(),
        "close-early" => Behaviour::close_early(),
        "reset" => Behaviour::reset(),
        "close-in-head" => Behaviour::raw("HTTP/1.1 200 OK\r\nx-a: b\r\n").then_close(),
        "close-after-head" => Behaviour::close_after_head(&ok),
        "close-in-body" => Behaviour::close_in_body(&ok, 1),
        "close-in-chunk" => Behaviour::close_in_body(&Reply::ok("0123456789").chunked(5), 12),
        "answer-then-close" => Behaviour::answer(&ok).then_close(),
        "answer-then-talk" => Behaviour::raw_then(OK, gate, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        "answer-then-no-http" => Behaviour::raw_then(OK, gate, "this is no HTTP\r\n\r\n"),
        "answer-then-408" => Behaviour::raw_then(
            OK,
            gate,
            "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ),
        "closing" => Behaviour::answer(&ok.closing()),
        "until-close" => Behaviour::answer(&ok.until_close()),
        "until-reset" => Behaviour::reset_in_body(gate, &ok.until_close(), 2),
        "early" => Behaviour::answer_early(&Reply::status(413).closing()),
        "chunked" => Behaviour::answer(&Reply::ok("0123456789").chunked(3)),
        "chunked-empty" => Behaviour::answer(&Reply::ok("").chunked(3)),
        "trailers" => Behaviour::answer(&Reply::ok("body").chunked(3).trailer("x-end", "1")),
        "continue" => Behaviour::continue_then(&ok),
        "interim" => Behaviour::answer(&ok.preceded_by(103)),
        "upgrade" => Behaviour::upgrade_and_echo("websocket"),
        "upgrade-and-end" => Behaviour::raw(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbyes",
        )
        .then_close(),
        "grpc/14" => Behaviour::answer(
            &Reply::status(200).field("content-type", "application/grpc").field("grpc-status", "14"),
        ),
        "fields" => Behaviour::answer(
            &ok.field("x-twice", "1")
                .field("X-Twice", "2")
                .field("keep-alive", "timeout=5")
                .field("set-cookie", "a=b")
                .field("set-cookie", "c=d")
                .field("via", "1.1 x"),
        ),
        "empty-200" => Behaviour::answer(&Reply::status(200)),
        "seen" => Behaviour::answer(&Reply::ok(seen(&request.head))),
        _ => by_prefix(path),
    }
}

fn by_prefix(path: &str) -> Behaviour {
    if let Some(status) = path.strip_prefix("status/").and_then(|status| status.parse().ok()) {
        let body: &[u8] = if status == 204 || status == 304 { b"" } else { b"as told" };
        return Behaviour::answer(&Reply::status(status).body(body));
    }
    // What no server should say.
    let raw = match path {
        "raw/garbage" => "this is no HTTP\r\n\r\n",
        "raw/two-lengths" => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        "raw/bad-length" => "HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok",
        "raw/both-framings" => {
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        }
        "raw/bad-chunk" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        "raw/bad-name" => "HTTP/1.1 200 OK\r\nbad name: 1\r\ncontent-length: 2\r\n\r\nok",
        "raw/more" => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
        "raw/old" => "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "raw/length-304" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\netag: x\r\n\r\n",
        _ => return Behaviour::answer(&Reply::ok("ok")),
    };
    Behaviour::raw(raw)
}

/// A message of gRPC.
pub(super) const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";

/// What a host of HTTP/2 does with a stream.
fn stream(request: &http2::Seen, gate: &Gate) -> http2::Reply {
    let path = request.path.trim_start_matches('/');
    let ok = http2::Reply::ok("ok");
    let number = |begin| path.strip_prefix(begin).and_then(|number: &str| number.parse::<u16>().ok());
    if let Some(status) = number("status/") {
        return http2::Reply::status(status);
    }
    if let Some(code) = number("grpc/") {
        return http2::Reply::status(200)
            .field("content-type", "application/grpc")
            .field("grpc-status", &code.to_string());
    }
    if let Some(code) = number("grpc-end/") {
        return http2::Reply::ok(MESSAGE)
            .field("content-type", "application/grpc")
            .trailer("grpc-status", &code.to_string());
    }
    match path {
        "gate" => ok.after(gate),
        "silent" => ok.after(&Gate::new()),
        "reset" => http2::Reply::reset(Reason::INTERNAL_ERROR),
        "refused" => http2::Reply::reset(Reason::REFUSED_STREAM),
        "cut" => http2::Reply::ok("0123456789").cut_after(4),
        "trailers" => ok.trailer("x-end", "1"),
        "farewell" => ok.then_farewell(),
        "seen" => http2::Reply::ok(seen(&head_of(request))),
        _ => ok,
    }
}

/// The head of a stream as HTTP/1.1 would have it.
fn head_of(request: &http2::Seen) -> String {
    let fields = request
        .fields
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    let fields: String = fields.collect();
    format!(
        "{} {} {}\r\nhost: {}\r\n{fields}",
        request.method, request.path, request.scheme, request.authority
    )
}

/// A request's head as a body: its fields in one order, without what each proxy makes up anew.
fn seen(head: &str) -> String {
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = name.to_ascii_lowercase();
        let value = if name == "x-request-id" { "made" } else { value.trim() };
        format!("{name}: {value}")
    });
    let mut fields: Vec<String> = fields.collect();
    fields.sort();
    format!("{first}; {}", fields.join("; "))
}
