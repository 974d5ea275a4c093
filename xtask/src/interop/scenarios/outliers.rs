//! Each detector that an Istio rule can turn on, its bounds, and the way back.

use super::scenario::Host::{Refuses, Serves};
use super::scenario::Step::{Call, Clusters, Get, Until};
use super::scenario::{PLAIN, Scenario, Step};

/// Ejects after three 5xx in a row.
const THREE: Scenario = Scenario {
    rule: "outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 100}",
    cluster: r#"{"outlier_detection": {"consecutive_5xx": 3, "enforcing_consecutive_5xx": 100, "max_ejection_percent": 100}}"#,
    ..PLAIN
};

/// Ejects after two gateway errors in a row, and not by other 5xx.
const GATEWAY: Scenario = Scenario {
    rule: "outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, maxEjectionPercent: 100}",
    cluster: r#"{"outlier_detection": {"consecutive_5xx": 0, "enforcing_consecutive_5xx": 0, "consecutive_gateway_failure": 2,
        "enforcing_consecutive_gateway_failure": 100, "max_ejection_percent": 100}}"#,
    ..PLAIN
};

/// Local failures apart; three in a row eject.
const SPLIT: Scenario = Scenario {
    rule: "outlierDetection: {consecutive5xxErrors: 3, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, \
        maxEjectionPercent: 100}",
    cluster: r#"{"outlier_detection": {"consecutive_5xx": 3, "enforcing_consecutive_5xx": 100, "split_external_local_origin_errors": true,
        "consecutive_local_origin_failure": 3, "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0, "max_ejection_percent": 100}}"#,
    ..PLAIN
};

/// Tried three times by Istio's own policy.
const UNAVAILABLE: &str =
    "POST /grpc/14 HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n";

const FAIL: Step = Get("/status/500");

const FOUND_1: Step = Until("outlier_detection.ejections_overflow", 1);
const FOUND_2: Step = Until("outlier_detection.ejections_overflow", 2);
const BACK: Step = Until("outlier_detection.ejections_active", 0);

/// Envoy's workers hear of an ejection a little later.
const OUT: Step = Until("outlier_detection.ejections_active", 1);

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "five-hundreds", steps: &[FAIL, FAIL, FAIL, OUT, Get("/ok"), Clusters], ..THREE },
    Scenario { name: "streak-broken", steps: &[FAIL, FAIL, Get("/ok"), FAIL, FAIL, Get("/ok")], ..THREE },
    Scenario {
        name: "four-hundreds-are-no-failures",
        steps: &[Get("/status/404"), Get("/status/429"), Get("/status/499"), Get("/status/400"), Get("/ok")],
        ..THREE
    },
    Scenario {
        name: "resets-are-failures",
        steps: &[Get("/close"), Get("/reset"), Get("/close"), OUT, Get("/ok")],
        ..THREE
    },
    Scenario {
        name: "bad-answers-are-failures",
        steps: &[Get("/raw/garbage"), Get("/raw/garbage"), Get("/raw/garbage"), OUT, Get("/ok")],
        ..THREE
    },
    Scenario {
        name: "statuses-of-grpc-are-failures",
        steps: &[Call(UNAVAILABLE), OUT, Call(UNAVAILABLE)],
        ..THREE
    },
    Scenario {
        name: "unreachable-is-a-failure",
        hosts: &[Refuses],
        steps: &[Get("/ok"), OUT, Get("/ok")],
        ..THREE
    },
    Scenario {
        name: "one-of-two-is-out",
        hosts: &[Serves, Refuses],
        steps: &[
            Get("/ok"),
            Get("/ok"),
            Get("/ok"),
            Get("/ok"),
            Get("/ok"),
            Get("/ok"),
            OUT,
            Get("/ok"),
            Get("/ok"),
        ],
        // How often the bad one is met before it is out.
        chance: &["cluster.upstream_cx_", "cluster.upstream_rq_retry"],
        ..THREE
    },
    Scenario {
        name: "gateway-errors",
        steps: &[Get("/status/502"), Get("/status/504"), OUT, Get("/ok")],
        ..GATEWAY
    },
    Scenario { name: "gateway-counts-no-others", steps: &[FAIL, FAIL, FAIL, Get("/ok")], ..GATEWAY },
    Scenario {
        name: "gateway-streak-broken",
        steps: &[Get("/status/503"), FAIL, Get("/status/503"), Get("/ok"), Get("/status/503"), Get("/ok")],
        ..GATEWAY
    },
    Scenario { name: "split-refused", hosts: &[Refuses], steps: &[Get("/ok"), OUT, Get("/ok")], ..SPLIT },
    Scenario { name: "split-answers", steps: &[FAIL, FAIL, FAIL, OUT, Get("/ok")], ..SPLIT },
    Scenario {
        name: "split-close",
        steps: &[Get("/close"), Get("/close"), Get("/close"), Get("/close"), Get("/ok")],
        ..SPLIT
    },
    Scenario {
        name: "share-too-small",
        rule: "outlierDetection: {consecutive5xxErrors: 1}",
        cluster: r#"{"outlier_detection": {"consecutive_5xx": 1, "enforcing_consecutive_5xx": 100}}"#,
        hosts: &[Serves, Serves],
        steps: &[
            FAIL,
            FOUND_1,
            FAIL,
            FOUND_2,
            FAIL,
            Until("outlier_detection.ejections_overflow", 3),
            Get("/ok"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "half-may-be-out",
        rule: "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 50}",
        cluster: r#"{"outlier_detection": {"consecutive_5xx": 1, "enforcing_consecutive_5xx": 100, "max_ejection_percent": 50}}"#,
        hosts: &[Serves, Serves],
        steps: &[FAIL, OUT, FAIL, FOUND_1, FAIL, FOUND_2, Get("/ok"), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "back-after-its-time",
        rule: "outlierDetection: {consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 5s, maxEjectionPercent: 100}",
        cluster: r#"{"common_lb_config": {"update_merge_window": "0s"}, "outlier_detection": {"consecutive_5xx": 1,
            "enforcing_consecutive_5xx": 100, "interval": "0.1s", "base_ejection_time": "5s", "max_ejection_percent": 100}}"#,
        steps: &[FAIL, OUT, Get("/ok"), BACK, Get("/ok"), FAIL, OUT, Get("/ok"), BACK],
        ..PLAIN
    },
    Scenario {
        name: "panic",
        rule: "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 100, minHealthPercent: 50}",
        cluster: r#"{"common_lb_config": {"healthy_panic_threshold": {"value": 50}}, "outlier_detection": {"consecutive_5xx": 1,
            "enforcing_consecutive_5xx": 100, "max_ejection_percent": 100}}"#,
        steps: &[FAIL, OUT, Get("/ok"), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "detector-off",
        rule: "outlierDetection: {consecutive5xxErrors: 0, maxEjectionPercent: 100}",
        cluster: r#"{"outlier_detection": {"consecutive_5xx": 0, "enforcing_consecutive_5xx": 0, "max_ejection_percent": 100}}"#,
        steps: &[FAIL, FAIL, FAIL, FAIL, FAIL, FAIL, Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "defaults-of-a-rule",
        rule: "outlierDetection: {maxEjectionPercent: 100}",
        cluster: r#"{"outlier_detection": {"max_ejection_percent": 100}}"#,
        steps: &[FAIL, FAIL, FAIL, FAIL, Get("/ok"), FAIL, FAIL, FAIL, FAIL, FAIL, OUT, Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "time-outs-are-failures",
        policy: "timeout: 150ms",
        route: r#"{"timeout": "0.15s"}"#,
        steps: &[Get("/silent"), Get("/silent"), Get("/silent"), OUT, Get("/ok")],
        ..THREE
    },
];
