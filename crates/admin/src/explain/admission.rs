//! What will happen to request N+1: how many run, how many wait, which one is refused and why. The arithmetic
//! is that of `docs/concepts/limits.md`.

use fuseboard_core::limit::UNLIMITED;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Availability, Cluster, Route};
use serde::{Deserialize, Serialize};

use super::{protocol, word};

/// How many requests are admitted at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// So many run; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// So many more wait; absent: all the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
    /// The first that is refused; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// Why, as a token of the closed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Admission {
    /// Of requests that all arrive before the first one ends.
    pub(super) fn of(cluster: &Cluster) -> Self {
        let refuse_all = |reason: RefusalReason| Self::new(Some(0), Some(0), Some(reason));
        if let Availability::Withheld(reason) = cluster.availability {
            return refuse_all(reason);
        }
        if word::ready(cluster) == 0 {
            return refuse_all(RefusalReason::NoHealthy);
        }
        let limits = &cluster.thresholds.default;
        let finite = |bound: u32| (bound != UNLIMITED).then_some(u64::from(bound));
        let per_connection = u64::from(protocol::per_connection(cluster));
        let places = finite(limits.max_connections).map(|connections| connections * per_connection);
        match (places, finite(limits.max_requests)) {
            (None, None) => Self::new(None, Some(0), None),
            // What is refused by this limit never gets as far as the queue.
            (None, Some(requests)) => Self::new(Some(requests), Some(0), Some(RefusalReason::LimitRequests)),
            (Some(places), Some(requests)) if requests < places => {
                Self::new(Some(requests), Some(0), Some(RefusalReason::LimitRequests))
            }
            (Some(places), _) => match finite(limits.max_pending_requests) {
                Some(queue) => Self::new(Some(places), Some(queue), Some(RefusalReason::LimitQueueFull)),
                None => Self::new(Some(places), None, None),
            },
        }
    }

    fn new(run: Option<u64>, wait: Option<u64>, reason: Option<RefusalReason>) -> Self {
        let refused = reason.and_then(|_| Some(run? + wait? + 1));
        Self { run, wait, refused, reason: reason.map(|reason| reason.token().to_owned()) }
    }
}

/// The same in sentences, with what ends a wait and what a retry may do.
pub(super) fn sentences(cluster: &Cluster, route: Option<&Route>) -> Vec<String> {
    if let Availability::Withheld(reason) = cluster.availability {
        return vec![format!("Every request is answered 503 ({}): {}.", reason.token(), reason.meaning())];
    }
    if word::ready(cluster) == 0 {
        return vec!["No host is ready: every request is refused with 503 (UH, no_healthy).".to_owned()];
    }
    let admission = Admission::of(cluster);
    let mut told = vec![format!("{}: {}.", situation(cluster), verdict(&admission))];
    if admission.wait != Some(0) {
        told.push(waiting(cluster, route));
    }
    let is_limited = cluster.thresholds.default.max_connections != UNLIMITED;
    told.extend(protocol::sentence(cluster).filter(|_| is_limited));
    if let Some(retry) = route.and_then(|route| route.retry.as_ref()) {
        told.push(format!(
            "A try that cannot connect is made again, on another host if there is one, {} more {} at most; each needs a place of its own.",
            word::cardinal(retry.num_retries.into()),
            if retry.num_retries == 1 { "time" } else { "times" },
        ));
    }
    told
}

/// `2 hosts, at most one connection`
fn situation(cluster: &Cluster) -> String {
    let limits = &cluster.thresholds.default;
    let limit = |bound: u32, noun: &str| {
        let plural = if bound == 1 { "" } else { "s" };
        (bound != UNLIMITED).then(|| format!("at most {} {noun}{plural}", word::cardinal(bound.into())))
    };
    let each = match protocol::per_connection(cluster) {
        1 => String::new(),
        requests if limits.max_connections == 1 => format!(" of {requests} requests"),
        requests => format!(" of {requests} requests each"),
    };
    let places = u64::from(limits.max_connections) * u64::from(protocol::per_connection(cluster));
    let requests = limit(limits.max_requests, "request").filter(|_| u64::from(limits.max_requests) < places);
    let mut told: Vec<String> = [
        Some(word::count(word::ready(cluster), "host")),
        limit(limits.max_connections, "connection").map(|connections| connections + &each),
        requests,
    ]
    .into_iter()
    .flatten()
    .collect();
    if told.len() == 1 {
        told.push("no limit".to_owned());
    }
    told.join(", ")
}

/// `one request runs, one waits, the third is refused with 503 (UO, limit.queue_full)`
fn verdict(admission: &Admission) -> String {
    let Some(run) = admission.run else { return "every request runs at once".to_owned() };
    let runs = match run {
        1 => "one request runs".to_owned(),
        _ => format!("{} requests run", word::cardinal(run)),
    };
    let waits = match admission.wait {
        None => "all others wait".to_owned(),
        Some(0) => "none waits".to_owned(),
        Some(1) => "one waits".to_owned(),
        Some(wait) => format!("{} wait", word::cardinal(wait)),
    };
    match (admission.refused, &admission.reason) {
        (Some(refused), Some(reason)) => {
            format!("{runs}, {waits}, the {} is refused with 503 (UO, {reason})", word::ordinal(refused))
        }
        _ => format!("{runs}, {waits}"),
    }
}

/// What ends a wait.
fn waiting(cluster: &Cluster, route: Option<&Route>) -> String {
    let order = "First come, first served, in one queue for all hosts";
    match (cluster.queue_timeout, route.and_then(|route| route.timeout)) {
        (Some(bound), _) => format!(
            "{order}; who waits longer than {} is refused with 503 (UO, limit.queue_timeout).",
            word::time(bound)
        ),
        (None, Some(bound)) => format!(
            "{order}; a wait has no bound of its own, and the request's time-out of {} ends it with 504 (UT).",
            word::time(bound)
        ),
        (None, None) => format!("{order}; a wait has no bound."),
    }
}
