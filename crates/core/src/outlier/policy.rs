//! The numbers of outlier detection. Reading them from a `DestinationRule`, and Istio's rules for unset fields, are `config`'s.

use std::time::Duration;

use super::DetectionKind;

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
}

/// One detector: after how many, and in how many percent of the cases the ejection is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detector {
    /// Failures in a row; 0 never fires.
    pub threshold: u32,
    /// 0..=100: share of detections that eject.
    pub enforcing_percent: u32,
}

impl OutlierPolicy {
    /// The detector that finds `kind`.
    pub const fn detector(&self, kind: DetectionKind) -> Detector {
        match kind {
            DetectionKind::Consecutive5xx => self.consecutive_5xx,
            DetectionKind::ConsecutiveGatewayFailure => self.consecutive_gateway_failure,
            DetectionKind::ConsecutiveLocalOriginFailure => self.consecutive_local_origin_failure,
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
        }
    }
}
