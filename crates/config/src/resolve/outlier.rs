//! Istio's `outlierDetection` block to an [`OutlierPolicy`]: which zero means "unset", which detector is enforced.
//! Follows istiod's translation, apart from `consecutiveErrors` (difference D9 of the documentation).

use std::time::Duration;

use fuseboard_api::istio::destination_rule::OutlierDetection;
use fuseboard_api::{Span, Spanned};
use fuseboard_core::classifier::{FailureClassifier, StatusSet};
use fuseboard_core::outlier::{Detector, OutlierPolicy};
use fuseboard_snapshot::{Provenance, Setting};

use super::destination_rule::BlockAt;
use crate::diagnostic::{Code, Diagnostics};

/// Envoy's bound on a single ejection, where the base time is not longer.
const MAX_EJECTION_TIME: Duration = Duration::from_mins(5);

/// The policy of a rule that has the block; what it leaves out is as Istio and Envoy do it.
pub(super) fn policy(raw: &OutlierDetection) -> OutlierPolicy {
    let default = OutlierPolicy::default();
    let split = raw.split_external_local_origin_errors.as_ref().is_some_and(|split| split.value);
    let base_ejection_time =
        raw.base_ejection_time.as_ref().map_or(default.base_ejection_time, |base| base.value);
    let (consecutive_5xx, consecutive_gateway_failure) = answer_detectors(raw, &default);
    OutlierPolicy {
        interval: raw.interval.as_ref().map_or(default.interval, |interval| interval.value),
        base_ejection_time,
        max_ejection_time: MAX_EJECTION_TIME.max(base_ejection_time),
        max_ejection_percent: positive(raw.max_ejection_percent.as_ref().map(|percent| percent.value))
            .unwrap_or(default.max_ejection_percent),
        consecutive_5xx,
        consecutive_gateway_failure,
        consecutive_local_origin_failure: raw
            .consecutive_local_origin_failures
            .as_ref()
            .filter(|failures| split && failures.value > 0)
            .map_or(default.consecutive_local_origin_failure, |failures| enforced(failures.value)),
        split_external_local_origin_errors: split,
        classifier: error_codes(raw)
            .map(|failures| Box::new(FailureClassifier { failures, ..FailureClassifier::default() })),
        ..default
    }
}

/// Envoy's `healthy_panic_threshold` in percent: always written where the block exists, and 0 turns panic off.
pub(super) fn panic_threshold(raw: &OutlierDetection) -> u32 {
    positive(raw.min_health_percent.as_ref().map(|percent| percent.value)).unwrap_or(0)
}

/// Notes where the block and its values were written.
pub(super) fn remember(outlier: &BlockAt<OutlierDetection>, provenance: &mut Provenance) {
    let raw = outlier.block;
    provenance.insert(Setting::OutlierDetection, outlier.origin("outlierDetection", raw));
    let mut note = |setting: Setting, field: &str, span: Option<Span>| {
        if let Some(span) = span {
            let field = format!("outlierDetection.{field}");
            provenance.insert(setting, outlier.origin(&field, &Spanned { value: (), span }));
        }
    };
    // A number that means "unset" is written nowhere.
    let number =
        |written: Option<Spanned<i32>>| written.filter(|number| number.value > 0).map(|number| number.span);
    let gateway = raw.consecutive_gateway_errors.map(|errors| errors.span);
    match (gateway, raw.consecutive_5xx_errors) {
        (None, None) => {
            note(Setting::ConsecutiveGatewayErrors, "consecutiveErrors", number(raw.consecutive_errors));
        }
        _ => note(Setting::ConsecutiveGatewayErrors, "consecutiveGatewayErrors", gateway),
    }
    note(
        Setting::Consecutive5xxErrors,
        "consecutive5xxErrors",
        raw.consecutive_5xx_errors.map(|errors| errors.span),
    );
    note(
        Setting::ConsecutiveLocalOriginFailures,
        "consecutiveLocalOriginFailures",
        raw.consecutive_local_origin_failures.map(|failures| failures.span),
    );
    note(Setting::Interval, "interval", raw.interval.map(|interval| interval.span));
    note(Setting::BaseEjectionTime, "baseEjectionTime", raw.base_ejection_time.map(|base| base.span));
    note(Setting::MaxEjectionPercent, "maxEjectionPercent", number(raw.max_ejection_percent));
    let codes = raw.http_error_codes.as_ref().filter(|codes| !codes.is_empty());
    note(Setting::HttpErrorCodes, "outlierDetectionHttpErrorCodes", codes.map(|codes| codes.span));
    note(Setting::MinHealthPercent, "minHealthPercent", number(raw.min_health_percent));
}

/// The codes that a rule lists; `None`: it lists none, and 5xx count. Istio takes the field and sends nothing of it
/// (difference D34 of the documentation); this is what its description says.
fn error_codes(raw: &OutlierDetection) -> Option<StatusSet> {
    let codes = raw.http_error_codes.as_ref().filter(|codes| !codes.is_empty())?;
    let statuses = codes.iter().filter_map(|code| u16::try_from(code.value).ok());
    Some(statuses.fold(StatusSet::EMPTY, StatusSet::with))
}

/// Says that the codes of a rule count for nothing beside the classifier of a policy.
pub(super) fn report_unused_codes(outlier: &BlockAt<OutlierDetection>, diagnostics: &mut Diagnostics) {
    let Some(codes) = &outlier.block.http_error_codes else { return };
    let message =
        "a DestinationPolicy has a failureClassifier for the same hosts: this list counts for nothing";
    diagnostics.push(
        outlier
            .rule
            .diagnostic(Code::TwoClassifiers, codes.span, message)
            .field(outlier.field("outlierDetection.outlierDetectionHttpErrorCodes"))
            .help("write the codes into statuses of the failureClassifier, and delete the list"),
    );
}

/// The detectors of answers: 5xx, and gateway failures.
fn answer_detectors(raw: &OutlierDetection, default: &OutlierPolicy) -> (Detector, Detector) {
    let errors_5xx = raw.consecutive_5xx_errors.as_ref().map(|errors| enforced(errors.value));
    let gateway = raw.consecutive_gateway_errors.as_ref().map(|errors| enforced(errors.value));
    let deprecated = positive(raw.consecutive_errors.as_ref().map(|errors| errors.value));
    match (errors_5xx, gateway, deprecated) {
        // As Istio up to 1.5: gateway failures count, plain 5xx are seen but eject nobody.
        (None, None, Some(errors)) => {
            (Detector { enforcing_percent: 0, ..default.consecutive_5xx }, enforced(errors))
        }
        (errors_5xx, gateway, _) => (
            errors_5xx.unwrap_or(default.consecutive_5xx),
            gateway.unwrap_or(default.consecutive_gateway_failure),
        ),
    }
}

/// A detector whose threshold was written: 0 turns it off.
const fn enforced(threshold: u32) -> Detector {
    Detector { threshold, enforcing_percent: if threshold > 0 { 100 } else { 0 } }
}

/// A number that was written and means something; Istio takes 0 as "unset".
fn positive(number: Option<i32>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok()).filter(|&number| number > 0)
}
