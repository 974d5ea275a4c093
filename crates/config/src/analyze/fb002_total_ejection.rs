//! FB002: all endpoints may be ejected at a time, and then nothing is left to answer.

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(detection) = policy.outlier_detection else { continue };
        let Some(percent) = detection.max_ejection_percent.filter(|percent| percent.value == 100) else {
            continue;
        };
        if detection.min_health_percent.is_some_and(|percent| percent.value > 0) {
            continue;
        }
        let mut services = scene.services_of(policy.rule).peekable();
        if services.peek().is_some() && services.all(|service| scene.says_when_none_healthy(service)) {
            continue;
        }
        let message = "all hosts may be ejected at a time: a failure that they share answers every request with 503 \
                       until the ejections end";
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::TotalEjectionPossible, percent.span, message)
                .field(format!("{}.outlierDetection.maxEjectionPercent", policy.path))
                .help("write minHealthPercent: 50 beside it to use all hosts when fewer are healthy, or a lower percentage, or whenNoneHealthy in a DestinationPolicy"),
        );
    }
}
