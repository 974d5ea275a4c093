//! What the detector did, in the terms of Envoy's event log and counters. Writing the log line and adding to the counters is the adapter's.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Instant;

/// Which detector fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DetectionKind {
    /// 5xx in a row.
    Consecutive5xx,
    /// 502, 503 and 504 in a row.
    ConsecutiveGatewayFailure,
    /// Local failures in a row, with `splitExternalLocalOriginErrors`.
    ConsecutiveLocalOriginFailure,
}

impl DetectionKind {
    /// Every kind.
    pub const ALL: [Self; 3] =
        [Self::Consecutive5xx, Self::ConsecutiveGatewayFailure, Self::ConsecutiveLocalOriginFailure];

    /// The `type` in Envoy's event log.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "CONSECUTIVE_5XX",
            Self::ConsecutiveGatewayFailure => "CONSECUTIVE_GATEWAY_FAILURE",
            Self::ConsecutiveLocalOriginFailure => "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
        }
    }
}

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
    pub const fn counters(&self) -> &'static [OutlierCounter] {
        use DetectionKind as D;
        use OutlierCounter as C;
        match self.action {
            OutlierAction::Returned { .. } => &[],
            OutlierAction::Blocked { by, .. } => match by {
                D::Consecutive5xx => &[C::DetectedConsecutive5xx, C::Consecutive5xx, C::Overflow],
                D::ConsecutiveGatewayFailure => &[C::DetectedConsecutiveGatewayFailure, C::Overflow],
                D::ConsecutiveLocalOriginFailure => &[C::DetectedConsecutiveLocalOriginFailure, C::Overflow],
            },
            OutlierAction::NotEnforced { by } => match by {
                D::Consecutive5xx => &[C::DetectedConsecutive5xx, C::Consecutive5xx, C::Total],
                D::ConsecutiveGatewayFailure => &[C::DetectedConsecutiveGatewayFailure],
                D::ConsecutiveLocalOriginFailure => &[C::DetectedConsecutiveLocalOriginFailure],
            },
            OutlierAction::Ejected { by, .. } => match by {
                D::Consecutive5xx => &[
                    C::DetectedConsecutive5xx,
                    C::Consecutive5xx,
                    C::Total,
                    C::EnforcedTotal,
                    C::EnforcedConsecutive5xx,
                ],
                D::ConsecutiveGatewayFailure => &[
                    C::DetectedConsecutiveGatewayFailure,
                    C::EnforcedTotal,
                    C::EnforcedConsecutiveGatewayFailure,
                ],
                D::ConsecutiveLocalOriginFailure => &[
                    C::DetectedConsecutiveLocalOriginFailure,
                    C::EnforcedTotal,
                    C::EnforcedConsecutiveLocalOriginFailure,
                ],
            },
        }
    }
}

/// The counters of `cluster.<name>.outlier_detection.` that the consecutive detectors move. Envoy's other detectors never act
/// under Istio; their counters exist and stay 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutlierCounter {
    /// Deprecated twin of `ejections_detected_consecutive_5xx`.
    Consecutive5xx,
    /// Deprecated: 5xx detections that the percentage allowed, enforced or not.
    Total,
    /// Detections that `maxEjectionPercent` blocked.
    Overflow,
    /// Ejections carried out.
    EnforcedTotal,
    /// Streaks of 5xx found.
    DetectedConsecutive5xx,
    /// Ejections carried out for 5xx.
    EnforcedConsecutive5xx,
    /// Streaks of gateway failures found.
    DetectedConsecutiveGatewayFailure,
    /// Ejections carried out for gateway failures.
    EnforcedConsecutiveGatewayFailure,
    /// Streaks of local failures found.
    DetectedConsecutiveLocalOriginFailure,
    /// Ejections carried out for local failures.
    EnforcedConsecutiveLocalOriginFailure,
}

impl OutlierCounter {
    /// Envoy's name after `outlier_detection.`
    pub const fn stat_name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "ejections_consecutive_5xx",
            Self::Total => "ejections_total",
            Self::Overflow => "ejections_overflow",
            Self::EnforcedTotal => "ejections_enforced_total",
            Self::DetectedConsecutive5xx => "ejections_detected_consecutive_5xx",
            Self::EnforcedConsecutive5xx => "ejections_enforced_consecutive_5xx",
            Self::DetectedConsecutiveGatewayFailure => "ejections_detected_consecutive_gateway_failure",
            Self::EnforcedConsecutiveGatewayFailure => "ejections_enforced_consecutive_gateway_failure",
            Self::DetectedConsecutiveLocalOriginFailure => {
                "ejections_detected_consecutive_local_origin_failure"
            }
            Self::EnforcedConsecutiveLocalOriginFailure => {
                "ejections_enforced_consecutive_local_origin_failure"
            }
        }
    }
}
