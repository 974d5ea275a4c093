//! One connection of the load generator: connects, sends, reads one answer, keeps or closes the socket, and
//! counts sockets as fortio's fast client does. When to call and what to make of the answers is the engine's.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_http1::{
    Awaiting, BodyDecoder, HeadScanner, HeaderName, Headers, Limits, ResponseHead, parse_response,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::event::{Level, LogLine, Observer};
use crate::histogram::Histogram;
use crate::options::{HttpOptions, Options, Style};
use crate::request::Request;
use crate::target::{Target, TargetError};

/// Code of a call that got no usable answer.
pub(crate) const SOCKET_ERROR: i32 = -1;
/// Bytes read at once; a usual answer fits.
const READ_SIZE: usize = 16 * 1024;

/// What all connections of a run share.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) target: Target,
    addresses: Vec<SocketAddr>,
    request: Request,
    http: HttpOptions,
    run_id: i64,
}

impl Destination {
    pub(crate) async fn resolve(options: &Options) -> Result<Self, TargetError> {
        let Options { http, style, run_id, .. } = options;
        Self::with(http, *style, *run_id).await
    }

    pub(crate) async fn with(http: &HttpOptions, style: Style, run_id: i64) -> Result<Self, TargetError> {
        let target = Target::parse(&http.url)?;
        let addresses = target.addresses(http).await?;
        let request = Request::new(http, &target, style);
        Ok(Self { target, addresses, request, http: http.clone(), run_id })
    }
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Status, or [`SOCKET_ERROR`].
    pub(crate) code: i32,
    /// Bytes read, head included.
    pub(crate) bytes: u64,
    /// Bytes of the head; 0 when the answer was not OK, which ends the reading.
    pub(crate) head_bytes: u64,
    /// Why a proxy answered in place of the upstream, when it said so.
    pub(crate) refusal: Refusal,
}

/// What an answer that is not OK says about who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Refusal {
    /// Our proxy's reason, from `x-fuseboard-refused`.
    pub(crate) reason: Option<RefusalReason>,
    /// Envoy's `x-envoy-overloaded`: one of its limits refused.
    pub(crate) overloaded: bool,
}

impl Refusal {
    /// Looks at the fields once; allocates nothing.
    fn of(head: &ResponseHead<'_>) -> Self {
        let mut refusal = Self::default();
        for field in head.fields() {
            match field.id {
                HeaderName::XFuseboard if field.name.eq_ignore_ascii_case(b"x-fuseboard-refused") => {
                    let token = std::str::from_utf8(field.value).ok();
                    refusal.reason = token.and_then(RefusalReason::from_token);
                }
                HeaderName::XEnvoyOverloaded => refusal.overloaded = field.value == b"true",
                _ => {}
            }
        }
        refusal
    }
}

impl Reply {
    /// A call without a usable answer, after this many bytes of one.
    pub(crate) fn socket_error(bytes: u64) -> Self {
        Self { code: SOCKET_ERROR, bytes, head_bytes: 0, refusal: Refusal::default() }
    }

    /// 2xx and the teapot.
    pub(crate) fn is_ok(self) -> bool {
        (200..300).contains(&self.code) || self.code == 418
    }
}

/// The bytes of an answer, for callers who want them.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    /// From the status line to the empty line.
    pub(crate) head: Vec<u8>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
}

/// Sockets that one connection used.
#[derive(Debug, Clone)]
pub(crate) struct SocketCounts {
    /// Connects tried.
    pub(crate) used: u64,
    /// By address.
    pub(crate) addresses: BTreeMap<SocketAddr, u64>,
    /// How long connecting took, in seconds, failures included.
    pub(crate) connecting: Histogram,
}

/// One connection; makes one call at a time.
#[derive(Debug)]
pub(crate) struct Client {
    destination: Arc<Destination>,
    observer: Observer,
    id: usize,
    socket: Option<TcpStream>,
    scanner: HeadScanner,
    headers: Headers,
    buffer: Vec<u8>,
    turn: usize,
    pub(crate) sockets: SocketCounts,
}

/// Why an exchange has no answer.
enum Failure {
    /// Nothing came on a socket used before: the server had closed it.
    Stale,
    Timeout,
    Broken(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Client {
    pub(crate) fn new(
        destination: Arc<Destination>,
        connecting: Histogram,
        observer: Observer,
        id: usize,
    ) -> Self {
        let sockets = SocketCounts { used: 0, addresses: BTreeMap::new(), connecting };
        let scanner = HeadScanner::for_responses(Limits::default());
        // Connections take turns over the addresses, each starting at another one.
        let turn = id;
        let (headers, buffer) = (Headers::new(), Vec::with_capacity(READ_SIZE));
        Self { destination, observer, id, socket: None, scanner, headers, buffer, turn, sockets }
    }

    /// Makes one call and reads as much of its answer as fortio reads: an answer that is not OK ends the
    /// reading, and its socket is closed.
    pub(crate) async fn call(&mut self) -> Reply {
        self.exchange(None).await
    }

    /// Makes one call and reads its whole answer, whatever its status.
    pub(crate) async fn fetch(&mut self) -> (Reply, Captured) {
        let mut captured = Captured::default();
        let reply = self.exchange(Some(&mut captured)).await;
        (reply, captured)
    }

    async fn exchange(&mut self, mut captured: Option<&mut Captured>) -> Reply {
        let deadline = Instant::now() + self.destination.http.timeout;
        loop {
            let reused = self.socket.is_some();
            let mut socket = match self.socket.take() {
                Some(socket) => socket,
                None => match self.connect(deadline).await {
                    Ok(socket) => socket,
                    Err(reply) => return reply,
                },
            };
            let talk = self.converse(&mut socket, captured.as_deref_mut());
            let outcome = match tokio::time::timeout_at(deadline, talk).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::Timeout),
            };
            match outcome {
                Ok((reply, keep)) => {
                    self.socket = keep.then_some(socket);
                    return reply;
                }
                // One silent retry: a server may close an idle connection at any time.
                Err(Failure::Stale) if reused => {}
                Err(failure) => return self.failed(&failure, &socket),
            }
        }
    }

    async fn connect(&mut self, deadline: Instant) -> Result<TcpStream, Reply> {
        let addresses = &self.destination.addresses;
        let address = addresses[self.turn % addresses.len()];
        self.turn = self.turn.wrapping_add(1);
        self.sockets.used += 1;
        *self.sockets.addresses.entry(address).or_default() += 1;
        let started = Instant::now();
        let outcome = tokio::time::timeout_at(deadline, TcpStream::connect(address)).await;
        self.sockets.connecting.record(started.elapsed().as_secs_f64());
        let error = match outcome {
            Ok(Ok(socket)) => {
                // Without it only latency suffers.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "i/o timeout".to_owned(),
        };
        self.log(
            LogLine::new(Level::Error, "Unable to connect")
                .with("dest", address.to_string())
                .with("err", format!("dial tcp {address}: {error}")),
        );
        Err(Reply::socket_error(0))
    }

    /// Sends the request and reads the answer; says whether the socket can be used again.
    async fn converse(
        &mut self,
        socket: &mut TcpStream,
        captured: Option<&mut Captured>,
    ) -> Result<(Reply, bool), Failure> {
        let destination = Arc::clone(&self.destination);
        let Destination { request, http, .. } = &*destination;
        // An error in sending is not the end: a server may answer before it has read everything.
        let sent = socket.write_all(&request.bytes).await;
        if http.half_close && !http.keep_alive && sent.is_ok() {
            socket.shutdown().await?;
        }
        let head_end = self.read_head(socket).await?;

        let head = &self.buffer[..head_end];
        let parsed =
            parse_response(head, &mut self.headers, &Limits::default(), Awaiting::to(request.method))
                .map_err(|error| Failure::Broken(error.to_string()))?;
        let code = i32::from(parsed.status());
        let (keep_alive, framing) = (parsed.keep_alive() && http.keep_alive, parsed.framing());
        let (bytes, head_bytes) = (self.buffer.len() as u64, head_end as u64);
        let mut reply = Reply { code, bytes, head_bytes, refusal: Refusal::default() };
        if !reply.is_ok() {
            reply.refusal = Refusal::of(&parsed);
        }
        if captured.is_none() && !reply.is_ok() {
            reply.head_bytes = 0;
            self.log_not_ok(code);
            return Ok((reply, false));
        }
        let body = BodyDecoder::new(framing, Limits::default());
        let (body_bytes, clean) = self.read_body(socket, head_end, body, captured).await?;
        reply.bytes = reply.head_bytes + body_bytes;
        Ok((reply, keep_alive && clean && reply.is_ok()))
    }

    /// Reads until the head of the final answer stands at the front of the buffer, and returns its length.
    async fn read_head(&mut self, socket: &mut TcpStream) -> Result<usize, Failure> {
        self.buffer.clear();
        self.scanner.reset();
        loop {
            let count = match socket.read_buf(&mut self.buffer).await {
                Ok(count) => count,
                Err(_) if self.buffer.is_empty() => return Err(Failure::Stale),
                Err(error) => return Err(error.into()),
            };
            if count == 0 {
                return Err(if self.buffer.is_empty() { Failure::Stale } else { truncated() });
            }
            loop {
                let found = self.scanner.scan(&self.buffer);
                match found.map_err(|error| Failure::Broken(error.to_string()))? {
                    Some(end) if is_interim(&self.buffer) => {
                        self.buffer.drain(..end);
                    }
                    Some(end) => return Ok(end),
                    None => break,
                }
            }
        }
    }

    /// Reads the body that begins behind the head. Returns its bytes on the wire, and whether nothing followed it:
    /// bytes beyond the answer belong to no call, and a connection that sends them cannot be trusted any more.
    async fn read_body(
        &mut self,
        socket: &mut TcpStream,
        head_end: usize,
        mut body: BodyDecoder,
        mut captured: Option<&mut Captured>,
    ) -> Result<(u64, bool), Failure> {
        if let Some(captured) = captured.as_deref_mut() {
            captured.head = self.buffer[..head_end].to_vec();
        }
        let mut start = head_end;
        let mut bytes = 0;
        loop {
            while !body.is_complete() && start < self.buffer.len() {
                let input = &self.buffer[start..];
                let decoded = body.decode(input).map_err(|error| Failure::Broken(error.to_string()))?;
                if let Some(captured) = captured.as_deref_mut() {
                    captured.body.extend_from_slice(&input[decoded.content]);
                }
                start += decoded.consumed;
                bytes += decoded.consumed as u64;
            }
            if body.is_complete() {
                return Ok((bytes, start == self.buffer.len()));
            }
            self.buffer.clear();
            self.buffer.shrink_to(READ_SIZE);
            start = 0;
            if socket.read_buf(&mut self.buffer).await? == 0 {
                body.on_close().map_err(|_| truncated())?;
            }
        }
    }

    fn log_not_ok(&self, code: i32) {
        if self.destination.http.log_errors {
            let version = if self.buffer.starts_with(b"HTTP/1.0") { "HTTP/1.0" } else { "HTTP/1.1" };
            self.log(
                LogLine::new(Level::Warning, "Non ok http code")
                    .with("code", code)
                    .with("status", format!("{version} {code}")),
            );
        }
    }

    fn failed(&self, failure: &Failure, socket: &TcpStream) -> Reply {
        let size = self.buffer.len();
        let (message, error) = match failure {
            Failure::Stale => ("Read error (incomplete/invalid response)", "EOF before any answer"),
            Failure::Timeout => ("Timeout error (incomplete/invalid response)", "i/o timeout"),
            Failure::Broken(error) => ("Read error (incomplete/invalid response)", error.as_str()),
        };
        let mut line = LogLine::new(Level::Error, message).with("err", error).with("size", size);
        if let Ok(peer) = socket.peer_addr() {
            line = line.with("dest", peer.to_string());
        }
        self.log(line.with("url", self.destination.target.url.as_str()));
        Reply::socket_error(size as u64)
    }

    fn log(&self, line: LogLine) {
        self.observer.log(line.with("thread", self.id).with("run", self.destination.run_id));
    }
}

/// 100 to 199, except 101 which nobody asked for and which the parser refuses.
fn is_interim(head: &[u8]) -> bool {
    matches!(head.get(9..12), Some([b'1', rest @ ..]) if rest != b"01")
}

fn truncated() -> Failure {
    Failure::Broken("unexpected EOF".to_owned())
}

/// A connection's socket-time histogram uses the run's resolution.
pub(crate) fn connecting_histogram(offset: Duration, resolution: f64) -> Histogram {
    Histogram::new(offset.as_secs_f64(), resolution)
}
