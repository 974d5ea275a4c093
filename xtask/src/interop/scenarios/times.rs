//! Each time-out that a rule can set.

use super::scenario::Host::{NeverAccepts, Serves};
use super::scenario::Step::{Call, Get, Open, Start, Until};
use super::scenario::{PLAIN, Scenario};

const ROUTE: Scenario = Scenario { policy: "timeout: 1s", route: r#"{"timeout": "1s"}"#, ..PLAIN };

const CONNECT: Scenario = Scenario {
    rule: "connectionPool: {tcp: {connectTimeout: 200ms}}",
    cluster: r#"{"connect_timeout": "0.2s"}"#,
    ..PLAIN
};

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "connect-time-out", hosts: &[NeverAccepts], steps: &[Get("/ok")], ..CONNECT },
    Scenario {
        name: "connect-time-out-elsewhere",
        hosts: &[NeverAccepts, Serves],
        steps: &[Get("/ok"), Get("/ok")],
        chance: &["cluster."],
        ..CONNECT
    },
    Scenario { name: "answer-in-time", steps: &[Get("/ok"), Get("/seen")], ..ROUTE },
    Scenario { name: "no-answer", steps: &[Get("/silent"), Get("/ok")], ..ROUTE },
    Scenario { name: "no-end-of-answer", steps: &[Get("/head-then-gate"), Get("/ok")], ..ROUTE },
    Scenario {
        name: "no-answer-to-a-post",
        steps: &[Call("POST /silent HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\n\r\nbody"), Get("/ok")],
        ..ROUTE
    },
    Scenario {
        name: "no-connection-in-time",
        hosts: &[NeverAccepts],
        steps: &[Get("/ok")],
        listed: &[("cluster.upstream_cx_active", "D60")],
        ..ROUTE
    },
    Scenario {
        name: "time-up-in-the-queue",
        rule: "connectionPool: {tcp: {maxConnections: 1}}",
        policy: "timeout: 400ms",
        cluster: r#"{"limits": {"max_connections": 1}}"#,
        route: r#"{"timeout": "0.4s"}"#,
        steps: &[Start("/silent"), Start("/silent"), Open],
        ..PLAIN
    },
    Scenario {
        name: "idle-connection",
        rule: "connectionPool: {http: {idleTimeout: 200ms}}",
        cluster: r#"{"http": {"idle_timeout": "0.2s"}}"#,
        steps: &[
            Get("/ok"),
            Until("upstream_cx_idle_timeout", 1),
            Get("/ok"),
            Until("upstream_cx_idle_timeout", 2),
        ],
        ..PLAIN
    },
    Scenario {
        name: "old-stream",
        policy: "maxStreamDuration: 1s",
        cluster: r#"{"http": {"max_stream_duration": "1s"}}"#,
        steps: &[Get("/silent"), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "old-connection",
        rule: "connectionPool: {tcp: {maxConnectionDuration: 200ms}}",
        cluster: r#"{"http": {"max_connection_duration": "0.2s"}}"#,
        steps: &[
            Get("/ok"),
            Until("upstream_cx_max_duration_reached", 1),
            Get("/ok"),
            Until("upstream_cx_max_duration_reached", 2),
        ],
        ..PLAIN
    },
];
