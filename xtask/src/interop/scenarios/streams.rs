//! HTTP/2 and gRPC, towards the host and from the client: limits, what a host can do to a stream, statuses of gRPC, time-outs.

use super::scenario::Host::{Refuses, Streams};
use super::scenario::Step::{CallGrpc, Get, Open, Start, Stream, Until};
use super::scenario::{PLAIN, Scenario};

/// A host that speaks HTTP/2.
const HTTP2: Scenario = Scenario { hosts: &[Streams], ..PLAIN };

/// Ejects after three 5xx in a row.
const THREE: Scenario = Scenario {
    rule: "outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 100}",
    cluster: r#"{"outlier_detection": {"consecutive_5xx": 3, "enforcing_consecutive_5xx": 100, "max_ejection_percent": 100}}"#,
    ..HTTP2
};

/// Differs (D64) where GOAWAY comes before the end of the last answer, which is the kernel's to decide.
const GOAWAY_FIRST: &[&str] = &["cluster.upstream_cx_protocol_error"];

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "streams", steps: &[Get("/ok"), Get("/seen"), Get("/status/404")], ..HTTP2 },
    Scenario {
        name: "streams-with-trailers",
        steps: &[Get("/trailers"), Get("/ok")],
        listed: &[("call 1 trailers", "D57")],
        ..HTTP2
    },
    Scenario { name: "stream-reset", steps: &[Get("/reset"), Get("/ok")], ..HTTP2 },
    Scenario { name: "stream-refused", steps: &[Get("/refused"), Get("/ok")], ..HTTP2 },
    Scenario {
        name: "stream-then-goaway",
        steps: &[Get("/farewell"), Get("/ok"), Get("/ok")],
        chance: GOAWAY_FIRST,
        ..HTTP2
    },
    Scenario {
        name: "streams-under-way-at-goaway",
        steps: &[Start("/gate"), Get("/farewell"), Get("/ok"), Open, Get("/ok")],
        listed: &[("cluster.upstream_cx_protocol_error", "D64")],
        ..HTTP2
    },
    Scenario {
        name: "client-of-streams-then-goaway",
        steps: &[Stream("/farewell"), Stream("/ok"), CallGrpc("/grpc-end/0")],
        chance: GOAWAY_FIRST,
        ..HTTP2
    },
    Scenario { name: "stream-cut", steps: &[Get("/cut"), Get("/ok")], ..HTTP2 },
    Scenario {
        name: "stream-in-no-time",
        policy: "timeout: 1s",
        route: r#"{"timeout": "1s"}"#,
        steps: &[Get("/silent"), Get("/ok")],
        ..HTTP2
    },
    Scenario {
        name: "stream-limit",
        rule: "connectionPool: {http: {http2MaxRequests: 1}}",
        cluster: r#"{"limits": {"max_requests": 1}}"#,
        steps: &[Start("/gate"), Get("/ok"), Open, Get("/ok")],
        ..HTTP2
    },
    Scenario {
        name: "stream-resets-are-failures",
        steps: &[
            Get("/reset"),
            Get("/reset"),
            Get("/reset"),
            Until("outlier_detection.ejections_active", 1),
            Get("/ok"),
        ],
        ..THREE
    },
    Scenario { name: "client-of-streams", steps: &[Stream("/ok"), Stream("/status/404")], ..PLAIN },
    Scenario { name: "client-of-streams-to-streams", steps: &[Stream("/ok"), Stream("/trailers")], ..HTTP2 },
    Scenario { name: "client-of-streams-refused", hosts: &[Refuses], steps: &[Stream("/ok")], ..PLAIN },
    Scenario {
        name: "client-of-streams-closed",
        steps: &[Stream("/close"), Stream("/close-in-head")],
        ..PLAIN
    },
    Scenario { name: "client-of-streams-cut", steps: &[Stream("/close-in-body")], ..PLAIN },
    Scenario { name: "grpc-good", steps: &[CallGrpc("/grpc-end/0"), CallGrpc("/grpc/5")], ..HTTP2 },
    Scenario { name: "grpc-unreachable", hosts: &[Refuses], steps: &[CallGrpc("/grpc/0")], ..PLAIN },
    Scenario {
        name: "grpc-in-no-time",
        policy: "timeout: 1s",
        route: r#"{"timeout": "1s"}"#,
        steps: &[CallGrpc("/silent")],
        ..HTTP2
    },
    Scenario {
        name: "grpc-unavailable",
        steps: &[CallGrpc("/grpc/14"), Until("outlier_detection.ejections_active", 1), CallGrpc("/grpc/14")],
        // Whether the refusal is faster than the call's message.
        chance: &["http.downstream_rq_"],
        ..THREE
    },
    Scenario {
        name: "grpc-fails-at-its-end",
        steps: &[
            CallGrpc("/grpc-end/13"),
            CallGrpc("/grpc-end/13"),
            CallGrpc("/grpc-end/13"),
            CallGrpc("/grpc-end/0"),
        ],
        // Envoy does not eject, so the last call reaches the host there.
        listed: &[("call 4", "D44"), ("cluster.", "D44"), ("log ", "D44")],
        ..THREE
    },
];
