//! The order in which a request meets what is configured for it. It is always the same; no rule can change it.

use fuseboard_core::breaker::Mode;
use fuseboard_snapshot::{Cluster, Route};

use super::word;

/// The whole of it, with what there is of each part.
pub(super) fn sentences(cluster: &Cluster, route: Option<&Route>) -> Vec<String> {
    let retry = route.and_then(|route| route.retry.as_ref());
    let fallback = cluster.fallback.as_ref().map(|fallback| word::count(fallback.policy.steps.len(), "step"));
    let time_out = route.and_then(|route| route.timeout).map(word::time);
    let retries = retry.filter(|retry| retry.num_retries > 0).map(|retry| retry.num_retries.to_string());
    let breaker = cluster.breaker.as_ref().map(|breaker| match breaker.policy.mode {
        Mode::Enforce => "enforced",
        Mode::Shadow => "shadow",
        Mode::Disabled => "disabled",
    });
    let each = retry.and_then(|retry| retry.per_try_timeout).map(word::time);
    let or_none = |part: Option<String>| part.unwrap_or_else(|| "none".to_owned());
    let mut told = vec![format!(
        "Always in this order: fallback ({}), time-out ({}), retries ({}); each try: breaker ({}), limits, host, time-out of the try ({}).",
        or_none(fallback.clone()),
        or_none(time_out),
        or_none(retries),
        breaker.unwrap_or("none"),
        or_none(each),
    )];
    if breaker.is_some() || fallback.is_some() {
        told.push(
            "Each try counts once, as what it was; the answer of a fallback never makes it a success."
                .to_owned(),
        );
    }
    told
}
