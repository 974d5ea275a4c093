//! What a message looks like on either side of the proxy, to the byte: fields kept, added and removed, versions, targets,
//! connections kept and closed. Bodies under pressure are in `bodies`, switched protocols in `upgrades`.

use std::time::Duration;

use crate::rig::{Rig, WORKERS};
use fuseboard_testkit::{Behaviour, Reply, Script, Upstream, settle};

/// An id of 36 characters in place of the random one.
fn with_fixed_id(head: &str) -> String {
    let name = "x-request-id: ";
    let start = head.find(name).unwrap() + name.len();
    [&head[..start], "ID", &head[start + 36..]].concat()
}

#[tokio::test]
async fn a_request_keeps_order_case_and_repeated_fields_and_gains_envoys_at_the_end() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client
            .send(
                "POST /a/../b?c=%20&d HTTP/1.1\r\nUser-Agent: t\r\nhOsT: Shop:80\r\nCookie: a=1\r\n\
                 CONTENT-length: 2\r\nX-Empty:\r\nCookie: b=2\r\nX-Forwarded-For: 10.0.0.1\r\n\r\nhi",
            )
            .await;
        assert_eq!(client.response().await.status, 200);
        let seen = upstream.requests().remove(0);
        assert_eq!(
            with_fixed_id(&seen.head),
            "POST /a/../b?c=%20&d HTTP/1.1\r\nUser-Agent: t\r\nhOsT: Shop:80\r\nCookie: a=1\r\n\
             CONTENT-length: 2\r\nX-Empty: \r\nCookie: b=2\r\nX-Forwarded-For: 10.0.0.1\r\n\
             x-forwarded-proto: http\r\nx-request-id: ID\r\nx-envoy-attempt-count: 1\r\n\r\n"
        );
        assert_eq!(seen.body, b"hi");
    }
}

#[tokio::test]
async fn an_answer_keeps_its_status_line_order_case_and_repeated_fields() {
    for workers in WORKERS {
        let head = "HTTP/1.1 299 All Is  Well\r\nServer: theirs\r\nSet-Cookie: a=1\r\ncontent-LENGTH: 2\r\n\
                    Set-Cookie: b=2\r\nDate: long ago\r\nX-Envoy-Upstream-Service-Time: 999\r\n\
                    X-Fuseboard-Refused: limit.queue_full\r\nVia: 1.1 theirs\r\n\r\nok";
        let upstream = Upstream::start(Script::always(Behaviour::raw(head))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let response = rig.client().await.get("a", "/").await;
        let time = response.field("x-envoy-upstream-service-time").unwrap().to_owned();
        assert!(time.parse::<u32>().unwrap() < 999, "ours, not theirs");
        assert_eq!(
            response.head.replace(&format!("time: {time}"), "time: T"),
            "HTTP/1.1 299 All Is  Well\r\nServer: theirs\r\nSet-Cookie: a=1\r\ncontent-LENGTH: 2\r\n\
             Set-Cookie: b=2\r\nDate: long ago\r\nVia: 1.1 theirs\r\nx-envoy-upstream-service-time: T\r\n\r\n"
        );
        assert_eq!(response.text(), "ok");
    }
}

#[tokio::test]
async fn fields_about_one_connection_do_not_cross_the_proxy() {
    let hop_by_hop = "Connection: X-Hop, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTE: trailers\r\n\
                      Proxy-Connection: keep-alive\r\nX-End: 2\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{hop_by_hop}\r\n");
    let upstream = Upstream::start(Script::always(Behaviour::raw(answer))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{hop_by_hop}\r\n")).await;
    let response = client.response().await;
    let request = upstream.requests().remove(0);
    for name in ["connection", "keep-alive", "x-hop", "proxy-connection"] {
        assert_eq!((request.field(name), response.field(name)), (None, None), "{name}");
    }
    assert_eq!((request.field("x-end"), response.field("x-end")), (Some("2"), Some("2")));
}

#[tokio::test]
async fn a_field_that_frames_the_message_cannot_be_nominated_away() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    for name in ["Host", "Content-Length"] {
        let mut client = rig.client().await;
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: {name}\r\n\r\nx"))
            .await;
        assert_eq!(client.response().await.status, 400, "{name}");
    }
    assert_eq!(upstream.counts().requests, 0);
}

#[tokio::test]
async fn what_would_steer_a_router_is_taken_from_requests() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let steering = [
        "x-envoy-retry-on: 5xx",
        "x-envoy-retry-grpc-on: unavailable",
        "x-envoy-max-retries: 9",
        "x-envoy-retriable-status-codes: 418",
        "x-envoy-retriable-header-names: x",
        "x-envoy-upstream-rq-timeout-ms: 1",
        "x-envoy-upstream-rq-per-try-timeout-ms: 1",
        "x-envoy-upstream-rq-timeout-alt-response: 1",
        "x-envoy-hedge-on-per-try-timeout: true",
        "x-envoy-expected-rq-timeout-ms: 1",
        "x-envoy-internal: true",
    ];
    let mut client = rig.client().await;
    let fields = steering.join("\r\n");
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\nx-envoy-attempt-count: 7\r\nx-forwarded-proto: https\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 200);
    let request = upstream.requests().remove(0);
    for field in steering {
        let name = field.split(':').next().unwrap();
        assert_eq!(request.field(name), None, "{name}");
    }
    assert_eq!(request.fields("x-envoy-attempt-count"), ["1"]);
    assert_eq!(request.fields("x-forwarded-proto"), ["https"], "what an earlier proxy said stands");
}

#[tokio::test]
async fn a_target_in_any_form_goes_out_in_origin_form_and_routes_by_its_authority() {
    let upstream = Upstream::start(Script::ok("found")).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        let exact = |name: &str| fuseboard_snapshot::Domain::Exact(name.into());
        draft.domains = vec![exact("shop"), exact("shop:8080"), exact("[::1]:8080")];
    });
    for (request, target, host) in [
        ("GET http://shop/a?b HTTP/1.1\r\nHost: shop", "/a?b", "shop"),
        ("GET http://shop:8080 HTTP/1.1\r\nHost: shop:8080", "/", "shop:8080"),
        ("GET HTTP://SHOP/x HTTP/1.1\r\nHost: SHOP", "/x", "SHOP"),
        ("GET http://shop/x HTTP/1.0", "/x", "shop"),
        ("OPTIONS * HTTP/1.1\r\nHost: shop", "*", "shop"),
        ("GET / HTTP/1.1\r\nHost: Shop:8080", "/", "Shop:8080"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080", "/", "[::1]:8080"),
    ] {
        let before = upstream.requests().len();
        let mut client = rig.client().await;
        client.send(format!("{request}\r\n\r\n")).await;
        assert_eq!(client.response().await.text(), "found", "{request}");
        let seen = upstream.requests().remove(before);
        assert_eq!((seen.target.as_str(), seen.fields("host")), (target, vec![host]), "{request}");
    }
    for (request, status) in [
        ("GET http://shop/ HTTP/1.1\r\nHost: other", 400),
        ("GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1\r\nHost: shop\r\nHost: shop", 400),
        ("GET / HTTP/1.1\r\nHost: shop, other", 400),
        ("GET shop/ HTTP/1.1\r\nHost: shop", 400),
        ("GET / HTTP/1.1\r\nHost: other", 404),
    ] {
        let mut client = rig.client().await;
        client.send(format!("{request}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{request}");
    }
}

#[tokio::test]
async fn d52_a_target_and_a_host_that_name_different_servers_are_refused() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    for (host, status) in [("shop", 200), ("SHOP:80", 200), ("other", 400), ("shop:81", 400)] {
        let mut client = rig.client().await;
        client.send(format!("GET http://shop/ HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{host}");
    }
    assert_eq!(upstream.counts().requests, 2);
}

#[tokio::test]
async fn d53_a_question_about_the_whole_server_goes_to_the_server_that_host_names() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    let seen = upstream.requests().remove(0);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("OPTIONS", "*"));
}

#[tokio::test]
async fn d54_a_method_that_we_do_not_know_reaches_its_server_once() {
    let upstream = Upstream::start(Script::ok("known")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    let request = "QUERY / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nq?";
    client.send(request).await;
    assert_eq!(client.response().await.text(), "known");
    assert_eq!(upstream.requests().remove(0).method, "QUERY");
    upstream.follow(Script::always(Behaviour::close()));
    client.send(request).await;
    assert_eq!(client.response().await.status, 503, "nobody knows whether it may be repeated");
    assert_eq!(upstream.counts().requests, 2);
}

#[tokio::test]
async fn d56_a_body_whose_end_nobody_can_tell_is_a_bad_request() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    for (coding, status) in [("gzip", 400), ("chunked, gzip", 400), ("gzip, chunked", 501)] {
        let mut client = rig.client().await;
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"))
            .await;
        assert_eq!(client.response().await.status, status, "{coding}");
    }
    assert_eq!(upstream.counts().requests, 0);
}

#[tokio::test]
async fn d62_a_request_for_two_hosts_is_refused_be_they_the_same() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    for second in ["shop", "other"] {
        let mut client = rig.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: shop\r\nHost: {second}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 400, "{second}");
    }
    assert_eq!(upstream.counts().requests, 0);
}

#[tokio::test]
async fn each_side_keeps_its_connection_as_long_as_it_wants_to() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("kept")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for _ in 0..5 {
            assert_eq!(client.get("a", "/").await.field("connection"), None);
        }
        assert_eq!(upstream.counts().accepted, 1);

        // The upstream closes its side; the client's stays.
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("bye").closing())));
        assert_eq!(client.get("a", "/").await.field("connection"), None);
        upstream.follow(Script::ok("again"));
        assert_eq!(client.get("a", "/").await.text(), "again");
        assert_eq!(upstream.counts().accepted, 2);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_close_notify.get()), 1);

        // The client closes its side; the upstream's stays.
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(client.response().await.field("connection"), Some("close"));
        assert_eq!(client.closed().await, b"");
        assert_eq!(rig.client().await.get("a", "/").await.text(), "again");
        // Another worker may open its own.
        assert!(upstream.counts().accepted <= 3);
    }
}

#[tokio::test]
async fn d51_http_1_0_is_served_and_kept_alive_only_where_it_asks_to_be() {
    let upstream = Upstream::start(Script::ok("old")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let first = client.response().await;
    assert!(first.head.starts_with("HTTP/1.1 200 "), "a proxy sends its own version (RFC 9110 section 6.2)");
    assert_eq!((first.text(), first.field("connection")), ("old", Some("keep-alive")));
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.field("connection"), Some("close"));
    assert_eq!(client.closed().await, b"");
    assert!(upstream.requests().iter().all(|request| request.head.contains(" HTTP/1.1\r\n")));
}

#[tokio::test]
async fn an_http_1_0_upstream_is_closed_after_each_answer_unless_it_says_otherwise() {
    for workers in WORKERS {
        let bare = Behaviour::raw("HTTP/1.0 200 OK\r\n\r\nto the end").then_close();
        let upstream = Upstream::start(Script::always(bare)).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for connections in 1..=2 {
            let response = client.get("a", "/").await;
            assert_eq!(response.text(), "to the end");
            assert_eq!(response.field("transfer-encoding"), Some("chunked"), "the client's connection stays");
            assert_eq!(upstream.counts().accepted, connections);
        }
        let kept =
            Behaviour::raw("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 4\r\n\r\nkept");
        upstream.follow(Script::always(kept));
        for _ in 0..2 {
            assert_eq!(client.get("a", "/").await.text(), "kept");
        }
        assert_eq!(upstream.counts().accepted, 3);
    }
}

#[tokio::test]
async fn answers_that_have_no_body_end_with_their_head_whatever_they_announce() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for (method, answer) in [
            ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"),
            ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n"),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ] {
            upstream.follow(Script::always(Behaviour::raw(answer)));
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let response = client.response_to_head().await;
            assert_eq!(response.status, answer[9..12].parse::<u16>().unwrap(), "{answer}");
            assert_eq!(response.field("connection"), None, "{answer}");
        }
        upstream.follow(Script::ok("in step"));
        assert_eq!(client.get("a", "/").await.text(), "in step");
        assert_eq!(upstream.counts().accepted, 1, "all of them on one connection");
    }
}

#[tokio::test]
async fn an_answer_with_ambiguous_framing_is_a_bad_gateway() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        "HTTP/1.1 200 OK\r\nx: 1\r\n 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: unasked\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "\u{16}\u{3}\u{1} hello",
    ] {
        upstream.follow(Script::always(Behaviour::raw(answer)));
        let response = client.get("a", "/").await;
        assert_eq!((response.status, response.field("connection")), (502, None), "{answer:?}");
    }
    upstream.follow(Script::ok("fine"));
    assert_eq!(client.get("a", "/").await.text(), "fine", "the client's connection was never at fault");
    rig.until_idle().await;
}

#[tokio::test]
async fn a_connection_whose_answer_has_bytes_behind_it_is_not_used_again() {
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
    let upstream = Upstream::start(Script::always(Behaviour::raw(answer))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    for connections in 1..=3 {
        assert_eq!(client.get("a", "/").await.text(), "ok");
        assert_eq!(upstream.counts().accepted, connections);
    }
}

#[tokio::test]
async fn an_upstream_connection_carries_as_many_requests_as_the_rule_allows() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.connection.max_requests = std::num::NonZeroU32::new(2);
        });
        let mut client = rig.client().await;
        for _ in 0..6 {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
        let seen: Vec<_> = upstream.requests().iter().map(|request| request.connection).collect();
        assert_eq!(seen, [1, 1, 2, 2, 3, 3]);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_max_requests.get()), 3);
    }
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed_on_both_sides() {
    for workers in WORKERS {
        let short = Duration::from_millis(50);
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.connection.idle_timeout = Some(short);
            draft.listener.http.idle_timeout = short;
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.status, 200);
        assert_eq!(client.closed().await, b"", "a FIN, without a word");
        upstream.until(|counts| counts.open == 0).await;
        let counted = || rig.count(|block| block.stats.upstream_cx_idle_timeout.get()) == 1;
        assert!(settle(Duration::from_secs(5), counted).await);
    }
}
