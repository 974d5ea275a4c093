//! What `DestinationPolicy`s add to the `outlierDetection` block of a `DestinationRule`: Envoy's fields that Istio lacks. Istio's
//! own fields are [`super::outlier`]'s, and whether the result makes sense is [`super::outlier_sense`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use fuseboard_api::fuseboard::DestinationPolicy;
use fuseboard_api::fuseboard::destination_policy::{EnforcingPercent, OutlierSettings};
use fuseboard_api::{Span, Spanned};
use fuseboard_core::classifier::FailureClassifier;
use fuseboard_core::outlier::{DetectionKind, FailurePercentagePolicy, OutlierPolicy, SuccessRatePolicy};
use fuseboard_snapshot::{Provenance, Setting};

use super::destination_policy::Policies;
use super::failures;
use crate::set::Resource;

/// Where each setting was written.
pub(super) type Places<'a> = BTreeMap<Setting, (&'a Resource<DestinationPolicy>, Span)>;

/// Puts what `policies` say in the place of Istio's and Envoy's defaults. Returns where it was written.
pub(super) fn complete<'a>(
    policy: &mut OutlierPolicy,
    policies: &Policies<'a>,
    provenance: &mut Provenance,
) -> Places<'a> {
    let mut written = Written { policies, provenance, places: Places::new() };
    policy.success_rate = success_rate(&mut written);
    policy.failure_percentage = failure_percentage(&mut written);
    if let Some(classifier) = classifier(&mut written) {
        policy.classifier = Some(Box::new(classifier));
    }
    for kind in DetectionKind::ALL {
        let share = written.take(Setting::EnforcingPercent(kind), |outlier| {
            enforcing(&outlier.enforcing_percent.as_ref()?.value, kind)
        });
        if let Some(share) = share {
            enforce(policy, kind, share);
        }
    }
    if let Some(time) = written.take(Setting::MaxEjectionTime, |outlier| outlier.max_ejection_time.as_ref()) {
        policy.max_ejection_time = time;
    }
    if let Some(time) =
        written.take(Setting::MaxEjectionTimeJitter, |outlier| outlier.max_ejection_time_jitter.as_ref())
    {
        policy.max_ejection_time_jitter = time;
    }
    if let Some(always) =
        written.take(Setting::AlwaysEjectOneHost, |outlier| outlier.always_eject_one_host.as_ref())
    {
        policy.always_eject_one_host = always;
    }
    written.places
}

/// The closest values, which are noted as they are taken.
struct Written<'p, 'a> {
    policies: &'p Policies<'a>,
    provenance: &'p mut Provenance,
    places: Places<'a>,
}

impl<'a> Written<'_, 'a> {
    fn take<T: Copy + 'a>(
        &mut self,
        setting: Setting,
        field: impl Fn(&'a OutlierSettings) -> Option<&'a Spanned<T>>,
    ) -> Option<T> {
        self.note(setting, field).map(|found| found.value)
    }

    fn note<T: 'a>(
        &mut self,
        setting: Setting,
        field: impl Fn(&'a OutlierSettings) -> Option<&'a Spanned<T>>,
    ) -> Option<&'a Spanned<T>> {
        let (resource, found) = self.policies.find(|spec| field(&spec.outlier_detection.as_ref()?.value))?;
        self.remember(setting, resource, found.span);
        Some(found)
    }

    fn remember(&mut self, setting: Setting, resource: &'a Resource<DestinationPolicy>, span: Span) {
        let value = Spanned { value: (), span };
        self.provenance.insert(setting, Arc::new(resource.origin(&path(setting), &value)));
        self.places.insert(setting, (resource, span));
    }
}

/// Path of a setting in the resource.
pub(super) fn path(setting: Setting) -> String {
    format!("spec.outlierDetection.{}", setting.field())
}

/// Once a policy says anything of it, Istio's list of codes counts for nothing.
fn classifier(written: &mut Written<'_, '_>) -> Option<FailureClassifier> {
    let policies = written.policies;
    let blocks = || {
        policies.layers.iter().filter_map(|layer| {
            Some((*layer, &layer.spec.outlier_detection.as_ref()?.failure_classifier.as_ref()?.value))
        })
    };
    blocks().next()?;
    written.provenance.remove(Setting::HttpErrorCodes);
    Some(failures::classifier(|setting| {
        let mut having =
            blocks().filter_map(|(layer, block)| Some((layer, block, failures::span_of(block, setting)?)));
        let (layer, block, span) = having.next()?;
        written.remember(Setting::FailureClassifier(setting), layer, span);
        Some(block)
    }))
}

/// A block turns it on, whatever is in it; a factor of 0 turns it off.
fn success_rate(written: &mut Written<'_, '_>) -> Option<SuccessRatePolicy> {
    written.note(Setting::SuccessRate, |outlier| outlier.success_rate.as_ref())?;
    let default = SuccessRatePolicy::default();
    let minimum_hosts = written.take(Setting::SuccessRateMinimumHosts, |outlier| {
        outlier.success_rate.as_ref()?.minimum_hosts.as_ref()
    });
    let request_volume = written.take(Setting::SuccessRateRequestVolume, |outlier| {
        outlier.success_rate.as_ref()?.request_volume.as_ref()
    });
    let factor = written.take(Setting::SuccessRateStdevFactor, |outlier| {
        outlier.success_rate.as_ref()?.stdev_factor.as_ref()
    });
    let factor = factor.map_or(default.stdev_factor_thousandths, thousandths);
    (factor > 0).then_some(SuccessRatePolicy {
        minimum_hosts: minimum_hosts.unwrap_or(default.minimum_hosts),
        request_volume: request_volume.unwrap_or(default.request_volume),
        stdev_factor_thousandths: factor,
        ..default
    })
}

/// The bounds are checked when the resource is read.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 100000, and casts saturate"
)]
fn thousandths(number: f64) -> u32 {
    (number * 1_000.0).round() as u32
}

/// A block turns it on, whatever is in it; a threshold of 0 turns it off.
fn failure_percentage(written: &mut Written<'_, '_>) -> Option<FailurePercentagePolicy> {
    written.note(Setting::FailurePercentage, |outlier| outlier.failure_percentage.as_ref())?;
    let default = FailurePercentagePolicy::default();
    let threshold = written.take(Setting::FailurePercentageThreshold, |outlier| {
        outlier.failure_percentage.as_ref()?.threshold.as_ref()
    });
    let minimum_hosts = written.take(Setting::FailurePercentageMinimumHosts, |outlier| {
        outlier.failure_percentage.as_ref()?.minimum_hosts.as_ref()
    });
    let request_volume = written.take(Setting::FailurePercentageRequestVolume, |outlier| {
        outlier.failure_percentage.as_ref()?.request_volume.as_ref()
    });
    let threshold = threshold.unwrap_or(default.threshold);
    (threshold > 0).then_some(FailurePercentagePolicy {
        threshold,
        minimum_hosts: minimum_hosts.unwrap_or(default.minimum_hosts),
        request_volume: request_volume.unwrap_or(default.request_volume),
        ..default
    })
}

const fn enforcing(block: &EnforcingPercent, kind: DetectionKind) -> Option<&Spanned<u32>> {
    match kind {
        DetectionKind::Consecutive5xx => block.consecutive_5xx_errors.as_ref(),
        DetectionKind::ConsecutiveGatewayFailure => block.consecutive_gateway_errors.as_ref(),
        DetectionKind::ConsecutiveLocalOriginFailure => block.consecutive_local_origin_failures.as_ref(),
        DetectionKind::SuccessRate => block.success_rate.as_ref(),
        DetectionKind::LocalOriginSuccessRate => block.local_origin_success_rate.as_ref(),
        DetectionKind::FailurePercentage => block.failure_percentage.as_ref(),
        DetectionKind::LocalOriginFailurePercentage => block.local_origin_failure_percentage.as_ref(),
    }
}

fn enforce(policy: &mut OutlierPolicy, kind: DetectionKind, share: u32) {
    let (success, failure) = (&mut policy.success_rate, &mut policy.failure_percentage);
    let place = match kind {
        DetectionKind::Consecutive5xx => Some(&mut policy.consecutive_5xx.enforcing_percent),
        DetectionKind::ConsecutiveGatewayFailure => {
            Some(&mut policy.consecutive_gateway_failure.enforcing_percent)
        }
        DetectionKind::ConsecutiveLocalOriginFailure => {
            Some(&mut policy.consecutive_local_origin_failure.enforcing_percent)
        }
        DetectionKind::SuccessRate => success.as_mut().map(|rate| &mut rate.enforcing_percent),
        DetectionKind::LocalOriginSuccessRate => {
            success.as_mut().map(|rate| &mut rate.local_origin_enforcing_percent)
        }
        DetectionKind::FailurePercentage => failure.as_mut().map(|share| &mut share.enforcing_percent),
        DetectionKind::LocalOriginFailurePercentage => {
            failure.as_mut().map(|share| &mut share.local_origin_enforcing_percent)
        }
    };
    if let Some(place) = place {
        *place = share;
    }
}
