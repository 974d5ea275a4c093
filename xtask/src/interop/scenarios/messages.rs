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
        known: &[("call 1 trailers", "Envoy drops trailers of HTTP/1.1 unless told otherwise")],
        ..PLAIN
    },
    Scenario {
        name: "answer-until-the-end",
        steps: &[Get("/until-close"), Get("/ok")],
        known: &[
            ("cluster.upstream_cx_close_notify", "an answer without a length is taken for a wish to close"),
            ("cluster.upstream_cx_destroy_", "as close_notify: we close first"),
        ],
        ..PLAIN
    },
    Scenario { name: "answer-that-closes", steps: &[Get("/closing"), Get("/ok")], ..PLAIN },
    Scenario { name: "answer-of-an-old-server", steps: &[Get("/raw/old"), Get("/ok")], ..PLAIN },
    Scenario { name: "fields-of-an-answer", steps: &[Get("/fields")], ..PLAIN },
    Scenario {
        name: "early-hints",
        steps: &[Get("/interim")],
        known: &[
            ("call 1 interim", "Envoy drops 103"),
            ("cluster.", "Envoy counts interim answers as answers"),
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
        known: &[("cluster.", "Envoy counts interim answers as answers"), ("http.", "as in the cluster")],
        ..PLAIN
    },
    Scenario {
        name: "upgrade",
        steps: &[Call(
            "GET /upgrade HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )],
        known: &[
            ("cluster.upstream_cx_destroy_", "Envoy: a tunnel is a request until its end"),
            ("log ", "Envoy: DC where the client ends a tunnel"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "upgrade-declined",
        steps: &[Call(
            "GET /ok HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )],
        known: &[
            ("call 1", "Envoy drops the body of an answer that declines an upgrade, and counts none"),
            ("cluster.", "Envoy drops the body of an answer that declines an upgrade, and counts none"),
            (
                "http.downstream_cx_upgrades_total",
                "Envoy drops the body of an answer that declines an upgrade, and counts none",
            ),
            ("log ", "Envoy drops the body of an answer that declines an upgrade, and counts none"),
        ],
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
        known: &[
            ("call 1", "Envoy believes the target; we refuse where Host is another"),
            ("cluster.", "Envoy believes the target; we refuse where Host is another"),
            ("http.", "Envoy believes the target; we refuse where Host is another"),
            ("log ", "Envoy believes the target; we refuse where Host is another"),
        ],
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
        known: &[
            ("call 1", "Envoy answers OPTIONS * itself, 404"),
            ("cluster.", "Envoy answers OPTIONS * itself, 404"),
            ("http.", "Envoy answers OPTIONS * itself, 404"),
            ("log ", "Envoy answers OPTIONS * itself, 404"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "unknown-method",
        steps: &[Call("BREW /seen HTTP/1.1\r\nhost: {host}\r\n\r\n")],
        known: &[
            ("call 1", "Envoy's parser knows a list of methods"),
            ("cluster.", "Envoy's parser knows a list of methods"),
            ("http.", "Envoy's parser knows a list of methods"),
            ("log ", "Envoy's parser knows a list of methods"),
        ],
        ..PLAIN
    },
    Scenario { name: "no-such-service", steps: &[Call("GET /ok HTTP/1.1\r\nhost: nobody\r\n\r\n")], ..PLAIN },
    Scenario {
        name: "old-client",
        steps: &[Call("GET /ok HTTP/1.0\r\nhost: {host}\r\n\r\n")],
        known: &[
            ("call 1", "Envoy answers 426 to HTTP/1.0 unless told otherwise"),
            ("cluster.", "Envoy answers 426 to HTTP/1.0 unless told otherwise"),
            ("http.", "Envoy answers 426 to HTTP/1.0 unless told otherwise"),
            ("log ", "Envoy answers 426 to HTTP/1.0 unless told otherwise"),
        ],
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
    Scenario {
        name: "no-host-field",
        steps: &[Call("GET /ok HTTP/1.1\r\n\r\n")],
        listed: REFUSED,
        known: &[
            ("http.downstream_cx_protocol_error", "a missing Host is no error of the protocol to Envoy"),
            ("log flags", "as the counter"),
        ],
        ..PLAIN
    },
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
        listed: REFUSED,
        known: &[("cluster.", "the body came with the head, and nothing is sent where it is wrong")],
        ..PLAIN
    },
    Scenario {
        name: "request-of-no-http",
        steps: &[Call("hello there\r\n\r\n")],
        listed: REFUSED,
        known: &[("log details", "the part that is wrong is named")],
        ..PLAIN
    },
    Scenario {
        name: "unknown-coding",
        steps: &[Call("POST /ok HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: gzip\r\n\r\nabc")],
        listed: REFUSED,
        known: &[
            ("call 1 status", "RFC 9112, 6.3: 400 where the last coding is not chunked; Envoy: 501"),
            ("http.downstream_rq_", "RFC 9112, 6.3: 400 where the last coding is not chunked; Envoy: 501"),
            ("log status", "RFC 9112, 6.3: 400 where the last coding is not chunked; Envoy: 501"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "unknown-expectation",
        steps: &[Call("GET /ok HTTP/1.1\r\nhost: {host}\r\nexpect: more\r\n\r\n")],
        known: &[
            ("call 1", "an expectation that nobody knows is refused, 417; Envoy passes it on"),
            ("cluster.", "an expectation that nobody knows is refused, 417; Envoy passes it on"),
            ("http.", "an expectation that nobody knows is refused, 417; Envoy passes it on"),
            ("log ", "an expectation that nobody knows is refused, 417; Envoy passes it on"),
        ],
        ..PLAIN
    },
    Scenario {
        name: "answer-before-the-request",
        steps: &[Call("POST /early HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\nabc")],
        ..PLAIN
    },
];
