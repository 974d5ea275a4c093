//! Overrides by hand of single endpoints in front of real upstreams: what reaches each server, whatever the rules say of breakers.

use std::time::{Duration, Instant};

use fuseboard_admin::orders::Ordered;
use fuseboard_admin::status::HistoryEvent;
use fuseboard_admin::{AdminClient, Query};
use fuseboard_core::breaker::State;
use fuseboard_snapshot::{BreakerScope, ClusterBreaker};
use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream, settle};
use serde_json::Value;

use crate::breaker::{failing, trips_at_once};
use crate::rig::{Rig, limits, touchy};

const WORKERS: [usize; 2] = [1, 4];
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives an order for one endpoint; the answer.
fn order(rig: &Rig, action: &str, upstream: &Upstream, more: &str) -> Ordered {
    let address = upstream.address();
    let escaped = Query::escape(&address.to_string());
    let ordered = order_all(rig, action, &format!("endpoint={escaped}&{more}"));
    assert_eq!(ordered.endpoint, Some(address.to_string()));
    ordered
}

/// Gives an order; the answer.
fn order_all(rig: &Rig, action: &str, more: &str) -> Ordered {
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    let answer = admin.post(&format!("/fuseboard/v1/breakers/{action}?cluster=rig&by=me&{more}")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// A breaker for each endpoint, which opens with the first failure.
fn each_at_once() -> ClusterBreaker {
    ClusterBreaker { scope: BreakerScope::Endpoint, ..trips_at_once(Duration::from_secs(600)) }
}

async fn two() -> [Upstream; 2] {
    [Upstream::start(Script::ok("one")).await, Upstream::start(Script::ok("two")).await]
}

/// The answers to so many calls, each over a connection of its own.
async fn answers(rig: &Rig, calls: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..calls {
        texts.push(rig.client().await.get("a", "/").await.text().to_owned());
    }
    texts.sort();
    texts.dedup();
    texts
}

fn states(rig: &Rig) -> Vec<State> {
    rig.cluster().host_breakers.iter().map(|breaker| breaker.state()).collect()
}

#[tokio::test]
async fn p43_an_endpoint_opened_by_hand_gets_nothing_and_comes_back_by_itself_with_or_without_rules() {
    for workers in WORKERS {
        let [one, two] = two().await;
        let mut rig = Rig::start(workers, &[one.address(), two.address()], |_| {});
        assert_eq!(answers(&rig, 20 * workers).await, ["one", "two"]);
        rig.until_idle().await;
        let opened = order(&rig, "open", &one, "for=1h&reason=odd").breaker.unwrap();
        assert_eq!((&*opened.state, &*opened.mode), ("open", "disabled"));
        one.until(|counts| counts.open == 0).await;
        let sent = one.counts().requests;
        assert_eq!(answers(&rig, 20 * workers).await, ["two"]);
        let numbers = rig.numbers();
        for (name, value) in
            [("forced_open", 1), ("overridden", 1), ("endpoints_open", 1), ("state", 0), ("refused", 0)]
        {
            assert_eq!(numbers.get(&format!("fuseboard.breaker.{name}")), value, "{name}");
        }
        assert_eq!(numbers.get("membership_healthy"), 1);

        // Neither a breaker of the whole, nor other numbers, nor another endpoint end it.
        rig.apply(|draft| draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60))));
        assert_eq!(answers(&rig, 10).await, ["two"]);
        rig.apply(|draft| draft.cluster.breaker = Some(each_at_once()));
        assert_eq!(answers(&rig, 10).await, ["two"]);
        rig.apply(|draft| draft.cluster.breaker = None);
        let three = Upstream::start(Script::ok("three")).await;
        rig.apply(|draft| draft.hosts(&[one.address(), three.address()]));
        assert_eq!(answers(&rig, 10).await, ["three"]);

        // With the last one gone, the refusal says who did that.
        order(&rig, "open", &three, "for=1h&reason=too");
        let refused = rig.client().await.get("a", "/").await;
        assert_eq!((refused.status, refused.field("x-fuseboard-refused")), (503, Some("breaker.open")));
        let trip = rig.refusals().pop().unwrap().trip.clone().unwrap();
        assert!(trip.contains(": opened by hand: "), "{trip}");
        assert_eq!(one.counts().requests, sent);

        let began = Instant::now();
        order(&rig, "open", &three, "for=200ms&reason=too");
        order(&rig, "open", &one, "for=300ms&reason=odd");
        assert!(settle(PATIENCE, || rig.cluster().host_breakers.is_empty()).await, "they go with the last");
        assert!(began.elapsed() >= Duration::from_millis(300), "not before its time");
        assert_eq!(answers(&rig, 40).await, ["one", "three"]);
    }
}

#[tokio::test]
async fn p43_held_closed_an_endpoint_is_not_opened_by_its_failures_and_a_reset_is_for_one_or_for_all() {
    for workers in WORKERS {
        let hosts = [
            Upstream::start(Script::always(failing())).await,
            Upstream::start(Script::always(failing())).await,
        ];
        let rig = Rig::start(workers, &[hosts[0].address(), hosts[1].address()], |draft| {
            draft.cluster.breaker = Some(each_at_once());
        });
        assert_eq!(&*order(&rig, "close", &hosts[0], "for=1h&reason=ours").breaker.unwrap().state, "closed");
        assert_eq!(answers(&rig, 30).await, ["broken"]);
        assert_eq!((states(&rig), hosts[1].counts().requests), (vec![State::Closed, State::Open], 1));
        assert_eq!(rig.numbers().get("fuseboard.breaker.forced_closed"), 1);

        // A reset of one, then of all.
        let reset = order(&rig, "reset", &hosts[0], "");
        assert!(reset.changed && !reset.returned && reset.breaker.unwrap().r#override.is_none());
        assert_eq!(states(&rig), [State::Closed, State::Open]);
        assert_eq!(answers(&rig, 1).await, ["broken"]);
        assert_eq!(states(&rig), [State::Open, State::Open]);
        let reset = order_all(&rig, "reset", "reason=mended");
        assert_eq!((reset.changed, reset.endpoint_breakers), (true, 2));
        assert_eq!(states(&rig), [State::Closed, State::Closed]);
        assert_eq!(answers(&rig, 2).await, ["broken"]);
    }
}

#[tokio::test]
async fn p43_a_reset_ends_an_ejection_now_and_tells_of_it() {
    for workers in WORKERS {
        let [one, two] = two().await;
        one.follow(Script::always(failing()));
        let rig = Rig::start(workers, &[one.address(), two.address()], |draft| {
            let mut policy = touchy();
            policy.max_ejection_percent = 50;
            policy.base_ejection_time = Duration::from_secs(3_600);
            policy.interval = Duration::from_secs(3_600);
            draft.cluster.outlier = Some(policy);
        });
        let ejected = || rig.numbers().get("outlier_detection.ejections_active");
        let deadline = Instant::now() + PATIENCE;
        while ejected() == 0 {
            answers(&rig, 4).await;
            assert!(Instant::now() < deadline, "it was never ejected");
        }
        one.follow(Script::ok("one"));
        assert_eq!(answers(&rig, 10).await, ["two"]);
        assert!(!order(&rig, "reset", &two, "").changed, "that one is not ejected");
        assert!(!order_all(&rig, "reset", "").changed, "and the service has no breaker");
        let reset = order(&rig, "reset", &one, "reason=mended");
        assert!(reset.changed && reset.returned && reset.breaker.is_none());
        assert_eq!(ejected(), 0);
        assert_eq!(answers(&rig, 40).await, ["one", "two"]);
        let history = rig.cluster().live.history();
        assert_eq!(history.last().unwrap().event, HistoryEvent::Returned { address: one.address() });
    }
}

#[tokio::test]
async fn p43_who_waits_while_the_last_endpoint_is_opened_is_told_at_once() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 10, 100);
        });
        let (mut busy, mut waiting) = (rig.client().await, rig.client().await);
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until_pending(1).await;
        order(&rig, "open", &upstream, "for=1h&reason=x");
        let refused = waiting.response().await;
        assert_eq!(refused.field("x-fuseboard-refused"), Some("breaker.open"), "{}", refused.head);
        gate.open();
        assert_eq!(busy.response().await.text(), "well", "what runs goes on");
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test]
async fn an_order_for_an_endpoint_that_is_not_there_names_those_that_are() {
    let [one, two] = two().await;
    let rig = Rig::start(1, &[one.address(), two.address()], |_| {});
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    for action in ["open", "close", "reset"] {
        let target =
            format!("/fuseboard/v1/breakers/{action}?cluster=rig&endpoint=127.0.0.9:1&for=1m&reason=x");
        let answer = admin.post(&target).unwrap();
        assert_eq!(answer.status, 404);
        let there = format!("has no endpoint 127.0.0.9:1; there is {}, {}\n", one.address(), two.address());
        assert!(answer.text().ends_with(&there), "{}", answer.text());
    }
    assert!(rig.cluster().host_breakers.is_empty());
}

#[tokio::test]
async fn p43_events_of_an_order_name_the_endpoint() {
    let [one, two] = two().await;
    let rig = Rig::start(1, &[one.address(), two.address()], |_| {});
    let mut stream = crate::events::follow(&rig);
    order(&rig, "open", &one, "for=1h&reason=x");
    order(&rig, "reset", &one, "");
    let told: Vec<Value> = (0..4).map(|_| crate::events::next(&mut stream)).collect();
    let kinds: Vec<_> = told.iter().map(|event| event["what"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["breaker", "override_set", "override_ended", "breaker"]);
    for event in &told {
        assert_eq!(event["host"], one.address().to_string(), "{event}");
    }
    assert_eq!((&told[2]["how"], &told[2]["by"]), (&"reset".into(), &"me".into()));
}
