//! Requests that find no route, no host, or no good end.

use std::time::Duration;

use fuseboard_snapshot::Domain;
use fuseboard_testkit::{Behaviour, Gate, RefusingPort, Reply, Script, UnansweringPort, Upstream, settle};

use super::{BROKEN, PLAIN, SHORT, broken_off, judged};
use crate::rig::judge::{Expected, Seen, Stage, held};
use crate::rig::numbers::Numbers;

/// More than the system takes for a client that does not read.
const LARGE: usize = 32 << 20;

pub(super) async fn an_unknown_host_is_not_found(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::ok("")).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.domains = vec![Domain::Exact("b".into())];
    });
    let expected = Expected {
        status: 404,
        flags: "NR",
        details: "route_not_found",
        body: "",
        counters: &["http.no_route"],
        host: false,
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn connect_is_not_offered(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::ok("")).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let expected = Expected {
        status: 501,
        flags: "-",
        details: "connect_not_supported",
        body: "CONNECT is not supported; send the request itself with an absolute target",
        host: false,
        ..PLAIN
    };
    (stage.judge("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await, expected)
}

pub(super) async fn d12_a_refused_connect_tells_its_reason_to_the_log_only(
    workers: usize,
) -> (Seen, Expected) {
    let port = RefusingPort::bind();
    let stage = Stage::start(workers, &[port.address()], |_| {});
    let expected = Expected {
        flags: "UF",
        details: "upstream_reset_before_response_started{remote_connection_failure\
                  |delayed_connect_error:_Connection_refused}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
               failure",
        counters: &["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn a_connect_that_takes_too_long_is_given_up(workers: usize) -> (Seen, Expected) {
    let port = UnansweringPort::bind().await;
    let stage = Stage::start(workers, &[port.address()], |draft| draft.cluster.connect_timeout = SHORT);
    let expected = Expected {
        flags: "UF",
        details: "upstream_reset_before_response_started{connection_timeout}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
        counters: &[
            "upstream_cx_connect_fail",
            "upstream_cx_connect_timeout",
            "upstream_rq_pending_failure_eject",
        ],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

/// A link-local address without its link: the system does not even try.
pub(super) async fn a_connect_that_cannot_even_be_tried_is_our_own_failure(
    workers: usize,
) -> (Seen, Expected) {
    let stage = Stage::start(workers, &["[fe80::1]:80".parse().unwrap()], |_| {});
    let expected = Expected {
        flags: "UF",
        details: "upstream_reset_before_response_started{local_connection_failure}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: local connection \
               failure",
        counters: &["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn an_upstream_that_closes_without_an_answer_is_a_termination(
    workers: usize,
) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::always(Behaviour::close())).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let expected = Expected {
        flags: "UC",
        details: "upstream_reset_before_response_started{connection_termination}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: connection \
               termination",
        counters: &["upstream_cx_destroy_remote_with_active_rq"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn an_upstream_that_closes_inside_its_head_is_a_bad_gateway(
    workers: usize,
) -> (Seen, Expected) {
    let cut = Behaviour::raw("HTTP/1.1 200 OK\r\nx-a: b\r\n").then_close();
    let upstream = Upstream::start(Script::always(cut)).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let expected = Expected {
        status: 502,
        flags: "UPE",
        details: "upstream_reset_before_response_started{protocol_error}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
        counters: &["upstream_cx_protocol_error", "upstream_cx_destroy_remote_with_active_rq"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn an_upstream_that_does_not_speak_http_is_a_bad_gateway(
    workers: usize,
) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::always(Behaviour::raw("220 mail ready\r\n\r\n"))).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let expected = Expected {
        status: 502,
        flags: "UPE",
        details: "upstream_reset_before_response_started{protocol_error}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
        counters: &["upstream_cx_protocol_error"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn a_route_that_takes_too_long_is_a_gateway_timeout(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| draft.route.timeout = Some(SHORT));
    let expected = Expected {
        status: 504,
        flags: "UT",
        details: "response_timeout",
        body: "upstream request timeout",
        counters: &["upstream_rq_timeout"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn a_try_that_takes_too_long_is_a_gateway_timeout(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.retries().per_try_timeout = Some(SHORT);
    });
    let expected = Expected {
        status: 504,
        flags: "UT",
        details: "upstream_per_try_timeout",
        body: "upstream request timeout",
        counters: &["upstream_rq_per_try_timeout"],
        ..PLAIN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn an_answer_that_the_upstream_cuts_short_is_broken_off(workers: usize) -> (Seen, Expected) {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nin";
    let behaviour = Behaviour::raw_then(head, &gate, "").then_close();
    let upstream = Upstream::start(Script::always(behaviour)).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let expected = Expected {
        flags: "UPE",
        details: "upstream_reset_after_response_started{protocol_error}",
        body: "in",
        counters: &[
            "upstream_cx_destroy_remote_with_active_rq",
            "upstream_cx_protocol_error",
            "http.downstream_rq_tx_reset",
            "http.downstream_rq_rx_reset",
        ],
        ..BROKEN
    };
    (stage.judge_with(&judged(""), async || gate.open()).await, expected)
}

pub(super) async fn an_answer_whose_chunks_break_is_broken_off(workers: usize) -> (Seen, Expected) {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let behaviour = Behaviour::raw_then(head, &gate, "two\r\nin\r\n");
    let upstream = Upstream::start(Script::always(behaviour)).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let expected = Expected {
        flags: "UPE",
        details: "upstream_reset_after_response_started{protocol_error}",
        body: "",
        counters: &const { broken_off("upstream_cx_protocol_error") },
        ..BROKEN
    };
    (stage.judge_with(&judged(""), async || gate.open()).await, expected)
}

pub(super) async fn an_answer_that_outlasts_its_route_is_broken_off(workers: usize) -> (Seen, Expected) {
    let upstream =
        Upstream::start(Script::always(Behaviour::body_after(&Gate::new(), &Reply::ok("never")))).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| draft.route.timeout = Some(SHORT));
    let expected = Expected {
        flags: "UT",
        details: "response_timeout",
        body: "",
        counters: &const { broken_off("upstream_rq_timeout") },
        ..BROKEN
    };
    (stage.judge_get().await, expected)
}

pub(super) async fn an_answer_that_its_client_stops_taking_is_broken_off(workers: usize) -> (Seen, Expected) {
    let large = Reply::ok(vec![b'x'; LARGE]);
    let upstream = Upstream::start(Script::always(Behaviour::answer(&large))).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.listener.http.stream_idle_timeout = SHORT;
    });
    let admin = stage.rig.proxy.admin_address().unwrap().clone();
    let broken_off = async || {
        let over = || Numbers::read(&admin).get("http.downstream_rq_idle_timeout") == 1;
        assert!(settle(Duration::from_secs(5), over).await, "the client was waited for");
    };
    let expected = Expected {
        flags: "SI",
        details: "stream_idle_timeout",
        counters: &[
            "http.downstream_rq_idle_timeout",
            "http.downstream_rq_tx_reset",
            "http.downstream_rq_rx_reset",
            "upstream_rq_200",
            "upstream_rq_2xx",
        ],
        body: "",
        ..BROKEN
    };
    (stage.judge_with(&judged(""), broken_off).await.without_body(), expected)
}

pub(super) async fn a_client_that_goes_away_is_noted(workers: usize) -> (Seen, Expected) {
    let (_gate, upstream) = held().await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let began = async || {
        upstream.until(|counts| counts.in_flight == 1).await;
    };
    let expected = Expected {
        status: 0,
        flags: "DC",
        details: "downstream_remote_disconnect",
        counters: &["http.downstream_rq_rx_reset"],
        body: "",
        ..BROKEN
    };
    (stage.judge_leaving(&judged(""), began).await, expected)
}
