//! A connection that goes on in HTTP/2 after an upgrade (RFC 7540 section 3.2), as one that began with it: the request that asked for it
//! is put behind the client's first frame as that of stream 1. What cannot be put there as it is, is not taken: whoever offers an
//! upgrade can do without.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fuseboard_core::tcp::HTTP2_PREFACE;
use fuseboard_http1::{HeaderName, Method, RequestHead};
use http::uri::{Authority, PathAndQuery};

/// Of a frame's head: length, kind, flags, stream.
const FRAME_HEAD: usize = 9;

/// The largest payload that every peer takes (RFC 9113 section 4.2).
const MAX_PAYLOAD: usize = 16 * 1024;

/// Of one setting: name, value.
const SETTING: usize = 6;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// An upgrade that can be taken.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// What `HTTP2-Settings` says, as the payload of a frame.
    settings: Vec<u8>,
    /// The request, as one frame.
    request: Vec<u8>,
}

/// What the client's first bytes after our 101 come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Not all of its first frame is there.
    NotYet,
    /// It is not HTTP/2.
    Broken,
    /// What a client with prior knowledge would have sent to say the same.
    With(Vec<u8>),
}

impl Upgrade {
    /// `None`: the client does not ask for it, or its request cannot be taken along. One with a body cannot, as all of that would
    /// have to be kept.
    pub(crate) fn asked_by(head: &RequestHead<'_>) -> Option<Self> {
        let settings = URL_SAFE_NO_PAD.decode(head.h2c()?).ok()?;
        let alone = head.framing().is_empty() && head.keep_alive() && head.method() != Method::Connect;
        if !alone || settings.len() % SETTING != 0 || settings.len() > MAX_PAYLOAD {
            return None;
        }
        let mut path = Vec::new();
        head.write_origin_target(&mut path);
        let authority = head.authority()?;
        // What HTTP/2 would not take is served as it came.
        PathAndQuery::try_from(&path[..]).ok()?;
        Authority::try_from(authority).ok()?;
        let mut fields = Vec::with_capacity(512);
        literal(&mut fields, b":method", head.method_bytes());
        literal(&mut fields, b":scheme", b"http");
        literal(&mut fields, b":authority", authority);
        literal(&mut fields, b":path", &path);
        for field in head.fields().filter(|field| !field.hop_by_hop && field.id != HeaderName::Host) {
            literal(&mut fields, &field.name.to_ascii_lowercase(), field.value);
        }
        let mut request = Vec::with_capacity(FRAME_HEAD + fields.len());
        frame(&mut request, HEADERS, END_STREAM | END_HEADERS, 1, &fields)
            .then_some(Self { settings, request })
    }

    /// The same with what came after our 101. The client's first frame confirms what it said in `HTTP2-Settings`; what it does not
    /// repeat there holds all the same, so that both become one frame, which is acknowledged once.
    pub(crate) fn begin(&self, came: &[u8]) -> Begun {
        let preface = &came[..came.len().min(HTTP2_PREFACE.len())];
        if !HTTP2_PREFACE.starts_with(preface) {
            return Begun::Broken;
        }
        let after = came.get(HTTP2_PREFACE.len()..).unwrap_or_default();
        let Some((head, after)) = after.split_first_chunk::<FRAME_HEAD>() else { return Begun::NotYet };
        let [l0, l1, l2, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        if kind != SETTINGS || flags != 0 || stream != [0; 4] || self.settings.len() + length > MAX_PAYLOAD {
            return Begun::Broken;
        }
        let Some((repeated, rest)) = after.split_at_checked(length) else { return Begun::NotYet };
        let mut all = HTTP2_PREFACE.to_vec();
        frame(&mut all, SETTINGS, 0, 0, &[&self.settings, repeated].concat());
        all.extend_from_slice(&self.request);
        all.extend_from_slice(rest);
        Begun::With(all)
    }
}

/// Writes a frame, unless it would be too large.
fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD) else {
        return false;
    };
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    true
}

/// Writes a field that leaves no trace in the table of the connection (RFC 7541 section 6.2.2).
fn literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    for text in [name, value] {
        length(out, text.len());
        out.extend_from_slice(text);
    }
}

/// Writes the length of a text that is not compressed (RFC 7541 sections 5.1 and 5.2).
fn length(out: &mut Vec<u8>, length: usize) {
    const IN_PREFIX: usize = 0x7f;
    if length < IN_PREFIX {
        out.push(low_bits(length));
        return;
    }
    out.push(low_bits(IN_PREFIX));
    let mut rest = length - IN_PREFIX;
    while rest > IN_PREFIX {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

const fn low_bits(number: usize) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

#[cfg(test)]
mod tests {
    use fuseboard_http1::{Headers, Limits, parse_request};

    use super::*;

    fn of(line: &str, fields: &str) -> Option<Upgrade> {
        let offer = "Host: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n";
        let head = format!("{line} HTTP/1.1\r\n{offer}{fields}\r\n");
        let mut headers = Headers::new();
        Upgrade::asked_by(&parse_request(head.as_bytes(), &mut headers, &Limits::default()).unwrap())
    }

    const STREAMS_100: &str = "HTTP2-Settings: AAMAAABk\r\n";

    #[test]
    fn the_request_becomes_one_frame_without_what_concerns_its_connection() {
        let upgrade = of("GET /a?b", &format!("{STREAMS_100}X-Own: 1\r\nTE: trailers\r\n")).unwrap();
        let fields = b"\0\x07:method\x03GET\0\x07:scheme\x04http\0\x0a:authority\x04shop\0\x05:path\x04/a?b\0\x05x-own\x011";
        let length = u8::try_from(fields.len()).unwrap();
        assert_eq!(upgrade.request, [&[0, 0, length, 1, 5, 0, 0, 0, 1], &fields[..]].concat());
    }

    #[test]
    fn lengths_are_written_as_rfc_7541_has_it() {
        let written = |n| {
            let mut out = Vec::new();
            length(&mut out, n);
            out
        };
        assert_eq!(written(126), [126]);
        assert_eq!(written(127), [127, 0]);
        assert_eq!(written(127 + 127), [127, 127]);
        assert_eq!(written(127 + 128), [127, 0x80, 1]);
        assert_eq!(written(127 + 1337), [127, 0xb9, 10]);
    }

    #[test]
    fn what_cannot_be_taken_along_is_not_taken() {
        let post = |fields: &str| of("POST /", &format!("{STREAMS_100}{fields}"));
        assert!(post("").is_some());
        assert!(post("Content-Length: 0\r\n").is_some());
        assert!(post("Content-Length: 1\r\n").is_none());
        assert!(post("Transfer-Encoding: chunked\r\n").is_none());
        assert!(post("Connection: close\r\n").is_none());
        assert!(of("GET /<", STREAMS_100).is_none(), "no path of HTTP/2");
        assert!(of("OPTIONS *", STREAMS_100).is_some());
        assert!(post(&format!("X: {}\r\n", "x".repeat(16_000))).is_some());
        assert!(post(&format!("X: {}\r\n", "x".repeat(17_000))).is_none(), "more than a frame");
        for broken in ["AAMAAABk=", "AAMAAAB", "AAMA AABk", "AAM+AABk", "%", "AAMAAABkAAMA"] {
            assert!(of("GET /", &format!("HTTP2-Settings: {broken}\r\n")).is_none(), "{broken}");
        }
        assert!(of("GET /", "HTTP2-Settings:\r\n").is_some(), "no settings are settings");
    }

    #[test]
    fn settings_of_both_become_one_frame_and_the_request_follows_it() {
        let upgrade = of("GET /", STREAMS_100).unwrap();
        let first = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x07";
        let came = [HTTP2_PREFACE, &first[..], b"more"].concat();
        for cut in 0..came.len() - 4 {
            assert_eq!(upgrade.begin(&came[..cut]), Begun::NotYet, "{cut}");
        }
        let both = b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\0\x07";
        let expected = [HTTP2_PREFACE, &both[..], &upgrade.request, b"more"].concat();
        assert_eq!(upgrade.begin(&came), Begun::With(expected));
    }

    #[test]
    fn another_beginning_is_broken() {
        let upgrade = of("GET /", STREAMS_100).unwrap();
        assert_eq!(upgrade.begin(b"GET / HTTP/1.1\r\n"), Begun::Broken);
        for first in [b"\0\0\0\x01\x05\0\0\0\x01", b"\0\0\0\x04\x01\0\0\0\0", b"\0\x40\0\x04\0\0\0\0\0"] {
            assert_eq!(upgrade.begin(&[HTTP2_PREFACE, &first[..]].concat()), Begun::Broken);
        }
    }
}
