//! What hosts of HTTP/2 do to a stream, for the table of local answers: reset it, refuse it, or be gone with its connection.

use fuseboard_testkit::Gate;
use fuseboard_testkit::http2::frames::{END_HEADERS, block, kind};
use fuseboard_testkit::http2::{Frame, Frames, Reply, Upstream};
use h2::Reason;
use tokio::net::TcpListener;

use crate::flags::{BROKEN, PLAIN, broken_off, judged};
use crate::grpc::http2;
use crate::rig::judge::{Expected, Seen, Stage};

/// Before a host of HTTP/2 that resets every stream for this reason.
async fn resetting(workers: usize, reason: Reason) -> Seen {
    let upstream = Upstream::start(move |_, _| Reply::reset(reason)).await;
    let stage = Stage::start(workers, &[upstream.address()], http2);
    stage.judge_get().await
}

pub(super) async fn a_stream_that_the_host_resets_is_a_remote_reset(workers: usize) -> (Seen, Expected) {
    let expected = Expected {
        flags: "UR",
        details: "upstream_reset_before_response_started{remote_reset}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
        counters: &["upstream_rq_rx_reset"],
        ..PLAIN
    };
    (resetting(workers, Reason::INTERNAL_ERROR).await, expected)
}

pub(super) async fn a_stream_that_the_host_refuses_says_so(workers: usize) -> (Seen, Expected) {
    let expected = Expected {
        flags: "UR",
        details: "upstream_reset_before_response_started{remote_refused_stream_reset}",
        body: "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream \
               reset",
        counters: &[],
        ..PLAIN
    };
    (resetting(workers, Reason::REFUSED_STREAM).await, expected)
}

/// A host of HTTP/2 that answers with a head and a part, and is gone.
pub(super) async fn an_answer_whose_stream_loses_its_connection_is_broken_off(
    workers: usize,
) -> (Seen, Expected) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::start(workers, &[listener.local_addr().unwrap()], http2);
    let gate = Gate::new();
    let own = gate.clone();
    tokio::spawn(async move {
        let mut host = Frames::accept(&listener, &[]).await;
        let stream = host.next_of(kind::HEADERS).await.stream;
        let head = block(&[(":status", "200"), ("content-length", "9")]);
        let head = Frame::new(kind::HEADERS, END_HEADERS, stream, head);
        host.send_all(&[head, Frame::new(kind::DATA, 0, stream, "in")]).await;
        own.wait().await;
    });
    let expected = Expected {
        flags: "UC",
        details: "upstream_reset_after_response_started{connection_termination}",
        body: "in",
        counters: &[
            "upstream_cx_destroy_remote_with_active_rq",
            "upstream_rq_pending_failure_eject",
            "http.downstream_rq_tx_reset",
            "http.downstream_rq_rx_reset",
        ],
        ..BROKEN
    };
    (stage.judge_with(&judged(""), async || gate.open()).await, expected)
}

pub(super) async fn an_answer_whose_stream_the_host_resets_is_broken_off(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(|_, _| Reply::ok("0123456789").cut_after(4)).await;
    let stage = Stage::start(workers, &[upstream.address()], http2);
    let expected = Expected {
        flags: "UR",
        details: "upstream_reset_after_response_started{remote_reset}",
        body: "",
        counters: &const { broken_off("upstream_rq_rx_reset") },
        ..BROKEN
    };
    (stage.judge_get().await.without_body(), expected)
}
