//! What can be wrong with a message, and what each fault is called: the status to answer with and Envoy's
//! response-code detail. Whether the fault is the client's (400) or the upstream's (502) is the caller's to
//! know.

use thiserror::Error;

/// Why a head was refused. A connection that sent such a head must be closed: where the next message starts
/// is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// No end of the head within `Limits::max_head_bytes`.
    #[error("head larger than the limit")]
    TooLarge,
    /// More field lines than `Limits::max_headers`.
    #[error("too many header fields")]
    TooManyFields,
    /// A line ended by LF alone, a CR inside a line, or an empty line where none may be (RFC 9112 section
    /// 2.2).
    #[error("line not ended by CRLF")]
    LineEnding,
    /// The first byte cannot start a message: TLS or something else that is not HTTP/1.
    #[error("not an HTTP/1 message")]
    NotHttp,
    /// The connection preface of HTTP/2 (RFC 9113 section 3.4).
    #[error("HTTP/2 connection preface")]
    Http2Preface,
    /// The method is not a token (RFC 9110 section 9.1).
    #[error("invalid method")]
    Method,
    /// The target is in none of the four forms, or not in the form its method asks for (RFC 9112 section
    /// 3.2).
    #[error("invalid request target")]
    Target,
    /// An absolute target without a host, or with a malformed one (RFC 9110 section 4.2).
    #[error("invalid host in the request target")]
    TargetHost,
    /// No `HTTP/x.y` where the version belongs, or extra words in the request line (RFC 9112 section 2.3).
    #[error("invalid version")]
    Version,
    /// A well-formed version other than 1.0 and 1.1.
    #[error("unsupported version")]
    UnsupportedVersion,
    /// The status line is malformed or its code is below 100 (RFC 9112 section 4).
    #[error("invalid status line")]
    StatusLine,
    /// A field name that is not a token: empty, with a space before the colon, or a folded line (RFC 9112
    /// section 5).
    #[error("invalid header name")]
    FieldName,
    /// A field value with a forbidden byte: NUL, another control byte, a bare CR (RFC 9110 section 5.5).
    #[error("invalid header value")]
    FieldValue,
    /// `Content_Length` or `Transfer_Encoding`: gateways behind us read `_` as `-`.
    #[error("header name that reads as a framing header")]
    Lookalike,
    /// No `Host` in an HTTP/1.1 request (RFC 9112 section 3.2).
    #[error("missing host header")]
    MissingHost,
    /// More than one `Host` (RFC 9112 section 3.2).
    #[error("repeated host header")]
    RepeatedHost,
    /// `Host` is no `uri-host [ ":" port ]` (RFC 9112 section 3.2).
    #[error("invalid host")]
    InvalidHost,
    /// `Host` names another authority than the target does.
    #[error("host header differs from the request target")]
    HostMismatch,
    /// `Content-Length` is not one decimal number up to 2^63-1 (RFC 9110 section 8.6).
    #[error("invalid content-length")]
    ContentLength,
    /// More than one `Content-Length`, or a list of them, equal or not (RFC 9112 section 6.3).
    #[error("repeated content-length")]
    RepeatedContentLength,
    /// `Content-Length` together with `Transfer-Encoding` (RFC 9112 section 6.3).
    #[error("both content-length and transfer-encoding")]
    LengthAndEncoding,
    /// `Transfer-Encoding` is malformed, names `chunked` twice, or does not end in it (RFC 9112 section 6.1).
    #[error("invalid transfer-encoding")]
    TransferEncoding,
    /// `Transfer-Encoding` names a coding besides `chunked` (RFC 9112 section 6.1).
    #[error("unsupported transfer coding")]
    UnsupportedCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("transfer-encoding in HTTP/1.0")]
    EncodingInHttp10,
    /// `Transfer-Encoding` in a 1xx or 204 response (RFC 9112 section 6.1).
    #[error("transfer-encoding in a response without a body")]
    EncodingNotAllowed,
    /// A `Content-Length` above 0 in a 1xx or 204 response (RFC 9110 section 8.6).
    #[error("content-length in a response without a body")]
    LengthNotAllowed,
    /// A body in a CONNECT request, where none is defined (RFC 9110 section 9.3.6).
    #[error("body in a request that cannot have one")]
    BodyNotAllowed,
    /// `Connection` is no list of tokens, is too long, or names a field that must not be dropped (RFC 9110
    /// section 7.6.1).
    #[error("invalid connection header")]
    Connection,
    /// An `Expect` other than one `100-continue` (RFC 9110 section 10.1.1).
    #[error("unsupported expectation")]
    Expectation,
    /// 101 that nobody asked for, or one that does not say to what (RFC 9110 section 15.2.2).
    #[error("unexpected switch of protocols")]
    UnexpectedUpgrade,
}

impl HeadError {
    /// The status to answer a *client* with (400, 417, 431, 501 or 505). A response from an upstream that is
    /// refused is a protocol error whatever the fault: 502.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::UnsupportedCoding => 501,
            Self::UnsupportedVersion | Self::Http2Preface => 505,
            Self::Expectation => 417,
            _ => 400,
        }
    }

    /// Envoy's response-code detail, where it has one for the fault ("Response code details", codec details);
    /// its catch-all `http1.codec_error` elsewhere.
    pub const fn details(self) -> &'static str {
        match self {
            Self::TooLarge => "http1.headers_too_large",
            Self::TooManyFields => "http1.too_many_headers",
            Self::TargetHost => "http1.invalid_url",
            Self::InvalidHost => "http.invalid_authority",
            Self::FieldValue => "http1.invalid_characters",
            Self::Lookalike => "http1.unexpected_underscore",
            Self::MissingHost => "missing_host_header",
            Self::LengthAndEncoding => "http1.content_length_and_chunked_not_allowed",
            Self::TransferEncoding | Self::UnsupportedCoding => "http1.invalid_transfer_encoding",
            Self::EncodingNotAllowed => "http1.transfer_encoding_not_allowed",
            Self::LengthNotAllowed => "http1.content_length_not_allowed",
            Self::BodyNotAllowed => "http1.body_disallowed",
            Self::Connection => "http1.connection_header_rejected",
            _ => "http1.codec_error",
        }
    }
}

/// Why a body was refused. The connection must be closed; what was already forwarded stays incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The chunk size is not 1 to 16 hexadecimal digits up to 2^63-1 (RFC 9112 section 7.1).
    #[error("invalid chunk size")]
    ChunkSize,
    /// A chunk extension with a forbidden byte or longer than
    /// [`MAX_CHUNK_EXTENSION`](crate::MAX_CHUNK_EXTENSION).
    #[error("invalid chunk extension")]
    ChunkExtension,
    /// No CRLF after the chunk's size or data (RFC 9112 section 7.1).
    #[error("chunk not ended by CRLF")]
    ChunkEnding,
    /// A malformed line in the trailer section (RFC 9112 section 7.1.2).
    #[error("invalid trailer")]
    Trailer,
    /// A trailer that frames, routes or is about the connection (RFC 9110 section 6.5.1).
    #[error("trailer field that is not allowed")]
    ForbiddenTrailer,
    /// The trailer section is larger than `Limits` allow.
    #[error("trailers larger than the limit")]
    TrailersTooLarge,
    /// The connection ended before the body did (RFC 9112 section 8).
    #[error("connection closed inside the body")]
    Truncated,
}

impl BodyError {
    /// The status to answer a *client* with, as long as no answer was begun.
    pub const fn status(self) -> u16 {
        match self {
            Self::TrailersTooLarge => 431,
            _ => 400,
        }
    }

    /// Envoy's response-code detail.
    pub const fn details(self) -> &'static str {
        match self {
            Self::TrailersTooLarge => "http1.headers_too_large",
            _ => "http1.codec_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status codes by RFC 9110 sections 15.5 and 15.6 and RFC 6585 section 5; details by Envoy's list of response code details.
    #[test]
    fn a_fault_has_a_status_and_envoys_name() {
        const ANY: &str = "http1.codec_error";
        let cases = [
            (HeadError::TooLarge, 431, "http1.headers_too_large"),
            (HeadError::TooManyFields, 431, "http1.too_many_headers"),
            (HeadError::LineEnding, 400, ANY),
            (HeadError::NotHttp, 400, ANY),
            (HeadError::Http2Preface, 505, ANY),
            (HeadError::Method, 400, ANY),
            (HeadError::Target, 400, ANY),
            (HeadError::TargetHost, 400, "http1.invalid_url"),
            (HeadError::Version, 400, ANY),
            (HeadError::UnsupportedVersion, 505, ANY),
            (HeadError::StatusLine, 400, ANY),
            (HeadError::FieldName, 400, ANY),
            (HeadError::FieldValue, 400, "http1.invalid_characters"),
            (HeadError::Lookalike, 400, "http1.unexpected_underscore"),
            (HeadError::MissingHost, 400, "missing_host_header"),
            (HeadError::RepeatedHost, 400, ANY),
            (HeadError::InvalidHost, 400, "http.invalid_authority"),
            (HeadError::HostMismatch, 400, ANY),
            (HeadError::ContentLength, 400, ANY),
            (HeadError::RepeatedContentLength, 400, ANY),
            (HeadError::LengthAndEncoding, 400, "http1.content_length_and_chunked_not_allowed"),
            (HeadError::TransferEncoding, 400, "http1.invalid_transfer_encoding"),
            (HeadError::UnsupportedCoding, 501, "http1.invalid_transfer_encoding"),
            (HeadError::EncodingInHttp10, 400, ANY),
            (HeadError::EncodingNotAllowed, 400, "http1.transfer_encoding_not_allowed"),
            (HeadError::LengthNotAllowed, 400, "http1.content_length_not_allowed"),
            (HeadError::BodyNotAllowed, 400, "http1.body_disallowed"),
            (HeadError::Connection, 400, "http1.connection_header_rejected"),
            (HeadError::Expectation, 417, ANY),
            (HeadError::UnexpectedUpgrade, 400, ANY),
        ];
        for (fault, status, details) in cases {
            assert_eq!((fault.status(), fault.details()), (status, details), "{fault:?}");
        }
        let body = |fault: BodyError| (fault.status(), fault.details());
        assert_eq!(body(BodyError::TrailersTooLarge), (431, "http1.headers_too_large"));
        assert_eq!(body(BodyError::ChunkSize), (400, ANY));
    }
}
