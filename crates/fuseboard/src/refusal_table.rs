//! Refusals as people want to read them: how many, which limit, what bound, whose rule and which line.

use std::collections::BTreeMap;

use fuseboard_admin::refusals::Refusal;
use fuseboard_core::refusal::RefusalReason;

use crate::output;

/// One line of the table: refusals that have everything in common but the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) cluster: String,
    pub(crate) count: usize,
    pub(crate) status: u16,
    pub(crate) flag: String,
    pub(crate) reason: String,
    /// `http1MaxPendingRequests = 1`; `-` where no setting decided.
    pub(crate) limit: String,
    /// The most that was wanted at once: what counted against the limit, and the one that was refused.
    pub(crate) wanted: Option<u32>,
    /// `httpbin.yaml:12`, or `default` where nobody wrote the bound.
    pub(crate) place: String,
    /// `DestinationRule httpbin.default`
    pub(crate) rule: Option<String>,
}

/// Groups refusals, most frequent first within each cluster.
pub(crate) fn lines(refusals: &[Refusal]) -> Vec<Line> {
    let mut groups: BTreeMap<(String, String, String, String, u16), Line> = BTreeMap::new();
    for refusal in refusals {
        let line = line(refusal);
        let key =
            (line.cluster.clone(), line.reason.clone(), line.limit.clone(), line.place.clone(), line.status);
        let group = groups.entry(key).or_insert(Line { count: 0, ..line });
        group.count += 1;
        group.wanted = group.wanted.max(wanted(refusal));
    }
    let mut lines: Vec<Line> = groups.into_values().collect();
    lines.sort_by(|a, b| a.cluster.cmp(&b.cluster).then(b.count.cmp(&a.count)));
    lines
}

fn line(refusal: &Refusal) -> Line {
    let setting = refusal.setting.clone().zip(refusal.bound);
    let rule = refusal.rule.as_ref();
    let place = match rule {
        Some(rule) if !rule.file.is_empty() => format!("{}:{}", rule.file, rule.line),
        Some(rule) => format!("{} {}.{}", rule.kind, rule.name, rule.namespace),
        None if setting.is_some() => "default".to_owned(),
        None => "-".to_owned(),
    };
    Line {
        cluster: refusal.cluster.clone().unwrap_or_else(|| refusal.listener.clone()),
        count: 1,
        status: refusal.status,
        flag: refusal.flag.clone(),
        reason: refusal.reason.clone(),
        limit: setting.map_or_else(|| "-".to_owned(), |(setting, bound)| format!("{setting} = {bound}")),
        wanted: wanted(refusal),
        place,
        rule: rule.map(|rule| format!("{} {}.{}", rule.kind, rule.name, rule.namespace)),
    }
}

/// Only limits have a demand; the queue time-out's value is a time.
fn wanted(refusal: &Refusal) -> Option<u32> {
    let counts = refusal.setting.is_some() && refusal.reason != RefusalReason::LimitQueueTimeout.token();
    refusal.value.filter(|_| counts).map(|value| value.saturating_add(1))
}

/// The aligned table, with a heading.
pub(crate) fn table(lines: &[Line]) -> String {
    let cells = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["COUNT", "FLAG", "REASON", "LIMIT", "WANTED", "RULE"])];
    for line in lines {
        let wanted = line.wanted.map_or_else(|| "-".to_owned(), |wanted| wanted.to_string());
        rows.push(cells([
            &line.count.to_string(),
            &line.flag,
            &line.reason,
            &line.limit,
            &wanted,
            &line.place,
        ]));
    }
    output::table(&rows)
}

/// What a reason means, in a sentence's end: `19 calls were refused because …`.
pub(crate) fn meaning(reason: &str) -> &'static str {
    match reason {
        "limit.queue_full" => "every connection was busy and the queue was full",
        "limit.requests" => "as many requests were in flight as the rule allows",
        "limit.connections" => "every connection was busy and this kind of request does not queue",
        "limit.queue_timeout" => "they waited for a connection longer than the rule allows",
        "limit.retries" => "as many retries were in flight as the rule allows",
        "limit.downstream_connections" => "the listener had all the connections it may have",
        "no_healthy" => "no host was healthy",
        "tls.unsupported" => {
            "the rule asks for TLS, which is not supported yet, and plaintext would be wrong"
        }
        _ => "the proxy says so; see docs/refusals.md",
    }
}

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
    fn equal_refusals_make_one_line_with_the_greatest_demand() {
        let refusals =
            [refusal("limit.queue_full", 2), refusal("limit.queue_full", 7), refusal("no_healthy", 0)];
        let lines = lines(&refusals);
        assert_eq!((lines.len(), lines[0].count, lines[0].wanted), (2, 2, Some(8)));
    }

    #[test]
    fn every_reason_is_put_into_words() {
        for reason in RefusalReason::ALL {
            assert_ne!(meaning(reason.token()), meaning("unknown"), "{}", reason.token());
        }
    }
}
