//! FB012: sweeps are rarer than the first ejection is long, and only a sweep ends it.

use std::time::Duration;

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

/// Istio's and Envoy's defaults.
const INTERVAL: Duration = Duration::from_secs(10);
const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(detection) = policy.outlier_detection else { continue };
        let interval = detection.interval.map_or(INTERVAL, |interval| interval.value);
        let base = detection.base_ejection_time.map_or(BASE_EJECTION_TIME, |base| base.value);
        let (at, field) = match (detection.interval, detection.base_ejection_time) {
            (Some(interval), _) => (interval.span, "interval"),
            (None, Some(base)) => (base.span, "baseEjectionTime"),
            (None, None) => continue,
        };
        if interval <= base {
            continue;
        }
        let message = format!(
            "interval {interval:?} is longer than baseEjectionTime {base:?}: a first ejection lasts up to {:?}, because only \
             the next sweep ends it",
            base + interval
        );
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::IntervalExceedsEjection, at, message)
                .field(format!("{}.outlierDetection.{field}", policy.path))
                .help(format!("write interval: {base:?} or less")),
        );
    }
}
