//! The same state prints the same text as Envoy 1.40 printed; what it printed is in `tests/envoy`.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod sample;

use fuseboard_admin::status::EjectionStatus;
use fuseboard_admin::{Query, clusters, endpoint, listeners, server_info, stats};
use fuseboard_core::outlier::DetectionKind;
use fuseboard_stats::{CodeOrigin, Codes, Reading, Scope};
use fuseboard_testkit::exposition;
use std::time::Duration;

fuseboard_stats::stats! {
    /// The part of the cluster's stats that was recorded.
    struct RecordedStats in "cluster.<name>" {
        /// Values 0.
        upstream_cx_connect_ms: Histogram,
        /// Nothing.
        upstream_cx_length_ms: Histogram,
        /// Values of seven requests.
        upstream_rq_time: Histogram,
        /// A counter that did not move.
        upstream_rq_0rtt: Counter,
    }
}

/// What was recorded: 6 times 200 and once 404.
fn reading() -> Reading {
    let stats = RecordedStats::default();
    stats.upstream_cx_connect_ms.record(0);
    for millis in [1, 40, 43, 44, 56, 59, 145] {
        stats.upstream_rq_time.record(millis);
    }
    let codes = Codes::default();
    for status in [200, 200, 200, 200, 200, 200, 404] {
        codes.inc(status);
    }
    let mut reading = Reading::new();
    let name = "outbound|8000||httpbin.default.svc.cluster.local;";
    let scope = reading.scope(Scope::of_many("cluster", name, "cluster_name"));
    reading.block(scope, std::iter::once(&stats));
    reading.codes(scope, "upstream_rq", &[CodeOrigin::All], std::iter::once(&codes));
    reading
}

/// Envoy's `P50(interval,total)` with the interval that we do not keep.
fn without_intervals(text: &str) -> String {
    let words = text.split(' ').map(|word| match (word.split_once('('), word.split_once(',')) {
        (Some((name, _)), Some((_, total))) if name.starts_with('P') => format!("{name}(nan,{total}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn clusters_as_text() {
    let page = clusters::page(&sample::proxy().clusters, &Query::default());
    assert_eq!(page.body, include_str!("envoy/clusters.txt"));
    assert_eq!((page.status, page.content_type), (200, "text/plain; charset=UTF-8"));
}

#[test]
fn clusters_as_json() {
    let page = clusters::page(&sample::proxy().clusters, &Query::parse("format=json"));
    assert_eq!(page.body, include_str!("envoy/clusters.json"));
    assert_eq!(page.content_type, "application/json");
}

#[test]
fn an_ejected_host_has_envoys_flag_in_both_formats() {
    let mut status = sample::httpbin();
    status.hosts[0].ejection = Some(EjectionStatus {
        number: 1,
        since: Duration::from_secs(1),
        remaining: Duration::from_secs(29),
        returns_in: Duration::from_secs(29),
        detector: DetectionKind::Consecutive5xx,
        evidence: None,
    });
    let text = clusters::page(std::slice::from_ref(&status), &Query::default()).body;
    assert!(text.contains("::127.0.0.1:28181::health_flags::/failed_outlier_check\n"), "{text}");
    let json = clusters::page(&[status], &Query::parse("format=json")).body;
    let recorded = "     \"health_status\": {\n      \"failed_outlier_check\": true,\n      \"eds_health_status\": \"HEALTHY\"\n     },\n";
    assert!(json.contains(recorded), "{json}");
}

#[test]
fn listeners_as_text_and_json() {
    let listeners = sample::proxy().listeners;
    assert_eq!(listeners::page(&listeners, &Query::default()).body, include_str!("envoy/listeners.txt"));
    let json = listeners::page(&listeners, &Query::parse("format=json")).body;
    assert_eq!(json, include_str!("envoy/listeners.json"));
}

#[test]
fn stats_as_text() {
    let page = stats::page(&reading(), &Query::default());
    assert_eq!(page.body, without_intervals(include_str!("envoy/stats.txt")));
}

/// Envoy prints a cluster's codes in the order in which they first occurred; Prometheus does not care, so neither do we.
fn sorted_series(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.contains("0rtt")).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn stats_for_prometheus() {
    let page = stats::prometheus_page(&reading(), &Query::default());
    assert_eq!(sorted_series(&page.body), sorted_series(include_str!("envoy/stats.prom")));
    let types = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with('#') && !line.contains("0rtt"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(types(&page.body), types(include_str!("envoy/stats.prom")), "families in Envoy's order");
    assert!(exposition::parse(&page.body).is_ok());
}

#[test]
fn stats_as_json() {
    let query = Query::parse("format=json&filter=rq_(200|time)");
    assert_eq!(
        stats::page(&reading(), &query).body,
        concat!(
            r#"{"stats":[{"name":"cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_200","value":6},"#,
            r#"{"histograms":{"supported_quantiles":[0,25,50,75,90,95,99,99.5,99.9,100],"computed_quantiles":[{"#,
            r#""name":"cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_time","values":["#,
            r#"{"cumulative":1.05,"interval":null},{"cumulative":40.5,"interval":null},{"cumulative":44.5,"interval":null},"#,
            r#"{"cumulative":59.5,"interval":null},{"cumulative":145,"interval":null},{"cumulative":145,"interval":null},"#,
            r#"{"cumulative":145,"interval":null},{"cumulative":145,"interval":null},{"cumulative":145,"interval":null},"#,
            r#"{"cumulative":145,"interval":null}]}]}}]}"#
        )
    );
    assert_eq!(stats::page(&reading(), &Query::parse("format=json&filter=nothing")).body, r#"{"stats":[]}"#);
}

#[test]
fn histogram_buckets_as_text() {
    let query = |view| format!("filter=rq_time&histogram_buckets={view}");
    let name = "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_time: ";
    let cumulative = "B0.5(0,0) B1(0,1) B5(0,1) B10(0,1) B25(0,1) B50(0,4) B100(0,6) B250(0,7) B500(0,7) B1000(0,7) \
        B2500(0,7) B5000(0,7) B10000(0,7) B30000(0,7) B60000(0,7) B300000(0,7) B600000(0,7) B1.8e+06(0,7) B3.6e+06(0,7)\n";
    let page = stats::page(&reading(), &Query::parse(&query("cumulative")));
    assert_eq!(page.body, format!("{name}{cumulative}"));
    let page = stats::page(&reading(), &Query::parse(&query("disjoint")));
    assert!(page.body.starts_with(&format!(
        "{name}B0.5(0,0) B1(0,1) B5(0,0) B10(0,0) B25(0,0) B50(0,3) B100(0,2) B250(0,1) B500(0,0)"
    )));
}

#[test]
fn histograms_in_all_detail() {
    let name = "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_time";
    let page = |query: &str| stats::page(&reading(), &Query::parse(&format!("filter=rq_time&{query}"))).body;
    assert_eq!(
        page("histogram_buckets=detailed"),
        format!(
            "{name}:\n  totals=1,0.1:1, 40,1:1, 43,1:1, 44,1:1, 56,1:1, 59,1:1, 140,10:1\n  intervals=\n  summary=P0(nan,1.05) P25(nan,40.5) \
             P50(nan,44.5) P75(nan,59.5) P90(nan,145) P95(nan,145) P99(nan,145) P99.5(nan,145) P99.9(nan,145) P100(nan,145)\n"
        )
    );
    let json: serde_json::Value =
        serde_json::from_str(&page("histogram_buckets=detailed&format=json")).unwrap();
    let detail = &json["stats"][0]["histograms"]["details"][0];
    assert_eq!(detail["totals"][1], serde_json::json!({"lower_bound": 40, "width": 1, "count": 1}));
    let summary = page("histogram_buckets=summary&format=prometheus");
    let label = "{cluster_name=\"outbound|8000||httpbin.default.svc.cluster.local\"";
    let family = "envoy_cluster_upstream_rq_time";
    assert!(
        summary.starts_with(&format!("# TYPE {family} summary\n{family}{label},quantile=\"0\"}} 1.05")),
        "{summary}"
    );
    assert!(summary.contains(&format!("{family}{label},quantile=\"0.999\"}} 145\n")), "{summary}");
    assert!(summary.ends_with(&format!("{family}_count{label}}} 7\n")), "{summary}");
}

#[test]
fn filters_kinds_and_used_only_select_as_in_envoy() {
    let names = |query: &str| -> Vec<String> {
        let body = stats::page(&reading(), &Query::parse(query)).body;
        let short = |line: &str| line.split(": ").next().unwrap().rsplit('.').next().unwrap().to_owned();
        body.lines().map(short).collect()
    };
    let codes =
        ["upstream_rq_200", "upstream_rq_2xx", "upstream_rq_404", "upstream_rq_4xx", "upstream_rq_completed"];
    assert_eq!(names("usedonly&type=Counters"), codes);
    assert_eq!(
        names("type=Histograms"),
        ["upstream_cx_connect_ms", "upstream_cx_length_ms", "upstream_rq_time"]
    );
    assert_eq!(names("type=Histograms&usedonly"), ["upstream_cx_connect_ms", "upstream_rq_time"]);
    assert_eq!(names("type=Gauges"), [""; 0]);
    assert_eq!(names("type=TextReadouts"), [""; 0]);
    assert_eq!(names("filter=rq_2..$"), ["upstream_rq_200", "upstream_rq_2xx"]);
    assert_eq!(names("filter=rq&invert_filter&usedonly"), ["upstream_cx_connect_ms"]);
    assert_eq!(names("filter=rq&type=Counters").len(), 6, "a filter matches anywhere");
}

#[test]
fn bad_parameters_are_told_as_envoy_tells_them() {
    let told = |query: &str| {
        let page = stats::page(&reading(), &Query::parse(query));
        (page.status, page.body)
    };
    assert_eq!(told("type=bogus"), (400, "invalid &type= param".to_owned()));
    let (status, text) = told("format=active-html");
    assert_eq!((status, text.as_str()), (400, "usage: /stats?format=(html|json|prometheus|text)\n\n"));
    let (status, text) = told("format=prometheus&histogram_buckets=disjoint");
    assert_eq!((status, text.as_str()), (400, "unsupported prometheus histogram bucket mode"));
    let (status, text) = told("filter=%5Bunclosed");
    assert_eq!(status, 400);
    assert!(text.starts_with("Invalid regex: "), "{text}");
    assert_eq!(told("histogram_buckets=bogus").0, 400);
}

#[test]
fn ready_is_503_with_the_states_name_unless_live() {
    use fuseboard_admin::status::ServerState;
    let ready = |state| {
        let page = server_info::ready(state);
        (page.status, page.body)
    };
    assert_eq!(ready(ServerState::Live), (200, "LIVE\n".to_owned()));
    assert_eq!(ready(ServerState::Draining), (503, "DRAINING\n".to_owned()));
    assert_eq!(ready(ServerState::Initializing), (503, "INITIALIZING\n".to_owned()));
}

#[test]
fn wrong_methods_and_paths_are_told_as_envoy_tells_them() {
    let page = endpoint::method_refused("GET", "POST");
    assert_eq!((page.status, page.body.as_str()), (405, "Method GET not allowed, POST required."));
    let page = endpoint::unknown_path();
    assert_eq!(page.status, 404);
    assert!(page.body.starts_with("invalid path. admin commands are:\n  /: "));
    assert_eq!(endpoint::done().body, "OK\n");
}
