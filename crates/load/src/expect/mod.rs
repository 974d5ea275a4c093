//! What a run is expected to show: `code 503 between 10% and 90%`, `p99 < 50ms`, `refused limit.queue_full == stat`.
//! Pure: `parse` reads the grammar, `judge` compares with what was measured, `junit` writes verdicts for a build
//! server. Reading a proxy's counters is the binary's.

mod judge;
mod junit;
mod parse;
mod stat;

use std::fmt;
use std::ops::Range;

use fuseboard_core::refusal::RefusalReason;

pub(crate) use judge::Measured;
pub use judge::Verdict;
pub use junit::junit;
pub use stat::{StatQuery, Stats};

/// One sentence about the result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    text: String,
    measure: Measure,
    condition: Condition,
}

impl Expectation {
    /// Reads one expectation; the grammar stands in `docs/load-testing.md`.
    pub fn parse(text: &str) -> Result<Self, ExpectationError> {
        let (measure, condition) = parse::parse(text)?;
        Ok(Self { text: text.trim().to_owned(), measure, condition })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The counters of the proxy that are needed to judge.
    pub fn stats(&self) -> impl Iterator<Item = &StatQuery> {
        let measured = if let Measure::Stat(query) = &self.measure { Some(query) } else { None };
        let compared = if let Condition::Stat(_, query) = &self.condition { Some(query) } else { None };
        measured.into_iter().chain(compared)
    }

    /// Speaks about when calls were due, which a run without a rate does not know.
    pub(crate) fn needs_rate(&self) -> bool {
        matches!(self.measure, Measure::Latency(_, Since::Due))
    }
}

/// Where an expectation is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectationError {
    text: String,
    /// In bytes of `text`.
    place: Range<usize>,
    message: String,
}

impl fmt::Display for ExpectationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: &str| text.chars().count();
        let before = width(&self.text[..self.place.start]);
        let marked = width(&self.text[self.place.clone()]).max(1);
        write!(f, "{}\n  {}\n  {}{}", self.message, self.text, " ".repeat(before), "^".repeat(marked))
    }
}

impl std::error::Error for ExpectationError {}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
enum Measure {
    /// A number of calls, also comparable as a share of all.
    Calls(Which),
    Latency(Statistic, Since),
    /// Calls per second.
    Rate,
    /// Sockets opened.
    Sockets,
    /// Calls that were due and not made.
    Missed,
    /// By how much counters of the proxy rose.
    Stat(StatQuery),
}

/// Which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Neither 2xx nor 418.
    Errors,
    Code(i32),
    /// `5xx` is 5.
    Class(i32),
    /// By our proxy, for any reason.
    Refused,
    RefusedFor(RefusalReason),
    Overloaded,
    /// Waited at the bound of calls in flight.
    Held,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Statistic {
    Percentile(f64),
    Min,
    Average,
    Max,
}

/// From when a latency is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Sent,
    Due,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Compare(Operator, Bound),
    /// Both ends belong to it.
    Between(Bound, Bound),
    /// With what the proxy counted.
    Stat(Operator, StatQuery),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Operator {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Equal, "=="),
        (Self::NotEqual, "!="),
        (Self::Less, "<"),
        (Self::AtMost, "<="),
        (Self::More, ">"),
        (Self::AtLeast, ">="),
    ];

    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

/// A value to compare with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    Count(u64),
    /// Of all calls.
    Percent(f64),
    Seconds(f64),
    PerSecond(f64),
}
