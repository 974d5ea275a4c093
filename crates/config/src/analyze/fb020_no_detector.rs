//! FB020: outlier detection with every detector turned off.

use fuseboard_api::fuseboard::destination_policy::OutlierSettings;

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(detection) = policy.outlier_detection else { continue };
        let Some(errors) = detection.consecutive_5xx_errors.filter(|errors| errors.value == 0) else {
            continue;
        };
        let others = detection.consecutive_gateway_errors.is_some_and(|errors| errors.value > 0)
            || detection.split_external_local_origin_errors.is_some_and(|split| split.value);
        let by_rates = |settings: &OutlierSettings| {
            settings.success_rate.is_some() || settings.failure_percentage.is_some()
        };
        if others || scene.services_of(policy.rule).any(|service| scene.is_completed(service, by_rates)) {
            continue;
        }
        let message = "consecutive5xxErrors 0 turns off the only detector: no host is ever ejected";
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::NoDetector, errors.span, message)
                .field(format!("{}.outlierDetection.consecutive5xxErrors", policy.path))
                .help("write consecutiveGatewayErrors: 5 to count gateway errors only, or delete the outlierDetection block"),
        );
    }
}
