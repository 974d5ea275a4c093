//! One caller's calls: each is a request, its answer, and with `-L` the requests that redirects ask for. Decides what an
//! answer means for the socket, as fortio does. Sockets are in `connection`, reading in `answer`; when to call and what
//! to make of the answers is the engine's.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::answer::{Answer, Extent, Failure, Reader, Receiver, Refusal, is_ok};
use crate::connection::{ConnectError, Connection, Path, Route, SocketCounts};
use crate::deadline::Deadline;
use crate::event::{Level, LogLine, Observer};
use crate::grpc;
use crate::histogram::Histogram;
use crate::http2;
use crate::options::{HttpOptions, Options, Style};
use crate::redirect::{self, Hop};
use crate::request::{Body, Request};
use crate::resolver::Resolver;
use crate::security::{Security, SecurityError};
use crate::socket::{Address, Socket};
use crate::target::{Target, TargetError};
use crate::upload;

/// Code of a call that got no usable answer.
pub(crate) const SOCKET_ERROR: i32 = -1;

/// What all connections of a run share.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) target: Target,
    pub(crate) route: Route,
    pub(crate) http: HttpOptions,
    pub(crate) style: Style,
    request: Request,
    /// The request in HTTP/2, if that is spoken.
    pub(crate) http2: Option<http2::Request>,
    /// The call of gRPC, if that is made.
    pub(crate) grpc: Option<grpc::Call>,
    pub(crate) run_id: i64,
    /// Made when something is called over TLS.
    pub(crate) security: OnceLock<Security>,
}

impl Destination {
    pub(crate) async fn resolve(options: &Options) -> Result<Self, TargetError> {
        let mut http = options.http.clone();
        http.http2 |= options.grpc.is_some();
        let target = match &options.grpc {
            Some(_) => Target::of_grpc(&http.url, http.tls.ca_cert.is_some())?,
            None => Target::parse(&http.url)?,
        };
        let security = OnceLock::new();
        let route = route_to(&target, &http, &security).await?;
        let style = options.style;
        let request = Request::new(&http, &target, style);
        let http2 = http.http2.then(|| http2::Request::with(&http, &target, style, Body::Payload));
        let http2 = http2.transpose()?;
        let grpc = options.grpc.as_ref().map(|grpc| grpc::Call::new(grpc, &http, &target, style));
        let grpc = grpc.transpose()?;
        Ok(Self { target, route, http, style, request, http2, grpc, run_id: options.run_id, security })
    }

    /// So many connections that callers share, where they do.
    pub(crate) fn lines(&self, count: usize, connecting: &Histogram) -> Vec<Arc<http2::Line>> {
        let line = || {
            let (route, http) = (self.route.clone(), &self.http);
            http2::Line::new(route, http.connection_reuse, connecting.emptied(), http.keep_alive)
        };
        let count = if self.http2.is_some() { count } else { 0 };
        (0..count).map(|_| Arc::new(line())).collect()
    }

    /// Tells what differs from what was asked, or is worth a thought.
    pub(crate) fn announce(&self, observer: &Observer) {
        if self.target.scheme_was_missing {
            let given = &self.http.url;
            let message = format!("Assuming http:// on missing scheme for '{given}'");
            observer.log(LogLine::new(Level::Warning, message));
        }
        if self.http.tls.insecure && self.target.secure {
            let message = "TLS certificates will not be verified, per flag request";
            observer.log(LogLine::new(Level::Info, message));
        }
    }

    fn extent(&self) -> Extent {
        let whole = self.http.whole_answers || self.http.follow_redirects;
        if whole { Extent::Whole } else { Extent::WhileOk }
    }
}

pub(crate) async fn route_to(
    target: &Target,
    http: &HttpOptions,
    security: &OnceLock<Security>,
) -> Result<Route, TargetError> {
    let handshake = if target.secure {
        let malformed = || TargetError::Malformed { url: target.url.clone() };
        Some(made(security, http)?.for_host(&target.host).ok_or_else(malformed)?)
    } else {
        None
    };
    let path = match &http.unix_socket {
        Some(path) => Path::Unix(Address::Unix(path.clone())),
        None => {
            Path::Resolved { resolver: Arc::new(Resolver::of(target, http).await?), once: http.resolve_once }
        }
    };
    Ok(Route { path, handshake })
}

/// Whoever comes first reads the files.
fn made<'a>(security: &'a OnceLock<Security>, http: &HttpOptions) -> Result<&'a Security, SecurityError> {
    if let Some(made) = security.get() {
        return Ok(made);
    }
    let protocols: &[&[u8]] = if http.http2 { &[b"h2"] } else { &[] };
    let made = Security::of(&http.tls, protocols)?;
    Ok(security.get_or_init(|| made))
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

impl Reply {
    pub(crate) fn is_ok(self) -> bool {
        is_ok(self.code)
    }

    fn to(answer: &Answer, extent: Extent) -> Self {
        let code = i32::from(answer.status);
        // An answer that is read only while OK was cut off in front of its headers, as fortio sees it.
        let head_bytes = if extent == Extent::Whole || is_ok(code) { answer.head_bytes } else { 0 };
        Self { code, bytes: answer.head_bytes + answer.body_bytes, head_bytes, refusal: answer.refusal }
    }

    /// A call without a usable answer, after this many bytes of one.
    pub(crate) fn socket_error(bytes: u64) -> Self {
        Self { code: SOCKET_ERROR, bytes, head_bytes: 0, refusal: Refusal::default() }
    }
}

/// One caller; makes one call at a time.
#[derive(Debug)]
pub(crate) struct Client {
    speaker: Speaker,
    connection: Connection,
    /// Where the last redirects to another host led, and the way there.
    elsewhere: Option<(String, Connection)>,
    /// A request of its own, where each call differs.
    own_request: Option<Request>,
}

impl Client {
    /// Within a runtime.
    pub(crate) fn new(
        destination: Arc<Destination>,
        connecting: Histogram,
        observer: Observer,
        id: usize,
    ) -> Self {
        let connection =
            Connection::new(destination.route.clone(), destination.http.connection_reuse, connecting);
        let own_request = destination.request.text.has_holes().then(|| destination.request.clone());
        let reader = Reader::new(destination.http.read_buffer);
        let speaker = Speaker { destination, observer, id, deadline: Deadline::new(), reader };
        Self { speaker, connection, elsewhere: None, own_request }
    }

    /// Makes one call and reads as much of its answer as fortio reads.
    pub(crate) async fn call(&mut self) -> Reply {
        let extent = self.speaker.destination.extent();
        self.exchange(extent, None).await
    }

    /// Makes one call and reads its whole answer, whatever its status.
    pub(crate) async fn fetch(&mut self, receiver: &mut dyn Receiver) -> Reply {
        self.exchange(Extent::Whole, Some(receiver)).await
    }

    /// As [`Client::fetch`], with a body that is sent as it comes.
    pub(crate) async fn upload(
        &mut self,
        pieces: &mut mpsc::Receiver<Vec<u8>>,
        receiver: &mut dyn Receiver,
    ) -> Reply {
        let destination = Arc::clone(&self.speaker.destination);
        let Destination { target, http, style, .. } = &*destination;
        self.speaker.deadline.set(Instant::now() + http.timeout);
        let mut request = Request::with(http, target, *style, Body::Streamed);
        request.text.fill(|| fastrand::u128(..));
        match self.speaker.tell(&mut self.connection, &request, pieces, receiver).await {
            Ok(answer) => self.speaker.judged(&answer, Extent::Whole),
            Err(reply) => reply,
        }
    }

    /// The sockets of all its connections.
    pub(crate) fn into_sockets(self) -> SocketCounts {
        let mut sockets = self.connection.sockets;
        if let Some((_, connection)) = &self.elsewhere {
            sockets.merge(&connection.sockets);
        }
        sockets
    }

    async fn exchange(&mut self, extent: Extent, receiver: Option<&mut dyn Receiver>) -> Reply {
        let destination = Arc::clone(&self.speaker.destination);
        self.speaker.deadline.set(Instant::now() + destination.http.timeout);
        if destination.http.follow_redirects {
            return self.follow(&destination, receiver).await;
        }
        let request = match &mut self.own_request {
            Some(own) => {
                own.text.fill(|| fastrand::u128(..));
                &*own
            }
            None => &destination.request,
        };
        match self.speaker.ask(&mut self.connection, request, extent, receiver).await {
            Ok(answer) => self.speaker.judged(&answer, extent),
            Err(reply) => reply,
        }
    }

    /// One call that goes where redirects lead; only its last answer is shown.
    async fn follow(&mut self, destination: &Destination, receiver: Option<&mut dyn Receiver>) -> Reply {
        let mut last = redirect::LastAnswer::for_receiver(receiver);
        let mut hop = Hop::first(&destination.target, &destination.http);
        for redirects in 0.. {
            let mut request = Request::with(&hop.options, &hop.target, destination.style, hop.body);
            request.text.fill(|| fastrand::u128(..));
            let connection =
                match way_to(&hop.target, destination, &mut self.connection, &mut self.elsewhere).await {
                    Ok(connection) => connection,
                    Err(error) => return self.speaker.lost(&error),
                };
            let answer = match self.speaker.ask(connection, &request, Extent::Whole, Some(&mut last)).await {
                Ok(answer) => answer,
                Err(reply) => return reply,
            };
            match hop.next(answer.status, answer.location.as_deref()) {
                None => return self.speaker.judged(&answer, Extent::Whole),
                Some(Err(error)) => return self.speaker.lost(&error),
                Some(Ok(_)) if redirects == redirect::MOST => break,
                Some(Ok(next)) => hop = next,
            }
        }
        self.speaker.lost(&format_args!("stopped after {} redirects", redirect::MOST))
    }
}

/// The connection for a hop: the caller's own, or the one that redirects to another host led to.
async fn way_to<'a>(
    target: &Target,
    destination: &Destination,
    own: &'a mut Connection,
    elsewhere: &'a mut Option<(String, Connection)>,
) -> Result<&'a mut Connection, TargetError> {
    let http = &destination.http;
    let origin = target.origin();
    let same_place = http.unix_socket.is_some() && target.secure == destination.target.secure;
    if same_place || origin == destination.target.origin() {
        return Ok(own);
    }
    let known = match elsewhere.take() {
        Some(known) if known.0 == origin => known,
        left => {
            if let Some((_, left)) = left {
                own.sockets.merge(&left.sockets);
            }
            let route = route_to(target, http, &destination.security).await?;
            let connection = Connection::new(route, http.connection_reuse, own.sockets.connecting.emptied());
            (origin, connection)
        }
    };
    Ok(&mut elsewhere.insert(known).1)
}

/// What all connections of a caller share: buffers, the clock of the call, and a voice in the log.
#[derive(Debug)]
struct Speaker {
    destination: Arc<Destination>,
    observer: Observer,
    id: usize,
    deadline: Deadline,
    reader: Reader,
}

impl Speaker {
    /// One request and its answer; what went wrong is logged and counted as a socket error.
    async fn ask(
        &mut self,
        connection: &mut Connection,
        request: &Request,
        extent: Extent,
        mut receiver: Option<&mut dyn Receiver>,
    ) -> Result<Answer, Reply> {
        self.reader.clear();
        loop {
            let (reused, mut socket) = match connection.take() {
                Some(socket) => (true, socket),
                None => match connection.open(&mut self.deadline).await {
                    Ok(socket) => (false, socket),
                    Err(error) => return Err(self.unconnected(&error)),
                },
            };
            let http = &self.destination.http;
            // Reborrowed by hand: the receiver outlives this turn of the loop.
            let receiver: Option<&mut dyn Receiver> = match &mut receiver {
                Some(receiver) => Some(&mut **receiver),
                None => None,
            };
            let talk = converse(&mut self.reader, &mut socket, request, http, extent, receiver);
            match self.deadline.bound(talk).await {
                Some(Ok(answer)) => {
                    let may_keep = answer.may_keep && self.destination.http.keeps_connections();
                    if may_keep && (extent == Extent::Whole || is_ok(answer.status.into())) {
                        connection.give_back(socket);
                    }
                    return Ok(answer);
                }
                // One silent retry: a server may close an idle connection at any time.
                Some(Err(Failure::Stale(_))) if reused => {}
                Some(Err(failure)) => return Err(self.failed(&failure, &socket)),
                None => return Err(self.timed_out(&socket)),
            }
        }
    }

    /// As [`Speaker::ask`], with a body that is sent as it comes and so only once.
    async fn tell(
        &mut self,
        connection: &mut Connection,
        request: &Request,
        pieces: &mut mpsc::Receiver<Vec<u8>>,
        receiver: &mut dyn Receiver,
    ) -> Result<Answer, Reply> {
        let opened = connection.open(&mut self.deadline).await;
        let mut socket = opened.map_err(|error| self.unconnected(&error))?;
        let talk = upload::converse(&mut self.reader, &mut socket, request, pieces, Some(receiver));
        match self.deadline.bound(talk).await {
            Some(told) => told.map_err(|failure| self.failed(&failure, &socket)),
            None => Err(self.timed_out(&socket)),
        }
    }

    fn judged(&self, answer: &Answer, extent: Extent) -> Reply {
        let reply = Reply::to(answer, extent);
        if !reply.is_ok() && self.destination.http.log_errors {
            let version = if answer.is_http10 { "HTTP/1.0" } else { "HTTP/1.1" };
            self.log(
                LogLine::new(Level::Warning, "Non ok http code")
                    .with("code", reply.code)
                    .with("status", format!("{version} {}", reply.code)),
            );
        }
        reply
    }

    fn unconnected(&self, error: &ConnectError) -> Reply {
        self.log(match error {
            ConnectError::Lookup { host, error } => LogLine::new(Level::Error, "Unable to resolve hostname")
                .with("hostname", host.as_str())
                .with("err", error.to_string()),
            ConnectError::Dial { address, secure, .. } => {
                let message = if *secure { "Unable to TLS connect" } else { "Unable to connect" };
                LogLine::new(Level::Error, message)
                    .with("dest", address.to_string())
                    .with("err", error.words())
            }
            ConnectError::Waited { error } => {
                LogLine::new(Level::Error, "Unable to connect").with("err", error.as_str())
            }
            ConnectError::Handshake { address, error } => LogLine::new(Level::Error, "Unable to TLS connect")
                .with("dest", address.to_string())
                .with("err", error.as_str()),
        });
        Reply::socket_error(0)
    }

    fn failed(&self, failure: &Failure, socket: &Socket) -> Reply {
        let (Failure::Stale(error) | Failure::Broken(error)) = failure;
        self.unanswered("Read error (incomplete/invalid response)", error, socket)
    }

    fn timed_out(&self, socket: &Socket) -> Reply {
        self.unanswered("Timeout error (incomplete/invalid response)", "i/o timeout", socket)
    }

    fn unanswered(&self, message: &str, error: &str, socket: &Socket) -> Reply {
        let size = self.reader.held();
        let mut line = LogLine::new(Level::Error, message).with("err", error).with("size", size);
        if let Some(peer) = socket.peer() {
            line = line.with("dest", peer.to_string());
        }
        self.log(line.with("url", self.destination.target.url.as_str()));
        Reply::socket_error(size as u64)
    }

    /// A redirect that cannot be followed.
    fn lost(&self, error: &dyn std::fmt::Display) -> Reply {
        let line = LogLine::new(Level::Error, "Unable to follow the redirect").with("err", error.to_string());
        self.log(line.with("url", self.destination.target.url.as_str()));
        Reply::socket_error(0)
    }

    fn log(&self, line: LogLine) {
        self.observer.log(line.with("thread", self.id).with("run", self.destination.run_id));
    }
}

/// Sends the request and reads the answer.
async fn converse(
    reader: &mut Reader,
    socket: &mut Socket,
    request: &Request,
    http: &HttpOptions,
    extent: Extent,
    receiver: Option<&mut dyn Receiver>,
) -> Result<Answer, Failure> {
    // An error in sending is not the end: a server may answer before it has read everything.
    let mut sent = socket.write_all(&request.text.bytes).await;
    if sent.is_ok() {
        // What TLS has taken may not have left yet; to a plain socket this is nothing.
        sent = socket.flush().await;
    }
    if http.half_close && !http.keeps_connections() && sent.is_ok() {
        socket.shutdown().await?;
    }
    reader.answer(socket, request.method, extent, receiver).await
}

/// A connection's socket-time histogram uses the run's resolution.
pub(crate) fn connecting_histogram(offset: Duration, resolution: f64) -> Histogram {
    Histogram::new(offset.as_secs_f64(), resolution)
}
