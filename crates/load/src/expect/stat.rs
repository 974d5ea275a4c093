//! Counters of a proxy, by Envoy's names: which an expectation means, and how far they rose.

use std::collections::BTreeMap;
use std::fmt;

use fuseboard_core::refusal::RefusalReason;

/// Counters that are summed: of every cluster (or listener), unless one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatQuery {
    /// What stands behind a dot of the full name, or the full name.
    names: Vec<String>,
    /// Part of the cluster's name.
    of: Option<String>,
}

impl StatQuery {
    pub(super) fn named(name: &str) -> Self {
        Self { names: vec![name.to_owned()], of: None }
    }

    pub(super) fn refused(reason: Option<RefusalReason>) -> Self {
        let names = RefusalReason::ALL.into_iter().filter(|one| reason.is_none_or(|reason| reason == *one));
        Self { names: names.map(|one| format!("fuseboard.refused.{}", one.token())).collect(), of: None }
    }

    pub(super) fn ejections() -> Self {
        Self::named("outlier_detection.ejections_enforced_total")
    }

    pub(super) fn of(self, cluster: &str) -> Self {
        Self { of: Some(cluster.to_owned()), ..self }
    }

    /// Whether the counter `full` of `stats` is one of those meant.
    fn means(&self, full: &str, stats: &Stats) -> bool {
        self.names.iter().any(|name| match full.strip_suffix(name.as_str()) {
            Some("") => self.of.is_none(),
            Some(owner) => self.is_owner(owner) && !stats.counts_again(owner),
            None => false,
        })
    }

    /// `cluster.<name>.`
    fn is_owner(&self, owner: &str) -> bool {
        let (kind, name) = owner.split_once('.').unwrap_or((owner, ""));
        let Some(name) = name.strip_suffix('.') else { return false };
        let wanted = self.of.as_ref().is_none_or(|of| name.contains(of.as_str()));
        matches!(kind, "cluster" | "listener" | "http") && wanted
    }

    /// Counters of codes exist only once they counted something, those of ejections only where a rule asks for them.
    fn may_be_missing(&self) -> bool {
        let code = |name: &String| {
            name.strip_prefix("upstream_rq_")
                .is_some_and(|code| code.starts_with(|c: char| c.is_ascii_digit()))
        };
        self.names.iter().all(code) || *self == Self::ejections()
    }
}

impl fmt::Display for StatQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(" or "))?;
        self.of.as_ref().map_or(Ok(()), |of| write!(f, " of {of}"))
    }
}

/// A proxy's counters at one moment, by their full names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// Reads what `/stats?type=Counters` prints: `name: value` lines. Lines whose value is no whole number are left out.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Whether `cluster.<name>.external.` is no cluster of this name, but a group of answers that count the same calls
    /// of `cluster.<name>.` once more: a group has counters of codes, and none of calls.
    fn counts_again(&self, owner: &str) -> bool {
        owner.starts_with("cluster.")
            && ["external.", "internal.", "canary.", "retry."]
                .iter()
                .any(|group| owner.strip_suffix(group).is_some_and(|cluster| cluster.ends_with('.')))
            && !self.0.contains_key(&format!("{owner}upstream_rq_total"))
    }

    /// How far the counters rose since `before`. `None`: the proxy has none of this name.
    pub(super) fn rise(&self, before: &Self, query: &StatQuery) -> Option<u64> {
        let meant = || self.0.iter().filter(|(name, _)| query.means(name, self));
        if meant().next().is_none() {
            return query.may_be_missing().then_some(0);
        }
        // A counter that fell was reset in between; what it counted since then is what is known.
        let rise = |name: &String, now: u64| match before.0.get(name) {
            Some(then) if *then <= now => now - then,
            _ => now,
        };
        Some(meant().map(|(name, now)| rise(name, *now)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cluster.a.b.upstream_rq_503: 4\ncluster.c.upstream_rq_503: 1\n";
    const AFTER: &str = "cluster.a.b.upstream_rq_503: 10
cluster.a.b.external.upstream_rq_503: 10
cluster.a.b.retry.upstream_rq_503: 3
cluster.c.upstream_rq_503: 2
cluster.new.upstream_rq_503: 5
cluster.c.upstream_rq_time: P0(nan,1.05) P100(nan,1.05)
listener.127.0.0.1_80.fuseboard.refused.limit.downstream_connections: 7
cluster.c.fuseboard.refused.limit.queue_full: 8
http.ingress.downstream_rq_completed: 9
";

    fn rise(query: &StatQuery) -> Option<u64> {
        Stats::parse(AFTER).rise(&Stats::parse(BEFORE), query)
    }

    #[test]
    fn the_rises_of_all_clusters_are_summed_and_nothing_is_counted_twice() {
        assert_eq!(rise(&StatQuery::named("upstream_rq_503")), Some(6 + 1 + 5));
        assert_eq!(rise(&StatQuery::named("upstream_rq_503").of("a.b")), Some(6));
        assert_eq!(rise(&StatQuery::named("http.ingress.downstream_rq_completed")), Some(9));
        assert_eq!(rise(&StatQuery::named("downstream_rq_completed")), Some(9));
    }

    #[test]
    fn a_cluster_may_have_the_name_of_a_group() {
        let after = "cluster.a.upstream_rq_200: 3
cluster.a.upstream_rq_total: 3
cluster.a.internal.upstream_rq_200: 3
cluster.api.internal.upstream_rq_200: 4
cluster.api.internal.upstream_rq_total: 4
cluster.api.internal.internal.upstream_rq_200: 4
cluster.again.retry.upstream_rq_200: 9
";
        let rise = |query| Stats::parse(after).rise(&Stats::default(), &query);
        assert_eq!(rise(StatQuery::named("upstream_rq_200")), Some(3 + 4));
        assert_eq!(rise(StatQuery::named("upstream_rq_200").of("api.internal")), Some(4));
    }

    #[test]
    fn a_name_is_whole_from_a_dot_on() {
        assert_eq!(rise(&StatQuery::named("queue_full")), Some(8));
        assert_eq!(rise(&StatQuery::named("full")), None);
        assert_eq!(rise(&StatQuery::named("rq_503")), None);
        assert_eq!(rise(&StatQuery::named("upstream_rq_time")), None);
    }

    #[test]
    fn a_code_that_never_occurred_has_no_counter_and_counts_as_nothing() {
        assert_eq!(rise(&StatQuery::named("upstream_rq_418")), Some(0));
        assert_eq!(rise(&StatQuery::named("upstream_rq_pending_overflow")), None);
        assert_eq!(rise(&StatQuery::ejections()), Some(0));
        assert_eq!(rise(&StatQuery::ejections().of("tpyo")), None);
    }

    #[test]
    fn refusals_are_found_at_clusters_and_listeners() {
        assert_eq!(rise(&StatQuery::refused(None)), Some(15));
        assert_eq!(rise(&StatQuery::refused(Some(RefusalReason::LimitQueueFull))), Some(8));
    }
}
