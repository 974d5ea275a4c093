//! Tries after the first: when there is another, where it goes, what is said of it, and what is never tried again.

use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::retry::RetryOn;
use fuseboard_testkit::{Behaviour, Gate, RefusingPort, Reply, Script, Upstream};

use crate::rig::judge::{JUDGED, Stage, held};
use crate::rig::{Draft, Rig, WORKERS, limits};

/// Istio's default policy, and these conditions besides.
fn also_on(draft: &mut Draft, condition: RetryOn) {
    let policy = draft.retries();
    policy.retry_on = policy.retry_on.union(condition);
    policy.base_interval = Duration::from_millis(1);
}

fn unavailable() -> Behaviour {
    Behaviour::answer(&Reply::status(503).body("theirs"))
}

/// The `x-envoy-attempt-count` of everything that an upstream saw.
fn attempts(upstream: &Upstream) -> Vec<String> {
    let count =
        |request: &fuseboard_testkit::SeenRequest| request.field("x-envoy-attempt-count").map(str::to_owned);
    upstream.requests().iter().filter_map(count).collect()
}

#[tokio::test]
async fn istios_default_tries_a_refused_connect_three_times_each_time_elsewhere() {
    for workers in WORKERS {
        let ports = [RefusingPort::bind(), RefusingPort::bind(), RefusingPort::bind()];
        let stage = Stage::start(workers, &ports.each_ref().map(RefusingPort::address), |draft| {
            draft.retries();
        });
        let before = stage.numbers();
        let answer = stage.rig.client().await.get("a", JUDGED).await;
        let body = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: \
                    remote connection failure";
        assert_eq!((answer.status, answer.text()), (503, body));
        let after = stage.numbers();
        let grew = after.since(&before);
        for (name, by) in [
            ("upstream_rq_retry", 2),
            ("upstream_rq_retry_limit_exceeded", 1),
            ("upstream_rq_retry_backoff_exponential", 2),
            ("upstream_cx_connect_fail", 3),
            ("upstream_rq_503", 1),
        ] {
            assert_eq!(grew.get(name), Some(&by), "{name}");
        }
        for host in &stage.rig.cluster().hosts {
            let failures: u64 = host.stats.iter().map(|stats| stats.cx_connect_fail.get()).sum();
            assert_eq!(failures, 1, "each host once");
        }
        stage.rig.until_idle().await;
        let line = stage.judged_line();
        assert_eq!((line.code, line.flags.as_str()), (503, "URX,UF"));
        assert!(line.details.contains("remote_connection_failure|delayed_connect_error:_Connection_refused"));
    }
}

#[tokio::test]
async fn no_try_goes_where_an_earlier_one_failed_however_many_choose_at_once() {
    for workers in WORKERS {
        let ports = [RefusingPort::bind(), RefusingPort::bind()];
        let upstream = Upstream::start(Script::ok("third time lucky")).await;
        let rig =
            Rig::start(workers, &[ports[0].address(), ports[1].address(), upstream.address()], |draft| {
                draft.retries().base_interval = Duration::from_millis(2);
            });
        for _ in 0..3 {
            let mut clients = Vec::new();
            for _ in 0..16 {
                let mut client = rig.client().await;
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                clients.push(client);
            }
            for client in &mut clients {
                assert_eq!(client.response().await.text(), "third time lucky");
            }
        }
    }
}

#[tokio::test]
async fn a_reset_after_the_request_was_sent_is_not_tried_again_by_default_and_is_on_reset() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::close())).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.retries();
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        assert_eq!(attempts(&upstream), ["1"]);
        rig.apply(|draft| also_on(draft, RetryOn::RESET));
        assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        assert_eq!(attempts(&upstream), ["1", "1", "2", "3"]);
    }
}

#[tokio::test]
async fn answers_that_are_tried_again_are_counted_apart_and_the_last_one_is_passed_on() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(unavailable())).await;
        let stage =
            Stage::start(workers, &[upstream.address()], |draft| also_on(draft, RetryOn::GATEWAY_ERROR));
        let answer = stage.rig.client().await.get("a", JUDGED).await;
        assert_eq!((answer.status, answer.text()), (503, "theirs"));
        assert_eq!(attempts(&upstream), ["1", "2", "3"]);
        let numbers = stage.numbers();
        assert_eq!((numbers.get("retry.upstream_rq_503"), numbers.get("upstream_rq_503")), (2, 1));
        let line = stage.judged_line();
        assert_eq!((line.code, line.flags.as_str(), line.details.as_str()), (503, "URX", "via_upstream"));
    }
}

#[tokio::test]
async fn a_retry_that_succeeds_is_the_only_thing_that_the_client_sees() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::in_order([unavailable(), Behaviour::answer(&Reply::ok("second"))])).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| also_on(draft, RetryOn::FIVE_XX));
        let mut client = stage.rig.client().await;
        client.send(format!("POST {JUDGED} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")).await;
        assert_eq!(client.response().await.text(), "second");
        let bodies: Vec<_> = upstream.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"body", b"body"]);
        let numbers = stage.numbers();
        assert_eq!((numbers.get("upstream_rq_retry"), numbers.get("upstream_rq_retry_success")), (1, 1));
        assert_eq!(stage.judged_line().flags, "-");
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_sent_once_and_counted() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(unavailable())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| also_on(draft, RetryOn::FIVE_XX));
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
        client.send(vec![b'x'; 1_000_000]).await;
        assert_eq!(client.response().await.text(), "theirs");
        assert_eq!(attempts(&upstream), ["1"]);
        assert_eq!(rig.count(|block| block.own.retry_body_too_large.get()), 1);
    }
}

#[tokio::test]
async fn a_try_that_can_no_longer_be_made_again_gives_its_place_among_the_retries_back() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream = Upstream::start(Script::in_order([
            Behaviour::answer_early(&Reply::status(503)),
            Behaviour::body_after(&gate, &Reply::status(500).body("last")),
        ]))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| also_on(draft, RetryOn::FIVE_XX));
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").await;
        upstream.until(|counts| counts.requests == 2).await;
        // More than is kept, so that there is no third try.
        client.send(vec![b'x'; 300_000]).await;
        let mut answer = client.head().await.unwrap();
        let retries = rig.cluster().live.limits(Priority::Default).view().retries;
        assert_eq!(retries, 0, "the answer is on its way, and nobody retries");
        gate.open();
        client.body(&mut answer).await.unwrap();
        assert_eq!((answer.status, answer.text()), (500, "last"));
        for refused in ["upstream_rq_retry_overflow", "upstream_rq_retry_limit_exceeded"] {
            assert_eq!(rig.numbers().get(refused), 0, "{refused}");
        }
    }
}

#[tokio::test]
async fn the_bound_on_retries_refuses_the_retry_and_passes_the_upstreams_answer_on() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(unavailable())).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            also_on(draft, RetryOn::FIVE_XX);
            draft.cluster.thresholds.default.max_retries = 0;
        });
        let answer = stage.rig.client().await.get("a", JUDGED).await;
        assert_eq!((answer.status, answer.text()), (503, "theirs"));
        assert_eq!((answer.field("x-envoy-overloaded"), answer.field("x-fuseboard-refused")), (None, None));
        let numbers = stage.numbers();
        for name in ["upstream_rq_retry_overflow", "fuseboard.refused.limit.retries"] {
            assert_eq!(numbers.get(name), 1, "{name}");
        }
        assert_eq!((numbers.get("upstream_rq_retry"), attempts(&upstream).len()), (0, 1));
        let records = stage.rig.refusals();
        assert_eq!((records.len(), records[0].reason), (1, RefusalReason::LimitRetries));
        let line = stage.judged_line();
        assert_eq!((line.flags.as_str(), line.details.as_str()), ("UO", "via_upstream"));
        assert_eq!(line.reason, "limit.retries");
    }
}

#[tokio::test]
async fn what_our_own_limits_refuse_is_never_tried_again() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            also_on(draft, RetryOn::FIVE_XX.union(RetryOn::RESET));
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let mut busy = rig.client().await;
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let refused = rig.client().await.get("a", "/").await;
        assert!(refused.text().ends_with(" reset reason: overflow"), "not retried: {}", refused.text());
        assert_eq!(rig.count(|block| block.stats.upstream_rq_retry.get()), 0);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_pending_overflow.get()), 1);
        gate.open();
        busy.response().await;
    }
}

#[tokio::test]
async fn the_routes_time_includes_the_pauses_between_tries() {
    for workers in WORKERS {
        let port = RefusingPort::bind();
        let rig = Rig::start(workers, &[port.address()], |draft| {
            let policy = draft.retries();
            policy.base_interval = Duration::from_hours(1);
            policy.max_interval = Duration::from_hours(10);
            draft.route.timeout = Some(Duration::from_millis(50));
        });
        let answer = rig.client().await.get("a", "/").await;
        assert_eq!((answer.status, answer.text()), (504, "upstream request timeout"));
        assert_eq!(rig.count(|block| block.stats.upstream_rq_timeout.get()), 1);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_retry.get()), 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_between_two_tries_is_the_end_of_it() {
    for workers in WORKERS {
        let port = RefusingPort::bind();
        let rig = Rig::start(workers, &[port.address()], |draft| {
            let policy = draft.retries();
            policy.base_interval = Duration::from_hours(1);
            policy.max_interval = Duration::from_hours(10);
        });
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let retrying =
            || rig.cluster().live.limits(fuseboard_core::limit::Priority::Default).view().retries == 1;
        assert!(fuseboard_testkit::settle(fuseboard_testkit::DEADLINE, retrying).await);
        client.close();
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_another_where_the_policy_says_so() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::in_order([Behaviour::silent(), Behaviour::answer(&Reply::ok("second"))]))
                .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            also_on(draft, RetryOn::GATEWAY_ERROR);
            draft.retries().per_try_timeout = Some(Duration::from_millis(50));
        });
        assert_eq!(rig.client().await.get("a", "/").await.text(), "second");
        assert_eq!(attempts(&upstream), ["1", "2"]);
        let told = |request: &fuseboard_testkit::SeenRequest| {
            request.field("x-envoy-expected-rq-timeout-ms").map(str::to_owned)
        };
        assert_eq!(upstream.requests().iter().filter_map(told).collect::<Vec<_>>(), ["50", "50"]);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_rate_limited_answer_is_passed_on_at_once() {
    let limited = Reply::status(503).field("x-envoy-ratelimited", "true").body("slow down");
    let upstream = Upstream::start(Script::always(Behaviour::answer(&limited))).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| also_on(draft, RetryOn::FIVE_XX));
    assert_eq!(rig.client().await.get("a", "/").await.text(), "slow down");
    assert_eq!(attempts(&upstream), ["1"]);
}
