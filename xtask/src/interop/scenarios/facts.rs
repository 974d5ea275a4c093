//! What is noted of a scenario, how it is made comparable, and whether two lists of it are alike as they should be.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::scenario::Scenario;

/// Counters and gauges that both have and that are compared after each scenario. Bytes, times and what depends on them are not,
/// nor is what differs with every connection (D17).
const STATS: &[&str] = &[
    "cluster.upstream_rq_total",
    "cluster.upstream_rq_completed",
    "cluster.upstream_rq_1xx",
    "cluster.upstream_rq_2xx",
    "cluster.upstream_rq_3xx",
    "cluster.upstream_rq_4xx",
    "cluster.upstream_rq_5xx",
    "cluster.upstream_rq_503",
    "cluster.upstream_rq_504",
    "cluster.external.upstream_rq_completed",
    "cluster.upstream_rq_pending_overflow",
    "cluster.upstream_rq_active_overflow",
    "cluster.upstream_rq_cancelled",
    "cluster.upstream_rq_timeout",
    "cluster.upstream_rq_per_try_timeout",
    "cluster.upstream_rq_max_duration_reached",
    "cluster.upstream_rq_rx_reset",
    "cluster.upstream_rq_tx_reset",
    "cluster.upstream_rq_retry",
    "cluster.upstream_rq_retry_success",
    "cluster.upstream_rq_retry_overflow",
    "cluster.upstream_rq_retry_limit_exceeded",
    "cluster.upstream_rq_retry_backoff_exponential",
    "cluster.retry.upstream_rq_completed",
    "cluster.upstream_rq_active",
    "cluster.upstream_rq_pending_active",
    "cluster.upstream_cx_total",
    "cluster.upstream_cx_active",
    "cluster.upstream_cx_http1_total",
    "cluster.upstream_cx_http2_total",
    "cluster.upstream_cx_connect_fail",
    "cluster.upstream_cx_connect_timeout",
    "cluster.upstream_cx_destroy",
    "cluster.upstream_cx_destroy_local",
    "cluster.upstream_cx_destroy_remote",
    "cluster.upstream_cx_destroy_with_active_rq",
    "cluster.upstream_cx_destroy_local_with_active_rq",
    "cluster.upstream_cx_destroy_remote_with_active_rq",
    "cluster.upstream_cx_max_requests",
    "cluster.upstream_cx_idle_timeout",
    "cluster.upstream_cx_max_duration_reached",
    "cluster.upstream_cx_close_notify",
    "cluster.upstream_cx_protocol_error",
    "cluster.upstream_cx_none_healthy",
    "cluster.upstream_cx_pool_overflow",
    "cluster.lb_healthy_panic",
    "cluster.membership_total",
    "cluster.membership_healthy",
    "cluster.circuit_breakers.default.rq_open",
    "cluster.circuit_breakers.default.rq_pending_open",
    "cluster.circuit_breakers.default.rq_retry_open",
    "cluster.outlier_detection.ejections_active",
    "cluster.outlier_detection.ejections_overflow",
    "cluster.outlier_detection.ejections_enforced_total",
    "cluster.outlier_detection.ejections_detected_consecutive_5xx",
    "cluster.outlier_detection.ejections_enforced_consecutive_5xx",
    "cluster.outlier_detection.ejections_detected_consecutive_gateway_failure",
    "cluster.outlier_detection.ejections_enforced_consecutive_gateway_failure",
    "cluster.outlier_detection.ejections_detected_consecutive_local_origin_failure",
    "cluster.outlier_detection.ejections_enforced_consecutive_local_origin_failure",
    "http.downstream_rq_total",
    "http.downstream_rq_completed",
    "http.downstream_rq_1xx",
    "http.downstream_rq_2xx",
    "http.downstream_rq_3xx",
    "http.downstream_rq_4xx",
    "http.downstream_rq_5xx",
    "http.downstream_rq_active",
    "http.downstream_rq_http1_total",
    "http.downstream_rq_http2_total",
    "http.downstream_rq_rx_reset",
    "http.downstream_rq_tx_reset",
    "http.downstream_rq_idle_timeout",
    "http.downstream_rq_header_timeout",
    "http.downstream_rq_response_before_rq_complete",
    "http.rq_reset_after_downstream_response_started",
    "http.downstream_cx_destroy_local_active_rq",
    "http.downstream_cx_destroy_remote_active_rq",
    "http.downstream_rq_too_large",
    "http.downstream_cx_total",
    "http.downstream_cx_protocol_error",
    "http.downstream_cx_upgrades_total",
    "http.no_route",
];

/// Counters and gauges of a scenario's cluster and listener, as `cluster.x` and `http.x`.
pub(super) type Stats = BTreeMap<String, u64>;

/// Names and values in the order noted.
#[derive(Clone, Default)]
pub(super) struct Facts(Vec<(String, String)>);

impl Facts {
    pub(super) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// A stat that was never counted is 0 in one and absent in the other.
    pub(super) fn add_stats(&mut self, stats: &Stats) {
        for name in STATS {
            self.add(*name, stats.get(*name).copied().unwrap_or_default().to_string());
        }
    }

    /// Status, flags and details of the lines that a listener wrote, in no order.
    pub(super) fn add_log(&mut self, log: &str, listener: SocketAddr) {
        let here = format!(" {listener} ");
        let mut lines: Vec<[String; 3]> =
            log.lines().filter(|line| line.contains(&here)).filter_map(logged).collect();
        lines.sort();
        for (column, name) in ["log status", "log flags", "log details"].into_iter().enumerate() {
            let all: Vec<&str> = lines.iter().map(|line| line[column].as_str()).collect();
            self.add(name, all.join(" "));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn logged(line: &str) -> Option<[String; 3]> {
    let (_, rest) = line.split_once('"')?.1.split_once("\" ")?;
    let mut words = rest.split(' ').map(str::to_owned);
    Some([words.next()?, words.next()?, words.next()?])
}

/// A difference between the two.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) fact: String,
    pub(super) theirs: String,
    pub(super) ours: String,
}

/// What a comparison brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) wrong: Vec<Difference>,
    /// With the row of docs/differences.md.
    pub(super) listed: Vec<(&'static str, Difference)>,
    /// Entries of the scenario under which nothing differs.
    pub(super) idle: Vec<&'static str>,
}

pub(super) fn compare(scenario: &Scenario, theirs: &Facts, ours: &Facts) -> Comparison {
    let mut comparison = Comparison::default();
    let side = |facts: &Facts| facts.0.iter().cloned().collect::<BTreeMap<_, _>>();
    let (their_side, our_side) = (side(theirs), side(ours));
    let mut names: Vec<&String> = their_side.keys().chain(our_side.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let value = |side: &BTreeMap<String, String>| side.get(name).cloned().unwrap_or_default();
        let (theirs, ours) = (value(&their_side), value(&our_side));
        if theirs == ours || scenario.chance.iter().any(|begin| name.starts_with(begin)) {
            continue;
        }
        let difference = Difference { fact: name.clone(), theirs, ours };
        match scenario.listed.iter().find(|(begin, _)| name.starts_with(begin)) {
            Some((_, row)) => comparison.listed.push((row, difference)),
            None => comparison.wrong.push(difference),
        }
    }
    let explained: Vec<&str> =
        comparison.listed.iter().map(|(_, difference)| difference.fact.as_str()).collect();
    let idle = scenario.listed.iter().map(|(begin, _)| *begin);
    comparison.idle = idle.filter(|begin| !explained.iter().any(|fact| fact.starts_with(begin))).collect();
    comparison
}

/// The fields of an answer's head that both could say the same in: names in small letters, sorted. Not compared are the time, who
/// answers (D23) and our own fields of refusals (D11).
pub(super) fn fields(head: &str) -> String {
    let mut fields: Vec<String> = head.split("\r\n").skip(1).filter_map(field).collect();
    fields.sort();
    fields.join("; ")
}

fn field(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    let name = name.to_ascii_lowercase();
    let value = match name.as_str() {
        "date" | "server" | "x-fuseboard-refused" | "x-fuseboard-not-processed" => return None,
        "x-envoy-upstream-service-time" => "measured",
        _ => value.trim(),
    };
    Some(format!("{name}: {value}"))
}

/// The lines of `/clusters` about one service, hosts by number; what counts bytes or differs by design of the page is left out.
pub(super) fn cluster_lines(text: &str, service: &str, hosts: &[SocketAddr]) -> Vec<(String, String)> {
    let begin = format!("outbound|8000||{service}.");
    let ours = text.lines().filter(|line| line.starts_with(&begin));
    ours.filter_map(|line| {
        let (_, rest) = line.split_once("::")?;
        let mut rest = rest.to_owned();
        for (number, host) in hosts.iter().enumerate() {
            rest = rest.replace(&host.to_string(), &format!("host {number}"));
        }
        let (key, value) = rest.rsplit_once("::")?;
        Some((key.to_owned(), value.to_owned()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::scenario::PLAIN;
    use super::*;

    fn facts(all: &[(&str, &str)]) -> Facts {
        Facts(all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_difference_is_wrong_unless_the_scenario_says_why() {
        let theirs = facts(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
        let ours = facts(&[("a", "1"), ("b", "2"), ("c", "2"), ("e", "1")]);
        let scenario = Scenario { listed: &[("b", "D1"), ("c", "D2")], ..PLAIN };
        let compared = compare(&scenario, &theirs, &ours);
        assert_eq!(compared.wrong.iter().map(|wrong| &*wrong.fact).collect::<Vec<_>>(), ["d", "e"]);
        assert_eq!(compared.listed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), ["D1", "D2"]);
        assert!(compared.idle.is_empty());
        assert_eq!(compare(&scenario, &theirs, &theirs).idle, ["b", "c"]);
    }

    #[test]
    fn heads_and_lines_of_the_log_become_comparable() {
        let head = "HTTP/1.1 200 OK\r\nX-B: 1\r\nserver: envoy\r\ndate: now\r\na: 2\r\n\r\n";
        assert_eq!(fields(head), "a: 2; x-b: 1");
        let line = "[t] \"GET / HTTP/1.1\" 503 UO upstream{overflow} - \"-\" 127.0.0.1:9 x";
        let mut noted = Facts::default();
        noted.add_log(line, "127.0.0.1:9".parse().unwrap());
        assert_eq!(noted.0[1], ("log flags".into(), "UO".into()));
    }
}
