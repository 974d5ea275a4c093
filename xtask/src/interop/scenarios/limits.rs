//! Each limit, up to it and beyond.

use super::scenario::Host::{NeverAccepts, Serves};
use super::scenario::Step::{Burst, Clusters, Get, Open, Start, Until};
use super::scenario::{PLAIN, Scenario};

const ONE_AND_ONE: Scenario = Scenario {
    rule: "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}",
    cluster: r#"{"limits": {"max_connections": 1, "max_pending_requests": 1}}"#,
    ..PLAIN
};

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "no-rule", steps: &[Get("/ok"), Get("/ok"), Clusters], ..PLAIN },
    Scenario { name: "one-after-the-other", steps: &[Get("/ok"), Get("/ok"), Get("/ok")], ..ONE_AND_ONE },
    Scenario {
        name: "queue-full",
        steps: &[Start("/gate"), Start("/gate"), Get("/ok"), Open],
        ..ONE_AND_ONE
    },
    Scenario {
        name: "queue-served-in-order",
        rule: "connectionPool: {tcp: {maxConnections: 1}}",
        cluster: r#"{"limits": {"max_connections": 1}}"#,
        steps: &[Start("/gate"), Start("/status/201"), Start("/status/202"), Start("/status/404"), Open],
        ..PLAIN
    },
    Scenario {
        name: "more-connections",
        rule: "connectionPool: {tcp: {maxConnections: 2}, http: {http1MaxPendingRequests: 2}}",
        cluster: r#"{"limits": {"max_connections": 2, "max_pending_requests": 2}}"#,
        steps: &[
            Start("/gate"),
            Start("/gate"),
            Start("/gate"),
            Start("/gate"),
            Get("/ok"),
            Get("/ok"),
            Open,
        ],
        ..PLAIN
    },
    Scenario {
        name: "requests-full",
        rule: "connectionPool: {http: {http2MaxRequests: 1}}",
        cluster: r#"{"limits": {"max_requests": 1}}"#,
        steps: &[Start("/gate"), Get("/ok"), Open, Get("/ok")],
        // Envoy opens a connection before it looks.
        listed: &[("cluster.upstream_cx_", "D4")],
        ..PLAIN
    },
    Scenario {
        name: "one-request-a-connection",
        rule: "connectionPool: {http: {maxRequestsPerConnection: 1}}",
        cluster: r#"{"http": {"max_requests_per_connection": 1}}"#,
        steps: &[Get("/ok"), Get("/ok"), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "two-requests-a-connection",
        rule: "connectionPool: {http: {maxRequestsPerConnection: 2}}",
        cluster: r#"{"http": {"max_requests_per_connection": 2}}"#,
        steps: &[Get("/ok"), Get("/ok"), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "retries-full",
        rule: "connectionPool: {tcp: {connectTimeout: 300ms}, http: {maxRetries: 1}}",
        cluster: r#"{"connect_timeout": "0.3s", "limits": {"max_retries": 1}}"#,
        hosts: &[NeverAccepts],
        steps: &[Burst(2, "/ok")],
        ..PLAIN
    },
    Scenario {
        name: "unlimited-burst",
        hosts: &[Serves, Serves],
        steps: &[Start("/gate"), Start("/gate"), Start("/gate"), Start("/gate"), Open],
        ..PLAIN
    },
    Scenario {
        name: "limit-is-no-failure",
        rule: "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}, \
            outlierDetection: {consecutive5xxErrors: 2, maxEjectionPercent: 100}",
        cluster: r#"{"limits": {"max_connections": 1, "max_pending_requests": 1},
            "outlier_detection": {"consecutive_5xx": 2, "enforcing_consecutive_5xx": 100, "max_ejection_percent": 100}}"#,
        steps: &[Start("/gate"), Start("/gate"), Get("/ok"), Get("/ok"), Get("/ok"), Open, Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "limits-in-clusters",
        rule: "connectionPool: {tcp: {maxConnections: 3}, http: {http1MaxPendingRequests: 4, http2MaxRequests: 5, maxRetries: 6}}",
        cluster: r#"{"limits": {"max_connections": 3, "max_pending_requests": 4, "max_requests": 5, "max_retries": 6}}"#,
        steps: &[Get("/ok"), Until("upstream_rq_active", 0), Clusters],
        ..PLAIN
    },
];
