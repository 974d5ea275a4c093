//! Clients that speak HTTP/2, before hosts that speak HTTP/1.1: every stream is a request like any other, under the same limits,
//! and what happens to one does not concern the others of its connection.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};
use fuseboard_testkit::http2::Client;
use fuseboard_testkit::tls::{Authority, Tunnel, client};
use fuseboard_testkit::{Behaviour, DEADLINE, Gate, Reply, Script, Upstream, settle};
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::rig::judge::held;
use crate::rig::log::LogFile;
use crate::rig::{Rig, WORKERS, limits, options};

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://shop{path}")).body(()).unwrap()
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://shop{path}")).body(()).unwrap()
}

#[tokio::test]
async fn a_request_and_its_answer_keep_what_they_say() {
    for workers in WORKERS {
        let reply = Reply::ok("hello")
            .field("X-Custom", "kept")
            .field("set-cookie", "a=1")
            .field("set-cookie", "b=2");
        let upstream = Upstream::start(Script::always(Behaviour::answer(&reply))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let client = Client::connect(rig.address).await;
        let mut request = get("/a?b=c");
        request.headers_mut().append("cookie", HeaderValue::from_static("x=1"));
        request.headers_mut().append("cookie", HeaderValue::from_static("y=2"));
        let answer = client.ask(request, b"").await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
        assert_eq!(answer.field("x-custom"), Some("kept"));
        assert_eq!(answer.fields.get_all("set-cookie").iter().count(), 2);
        assert!(answer.field("x-envoy-upstream-service-time").is_some());
        assert_eq!(answer.field("connection"), None);
        let seen = upstream.requests().remove(0);
        assert!(seen.head.starts_with("GET /a?b=c HTTP/1.1\r\nhost: shop\r\n"), "{}", seen.head);
        assert_eq!(seen.fields("cookie"), ["x=1; y=2"]);
        assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
        rig.until_idle().await;
        assert_eq!(rig.numbers().get("http.downstream_rq_http2_total"), 1);
        assert_eq!(rig.numbers().get("http.downstream_cx_http2_active"), 1);
        drop(client);
        assert!(settle(DEADLINE, || rig.numbers().get("http.downstream_cx_http2_active") == 0).await);
    }
}

#[tokio::test]
async fn bodies_and_trailers_of_any_size_pass_both_ways() {
    for workers in WORKERS {
        let large = vec![b'x'; 3_000_000];
        let body = large.clone();
        let upstream = Upstream::start(Script::by(move |request| {
            Behaviour::answer(&match request.target.as_str() {
                "/chunked" => Reply::ok(body.clone()).chunked(7_000).trailer("X-Sum", "1"),
                "/close" => Reply::ok(body.clone()).until_close(),
                "/nothing" => Reply::status(204),
                "/interim" => Reply::ok("late").preceded_by(103),
                _ => Reply::ok(body.clone()),
            })
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let client = Client::connect(rig.address).await;
        for path in ["/length", "/chunked", "/close"] {
            let answer = client.ask(get(path), b"").await.unwrap();
            assert_eq!(answer.body.len(), large.len(), "{path}");
            assert_eq!(answer.trailers.get("x-sum").is_some(), path == "/chunked");
        }
        assert_eq!(client.ask(get("/nothing"), b"").await.unwrap().status, 204);
        assert_eq!(client.ask(get("/interim"), b"").await.unwrap().text(), "late");

        let mut announced = post("/announced");
        announced.headers_mut().insert("content-length", HeaderValue::from(large.len()));
        client.ask(announced, &large).await.unwrap();
        let mut exchange = client.begin(post("/unannounced"), false).await;
        exchange.send(&large, false);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("2"));
        exchange.send_trailers(trailers);
        exchange.answer().await.unwrap();
        client.ask(post("/empty"), b"").await.unwrap();
        let seen = upstream.requests();
        let of = |target: &str| seen.iter().find(|seen| seen.target == target).unwrap();
        assert_eq!(of("/announced").field("content-length"), Some("3000000"));
        assert_eq!(of("/unannounced").field("transfer-encoding"), Some("chunked"));
        assert_eq!(of("/empty").field("content-length"), Some("0"));
        for path in ["/announced", "/unannounced"] {
            assert_eq!(of(path).body.len(), large.len(), "{path}");
        }
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn streams_are_limited_like_requests_and_refusals_say_why() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(2, 3, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        let mut admitted = Vec::new();
        for n in 0..5_u32 {
            admitted.push(client.begin(get("/"), true).await);
            if n < 2 {
                upstream.until(|counts| counts.in_flight == n as usize + 1).await;
            } else {
                rig.until_pending(n - 1).await;
            }
        }
        let refused = client.ask(get("/"), b"").await.unwrap();
        assert_eq!(refused.status, 503);
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        assert_eq!(refused.field("x-envoy-overloaded"), Some("true"));
        assert_eq!(rig.refused(RefusalReason::LimitQueueFull), 1);
        gate.open();
        for mut exchange in admitted {
            assert_eq!(exchange.answer().await.unwrap().status, 200);
        }
        assert_eq!(upstream.counts().accepted, 2, "never more than two connections");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_given_up_frees_its_slot_and_leaves_the_others_alone() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(2, 1, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        let given_up = client.begin(get("/"), true).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut other = client.begin(get("/"), true).await;
        upstream.until(|counts| counts.in_flight == 2).await;
        let waiting = client.begin(get("/"), true).await;
        rig.until_pending(1).await;
        waiting.reset(Reason::CANCEL);
        rig.until_pending(0).await;
        given_up.reset(Reason::CANCEL);
        upstream.until(|counts| counts.open == 1).await;
        gate.open();
        assert_eq!(other.answer().await.unwrap().status, 200);
        drop((other, client));
        rig.until_at_rest().await;
        assert_eq!(rig.numbers().get("http.downstream_rq_rx_reset"), 2);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_frees_everything() {
    for workers in WORKERS {
        let (_gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(2, 100, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        let mut exchanges = Vec::new();
        for _ in 0..20 {
            exchanges.push(client.begin(get("/"), true).await);
        }
        rig.until_pending(18).await;
        drop((exchanges, client));
        rig.until_closed().await;
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_its_stream_only() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::by(|request| match request.target.as_str() {
            "/breaks" => Behaviour::close_in_body(&Reply::ok(vec![b'x'; 1000]), 10),
            _ => Behaviour::answer(&Reply::ok("whole")),
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let client = Client::connect(rig.address).await;
        let broken = client.ask(get("/breaks"), b"").await.unwrap_err();
        assert_eq!(broken.reason(), Some(Reason::INTERNAL_ERROR));
        assert_eq!(client.get("shop", "/").await.text(), "whole");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn an_answer_before_the_request_is_complete_ends_the_stream_without_an_error() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::answer_early(&Reply::status(413)))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let client = Client::connect(rig.address).await;
        let mut exchange = client.begin(post("/"), false).await;
        exchange.send(b"some", false);
        assert_eq!(exchange.answer().await.unwrap().status, 413);
        assert_eq!(client.get("shop", "/").await.status, 413, "the connection goes on");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn p47_who_does_not_read_stops_the_host_and_costs_no_more_than_the_windows() {
    const ALL: usize = 64 << 20;
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok(vec![b'x'; ALL])).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let client = Client::connect(rig.address).await;
        let mut exchange = client.begin(get("/"), true).await;
        let (status, _, mut body) = exchange.head().await.unwrap();
        assert_eq!(status, 200);
        let came = || rig.numbers().get("upstream_cx_rx_bytes_total");
        // Nothing goes on any more once the windows are full.
        let mut before = 0;
        let stands =
            settle(DEADLINE, || std::mem::replace(&mut before, came()) == before && before > 0).await;
        assert!(stands && came() < 1 << 20, "{} bytes were taken for a client that reads none", came());
        // Others are not held up by it.
        assert_eq!(client.begin(get("/"), true).await.head().await.unwrap().0, 200);
        let mut read = 0;
        while let Some(part) = body.data().await {
            let part = part.unwrap();
            body.flow_control().release_capacity(part.len()).unwrap();
            read += part.len();
        }
        assert_eq!(read, ALL);
    }
}

#[tokio::test]
async fn a_host_that_does_not_read_stops_the_client() {
    let gate = Gate::new();
    let upstream =
        Upstream::start(Script::always(Behaviour::read_body_after(&gate, &Reply::ok("read")))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let client = Client::connect(rig.address).await;
    let mut exchange = client.begin(post("/"), false).await;
    exchange.send(&vec![b'x'; 64 << 20], true);
    upstream.until(|counts| counts.in_flight == 1).await;
    let came = || rig.numbers().get("http.downstream_cx_rx_bytes_total");
    let mut before = 0;
    assert!(settle(DEADLINE, || std::mem::replace(&mut before, came()) == before && before > 0).await);
    assert!(came() < 16 << 20, "{} bytes were taken for a host that reads none", came());
    gate.open();
    assert_eq!(exchange.answer().await.unwrap().text(), "read");
}

#[tokio::test]
async fn who_drains_lets_running_streams_end_and_takes_no_new_ones() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let client = Client::connect(rig.address).await;
        let mut running = client.begin(get("/"), true).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        rig.proxy.drain();
        gate.open();
        assert_eq!(running.answer().await.unwrap().status, 200);
        client.until_over().await.unwrap();
        let join = tokio::task::spawn_blocking(move || rig.proxy.join());
        tokio::time::timeout(DEADLINE, join).await.expect("the proxy ends").unwrap();
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_with_a_word() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        draft.listener.http.idle_timeout = Duration::from_millis(50);
    });
    let client = Client::connect(rig.address).await;
    assert_eq!(client.get("shop", "/").await.status, 200);
    client.until_over().await.unwrap();
    assert_eq!(rig.numbers().get("http.downstream_cx_idle_timeout"), 1);
}

#[tokio::test]
async fn what_http_1_refuses_is_refused_on_its_stream() {
    let upstream = Upstream::start(Script::ok("served")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let client = Client::connect(rig.address).await;
    let status = async |request| client.ask(request, b"").await.unwrap().status.as_u16();
    let mut two_hosts = get("/");
    two_hosts.headers_mut().insert("host", HeaderValue::from_static("other"));
    assert_eq!(status(two_hosts).await, 400);
    // A name in HTTP/2 (RFC 9113 section 8.2.1), and none in HTTP/1.1.
    let mut quoted = get("/");
    let name = HeaderName::from_lowercase(b"a\"b").unwrap();
    quoted.headers_mut().insert(name, HeaderValue::from_static("c"));
    assert_eq!(status(quoted).await, 400);
    let mut many = get("/");
    for n in 0..120 {
        many.headers_mut().append("x-many", HeaderValue::from(n));
    }
    assert_eq!(status(many).await, 431);
    let mut large = get("/");
    large.headers_mut().append("x-large", HeaderValue::from_str(&"x".repeat(61 * 1024)).unwrap());
    assert_eq!(status(large).await, 431);
    let connect = Request::connect("shop:80").body(()).unwrap();
    assert_eq!(status(connect).await, 501);
    assert_eq!(status(get("/")).await, 200, "the connection goes on");
    assert_eq!(upstream.requests().len(), 1, "and nothing of the rest got through");
}

#[tokio::test]
async fn p47_streams_that_are_opened_to_be_reset_end_their_connection_and_nothing_else() {
    let (gate, upstream) = held().await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        draft.cluster.thresholds.default = limits(4, 4, u32::MAX);
    });
    let client = Client::connect(rig.address).await;
    for n in 0..20_000 {
        match client.try_begin(get("/"), true).await {
            Ok(exchange) => exchange.reset(Reason::CANCEL),
            Err(_) => break,
        }
        // Many come in one read.
        if n % 500 == 499 {
            tokio::task::yield_now().await;
        }
    }
    // With ENHANCE_YOUR_CALM, if that is read before the end of the socket.
    assert!(client.until_over().await.is_err());
    assert_eq!(rig.numbers().get("http.downstream_cx_protocol_error"), 1);
    rig.until_closed().await;
    rig.until_at_rest().await;
    let other = Client::connect(rig.address).await;
    let mut running = other.begin(get("/"), true).await;
    upstream.until(|counts| counts.in_flight == 1).await;
    gate.open();
    assert_eq!(running.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn tls_agrees_on_http_2_and_old_clients_get_http_1() {
    for workers in WORKERS {
        let authority = Authority::new("us");
        let pair = authority.issue(&["a.test"]);
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.listener.tls = Some(Arc::new(pair.server()));
        });
        let tunnel = Tunnel::offering(&[b"h2"], client(&authority), "a.test", rig.address).await;
        let client = Client::connect(tunnel.address()).await;
        let answer = client.get("a.test", "/").await;
        assert_eq!(answer.text(), "served");
        let seen = upstream.requests().remove(0);
        assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
        assert_eq!(rig.numbers().get("http.downstream_cx_http2_total"), 1);
    }
}

#[tokio::test]
async fn the_log_says_which_protocol_it_was() {
    let upstream = Upstream::start(Script::ok("served")).await;
    let log = LogFile::new(AccessLogFormat::Json);
    let options = ProxyOptions { access_log: Some(log.option()), ..options(1) };
    let rig = Rig::start_with(options, &[upstream.address()], |_| {});
    let client = Client::connect(rig.address).await;
    assert_eq!(client.get("shop", "/a").await.status, 200);
    let begun = client.begin(post("/b"), false).await;
    assert!(settle(DEADLINE, || rig.numbers().get("http.downstream_rq_active") == 1).await);
    begun.reset(Reason::CANCEL);
    drop(client);
    rig.until_at_rest().await;
    rig.proxy.drain();
    let join = tokio::task::spawn_blocking(move || rig.proxy.join());
    tokio::time::timeout(DEADLINE, join).await.expect("the proxy ends").unwrap();
    let lines = log.lines();
    assert_eq!((lines[0].protocol.as_str(), lines[0].path.as_str(), lines[0].code), ("HTTP/2", "/a", 200));
    assert_eq!(lines[1].flags, "DC");
}
