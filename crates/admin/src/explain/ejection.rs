//! When a host is ejected, for how long, and how many at a time.

use fuseboard_core::classifier::Verdict;
use fuseboard_core::outlier::{DetectionKind, OutlierPolicy};
use fuseboard_snapshot::{ClassifierSetting, Cluster};

use super::word;

pub(super) fn sentences(cluster: &Cluster) -> Vec<String> {
    let Some(policy) = &cluster.outlier else {
        return vec!["No outlierDetection: no host is ever ejected.".to_owned()];
    };
    let Some(cause) = cause(policy) else {
        return vec!["Every detector is off: no host is ever ejected.".to_owned()];
    };
    let hosts = cluster.endpoints.len();
    let share = u64::from(policy.max_ejection_percent) * hosts as u64 / 100;
    let most = if policy.always_eject_one_host && hosts > 0 { share.max(1) } else { share };
    if most == 0 {
        return vec![format!(
            "{} % of {} is less than one: no host is ever ejected.",
            policy.max_ejection_percent,
            word::count(hosts, "host")
        )];
    }
    let ejected = format!("A host is ejected after {cause}.");
    [Some(ejected), failures(policy), Some(duration(policy)), Some(extent(cluster, most))]
        .into_iter()
        .flatten()
        .collect()
}

/// `five answers 5xx in a row, or three of 502, 503, 504`
fn cause(policy: &OutlierPolicy) -> Option<String> {
    let acts = |kind: DetectionKind| {
        policy.streak(kind).filter(|_| policy.can_eject(kind)).map(|streak| streak.threshold)
    };
    let split = policy.split_external_local_origin_errors;
    // Without split, failures of the connection count as answers 5xx.
    let local =
        if split || policy.classifier.is_some() { "" } else { ", failed connections and time-outs included" };
    let answers = if policy.classifier.is_some() { "failures" } else { "answers 5xx" };
    let all = [
        acts(DetectionKind::Consecutive5xx)
            .map(|number| format!("{} {answers} in a row", word::cardinal(number.into()))),
        acts(DetectionKind::ConsecutiveGatewayFailure)
            .map(|number| format!("{} of 502, 503 or 504 in a row", word::cardinal(number.into()))),
        acts(DetectionKind::ConsecutiveLocalOriginFailure).map(|number| {
            format!("{} failed connections or time-outs in a row", word::cardinal(number.into()))
        }),
    ];
    let all: Vec<String> = all.into_iter().flatten().chain(rates(policy)).collect();
    (!all.is_empty()).then(|| format!("{}{local}", all.join(", or ")))
}

/// `20 % of its answers in 10s failing (of 50 or more, with 5 such hosts)`
fn rates(policy: &OutlierPolicy) -> Vec<String> {
    let interval = word::time(policy.interval);
    let what = |local: bool| if local { "connections" } else { "calls" };
    let mut told = Vec::new();
    for (kind, local) in
        [(DetectionKind::FailurePercentage, false), (DetectionKind::LocalOriginFailurePercentage, true)]
    {
        if let Some(share) = policy.failure_percentage.filter(|_| policy.can_eject(kind)) {
            told.push(format!(
                "an interval of {interval} in which {} % of its {} or more {} failed (if {} or more hosts had so many)",
                share.threshold, share.request_volume, what(local), word::cardinal(share.minimum_hosts.into())
            ));
        }
    }
    for (kind, local) in [(DetectionKind::SuccessRate, false), (DetectionKind::LocalOriginSuccessRate, true)]
    {
        if let Some(rate) = policy.success_rate.filter(|_| policy.can_eject(kind)) {
            told.push(format!(
                "an interval of {interval} in which its {} or more {} succeeded less often than the mean of the hosts by {} standard \
                 deviations (if {} or more hosts had so many)",
                rate.request_volume,
                what(local),
                word::thousandths(rate.stdev_factor_thousandths),
                word::cardinal(rate.minimum_hosts.into())
            ));
        }
    }
    told
}

/// What counts as a failure, where a classifier says it.
fn failures(policy: &OutlierPolicy) -> Option<String> {
    let classifier = policy.classifier.as_ref()?;
    let kinds = [
        (classifier.connect_failed, "refused connections"),
        (classifier.connect_timeout, "connections not made in time"),
        (classifier.timeout, "time-outs"),
        (classifier.reset, "resets"),
        (classifier.protocol_error, "answers that are not HTTP"),
    ];
    let failing = kinds.iter().filter(|(verdict, _)| *verdict == Verdict::Failure).map(|(_, words)| *words);
    let statuses = format!("answers {}", ClassifierSetting::Statuses.value(classifier));
    let all: Vec<&str> = std::iter::once(statuses.as_str()).chain(failing).collect();
    Some(format!("Failures are {}.", all.join(", ")))
}

/// How long it is out, and how that grows.
fn duration(policy: &OutlierPolicy) -> String {
    let nth = |n: u32| word::time((policy.base_ejection_time * n).min(policy.max_ejection_time));
    let sweep = word::time(policy.interval);
    if nth(1) == nth(2) {
        return format!("It is out for {}; the next sweep, each {sweep}, returns it.", nth(1));
    }
    format!(
        "It is out for {}, the second time in a row for {}, and so on up to {}; the next sweep, each {sweep}, returns it. Each \
         interval that it stays makes the next ejection one step shorter.",
        nth(1),
        nth(2),
        word::time(policy.max_ejection_time),
    )
}

/// How many are out at a time. What is then, `health` says.
fn extent(cluster: &Cluster, most: u64) -> String {
    let hosts = cluster.endpoints.len();
    let verb = if most == 1 { "is" } else { "are" };
    format!("At most {most} of {} {verb} out at a time.", word::count(hosts, "host"))
}
