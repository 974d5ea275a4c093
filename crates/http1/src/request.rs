//! Request heads: request line, target and host (RFC 9112 section 3), and what the fields decide about
//! framing and the connection. One call of httparse and one pass over the fields; every ambiguity is an
//! error.

use httparse::Status;

use crate::authority::Authority;
use crate::error::HeadError;
use crate::fields::{Fields, Headers, Span, check_last_lines, check_size, room, usable};
use crate::framing::{Facts, collect, list};
use crate::limits::Limits;
use crate::message::{BodyFraming, Method, Version};
use crate::response::Awaiting;
use crate::write::is_token;

/// The four forms of a request target (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path?query` or `https://...`
    Absolute,
    /// `host:port`, for CONNECT alone.
    Authority,
    /// `*`, for OPTIONS alone.
    Asterisk,
}

/// What a request head says, without a borrow: keep it with the bytes and the table, and look at them again
/// through [`RequestHead::restore`].
#[derive(Debug, Clone, Copy)]
pub struct RequestSummary {
    /// The method; its spelling is [`RequestHead::method_bytes`].
    pub method: Method,
    /// The version of the request.
    pub version: Version,
    /// How the body is delimited; never `UntilClose`. A request without `Content-Length` and chunks has none.
    pub framing: BodyFraming,
    /// Whether the client keeps the connection after the answer (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// The client waits for 100 before it sends its body (RFC 9110 section 10.1.1). Never set without a body
    /// or in HTTP/1.0.
    pub expect_continue: bool,
    /// The form of the target.
    pub form: TargetForm,
    method_text: Span,
    target: Span,
    authority: Span,
    path_and_query: Span,
    upgrade: Option<Span>,
    h2c: Option<Span>,
}

/// A request head: a view of the bytes and the table it was parsed with.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    bytes: &'a [u8],
    headers: &'a Headers,
    summary: RequestSummary,
}

/// Parses one request head: exactly the bytes that [`HeadScanner::scan`](crate::HeadScanner::scan) delimited.
/// `headers` is overwritten and serves as the storage of the fields.
pub fn parse_request<'a>(
    head: &'a [u8],
    headers: &'a mut Headers,
    limits: &Limits,
) -> Result<RequestHead<'a>, HeadError> {
    check_size(head, limits)?;
    // RFC 9112 section 2.2: one empty line before the request line is ignored, as some old clients sent it
    // after a body.
    let start = if head.starts_with(b"\r\n") { 2 } else { 0 };
    let text = &head[start..];
    if matches!(text, [b'\r' | b'\n', ..]) {
        return Err(HeadError::LineEnding);
    }
    let mut storage = room();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(text, usable(&mut storage, limits)) {
        Ok(Status::Complete(length)) if length == text.len() => {}
        Ok(_) => return Err(HeadError::LineEnding),
        Err(error) => return Err(fault(error, text)),
    }
    check_last_lines(text)?;
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(HeadError::Method);
    };
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let facts = collect(head, request.headers, headers)?;
    let value = |index: Option<u32>| {
        index.and_then(|at| request.headers.get(at as usize)).map_or(&[][..], |field| field.value)
    };
    let method_text = method.as_bytes();
    let method = Method::of(method_text);
    let target = Target::parse(target.as_bytes(), method)?;
    let host = value(facts.host);
    let authority = target.agree_with_host(&facts, host, version)?;
    let framing = request_framing(&facts, method, version)?;
    let summary = RequestSummary {
        method,
        version,
        framing,
        keep_alive: facts.persists(version),
        expect_continue: expect_continue(&facts, version)? && !framing.is_empty(),
        form: target.form,
        method_text: Span::of(method_text, head),
        target: Span::of(target.text, head),
        authority: authority.map_or_else(Span::default, |authority| Span::of(authority, head)),
        path_and_query: Span::of(target.path_and_query, head),
        upgrade: upgrade(&facts, value(facts.upgrade), version).map(|protocol| Span::of(protocol, head)),
        h2c: h2c(&facts, value(facts.upgrade), value(facts.http2_settings), version)
            .map(|settings| Span::of(settings, head)),
    };
    Ok(RequestHead { bytes: head, headers, summary })
}

/// A target in one of its forms.
struct Target<'a> {
    text: &'a [u8],
    form: TargetForm,
    authority: &'a [u8],
    path_and_query: &'a [u8],
    default_port: Option<u16>,
}

impl<'a> Target<'a> {
    fn parse(text: &'a [u8], method: Method) -> Result<Self, HeadError> {
        // No form has a fragment (RFC 9112 section 3.2), and URIs are ASCII (RFC 3986 section 2).
        if !text.is_ascii() || memchr::memchr(b'#', text).is_some() {
            return Err(HeadError::Target);
        }
        let origin =
            |form, path_and_query| Self { text, form, authority: &[], path_and_query, default_port: None };
        match (method, text) {
            (Method::Connect, _) => {
                let authority = Authority::parse(text).ok_or(HeadError::Target)?;
                // RFC 9110 section 9.3.6: CONNECT without a port number is invalid.
                authority.port.ok_or(HeadError::Target)?;
                Ok(Self { authority: text, ..origin(TargetForm::Authority, &[][..]) })
            }
            (_, [b'/', ..]) => Ok(origin(TargetForm::Origin, text)),
            (Method::Options, b"*") => Ok(origin(TargetForm::Asterisk, text)),
            _ => Self::absolute(text),
        }
    }

    fn absolute(text: &'a [u8]) -> Result<Self, HeadError> {
        let scheme_end = memchr::memmem::find(text, b"://").ok_or(HeadError::Target)?;
        let default_port = match &text[..scheme_end] {
            scheme if scheme.eq_ignore_ascii_case(b"http") => 80,
            scheme if scheme.eq_ignore_ascii_case(b"https") => 443,
            _ => return Err(HeadError::Target),
        };
        let rest = &text[scheme_end + 3..];
        let path_start = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(path_start);
        Authority::parse(authority).ok_or(HeadError::TargetHost)?;
        Ok(Self {
            text,
            form: TargetForm::Absolute,
            authority,
            path_and_query,
            default_port: Some(default_port),
        })
    }

    /// The authority that the request is for (RFC 9112 sections 3.2 and 3.3). The RFC has a proxy prefer the
    /// target to a `Host` that differs; servers behind it may not, so that a difference is refused.
    fn agree_with_host(
        &self,
        facts: &Facts,
        host: &'a [u8],
        version: Version,
    ) -> Result<Option<&'a [u8]>, HeadError> {
        match facts.hosts {
            0 if version == Version::Http11 => return Err(HeadError::MissingHost),
            0 => return Ok((!self.authority.is_empty()).then_some(self.authority)),
            1 => {}
            _ => return Err(HeadError::RepeatedHost),
        }
        let named = Authority::parse(host).ok_or(HeadError::InvalidHost)?;
        if self.authority.is_empty() {
            return Ok(Some(host));
        }
        let target = Authority::parse(self.authority).ok_or(HeadError::TargetHost)?;
        if target.is_same(&named, self.default_port) {
            Ok(Some(self.authority))
        } else {
            Err(HeadError::HostMismatch)
        }
    }
}

fn request_framing(facts: &Facts, method: Method, version: Version) -> Result<BodyFraming, HeadError> {
    // RFC 9112 section 6.3: a request that announces no body has none.
    let framing = facts.announced(version)?.unwrap_or(BodyFraming::None);
    if method == Method::Connect && !framing.is_empty() {
        return Err(HeadError::BodyNotAllowed);
    }
    Ok(framing)
}

fn expect_continue(facts: &Facts, version: Version) -> Result<bool, HeadError> {
    match facts.expects {
        0 => Ok(false),
        // RFC 9110 section 10.1.1: ignored in HTTP/1.0.
        _ if version == Version::Http10 => Ok(false),
        1 if facts.expects_continue => Ok(true),
        _ => Err(HeadError::Expectation),
    }
}

/// What the client offers to switch to, if it asks properly (RFC 9110 section 7.8) and it is not h2c: behind
/// a proxy that passes an h2c upgrade on, requests run past its limits and rules. What is not offered is
/// dropped as hop-by-hop.
fn upgrade<'a>(facts: &Facts, protocols: &'a [u8], version: Version) -> Option<&'a [u8]> {
    let asked = facts.upgrade_option && facts.upgrades == 1 && version == Version::Http11;
    let h2c = |protocol: &[u8]| protocol.len() >= 3 && protocol[..3].eq_ignore_ascii_case(b"h2c");
    (asked && !protocols.is_empty() && !list(protocols).any(h2c)).then_some(protocols)
}

/// The settings of a client that asks properly to go on in HTTP/2 (RFC 7540 section 3.2). Both options are asked for: a proxy
/// in between that copies fields of which it knows nothing copies `Connection` with one of them, or none.
fn h2c<'a>(facts: &Facts, protocols: &[u8], settings: &'a [u8], version: Version) -> Option<&'a [u8]> {
    let asked = facts.upgrade_option && facts.upgrades == 1 && version == Version::Http11;
    let settled = facts.http2_settings_option && facts.http2_settings_fields == 1;
    (asked && settled && list(protocols).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c")))
        .then_some(settings)
}

/// Names what httparse found wrong.
#[cold]
fn fault(error: httparse::Error, text: &[u8]) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::FieldName,
        httparse::Error::HeaderValue => HeadError::FieldValue,
        httparse::Error::NewLine => HeadError::LineEnding,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => version_fault(text),
        httparse::Error::Token | httparse::Error::Status => {
            let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
            // The method is the first word; what follows its space is the target, and then there is a version.
            match memchr::memchr(b' ', line) {
                Some(end) if !is_token(&line[..end]) => HeadError::Method,
                Some(end) if !line[end + 1..].contains(&b' ') => HeadError::Version,
                Some(_) => HeadError::Target,
                None => HeadError::Method,
            }
        }
    }
}

/// 505 for a version that exists or may exist, 400 for anything else in its place (RFC 9112 section 2.3).
fn version_fault(text: &[u8]) -> HeadError {
    if text.starts_with(b"PRI * HTTP/2.0\r\n") {
        return HeadError::Http2Preface;
    }
    let line = text.split(|b| *b == b'\r').next().unwrap_or_default();
    match line.rsplit(|b| *b == b' ').next() {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit()
                && minor.is_ascii_digit()
                && line.split(|b| *b == b' ').count() == 3 =>
        {
            HeadError::UnsupportedVersion
        }
        _ => HeadError::Version,
    }
}

impl<'a> RequestHead<'a> {
    /// The view again, of the same bytes and table that the summary came from. With others every part reads
    /// as something else or empty; nothing panics.
    pub const fn restore(bytes: &'a [u8], headers: &'a Headers, summary: RequestSummary) -> Self {
        Self { bytes, headers, summary }
    }

    /// What the head says, without a borrow.
    pub const fn summary(&self) -> RequestSummary {
        self.summary
    }

    /// The method.
    pub const fn method(&self) -> Method {
        self.summary.method
    }

    /// The method as it was sent.
    pub fn method_bytes(&self) -> &'a [u8] {
        self.summary.method_text.of_bytes(self.bytes)
    }

    /// The version of the request.
    pub const fn version(&self) -> Version {
        self.summary.version
    }

    /// How the body is delimited; never `UntilClose`.
    pub const fn framing(&self) -> BodyFraming {
        self.summary.framing
    }

    /// Whether the client keeps the connection after the answer.
    pub const fn keep_alive(&self) -> bool {
        self.summary.keep_alive
    }

    /// Whether the client waits for 100 before it sends its body.
    pub const fn expect_continue(&self) -> bool {
        self.summary.expect_continue
    }

    /// The target as it was sent.
    pub fn target(&self) -> &'a [u8] {
        self.summary.target.of_bytes(self.bytes)
    }

    /// The form of the target.
    pub const fn form(&self) -> TargetForm {
        self.summary.form
    }

    /// Host and port that the request is for: from the target if it has them, else from `Host`. `None` only
    /// in HTTP/1.0.
    pub fn authority(&self) -> Option<&'a [u8]> {
        let authority = self.summary.authority.of_bytes(self.bytes);
        (!authority.is_empty()).then_some(authority)
    }

    /// The path without its query: `/` where an absolute target has none, `*` in asterisk-form, empty for
    /// CONNECT.
    pub fn path(&self) -> &'a [u8] {
        let whole = self.summary.path_and_query.of_bytes(self.bytes);
        let path = memchr::memchr(b'?', whole).map_or(whole, |end| &whole[..end]);
        match self.summary.form {
            TargetForm::Absolute if path.is_empty() => b"/",
            _ => path,
        }
    }

    /// What follows the first `?` of the target.
    pub fn query(&self) -> Option<&'a [u8]> {
        let whole = self.summary.path_and_query.of_bytes(self.bytes);
        memchr::memchr(b'?', whole).map(|end| &whole[end + 1..])
    }

    /// Appends the target as an origin server expects it (RFC 9112 section 3.2.1): path and query, `*` for an
    /// OPTIONS of the whole server, `host:port` for CONNECT.
    pub fn write_origin_target(&self, out: &mut Vec<u8>) {
        let path_and_query = self.summary.path_and_query.of_bytes(self.bytes);
        match self.summary.form {
            TargetForm::Origin | TargetForm::Authority | TargetForm::Asterisk => {
                out.extend_from_slice(self.target());
            }
            // RFC 9112 section 3.2.4: OPTIONS of an absolute target without path and query asks about the
            // server.
            TargetForm::Absolute if path_and_query.is_empty() && self.summary.method == Method::Options => {
                out.push(b'*');
            }
            TargetForm::Absolute => {
                if path_and_query.first() != Some(&b'/') {
                    out.push(b'/');
                }
                out.extend_from_slice(path_and_query);
            }
        }
    }

    /// The protocols that the client offers to switch to, as in its `Upgrade` field; `None` unless it asks
    /// properly, and never for h2c. The proxy that passes the offer on sends `connection: upgrade` and this
    /// value.
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        self.summary.upgrade.map(|protocols| protocols.of_bytes(self.bytes))
    }

    /// The value of `HTTP2-Settings`, if the client asks properly to go on in HTTP/2 (RFC 7540 section 3.2). For
    /// who serves this connection: it is never passed on.
    pub fn h2c(&self) -> Option<&'a [u8]> {
        self.summary.h2c.map(|settings| settings.of_bytes(self.bytes))
    }

    /// The fields in order.
    pub fn fields(&self) -> Fields<'a> {
        self.headers.iter(self.bytes)
    }

    /// The first field that is `id`.
    pub fn field(&self, id: crate::HeaderName) -> Option<&'a [u8]> {
        self.fields().find(|field| field.id == id).map(|field| field.value)
    }

    /// What has to be known to parse the answer.
    pub const fn awaiting(&self) -> Awaiting {
        Awaiting { method: self.summary.method, upgrade: self.summary.upgrade.is_some() }
    }
}
