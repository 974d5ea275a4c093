//! Response heads: status line (RFC 9112 section 4) and what the fields decide about the body and the
//! connection, given what was asked. An upstream is a peer like any other: the same strictness as for
//! requests.

use httparse::Status;

use crate::error::HeadError;
use crate::fields::{Fields, Headers, Span, check_last_lines, check_size, room, usable};
use crate::framing::{Facts, collect};
use crate::limits::Limits;
use crate::message::{BodyFraming, Method, Version};

/// What was asked, as far as the answer's framing depends on it (RFC 9112 section 6.3). Describes the request
/// as it was *sent*: without `upgrade` if the offer was not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaiting {
    /// The method of the request.
    pub method: Method,
    /// The request offered to switch protocols.
    pub upgrade: bool,
}

impl Awaiting {
    /// The answer to a plain request.
    pub const fn to(method: Method) -> Self {
        Self { method, upgrade: false }
    }
}

/// What a response head says, without a borrow; see [`ResponseHead::restore`].
#[derive(Debug, Clone, Copy)]
pub struct ResponseSummary {
    /// 100 to 999.
    pub status: u16,
    /// The version of the response.
    pub version: Version,
    /// How the body is delimited.
    pub framing: BodyFraming,
    /// Whether the connection may carry another request once this message is complete. Never with
    /// `UntilClose`, nor after a switch of protocols.
    pub keep_alive: bool,
    /// The sender says that it closes, by a field or by its version; an answer that ends with its connection need not.
    pub says_close: bool,
    /// What follows the head is no longer HTTP/1: 101, or a 2xx to CONNECT.
    pub tunnel: bool,
    reason: Span,
}

/// A response head: a view of the bytes and the table it was parsed with.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    bytes: &'a [u8],
    headers: &'a Headers,
    summary: ResponseSummary,
}

/// Parses one response head: exactly the bytes that [`HeadScanner::scan`](crate::HeadScanner::scan)
/// delimited. `headers` is overwritten and serves as the storage of the fields.
///
/// After an interim response ([`ResponseHead::is_interim`]) another head follows at once.
pub fn parse_response<'a>(
    head: &'a [u8],
    headers: &'a mut Headers,
    limits: &Limits,
    awaiting: Awaiting,
) -> Result<ResponseHead<'a>, HeadError> {
    check_size(head, limits)?;
    if matches!(head, [b'\r' | b'\n', ..]) {
        return Err(HeadError::LineEnding);
    }
    let mut storage = room();
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, head, usable(&mut storage, limits)) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(HeadError::LineEnding),
        Err(error) => return Err(fault(error, head)),
    }
    check_last_lines(head)?;
    let (Some(minor), Some(status)) = (response.version, response.code) else {
        return Err(HeadError::StatusLine);
    };
    if status < 100 {
        return Err(HeadError::StatusLine);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let facts = collect(head, response.headers, headers)?;
    let tunnel = switches(&facts, status, version, awaiting)?;
    let framing = response_framing(&facts, status, version, awaiting.method)?;
    let says_close = !facts.persists(version);
    let summary = ResponseSummary {
        status,
        version,
        framing,
        says_close,
        keep_alive: !says_close && framing != BodyFraming::UntilClose && !tunnel,
        tunnel,
        reason: Span::of(reason(head), head),
    };
    Ok(ResponseHead { bytes: head, headers, summary })
}

/// The reason phrase: what follows `HTTP/1.1 200 `. Not taken from httparse, which empties it where it is not
/// ASCII.
fn reason(head: &[u8]) -> &[u8] {
    let line_end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    head.get(13..line_end).unwrap_or_default()
}

/// Whether the connection stops being HTTP/1 after this head.
fn switches(facts: &Facts, status: u16, version: Version, awaiting: Awaiting) -> Result<bool, HeadError> {
    if status == 101 {
        // RFC 9110 section 15.2.2: only when asked for, and naming the protocol.
        let valid =
            awaiting.upgrade && facts.upgrades == 1 && facts.upgrade_option && version == Version::Http11;
        return if valid { Ok(true) } else { Err(HeadError::UnexpectedUpgrade) };
    }
    Ok(awaiting.method == Method::Connect && (200..300).contains(&status))
}

/// RFC 9112 section 6.3. The fields are judged even where they decide nothing, so that no malformed length is
/// relayed.
fn response_framing(
    facts: &Facts,
    status: u16,
    version: Version,
    method: Method,
) -> Result<BodyFraming, HeadError> {
    let announced = facts.announced(version)?;
    let connected = method == Method::Connect && (200..300).contains(&status);
    if status < 200 || status == 204 || connected {
        // These MUST NOT announce a body; a recipient that believed them would wait for one. Zero does no
        // harm and is common.
        return match announced {
            Some(BodyFraming::Chunked) => Err(HeadError::EncodingNotAllowed),
            Some(BodyFraming::Length(1..)) => Err(HeadError::LengthNotAllowed),
            _ => Ok(BodyFraming::None),
        };
    }
    if method == Method::Head || status == 304 {
        return Ok(BodyFraming::None);
    }
    Ok(announced.unwrap_or(BodyFraming::UntilClose))
}

#[cold]
fn fault(error: httparse::Error, head: &[u8]) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::FieldName,
        httparse::Error::HeaderValue => HeadError::FieldValue,
        httparse::Error::NewLine => HeadError::LineEnding,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => match head {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', ..]
                if major.is_ascii_digit() && minor.is_ascii_digit() && !head.starts_with(b"HTTP/1.") =>
            {
                HeadError::UnsupportedVersion
            }
            _ => HeadError::Version,
        },
        httparse::Error::Token | httparse::Error::Status => HeadError::StatusLine,
    }
}

impl<'a> ResponseHead<'a> {
    /// The view again, of the same bytes and table that the summary came from.
    pub const fn restore(bytes: &'a [u8], headers: &'a Headers, summary: ResponseSummary) -> Self {
        Self { bytes, headers, summary }
    }

    /// What the head says, without a borrow.
    pub const fn summary(&self) -> ResponseSummary {
        self.summary
    }

    /// The status code, 100 to 999.
    pub const fn status(&self) -> u16 {
        self.summary.status
    }

    /// The version of the response.
    pub const fn version(&self) -> Version {
        self.summary.version
    }

    /// The reason phrase as it was sent; may be empty or not ASCII.
    pub fn reason(&self) -> &'a [u8] {
        self.summary.reason.of_bytes(self.bytes)
    }

    /// How the body is delimited.
    pub const fn framing(&self) -> BodyFraming {
        self.summary.framing
    }

    /// Whether the connection may carry another request once this message is complete.
    pub const fn keep_alive(&self) -> bool {
        self.summary.keep_alive
    }

    /// 1xx besides 101: the final response is still to come (RFC 9110 section 15.2).
    pub const fn is_interim(&self) -> bool {
        self.summary.status < 200 && !self.summary.tunnel
    }

    /// What follows the head is no longer HTTP/1: 101, or a 2xx to CONNECT.
    pub const fn is_tunnel(&self) -> bool {
        self.summary.tunnel
    }

    /// The fields in order.
    pub fn fields(&self) -> Fields<'a> {
        self.headers.iter(self.bytes)
    }

    /// The first field that is `id`.
    pub fn field(&self, id: crate::HeaderName) -> Option<&'a [u8]> {
        self.fields().find(|field| field.id == id).map(|field| field.value)
    }
}
