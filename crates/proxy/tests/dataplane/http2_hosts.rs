//! Hosts that speak HTTP/2, before clients of either version: many requests on one connection, under the same exact limits; streams
//! that are refused, reset or sent away; and the choice of the version.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Http2Ping, UpstreamHttp, UpstreamVersion};
use fuseboard_testkit::http2::frames::kind;
use fuseboard_testkit::http2::{Client, Frame, Frames, Reply, Seen, Upstream};
use fuseboard_testkit::tls::{Authority, Front, client};
use fuseboard_testkit::{DEADLINE, Gate, RefusingPort, settle};
use h2::Reason;
use h2::server::Builder;
use http::{HeaderMap, HeaderValue, Request};
use tokio::net::TcpListener;

use crate::rig::{Draft, Rig, WORKERS, limits};

fn http2(draft: &mut Draft) {
    draft.cluster.http = UpstreamHttp { version: UpstreamVersion::Http2, ..UpstreamHttp::default() };
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://shop{path}")).body(()).unwrap()
}

/// A host whose answers wait at the gate.
async fn held(builder: Builder) -> (Gate, Upstream) {
    let gate = Gate::new();
    let own = gate.clone();
    (gate, Upstream::start_with(builder, move |_, _| Reply::ok("held").after(&own)).await)
}

#[tokio::test]
async fn clients_of_either_version_get_what_the_host_says() {
    for workers in WORKERS {
        let reply = Reply::ok("hello").field("x-custom", "kept").trailer("x-sum", "1").after_interim(103);
        let upstream = Upstream::start(move |_, _| reply.clone()).await;
        let rig = Rig::start(workers, &[upstream.address()], http2);
        let mut old = rig.client().await;
        old.send("POST /old HTTP/1.1\r\nHost: shop\r\nX-Once: 1\r\nConnection: X-Once\r\nContent-Length: 4\r\n\r\nbody").await;
        let answer = old.response().await;
        assert!(answer.interim[0].starts_with("HTTP/1.1 103"), "{:?}", answer.interim);
        assert_eq!((answer.status, answer.text(), answer.field("x-custom")), (200, "hello", Some("kept")));

        let new = Client::connect(rig.address).await;
        let mut exchange = new.begin(Request::post("http://shop/new").body(()).unwrap(), false).await;
        exchange.send(b"body", false);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-own", HeaderValue::from_static("2"));
        exchange.send_trailers(trailers);
        let answer = exchange.answer().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
        assert_eq!((answer.field("x-custom"), answer.field("x-sum")), (Some("kept"), Some("1")));

        let seen = upstream.requests();
        let of = |path: &str| -> Seen { seen.iter().find(|seen| seen.path == path).unwrap().clone() };
        let (old, new) = (of("/old"), of("/new"));
        assert_eq!((old.authority.as_str(), old.scheme.as_str()), ("shop", "http"));
        assert_eq!((old.body.as_slice(), new.body.as_slice()), (&b"body"[..], &b"body"[..]));
        assert_eq!((old.field("x-once"), old.field("host"), old.field("connection")), (None, None, None));
        assert_eq!(old.field("x-envoy-attempt-count"), Some("1"));
        assert_eq!(new.field("x-own"), Some("2"));
        rig.until_idle().await;
        assert_eq!(rig.numbers().get("upstream_cx_http1_total"), 0);
        assert!((1..=workers as u64).contains(&rig.numbers().get("upstream_cx_http2_total")));
    }
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    for workers in WORKERS {
        let (gate, upstream) = held(Builder::new()).await;
        let rig = Rig::start(workers, &[upstream.address()], http2);
        let mut clients = Vec::new();
        for _ in 0..40 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
            clients.push(client);
        }
        upstream.until(|counts| counts.running == 40).await;
        assert!(upstream.counts().accepted <= workers, "{:?}", upstream.counts());
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().await.text(), "held");
        }
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn p25_connections_times_streams_run_the_queue_waits_and_the_rest_is_refused() {
    for workers in WORKERS {
        let (gate, upstream) = held(Builder::new()).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.http.max_concurrent_streams = NonZeroU32::new(2);
            draft.cluster.thresholds.default = limits(2, 3, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        let mut admitted = Vec::new();
        for n in 1..=7_usize {
            admitted.push(client.begin(get("/"), true).await);
            if n <= 4 {
                upstream.until(|counts| counts.running == n).await;
            } else {
                rig.until_pending(u32::try_from(n - 4).unwrap()).await;
            }
        }
        let refused = client.ask(get("/"), b"").await.unwrap();
        assert_eq!(refused.status, 503);
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        assert_eq!(rig.refused(RefusalReason::LimitQueueFull), 1);
        gate.open();
        for mut exchange in admitted {
            assert_eq!(exchange.answer().await.unwrap().status, 200);
        }
        let counts = upstream.counts();
        assert!(counts.most_open <= 2 && counts.most_running <= 4, "{counts:?}");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_host_that_offers_fewer_streams_gets_no_more_and_nobody_is_refused_for_it() {
    for workers in WORKERS {
        let mut builder = Builder::new();
        builder.max_concurrent_streams(1);
        let (gate, upstream) = held(builder).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        // Nobody knows yet what the host offers.
        let mut running = Vec::new();
        for _ in 0..3 {
            running.push(client.begin(get("/"), true).await);
        }
        upstream.until(|counts| counts.running == 1).await;
        for mut exchange in running {
            gate.pass(1);
            assert_eq!(exchange.answer().await.unwrap().status, 200);
        }
        // Now it is known: one runs, one waits.
        let mut first = client.begin(get("/"), true).await;
        upstream.until(|counts| counts.running == 1).await;
        let mut second = client.begin(get("/"), true).await;
        rig.until_pending(1).await;
        let refused = client.ask(get("/"), b"").await.unwrap();
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        gate.open();
        assert_eq!(first.answer().await.unwrap().status, 200);
        assert_eq!(second.answer().await.unwrap().status, 200);
        assert_eq!((upstream.counts().most_running, upstream.counts().accepted), (1, 1));
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_connection_is_left_after_its_requests() {
    for workers in WORKERS {
        let upstream = Upstream::start(|_, _| Reply::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.connection.max_requests = NonZeroU32::new(2);
            draft.cluster.thresholds.default = limits(1, 8, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        for _ in 0..6 {
            assert_eq!(client.get("shop", "/").await.text(), "served");
        }
        upstream.until(|counts| counts.accepted == 3).await;
        assert_eq!(upstream.counts().most_open, 1);
        assert_eq!(rig.numbers().get("upstream_cx_max_requests"), 3);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_host_that_says_farewell_loses_no_request() {
    for workers in WORKERS {
        let upstream = Upstream::start(|_, nth| {
            let reply = Reply::ok("served");
            if nth % 10 == 9 { reply.then_farewell() } else { reply }
        })
        .await;
        let rig = Rig::start(workers, &[upstream.address()], http2);
        let client = Client::connect(rig.address).await;
        for _ in 0..20 {
            let mut exchanges = Vec::new();
            for _ in 0..5 {
                exchanges.push(client.begin(Request::post("http://shop/").body(()).unwrap(), true).await);
            }
            for mut exchange in exchanges {
                let answer = exchange.answer().await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
        assert!(upstream.counts().accepted > 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn d64_a_connection_that_the_host_sent_away_is_closed_by_us_after_its_last_stream() {
    for workers in WORKERS {
        for running in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let rig = Rig::start(workers, &[listener.local_addr().unwrap()], http2);
            let client = Client::connect(rig.address).await;
            let mut exchange = client.begin(get("/"), true).await;
            let mut host = Frames::accept(&listener, &[]).await;
            let stream = host.next_of(kind::HEADERS).await.stream;
            let goaway = Frame::new(kind::GOAWAY, 0, 0, [stream.to_be_bytes(), [0; 4]].concat());
            if running {
                host.send_all(&[goaway]).await;
                host.send_all(&Frame::hello(stream)).await;
                assert_eq!(exchange.answer().await.unwrap().text(), "hello");
            } else {
                host.send_all(&Frame::hello(stream)).await;
                assert_eq!(exchange.answer().await.unwrap().text(), "hello");
                rig.until_idle().await;
                host.send_all(&[goaway]).await;
            }
            rig.until_closed().await;
            let numbers = rig.numbers();
            let closed = [
                "close_notify",
                "destroy_local",
                "destroy_local_with_active_rq",
                "destroy_remote",
                "protocol_error",
            ]
            .map(|name| numbers.get(&format!("upstream_cx_{name}")));
            assert_eq!(closed, [1, 1, 0, 0, 0], "running: {running}");
        }
    }
}

#[tokio::test]
async fn a_refused_stream_is_tried_again_and_a_reset_one_is_answered() {
    for workers in WORKERS {
        let upstream = Upstream::start(|seen, nth| match seen.path.as_str() {
            "/refused" if nth == 0 => Reply::reset(Reason::REFUSED_STREAM),
            "/reset" => Reply::reset(Reason::INTERNAL_ERROR),
            "/refused/always" => Reply::reset(Reason::REFUSED_STREAM),
            _ => Reply::ok("served"),
        })
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.retries();
        });
        let client = Client::connect(rig.address).await;
        let post = |path: &str| Request::post(format!("http://shop{path}")).body(()).unwrap();
        let answer = client.ask(post("/refused"), b"body").await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "served"));
        assert_eq!(rig.count(|block| block.stats.upstream_rq_retry.get()), 1);
        let answer = client.ask(post("/reset"), b"body").await.unwrap();
        assert_eq!(answer.status, 503);
        assert!(answer.text().ends_with("reset reason: remote reset"), "{}", answer.text());
        let answer = client.ask(post("/refused/always"), b"").await.unwrap();
        assert!(answer.text().ends_with("reset reason: remote refused stream reset"), "{}", answer.text());
        assert_eq!(client.ask(post("/"), b"").await.unwrap().status, 200);
        assert!(upstream.counts().accepted <= workers, "the connection goes on");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off() {
    for workers in WORKERS {
        let upstream = Upstream::start(|seen, _| match seen.path.as_str() {
            "/cut" => Reply::ok(vec![b'x'; 1000]).cut_after(10),
            _ => Reply::ok("whole"),
        })
        .await;
        let rig = Rig::start(workers, &[upstream.address()], http2);
        let client = Client::connect(rig.address).await;
        assert!(client.ask(get("/cut"), b"").await.is_err());
        assert_eq!(client.get("shop", "/").await.text(), "whole");
        let mut old = rig.client().await;
        old.send("GET /cut HTTP/1.1\r\nHost: shop\r\n\r\n").await;
        let mut head = old.head().await.unwrap();
        assert!(old.body(&mut head).await.is_err());
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_client_that_gives_up_resets_its_stream_and_leaves_the_connection() {
    for workers in WORKERS {
        let (gate, upstream) = held(Builder::new()).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.thresholds.default = limits(1, 8, u32::MAX);
        });
        let client = Client::connect(rig.address).await;
        let given_up = client.begin(get("/"), true).await;
        let mut other = client.begin(get("/"), true).await;
        upstream.until(|counts| counts.running == 2).await;
        given_up.reset(Reason::CANCEL);
        upstream.until(|counts| counts.given_up == 1).await;
        gate.open();
        assert_eq!(other.answer().await.unwrap().status, 200);
        assert_eq!(upstream.counts().accepted, 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_or_speaks_no_http_2_fails_its_connects() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let old = fuseboard_testkit::Upstream::start(fuseboard_testkit::Script::ok("old")).await;
        for address in [refusing.address(), old.address()] {
            let rig = Rig::start(workers, &[address], http2);
            let client = Client::connect(rig.address).await;
            let answer = client.get("shop", "/").await;
            assert_eq!(answer.status, 503);
            assert!(answer.text().contains("remote connection failure"), "{}", answer.text());
            assert_eq!(rig.numbers().get("upstream_cx_connect_fail"), 1);
            rig.until_closed().await;
        }
    }
}

#[tokio::test]
async fn idle_connections_are_closed_and_new_settings_hold() {
    for workers in WORKERS {
        let upstream = Upstream::start(|_, _| Reply::ok("served")).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.connection.idle_timeout = Some(Duration::from_millis(50));
        });
        let client = Client::connect(rig.address).await;
        assert_eq!(client.get("shop", "/").await.text(), "served");
        rig.until_closed().await;
        upstream.until(|counts| counts.open == 0).await;
        assert_eq!(rig.numbers().get("upstream_cx_idle_timeout"), 1);
        rig.apply(|draft| draft.cluster.connection.idle_timeout = None);
        assert_eq!(client.get("shop", "/").await.text(), "served");
        upstream.until(|counts| counts.open == 1).await;
        rig.apply(|draft| draft.hosts(&[]));
        upstream.until(|counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn the_version_of_the_client_goes_through_where_the_rule_says_so() {
    for workers in WORKERS {
        let host = fuseboard_testkit::Upstream::start(fuseboard_testkit::Script::ok("served")).await;
        // A proxy takes either.
        let behind = Rig::start(1, &[host.address()], |_| {});
        let rig = Rig::start(workers, &[behind.address], |draft| {
            draft.cluster.http.version = UpstreamVersion::Client;
            draft.cluster.thresholds.default = limits(2, 8, u32::MAX);
        });
        let new = Client::connect(rig.address).await;
        assert_eq!(new.get("shop", "/").await.text(), "served");
        let mut old = rig.client().await;
        assert_eq!(old.get("shop", "/").await.text(), "served");
        let numbers = behind.numbers();
        assert_eq!(numbers.get("http.downstream_rq_http1_total"), 1);
        assert_eq!(numbers.get("http.downstream_rq_http2_total"), 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn tls_agrees_on_http_2_with_the_host() {
    for workers in WORKERS {
        let authority = Authority::new("us");
        let upstream = Upstream::start(|_, _| Reply::ok("served")).await;
        let front = Front::start(authority.issue(&["a.test"]).server(), upstream.address()).await;
        let rig = Rig::start(workers, &[front.address()], |draft| {
            http2(draft);
            let mut policy = client(&authority);
            policy.sni = Some("a.test".into());
            draft.cluster.tls = Some(Arc::new(policy));
        });
        let client = Client::connect(rig.address).await;
        assert_eq!(client.get("shop", "/").await.text(), "served");
        assert_eq!(upstream.requests()[0].scheme, "https");
        assert_eq!(front.seen()[0].protocol.as_deref(), Some("h2"));
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn p47_a_client_that_does_not_read_stops_the_host_through_both_windows() {
    const ALL: usize = 32 << 20;
    let upstream = Upstream::start(|_, _| Reply::ok(vec![b'x'; ALL])).await;
    let rig = Rig::start(1, &[upstream.address()], http2);
    let client = Client::connect(rig.address).await;
    let mut exchange = client.begin(get("/"), true).await;
    let (status, _, mut body) = exchange.head().await.unwrap();
    assert_eq!(status, 200);
    let came = || rig.numbers().get("upstream_cx_rx_bytes_total");
    let mut before = 0;
    let stands = settle(DEADLINE, || std::mem::replace(&mut before, came()) == before && before > 0).await;
    assert!(stands && came() < 2 << 20, "{} bytes were taken for a client that reads none", came());
    let mut read = 0;
    while let Some(part) = body.data().await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        read += part.len();
    }
    assert_eq!(read, ALL);
}

#[tokio::test]
async fn a_connection_whose_host_answers_no_ping_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let frozen = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut frames = h2::server::handshake(socket).await.unwrap();
        let (_, mut respond) = frames.accept().await.unwrap().unwrap();
        respond.send_response(http::Response::new(()), true).unwrap();
        // The answer goes out; after that nobody looks at the connection any more.
        drop(tokio::time::timeout(Duration::from_millis(50), frames.accept()).await);
        std::future::pending::<()>().await;
        drop(frames);
    });
    let rig = Rig::start(1, &[address], |draft| {
        http2(draft);
        let ms = Duration::from_millis;
        draft.cluster.http.ping = Some(Http2Ping { interval: ms(200), timeout: ms(100) });
    });
    let client = Client::connect(rig.address).await;
    assert_eq!(client.get("shop", "/").await.status, 200);
    rig.until_closed().await;
    assert_eq!(rig.numbers().get("upstream_cx_destroy_local"), 1);
    frozen.abort();
}
