//! Calls of gRPC (`-grpc`): health checks, or with `-ping` fortio's ping. A call is a stream of HTTP/2 with one message each
//! way; what became of it is a status in the trailers. Connections are those of `http2`.

pub(crate) mod status;

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use fuseboard_grpc::Code;
use fuseboard_grpc::frame::{Encoding, framed, only};
use fuseboard_grpc::message::{HEALTH, HealthCheckRequest, HealthCheckResponse, PING, PingMessage};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::answer::{Receiver, Refusal};
use crate::client::{Destination, Reply};
use crate::connection::{ConnectError, SocketCounts};
use crate::deadline::Deadline;
use crate::event::{Level, LogLine, Observer};
use crate::go;
use crate::histogram::Histogram;
use crate::http2::{self, Broken, Line, MOST_ATTEMPTS, Outgoing, Received, converse};
use crate::options::{GrpcOptions, HttpOptions, Style};
use crate::request::Body;
use crate::target::{Target, TargetError};
use status::Status;

/// The longest message that is taken, as by Go.
const LONGEST: usize = 4 << 20;

/// What all callers of a run send.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    head: http::Request<()>,
    options: GrpcOptions,
    payload: String,
    /// Nanoseconds since 1970.
    begun: i64,
}

impl Call {
    pub(crate) fn new(
        options: &GrpcOptions,
        http: &HttpOptions,
        target: &Target,
        style: Style,
    ) -> Result<Self, TargetError> {
        let path = if options.ping { format!("/{PING}/Ping") } else { format!("/{HEALTH}/Check") };
        let target = Target { path: path.clone(), ..target.clone() };
        let mut http = http.clone();
        http.method = Some("POST".to_owned());
        http.compression = false;
        let mut add = |name: &str, value: &str| http.headers.push((name.to_owned(), value.to_owned()));
        add("te", "trailers");
        add("grpc-accept-encoding", "gzip");
        if options.compression {
            add("grpc-encoding", "gzip");
        }
        http.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        let unsayable = || TargetError::Http2 { what: path.clone() };
        let mut request = http2::Request::with(&http, &target, style, Body::Dropped)?;
        let (mut head, _) = request.next(|| 0).ok_or_else(unsayable)?;
        head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let payload = String::from_utf8_lossy(&http.payload).into_owned();
        let begun = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        Ok(Self { head, options: options.clone(), payload, begun })
    }

    /// The message of one caller, the same in each of its calls.
    fn message(&self, id: usize) -> Bytes {
        let encoding = if self.options.compression { Encoding::Gzip } else { Encoding::Identity };
        if self.options.ping {
            let ping = PingMessage {
                seq: i64::try_from(id).unwrap_or(i64::MAX),
                ts: self.begun,
                payload: self.payload.clone(),
                delay_nanos: i64::try_from(self.options.delay.as_nanos()).unwrap_or(i64::MAX),
            };
            return framed(&ping, encoding).unwrap_or_default();
        }
        let check = HealthCheckRequest { service: self.options.service.clone() };
        // What flags can say is never longer than a message can be.
        framed(&check, encoding).unwrap_or_default()
    }
}

/// What a result says about the kind of run.
pub(crate) fn run_type(options: &GrpcOptions, payload: &[u8]) -> String {
    let mut text = match (options.ping, options.delay.is_zero()) {
        (true, true) => "GRPC Ping".to_owned(),
        (true, false) => format!("GRPC Ping Delay={}", go::duration::format(options.delay)),
        (false, _) => format!("GRPC Health for '{}'", options.service),
    };
    if !payload.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, " PayloadLength={}", payload.len());
    }
    text
}

/// One caller; makes one call at a time.
#[derive(Debug)]
pub(crate) struct Client {
    destination: Arc<Destination>,
    call: Call,
    message: Bytes,
    line: Arc<Line>,
    /// It has no sockets but those it shares.
    own: SocketCounts,
    observer: Observer,
    deadline: Deadline,
}

impl Client {
    /// Within a runtime.
    pub(crate) fn new(
        destination: Arc<Destination>,
        call: Call,
        line: Arc<Line>,
        connecting: Histogram,
        observer: Observer,
        id: usize,
    ) -> Self {
        let message = call.message(id);
        let own = SocketCounts::new(connecting);
        Self { destination, call, message, line, own, observer, deadline: Deadline::new() }
    }

    pub(crate) fn into_sockets(self) -> SocketCounts {
        self.own
    }

    pub(crate) async fn call(&mut self) -> Reply {
        self.deadline.set(Instant::now() + self.destination.http.timeout);
        let mut refusal = Refusal::default();
        let outcome = self.ask(&mut refusal).await;
        let (code, bytes) = outcome.unwrap_or_else(|status| {
            let message = format!("Error making grpc call: {status}");
            self.observer.log(LogLine::new(Level::Warning, message));
            (status.counted(), 0)
        });
        Reply { code, bytes, head_bytes: 0, refusal }
    }

    /// The code, and the bytes of the answer.
    async fn ask(&mut self, refusal: &mut Refusal) -> Result<(i32, u64), Status> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let lease = self.line.lease(&mut self.deadline).await.map_err(|error| unconnected(&error))?;
            let mut answer = Collected::default();
            let (head, message) = (self.call.head.clone(), Outgoing::Whole(self.message.clone()));
            let talk = converse(lease.sender.clone(), head, message, Some(&mut answer));
            match self.deadline.bound(talk).await {
                Some(Ok(came)) => {
                    *refusal = Refusal::of_fields(&came.fields);
                    return self.judged(&came, &answer);
                }
                Some(Err(broken)) => {
                    if broken.ends_the_connection() {
                        self.line.forget(&lease);
                    }
                    // Silently again: a server may close a connection at any time, and has not begun with this.
                    if attempts == MOST_ATTEMPTS || !(lease.reused && broken.unprocessed) {
                        return Err(broken_off(&broken));
                    }
                }
                None => return Err(Status::of(Code::DeadlineExceeded, "context deadline exceeded")),
            }
        }
    }

    fn judged(&self, came: &Received, answer: &Collected) -> Result<(i32, u64), Status> {
        // An answer without a message has its status in its only head.
        let said = came.trailers.as_ref().and_then(said_in).or_else(|| said_in(&came.fields));
        let Some(said) = said else {
            let ended = "server closed the stream without sending trailers";
            return Err(if came.status == 200 {
                Status::of(Code::Internal, ended)
            } else {
                Status::of_http(came.status)
            });
        };
        if said.code != 0 {
            return Err(said);
        }
        if answer.too_long {
            return Err(Status::of(Code::ResourceExhausted, "received message larger than max"));
        }
        let code = if self.call.options.ping {
            only::<PingMessage>(&answer.bytes, Encoding::Gzip, LONGEST).map(|_| status::SERVING)?
        } else {
            let health: HealthCheckResponse = only(&answer.bytes, Encoding::Gzip, LONGEST)?;
            status::of_health(health.status)
        };
        Ok((code, came.body_bytes))
    }
}

/// The message of an answer, as far as it is not too long.
#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Receiver for Collected {
    fn head(&mut self, _: u16, _: &[u8]) {}

    fn body(&mut self, bytes: &[u8]) {
        self.too_long |= self.bytes.len() + bytes.len() > LONGEST;
        if !self.too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

/// `grpc-status` and `grpc-message`, if they are there.
fn said_in(fields: &HeaderMap) -> Option<Status> {
    let text = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().unwrap_or(-1);
    let message = fuseboard_grpc::decoded(text("grpc-message").unwrap_or_default().as_bytes());
    Some(Status::new(code, message))
}

fn unconnected(error: &ConnectError) -> Status {
    let words = error.words();
    let message = match error {
        ConnectError::Waited { .. } => {
            return Status::of(Code::DeadlineExceeded, "context deadline exceeded");
        }
        ConnectError::Handshake { .. } => {
            format!("connection error: desc = \"transport: authentication handshake failed: {words}\"")
        }
        _ => format!("connection error: desc = \"transport: Error while dialing: {words}\""),
    };
    Status::of(Code::Unavailable, message)
}

/// The protocol's table for streams that are reset.
fn broken_off(broken: &Broken) -> Status {
    let words = http2::words(&broken.error);
    if !broken.error.is_reset() {
        return Status::of(Code::Unavailable, format!("error reading from server: {words}"));
    }
    let code = match broken.error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(h2::Reason::CANCEL) => Code::Cancelled,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(h2::Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        _ => Code::Internal,
    };
    Status::of(code, format!("stream terminated: {words}"))
}
