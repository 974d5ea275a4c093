//! The one table from what went wrong to what everybody sees: status, Envoy's flag and details, body, refusal reason,
//! counter, outcome for the host, retriable. `docs/refusals.md` is made from it. Sending the answer is the exchange's.

use std::borrow::Cow;

use fuseboard_core::FailureKind;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_grpc::Code;
use fuseboard_http1::HeadError;

/// Why an exchange ended without an answer of the upstream, or its answer was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// All connections busy and the queue full.
    QueueFull,
    /// Waited in the queue for too long.
    QueueTimeout,
    /// As many requests in flight as allowed.
    RequestLimit,
    /// An upgrade, and all connections busy.
    ConnectionLimit,
    /// The host has no connection, and as many others as may have some are busy.
    PoolLimit,
    /// Nobody to send to.
    NoHealthyHost,
    /// The cluster's breaker is open.
    BreakerOpen,
    /// The cluster's breaker is half-open, and its probes are out.
    BreakerProbeBusy,
    /// The cluster's breaker lets a part of the traffic through, without this request.
    BreakerRamp,
    /// The cluster's rule asks for TLS that we do not have.
    TlsUnsupported,
    /// The cluster's rule asks for TLS, and what it names can't be used.
    TlsNotReady,
    /// No route for the authority.
    NoRoute,
    /// CONNECT.
    ConnectMethod,
    /// The host refused the connection or is not reachable.
    ConnectFailed,
    /// There was a connection, and no TLS on it.
    HandshakeFailed,
    /// No connection within `connectTimeout`.
    ConnectTimeout,
    /// We could not open a connection: out of file descriptors or ports.
    ConnectLocal,
    /// The host closed the connection before its answer's head.
    ConnectionTermination,
    /// The host closed the connection inside its answer's head.
    CutInHead,
    /// The host gave the stream up before its answer's head.
    RemoteReset,
    /// The host refused the stream, and has not looked at the request.
    StreamRefused,
    /// What the host sent is not HTTP.
    ProtocolError,
    /// The route's time is up.
    RouteTimeout,
    /// The time of the last try is up.
    TryTimeout,
    /// The stream has lasted as long as it may.
    MaxDuration,
    /// The same while its request was still coming.
    MaxDurationInRequest,
    /// The stream's connection ended inside its answer's body, or TLS did without a word.
    TerminatedInBody,
    /// The host closed the connection inside its answer's body.
    CutInBody,
    /// The host gave the stream up inside its answer's body.
    RemoteResetInBody,
    /// The host broke the framing inside its answer's body.
    ProtocolErrorInBody,
    /// The route's time is up inside the answer's body.
    TimeoutInBody,
    /// The stream has lasted as long as it may, inside the answer's body.
    MaxDurationInBody,
    /// The request's head is malformed or ambiguous.
    BadRequest,
    /// The request does not say for which host it is.
    NoHost,
    /// The request's head is too large.
    HeadTooLarge,
    /// A transfer coding that we do not have.
    UnsupportedCoding,
    /// A version that we do not have.
    UnsupportedVersion,
    /// An expectation that we do not have.
    UnsupportedExpectation,
    /// The request's head did not arrive in time.
    HeadTimeout,
    /// The request's body is malformed.
    BadBody,
    /// The request's body stopped arriving.
    BodyTimeout,
    /// The client stopped taking its answer.
    AnswerTimeout,
    /// Nothing went through an upgraded connection for too long.
    TunnelTimeout,
    /// The client went away.
    ClientGone,
}

/// What everybody sees of a [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Status of the answer; 0: there is none.
    pub status: u16,
    /// Envoy's response flag; `-` where Envoy has none.
    pub flag: &'static str,
    /// Envoy's response code details.
    pub details: &'static str,
    /// The answer's body.
    pub body: Body,
    /// Our reason, where we refused.
    pub reason: Option<RefusalReason>,
    /// Whether the answer has `x-envoy-overloaded: true`.
    pub overloaded: bool,
    /// The counter of the cluster or listener that grows; empty where only the status counts.
    pub counter: &'static str,
    /// What the host's health hears of it; `None`: nothing.
    pub outcome: Option<FailureKind>,
    /// Whether Istio's default retry policy tries again.
    pub retriable: bool,
}

/// Body of a local answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// This text.
    Text(&'static str),
    /// Envoy's sentence about a reset, with this reason in it.
    Reset(&'static str),
    /// What the parser found wrong.
    Problem,
}

/// Envoy's flag: upstream max stream duration reached.
const MAX_DURATION: &str = "UMSDR";
const MAX_DURATION_REACHED: &str = "upstream_max_stream_duration_reached";
pub(crate) const LASTED_TOO_LONG: &str = "upstream max stream duration reached";

const BEFORE_HEADERS: &str = "upstream connect error or disconnect/reset before headers. ";

impl Body {
    /// The words, given whether an earlier try failed too, and what the parser said.
    pub(crate) fn words(self, retried: bool, problem: &str) -> Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Reset(reason) => {
                let link = if retried { "retried and the latest reset reason: " } else { "reset reason: " };
                [BEFORE_HEADERS, link, reason].concat().into()
            }
            Self::Problem => problem.into(),
        }
    }
}

/// The stream has lasted as long as it may.
const fn too_old(status: u16, body: Body) -> Row {
    row(status, MAX_DURATION, MAX_DURATION_REACHED, body).counted("upstream_rq_max_duration_reached")
}

/// The client does not go on.
const fn idle(status: u16, body: Body) -> Row {
    row(status, "SI", "stream_idle_timeout", body).counted("downstream_rq_idle_timeout")
}

/// There is nobody to send to.
const fn nobody(counter: &'static str, reason: RefusalReason) -> Row {
    row(503, "UH", "no_healthy_upstream", Body::Text("no healthy upstream")).counted(counter).refused(reason)
}

/// The host ended the request without an answer.
const fn reset(flag: &'static str, details: &'static str, words: &'static str, outcome: FailureKind) -> Row {
    row(503, flag, details, Body::Reset(words)).outcome(outcome)
}

/// The host ended the request inside its answer.
const fn cut_off(flag: &'static str, details: &'static str, counter: &'static str) -> Row {
    row(0, flag, details, NONE).counted(counter).outcome(FailureKind::Reset)
}

/// What the host sent is no answer.
const fn protocol_error(outcome: FailureKind) -> Row {
    row(502, "UPE", PROTOCOL_ERROR, Body::Reset("protocol error"))
        .counted("upstream_cx_protocol_error")
        .outcome(outcome)
}

/// The same when its head was.
const fn late_protocol_error(outcome: FailureKind) -> Row {
    row(0, "UPE", LATE_PROTOCOL_ERROR, NONE).counted("upstream_cx_protocol_error").outcome(outcome)
}

const OVERFLOW: &str = "upstream_reset_before_response_started{overflow}";
const REMOTE_FAILURE: &str = "upstream_reset_before_response_started{remote_connection_failure}";
const LOCAL_FAILURE: &str = "upstream_reset_before_response_started{local_connection_failure}";
const CONNECTION_TIMEOUT: &str = "upstream_reset_before_response_started{connection_timeout}";
const TERMINATED: &str = "upstream_reset_before_response_started{connection_termination}";
const PROTOCOL_ERROR: &str = "upstream_reset_before_response_started{protocol_error}";
const REMOTE_RESET: &str = "upstream_reset_before_response_started{remote_reset}";
const REFUSED_RESET: &str = "upstream_reset_before_response_started{remote_refused_stream_reset}";
const LATE_TERMINATION: &str = "upstream_reset_after_response_started{connection_termination}";
const LATE_REMOTE_RESET: &str = "upstream_reset_after_response_started{remote_reset}";
const LATE_PROTOCOL_ERROR: &str = "upstream_reset_after_response_started{protocol_error}";
const NO_TLS: &str = "the upstream's kind of TLS is not supported yet";
const TLS_NOT_READY: &str = "a certificate, key or secret for upstream TLS cannot be used";
const BREAKER_OPEN: &str = "circuit breaker open";
const BREAKER_PROBES: &str = "circuit breaker half-open, probes in flight";
const BREAKER_RAMP: &str = "circuit breaker closing, part of the traffic";
const NO_CONNECT: &str = "CONNECT is not supported; send the request itself with an absolute target";
const CLOSED_BY_HOST: &str = "upstream_cx_destroy_remote_with_active_rq";
const TIME_IS_UP: &str = "upstream request timeout";
const NONE: Body = Body::Text("");

/// A row without refusal, counter, outcome and retry; the table fills in what differs.
const fn row(status: u16, flag: &'static str, details: &'static str, body: Body) -> Row {
    Row {
        status,
        flag,
        details,
        body,
        reason: None,
        overloaded: false,
        counter: "",
        outcome: None,
        retriable: false,
    }
}

/// A limit is reached.
const fn overflow(counter: &'static str, reason: RefusalReason) -> Row {
    Row {
        overloaded: true,
        ..row(503, "UO", OVERFLOW, Body::Reset("overflow")).counted(counter).refused(reason)
    }
}

/// The breaker refuses. `x-envoy-overloaded` keeps a caller's proxy from trying again at once.
const fn broken(details: &'static str, body: &'static str, reason: RefusalReason) -> Row {
    Row {
        overloaded: true,
        ..row(503, "UO", details, Body::Text(body)).counted("fuseboard.breaker.refused").refused(reason)
    }
}

/// The client's message can't be taken.
const fn malformed(status: u16, details: &'static str) -> Row {
    row(status, "DPE", details, Body::Problem).counted("downstream_cx_protocol_error")
}

impl Row {
    /// The code of gRPC that says the same. Who was cut off for the age of a stream is to open another one, which `UNAVAILABLE` asks for.
    pub(crate) fn code(self) -> Code {
        if self.flag == MAX_DURATION { Code::Unavailable } else { Code::of_http(self.status) }
    }

    const fn counted(self, counter: &'static str) -> Self {
        Self { counter, ..self }
    }

    const fn refused(self, reason: RefusalReason) -> Self {
        Self { reason: Some(reason), ..self }
    }

    const fn outcome(self, kind: FailureKind) -> Self {
        Self { outcome: Some(kind), ..self }
    }

    const fn retriable(self) -> Self {
        Self { retriable: true, ..self }
    }
}

impl Cause {
    /// Every cause, in the order of the documentation.
    pub const ALL: [Self; 44] = [
        Self::QueueFull,
        Self::QueueTimeout,
        Self::RequestLimit,
        Self::ConnectionLimit,
        Self::PoolLimit,
        Self::NoHealthyHost,
        Self::BreakerOpen,
        Self::BreakerProbeBusy,
        Self::BreakerRamp,
        Self::TlsUnsupported,
        Self::TlsNotReady,
        Self::NoRoute,
        Self::ConnectMethod,
        Self::ConnectFailed,
        Self::HandshakeFailed,
        Self::ConnectTimeout,
        Self::ConnectLocal,
        Self::ConnectionTermination,
        Self::CutInHead,
        Self::RemoteReset,
        Self::StreamRefused,
        Self::ProtocolError,
        Self::RouteTimeout,
        Self::TryTimeout,
        Self::MaxDuration,
        Self::MaxDurationInRequest,
        Self::TerminatedInBody,
        Self::CutInBody,
        Self::RemoteResetInBody,
        Self::ProtocolErrorInBody,
        Self::TimeoutInBody,
        Self::MaxDurationInBody,
        Self::BadRequest,
        Self::NoHost,
        Self::HeadTooLarge,
        Self::UnsupportedCoding,
        Self::UnsupportedVersion,
        Self::UnsupportedExpectation,
        Self::HeadTimeout,
        Self::BadBody,
        Self::BodyTimeout,
        Self::AnswerTimeout,
        Self::TunnelTimeout,
        Self::ClientGone,
    ];

    /// A few words for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::QueueFull => "all connections busy, queue full",
            Self::QueueTimeout => "waited too long in the queue",
            Self::RequestLimit => "too many requests in flight",
            Self::ConnectionLimit => "an upgrade, and all connections busy",
            Self::PoolLimit => "connections to as many hosts as may be, all busy",
            Self::NoHealthyHost => "no host to send to",
            Self::BreakerOpen => "the breaker is open",
            Self::BreakerProbeBusy => "the breaker is half-open, its probes are out",
            Self::BreakerRamp => "the breaker lets a part of the traffic through",
            Self::TlsUnsupported => "the rule asks for TLS that is not there yet",
            Self::TlsNotReady => "the rule's certificate, key or secret can't be used",
            Self::NoRoute => "no route for the authority",
            Self::ConnectMethod => "method CONNECT",
            Self::ConnectFailed => "connection refused, host unreachable",
            Self::HandshakeFailed => "TLS handshake failed: not trusted, expired, wrong name, no TLS",
            Self::ConnectTimeout => "no connection within `connectTimeout`",
            Self::ConnectLocal => "no connection for want of descriptors or ports",
            Self::ConnectionTermination => "upstream closed before its answer",
            Self::CutInHead => "upstream closed inside its answer's head",
            Self::RemoteReset => "upstream reset the stream before its answer",
            Self::StreamRefused => "upstream refused the stream",
            Self::ProtocolError => "upstream does not speak HTTP",
            Self::RouteTimeout => "the route's time is up",
            Self::TryTimeout => "the try's time is up",
            Self::MaxDuration => "the stream lasted as long as `maxStreamDuration`",
            Self::MaxDurationInRequest => "the same while its request was still coming",
            Self::TerminatedInBody => "connection of a stream gone inside its answer; TLS cut off",
            Self::CutInBody => "upstream closed inside its answer",
            Self::RemoteResetInBody => "upstream reset the stream inside its answer",
            Self::ProtocolErrorInBody => "upstream broke the framing of its answer",
            Self::TimeoutInBody => "the route's time is up inside the answer",
            Self::MaxDurationInBody => "the same inside the answer",
            Self::BadRequest => "malformed or ambiguous head",
            Self::NoHost => "no `Host`",
            Self::HeadTooLarge => "head too large",
            Self::UnsupportedCoding => "unknown transfer coding",
            Self::UnsupportedVersion => "unknown version",
            Self::UnsupportedExpectation => "unknown expectation",
            Self::HeadTimeout => "head did not arrive in time",
            Self::BadBody => "malformed body",
            Self::BodyTimeout => "body stopped arriving",
            Self::AnswerTimeout => "client stopped taking its answer",
            Self::TunnelTimeout => "nothing went through an upgraded connection",
            Self::ClientGone => "client went away",
        }
    }

    /// What everybody sees of it. No arm stands for the rest: a new cause does not compile without its row.
    pub const fn row(self) -> Row {
        use FailureKind as F;
        use RefusalReason as R;
        match self {
            // We refuse before anything is sent.
            Self::QueueFull => overflow("upstream_rq_pending_overflow", R::LimitQueueFull),
            Self::QueueTimeout => overflow("fuseboard.upstream_rq_queue_timeout", R::LimitQueueTimeout),
            Self::RequestLimit => overflow("upstream_rq_active_overflow", R::LimitRequests),
            Self::ConnectionLimit => overflow("upstream_cx_overflow", R::LimitConnections),
            // As Envoy: another host might have been asked, so it is no overflow.
            Self::PoolLimit => nobody("upstream_cx_pool_overflow", R::LimitPools),
            Self::NoHealthyHost => nobody("upstream_cx_none_healthy", R::NoHealthy),
            Self::BreakerOpen => broken("breaker_open", BREAKER_OPEN, R::BreakerOpen),
            Self::BreakerProbeBusy => broken("breaker_probe_busy", BREAKER_PROBES, R::BreakerProbeBusy),
            Self::BreakerRamp => broken("breaker_ramp", BREAKER_RAMP, R::BreakerRamp),
            Self::TlsUnsupported => {
                row(503, "UF", "tls_unsupported", Body::Text(NO_TLS)).refused(R::TlsUnsupported)
            }
            Self::TlsNotReady => {
                row(503, "UF", "tls_not_ready", Body::Text(TLS_NOT_READY)).refused(R::TlsNotReady)
            }
            // The host, the way to it, or its time.
            Self::ConnectFailed | Self::HandshakeFailed => {
                row(503, "UF", REMOTE_FAILURE, Body::Reset("remote connection failure"))
                    .counted("upstream_cx_connect_fail")
                    .outcome(F::ConnectFailed)
                    .retriable()
            }
            Self::ConnectTimeout => row(503, "UF", CONNECTION_TIMEOUT, Body::Reset("connection timeout"))
                .counted("upstream_cx_connect_timeout")
                .outcome(F::ConnectTimeout)
                .retriable(),
            Self::ConnectLocal => row(503, "UF", LOCAL_FAILURE, Body::Reset("local connection failure"))
                .counted("upstream_cx_connect_fail")
                .retriable(),
            Self::ConnectionTermination => {
                reset("UC", TERMINATED, "connection termination", F::Reset).counted(CLOSED_BY_HOST)
            }
            // As Envoy's parser, to which the end of a connection inside a message is a fault of it.
            Self::CutInHead => protocol_error(F::Reset),
            Self::RemoteReset => {
                reset("UR", REMOTE_RESET, "remote reset", F::Reset).counted("upstream_rq_rx_reset")
            }
            Self::StreamRefused => {
                reset("UR", REFUSED_RESET, "remote refused stream reset", F::StreamRefused).retriable()
            }
            Self::ProtocolError => protocol_error(F::ProtocolError),
            Self::RouteTimeout => row(504, "UT", "response_timeout", Body::Text(TIME_IS_UP))
                .counted("upstream_rq_timeout")
                .outcome(F::Timeout),
            Self::TryTimeout => row(504, "UT", "upstream_per_try_timeout", Body::Text(TIME_IS_UP))
                .counted("upstream_rq_per_try_timeout")
                .outcome(F::Timeout),
            Self::MaxDuration => too_old(504, Body::Text(LASTED_TOO_LONG)),
            Self::MaxDurationInRequest => too_old(408, Body::Text(LASTED_TOO_LONG)),
            Self::MaxDurationInBody => too_old(0, NONE),
            Self::TerminatedInBody => cut_off("UC", LATE_TERMINATION, CLOSED_BY_HOST),
            Self::CutInBody => late_protocol_error(F::Reset),
            Self::RemoteResetInBody => cut_off("UR", LATE_REMOTE_RESET, "upstream_rq_rx_reset"),
            Self::ProtocolErrorInBody => late_protocol_error(F::ProtocolError),
            Self::TimeoutInBody => {
                row(0, "UT", "response_timeout", NONE).counted("upstream_rq_timeout").outcome(F::Timeout)
            }
            // The client, or what it asked for.
            Self::NoRoute => row(404, "NR", "route_not_found", NONE).counted("no_route"),
            Self::ConnectMethod => row(501, "-", "connect_not_supported", Body::Text(NO_CONNECT)),
            Self::BadRequest | Self::BadBody => malformed(400, "http1.codec_error"),
            // No fault of the protocol to Envoy.
            Self::NoHost => row(400, "-", "missing_host_header", Body::Problem),
            Self::UnsupportedCoding => malformed(501, "http1.invalid_transfer_encoding"),
            Self::UnsupportedVersion => malformed(505, "http1.codec_error"),
            Self::UnsupportedExpectation => malformed(417, "http1.codec_error"),
            Self::HeadTooLarge => malformed(431, "http1.headers_too_large"),
            Self::HeadTimeout => {
                row(408, "-", "request_header_timeout", Body::Text("request header timeout"))
                    .counted("downstream_rq_header_timeout")
            }
            Self::BodyTimeout => idle(408, Body::Text("stream timeout")),
            Self::AnswerTimeout | Self::TunnelTimeout => idle(0, NONE),
            Self::ClientGone => {
                row(0, "DC", "downstream_remote_disconnect", NONE).counted("downstream_rq_rx_reset")
            }
        }
    }

    /// What it comes to where the answer has begun; `None`: the same.
    pub(crate) const fn inside_answer(self) -> Option<Self> {
        match self {
            Self::RouteTimeout | Self::TryTimeout => Some(Self::TimeoutInBody),
            Self::MaxDuration | Self::MaxDurationInRequest => Some(Self::MaxDurationInBody),
            _ => None,
        }
    }

    /// Whether the cluster counts the answer under its statuses, as Envoy's router does for what it answers itself.
    pub(crate) const fn is_of_cluster(self) -> bool {
        !matches!(
            self,
            Self::MaxDuration
                | Self::MaxDurationInRequest
                | Self::NoRoute
                | Self::ConnectMethod
                | Self::BadRequest
                | Self::NoHost
                | Self::HeadTooLarge
                | Self::UnsupportedCoding
                | Self::UnsupportedVersion
                | Self::UnsupportedExpectation
                | Self::HeadTimeout
                | Self::BadBody
                | Self::BodyTimeout
                | Self::AnswerTimeout
                | Self::TunnelTimeout
                | Self::ClientGone
        )
    }

    /// The cause that a limit's refusal is.
    pub(crate) const fn of_refusal(reason: RefusalReason) -> Self {
        match reason {
            RefusalReason::LimitRequests => Self::RequestLimit,
            RefusalReason::LimitConnections => Self::ConnectionLimit,
            RefusalReason::LimitQueueTimeout => Self::QueueTimeout,
            RefusalReason::LimitPools => Self::PoolLimit,
            RefusalReason::NoHealthy => Self::NoHealthyHost,
            RefusalReason::BreakerOpen => Self::BreakerOpen,
            RefusalReason::BreakerProbeBusy => Self::BreakerProbeBusy,
            RefusalReason::BreakerRamp => Self::BreakerRamp,
            RefusalReason::TlsUnsupported => Self::TlsUnsupported,
            RefusalReason::TlsNotReady => Self::TlsNotReady,
            _ => Self::QueueFull,
        }
    }

    /// The cause that a fault of a request's head is.
    pub(crate) const fn of_head(error: HeadError) -> Self {
        match error.status() {
            _ if matches!(error, HeadError::MissingHost) => Self::NoHost,
            417 => Self::UnsupportedExpectation,
            431 => Self::HeadTooLarge,
            501 => Self::UnsupportedCoding,
            505 => Self::UnsupportedVersion,
            _ => Self::BadRequest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_body_is_envoys_to_the_byte() {
        assert_eq!(
            Cause::QueueFull.row().body.words(false, ""),
            "upstream connect error or disconnect/reset before headers. reset reason: overflow"
        );
    }

    #[test]
    fn a_retried_reset_says_so() {
        assert_eq!(
            Cause::ConnectFailed.row().body.words(true, ""),
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: \
             remote connection failure"
        );
    }

    #[test]
    fn what_we_refuse_is_no_outcome_of_a_host_and_is_never_tried_again() {
        for cause in Cause::ALL {
            let row = cause.row();
            if row.reason.is_some() {
                assert_eq!((row.outcome, row.retriable), (None, false), "{cause:?}");
                assert_eq!(row.status, 503, "{cause:?}");
            }
        }
    }

    #[test]
    fn every_reason_that_a_request_can_meet_has_its_row() {
        for reason in RefusalReason::ALL {
            let of_requests =
                !matches!(reason, RefusalReason::LimitRetries | RefusalReason::LimitDownstreamConnections);
            if of_requests {
                assert_eq!(Cause::of_refusal(reason).row().reason, Some(reason));
            }
        }
    }
}
