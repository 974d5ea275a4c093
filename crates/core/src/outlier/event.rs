//! What the detector did, in the terms of Envoy's event log and counters. Writing the log line and adding to the counters is the adapter's.

use std::sync::Arc;
use std::time::Duration;

use super::{DetectionKind, Rate, Volume};
use crate::time::Instant;

/// Something happened to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierEvent {
    /// The host's identity, as given to its monitor.
    pub host: Arc<str>,
    /// What happened.
    pub action: OutlierAction,
    /// How often the host was ejected so far, this time included. Envoy's `num_ejections`.
    pub num_ejections: u32,
    /// For a detection the time since the host's last return, for a return the time since its ejection; `None` the first time.
    /// Envoy's `secs_since_last_action`.
    pub since_last_action: Option<Duration>,
    /// Of a detection by rates: what they were.
    pub evidence: Option<RateEvidence>,
}

/// What a detector of rates saw of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateEvidence {
    /// What the host did in the interval.
    pub volume: Volume,
    /// What the others did, where that decided: success rate.
    pub bar: Option<SuccessBar>,
}

/// What the success rates of a cluster's hosts were in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessBar {
    /// Their mean.
    pub average: Rate,
    /// Hosts below it are outliers.
    pub threshold: Rate,
}

/// What happened to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutlierAction {
    /// Taken out of rotation.
    Ejected {
        /// By this detector.
        by: DetectionKind,
        /// The first sweep at or after this instant returns it.
        due: Instant,
    },
    /// Detected, but the enforcing percentage let it stay.
    NotEnforced {
        /// By this detector.
        by: DetectionKind,
    },
    /// Detected, but one more ejection would pass `maxEjectionPercent`. Not in Envoy's event log; its counter is `ejections_overflow`.
    Blocked {
        /// By this detector.
        by: DetectionKind,
        /// Hosts already ejected of those that the percentage is taken of.
        ejected: u32,
        /// The hosts that the percentage is taken of.
        hosts: u32,
    },
    /// Back in rotation.
    Returned {
        /// The detector that had ejected it.
        by: DetectionKind,
    },
}

impl OutlierAction {
    /// The detector that fired; of a return, the one that had ejected the host.
    pub const fn detector(&self) -> DetectionKind {
        match *self {
            Self::Ejected { by, .. }
            | Self::NotEnforced { by }
            | Self::Blocked { by, .. }
            | Self::Returned { by } => by,
        }
    }
}

impl OutlierEvent {
    /// Envoy's `action`; `None`: Envoy's event log has no line for it.
    pub const fn logged_action(&self) -> Option<&'static str> {
        match self.action {
            OutlierAction::Ejected { .. } | OutlierAction::NotEnforced { .. } => Some("EJECT"),
            OutlierAction::Returned { .. } => Some("UNEJECT"),
            OutlierAction::Blocked { .. } => None,
        }
    }

    /// Envoy's `type`; of a return that of its ejection, where Envoy always prints the enum's zero value (difference D30).
    pub const fn logged_type(&self) -> &'static str {
        self.action.detector().event_type()
    }

    /// Envoy's `enforced`; false for returns, as Envoy prints it.
    pub const fn is_enforced(&self) -> bool {
        matches!(self.action, OutlierAction::Ejected { .. })
    }

    /// The counters that grow by one. The gauge `ejections_active` is read from [`super::OutlierDetector::ejected`].
    pub fn counters(&self) -> impl Iterator<Item = OutlierCounter> {
        use OutlierCounter as C;
        let by = self.action.detector();
        let counts = |when: bool, counter: C| when.then_some(counter);
        let (ejected, blocked, detected) = match self.action {
            OutlierAction::Ejected { .. } => (true, false, true),
            OutlierAction::Blocked { .. } => (false, true, true),
            OutlierAction::NotEnforced { .. } => (false, false, true),
            OutlierAction::Returned { .. } => (false, false, false),
        };
        // Envoy's deprecated counters know two of its detectors.
        let deprecated = match by {
            DetectionKind::Consecutive5xx => Some(C::Consecutive5xx),
            DetectionKind::SuccessRate | DetectionKind::LocalOriginSuccessRate => Some(C::SuccessRate),
            _ => None,
        };
        let in_total = matches!(by, DetectionKind::Consecutive5xx | DetectionKind::SuccessRate);
        [
            counts(detected, C::Detected(by)),
            deprecated.filter(|_| detected),
            counts(detected && in_total && !blocked, C::Total),
            counts(blocked, C::Overflow),
            counts(ejected, C::EnforcedTotal),
            counts(ejected, C::Enforced(by)),
        ]
        .into_iter()
        .flatten()
    }
}

/// The counters of `cluster.<name>.outlier_detection.` that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutlierCounter {
    /// Deprecated twin of `ejections_detected_consecutive_5xx`.
    Consecutive5xx,
    /// Deprecated twin of the two detections by success rate.
    SuccessRate,
    /// Deprecated: detections by 5xx or success rate that the percentage allowed, enforced or not.
    Total,
    /// Detections that `maxEjectionPercent` blocked.
    Overflow,
    /// Ejections carried out.
    EnforcedTotal,
    /// Detections by this detector.
    Detected(DetectionKind),
    /// Ejections carried out for this detector.
    Enforced(DetectionKind),
}
