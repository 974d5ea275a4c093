//! Reads one answer from a socket: interim heads, the head, the body in whatever framing. What an answer means for the
//! call and for the socket is the `client`'s.

use std::io;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_http1::{
    Awaiting, BodyDecoder, HeadScanner, HeaderName, Headers, Limits, Method, ResponseHead, parse_response,
};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::grpc::status;
use crate::security;

/// Takes an answer as it comes.
pub trait Receiver: Send {
    /// The head, from the status line to the empty line.
    fn head(&mut self, status: u16, head: &[u8]);
    /// A piece of the body, without its framing.
    fn body(&mut self, bytes: &[u8]);
}

/// How much of an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it if its status is OK, else what came with the status line: fortio's fast client.
    WhileOk,
    /// All of it.
    Whole,
}

/// 2xx, the teapot, and a service of gRPC that is fine.
pub(crate) fn is_ok(code: i32) -> bool {
    (200..300).contains(&code) || code == 418 || code == status::SERVING
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
    /// As [`Refusal::of`], of an answer in HTTP/2.
    pub(crate) fn of_fields(fields: &http::HeaderMap) -> Self {
        let text = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
        Self {
            reason: text("x-fuseboard-refused").and_then(RefusalReason::from_token),
            overloaded: text("x-envoy-overloaded") == Some("true"),
        }
    }

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

/// What came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The answer was written in HTTP/1.0.
    pub(crate) is_http10: bool,
    pub(crate) head_bytes: u64,
    /// Bytes behind the head, as they stood on the wire.
    pub(crate) body_bytes: u64,
    /// The socket can be used again: the answer was read to its end, nothing followed it, and both sides keep it open.
    pub(crate) may_keep: bool,
    /// Where a redirect leads.
    pub(crate) location: Option<String>,
    /// Why a proxy answered in place of the upstream, when it said so.
    pub(crate) refusal: Refusal,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing came on a socket used before: the server had closed it.
    Stale(String),
    Broken(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(security::words(&error).unwrap_or_else(|| error.to_string()))
    }
}

/// Buffers of one connection.
#[derive(Debug)]
pub(crate) struct Reader {
    scanner: HeadScanner,
    headers: Headers,
    buffer: Vec<u8>,
    read_size: usize,
}

impl Reader {
    /// Reads up to `read_size` bytes at once.
    pub(crate) fn new(read_size: usize) -> Self {
        let scanner = HeadScanner::for_responses(Limits::default());
        Self { scanner, headers: Headers::new(), buffer: Vec::with_capacity(read_size), read_size }
    }

    /// Bytes that came before it went wrong.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets what came before, so that [`Reader::held`] speaks of the call that begins.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// Reads the answer to a request of this method.
    pub(crate) async fn answer(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        method: Method,
        extent: Extent,
        mut receiver: Option<&mut dyn Receiver>,
    ) -> Result<Answer, Failure> {
        let head_end = self.head(socket).await?;
        let head = &self.buffer[..head_end];
        let parsed = parse_response(head, &mut self.headers, &Limits::default(), Awaiting::to(method))
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let status = parsed.status();
        let (keep_alive, framing) = (parsed.keep_alive(), parsed.framing());
        let location = parsed
            .fields()
            .filter(|_| (300..400).contains(&status))
            .find(|field| field.name.eq_ignore_ascii_case(b"location"))
            .map(|field| String::from_utf8_lossy(field.value).into_owned());
        let mut answer = Answer {
            status,
            is_http10: head.starts_with(b"HTTP/1.0"),
            head_bytes: head_end as u64,
            body_bytes: (self.buffer.len() - head_end) as u64,
            may_keep: false,
            location,
            refusal: if is_ok(status.into()) { Refusal::default() } else { Refusal::of(&parsed) },
        };
        if let Some(receiver) = receiver.as_deref_mut() {
            receiver.head(status, head);
        }
        if extent == Extent::Whole || is_ok(status.into()) {
            let body = BodyDecoder::new(framing, Limits::default());
            let (bytes, clean) = self.body(socket, head_end, body, receiver).await?;
            (answer.body_bytes, answer.may_keep) = (bytes, keep_alive && clean);
        }
        Ok(answer)
    }

    /// Reads until the head of the final answer stands at the front of the buffer, and returns its length.
    async fn head(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> Result<usize, Failure> {
        self.buffer.clear();
        self.scanner.reset();
        loop {
            let count = match socket.read_buf(&mut self.buffer).await {
                Ok(count) => count,
                Err(error) if self.buffer.is_empty() => {
                    return Err(security::words(&error).map_or_else(stale, Failure::Stale));
                }
                Err(error) => return Err(error.into()),
            };
            if count == 0 {
                return Err(if self.buffer.is_empty() { stale() } else { truncated() });
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
    async fn body(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        head_end: usize,
        mut body: BodyDecoder,
        mut receiver: Option<&mut dyn Receiver>,
    ) -> Result<(u64, bool), Failure> {
        let mut start = head_end;
        let mut bytes = 0;
        loop {
            while !body.is_complete() && start < self.buffer.len() {
                let input = &self.buffer[start..];
                let decoded = body.decode(input).map_err(|error| Failure::Broken(error.to_string()))?;
                if let Some(receiver) = receiver.as_deref_mut() {
                    receiver.body(&input[decoded.content]);
                }
                start += decoded.consumed;
                bytes += decoded.consumed as u64;
            }
            if body.is_complete() {
                return Ok((bytes, start == self.buffer.len()));
            }
            self.buffer.clear();
            self.buffer.shrink_to(self.read_size);
            start = 0;
            if socket.read_buf(&mut self.buffer).await? == 0 {
                body.on_close().map_err(|_| truncated())?;
            }
        }
    }
}

/// 100 to 199, except 101 which nobody asked for and which the parser refuses.
fn is_interim(head: &[u8]) -> bool {
    matches!(head.get(9..12), Some([b'1', rest @ ..]) if rest != b"01")
}

fn stale() -> Failure {
    Failure::Stale("EOF before any answer".to_owned())
}

fn truncated() -> Failure {
    Failure::Broken("unexpected EOF".to_owned())
}
