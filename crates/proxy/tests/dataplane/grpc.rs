//! Calls of gRPC: refusals as statuses of gRPC, the caller's deadline, hosts that are judged by trailers, and streams of messages in
//! both directions.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fuseboard_core::limit::Priority;
use fuseboard_snapshot::UpstreamVersion;
use fuseboard_testkit::http2::{Answer, Client, Reply, Upstream};
use fuseboard_testkit::{DEADLINE, Gate, settle};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request};
use tokio::net::TcpListener;

use crate::rig::{Draft, Rig, WORKERS, limits, touchy};

pub(crate) fn http2(draft: &mut Draft) {
    draft.cluster.http.version = UpstreamVersion::Http2;
}

pub(crate) fn call(method: &str) -> Request<()> {
    let request = Request::post(format!("http://shop/shop.Cart/{method}")).header("te", "trailers");
    request.header("content-type", "application/grpc").body(()).unwrap()
}

/// A message of gRPC.
pub(crate) const MESSAGE: &[u8] = b"\0\0\0\0\x02hi";

pub(crate) fn replying(status: &str) -> Reply {
    Reply::ok(MESSAGE).field("content-type", "application/grpc").trailer("grpc-status", status)
}

pub(crate) fn status(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    (answer.status.as_u16(), answer.field("grpc-status"), answer.field("grpc-message"))
}

#[tokio::test]
async fn p48_a_refusal_is_a_status_of_grpc_and_says_why() {
    for workers in WORKERS {
        let gate = Gate::new();
        let own = gate.clone();
        let upstream = Upstream::start(move |_, _| replying("0").after(&own)).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.thresholds.default = limits(u32::MAX, 0, 1);
        });
        let client = Client::connect(rig.address).await;
        let mut running = client.begin(call("Add"), true).await;
        upstream.until(|counts| counts.running == 1).await;
        let refused = client.ask(call("Add"), MESSAGE).await.unwrap();
        let words = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
        assert_eq!(status(&refused), (200, Some("14"), Some(words)));
        assert_eq!(refused.field("content-type"), Some("application/grpc"));
        assert_eq!(refused.field("x-envoy-overloaded"), Some("true"));
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.requests"));
        assert!(refused.body.is_empty() && refused.field("content-length").is_none());
        gate.open();
        let answer = running.answer().await.unwrap();
        assert_eq!((status(&answer), &answer.body[..]), ((200, Some("0"), None), MESSAGE));
        rig.until_idle().await;
        assert_eq!(rig.numbers().get("upstream_rq_503"), 1, "the cluster counts what it was");
        let series = rig.series();
        let mut told: Vec<_> = series
            .samples("istio_requests_total")
            .map(|sample| {
                let of = |name: &str| sample.labels[name].as_str();
                (
                    of("request_protocol"),
                    of("response_code"),
                    of("grpc_response_status"),
                    of("response_flags"),
                )
            })
            .collect();
        told.sort_unstable();
        assert_eq!(told, [("grpc", "200", "0", "-"), ("grpc", "200", "14", "UO")]);
        assert_eq!(upstream.requests()[0].field("te"), Some("trailers"), "some servers ask for it");
    }
}

#[tokio::test]
async fn d44_p48_a_host_is_judged_by_its_trailers_and_not_for_what_its_callers_did() {
    for workers in WORKERS {
        let upstream = Upstream::start(|seen, _| match seen.path.as_str() {
            "/shop.Cart/Forbidden" => replying("7"),
            "/shop.Cart/Bare" => {
                Reply::status(200).field("content-type", "application/grpc").field("grpc-status", "5")
            }
            "/shop.Cart/Down" => replying("14"),
            _ => replying("0"),
        })
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.outlier = Some(touchy());
        });
        let client = Client::connect(rig.address).await;
        for (method, number) in [("Add", "0"), ("Forbidden", "7"), ("Bare", "5"), ("Add", "0")] {
            let answer = client.ask(call(method), MESSAGE).await.unwrap();
            assert_eq!(status(&answer), (200, Some(number), None), "{method}");
        }
        let answer = client.ask(call("Down"), MESSAGE).await.unwrap();
        assert_eq!(status(&answer), (200, Some("14"), None));
        let nobody = client.ask(call("Add"), MESSAGE).await.unwrap();
        assert_eq!(status(&nobody), (200, Some("14"), Some("no healthy upstream")), "it was ejected");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn d46_p38_a_callers_deadline_holds_and_the_host_is_told_what_is_left_of_it() {
    for workers in WORKERS {
        let gate = Gate::new();
        let own = gate.clone();
        let upstream = Upstream::start(move |_, _| replying("0").after(&own)).await;
        let rig = Rig::start(workers, &[upstream.address()], http2);
        let client = Client::connect(rig.address).await;
        let mut request = call("Add");
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("50m"));
        let late = client.ask(request, MESSAGE).await.unwrap();
        assert_eq!(status(&late), (200, Some("4"), Some("upstream request timeout")));
        let told = upstream.requests()[0].field("grpc-timeout").unwrap().to_owned();
        let left: u64 = told.strip_suffix('u').unwrap().parse().unwrap();
        assert!((1..=50_000).contains(&left), "{told}");
        upstream.until(|counts| counts.given_up == 1).await;
        rig.until_idle().await;
    }
}

/// A server that leaves each call to `serve`.
async fn server<S>(
    serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> S + Copy + Send + 'static,
) -> SocketAddr
where
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut frames = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, respond))) = frames.accept().await {
                    tokio::spawn(serve(request, respond));
                }
            });
        }
    });
    address
}

/// A server that resets each call when the time that it was told is up, as grpc-go does.
async fn punctual() -> SocketAddr {
    let serve = |request: Request<RecvStream>, mut respond: SendResponse<Bytes>| async move {
        let told = request.headers()["grpc-timeout"].to_str().unwrap();
        let micros = told.strip_suffix('u').unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_micros(micros)).await;
        respond.send_reset(h2::Reason::CANCEL);
    };
    server(serve).await
}

#[tokio::test]
async fn d46_a_host_that_gives_up_at_the_callers_deadline_has_not_failed_before_it() {
    let rig = Rig::start(1, &[punctual().await], http2);
    let client = Client::connect(rig.address).await;
    for millis in 11..=30 {
        let mut request = call("Add");
        let timeout = HeaderValue::try_from(format!("{millis}m")).unwrap();
        request.headers_mut().insert("grpc-timeout", timeout);
        let late = client.ask(request, MESSAGE).await.unwrap();
        assert_eq!(status(&late), (200, Some("4"), Some("upstream request timeout")), "{millis} ms");
    }
    rig.until_idle().await;
}

#[tokio::test]
async fn d46_the_routes_own_time_is_no_deadline_of_the_caller() {
    let gate = Gate::new();
    let own = gate.clone();
    let upstream = Upstream::start(move |_, _| replying("0").after(&own)).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        http2(draft);
        draft.route.timeout = Some(Duration::from_millis(50));
    });
    let client = Client::connect(rig.address).await;
    let mut request = call("Add");
    request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("20S"));
    let late = client.ask(request, MESSAGE).await.unwrap();
    assert_eq!(status(&late), (200, Some("14"), Some("upstream request timeout")));
    rig.until_idle().await;
}

/// A server that sends every message back when it comes, and ends with OK.
pub(crate) async fn echo() -> SocketAddr {
    let serve = |request: Request<RecvStream>, mut respond: SendResponse<Bytes>| async move {
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut out = respond.send_response(head.body(()).unwrap(), false).unwrap();
        let mut body = request.into_body();
        while let Some(Ok(part)) = body.data().await {
            body.flow_control().release_capacity(part.len()).unwrap();
            out.send_data(Bytes::clone(&part), false).unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        out.send_trailers(trailers).unwrap();
    };
    server(serve).await
}

#[tokio::test]
async fn messages_go_both_ways_while_both_sides_talk() {
    for workers in WORKERS {
        let rig = Rig::start(workers, &[echo().await], http2);
        let client = Client::connect(rig.address).await;
        let mut exchange = client.begin(call("Chat"), false).await;
        exchange.send(MESSAGE, false);
        let (_, _, mut body) = exchange.head().await.unwrap();
        for n in 0..50 {
            let part = tokio::time::timeout(DEADLINE, body.data()).await.unwrap().unwrap().unwrap();
            assert_eq!(&part[..], MESSAGE, "{n}");
            body.flow_control().release_capacity(part.len()).unwrap();
            exchange.send(MESSAGE, n == 49);
        }
        let mut rest = 0;
        while let Some(part) = tokio::time::timeout(DEADLINE, body.data()).await.unwrap() {
            rest += part.unwrap().len();
        }
        assert_eq!(rest, MESSAGE.len());
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        let limits = rig.cluster();
        let idle = || limits.live.limits(Priority::Default).view().requests == 0;
        assert!(settle(DEADLINE, idle).await);
    }
}

#[tokio::test]
async fn messages_are_counted_while_a_call_lasts_and_by_no_other_request() {
    for workers in WORKERS {
        let rig = Rig::start(workers, &[echo().await], http2);
        let counted = || {
            let series = rig.series();
            ["istio_request_messages_total", "istio_response_messages_total"]
                .map(|name| series.samples(name).map(|sample| sample.value.to_string()).collect::<Vec<_>>())
        };
        let client = Client::connect(rig.address).await;
        let other = Request::post("http://shop/").body(()).unwrap();
        assert_eq!(client.ask(other, MESSAGE).await.unwrap().body, MESSAGE);
        rig.until_idle().await;
        assert_eq!(counted(), [[""; 0]; 2]);

        // One and a part of what stands in front of the next one.
        let all = MESSAGE.repeat(3);
        let (first, rest) = all.split_at(MESSAGE.len() + 2);
        let mut exchange = client.begin(call("Chat"), false).await;
        exchange.send(first, false);
        let (.., mut body) = exchange.head().await.unwrap();
        assert!(settle(DEADLINE, || counted() == [["2"], ["2"]]).await, "it lasts: {:?}", counted());
        exchange.send(rest, true);
        let mut came = 0;
        while let Some(part) = tokio::time::timeout(DEADLINE, body.data()).await.unwrap() {
            came += part.unwrap().len();
        }
        assert_eq!(came, all.len());
        assert!(settle(DEADLINE, || counted() == [["3"], ["3"]]).await, "{:?}", counted());

        let series = rig.series();
        let mut labels = series.samples("istio_request_messages_total").next().unwrap().labels.clone();
        let whole = series.samples("istio_requests_total").next().unwrap();
        labels.retain(|name, value| whole.labels.get(name) != Some(value));
        assert!(labels.is_empty(), "not as those of requests: {labels:?}");
    }
}
