//! What a host can do wrong, and what Istio's own retries make of it.

use super::scenario::Host::{Refuses, Serves};
use super::scenario::Step::{Call, Get};
use super::scenario::{PLAIN, Scenario};

/// An answer that ends too early.
const CUT: &[(&str, &str)] = &[
    (
        "cluster.upstream_cx_protocol_error",
        "a connection that ends inside an answer is a protocol error to Envoy (UPE), and a termination to us (UC)",
    ),
    ("log ", "UPE in Envoy, UC here"),
];

const CUT_IN_HEAD: &[(&str, &str)] = &[
    ("call 1", "502, protocol error in Envoy; 503, connection termination here"),
    ("cluster.upstream_cx_protocol_error", "as the status"),
    ("cluster.upstream_rq_503", "as the status"),
    ("log ", "as the status"),
];

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "refused", hosts: &[Refuses], steps: &[Get("/ok")], ..PLAIN },
    Scenario {
        name: "refused-post",
        hosts: &[Refuses],
        steps: &[Call("POST /ok HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\n\r\nbody")],
        ..PLAIN
    },
    Scenario {
        name: "refused-here-served-there",
        hosts: &[Refuses, Serves],
        steps: &[Get("/ok"), Get("/ok")],
        chance: &["cluster."],
        ..PLAIN
    },
    Scenario { name: "no-host", hosts: &[], steps: &[Get("/ok")], ..PLAIN },
    Scenario { name: "closes", steps: &[Get("/close"), Get("/ok")], ..PLAIN },
    Scenario { name: "resets", steps: &[Get("/reset"), Get("/ok")], ..PLAIN },
    Scenario {
        name: "closes-in-head",
        steps: &[Get("/close-in-head"), Get("/ok")],
        known: CUT_IN_HEAD,
        ..PLAIN
    },
    Scenario {
        name: "closes-after-head",
        steps: &[Get("/close-after-head"), Get("/ok")],
        known: CUT,
        ..PLAIN
    },
    Scenario { name: "closes-in-body", steps: &[Get("/close-in-body"), Get("/ok")], known: CUT, ..PLAIN },
    Scenario { name: "closes-in-a-chunk", steps: &[Get("/close-in-chunk"), Get("/ok")], known: CUT, ..PLAIN },
    Scenario { name: "service-unavailable", steps: &[Get("/status/503"), Get("/status/503")], ..PLAIN },
    Scenario { name: "no-http", steps: &[Get("/raw/garbage"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-two-lengths", steps: &[Get("/raw/two-lengths"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-a-bad-length", steps: &[Get("/raw/bad-length"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-both-framings", steps: &[Get("/raw/both-framings"), Get("/ok")], ..PLAIN },
    Scenario {
        name: "answer-with-a-bad-chunk",
        steps: &[Get("/raw/bad-chunk"), Get("/ok")],
        known: &[("call 1", "the head is not passed on where what is wrong with the body came with it")],
        ..PLAIN
    },
    Scenario { name: "answer-with-a-bad-name", steps: &[Get("/raw/bad-name"), Get("/ok")], ..PLAIN },
    Scenario {
        name: "answer-and-more",
        steps: &[Get("/raw/more"), Get("/ok")],
        known: &[("cluster.upstream_cx_protocol_error", "bytes that nobody asked for are not counted")],
        ..PLAIN
    },
];
