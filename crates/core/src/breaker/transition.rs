//! What a breaker says: its state, why the state changed, and why a call was refused. Logging and counting are the adapter's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Tally;
use crate::time::Instant;

/// Nygard's three states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Traffic flows, perhaps in growing parts after a trip.
    Closed,
    /// Traffic stops.
    Open,
    /// Some calls are let through to see how the destination is.
    HalfOpen,
}

impl State {
    /// Every state, in the order of the gauge's values 0, 1, 2.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The stable word.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Why a breaker is in the state in which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is new, or was switched on.
    Started,
    /// So many failures with no success between them.
    ConsecutiveFailures {
        /// The streak.
        count: u32,
    },
    /// So many failures in the time of the policy.
    Failures {
        /// How many.
        count: u32,
    },
    /// Too many calls of the window failed.
    FailurePercent(Tally),
    /// Too many calls of the window were slow.
    SlowPercent(Tally),
    /// Too many calls since the ramp began failed or were slow.
    RampFailed {
        /// Calls since it began.
        calls: u64,
        /// Those that failed or were slow.
        bad: u64,
    },
    /// A probe failed.
    ProbeFailed,
    /// A probe was slow, perhaps still is in flight.
    ProbeSlow,
    /// No probe came back with a result in time.
    ProbesLost,
    /// The open time was over when a call came.
    OpenTimeOver,
    /// So many good probes.
    ProbesSucceeded {
        /// How many.
        count: u32,
    },
    /// The ramp has come to its end.
    RampCompleted,
    /// Somebody ordered it.
    Forced(Override),
    /// An override has run out or was lifted.
    OverrideEnded(Override),
    /// Somebody set it back.
    Reset {
        /// As given by whoever did it.
        reason: Arc<str>,
    },
    /// The policy was switched off.
    Disabled,
}

impl Cause {
    /// The stable token, for labels and logs.
    pub const fn token(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ConsecutiveFailures { .. } => "consecutive_failures",
            Self::Failures { .. } => "failures",
            Self::FailurePercent(_) => "failure_percent",
            Self::SlowPercent(_) => "slow_percent",
            Self::RampFailed { .. } => "ramp_failed",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSlow => "probe_slow",
            Self::ProbesLost => "probes_lost",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbesSucceeded { .. } => "probes_succeeded",
            Self::RampCompleted => "ramp_completed",
            Self::Forced(_) => "forced",
            Self::OverrideEnded(_) => "override_ended",
            Self::Reset { .. } => "reset",
            Self::Disabled => "disabled",
        }
    }

    /// The share in percent that was measured, where the cause is one.
    pub fn measured_percent(&self) -> Option<f64> {
        let (part, whole) = match self {
            Self::FailurePercent(tally) => (tally.failures, tally.calls),
            Self::SlowPercent(tally) => (tally.slow, tally.calls),
            Self::RampFailed { calls, bad } => (*bad, *calls),
            _ => return None,
        };
        Some(100.0 * part as f64 / whole.max(1) as f64)
    }
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after. `from` and `to` are the same when a ramp completes, or an override takes the place of the same state.
    pub to: State,
    /// When.
    pub at: Instant,
    /// Why.
    pub cause: Cause,
    /// Until when it is open, if it is.
    pub open_until: Option<Instant>,
    /// Nothing is refused because of it: the policy's mode is shadow.
    pub shadow: bool,
}

impl Transition {
    /// Whether it may matter to who is sent there. What a shadow does on its own never does.
    pub const fn takes_effect(&self) -> bool {
        !self.shadow || matches!(self.cause, Cause::OverrideEnded(_) | Cause::Reset { .. })
    }
}

/// The changes of state that one call brought about, in order; mostly none.
pub type Transitions = Vec<Transition>;

/// What an override does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Force {
    /// Every call is refused, in every mode. Half-open afterwards, as after any open time.
    Open,
    /// No call is refused and no outcome counts. Closed with nothing remembered afterwards.
    Closed,
}

/// An order that stands above the policy for a time (P43). Runs out by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// What it does.
    pub force: Force,
    /// When it runs out.
    pub until: Instant,
    /// Why, as given by whoever ordered it.
    pub reason: Arc<str>,
    /// Who ordered it, as far as they said; empty where they did not.
    pub by: Arc<str>,
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedBy {
    /// The breaker is open.
    Open,
    /// It is half-open, and all probes are out.
    ProbeBusy,
    /// It has closed lately, and this call is not in the part of the traffic that is let through.
    Ramp,
}

impl RefusedBy {
    /// The stable token.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Open => "breaker.open",
            Self::ProbeBusy => "breaker.probe_busy",
            Self::Ramp => "breaker.ramp",
        }
    }
}

/// A call was refused; its outcome is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub by: RefusedBy,
    /// When another call may be let through: for `Retry-After`. With probes out, when the first would be given up at the
    /// latest; on the ramp, its next step.
    pub retry_after: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_word() {
        assert_eq!(State::ALL.map(|state| state.to_string()), ["closed", "open", "half_open"]);
    }

    #[test]
    fn a_share_that_was_measured_is_told_in_percent() {
        let tally = Tally { calls: 8, failures: 6, slow: 2 };
        let causes = [
            (Cause::FailurePercent(tally), Some(75.0)),
            (Cause::SlowPercent(tally), Some(25.0)),
            (Cause::RampFailed { calls: 4, bad: 2 }, Some(50.0)),
            (Cause::FailurePercent(Tally::default()), Some(0.0)),
            (Cause::ProbeFailed, None),
        ];
        for (cause, percent) in causes {
            assert_eq!(cause.measured_percent(), percent, "{cause:?}");
        }
    }
}
