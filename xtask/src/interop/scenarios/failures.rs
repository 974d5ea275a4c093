//! What a host can do wrong, and what Istio's own retries make of it.

use super::scenario::Host::{Refuses, Serves};
use super::scenario::Step::{Call, Get, Open, Start, Until};
use super::scenario::{PLAIN, Scenario};

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
    Scenario { name: "closes-in-head", steps: &[Get("/close-in-head"), Get("/ok")], ..PLAIN },
    Scenario { name: "closes-after-head", steps: &[Get("/close-after-head"), Get("/ok")], ..PLAIN },
    Scenario {
        name: "resets-until-the-end",
        steps: &[Start("/until-reset"), Open, Get("/ok")],
        listed: &[("call 1", "D42"), ("cluster.", "D42"), ("http.", "D42"), ("log ", "D42")],
        ..PLAIN
    },
    Scenario {
        name: "grpc-refused",
        hosts: &[Refuses],
        steps: &[Call(
            "POST /ok HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n",
        )],
        ..PLAIN
    },
    Scenario { name: "closes-in-body", steps: &[Get("/close-in-body"), Get("/ok")], ..PLAIN },
    Scenario { name: "closes-in-a-chunk", steps: &[Get("/close-in-chunk"), Get("/ok")], ..PLAIN },
    Scenario { name: "service-unavailable", steps: &[Get("/status/503"), Get("/status/503")], ..PLAIN },
    Scenario { name: "no-http", steps: &[Get("/raw/garbage"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-two-lengths", steps: &[Get("/raw/two-lengths"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-a-bad-length", steps: &[Get("/raw/bad-length"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-both-framings", steps: &[Get("/raw/both-framings"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-a-bad-chunk", steps: &[Get("/raw/bad-chunk"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-with-a-bad-name", steps: &[Get("/raw/bad-name"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-and-more", steps: &[Get("/raw/more"), Get("/ok")], ..PLAIN },
    Scenario {
        name: "a-word-on-an-idle-connection",
        steps: &[Get("/answer-then-talk"), Open, Until("upstream_cx_active", 0), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "no-http-on-an-idle-connection",
        steps: &[Get("/answer-then-no-http"), Open, Until("upstream_cx_active", 0), Get("/ok")],
        ..PLAIN
    },
    Scenario {
        name: "a-408-on-an-idle-connection",
        steps: &[Get("/answer-then-408"), Open, Until("upstream_cx_active", 0), Get("/ok")],
        ..PLAIN
    },
];
