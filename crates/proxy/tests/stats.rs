//! What the proxy counts, as the admin pages show it: present from the start, Envoy's names and kinds, gauges from the state
//! that decides.

#![allow(clippy::unwrap_used, clippy::panic)] // how a test fails

mod observed;

use std::collections::BTreeMap;

use fuseboard_admin::{Query, stats as pages};
use fuseboard_core::limit::{LimitView, Thresholds, UNLIMITED};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::stats::{ClusterBlock, Observation, collect, declared};
use fuseboard_stats::{Kind, Sharded};
use fuseboard_testkit::exposition;

/// `connectionPool` with 1 connection, 1 waiting, 2 requests, 3 retries.
const BOUNDS: Thresholds =
    Thresholds { max_connections: 1, max_pending_requests: 1, max_requests: 2, max_retries: 3 };

fn text(observed: &Observation, query: &str) -> String {
    pages::page(&collect(observed), &Query::parse(query)).body
}

/// Counters and gauges by full name.
fn numbers(observed: &Observation) -> BTreeMap<String, u64> {
    let lines = text(observed, "");
    let pairs = lines.lines().filter_map(|line| line.split_once(": "));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// A cluster's stat by its name inside the cluster.
fn of_cluster(observed: &Observation, stat: &str) -> u64 {
    let name = format!("cluster.{};.{stat}", observed::cluster_name("httpbin"));
    *numbers(observed).get(&name).unwrap_or_else(|| panic!("no {name}"))
}

fn httpbin() -> Observation {
    observed::proxy(vec![observed::cluster("httpbin", BOUNDS)])
}

fn limits(of: impl Fn(&mut LimitView)) -> Observation {
    let mut observed = httpbin();
    of(&mut observed.status.clusters[0].limits.default);
    observed
}

#[test]
fn d10_p01_every_gauge_and_refusal_reason_is_there_from_the_first_scrape_with_value_0() {
    let numbers = numbers(&httpbin());
    let cluster = format!("cluster.{};", observed::cluster_name("httpbin"));
    for gauge in ["cx_open", "cx_pool_open", "rq_pending_open", "rq_open", "rq_retry_open"] {
        for priority in ["default", "high"] {
            assert_eq!(numbers[&format!("{cluster}.circuit_breakers.{priority}.{gauge}")], 0);
        }
    }
    for reason in
        RefusalReason::ALL.into_iter().filter(|reason| *reason != RefusalReason::LimitDownstreamConnections)
    {
        assert_eq!(numbers[&format!("{cluster}.fuseboard.refused.{}", reason.token())], 0);
    }
    assert_eq!(numbers["listener.[__1]_9000.fuseboard.refused.limit.downstream_connections"], 0);
    assert_eq!(numbers[&format!("{cluster}.outlier_detection.ejections_active")], 0);
}

#[test]
fn p01_reaching_a_limit_moves_exactly_its_gauge() {
    let open = |observed: &Observation| -> Vec<String> {
        let numbers = numbers(observed);
        let set = numbers.into_iter().filter(|(name, value)| name.ends_with("_open") && *value == 1);
        set.map(|(name, _)| name.rsplit('.').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(open(&httpbin()), [""; 0]);
    assert_eq!(open(&limits(|l| l.connections = 1)), ["cx_open"]);
    assert_eq!(open(&limits(|l| l.pending = 1)), ["rq_pending_open"]);
    assert_eq!(open(&limits(|l| l.requests = 2)), ["rq_open"]);
    assert_eq!(open(&limits(|l| l.retries = 3)), ["rq_retry_open"]);
    assert_eq!(open(&limits(|l| (l.requests, l.retries) = (1, 2))), [""; 0], "below the limit");
}

#[test]
fn d13_a_limit_of_0_reads_as_reached_before_anything_was_counted() {
    let none = Thresholds { max_pending_requests: 0, ..BOUNDS };
    let observed = observed::proxy(vec![observed::cluster("httpbin", none)]);
    assert_eq!(of_cluster(&observed, "circuit_breakers.default.rq_pending_open"), 1);
    assert_eq!(of_cluster(&observed, "circuit_breakers.default.remaining_pending"), 0);
}

#[test]
fn what_remains_is_the_bound_less_what_runs() {
    let observed = limits(|l| (l.connections, l.requests) = (1, 1));
    assert_eq!(of_cluster(&observed, "circuit_breakers.default.remaining_cx"), 0);
    assert_eq!(of_cluster(&observed, "circuit_breakers.default.remaining_pending"), 1);
    assert_eq!(of_cluster(&observed, "circuit_breakers.default.remaining_rq"), 1);
    assert_eq!(of_cluster(&observed, "circuit_breakers.default.remaining_retries"), 3);
    assert_eq!(of_cluster(&observed, "upstream_cx_active"), 1);
    assert_eq!(of_cluster(&observed, "upstream_rq_active"), 1);
    assert_eq!(of_cluster(&observed, "upstream_rq_pending_active"), 0);
}

#[test]
fn a_limit_that_is_not_set_is_never_reached() {
    let unlimited = observed::proxy(vec![observed::cluster("httpbin", Thresholds::UNLIMITED)]);
    assert_eq!(of_cluster(&unlimited, "circuit_breakers.default.remaining_cx"), u64::from(UNLIMITED));
    assert_eq!(of_cluster(&unlimited, "circuit_breakers.default.cx_open"), 0);
    assert_eq!(of_cluster(&unlimited, "fuseboard.limit.connections"), u64::from(UNLIMITED));
}

#[test]
fn the_lines_of_istios_task_are_those_that_grep_finds() {
    let observed = httpbin();
    let block = observed.cluster_blocks[0].shard(0);
    block.stats.upstream_rq_pending_overflow.add(21);
    block.stats.upstream_rq_pending_total.add(29);
    let text = text(&observed, "");
    let found: Vec<&str> =
        text.lines().filter(|line| line.contains("httpbin") && line.contains("pending")).collect();
    assert_eq!(
        found,
        [
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.circuit_breakers.default.remaining_pending: 1",
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.circuit_breakers.default.rq_pending_open: 0",
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.circuit_breakers.high.rq_pending_open: 0",
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_pending_active: 0",
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_pending_failure_eject: 0",
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_pending_overflow: 21",
            "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_pending_total: 29",
        ]
    );
}

#[test]
fn d11_p04_a_refusal_counts_under_its_reason_and_under_no_other() {
    for refused in RefusalReason::ALL {
        if refused == RefusalReason::LimitDownstreamConnections {
            continue; // the listener's
        }
        let observed = httpbin();
        observed.cluster_blocks[0].shard(1).refused.inc(refused);
        let page = pages::prometheus_page(&collect(&observed), &Query::default()).body;
        let families = exposition::parse(&page).unwrap();
        let family = families.iter().find(|family| family.name == "fuseboard_cluster_refused_total").unwrap();
        for sample in &family.samples {
            let expected = if sample.labels["reason"] == refused.token() { 1.0 } else { 0.0 };
            assert!((sample.value - expected).abs() < f64::EPSILON, "{refused:?} {sample:?}");
            assert_eq!(sample.labels["cluster_name"], observed::cluster_name("httpbin"));
        }
    }
}

#[test]
fn the_exposition_is_well_formed_and_labelled_as_istio_labels_it() {
    let observed = observed::proxy(vec![
        observed::cluster("httpbin", BOUNDS),
        observed::cluster("odd\"\\\nname", Thresholds::ENVOY),
    ]);
    let block = observed.cluster_blocks[0].shard(0);
    block.codes.inc(200);
    block.codes.inc(503);
    block.retried_codes.inc(503);
    block.stats.upstream_rq_time.record(12);
    observed.listener_blocks[0].shard(3).codes.inc(503);
    let page = pages::prometheus_page(&collect(&observed), &Query::default()).body;
    let families = exposition::parse(&page).unwrap();
    let labels = |family: &str| -> Vec<String> {
        let family = families.iter().find(|candidate| candidate.name == family).unwrap();
        let samples = family.samples.iter().filter(|sample| sample.value > 0.0);
        let mut labels: Vec<_> =
            samples.map(|sample| format!("{:?}", sample.labels).replace('"', "")).collect();
        labels.sort();
        labels
    };
    let cluster = observed::cluster_name("httpbin");
    assert_eq!(
        labels("envoy_cluster_upstream_rq"),
        [
            format!("{{cluster_name: {cluster}, response_code: 200}}"),
            format!("{{cluster_name: {cluster}, response_code: 503}}"),
            format!("{{cluster_name: {cluster}, response_code_class: 2xx}}"),
            format!("{{cluster_name: {cluster}, response_code_class: 5xx}}"),
        ]
    );
    assert_eq!(labels("envoy_cluster_external_upstream_rq").len(), 4);
    assert_eq!(
        labels("envoy_cluster_retry_upstream_rq"),
        [
            format!("{{cluster_name: {cluster}, response_code: 503}}"),
            format!("{{cluster_name: {cluster}, response_code_class: 5xx}}"),
        ]
    );
    assert_eq!(
        labels("envoy_http_downstream_rq"),
        ["{http_conn_manager_prefix: outbound_[__1]_9000, response_code_class: 5xx}"]
    );
    assert_eq!(labels("envoy_server_live"), ["{}"]);
}

#[test]
fn no_name_occurs_twice() {
    let observed =
        observed::proxy(vec![observed::cluster("a", BOUNDS), observed::cluster("b", Thresholds::ENVOY)]);
    let text = text(&observed, "");
    let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn outlier_stats_exist_where_there_is_outlier_detection() {
    let mut status = observed::cluster("httpbin", BOUNDS);
    assert!(text(&observed::proxy(vec![status.clone()]), "").contains("outlier_detection"));
    std::sync::Arc::make_mut(&mut status.cluster).outlier = None;
    assert!(!text(&observed::proxy(vec![status]), "").contains("outlier_detection"));
}

/// Envoy 1.40's stats of the same scopes, by name inside the scope.
fn envoys() -> BTreeMap<&'static str, Kind> {
    // Those of TLS are there only where TLS is, and an Envoy makes one for a cipher when it is used first.
    let all = [include_str!("envoy_stats.txt"), include_str!("envoy_tls_stats.txt")];
    let lines = all.into_iter().flat_map(str::lines).filter_map(|line| line.split_once(' '));
    let kind = |text| match text {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        other => panic!("{other}"),
    };
    lines.map(|(text, name)| (name, kind(text))).collect()
}

#[test]
fn what_is_not_marked_as_ours_has_envoys_name_and_kind() {
    let envoys = envoys();
    for (scope, descs) in declared() {
        if scope.contains("fuseboard") {
            continue;
        }
        let scope = scope.replace("<priority>", "default");
        for desc in descs {
            let name = format!("{scope}.{}", desc.name);
            assert_eq!(envoys.get(name.as_str()), Some(&desc.kind), "{name}");
            assert!(desc.help().ends_with('.') || desc.help().ends_with('`'), "{name}: {}", desc.help());
        }
    }
}

#[test]
fn p16_an_unused_clusters_stats_cost_a_table_of_empty_slots_and_are_zeros() {
    let workers = 64;
    let blocks = Sharded::<ClusterBlock>::new(workers);
    assert!(blocks.heap_bytes() <= 2 * 1024, "{} bytes for {workers} workers", blocks.heap_bytes());
    let numbers = numbers(&httpbin());
    let prefix = format!("cluster.{};.", observed::cluster_name("httpbin"));
    let nonzero: Vec<_> = numbers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.strip_prefix(&prefix)?, *value)).filter(|(_, value)| *value > 0)
        })
        .map(|(name, _)| name)
        .collect();
    let remaining = |name: &&str| name.starts_with("circuit_breakers.default.remaining_");
    let configured = |name: &&str| name.starts_with("fuseboard.limit.") || name.starts_with("membership_");
    assert!(nonzero.iter().all(|name| remaining(name) || configured(name)), "{nonzero:?}");
    assert!(numbers.len() > 100);

    // what a worker that uses it adds, before histograms and codes
    blocks.shard(0);
    let used = blocks.heap_bytes() - Sharded::<ClusterBlock>::new(workers).heap_bytes();
    assert!(used <= 4 * 1024, "{used} bytes for each worker that uses it");
}
