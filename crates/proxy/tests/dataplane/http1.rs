//! HTTP/1.1 through real sockets: bodies in all framings, order, headers, upgrades, and what is refused as ambiguous.

use crate::rig::{Rig, WORKERS, limits};
use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream};

#[tokio::test]
async fn an_answer_keeps_its_status_fields_and_body() {
    for workers in WORKERS {
        let reply = Reply::ok("hello").field("X-Custom-Case", "Kept").field("x-fuseboard-refused", "forged");
        let upstream = Upstream::start(Script::always(Behaviour::answer(&reply))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for _ in 0..3 {
            let response = client.get("shop", "/get?x=1").await;
            assert_eq!((response.status, response.text()), (200, "hello"));
            assert!(response.head.contains("X-Custom-Case: Kept\r\n"), "{}", response.head);
            assert_eq!(response.field("x-fuseboard-refused"), None, "nobody but us says why we refused");
            assert!(response.field("x-envoy-upstream-service-time").is_some());
            assert!(response.field("date").is_some());
        }
        assert_eq!(upstream.counts().accepted, 1, "the upstream connection is reused");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_request_reaches_the_upstream_as_envoy_would_send_it() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        draft.route.timeout = Some(std::time::Duration::from_secs(30));
    });
    let mut client = rig.client().await;
    client
        .send(
            "GET http://shop/a?b HTTP/1.1\r\nHost: shop\r\nX-Once: 1\r\nConnection: X-Once\r\nKeep-Alive: 5\r\n\
             Proxy-Connection: keep-alive\r\nX-Envoy-Max-Retries: 9\r\nX-MiXed: Kept\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status, 200);
    let seen = upstream.requests().remove(0);
    assert!(seen.head.starts_with("GET /a?b HTTP/1.1\r\nHost: shop\r\nX-MiXed: Kept\r\n"), "{}", seen.head);
    for gone in ["x-once", "connection", "keep-alive", "proxy-connection", "x-envoy-max-retries"] {
        assert_eq!(seen.field(gone), None, "{gone}");
    }
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-envoy-attempt-count"), Some("1"));
    let left: u64 = seen.field("x-envoy-expected-rq-timeout-ms").unwrap().parse().unwrap();
    assert!((25_000..=30_000).contains(&left), "what the route's time-out leaves: {left}");
    assert_eq!(seen.field("x-request-id").map(str::len), Some(36));
}

#[tokio::test]
async fn a_request_id_of_the_caller_is_kept() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nx-request-id: mine\r\n\r\n").await;
    client.response().await;
    assert_eq!(upstream.requests()[0].fields("x-request-id"), ["mine"]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::by(|request| Behaviour::answer(&Reply::ok(request.target.clone()))))
                .await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        let requests: Vec<_> = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.send(requests.concat()).await;
        for n in 0..20 {
            assert_eq!(client.response().await.text(), format!("/{n}"));
        }
    }
}

#[tokio::test]
async fn bodies_of_any_framing_pass_both_ways() {
    for workers in WORKERS {
        let large = vec![b'x'; 300_000];
        let body = large.clone();
        let upstream = Upstream::start(Script::by(move |request| {
            Behaviour::answer(&match request.target.as_str() {
                "/chunked" => Reply::ok(body.clone()).chunked(7_000).trailer("X-Sum", "1"),
                "/close" => Reply::ok(body.clone()).until_close(),
                _ => Reply::ok(body.clone()),
            })
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for path in ["/length", "/chunked", "/close"] {
            client
                .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"))
                .await;
            for chunk in large.chunks(50_000) {
                client.send(format!("{:x}\r\n", chunk.len())).await;
                client.send(chunk).await;
                client.send("\r\n").await;
            }
            client.send("0\r\nX-Trailer: t\r\n\r\n").await;
            let response = client.response().await;
            assert_eq!(response.body.len(), large.len(), "{path}");
            if path == "/chunked" {
                assert_eq!(response.trailers, ["X-Sum: 1"]);
            }
        }
        let seen = upstream.requests();
        assert!(seen.iter().all(|request| request.body == large && request.trailers == ["X-Trailer: t"]));
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() {
    let upstream = Upstream::start(Script::by(|request| {
        Behaviour::answer(&Reply::status(if request.target == "/304" { 304 } else { 204 }))
    }))
    .await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    for status in [204, 304, 204] {
        assert_eq!(client.get("a", &format!("/{status}")).await.status, status);
    }
    upstream.follow(Script::ok("12345"));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let response = client.response_to_head().await;
    assert_eq!((response.status, response.field("content-length")), (200, Some("5")));
    assert_eq!(client.get("a", "/").await.text(), "12345");
}

#[tokio::test]
async fn http_1_0_clients_get_what_they_can_read() {
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("chunky").chunked(2)))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let all = String::from_utf8(client.closed().await).unwrap();
    assert!(all.ends_with("\r\n\r\nchunky"), "{all}");
    assert!(!all.to_lowercase().contains("transfer-encoding"), "{all}");
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_once_it_is_admitted() {
    let upstream = Upstream::start(Script::ok("thanks")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    let asked = client.received(25).await.unwrap();
    assert_eq!(asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert_eq!(client.response().await.text(), "thanks");
    assert_eq!(upstream.requests()[0].body, b"body");
    assert_eq!(upstream.requests()[0].field("expect"), None);
}

#[tokio::test]
async fn interim_answers_are_passed_on() {
    let reply = Reply::ok("done").preceded_by(103);
    let upstream = Upstream::start(Script::always(Behaviour::answer(&reply))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    let response = client.get("a", "/").await;
    assert_eq!((response.interim.len(), response.text()), (1, "done"));
}

#[tokio::test]
async fn an_early_answer_is_delivered_although_the_body_never_ends() {
    let upstream =
        Upstream::start(Script::always(Behaviour::answer_early(&Reply::status(413).body("no")))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text()), (413, "no"));
    assert_eq!(response.field("connection"), Some("close"));
    client.closed().await;
    rig.until_idle().await;
}

#[tokio::test]
async fn an_upgrade_is_a_tunnel_that_holds_its_slot_until_both_sides_are_closed() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::upgrade_and_echo("websocket"))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let upgrade =
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let mut client = rig.client().await;
        client.send(upgrade).await;
        let response = client.head().await.unwrap();
        assert_eq!((response.status, response.field("upgrade")), (101, Some("websocket")));
        client.send("ping").await;
        assert_eq!(client.received(4).await.unwrap(), b"ping");
        let mut other = rig.client().await;
        other.send(upgrade).await;
        let refused = other.response().await;
        assert_eq!((refused.status, refused.field("x-fuseboard-refused")), (503, Some("limit.connections")));
        client.half_close();
        client.closed().await;
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ] {
        let mut client = rig.client().await;
        client.send(request).await;
        assert_eq!(client.response().await.status, status, "{request:?}");
    }
    let mut client = rig.client().await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    client.send(large).await;
    assert_eq!(client.response().await.status, 431);
    client.closed().await;
    assert_eq!(upstream.counts().requests, 0);
    assert_eq!(rig.client().await.get("a", "/").await.status, 200, "the next good request works");
    assert_eq!(rig.numbers().get("http.downstream_rq_total"), 11, "each of them was a request");
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_behind_pipelined_bytes() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("")).after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        client.send(vec![b'G'; 100_000]).await;
        client.close();
        rig.until_idle().await;
        let given_up = rig.count(|block| block.stats.upstream_cx_destroy_local_with_active_rq.get());
        assert_eq!(given_up, 1);
        gate.open();
    }
}

#[tokio::test]
async fn draining_finishes_what_runs_and_closes_what_is_idle() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::ok("done")).after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut idle = rig.client().await;
        let mut busy = rig.client().await;
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        rig.proxy.drain();
        idle.closed().await;
        gate.open();
        let response = busy.response().await;
        assert_eq!((response.text(), response.field("connection")), ("done", Some("close")));
        busy.closed().await;
        let address = rig.address;
        tokio::task::spawn_blocking(move || rig.proxy.join()).await.unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}
