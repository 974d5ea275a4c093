//! The breaker of a cluster: the numbers in force, and where each of them was written.

use std::time::Duration;

use fuseboard_core::breaker::{BreakerPolicy, Cause, Mode, WindowPolicy};

use crate::failures::ClassifierSetting;
use crate::provenance::{Provenance, ResourceRef};

/// What all `CircuitBreaker`s for a cluster make together, field by field: subset before port before service before `*`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterBreaker {
    /// What one breaker watches over.
    pub scope: BreakerScope,
    /// What the breaker goes by; a field that nobody wrote is at its default.
    pub policy: BreakerPolicy,
    /// The resources that say something, the closest first; never empty.
    pub rules: Vec<ResourceRef>,
    /// Where each setting was written; settings at their default are absent.
    pub provenance: Provenance<BreakerSetting>,
}

/// What one breaker watches over. A cluster has one breaker or one for each endpoint, never both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BreakerScope {
    /// All calls to the cluster.
    #[default]
    Destination,
    /// The calls to one endpoint.
    Endpoint,
}

impl BreakerScope {
    /// The word, as one writes it.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Endpoint => "endpoint",
        }
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])* $variant:ident = $path:literal;)*) => {
        /// Settings of a breaker whose place is remembered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum BreakerSetting {
            $($(#[doc = $doc])* $variant,)*
        }

        impl BreakerSetting {
            /// Every setting, in the order in which one writes them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its field below `spec`, as the user writes it: `trip.consecutiveFailures`.
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }
        }
    };
}

settings! {
    /// Whether decisions are acted on.
    Mode = "mode";
    /// What one breaker watches over.
    Scope = "scope";
    /// So many failures with no success between them.
    ConsecutiveFailures = "trip.consecutiveFailures";
    /// The share of failures.
    FailurePercent = "trip.failurePercent";
    /// The share of slow calls.
    SlowPercent = "trip.slowPercent";
    /// What a slow call is.
    SlowerThan = "trip.slowerThan";
    /// A number of failures …
    FailuresCount = "trip.failures.count";
    /// … in this time.
    FailuresWithin = "trip.failures.within";
    /// The smallest number of calls that percentages are computed of.
    MinimumCalls = "trip.minimumCalls";
    /// A window of calls.
    WindowCalls = "window.calls";
    /// A window of time.
    WindowTime = "window.time";
    /// Answers that are failures.
    Statuses = "failures.statuses";
    /// Answers that say nothing.
    IgnoredStatuses = "failures.ignoredStatuses";
    /// Connections that were refused.
    ConnectFailures = "failures.connectFailures";
    /// Connections that were not there in time.
    ConnectTimeouts = "failures.connectTimeouts";
    /// Answers that were not there in time.
    Timeouts = "failures.timeouts";
    /// Connections that ended before the answer.
    Resets = "failures.resets";
    /// Answers that were not HTTP.
    ProtocolErrors = "failures.protocolErrors";
    /// How long it is open at first.
    OpenFor = "open.openFor";
    /// How much longer the next time.
    Factor = "open.factor";
    /// How long at most.
    MaxOpenFor = "open.maxOpenFor";
    /// The random part of it.
    JitterPercent = "open.jitterPercent";
    /// How fast the next time gets shorter again.
    Decay = "open.decay";
    /// Probes at a time.
    Probes = "halfOpen.probes";
    /// Good probes that close it.
    Successes = "halfOpen.successes";
    /// How long a probe keeps its place.
    Lease = "halfOpen.lease";
    /// How long to wait for the result of any probe.
    Patience = "halfOpen.patience";
    /// How long traffic takes to come back.
    RampFor = "ramp.rampFor";
    /// The share of failures that opens it again meanwhile.
    RampFailurePercent = "ramp.failurePercent";
    /// The smallest number of calls that this share is computed of.
    RampMinimumCalls = "ramp.minimumCalls";
}

impl BreakerSetting {
    /// The breaker's own name of a setting of its classifier.
    pub const fn of_classifier(setting: ClassifierSetting) -> Self {
        match setting {
            ClassifierSetting::Statuses => Self::Statuses,
            ClassifierSetting::IgnoredStatuses => Self::IgnoredStatuses,
            ClassifierSetting::ConnectFailures => Self::ConnectFailures,
            ClassifierSetting::ConnectTimeouts => Self::ConnectTimeouts,
            ClassifierSetting::Timeouts => Self::Timeouts,
            ClassifierSetting::Resets => Self::Resets,
            ClassifierSetting::ProtocolErrors => Self::ProtocolErrors,
        }
    }

    /// The setting that decides where a state changes because of `cause`; `None` where no rule does.
    pub const fn deciding(cause: &Cause) -> Option<Self> {
        match cause {
            Cause::ConsecutiveFailures { .. } => Some(Self::ConsecutiveFailures),
            Cause::Failures { .. } => Some(Self::FailuresCount),
            Cause::FailurePercent(_) => Some(Self::FailurePercent),
            Cause::SlowPercent(_) => Some(Self::SlowPercent),
            Cause::RampFailed { .. } => Some(Self::RampFailurePercent),
            Cause::ProbeSlow => Some(Self::SlowerThan),
            Cause::ProbesLost => Some(Self::Patience),
            Cause::OpenTimeOver => Some(Self::OpenFor),
            Cause::ProbesSucceeded { .. } => Some(Self::Successes),
            Cause::RampCompleted => Some(Self::RampFor),
            Cause::Disabled => Some(Self::Mode),
            Cause::Started
            | Cause::ProbeFailed
            | Cause::Forced(_)
            | Cause::OverrideEnded(_)
            | Cause::Reset { .. } => None,
        }
    }
}

impl ClusterBreaker {
    /// The value in force, as one would write it; `None`: off, or replaced by another field (a window of time by one of
    /// calls).
    pub fn value(&self, setting: BreakerSetting) -> Option<String> {
        let BreakerPolicy { classifier, trip, open, half_open, ramp, .. } = &self.policy;
        Some(match setting {
            BreakerSetting::Mode => mode(self.policy.mode).to_owned(),
            BreakerSetting::Scope => self.scope.token().to_owned(),
            BreakerSetting::ConsecutiveFailures => trip.consecutive_failures?.to_string(),
            BreakerSetting::FailurePercent => trip.failure_percent?.get().to_string(),
            BreakerSetting::SlowPercent => trip.slow?.percent.get().to_string(),
            BreakerSetting::SlowerThan => time(trip.slow?.slower_than),
            BreakerSetting::FailuresCount => trip.failures?.count.to_string(),
            BreakerSetting::FailuresWithin => time(trip.failures?.within),
            BreakerSetting::MinimumCalls => trip.minimum_calls.to_string(),
            BreakerSetting::WindowCalls => match self.policy.window {
                WindowPolicy::Calls(calls) => calls.to_string(),
                WindowPolicy::Time { .. } => return None,
            },
            BreakerSetting::WindowTime => match self.policy.window {
                WindowPolicy::Time { length, .. } => time(length),
                WindowPolicy::Calls(_) => return None,
            },
            BreakerSetting::Statuses => ClassifierSetting::Statuses.value(classifier),
            BreakerSetting::IgnoredStatuses => ClassifierSetting::IgnoredStatuses.value(classifier),
            BreakerSetting::ConnectFailures => ClassifierSetting::ConnectFailures.value(classifier),
            BreakerSetting::ConnectTimeouts => ClassifierSetting::ConnectTimeouts.value(classifier),
            BreakerSetting::Timeouts => ClassifierSetting::Timeouts.value(classifier),
            BreakerSetting::Resets => ClassifierSetting::Resets.value(classifier),
            BreakerSetting::ProtocolErrors => ClassifierSetting::ProtocolErrors.value(classifier),
            BreakerSetting::OpenFor => time(open.open_for),
            BreakerSetting::Factor => open.factor.to_string(),
            BreakerSetting::MaxOpenFor => time(open.max_open_for),
            BreakerSetting::JitterPercent => open.jitter_percent.to_string(),
            BreakerSetting::Decay => time(open.decay),
            BreakerSetting::Probes => half_open.probes.to_string(),
            BreakerSetting::Successes => half_open.successes.to_string(),
            BreakerSetting::Lease => time(half_open.lease),
            BreakerSetting::Patience => time(half_open.patience),
            BreakerSetting::RampFor => time(ramp.ramp_for),
            BreakerSetting::RampFailurePercent => ramp.failure_percent.get().to_string(),
            BreakerSetting::RampMinimumCalls => ramp.minimum_calls.to_string(),
        })
    }
}

/// The word of a mode.
const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
        Mode::Disabled => "disabled",
    }
}

fn time(time: Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_a_path_of_its_own() {
        let mut paths: Vec<_> = BreakerSetting::ALL.iter().map(|setting| setting.path()).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), BreakerSetting::ALL.len());
    }
}
