//! The numbers of outlier detection. Reading them from a `DestinationRule`, and Istio's rules for unset fields, are `config`'s.

use std::time::Duration;

use super::DetectionKind;
use crate::classifier::FailureClassifier;

/// Envoy's `OutlierDetection` with Istio's defaults filled in; complete, so it holds no `Option`.
///
/// Istio's deprecated `consecutiveErrors: n` (difference D9) needs no field of its own: it is `consecutive_gateway_failure`
/// at `n`, enforced, and `consecutive_5xx` enforced in 0 percent. Without split, failed connects count as 503 and time-outs as
/// 504, so both count as gateway failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierPolicy {
    /// Period of the sweep that returns hosts. Default 10 s.
    pub interval: Duration,
    /// The n-th ejection lasts `min(n * base_ejection_time, max_ejection_time)`. Default 30 s.
    pub base_ejection_time: Duration,
    /// Default `max(300 s, base_ejection_time)`.
    pub max_ejection_time: Duration,
    /// Upper bound of the random time added to each ejection. Default 0.
    pub max_ejection_time_jitter: Duration,
    /// Percent of the cluster's hosts that may be ejected at once, 0..=100. Default 10.
    pub max_ejection_percent: u32,
    /// One host may be ejected whatever the percentage says. Istio never sets it; default false.
    pub always_eject_one_host: bool,
    /// Any 5xx (and, without split, every local failure) in a row. `threshold` 0 never fires. Default 5, enforced.
    pub consecutive_5xx: Detector,
    /// 502, 503, 504 (and, without split, local failures) in a row. Default 5, not enforced.
    pub consecutive_gateway_failure: Detector,
    /// Local failures in a row; acts only with `split_external_local_origin_errors`. Default 5, enforced.
    pub consecutive_local_origin_failure: Detector,
    /// Count local failures (connect errors, time-outs, resets) apart from answers.
    pub split_external_local_origin_errors: bool,
    /// Hosts that succeed less often than the others. `None`, as under Istio: off.
    pub success_rate: Option<SuccessRatePolicy>,
    /// Hosts that fail too often. `None`, as under Istio: off.
    pub failure_percentage: Option<FailurePercentagePolicy>,
    /// What counts as a failure. `None`, as under Istio: answers from 500 on, and all that ended without an answer.
    pub classifier: Option<Box<FailureClassifier>>,
}

/// A detector of failures in a row: after how many, and in how many percent of the cases the ejection is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detector {
    /// Failures in a row; 0 never fires.
    pub threshold: u32,
    /// 0..=100: share of detections that eject.
    pub enforcing_percent: u32,
}

/// Envoy's success rate detector, judged at the sweep over the interval that ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRatePolicy {
    /// With fewer hosts that had enough tries, nobody is judged. Default 5.
    pub minimum_hosts: u32,
    /// Enough tries in one interval. Default 100.
    pub request_volume: u32,
    /// A host is an outlier below the mean minus so many standard deviations, in thousandths. Default 1900.
    pub stdev_factor_thousandths: u32,
    /// 0..=100: share of detections that eject. Default 100.
    pub enforcing_percent: u32,
    /// The same for local failures, with the split. Default 100.
    pub local_origin_enforcing_percent: u32,
}

/// Envoy's failure percentage detector, judged at the sweep over the interval that ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentagePolicy {
    /// A host is an outlier if at least so many percent of its tries failed. Default 85.
    pub threshold: u32,
    /// With fewer hosts that had enough tries, nobody is judged. Default 5.
    pub minimum_hosts: u32,
    /// Enough tries in one interval. Default 50.
    pub request_volume: u32,
    /// 0..=100: share of detections that eject. Default 100; Envoy's is 0.
    pub enforcing_percent: u32,
    /// The same for local failures, with the split. Default 100; Envoy's is 0.
    pub local_origin_enforcing_percent: u32,
}

impl OutlierPolicy {
    /// The detector of failures in a row that finds `kind`; `None`: `kind` is found by rates.
    pub const fn streak(&self, kind: DetectionKind) -> Option<Detector> {
        match kind {
            DetectionKind::Consecutive5xx => Some(self.consecutive_5xx),
            DetectionKind::ConsecutiveGatewayFailure => Some(self.consecutive_gateway_failure),
            DetectionKind::ConsecutiveLocalOriginFailure => Some(self.consecutive_local_origin_failure),
            _ => None,
        }
    }

    /// Share of detections of `kind` that eject, 0..=100; 0 for a detector that is off.
    pub fn enforcing_percent(&self, kind: DetectionKind) -> u32 {
        let (success, failure) = (self.success_rate, self.failure_percentage);
        match kind {
            DetectionKind::Consecutive5xx => self.consecutive_5xx.enforcing_percent,
            DetectionKind::ConsecutiveGatewayFailure => self.consecutive_gateway_failure.enforcing_percent,
            DetectionKind::ConsecutiveLocalOriginFailure => {
                self.consecutive_local_origin_failure.enforcing_percent
            }
            DetectionKind::SuccessRate => success.map_or(0, |rate| rate.enforcing_percent),
            DetectionKind::LocalOriginSuccessRate => {
                success.map_or(0, |rate| rate.local_origin_enforcing_percent)
            }
            DetectionKind::FailurePercentage => failure.map_or(0, |share| share.enforcing_percent),
            DetectionKind::LocalOriginFailurePercentage => {
                failure.map_or(0, |share| share.local_origin_enforcing_percent)
            }
        }
    }

    /// Whether `kind` can ever eject a host.
    pub fn can_eject(&self, kind: DetectionKind) -> bool {
        self.enforcing_percent(kind) > 0
            && self.streak(kind).is_none_or(|streak| streak.threshold > 0)
            && (!kind.needs_split() || self.split_external_local_origin_errors)
    }

    /// Whether a detector looks at rates, so that tries are counted.
    pub const fn counts_rates(&self) -> bool {
        self.success_rate.is_some() || self.failure_percentage.is_some()
    }

    /// Tries in one interval after which a host's rates are shown.
    pub fn shown_volume(&self) -> u32 {
        let success = self.success_rate.map(|rate| rate.request_volume);
        let failure = self.failure_percentage.map(|share| share.request_volume);
        [success, failure].into_iter().flatten().min().unwrap_or(u32::MAX)
    }
}

impl Default for SuccessRatePolicy {
    fn default() -> Self {
        Self {
            minimum_hosts: 5,
            request_volume: 100,
            stdev_factor_thousandths: 1_900,
            enforcing_percent: 100,
            local_origin_enforcing_percent: 100,
        }
    }
}

impl Default for FailurePercentagePolicy {
    fn default() -> Self {
        Self {
            threshold: 85,
            minimum_hosts: 5,
            request_volume: 50,
            enforcing_percent: 100,
            local_origin_enforcing_percent: 100,
        }
    }
}

impl Default for OutlierPolicy {
    /// What Istio and Envoy do for `outlierDetection: {}`.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_mins(5),
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            consecutive_5xx: Detector { threshold: 5, enforcing_percent: 100 },
            consecutive_gateway_failure: Detector { threshold: 5, enforcing_percent: 0 },
            consecutive_local_origin_failure: Detector { threshold: 5, enforcing_percent: 100 },
            split_external_local_origin_errors: false,
            success_rate: None,
            failure_percentage: None,
            classifier: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use DetectionKind as Kind;

    use super::*;

    fn ejecting(policy: &OutlierPolicy) -> Vec<DetectionKind> {
        Kind::ALL.into_iter().filter(|kind| policy.can_eject(*kind)).collect()
    }

    #[test]
    fn a_detector_can_eject_where_it_is_on_enforced_and_has_what_it_looks_at() {
        let policy = OutlierPolicy::default();
        assert_eq!(ejecting(&policy), [Kind::Consecutive5xx]);
        let off = Detector { threshold: 0, enforcing_percent: 100 };
        assert_eq!(ejecting(&OutlierPolicy { consecutive_5xx: off, ..policy.clone() }), []);
        let seldom = Detector { threshold: 5, enforcing_percent: 1 };
        let split = OutlierPolicy {
            consecutive_gateway_failure: seldom,
            split_external_local_origin_errors: true,
            ..policy.clone()
        };
        assert_eq!(ejecting(&split), Kind::STREAKS);
        let rates = OutlierPolicy {
            success_rate: Some(SuccessRatePolicy::default()),
            failure_percentage: Some(FailurePercentagePolicy {
                enforcing_percent: 0,
                ..FailurePercentagePolicy::default()
            }),
            ..policy
        };
        assert_eq!(ejecting(&rates), [Kind::Consecutive5xx, Kind::SuccessRate]);
        let rates = OutlierPolicy { split_external_local_origin_errors: true, ..rates };
        let all_but =
            |kind: &Kind| !matches!(kind, Kind::ConsecutiveGatewayFailure | Kind::FailurePercentage);
        assert_eq!(ejecting(&rates), Kind::ALL.into_iter().filter(all_but).collect::<Vec<_>>());
    }

    #[test]
    fn a_kind_that_is_found_by_a_streak_has_its_threshold_and_the_others_have_none() {
        let detector = |threshold| Detector { threshold, enforcing_percent: 100 };
        let policy = OutlierPolicy {
            consecutive_5xx: detector(1),
            consecutive_gateway_failure: detector(2),
            consecutive_local_origin_failure: detector(3),
            ..OutlierPolicy::default()
        };
        let thresholds = Kind::ALL.map(|kind| policy.streak(kind).map(|streak| streak.threshold));
        assert_eq!(thresholds, [Some(1), Some(2), Some(3), None, None, None, None]);
    }

    #[test]
    fn rates_are_shown_from_the_smaller_volume_on() {
        let none = OutlierPolicy::default();
        assert_eq!(none.shown_volume(), u32::MAX);
        let success = OutlierPolicy { success_rate: Some(SuccessRatePolicy::default()), ..none };
        assert_eq!(success.shown_volume(), 100);
        let both = OutlierPolicy { failure_percentage: Some(FailurePercentagePolicy::default()), ..success };
        assert_eq!(both.shown_volume(), 50);
    }
}
