//! Kinds of messages, good and bad, and what of each comes through.

use super::scenario::Step::{Call, Get, Pipelined, Session};
use super::scenario::{PLAIN, Scenario};

/// The words of a refusal by the parser are ours.
const REFUSED: &[(&str, &str)] = &[("call 1 body", "D26"), ("call 1 fields", "D26")];

const GET: &str = "GET /ok HTTP/1.1\r\nhost: {host}\r\n\r\n";

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "head", steps: &[Call("HEAD /ok HTTP/1.1\r\nhost: {host}\r\n\r\n")], ..PLAIN },
    Scenario {
        name: "no-content",
        steps: &[Session(&["GET /status/204 HTTP/1.1\r\nhost: {host}\r\n\r\n", GET])],
        ..PLAIN
    },
    Scenario {
        name: "not-modified",
        steps: &[Session(&["GET /status/304 HTTP/1.1\r\nhost: {host}\r\n\r\n", GET])],
        ..PLAIN
    },
    Scenario {
        name: "not-modified-with-length",
        steps: &[Session(&["GET /raw/length-304 HTTP/1.1\r\nhost: {host}\r\n\r\n", GET])],
        ..PLAIN
    },
    Scenario { name: "empty-answer", steps: &[Get("/empty-200")], ..PLAIN },
    Scenario { name: "chunked-answer", steps: &[Get("/chunked"), Get("/chunked-empty")], ..PLAIN },
    Scenario {
        name: "answer-with-trailers",
        steps: &[Get("/trailers")],
        listed: &[("call 1 trailers", "D57")],
        ..PLAIN
    },
    Scenario { name: "answer-until-the-end", steps: &[Get("/until-close"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-that-closes", steps: &[Get("/closing"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-of-an-old-server", steps: &[Get("/raw/old"), Get("/ok")], ..PLAIN },
    Scenario { name: "fields-of-an-answer", steps: &[Get("/fields")], ..PLAIN },
    Scenario {
        name: "early-hints",
        steps: &[Get("/interim")],
        listed: &[
            ("call 1 interim", "D58"),
            ("http.downstream_rq_1xx", "D58"),
            ("http.downstream_rq_completed", "D58"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "fields-of-a-request",
        steps: &[Call(
            "GET /seen?a=b HTTP/1.1\r\nHost: {host}\r\nX-Twice: 1\r\nx-twice: 2\r\nCookie: a=b\r\nconnection: x-hop, keep-alive\r\n\
            x-hop: 1\r\nkeep-alive: 5\r\nte: gzip\r\nproxy-connection: keep-alive\r\nvia: 1.1 y\r\naccept: */*\r\n\r\n",
        )],
        ..PLAIN
    },
    Scenario {
        name: "fields-that-steer-envoy",
        steps: &[Call(
            "GET /seen HTTP/1.1\r\nhost: {host}\r\nx-envoy-max-retries: 5\r\nx-envoy-retry-on: 5xx\r\n\
            x-envoy-upstream-rq-timeout-ms: 1\r\nx-envoy-attempt-count: 7\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\n\r\n",
        )],
        ..PLAIN
    },
    Scenario {
        name: "chunked-request",
        steps: &[Session(&[
            "POST /seen HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            GET,
        ])],
        ..PLAIN
    },
    Scenario {
        name: "request-with-length",
        steps: &[Session(&["PUT /seen HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\nabc", GET])],
        ..PLAIN
    },
    Scenario {
        name: "expect-continue",
        steps: &[Call(
            "POST /continue HTTP/1.1\r\nhost: {host}\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
        )],
        ..PLAIN
    },
    Scenario {
        name: "upgrade",
        steps: &[Call(
            "GET /upgrade HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )],
        ..PLAIN
    },
    Scenario {
        name: "upgrade-that-the-host-ends",
        steps: &[Call(
            "GET /upgrade-and-end HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )],
        ..PLAIN
    },
    Scenario {
        name: "upgrade-declined",
        steps: &[Call(
            "GET /ok HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )],
        listed: &[("call 1", "D59"), ("cluster.", "D59"), ("http.downstream_", "D59"), ("log ", "D59")],
        ..PLAIN
    },
    Scenario {
        name: "pipelined",
        steps: &[Pipelined(
            "GET /status/201 HTTP/1.1\r\nhost: {host}\r\n\r\nGET /chunked HTTP/1.1\r\nhost: {host}\r\n\r\nGET /status/404 HTTP/1.1\r\nhost: {host}\r\n\r\n",
            3,
        )],
        ..PLAIN
    },
    Scenario { name: "several-on-one-connection", steps: &[Session(&[GET, GET, GET])], ..PLAIN },
    Scenario {
        name: "client-that-closes",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")],
        ..PLAIN
    },
    Scenario {
        name: "absolute-target",
        steps: &[Call("GET http://{host}/seen HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        ..PLAIN
    },
    Scenario {
        name: "absolute-target-wins",
        steps: &[Call("GET http://{host}/seen HTTP/1.1\r\nhost: other\r\n\r\n")],
        listed: &[("call 1", "D52"), ("cluster.", "D52"), ("http.", "D52"), ("log ", "D52")],
        ..PLAIN
    },
    Scenario {
        name: "dots-in-path",
        steps: &[Call("GET /a/../seen/./x//y HTTP/1.1\r\nhost: {host}\r\n\r\n"), Get("/seen%2e")],
        ..PLAIN
    },
    Scenario {
        name: "options-of-all",
        steps: &[Call("OPTIONS * HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        listed: &[("call 1", "D53"), ("cluster.", "D53"), ("http.", "D53"), ("log ", "D53")],
        ..PLAIN
    },
    Scenario {
        name: "unknown-method",
        steps: &[Call("BREW /seen HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        listed: &[("call 1", "D54"), ("cluster.", "D54"), ("http.", "D54"), ("log ", "D54")],
        ..PLAIN
    },
    Scenario { name: "no-such-service", steps: &[Call("GET /ok HTTP/1.1\r\nhost: nobody\r\n\r\n")], ..PLAIN },
    Scenario {
        name: "old-client",
        steps: &[Call("GET /ok HTTP/1.0\r\nhost: {host}\r\n\r\n")],
        listed: &[("call 1", "D51"), ("cluster.", "D51"), ("http.", "D51"), ("log ", "D51")],
        ..PLAIN
    },
    Scenario {
        name: "connect",
        steps: &[Call("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        listed: &[
            ("call 1", "D25"),
            ("http.downstream_rq_", "D25"),
            ("http.no_route", "D25"),
            ("log ", "D25"),
        ],
        ..PLAIN
    },
    Scenario { name: "no-host-field", steps: &[Call("GET /ok HTTP/1.1\r\n\r\n")], listed: REFUSED, ..PLAIN },
    Scenario {
        name: "request-with-both-framings",
        steps: &[Call(
            "POST /ok HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "request-with-two-lengths",
        steps: &[Call(
            "POST /ok HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        )],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "request-with-a-bad-length",
        steps: &[Call("POST /ok HTTP/1.1\r\nhost: {host}\r\ncontent-length: -3\r\n\r\nabc")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "request-with-a-bad-name",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\nbad name: 1\r\n\r\n")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "request-with-a-bad-chunk",
        steps: &[Call(
            "POST /ok HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        )],
        listed: &[("call 1 body", "D26"), ("call 1 fields", "D26"), ("cluster.", "D61")],
        ..PLAIN
    },
    Scenario { name: "request-of-no-http", steps: &[Call("hello there\r\n\r\n")], listed: REFUSED, ..PLAIN },
    Scenario {
        name: "unknown-coding",
        steps: &[Call("POST /ok HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: gzip\r\n\r\nabc")],
        listed: &[
            ("call 1 body", "D26"),
            ("call 1 fields", "D26"),
            ("call 1 status", "D56"),
            ("http.downstream_rq_", "D56"),
            ("log status", "D56"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "unknown-expectation",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\nexpect: more\r\n\r\n")],
        listed: &[("call 1", "D55"), ("cluster.", "D55"), ("http.", "D55"), ("log ", "D55")],
        ..PLAIN
    },
    Scenario {
        name: "target-without-a-slash",
        steps: &[Call("GET seen HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "target-with-a-bad-host",
        steps: &[Call("GET http://:80:/ok HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "host-that-is-none",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: a b/c\r\n\r\n")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "two-hosts",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n\r\n")],
        listed: &[("call 1", "D62"), ("http.", "D62"), ("log ", "D62")],
        ..PLAIN
    },
    Scenario {
        name: "version-of-the-future",
        steps: &[Call("GET /ok HTTP/1.2\r\nhost: {host}\r\n\r\n")],
        listed: &[
            ("call 1 body", "D26"),
            ("call 1 fields", "D26"),
            ("call 1 status", "D63"),
            ("http.downstream_rq_", "D63"),
            ("log ", "D63"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "head-of-60-kib-and-more",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\nx: {60k}\r\n\r\n")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "head-of-100-fields",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\n{99 fields}\r\n")],
        ..PLAIN
    },
    Scenario {
        name: "head-of-101-fields",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\n{99 fields}b: c\r\n\r\n")],
        listed: REFUSED,
        ..PLAIN
    },
    Scenario {
        name: "answer-while-the-client-sends",
        steps: &[Call("POST /early HTTP/1.1\r\nhost: {host}\r\ncontent-length: 9\r\n\r\nabc")],
        listed: &[("call 1 fields", "D27")],
        ..PLAIN
    },
    Scenario {
        name: "answer-before-the-request",
        steps: &[Call("POST /early HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\nabc")],
        ..PLAIN
    },
];
