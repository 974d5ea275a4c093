//! Refusals as people want to read them: how many, which limit, what bound, whose rule and which line.

use std::collections::BTreeMap;

use fuseboard_admin::refusals::Refusal;
use fuseboard_core::refusal::RefusalReason;

use crate::output::{BAD, FAINT, STRONG, styled};

/// Why some calls were refused: what they have in common, which is everything but the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) cluster: String,
    pub(crate) count: usize,
    pub(crate) status: u16,
    pub(crate) flag: String,
    pub(crate) reason: String,
    /// Field of the rule and its value; `None` where no bound decided.
    pub(crate) limit: Option<(String, u32)>,
    /// The most that was wanted at once: what counted against the limit, and the one that was refused.
    pub(crate) wanted: Option<u32>,
    /// Why the breaker had opened; `None` where no breaker refused.
    pub(crate) trip: Option<String>,
    /// `DestinationRule httpbin.default`; `None` where nobody wrote the bound.
    pub(crate) rule: Option<String>,
    /// `httpbin.yaml:12`
    pub(crate) place: Option<String>,
}

/// Groups refusals, most frequent first within each cluster.
pub(crate) fn explain(refusals: &[Refusal]) -> Vec<Explanation> {
    let mut groups: BTreeMap<_, Explanation> = BTreeMap::new();
    for refusal in refusals {
        let one = Explanation::of(refusal);
        let key = (
            one.cluster.clone(),
            one.reason.clone(),
            one.limit.clone(),
            one.place.clone(),
            one.status,
            one.trip.clone(),
        );
        let group = groups.entry(key).or_insert(Explanation { count: 0, ..one });
        group.count += 1;
        group.wanted = group.wanted.max(wanted(refusal));
    }
    let mut explanations: Vec<Explanation> = groups.into_values().collect();
    explanations.sort_by(|a, b| a.cluster.cmp(&b.cluster).then(b.count.cmp(&a.count)));
    explanations
}

impl Explanation {
    fn of(refusal: &Refusal) -> Self {
        let rule = refusal.rule.as_ref();
        Self {
            cluster: refusal.cluster.clone().unwrap_or_else(|| format!("listener {}", refusal.listener)),
            count: 1,
            status: refusal.status,
            flag: refusal.flag.clone(),
            reason: refusal.reason.clone(),
            limit: refusal.setting.clone().zip(refusal.bound),
            wanted: wanted(refusal),
            trip: refusal.trip.as_ref().map(|words| match &refusal.setting {
                Some(setting) => format!("{words} ({setting})"),
                None => words.clone(),
            }),
            rule: rule.map(|rule| format!("{} {}.{}", rule.kind, rule.name, rule.namespace)),
            place: rule
                .filter(|rule| !rule.file.is_empty())
                .map(|rule| format!("{}:{}", rule.file, rule.line)),
        }
    }

    /// Two or three lines within 80 columns, as long as names are: what and how many, the limit, the rule.
    pub(crate) fn lines(&self) -> Vec<String> {
        // Of a TCP connection, and of a retry that is not made, there is no status to tell.
        let status = if self.status == 0 { String::new() } else { format!("{} ", self.status) };
        let what = format!("{} × {status}{}", self.count, self.flag);
        let mut lines = vec![format!(
            "{}  {}: {}",
            styled(BAD, what),
            styled(STRONG, &self.reason),
            meaning(&self.reason)
        )];
        if let Some(limit) = self.limit() {
            lines.push(format!("  {} {limit}", styled(FAINT, "limit")));
        }
        if let Some(trip) = &self.trip {
            lines.push(format!("  {}  {trip}", styled(FAINT, "trip")));
        }
        if self.limit.is_some() || self.rule.is_some() {
            lines.push(format!("  {}  {}", styled(FAINT, "rule"), self.whose()));
        }
        lines
    }

    /// `http1MaxPendingRequests = 1, up to 2 wanted`
    pub(crate) fn limit(&self) -> Option<String> {
        let (setting, bound) = self.limit.as_ref()?;
        let unit = if self.reason == RefusalReason::LimitQueueTimeout.token() { "ms" } else { "" };
        let wanted = self.wanted.map(|wanted| format!(", up to {wanted} wanted")).unwrap_or_default();
        Some(format!("{setting} = {bound}{unit}{wanted}"))
    }

    /// `DestinationRule httpbin.default, httpbin.yaml:12`
    pub(crate) fn whose(&self) -> String {
        match (&self.rule, &self.place) {
            (Some(rule), Some(place)) => format!("{rule}, {}", styled(STRONG, place)),
            (Some(rule), None) => rule.clone(),
            (None, _) => "none: nobody set it, so this is the default".to_owned(),
        }
    }
}

/// Only limits have a demand; the queue time-out's value is a time.
fn wanted(refusal: &Refusal) -> Option<u32> {
    let counts = refusal.setting.is_some() && refusal.reason != RefusalReason::LimitQueueTimeout.token();
    refusal.value.filter(|_| counts).map(|value| value.saturating_add(1))
}

/// What a reason means; a proxy of another version may know reasons that we do not.
fn meaning(reason: &str) -> &'static str {
    RefusalReason::from_token(reason).map_or("see docs/refusals.md", RefusalReason::meaning)
}

#[cfg(test)]
mod tests {
    use fuseboard_admin::refusals::Rule;

    use super::*;

    fn refusal(reason: &str, value: u32) -> Refusal {
        Refusal {
            time: "2026-11-23T00:00:00.000Z".into(),
            age_ms: 1,
            cluster: Some("outbound|8000||httpbin".into()),
            listener: "outbound".into(),
            reason: reason.into(),
            flag: "UO".into(),
            status: 503,
            setting: Some("http1MaxPendingRequests".into()),
            bound: Some(1),
            value: Some(value),
            queue: 1,
            rule: None,
            trip: None,
        }
    }

    fn ruled(reason: &str) -> Refusal {
        let rule = Rule {
            kind: "DestinationRule".into(),
            namespace: "default".into(),
            name: "httpbin".into(),
            field: "spec".into(),
            file: "httpbin.yaml".into(),
            line: 12,
            column: 7,
        };
        Refusal { rule: Some(rule), ..refusal(reason, 1) }
    }

    fn plain(refusals: &[Refusal]) -> Vec<String> {
        let text = explain(refusals).iter().flat_map(Explanation::lines).collect::<Vec<_>>().join("\n");
        anstream::adapter::strip_str(&text).to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn equal_refusals_are_explained_once_with_the_greatest_demand() {
        let refusals =
            [refusal("limit.queue_full", 2), refusal("limit.queue_full", 7), refusal("no_healthy", 0)];
        let explanations = explain(&refusals);
        let first = &explanations[0];
        assert_eq!((explanations.len(), first.count, first.wanted), (2, 2, Some(8)));
    }

    #[test]
    fn an_explanation_names_limit_bound_demand_rule_and_line() {
        assert_eq!(
            plain(&[ruled("limit.queue_full")]),
            [
                "1 × 503 UO  limit.queue_full: every connection was busy and the queue was full",
                "  limit http1MaxPendingRequests = 1, up to 2 wanted",
                "  rule  DestinationRule httpbin.default, httpbin.yaml:12",
            ]
        );
    }

    #[test]
    fn what_a_breaker_refused_names_the_trip_and_its_line() {
        let refusal = Refusal {
            trip: Some("60 % of 10 calls were slow".into()),
            setting: Some("trip.slowPercent".into()),
            bound: None,
            value: None,
            ..ruled("breaker.open")
        };
        assert_eq!(
            plain(&[refusal]),
            [
                "1 × 503 UO  breaker.open: the breaker is open: the destination failed or hung, and has a rest",
                "  trip  60 % of 10 calls were slow (trip.slowPercent)",
                "  rule  DestinationRule httpbin.default, httpbin.yaml:12",
            ]
        );
    }

    #[test]
    fn a_bound_that_nobody_set_and_a_time_out_are_told_as_such() {
        let default = plain(&[refusal("limit.retries", 3)]);
        assert_eq!(default[2], "  rule  none: nobody set it, so this is the default");
        let late = plain(&[ruled("limit.queue_timeout")]);
        assert_eq!(late[1], "  limit http1MaxPendingRequests = 1ms");
    }
}
