//! Bounds on how long a stream lives (`maxStreamDuration`), so that callers of long streams come back and are spread anew, and on how
//! long a connection that streams share is used (`maxConnectionDuration`).

use std::time::Duration;

use fuseboard_snapshot::{UpstreamHttp, UpstreamVersion};
use fuseboard_testkit::http2::frames::{END_HEADERS, block, kind};
use fuseboard_testkit::http2::{Client, Frame, Frames, Reply, Upstream};
use fuseboard_testkit::{Behaviour, Gate, Script};
use h2::Reason;
use http::Request;
use tokio::net::TcpListener;

use crate::flags::{PLAIN, broken_off, judged};
use crate::malformed::early;
use crate::rig::judge::{Connection, Expected, Seen, Stage};
use crate::rig::{Draft, Rig, WORKERS, limits, touchy};

const AGE: Duration = Duration::from_millis(150);

fn http2(draft: &mut Draft) {
    draft.cluster.http = UpstreamHttp { version: UpstreamVersion::Http2, ..UpstreamHttp::default() };
}

fn aged(draft: &mut Draft) {
    draft.cluster.max_stream_duration = Some(AGE);
    draft.cluster.outlier = Some(touchy());
    draft.cluster.thresholds.default = limits(1, 0, 1);
}

fn call() -> Request<()> {
    let call = Request::post("http://shop/pkg.Service/Watch").header("content-type", "application/grpc");
    call.body(()).unwrap()
}

#[tokio::test]
async fn p48_a_call_that_is_too_old_ends_with_unavailable_and_the_next_one_is_served() {
    for workers in WORKERS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rig = Rig::start(workers, &[listener.local_addr().unwrap()], |draft| {
            http2(draft);
            aged(draft);
        });
        let client = Client::connect(rig.address).await;
        // Neither side ends what it says.
        let mut watch = client.begin(call(), false).await;
        watch.send(b"\0\0\0\0\0", false);
        let mut host = Frames::accept(&listener, &[]).await;
        let stream = host.next_of(kind::HEADERS).await.stream;
        let head = block(&[(":status", "200"), ("content-type", "application/grpc")]);
        let message = Frame::new(kind::DATA, 0, stream, [0; 5]);
        host.send_all(&[Frame::new(kind::HEADERS, END_HEADERS, stream, head), message]).await;
        let answer = watch.answer().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 5));
        assert_eq!(answer.field("grpc-status"), Some("14"));
        assert_eq!(answer.field("grpc-message"), Some("upstream max stream duration reached"));
        host.until(kind::RST_STREAM, stream).await;
        rig.until_idle().await;

        let mut next = client.begin(call(), true).await;
        let stream = host.next_of(kind::HEADERS).await.stream;
        host.send_all(&Frame::hello(stream)).await;
        assert_eq!(next.answer().await.unwrap().text(), "hello");
        assert_eq!(rig.numbers().get("upstream_rq_max_duration_reached"), 1);
        assert_eq!(rig.numbers().get("outlier_detection.ejections_active"), 0, "no fault of the host");
    }
}

#[tokio::test]
async fn p48_before_its_head_an_old_stream_is_answered_and_inside_its_body_it_is_broken_off() {
    for workers in WORKERS {
        let gate = Gate::new();
        let own = gate.clone();
        let upstream = fuseboard_testkit::Upstream::start(Script::by(move |request| {
            let reply = fuseboard_testkit::Reply::ok("0123456789");
            match request.target.as_str() {
                "/silent" => Behaviour::answer(&reply).after(&own),
                _ => Behaviour::reset_in_body(&own, &reply, 5),
            }
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], aged);
        let client = Client::connect(rig.address).await;
        let get = |path: &str| Request::get(format!("http://shop{path}")).body(()).unwrap();
        let answer = client.ask(get("/silent"), b"").await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (504, "upstream max stream duration reached"));
        rig.until_idle().await;
        let broken = client.ask(get("/body"), b"").await.unwrap_err();
        assert_eq!(broken.reason(), Some(Reason::INTERNAL_ERROR));
        rig.until_idle().await;
        // A request that never comes to its end is bound as well.
        let mut uploads = client.begin(Request::post("http://shop/silent").body(()).unwrap(), false).await;
        assert_eq!(uploads.answer().await.unwrap().status, 408);
        rig.until_idle().await;
        let mut old = rig.client().await;
        old.send("GET /silent HTTP/1.1\r\nHost: shop\r\n\r\n").await;
        assert_eq!(old.response().await.status, 504);
        assert_eq!(rig.numbers().get("upstream_rq_max_duration_reached"), 4);
        assert_eq!(rig.numbers().get("outlier_detection.ejections_active"), 0);
        gate.open();
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn p48_a_shared_connection_beyond_its_age_takes_no_more_streams_and_lets_the_old_ones_end() {
    for workers in WORKERS {
        let gate = Gate::new();
        let own = gate.clone();
        let upstream = Upstream::start(move |_, _| Reply::ok("long").after(&own)).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.connection.max_duration = Some(AGE);
            draft.cluster.thresholds.default = limits(2, 8, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        let mut running = Vec::new();
        while upstream.counts().accepted < 2 {
            running.push(client.begin(Request::get("http://shop/").body(()).unwrap(), true).await);
            upstream.until(|counts| counts.running == running.len()).await;
        }
        assert_eq!(rig.numbers().get("upstream_cx_max_duration_reached"), 1);
        gate.open();
        for exchange in &mut running {
            assert_eq!(exchange.answer().await.unwrap().text(), "long");
        }
        rig.until_idle().await;
        upstream.until(|counts| counts.open < 2).await;
    }
}

const TOO_OLD: Expected =
    Expected { status: 504, flags: "UMSDR", details: "upstream_max_stream_duration_reached", ..PLAIN };

/// What becomes of a request that nobody ever answers.
async fn too_old(workers: usize, request: &str) -> Seen {
    let upstream = fuseboard_testkit::Upstream::start(Script::always(Behaviour::silent())).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.cluster.max_stream_duration = Some(AGE);
    });
    stage.judge(request).await
}

pub(crate) async fn a_stream_that_is_too_old_before_its_answer_is_a_gateway_timeout(
    workers: usize,
) -> (Seen, Expected) {
    let expected = Expected {
        body: "upstream max stream duration reached",
        counters: &["upstream_rq_max_duration_reached"],
        ..TOO_OLD
    };
    (too_old(workers, &judged("")).await, expected)
}

pub(crate) async fn a_stream_that_is_too_old_before_its_request_is_whole_is_a_timeout_of_the_request(
    workers: usize,
) -> (Seen, Expected) {
    let expected = Expected {
        status: 408,
        body: "upstream max stream duration reached",
        counters: &const { early("upstream_rq_max_duration_reached") },
        connection: Connection::Closed,
        ..TOO_OLD
    };
    let request = judged("Content-Length: 5\r\n") + "abc";
    (too_old(workers, &request).await, expected)
}

pub(crate) async fn an_answer_that_outlasts_its_stream_is_broken_off(workers: usize) -> (Seen, Expected) {
    let upstream = fuseboard_testkit::Upstream::start(Script::always(Behaviour::body_after(
        &Gate::new(),
        &fuseboard_testkit::Reply::ok("never"),
    )))
    .await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.cluster.max_stream_duration = Some(AGE);
    });
    let expected = Expected {
        status: 200,
        connection: Connection::Broken,
        body: "",
        counters: &const { broken_off("upstream_rq_max_duration_reached") },
        ..TOO_OLD
    };
    (stage.judge_get().await, expected)
}
