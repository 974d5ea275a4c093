//! What one try against one host came to, as the host's health and load see it.
//! What the client is told, and whether the try is made again, is decided elsewhere (`refusal`, `retry`).

use fuseboard_grpc::Code;

/// The end of one try. A refusal by one of our own limits is not an outcome of any host: it is never recorded, so that
/// a full queue cannot eject anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The host answered, and the answer does not count as a failure.
    Success {
        /// The answer's status; for TCP, where a made connection is the success, 200.
        status: u16,
    },
    /// The host answered a call of gRPC, which ended so, well or not.
    Called(Code),
    /// The host failed, or could not be reached.
    Failure(FailureKind),
    /// The client went away, or we stopped for a reason of our own. Says nothing about the host.
    Abandoned,
}

impl Outcome {
    /// The outcome of an answer with `status` where nothing redefines failure: 500 and above fail.
    pub const fn of_status(status: u16) -> Self {
        if status >= 500 { Self::Failure(FailureKind::Status(status)) } else { Self::Success { status } }
    }

    /// The same by the status of HTTP that stands for a code, for whoever knows no codes.
    #[must_use]
    pub const fn as_http(self) -> Self {
        match self {
            Self::Called(code) => Self::of_status(code.to_http()),
            other => other,
        }
    }

    /// Whether no answer came at all, although we did not give up on our own.
    pub const fn is_local_origin_failure(self) -> bool {
        matches!(self, Self::Failure(kind) if kind.is_local_origin())
    }
}

/// How a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The host answered with a status that counts as a failure. One below 500 (a rule may name 429) counts as 500.
    Status(u16),
    /// The connection was refused or unreachable.
    ConnectFailed,
    /// The connection was not made within `connectTimeout`.
    ConnectTimeout,
    /// Connected, and no answer within the time allowed for the try or for the exchange.
    Timeout,
    /// Connected, and the connection ended before the answer's head was complete.
    Reset,
    /// Connected by HTTP/2, and the host refused the stream without looking at the request.
    StreamRefused,
    /// Connected, and what came was not HTTP.
    ProtocolError,
}

impl FailureKind {
    /// Envoy's "local origin": there was no answer to judge.
    pub const fn is_local_origin(self) -> bool {
        !matches!(self, Self::Status(_))
    }

    /// The connection could not be made, so the host never saw the request.
    pub const fn is_connect(self) -> bool {
        matches!(self, Self::ConnectFailed | Self::ConnectTimeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_and_above_fail_and_nothing_below_does() {
        assert_eq!(Outcome::of_status(499), Outcome::Success { status: 499 });
        assert_eq!(Outcome::of_status(500), Outcome::Failure(FailureKind::Status(500)));
    }

    #[test]
    fn a_call_fails_by_what_its_server_does_wrong() {
        // As OpenTelemetry has it for spans of servers.
        let failing: Vec<Code> = Code::ALL
            .into_iter()
            .filter(|code| matches!(Outcome::Called(*code).as_http(), Outcome::Failure(_)))
            .collect();
        let faults = [
            Code::Unknown,
            Code::DeadlineExceeded,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
            Code::DataLoss,
        ];
        assert_eq!(failing, faults);
        assert!(!Outcome::Called(Code::Unavailable).is_local_origin_failure());
    }

    #[test]
    fn an_answer_is_never_of_local_origin_and_giving_up_is_no_failure() {
        assert!(!Outcome::of_status(503).is_local_origin_failure());
        assert!(!Outcome::Abandoned.is_local_origin_failure());
        assert!(Outcome::Failure(FailureKind::Reset).is_local_origin_failure());
    }
}
