//! What goes wrong upstream, at one and four workers: retries, time-outs, ejections, replays, and what each leaves behind.

use std::time::Duration;

use crate::rig::{Rig, WORKERS, limits, touchy};
use fuseboard_proxy::{AccessLog, AccessLogFormat, LogSink, ProxyOptions};
use fuseboard_testkit::{
    Behaviour, Gate, OnAccept, RefusingPort, Reply, Script, UnansweringPort, Upstream, settle,
};

const RESET: &str = "upstream connect error or disconnect/reset before headers. ";

#[tokio::test]
async fn a_refused_connect_is_tried_again_twice_and_then_told() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let rig = Rig::start(workers, &[refusing.address()], |d| {
            d.retries();
        });
        let response = rig.client().await.get("a", "/").await;
        assert_eq!(response.status, 503);
        let body = format!("{RESET}retried and the latest reset reason: remote connection failure");
        assert_eq!(response.text(), body);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_retry.get()), 2);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_retry_limit_exceeded.get()), 1);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_connect_fail.get()), 3);
        // What was counted when it began is counted when it ends.
        assert_eq!(rig.count(|block| block.stats.upstream_cx_total.get()), 3);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_destroy_remote.get()), 3);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_destroy.get()), 3);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_retry_goes_to_a_host_that_was_not_tried() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let upstream = Upstream::start(Script::ok("ok")).await;
        let rig = Rig::start(workers, &[refusing.address(), upstream.address()], |d| {
            d.retries();
        });
        for _ in 0..8 {
            assert_eq!(rig.client().await.get("a", "/").await.status, 200);
        }
        assert!(rig.count(|block| block.stats.upstream_rq_retry_success.get()) >= 1);
        let second =
            upstream.requests().iter().filter(|r| r.field("x-envoy-attempt-count") == Some("2")).count();
        assert!(second >= 1);
    }
}

#[tokio::test]
async fn a_503_of_the_upstream_is_not_tried_again_by_default_and_is_when_asked() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::in_order([
            Behaviour::answer(&Reply::status(503).body("theirs")),
            Behaviour::answer(&Reply::status(503).body("theirs")),
            Behaviour::answer(&Reply::ok("third")),
        ]))
        .await;
        let mut rig = Rig::start(workers, &[upstream.address()], |d| {
            d.retries();
        });
        let response = rig.client().await.get("a", "/").await;
        assert_eq!((response.status, response.text()), (503, "theirs"));
        assert_eq!(upstream.counts().requests, 1);
        rig.apply(|d| d.retries().retriable_status_codes.push(503));
        assert_eq!(rig.client().await.get("a", "/").await.text(), "third");
        assert_eq!(upstream.counts().requests, 3);
        rig.apply(|d| d.cluster.thresholds.default.max_retries = 0);
        upstream.follow(Script::always(Behaviour::answer(&Reply::status(503).body("again"))));
        let response = rig.client().await.get("a", "/").await;
        assert_eq!((response.status, response.text()), (503, "again"));
        assert_eq!(rig.count(|block| block.stats.upstream_rq_retry_overflow.get()), 1);
        assert_eq!(rig.refused(fuseboard_core::refusal::RefusalReason::LimitRetries), 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_route_that_takes_too_long_answers_504_and_frees_its_slot() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.route.timeout = Some(Duration::from_millis(50));
        });
        let mut client = rig.client().await;
        let response = client.get("a", "/").await;
        assert_eq!((response.status, response.text()), (504, "upstream request timeout"));
        assert_eq!(rig.count(|block| block.stats.upstream_rq_timeout.get()), 1);
        rig.until_idle().await;
        upstream.follow(Script::ok("ok"));
        assert_eq!(client.get("a", "/").await.status, 200, "the connection is usable");
    }
}

#[tokio::test]
async fn a_connect_that_nobody_answers_times_out() {
    let silent = UnansweringPort::bind().await;
    let rig = Rig::start(1, &[silent.address()], |d| d.cluster.connect_timeout = Duration::from_millis(50));
    let response = rig.client().await.get("a", "/").await;
    assert_eq!(
        (response.status, response.text()),
        (503, &*format!("{RESET}reset reason: connection timeout"))
    );
    assert_eq!(rig.count(|block| block.stats.upstream_cx_connect_timeout.get()), 1);
}

#[tokio::test]
async fn garbage_and_early_closes_have_their_own_answers() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::raw("SSH-2.0-OpenSSH\r\n\r\n"))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        let response = client.get("a", "/").await;
        assert_eq!(
            (response.status, response.text()),
            (502, &*format!("{RESET}reset reason: protocol error"))
        );
        upstream.follow(Script::always(Behaviour::close()));
        let response = client.get("a", "/").await;
        let text = format!("{RESET}reset reason: connection termination");
        assert_eq!((response.status, response.text()), (503, &*text));
        upstream.follow(Script::always(Behaviour::close_in_body(&Reply::ok("0123456789"), 4)));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.try_response().await.is_err(), "a body that was cut short does not look whole");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_reused_connection_that_was_closed_is_replaced_without_an_error() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::ok("ok")).then_close())).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for n in 0..50 {
            let method = if n % 2 == 0 { "GET" } else { "POST" };
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).await;
            assert_eq!(client.response().await.status, 200);
        }
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_failing_host_is_ejected_at_once_on_all_workers_and_returns() {
    for workers in WORKERS {
        let bad = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
        let good = Upstream::start(Script::ok("good")).await;
        let rig = Rig::start(workers, &[bad.address(), good.address()], |d| {
            d.cluster.outlier = Some(fuseboard_core::outlier::OutlierPolicy {
                base_ejection_time: Duration::from_millis(100),
                interval: Duration::from_millis(50),
                ..touchy()
            });
        });
        let mut failures = 0;
        for _ in 0..20 {
            failures += u32::from(rig.client().await.get("a", "/").await.status == 500);
        }
        assert_eq!(failures, 1, "the first failure ejects");
        assert_eq!(rig.count(|block| block.outlier.ejections_enforced_total.get()), 1);
        bad.follow(Script::ok("well again"));
        let mut returned = false;
        for _ in 0..500 {
            returned |= rig.client().await.get("a", "/").await.text() == "well again";
            if returned {
                break;
            }
            tokio::task::yield_now().await;
        }
        let back = || rig.count(|block| block.own.unejections_total.get()) == 1;
        assert!(returned || settle(Duration::from_secs(5), back).await);
    }
}

#[tokio::test]
async fn an_ejection_survives_a_new_snapshot_and_closes_idle_connections() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("ok")).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |d| d.cluster.outlier = Some(touchy()));
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = rig.client().await;
            assert_eq!(client.get("a", "/").await.status, 200);
            clients.push(client);
        }
        upstream.follow(Script::always(Behaviour::answer(&Reply::status(500))));
        assert_eq!(clients[0].get("a", "/").await.status, 500);
        upstream.until(|counts| counts.open == 0).await;
        let refused = clients[1].get("a", "/").await;
        assert_eq!((refused.status, refused.text()), (503, "no healthy upstream"));
        rig.apply(|d| d.cluster.connect_timeout = Duration::from_secs(3));
        assert_eq!(clients[2].get("a", "/").await.field("x-fuseboard-refused"), Some("no_healthy"));
        let requests = upstream.counts().requests;
        assert_eq!(requests, 4, "our own refusals are no failures of the host");
    }
}

#[tokio::test]
async fn a_host_that_accepts_and_closes_does_not_count_our_clients_leaving() {
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("")).after(&gate))).await;
    let rig = Rig::start(1, &[upstream.address()], |d| d.cluster.outlier = Some(touchy()));
    for n in 1..=5 {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.requests == n).await;
        client.close();
        rig.until_idle().await;
    }
    assert_eq!(rig.count(|block| block.outlier.ejections_detected_consecutive_5xx.get()), 0);
    upstream.on_accept(OnAccept::Close);
    gate.open();
    assert_eq!(rig.client().await.get("a", "/").await.status, 503);
    assert_eq!(rig.count(|block| block.outlier.ejections_detected_consecutive_5xx.get()), 1);
}

#[tokio::test]
async fn the_access_log_tells_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let upstream = Upstream::start(Script::ok("hello")).await;
    let log = AccessLog { format: AccessLogFormat::Text, sink: LogSink::File(path.clone()) };
    let options = ProxyOptions { concurrency: 1, access_log: Some(log), ..ProxyOptions::default() };
    let mut rig = Rig::start_with(options, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.get("shop", "/one").await;
    rig.apply(|d| d.cluster.thresholds.default = limits(0, 0, 0));
    client.get("shop", "/two").await;
    drop(client);
    tokio::task::spawn_blocking(move || {
        rig.proxy.drain();
        rig.proxy.join();
    })
    .await
    .unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("\"GET /one HTTP/1.1\" 200 - via_upstream - \"-\" 0 5 "), "{text}");
    assert!(lines[0].ends_with(" default -"), "{text}");
    let overflow = "\"GET /two HTTP/1.1\" 503 UO upstream_reset_before_response_started{overflow}";
    assert!(lines[1].contains(overflow) && lines[1].contains(" default limit."), "{text}");
}

#[tokio::test]
async fn what_a_host_says_unasked_ends_its_connection_and_is_its_error_unless_it_has_waited_long_enough() {
    for workers in WORKERS {
        for (word, errors) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", 1),
            ("!", 1),
            ("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n", 0),
        ] {
            let gate = Gate::new();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            let upstream = Upstream::start(Script::in_order([
                Behaviour::raw_then(answer, &gate, word),
                Behaviour::answer(&Reply::ok("good")),
            ]))
            .await;
            let rig = Rig::start(workers, &[upstream.address()], |_| {});
            let mut client = rig.client().await;
            assert_eq!(client.get("a", "/").await.text(), "ok");
            gate.open();
            rig.until_closed().await;
            let counted = rig.count(|block| block.stats.upstream_cx_protocol_error.get());
            let ours = rig.count(|block| block.stats.upstream_cx_destroy_local.get());
            assert_eq!((counted, ours), (errors, 1), "{word}");
            assert_eq!(client.get("a", "/").await.text(), "good", "{word}");
        }
    }
}
