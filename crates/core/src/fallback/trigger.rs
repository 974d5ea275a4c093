//! What a chain of fallbacks may be asked for: the ways in which a request gets no good answer, and sets of them.

use std::fmt;

use fuseboard_grpc::{Code, CodeSet};

use crate::classifier::StatusSet;
use crate::refusal::RefusalReason;

/// How a request failed, before a byte of its answer went to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// We refused it.
    Refused(RefusalReason),
    /// No answer came.
    Failed(FailureWord),
    /// The upstream answered with this status.
    Status(u16),
    /// The upstream ended a call of gRPC with this code, and no message came before.
    Called(Code),
}

/// How no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureWord {
    /// The time of the route or of the last try was up.
    Timeout,
    /// There was no connection: refused, unreachable, or not there in time.
    ConnectFailure,
    /// The connection ended before the answer.
    Reset,
    /// What came was not HTTP.
    ProtocolError,
}

impl FailureWord {
    /// Every word, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Timeout, Self::ConnectFailure, Self::Reset, Self::ProtocolError];

    /// The stable token.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectFailure => "connect_failure",
            Self::Reset => "reset",
            Self::ProtocolError => "protocol_error",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => f.write_str(reason.token()),
            Self::Failed(word) => f.write_str(word.token()),
            Self::Status(status) => write!(f, "{status}"),
            Self::Called(code) => write!(f, "{code}"),
        }
    }
}

/// A set of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggers {
    /// By place in [`RefusalReason::ALL`].
    refused: u32,
    /// By place in [`FailureWord::ALL`].
    failed: u8,
    statuses: StatusSet,
    /// Those that are named; a code is among them, too, by the status that stands for it.
    codes: CodeSet,
}

impl Triggers {
    /// None.
    pub const NONE: Self = Self { refused: 0, failed: 0, statuses: StatusSet::EMPTY, codes: CodeSet::EMPTY };

    /// Everything but answers below 500: what is meant where nothing is written.
    pub fn any() -> Self {
        let reasons = Self::reasons().map(Trigger::Refused);
        let mut all: Self = reasons.chain(FailureWord::ALL.map(Trigger::Failed)).collect();
        all.add_statuses(StatusSet::class(5));
        all
    }

    /// The reasons for which a request can be refused that would have got an answer otherwise.
    pub fn reasons() -> impl Iterator<Item = RefusalReason> {
        RefusalReason::ALL.into_iter().filter(|reason| {
            !matches!(reason, RefusalReason::LimitRetries | RefusalReason::LimitDownstreamConnections)
        })
    }

    /// What a word means: `any`, `breaker`, `limit`, a token, a class (`5xx`), a status or a code of gRPC (`UNAVAILABLE`).
    pub fn of_word(word: &str) -> Option<Self> {
        let group = |of: fn(RefusalReason) -> bool| {
            Self::reasons().filter(|reason| of(*reason)).map(Trigger::Refused).collect()
        };
        let class = |class| Self { statuses: StatusSet::class(class), ..Self::NONE };
        Some(match word {
            "any" => Self::any(),
            "breaker" => group(RefusalReason::is_of_breaker),
            "limit" => group(is_of_limit),
            "4xx" => class(4),
            "5xx" => class(5),
            _ => [Self::token(word)?].into_iter().collect(),
        })
    }

    fn token(word: &str) -> Option<Trigger> {
        if let Some(reason) = Self::reasons().find(|reason| reason.token() == word) {
            return Some(Trigger::Refused(reason));
        }
        if let Some(failed) = FailureWord::ALL.into_iter().find(|failed| failed.token() == word) {
            return Some(Trigger::Failed(failed));
        }
        if let Some(code) = Code::of_name(word).filter(|code| code.is_error()) {
            return Some(Trigger::Called(code));
        }
        word.parse().ok().filter(|status| (400..=599).contains(status)).map(Trigger::Status)
    }

    /// The words that mean something, besides statuses.
    pub fn words() -> impl Iterator<Item = &'static str> {
        ["any", "breaker", "limit", "4xx", "5xx"]
            .into_iter()
            .chain(Self::reasons().map(RefusalReason::token))
            .chain(FailureWord::ALL.into_iter().map(FailureWord::token))
            .chain(Code::errors().map(Code::name))
    }

    /// Everything of `other` too.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.refused |= other.refused;
        self.failed |= other.failed;
        self.statuses = self.statuses.and(&other.statuses);
        self.codes = self.codes.and(other.codes);
        self
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.or(*other) == *self
    }

    /// Adds one.
    pub fn add(&mut self, trigger: Trigger) {
        match trigger {
            Trigger::Refused(reason) => self.refused |= bit(reason),
            Trigger::Failed(word) => self.failed |= 1 << word as u8,
            Trigger::Status(status) => self.statuses = self.statuses.with(status),
            Trigger::Called(code) => self.codes = self.codes.with(code),
        }
    }

    /// Adds answers.
    pub fn add_statuses(&mut self, statuses: StatusSet) {
        self.statuses = self.statuses.and(&statuses);
    }

    /// Whether `trigger` is among them.
    pub fn contains(&self, trigger: Trigger) -> bool {
        match trigger {
            Trigger::Refused(reason) => self.refused & bit(reason) != 0,
            Trigger::Failed(word) => self.failed & (1 << word as u8) != 0,
            Trigger::Status(status) => self.statuses.contains(status),
            Trigger::Called(code) => self.codes.contains(code) || self.statuses.contains(code.to_http()),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The answers among them.
    pub const fn statuses(&self) -> &StatusSet {
        &self.statuses
    }

    /// The codes of gRPC among them that are named.
    pub const fn codes(&self) -> CodeSet {
        self.codes
    }

    /// Whether some call of gRPC can end so that it is among them.
    pub fn has_calls(&self) -> bool {
        Code::errors().any(|code| self.contains(Trigger::Called(code)))
    }
}

impl FromIterator<Trigger> for Triggers {
    fn from_iter<I: IntoIterator<Item = Trigger>>(triggers: I) -> Self {
        let mut set = Self::NONE;
        triggers.into_iter().for_each(|trigger| set.add(trigger));
        set
    }
}

fn is_of_limit(reason: RefusalReason) -> bool {
    reason.token().starts_with("limit.")
}

fn bit(reason: RefusalReason) -> u32 {
    RefusalReason::ALL.iter().position(|other| *other == reason).map_or(0, |place| 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let all: Vec<_> = Triggers::reasons()
            .map(Trigger::Refused)
            .chain(FailureWord::ALL.into_iter().map(Trigger::Failed))
            .chain([429, 500, 599].map(Trigger::Status))
            .collect();
        for one in &all {
            let mut set = Triggers::NONE;
            assert!(set.is_empty());
            set.add(*one);
            for other in &all {
                assert_eq!(set.contains(*other), one == other, "{one} and {other}");
            }
        }
    }

    #[test]
    fn each_trigger_reads_back_from_its_words() {
        for trigger in [
            Trigger::Refused(RefusalReason::NoHealthy),
            Trigger::Failed(FailureWord::ConnectFailure),
            Trigger::Status(503),
            Trigger::Called(Code::Unavailable),
        ] {
            let read = Triggers::of_word(&trigger.to_string()).unwrap();
            assert_eq!(read, [trigger].into_iter().collect(), "{trigger}");
        }
        assert_eq!(
            FailureWord::ALL.map(FailureWord::token),
            ["timeout", "connect_failure", "reset", "protocol_error"]
        );
        for word in ["any", "breaker", "limit", "4xx", "5xx", "limit.queue_full", "timeout", "UNAVAILABLE"] {
            assert!(Triggers::words().any(|known| known == word), "{word}");
        }
    }

    #[test]
    fn each_word_means_something_and_no_other_word_does() {
        for word in Triggers::words() {
            assert!(Triggers::of_word(word).is_some_and(|set| !set.is_empty()), "{word}");
        }
        let limit = Triggers::of_word("limit").unwrap();
        let breaker = Triggers::of_word("breaker").unwrap();
        for reason in Triggers::reasons() {
            let of_breaker = reason.token().starts_with("breaker.");
            assert_eq!(breaker.contains(Trigger::Refused(reason)), of_breaker, "{reason:?}");
        }
        let named = Triggers::of_word("RESOURCE_EXHAUSTED").unwrap();
        assert!(named.contains(Trigger::Called(Code::ResourceExhausted)));
        assert!(!named.contains(Trigger::Called(Code::Unavailable)) && !named.contains(Trigger::Status(429)));
        let status = Triggers::of_word("503").unwrap();
        assert!(status.contains(Trigger::Called(Code::Unavailable)), "which 503 stands for");
        assert!(status.has_calls() && named.has_calls() && !limit.has_calls());
        assert!(limit.contains(Trigger::Refused(RefusalReason::LimitQueueFull)));
        assert!(!limit.contains(Trigger::Refused(RefusalReason::NoHealthy)));
        assert!(Triggers::of_word("404").unwrap().contains(Trigger::Status(404)));
        for word in ["", "2xx", "200", "600", "limit.retries", "timeouts", "OK", "unavailable"] {
            assert_eq!(Triggers::of_word(word), None, "{word}");
        }
        assert!(Triggers::any().covers(&limit) && !limit.covers(&Triggers::any()));
    }

    #[test]
    fn any_is_every_failure_and_no_answer_below_500() {
        let any = Triggers::any();
        assert!(any.contains(Trigger::Refused(RefusalReason::BreakerOpen)));
        assert!(any.contains(Trigger::Status(500)) && !any.contains(Trigger::Status(499)));
        assert!(!any.contains(Trigger::Refused(RefusalReason::LimitRetries)), "the earlier answer stands");
    }
}
