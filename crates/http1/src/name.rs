//! Which header names the proxy cares about, recognised without hashing: by length, then by their ends.
//! What is done with each is the caller's; here it is only known which of them concern one connection alone.

macro_rules! header_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// The identity of a header field, as far as the proxy cares. Case never matters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HeaderName {
            $(#[doc = concat!("`", $name, "`")] $(#[$doc])* $variant,)+
            /// Any other name that starts with `x-envoy-`.
            XEnvoyOther,
            /// Any name that starts with `x-fuseboard-`: ours alone to send.
            XFuseboard,
            /// A name of no concern: forwarded as it came.
            Other,
        }

        /// Every known name, in the order of declaration.
        const KNOWN: &[(&[u8], HeaderName)] = &[$(($name.as_bytes(), HeaderName::$variant),)+];

        impl HeaderName {
            /// The lowercase name; empty for `XEnvoyOther`, `XFuseboard` and `Other`, which stand for many.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::XEnvoyOther | Self::XFuseboard | Self::Other => "",
                }
            }
        }
    };
}

header_names! {
    Te = "te",
    Via = "via",
    Date = "date",
    Host = "host",
    Expect = "expect",
    Server = "server",
    Cookie = "cookie",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Location = "location",
    Forwarded = "forwarded",
    Connection = "connection",
    KeepAlive = "keep-alive",
    UserAgent = "user-agent",
    XRequestId = "x-request-id",
    ContentType = "content-type",
    GrpcStatus = "grpc-status",
    GrpcTimeout = "grpc-timeout",
    GrpcMessage = "grpc-message",
    RetryAfter = "retry-after",
    Authorization = "authorization",
    ContentLength = "content-length",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedProto = "x-forwarded-proto",
    XForwardedClientCert = "x-forwarded-client-cert",
    ProxyConnection = "proxy-connection",
    TransferEncoding = "transfer-encoding",
    Http2Settings = "http2-settings",
    XEnvoyInternal = "x-envoy-internal",
    XEnvoyRetryOn = "x-envoy-retry-on",
    XEnvoyRetryGrpcOn = "x-envoy-retry-grpc-on",
    XEnvoyMaxRetries = "x-envoy-max-retries",
    XEnvoyOverloaded = "x-envoy-overloaded",
    XEnvoyDegraded = "x-envoy-degraded",
    XEnvoyAttemptCount = "x-envoy-attempt-count",
    XEnvoyExternalAddress = "x-envoy-external-address",
    XEnvoyRateLimited = "x-envoy-ratelimited",
    XEnvoyOriginalPath = "x-envoy-original-path",
    XEnvoyRetriableStatusCodes = "x-envoy-retriable-status-codes",
    XEnvoyRetriableHeaderNames = "x-envoy-retriable-header-names",
    XEnvoyUpstreamServiceTime = "x-envoy-upstream-service-time",
    XEnvoyUpstreamRqTimeoutMs = "x-envoy-upstream-rq-timeout-ms",
    XEnvoyUpstreamRqPerTryTimeoutMs = "x-envoy-upstream-rq-per-try-timeout-ms",
    XEnvoyUpstreamRqTimeoutAltResponse = "x-envoy-upstream-rq-timeout-alt-response",
    XEnvoyExpectedRqTimeoutMs = "x-envoy-expected-rq-timeout-ms",
    XEnvoyHedgeOnPerTryTimeout = "x-envoy-hedge-on-per-try-timeout",
    XEnvoyDecoratorOperation = "x-envoy-decorator-operation",
    XEnvoyImmediateHealthCheckFail = "x-envoy-immediate-health-check-fail",
}

/// Longest known name.
const LONGEST: usize = {
    let (mut longest, mut at) = (0, 0);
    while at < KNOWN.len() {
        if KNOWN[at].0.len() > longest {
            longest = KNOWN[at].0.len();
        }
        at += 1;
    }
    longest
};

/// A known name, with what tells it from others of its length.
#[derive(Clone, Copy)]
struct Known {
    ends: Ends,
    name: &'static [u8],
    id: HeaderName,
}

/// The known names ordered by length.
static BY_LENGTH: [Known; KNOWN.len()] = {
    let mut sorted = [Known { ends: Ends::of(b""), name: b"", id: HeaderName::Other }; KNOWN.len()];
    let (mut filled, mut length) = (0, 0);
    while length <= LONGEST {
        let mut at = 0;
        while at < KNOWN.len() {
            let (name, id) = KNOWN[at];
            if name.len() == length {
                sorted[filled] = Known { ends: Ends::of(name), name, id };
                filled += 1;
            }
            at += 1;
        }
        length += 1;
    }
    sorted
};

/// `STARTS[n]..STARTS[n + 1]` are the positions in `BY_LENGTH` of the names of `n` bytes.
static STARTS: [u8; LONGEST + 2] = {
    let mut starts = [0_u8; LONGEST + 2];
    let (mut at, mut length) = (0_u8, 0);
    while length < starts.len() {
        starts[length] = at;
        while (at as usize) < KNOWN.len() && BY_LENGTH[at as usize].name.len() == length {
            at += 1;
        }
        length += 1;
    }
    starts
};

impl HeaderName {
    /// The identity of a field name in any case. `name` must be a token, as every parsed name is.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        if name.len() > LONGEST {
            return Self::of_prefix(name);
        }
        let candidates = usize::from(STARTS[name.len()])..usize::from(STARTS[name.len() + 1]);
        let ends = Ends::of(name);
        for known in &BY_LENGTH[candidates] {
            if known.ends == ends && (name.len() <= Ends::WHOLE || same_token(name, known.name)) {
                return known.id;
            }
        }
        Self::of_prefix(name)
    }

    #[inline]
    fn of_prefix(name: &[u8]) -> Self {
        if name.len() < 8 || name[0] | 0x20 != b'x' || name[1] != b'-' {
            return Self::Other;
        }
        if same_token(&name[..8], b"x-envoy-") {
            Self::XEnvoyOther
        } else if name.len() >= 12 && same_token(&name[..12], b"x-fuseboard-") {
            Self::XFuseboard
        } else {
            Self::Other
        }
    }

    /// Concerns this connection alone and is never forwarded (RFC 9110 section 7.6.1).
    ///
    /// `Te` is among them: a proxy that wants `TE: trailers` on its own connection says so itself. `Trailer`
    /// is not (it describes the content since RFC 9110). `HTTP2-Settings` belongs to an upgrade to h2c, which
    /// this codec never passes on.
    #[inline]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Http2Settings
        )
    }

    /// A field that may not stand in a trailer section: it frames, routes, or is about the connection
    /// (RFC 9110 section 6.5.1).
    pub(crate) const fn is_forbidden_in_trailers(self) -> bool {
        self.is_hop_by_hop()
            || matches!(
                self,
                Self::Host
                    | Self::ContentLength
                    | Self::ContentType
                    | Self::Expect
                    | Self::Trailer
                    | Self::Authorization
                    | Self::Cookie
                    | Self::Forwarded
                    | Self::XForwardedFor
                    | Self::XForwardedHost
                    | Self::XForwardedPort
                    | Self::XForwardedProto
                    | Self::XForwardedClientCert
                    | Self::XFuseboard
            )
    }

    /// A `Connection` header that nominates this field is ignored: the field tells the next hop about this
    /// one, and a client that could have it dropped would hide itself.
    pub(crate) const fn is_protected(self) -> bool {
        matches!(
            self,
            Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedProto
                | Self::XForwardedClientCert
                | Self::Forwarded
                | Self::Via
                | Self::XRequestId
                | Self::XEnvoyInternal
                | Self::XEnvoyExternalAddress
                | Self::XEnvoyOther
        )
    }
}

/// Bit 5 of each byte. Setting it folds letters; it maps no other token byte to a byte of a known name.
const FOLD: u64 = u64::from_ne_bytes([0x20; 8]);

/// The first and the last eight bytes of a name, whatever its case.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    front: u64,
    tail: u64,
}

impl Ends {
    /// Names up to so many bytes that have the same length and the same ends are the same.
    const WHOLE: usize = 16;

    #[inline]
    const fn of(name: &[u8]) -> Self {
        // Of a shorter name all is in the tail.
        let (front, tail) = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)),
            _ => (0, short(name)),
        };
        Self { front: front | FOLD, tail: tail | FOLD }
    }
}

/// Up to seven bytes as one number.
#[inline]
const fn short(name: &[u8]) -> u64 {
    match (name.first_chunk(), name.last_chunk()) {
        // Both overlap, unless they are all of it.
        (Some(first), Some(last)) => {
            (u32::from_ne_bytes(*first) as u64) << 32 | u32::from_ne_bytes(*last) as u64
        }
        _ => match *name {
            [a, b, c] => u64::from_ne_bytes([a, b, c, 0, 0, 0, 0, 0]),
            [a, b] => u64::from_ne_bytes([a, b, 0, 0, 0, 0, 0, 0]),
            // No name is shorter.
            _ => 0,
        },
    }
}

/// Whether a token equals a lowercase name, whatever its case.
#[inline]
pub(crate) fn same_token(token: &[u8], lowercase: &[u8]) -> bool {
    let folded = |eight: &[u8; 8]| u64::from_ne_bytes(*eight) | FOLD;
    if token.len() != lowercase.len() {
        return false;
    }
    let ((eights, rest), (known, known_rest)) = (token.as_chunks(), lowercase.as_chunks());
    let same = eights.iter().zip(known).all(|(eight, known)| folded(eight) == u64::from_ne_bytes(*known));
    same && match (token.last_chunk(), lowercase.last_chunk()) {
        // The last eight overlap those before them.
        (Some(last), Some(known)) => folded(last) == u64::from_ne_bytes(*known),
        _ => rest.iter().zip(known_rest).all(|(byte, known)| byte | 0x20 == *known),
    }
}

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
        | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Whether `byte` may stand in a field value: visible, space, tab or above ASCII (RFC 9110 section 5.5).
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised_in_any_case() {
        for (name, id) in KNOWN {
            assert_eq!(HeaderName::of(name), *id);
            assert_eq!(HeaderName::of(&name.to_ascii_uppercase()), *id);
            assert_eq!(id.as_str().as_bytes(), *name);
        }
    }

    #[test]
    fn a_name_that_differs_in_one_byte_is_another_name() {
        for (name, id) in KNOWN {
            for at in 0..name.len() {
                let mut other = name.to_vec();
                other[at] = if other[at] == b'q' { b'z' } else { b'q' };
                assert_ne!(HeaderName::of(&other), *id, "{}", String::from_utf8_lossy(&other));
            }
        }
    }

    #[test]
    fn folding_confuses_no_two_token_bytes() {
        // `^` and `_` are the token bytes below `a` besides letters: bit 5 must not turn them into part of a
        // name.
        assert_eq!(HeaderName::of(b"content_length"), HeaderName::Other);
        assert_eq!(HeaderName::of(b"user^agent"), HeaderName::Other);
    }

    #[test]
    fn prefixes_of_envoy_and_ours_are_recognised() {
        assert_eq!(HeaderName::of(b"X-Envoy-Something-New"), HeaderName::XEnvoyOther);
        assert_eq!(HeaderName::of(b"X-Fuseboard-Reason"), HeaderName::XFuseboard);
        assert_eq!(
            HeaderName::of(&[b"x-fuseboard-".as_slice(), &[b'a'; 60]].concat()),
            HeaderName::XFuseboard
        );
        assert_eq!(HeaderName::of(b"x-envoy-"), HeaderName::XEnvoyOther);
        assert_eq!(HeaderName::of(b"x-fuseboard-"), HeaderName::XFuseboard);
        assert_eq!(HeaderName::of(b"x-envoy"), HeaderName::Other);
        assert_eq!(HeaderName::of(b"x-fuseboards"), HeaderName::Other);
        assert_eq!(HeaderName::of(b""), HeaderName::Other);
    }
}
