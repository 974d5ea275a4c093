//! FB004: gateway errors are 5xx too, so a threshold that is not below the one for 5xx is never reached.

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

/// What Envoy takes where `consecutive5xxErrors` is not written.
const DEFAULT_5XX: u32 = 5;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(detection) = policy.outlier_detection else { continue };
        let Some(gateway) = detection.consecutive_gateway_errors.filter(|errors| errors.value > 0) else {
            continue;
        };
        let written = detection.consecutive_5xx_errors;
        let limit = written.map_or(DEFAULT_5XX, |errors| errors.value);
        if limit == 0 || gateway.value < limit {
            continue;
        }
        let said = if written.is_some() { "" } else { " (the default)" };
        let message = format!(
            "consecutiveGatewayErrors {} never ejects: gateway errors are 5xx too, and consecutive5xxErrors {limit}{said} \
             ejects first",
            gateway.value
        );
        let help = if limit == 1 {
            "write consecutive5xxErrors: 0 to count gateway errors only".to_owned()
        } else {
            format!("write less than {limit}, or consecutive5xxErrors: 0 to count gateway errors only")
        };
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::GatewayErrorsNeverFire, gateway.span, message)
                .field(format!("{}.outlierDetection.consecutiveGatewayErrors", policy.path))
                .help(help),
        );
    }
}
