//! Who gets requests, for each count of healthy hosts: what the balancers will do, told before it happens.

use fuseboard_core::balance::{NoneHealthyPolicy, Recipients};
use fuseboard_core::fallback::Trigger;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::Cluster;
use serde::{Deserialize, Serialize};

/// What happens while the count of healthy hosts is within these bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthOutcome {
    /// The smallest count.
    pub least: usize,
    /// The largest count.
    pub most: usize,
    /// `healthy`: those get the requests; `all`: all hosts alike, ejected ones too; `refused`: 503 (UH, `no_healthy`).
    pub requests: String,
}

/// From all healthy to none.
pub(super) fn outcomes(cluster: &Cluster) -> Vec<HealthOutcome> {
    let policy = NoneHealthyPolicy { threshold: cluster.panic_threshold, answer: cluster.none_healthy };
    let hosts = cluster.endpoints.len();
    let mut told: Vec<(Recipients, usize, usize)> = Vec::new();
    for healthy in (0..=hosts).rev() {
        let recipients = policy.recipients(healthy, hosts);
        match told.last_mut() {
            Some((same, least, _)) if *same == recipients => *least = healthy,
            _ => told.push((recipients, healthy, healthy)),
        }
    }
    let outcome =
        |(recipients, least, most)| HealthOutcome { least, most, requests: word(recipients).to_owned() };
    told.into_iter().map(outcome).collect()
}

const fn word(recipients: Recipients) -> &'static str {
    match recipients {
        Recipients::Healthy => "healthy",
        Recipients::All => "all",
        Recipients::Nobody => "refused",
    }
}

/// The same in a sentence, where hosts can be anything but healthy.
pub(super) fn sentence(cluster: &Cluster) -> Option<String> {
    cluster.outlier.as_ref()?;
    if cluster.endpoints.is_empty() {
        return None;
    }
    let nobody = Trigger::Refused(RefusalReason::NoHealthy);
    let answered = cluster.fallback.as_ref().is_some_and(|fallback| fallback.policy.answers(nobody));
    let told: Vec<String> = outcomes(cluster)
        .iter()
        .enumerate()
        .map(|(index, outcome)| {
            let count = match (outcome.least, outcome.most) {
                (least, most) if least == most => most.to_string(),
                (least, most) if least + 1 == most => format!("{least} or {most}"),
                (least, most) => format!("{least} to {most}"),
            };
            let noun = match (index, outcome.most) {
                (0, 1) if outcome.least == 1 => " healthy host",
                (0, _) => " healthy hosts",
                _ => "",
            };
            let what = match outcome.requests.as_str() {
                "healthy" if (outcome.least, outcome.most) == (1, 1) => "that one gets the requests",
                "healthy" => "those get the requests",
                "all" => "all hosts, ejected ones too",
                _ if answered => "no request is sent, and the fallback answers no_healthy",
                _ => "every request is refused with 503 (UH, no_healthy)",
            };
            let with = if index == 0 { "With" } else { "with" };
            format!("{with} {count}{noun}, {what}")
        })
        .collect();
    Some(format!("{}.", told.join("; ")))
}
