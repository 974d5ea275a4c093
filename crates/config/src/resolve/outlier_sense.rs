//! Whether what `DestinationPolicy`s say of outlier detection makes sense for a cluster: with the numbers of its rule, and for
//! as many hosts as it has. Each finding is put where the setting was written that has no effect.

use fuseboard_api::Spanned;
use fuseboard_api::fuseboard::DestinationPolicy;
use fuseboard_core::outlier::{DetectionKind, OutlierPolicy};
use fuseboard_snapshot::{Cluster, Setting};

use super::hostname;
use super::layers::{self, Targeted as _};
use super::outlier_policy::{Places, path};
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;
use crate::workload::Workload;

/// Reports what is odd about `policy` for a cluster of `hosts`; `places` is where its settings were written.
pub(super) fn check(
    policy: &OutlierPolicy,
    places: &Places<'_>,
    hosts: usize,
    diagnostics: &mut Diagnostics,
) {
    let mut report = |code, settings: &[Setting], message: String, help: &str| {
        let found = settings.iter().find_map(|setting| Some((*setting, places.get(setting)?)));
        // What is for many services may make sense for others.
        let found = found.filter(|(_, (resource, _))| !hostname::is_wildcard(&resource.spec.host));
        if let Some((setting, (resource, span))) = found {
            diagnostics.push(resource.diagnostic(code, *span, message).field(path(setting)).help(help));
        }
    };
    if policy.max_ejection_time < policy.base_ejection_time {
        let (most, base) = (policy.max_ejection_time, policy.base_ejection_time);
        let message = format!(
            "maxEjectionTime {most:?} is less than baseEjectionTime {base:?}: every ejection lasts {most:?}"
        );
        let help = "write baseEjectionTime or more, or delete it";
        report(Code::MaxEjectionBelowBase, &[Setting::MaxEjectionTime], message, help);
    }
    for kind in DetectionKind::ALL {
        if is_off(policy, kind) {
            let message = format!("{}: the detector is off", Setting::EnforcingPercent(kind).field());
            report(Code::EnforcesNothing, &[Setting::EnforcingPercent(kind)], message, how_to_turn_on(kind));
        }
    }
    // Where no host is known, more may come.
    if hosts == 0 {
        return;
    }
    let few = |least: u32| {
        let noun = if hosts == 1 { "host" } else { "hosts" };
        (hosts < least as usize).then(|| {
            format!("minimumHosts is {least}, the cluster has {hosts} {noun}: nobody is ever judged")
        })
    };
    let help = "write minimumHosts: 1, or as many as the service always has";
    if let Some(message) = policy.failure_percentage.and_then(|share| few(share.minimum_hosts)) {
        let settings = [Setting::FailurePercentageMinimumHosts, Setting::FailurePercentage];
        report(Code::DetectorOutOfReach, &settings, message, help);
    }
    let Some(rate) = policy.success_rate else { return };
    let factor = u64::from(rate.stdev_factor_thousandths);
    if let Some(message) = few(rate.minimum_hosts) {
        let settings = [Setting::SuccessRateMinimumHosts, Setting::SuccessRate];
        let help = "among so few hosts, use failurePercentage with minimumHosts: 1";
        report(Code::DetectorOutOfReach, &settings, message, help);
    } else if factor * factor >= (hosts as u64 - 1) * 1_000_000 {
        let message = format!(
            "of {hosts} hosts none can be {} standard deviations below the mean: nobody is ever found",
            factor as f64 / 1_000.0
        );
        let settings =
            [Setting::SuccessRateStdevFactor, Setting::SuccessRateMinimumHosts, Setting::SuccessRate];
        let help = "write a smaller stdevFactor, or use failurePercentage with minimumHosts: 1";
        report(Code::DetectorOutOfReach, &settings, message, help);
    }
}

fn is_off(policy: &OutlierPolicy, kind: DetectionKind) -> bool {
    let is_off = match kind {
        DetectionKind::SuccessRate | DetectionKind::LocalOriginSuccessRate => policy.success_rate.is_none(),
        DetectionKind::FailurePercentage | DetectionKind::LocalOriginFailurePercentage => {
            policy.failure_percentage.is_none()
        }
        _ => policy.streak(kind).is_some_and(|streak| streak.threshold == 0),
    };
    is_off || (kind.needs_split() && !policy.split_external_local_origin_errors)
}

const fn how_to_turn_on(kind: DetectionKind) -> &'static str {
    match kind {
        DetectionKind::SuccessRate => "write successRate: {} beside it, or delete it",
        DetectionKind::FailurePercentage => "write failurePercentage: {} beside it, or delete it",
        DetectionKind::Consecutive5xx | DetectionKind::ConsecutiveGatewayFailure => {
            "the DestinationRule turns it off with 0: write another number there, or delete this"
        }
        DetectionKind::ConsecutiveLocalOriginFailure
        | DetectionKind::LocalOriginSuccessRate
        | DetectionKind::LocalOriginFailurePercentage => {
            "it needs splitExternalLocalOriginErrors: true in the DestinationRule, and the detector"
        }
    }
}

/// Says which policies complete an outlier detection that none of their clusters has.
pub(super) fn report_without_detection(
    policies: &[Resource<DestinationPolicy>],
    clusters: &[Cluster],
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) {
    for policy in policies {
        let Some(block) = &policy.spec.outlier_detection else { continue };
        let host = layers::host(policy, workload);
        let mut own = clusters
            .iter()
            .filter(|cluster| hostname::covers(&host, &cluster.service.host))
            .filter(|cluster| policy.spec.port().is_none_or(|port| port == u32::from(cluster.service.port)))
            .peekable();
        if own.peek().is_some() && own.all(|cluster| cluster.outlier.is_none()) {
            diagnostics.push(without_detection(policy, block));
        }
    }
}

fn without_detection(
    policy: &Resource<DestinationPolicy>,
    block: &Spanned<fuseboard_api::fuseboard::destination_policy::OutlierSettings>,
) -> crate::diagnostic::Diagnostic {
    let message = format!(
        "no DestinationRule has an outlierDetection block for {}: no host is ever ejected",
        policy.spec.host.value
    );
    policy
        .diagnostic(Code::PolicyWithoutDetection, block.span, message)
        .field("spec.outlierDetection")
        .help("write outlierDetection: {} into the trafficPolicy of its DestinationRule")
}
