//! What clients say that nobody can serve, for the table of local answers: each is answered by us, and no upstream hears of it.

use std::time::Duration;

use fuseboard_testkit::{Script, Upstream};

use crate::flags::{PLAIN, judged};
use crate::rig::judge::{Connection, Expected, Seen, Stage};

/// A time-out that is meant to run out.
const SHORT: Duration = Duration::from_millis(40);

/// What is counted of an answer that comes before the end of its request, for this reason.
pub(crate) const fn early(reason: &'static str) -> [&'static str; 3] {
    [reason, "http.downstream_rq_response_before_rq_complete", "http.downstream_rq_rx_reset"]
}

const MALFORMED: [&str; 3] = early("http.downstream_cx_protocol_error");

/// What the client did wrong ends its connection.
const DOWNSTREAM: Expected = Expected {
    status: 400,
    flags: "DPE",
    details: "http1.codec_error",
    counters: &MALFORMED,
    host: false,
    connection: Connection::Closed,
    ..PLAIN
};

/// Of requests that nobody can serve, no upstream hears.
async fn unserved(workers: usize, request: &str) -> Seen {
    let upstream = Upstream::start(Script::ok("")).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.listener.http.request_headers_timeout = SHORT;
    });
    let seen = stage.judge(request).await;
    assert_eq!(upstream.counts().requests, 0, "the upstream heard of it");
    seen
}

pub(super) async fn an_ambiguous_request_is_bad(workers: usize) -> (Seen, Expected) {
    let fields = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let expected = Expected {
        details: "http1.content_length_and_chunked_not_allowed",
        body: "both content-length and transfer-encoding",
        ..DOWNSTREAM
    };
    (unserved(workers, &judged(fields)).await, expected)
}

pub(super) async fn a_request_without_a_host_is_bad(workers: usize) -> (Seen, Expected) {
    let expected = Expected {
        flags: "-",
        details: "missing_host_header",
        body: "missing host header",
        counters: &[],
        ..DOWNSTREAM
    };
    (unserved(workers, "GET /judged HTTP/1.1\r\n\r\n").await, expected)
}

pub(super) async fn a_head_above_the_bound_is_too_large(workers: usize) -> (Seen, Expected) {
    let expected = Expected {
        status: 431,
        details: "http1.headers_too_large",
        body: "head larger than the limit",
        ..DOWNSTREAM
    };
    let field = format!("X-Large: {}\r\n", "a".repeat(64 * 1024));
    (unserved(workers, &judged(&field)).await, expected)
}

pub(super) async fn a_transfer_coding_that_we_do_not_have_is_not_implemented(
    workers: usize,
) -> (Seen, Expected) {
    let expected = Expected {
        status: 501,
        details: "http1.invalid_transfer_encoding",
        body: "unsupported transfer coding",
        ..DOWNSTREAM
    };
    (unserved(workers, &judged("Transfer-Encoding: gzip, chunked\r\n")).await, expected)
}

pub(super) async fn d63_a_version_that_we_do_not_have_is_not_supported(workers: usize) -> (Seen, Expected) {
    let expected = Expected { status: 505, body: "unsupported version", ..DOWNSTREAM };
    (unserved(workers, "GET /judged HTTP/2.0\r\nHost: a\r\n\r\n").await, expected)
}

pub(super) async fn d55_an_expectation_that_we_do_not_have_fails(workers: usize) -> (Seen, Expected) {
    let expected = Expected { status: 417, body: "unsupported expectation", ..DOWNSTREAM };
    (unserved(workers, &judged("Expect: a-miracle\r\n")).await, expected)
}

pub(super) async fn a_head_that_does_not_come_to_an_end_times_out(workers: usize) -> (Seen, Expected) {
    let expected = Expected {
        status: 408,
        flags: "-",
        details: "request_header_timeout",
        body: "request header timeout",
        counters: &const { early("http.downstream_rq_header_timeout") },
        ..DOWNSTREAM
    };
    (unserved(workers, "GET /judged HTTP/1.1\r\nHost: a\r\n").await, expected)
}

pub(super) async fn a_body_with_broken_chunks_is_bad(workers: usize) -> (Seen, Expected) {
    let expected = Expected { body: "malformed request body", ..DOWNSTREAM };
    let request = judged("Transfer-Encoding: chunked\r\n") + "five\r\n";
    (unserved(workers, &request).await, expected)
}

pub(super) async fn a_body_that_stops_arriving_times_out(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::ok("")).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.listener.http.stream_idle_timeout = SHORT;
    });
    let expected = Expected {
        status: 408,
        flags: "SI",
        details: "stream_idle_timeout",
        body: "stream timeout",
        counters: &const { early("http.downstream_rq_idle_timeout") },
        host: true,
        ..DOWNSTREAM
    };
    let request = judged("Content-Length: 5\r\n") + "abc";
    (stage.judge(&request).await, expected)
}
