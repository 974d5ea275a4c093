//! What happens to a cluster, as JSON and in words: for `/fuseboard/v1/breakers`, which has what happened lately, and for
//! `/fuseboard/v1/events`. Fields are only ever added.

use std::net::SocketAddr;

use fuseboard_core::breaker::{Cause, Force, Override, Transition};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::Setting;
use serde::{Deserialize, Serialize};

use crate::refusals::{millis, timestamp};
use crate::status::{HistoryEvent, HistoryRecord, OverrideEnd};

/// Something that happened to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When; RFC 3339, UTC, milliseconds.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A breaker changed.
    Breaker {
        /// The address of the endpoint whose breaker it is; absent: that of the whole cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// The state before.
        from: String,
        /// The state after.
        to: String,
        /// Why.
        cause: Reason,
        /// How long it was to be open; null unless it opened.
        open_for_ms: Option<u64>,
        /// Nothing is refused because of it.
        shadow: bool,
    },
    /// A host was taken out of rotation.
    Ejected {
        /// Its address.
        host: String,
        /// What found it, in Envoy's spelling.
        cause: Reason,
        /// How often it was ejected so far.
        number: u32,
        /// For how long, at least.
        time_ms: u64,
    },
    /// A host is back.
    Returned {
        /// Its address.
        host: String,
    },
    /// A host would have been taken out of rotation, but too many are.
    EjectionRefused {
        /// Its address.
        host: String,
        /// What found it, in Envoy's spelling; the words have the arithmetic.
        cause: Reason,
        /// Hosts that are out.
        ejected: u32,
        /// The hosts that the percentage is taken of.
        hosts: u32,
        /// `maxEjectionPercent`
        max_percent: u32,
        /// How often that happened since it was last told.
        more: u32,
    },
    /// A limit has begun to refuse.
    LimitReached {
        /// Its token is that of the refusals: `limit.queue_full`.
        cause: Reason,
        /// The limit's field; null where there is none.
        setting: Option<String>,
        /// Its bound; null where it is not a number.
        bound: Option<u32>,
    },
    /// A limit has not refused anybody for a second.
    LimitLeft {
        /// Its token is that of the refusals.
        cause: Reason,
        /// How many it refused.
        refused: u64,
        /// Milliseconds from the first to the last of them.
        lasted_ms: u64,
    },
    /// Somebody holds the breaker open or closed.
    OverrideSet {
        /// The endpoint whose breaker it is; absent for that of all calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// `open` or `closed`.
        force: String,
        /// For so many milliseconds.
        time_ms: u64,
        /// As given by whoever ordered it.
        reason: String,
        /// Who, as far as they said.
        by: String,
    },
    /// Nobody does any more.
    OverrideEnded {
        /// The endpoint whose breaker it was; absent for that of all calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// `open` or `closed`.
        force: String,
        /// `expired`, `reset` or `replaced`.
        how: String,
        /// The reason of the order that ended.
        reason: String,
        /// Who had given it, as far as they said.
        by: String,
    },
}

/// Why something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable token: `consecutive_failures`.
    pub token: String,
    /// In words, with what was measured.
    pub words: String,
}

impl Event {
    pub(crate) fn of(record: &HistoryRecord) -> Self {
        Self { at: timestamp(record.at), what: What::of(&record.event) }
    }
}

impl What {
    fn of(event: &HistoryEvent) -> Self {
        match event {
            HistoryEvent::Breaker { endpoint, change } => Self::of_change(*endpoint, change),
            HistoryEvent::Ejected { address, detector, number, time } => Self::Ejected {
                host: address.to_string(),
                cause: Reason::of_detector(detector),
                number: *number,
                time_ms: millis(*time),
            },
            HistoryEvent::Returned { address } => Self::Returned { host: address.to_string() },
            HistoryEvent::EjectionRefused { address, detector, ejected, hosts, max_percent, more } => {
                let found = Reason::of_detector(detector);
                let sum = format!("{ejected} of {hosts} hosts are out, one more is over {max_percent} %");
                Self::EjectionRefused {
                    host: address.to_string(),
                    cause: Reason { words: format!("{}; {sum}", found.words), ..found },
                    ejected: *ejected,
                    hosts: *hosts,
                    max_percent: *max_percent,
                    more: *more,
                }
            }
            HistoryEvent::LimitReached { reason, bound } => Self::LimitReached {
                cause: Reason::of_refusal(*reason),
                setting: Setting::deciding(*reason).map(|setting| setting.field().to_owned()),
                bound: *bound,
            },
            HistoryEvent::LimitLeft { reason, refused, lasted } => Self::LimitLeft {
                cause: Reason::of_refusal(*reason),
                refused: *refused,
                lasted_ms: millis(*lasted),
            },
            HistoryEvent::OverrideSet { endpoint, order, time } => Self::OverrideSet {
                host: endpoint.map(|address| address.to_string()),
                force: force_word(order.force).to_owned(),
                time_ms: millis(*time),
                reason: order.reason.to_string(),
                by: order.by.to_string(),
            },
            HistoryEvent::OverrideEnded { endpoint, order, how } => Self::of_end(*endpoint, order, *how),
        }
    }

    fn of_change(endpoint: Option<SocketAddr>, change: &Transition) -> Self {
        Self::Breaker {
            host: endpoint.map(|address| address.to_string()),
            from: change.from.token().to_owned(),
            to: change.to.token().to_owned(),
            cause: Reason::of(&change.cause),
            open_for_ms: change.open_until.map(|until| millis(until.saturating_since(change.at))),
            shadow: change.shadow,
        }
    }

    fn of_end(endpoint: Option<SocketAddr>, order: &Override, how: OverrideEnd) -> Self {
        let how = match how {
            OverrideEnd::Expired => "expired",
            OverrideEnd::Reset => "reset",
            OverrideEnd::Replaced => "replaced",
        };
        Self::OverrideEnded {
            host: endpoint.map(|address| address.to_string()),
            force: force_word(order.force).to_owned(),
            how: how.to_owned(),
            reason: order.reason.to_string(),
            by: order.by.to_string(),
        }
    }
}

pub(crate) const fn force_word(force: Force) -> &'static str {
    match force {
        Force::Open => "open",
        Force::Closed => "closed",
    }
}

impl Reason {
    fn of_detector(detector: &str) -> Self {
        Self { token: detector.to_owned(), words: detector.to_lowercase().replace('_', " ") }
    }

    fn of_refusal(reason: RefusalReason) -> Self {
        Self { token: reason.token().to_owned(), words: reason.meaning().to_owned() }
    }

    pub(crate) fn of(cause: &Cause) -> Self {
        Self { token: cause.token().to_owned(), words: cause_words(cause) }
    }
}

/// Why a breaker is in its state, as a sentence of a log has it.
pub fn cause_words(cause: &Cause) -> String {
    let percent = || cause.measured_percent().unwrap_or_default();
    match cause {
        Cause::Started => "it is new".to_owned(),
        Cause::ConsecutiveFailures { count } => format!("{count} failures in a row"),
        Cause::Failures { count } => format!("{count} failures in a short time"),
        Cause::FailurePercent(tally) => format!("{:.0} % of {} calls failed", percent(), tally.calls),
        Cause::SlowPercent(tally) => format!("{:.0} % of {} calls were slow", percent(), tally.calls),
        Cause::RampFailed { calls, .. } => {
            format!("{:.0} % of {calls} calls failed or were slow while traffic came back", percent())
        }
        Cause::ProbeFailed => "a probe failed".to_owned(),
        Cause::ProbeSlow => "a probe was slow".to_owned(),
        Cause::ProbesLost => "no probe came back in time".to_owned(),
        Cause::OpenTimeOver => "the open time is over".to_owned(),
        Cause::ProbesSucceeded { count: 1 } => "a good probe".to_owned(),
        Cause::ProbesSucceeded { count } => format!("{count} good probes"),
        Cause::RampCompleted => "all traffic is back".to_owned(),
        Cause::Forced(order) => match order.force {
            Force::Open => format!("opened by hand: {}", order.reason),
            Force::Closed => format!("closed by hand: {}", order.reason),
        },
        Cause::OverrideEnded(order) => match order.force {
            Force::Open => "opening by hand has ended".to_owned(),
            Force::Closed => "closing by hand has ended".to_owned(),
        },
        Cause::Reset { reason } if reason.is_empty() => "reset by hand".to_owned(),
        Cause::Reset { reason } => format!("reset by hand: {reason}"),
        Cause::Disabled => "switched off".to_owned(),
    }
}
