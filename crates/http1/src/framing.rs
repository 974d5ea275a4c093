//! The rules of RFC 9112 section 6 and RFC 9110 section 7.6.1 that requests and responses share: one pass
//! over the fields collects what decides framing and persistence; what is ambiguous is an error, never a
//! guess.
//!
//! RFC 9112 section 6.3 lets a recipient accept a `Content-Length` repeated with equal values. We never do:
//! to a peer that takes the first, the last or the list, the message would be another one.

use crate::error::HeadError;
use crate::fields::{Headers, check_line_ending};
use crate::limits::MAX_CONNECTION_OPTIONS;
use crate::message::{BodyFraming, Version};
use crate::name::{HeaderName, is_token_byte, same_token};

/// Largest length in use: implementations with signed 64-bit numbers disagree above.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// What the `Transfer-Encoding` fields of a head say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Coding {
    #[default]
    None,
    Chunked,
    /// Some coding that is not `chunked`, which may still follow.
    Unsupported,
    /// Other codings, then `chunked`: well-formed, and not ours to decode.
    UnsupportedChunked,
    Invalid,
}

/// What one pass over the fields found.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each from another option or field")]
pub(crate) struct Facts {
    content_length: Option<u64>,
    coding: Coding,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade_option: bool,
    /// `Connection` names other fields.
    nominates: bool,
    options: usize,
    /// Position of the first `Upgrade` field.
    pub(crate) upgrade: Option<u32>,
    pub(crate) upgrades: u32,
    pub(crate) http2_settings_option: bool,
    /// Position of the first `HTTP2-Settings` field.
    pub(crate) http2_settings: Option<u32>,
    pub(crate) http2_settings_fields: u32,
    pub(crate) host: Option<u32>,
    pub(crate) hosts: u32,
    pub(crate) expects: u32,
    pub(crate) expects_continue: bool,
}

impl Facts {
    /// Takes one field into account; `index` is its position in the table.
    #[inline]
    fn observe(&mut self, id: HeaderName, name: &[u8], value: &[u8], index: u32) -> Result<(), HeadError> {
        match id {
            HeaderName::Other => refuse_lookalike(name)?,
            HeaderName::ContentLength => {
                let length = content_length(value)?;
                if self.content_length.replace(length).is_some() {
                    return Err(HeadError::RepeatedContentLength);
                }
            }
            HeaderName::TransferEncoding => self.add_codings(value),
            HeaderName::Connection => self.add_connection_options(value)?,
            HeaderName::Host => {
                self.hosts += 1;
                self.host = self.host.or(Some(index));
            }
            HeaderName::Upgrade => {
                self.upgrades += 1;
                self.upgrade = self.upgrade.or(Some(index));
            }
            HeaderName::Http2Settings => {
                self.http2_settings_fields += 1;
                self.http2_settings = self.http2_settings.or(Some(index));
            }
            HeaderName::Expect => {
                self.expects += 1;
                self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            _ => {}
        }
        Ok(())
    }

    fn add_codings(&mut self, value: &[u8]) {
        // Empty elements are legal in lists; here they are a known way to make two parsers differ, and
        // nothing sends them.
        for coding in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            let chunked = coding.eq_ignore_ascii_case(b"chunked");
            let named = coding.split(|b| *b == b';').next().unwrap_or_default();
            let well_formed = !named.is_empty() && named.trim_ascii_end().iter().all(|b| is_token_byte(*b));
            let repeated = !chunked && named.trim_ascii_end().eq_ignore_ascii_case(b"chunked");
            self.coding = match (self.coding, chunked) {
                _ if !well_formed || repeated => Coding::Invalid,
                (Coding::None, true) => Coding::Chunked,
                (Coding::Unsupported, true) => Coding::UnsupportedChunked,
                (Coding::None | Coding::Unsupported, false) => Coding::Unsupported,
                // Something after `chunked`: twice, or not last.
                _ => Coding::Invalid,
            };
        }
    }

    fn add_connection_options(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in list(value) {
            self.options += 1;
            if self.options > MAX_CONNECTION_OPTIONS || !option.iter().all(|b| is_token_byte(*b)) {
                return Err(HeadError::Connection);
            }
            if same_token(option, b"close") {
                self.close = true;
            } else if same_token(option, b"keep-alive") {
                self.keep_alive = true;
            } else if same_token(option, b"upgrade") {
                self.upgrade_option = true;
            } else if same_token(option, b"http2-settings") {
                self.http2_settings_option = true;
            } else {
                self.nominates = true;
            }
        }
        Ok(())
    }

    /// The length or chunking that the fields announce, `None` where they announce nothing (RFC 9112 section
    /// 6.3).
    pub(crate) fn announced(&self, version: Version) -> Result<Option<BodyFraming>, HeadError> {
        if self.coding == Coding::None {
            return Ok(self.content_length.map(BodyFraming::Length));
        }
        if version == Version::Http10 {
            return Err(HeadError::EncodingInHttp10);
        }
        if self.content_length.is_some() {
            return Err(HeadError::LengthAndEncoding);
        }
        match self.coding {
            Coding::Chunked => Ok(Some(BodyFraming::Chunked)),
            Coding::UnsupportedChunked => Err(HeadError::UnsupportedCoding),
            Coding::None | Coding::Unsupported | Coding::Invalid => Err(HeadError::TransferEncoding),
        }
    }

    /// Whether the connection outlives the message as far as its sender says (RFC 9112 section 9.3).
    ///
    /// HTTP/1.0 with `keep-alive` persists: towards its clients a gateway is an origin server (RFC 9110
    /// section 3.7), and hop-by-hop fields are never forwarded, which is what the rule against proxies doing
    /// so is about.
    pub(crate) const fn persists(&self, version: Version) -> bool {
        match version {
            _ if self.close => false,
            Version::Http11 => true,
            Version::Http10 => self.keep_alive,
        }
    }
}

/// Fills the table from what httparse found, one pass, and marks the fields that `Connection` nominates.
pub(crate) fn collect(
    head: &[u8],
    parsed: &[httparse::Header<'_>],
    headers: &mut Headers,
) -> Result<Facts, HeadError> {
    let mut facts = Facts::default();
    headers.clear_for(parsed.len());
    for (field, index) in parsed.iter().zip(0..) {
        let name = field.name.as_bytes();
        check_line_ending(head, name)?;
        let id = HeaderName::of(name);
        headers.push(head, name, field.value, id);
        facts.observe(id, name, field.value, index)?;
    }
    if facts.nominates {
        mark_nominated(head, parsed, headers)?;
    }
    Ok(facts)
}

/// RFC 9110 section 7.6.1: drop what `Connection` names, unless doing so would change the framing or hide the
/// sender.
fn mark_nominated(
    head: &[u8],
    parsed: &[httparse::Header<'_>],
    headers: &mut Headers,
) -> Result<(), HeadError> {
    for field in parsed.iter().filter(|field| same_token(field.name.as_bytes(), b"connection")) {
        for option in list(field.value) {
            match HeaderName::of(option) {
                HeaderName::Host | HeaderName::ContentLength => return Err(HeadError::Connection),
                id if id.is_protected() || id.is_hop_by_hop() => {}
                _ => headers.drop_named(head, option),
            }
        }
    }
    Ok(())
}

/// The elements of a comma-separated list; empty ones are skipped (RFC 9110 section 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// `1*DIGIT`, nothing else (RFC 9110 section 8.6).
fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.contains(&b',') {
        return Err(HeadError::RepeatedContentLength);
    }
    if value.is_empty() || value.len() > 19 {
        return Err(HeadError::ContentLength);
    }
    let mut length = 0_u64;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(HeadError::ContentLength);
        }
        // At most 19 digits: below 10^19, which a u64 holds.
        length = length * 10 + u64::from(byte - b'0');
    }
    if length > MAX_LENGTH { Err(HeadError::ContentLength) } else { Ok(length) }
}

/// Servers that see headers as environment variables (CGI, WSGI) take `_` for `-`: to them these names frame
/// the body.
#[inline]
fn refuse_lookalike(name: &[u8]) -> Result<(), HeadError> {
    let target: &[u8] = match name.len() {
        14 => b"content-length",
        17 => b"transfer-encoding",
        _ => return Ok(()),
    };
    let reads_as = |(byte, wanted): (&u8, &u8)| byte | 0x20 == *wanted || (*byte == b'_' && *wanted == b'-');
    if name.iter().zip(target).all(reads_as) { Err(HeadError::Lookalike) } else { Ok(()) }
}
