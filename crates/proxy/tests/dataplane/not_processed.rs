//! The contract of refusals (O15): what was refused before a byte was sent says so, and a caller that believes it sends the request to
//! another host, whatever the request does, and counts nothing against the one that refused.

use std::time::Duration;

use fuseboard_admin::AdminClient;
use fuseboard_core::retry::RetryPolicy;
use fuseboard_testkit::{Behaviour, Gate, Reply, Response, Script, Upstream};

use crate::breaker::{failing, trips_at_once};
use crate::rig::{Rig, WORKERS, limits, touchy};

const NOT_PROCESSED: &str = "x-fuseboard-not-processed";
const POST: &str = "POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

fn open_by_hand(rig: &Rig) {
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    let opened = admin.post("/fuseboard/v1/breakers/open?cluster=rig&for=1h&reason=drill").unwrap();
    assert_eq!(opened.status, 200);
}

async fn post(rig: &Rig) -> Response {
    let mut client = rig.client().await;
    client.send(POST).await;
    client.response().await
}

/// Answers as a Fuseboard does that refuses.
fn refusing() -> Behaviour {
    Behaviour::answer(
        &Reply::status(503).field(NOT_PROCESSED, "1").field("x-fuseboard-refused", "breaker.open"),
    )
}

#[tokio::test]
async fn p52_what_is_refused_before_a_byte_is_sent_says_so_unless_the_listener_is_silent() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("well")).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |_| {});
        let well = post(&rig).await;
        assert_eq!((well.status, well.field(NOT_PROCESSED)), (200, None));
        open_by_hand(&rig);
        let refused = post(&rig).await;
        assert_eq!((refused.status, refused.field(NOT_PROCESSED)), (503, Some("1")));
        assert_eq!(refused.field("x-fuseboard-refused"), Some("breaker.open"));
        rig.apply(|draft| draft.listener.http.refusal_headers = false);
        let silent = post(&rig).await;
        assert_eq!(silent.status, 503);
        assert!(!silent.head.contains("x-fuseboard"), "{}", silent.head);
        assert!(silent.field("retry-after").is_some(), "that is for everybody");
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test]
async fn p52_what_may_have_been_processed_never_says_that_it_was_not() {
    for workers in WORKERS {
        let gate = Gate::new();
        let first = Behaviour::answer(&Reply::status(503)).after(&gate);
        let upstream = Upstream::start(Script::in_order([first, Behaviour::silent()])).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, 100);
            draft.cluster.queue_timeout = Some(Duration::from_secs(1));
            let mut policy = RetryPolicy::istio_default();
            policy.retriable_status_codes = vec![503];
            draft.route.retry = Some(policy.into());
        });
        let mut tried = rig.client().await;
        tried.send(POST).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut next = rig.client().await;
        next.send(POST).await;
        rig.until_pending(1).await;
        gate.open();
        // The second request has the only slot now, so the retry of the first one waits for it in vain.
        let refused = tried.response().await;
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_timeout"), "{}", refused.head);
        assert_eq!(refused.field(NOT_PROCESSED), None);
    }
}

#[tokio::test]
async fn p52_a_peer_that_refuses_is_believed_where_a_policy_says_so_and_not_counted_as_broken() {
    for workers in WORKERS {
        let refuses = Upstream::start(Script::always(refusing())).await;
        let works = Upstream::start(Script::ok("paid")).await;
        let rig = Rig::start(workers, &[refuses.address(), works.address()], |draft| {
            draft.cluster.trust_refusals = true;
            draft.cluster.outlier = Some(touchy());
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
            draft.route.retry = Some(RetryPolicy::istio_default().into());
        });
        for _ in 0..40 {
            let paid = post(&rig).await;
            assert_eq!((paid.status, paid.text()), (200, "paid"));
        }
        assert_eq!(works.counts().requests, 40, "each once");
        let numbers = rig.numbers();
        let tries = refuses.counts().requests as u64;
        assert!(tries > 0);
        assert_eq!(numbers.get("fuseboard.upstream_rq_refused_by_peer"), tries);
        assert_eq!(numbers.get("upstream_rq_retry"), tries);
        assert_eq!(numbers.get("outlier_detection.ejections_detected_consecutive_5xx"), 0);
        assert_eq!(numbers.get("fuseboard.breaker.opened"), 0);
    }
}

#[tokio::test]
async fn p52_a_believed_refusal_that_nobody_retries_blames_nobody() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::in_order([refusing(), Behaviour::answer(&Reply::ok("well"))])).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.trust_refusals = true;
            draft.cluster.outlier = Some(touchy());
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
            draft.route.retry = None;
        });
        assert_eq!(post(&rig).await.status, 503);
        assert_eq!(post(&rig).await.text(), "well");
        assert_eq!(rig.numbers().get("fuseboard.upstream_rq_refused_by_peer"), 1);
    }
}

#[tokio::test]
async fn p52_nobody_is_believed_unasked_nor_with_another_status() {
    for workers in WORKERS {
        let forger = Upstream::start(Script::always(refusing())).await;
        let mut rig = Rig::start(workers, &[forger.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
            draft.route.retry = Some(RetryPolicy::istio_default().into());
        });
        let passed = post(&rig).await;
        assert_eq!(passed.status, 503);
        assert!(!passed.head.contains("x-fuseboard"), "nobody forges a refusal of ours: {}", passed.head);
        assert_eq!(forger.counts().requests, 1, "and it is not sent again");
        assert_eq!(rig.numbers().get("fuseboard.breaker.opened"), 1, "it failed");
        forger.follow(Script::always(failing()));
        rig.apply(|draft| {
            draft.cluster.trust_refusals = true;
            draft.cluster.breaker = None;
        });
        let broken = Behaviour::answer(&Reply::status(500).field(NOT_PROCESSED, "1"));
        forger.follow(Script::always(broken));
        assert_eq!(post(&rig).await.status, 500);
        assert_eq!(forger.counts().requests, 2);
    }
}

#[tokio::test]
async fn p52_a_refusal_of_a_real_peer_goes_to_the_other_one() {
    for workers in WORKERS {
        let (left, right) = (Upstream::start(Script::ok("l")).await, Upstream::start(Script::ok("r")).await);
        let peers =
            [Rig::start(workers, &[left.address()], |_| {}), Rig::start(workers, &[right.address()], |_| {})];
        let rig = Rig::start(workers, &[peers[0].address, peers[1].address], |draft| {
            draft.cluster.trust_refusals = true;
            draft.cluster.outlier = Some(touchy());
            draft.route.retry = Some(RetryPolicy::istio_default().into());
        });
        open_by_hand(&peers[0]);
        for _ in 0..20 {
            assert_eq!(post(&rig).await.text(), "r");
        }
        assert_eq!((left.counts().requests, right.counts().requests), (0, 20));
        assert!(rig.numbers().get("fuseboard.upstream_rq_refused_by_peer") > 0);
        assert_eq!(rig.numbers().get("outlier_detection.ejections_active"), 0);
    }
}
