//! Words that requests and responses share: version, method, and how a body is delimited.

/// The version of a message. Others are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// The method of a request, as far as the proxy tells them apart. Methods are case-sensitive (RFC 9110
/// section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token; its spelling is `RequestHead::method_bytes`.
    Other,
}

impl Method {
    /// The method with this spelling.
    #[inline]
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// Safe to send twice as far as the method goes (RFC 9110 section 9.2.2).
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace)
    }
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// Exactly so many bytes; may be 0.
    Length(u64),
    /// Chunks, up to the last one and its trailers.
    Chunked,
    /// All that comes until the connection closes. Responses only.
    UntilClose,
}

impl BodyFraming {
    /// Whether no byte of body follows the head.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 section 9.2.2, RFC 5789 section 2.
    #[test]
    fn methods_are_told_apart_by_their_spelling_and_some_may_be_sent_twice() {
        let cases = [
            ("GET", Method::Get, true),
            ("HEAD", Method::Head, true),
            ("POST", Method::Post, false),
            ("PUT", Method::Put, true),
            ("DELETE", Method::Delete, true),
            ("CONNECT", Method::Connect, false),
            ("OPTIONS", Method::Options, true),
            ("TRACE", Method::Trace, true),
            ("PATCH", Method::Patch, false),
            ("PURGE", Method::Other, false),
            ("get", Method::Other, false),
        ];
        for (spelling, method, idempotent) in cases {
            assert_eq!(Method::of(spelling.as_bytes()), method, "{spelling}");
            assert_eq!(method.is_idempotent(), idempotent, "{spelling}");
        }
    }
}
