//! Which outcomes count against a destination, which for it, and which say nothing. One value per policy (P11): what its
//! verdicts lead to is the breaker's or the outlier detection's matter.

use fuseboard_grpc::{Code, CodeSet};

use crate::outcome::{FailureKind, Outcome};

/// How a policy reads an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Counts for the destination.
    Success,
    /// Counts against it.
    Failure,
    /// Says nothing; not counted as a call.
    Ignored,
}

/// A set of HTTP statuses from 0 to 1023; larger numbers are in no set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusSet([u64; 16]);

impl StatusSet {
    /// No status.
    pub const EMPTY: Self = Self([0; 16]);

    /// Every status of a class: 5 for 500 to 599.
    #[must_use]
    pub fn class(class: u16) -> Self {
        (0..100).fold(Self::EMPTY, |set, rest| set.with(class.saturating_mul(100).saturating_add(rest)))
    }

    /// These statuses.
    #[must_use]
    pub fn of(statuses: &[u16]) -> Self {
        statuses.iter().fold(Self::EMPTY, |set, status| set.with(*status))
    }

    /// The set and `status`.
    #[must_use]
    pub fn with(mut self, status: u16) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(status / 64)) {
            *word |= 1 << (status % 64);
        }
        self
    }

    /// The set without `status`.
    #[must_use]
    pub fn without(mut self, status: u16) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(status / 64)) {
            *word &= !(1 << (status % 64));
        }
        self
    }

    /// What is in either set.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (word, own) in self.0.iter_mut().zip(other.0) {
            *word |= own;
        }
        self
    }

    /// Whether `status` is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.get(usize::from(status / 64)).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }
}

/// What counts as a failure. An answer is judged by its status alone, whatever another policy of the same
/// destination makes of it; what ended without an answer is judged by its kind. A call of gRPC is judged by its code: by the code's
/// own name first, and where none is there by the status that stands for it.
///
/// Calls that we abandoned, because the client went away, are always ignored. Calls that one of our own limits
/// refused never get as far as an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureClassifier {
    /// Answers that count as failures. Default: 500 to 599.
    pub failures: StatusSet,
    /// Answers that say nothing; wins over `failures`. Default: none.
    pub ignored: StatusSet,
    /// Codes of gRPC that count as failures by name. Default: none, so that those do that stand for 500 to 599.
    pub failing_codes: CodeSet,
    /// Codes that say nothing by name; wins over `failing_codes`. Default: none.
    pub ignored_codes: CodeSet,
    /// The connection was refused or unreachable. Default: failure.
    pub connect_failed: Verdict,
    /// No connection within `connectTimeout`. Default: failure.
    pub connect_timeout: Verdict,
    /// No answer in time. Default: failure.
    pub timeout: Verdict,
    /// The connection ended before the answer. Default: failure.
    pub reset: Verdict,
    /// What came was not HTTP. Default: failure.
    pub protocol_error: Verdict,
}

impl Default for FailureClassifier {
    fn default() -> Self {
        Self {
            failures: StatusSet::class(5),
            ignored: StatusSet::EMPTY,
            failing_codes: CodeSet::EMPTY,
            ignored_codes: CodeSet::EMPTY,
            connect_failed: Verdict::Failure,
            connect_timeout: Verdict::Failure,
            timeout: Verdict::Failure,
            reset: Verdict::Failure,
            protocol_error: Verdict::Failure,
        }
    }
}

impl FailureClassifier {
    /// Only what a gateway says of a destination it could not use: 502, 503, 504, and calls without an answer.
    #[must_use]
    pub fn gateway() -> Self {
        Self { failures: StatusSet::of(&[502, 503, 504]), ..Self::default() }
    }

    /// What an outcome says.
    pub fn judge(&self, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Success { status } | Outcome::Failure(FailureKind::Status(status)) => {
                self.of_status(status)
            }
            Outcome::Called(code) => self.of_code(code),
            Outcome::Failure(FailureKind::ConnectFailed) => self.connect_failed,
            Outcome::Failure(FailureKind::ConnectTimeout) => self.connect_timeout,
            Outcome::Failure(FailureKind::Timeout) => self.timeout,
            Outcome::Failure(FailureKind::Reset | FailureKind::StreamRefused) => self.reset,
            Outcome::Failure(FailureKind::ProtocolError) => self.protocol_error,
            Outcome::Abandoned => Verdict::Ignored,
        }
    }

    fn of_status(&self, status: u16) -> Verdict {
        if self.ignored.contains(status) {
            Verdict::Ignored
        } else if self.failures.contains(status) {
            Verdict::Failure
        } else {
            Verdict::Success
        }
    }

    /// Who names a code means that one, whatever the status says that it shares with others.
    fn of_code(&self, code: Code) -> Verdict {
        if self.ignored_codes.contains(code) {
            Verdict::Ignored
        } else if self.failing_codes.contains(code) {
            Verdict::Failure
        } else {
            self.of_status(code.to_http())
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_judged_by_its_name_and_then_by_what_stands_for_it() {
        let codes = |codes: &[Code]| codes.iter().copied().collect::<CodeSet>();
        let classifier = FailureClassifier {
            failures: StatusSet::class(5),
            ignored: StatusSet::of(&[404, 504]),
            failing_codes: codes(&[Code::ResourceExhausted, Code::DeadlineExceeded, Code::Aborted]),
            ignored_codes: codes(&[Code::Unimplemented, Code::Aborted]),
            ..FailureClassifier::default()
        };
        for code in Code::ALL {
            let expected = match code {
                Code::Unimplemented | Code::Aborted | Code::NotFound => Verdict::Ignored,
                // By name, and by 5xx.
                Code::ResourceExhausted
                | Code::DeadlineExceeded
                | Code::Unknown
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss => Verdict::Failure,
                _ => Verdict::Success,
            };
            assert_eq!(classifier.judge(Outcome::Called(code)), expected, "{code}");
        }
        let by_name_only = FailureClassifier {
            failures: StatusSet::EMPTY,
            failing_codes: codes(&[Code::Unavailable]),
            ..FailureClassifier::default()
        };
        assert_eq!(by_name_only.judge(Outcome::Called(Code::Unavailable)), Verdict::Failure);
        assert_eq!(by_name_only.judge(Outcome::of_status(503)), Verdict::Success, "HTTP's own answer");
    }

    #[test]
    fn sets_of_statuses_hold_what_was_put_in() {
        let set = StatusSet::class(5).with(429).without(501);
        let members: Vec<u16> = (0..=u16::MAX).filter(|status| set.contains(*status)).collect();
        let expected: Vec<u16> =
            [429].into_iter().chain((500..600).filter(|status| *status != 501)).collect();
        assert_eq!(members, expected);
        assert_eq!(StatusSet::of(&[200]).and(&StatusSet::of(&[429])), StatusSet::of(&[200, 429]));
        assert_eq!(StatusSet::class(700), StatusSet::EMPTY, "what is no status is in no set");
    }
}
