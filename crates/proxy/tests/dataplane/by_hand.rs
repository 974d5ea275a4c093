//! Overrides by hand in front of a real upstream: given over the admin server, seen by the next call, and over when they said.

use std::time::{Duration, Instant};

use fuseboard_admin::orders::Ordered;
use fuseboard_admin::{AdminClient, Query};
use fuseboard_core::breaker::{BreakerPolicy, State};
use fuseboard_testkit::{Behaviour, Response, Script, Upstream, settle};

use crate::breaker::{failing, trips_at_once, until_state};
use crate::rig::Rig;

const WORKERS: [usize; 3] = [1, 2, 8];
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives an order, and says how the breaker stands then: its state, `None` for none.
fn order(rig: &Rig, action: &str, parameters: &str) -> Option<String> {
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    let target = format!("/fuseboard/v1/breakers/{action}?cluster=rig&by=me&{parameters}");
    let answer = admin.post(&target).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ordered: Ordered = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((ordered.version, &*ordered.action, ordered.changed), (1, action, true));
    ordered.breaker.map(|breaker| breaker.state)
}

fn forced(time: &str) -> String {
    format!("for={time}&reason={}", Query::escape("INC-42: on fire"))
}

fn is_refused(response: &Response) -> bool {
    (response.status, response.field("x-fuseboard-refused")) == (503, Some("breaker.open"))
}

/// Whether a breaker runs for the cluster at all.
fn has_breaker(rig: &Rig) -> bool {
    rig.cluster().breaker.is_some()
}

#[tokio::test]
async fn p43_a_service_without_a_breaker_is_opened_by_hand_and_comes_back_by_itself() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("well")).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut kept = Vec::new();
        for _ in 0..2 * workers {
            let mut client = rig.client().await;
            assert_eq!(client.get("a", "/").await.status, 200);
            kept.push(client);
        }
        assert_eq!(order(&rig, "open", &forced("1h")).as_deref(), Some("open"));
        let sent = upstream.counts().requests;
        for client in &mut kept {
            let refused = client.get("a", "/").await;
            assert!(is_refused(&refused), "{}", refused.head);
            let left: u64 = refused.field("retry-after").unwrap().parse().unwrap();
            assert!((3590..=3600).contains(&left), "{left}");
        }
        let record = rig.refusals().pop().unwrap();
        assert_eq!(record.trip.as_deref(), Some("opened by hand: INC-42: on fire"));
        assert!(record.rule.is_none() && record.setting.is_none());
        let numbers = rig.numbers();
        assert_eq!(numbers.get("fuseboard.breaker.forced_open"), 1);
        assert_eq!(numbers.get("fuseboard.breaker.forced_closed"), 0);
        assert_eq!(numbers.get("fuseboard.breaker.refused"), 2 * workers as u64);

        // Neither other rules nor other endpoints end it.
        let other = Upstream::start(Script::ok("other")).await;
        rig.apply(|draft| draft.cluster.endpoints[0].address = other.address());
        rig.apply(|draft| draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60))));
        rig.apply(|draft| draft.cluster.breaker = None);
        assert!(is_refused(&kept[0].get("a", "/").await));
        assert_eq!((upstream.counts().requests, other.counts().requests), (sent, 0));

        // A second order takes the place of the first, and runs out without anybody's doing.
        let began = Instant::now();
        assert_eq!(order(&rig, "open", &forced("300ms")).as_deref(), Some("open"));
        assert!(settle(PATIENCE, || !has_breaker(&rig)).await, "the breaker goes with its override");
        assert!(began.elapsed() >= Duration::from_millis(300), "not before its time");
        for client in &mut kept {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
    }
}

#[tokio::test]
async fn p43_held_closed_by_hand_nothing_opens_it_and_afterwards_it_does_its_work_again() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(600)));
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        assert!(is_refused(&rig.client().await.get("a", "/").await), "it tripped");
        assert_eq!(order(&rig, "close", &forced("1h")).as_deref(), Some("closed"));
        for _ in 0..10 {
            assert_eq!(rig.client().await.get("a", "/").await.text(), "broken");
        }
        assert_eq!(rig.numbers().get("fuseboard.breaker.forced_closed"), 1);
        assert_eq!(order(&rig, "close", &forced("200ms")).as_deref(), Some("closed"));
        let ended = || rig.numbers().get("fuseboard.breaker.overridden") == 0;
        assert!(settle(PATIENCE, ended).await);
        assert_eq!(rig.client().await.get("a", "/").await.status, 500, "nothing is remembered");
        assert!(is_refused(&rig.client().await.get("a", "/").await), "and the first failure opens it");
        assert_eq!(rig.numbers().get("fuseboard.breaker.opened"), 2);
    }
}

#[tokio::test]
async fn p43_a_reset_closes_what_tripped_and_ends_what_was_ordered() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(600)));
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        until_state(&rig, State::Open).await;
        upstream.follow(Script::ok("well"));
        assert_eq!(order(&rig, "reset", "").as_deref(), Some("closed"));
        assert_eq!(rig.client().await.get("a", "/").await.text(), "well");
        order(&rig, "open", &forced("1h"));
        assert!(is_refused(&rig.client().await.get("a", "/").await));
        order(&rig, "reset", "reason=over");
        assert_eq!(rig.client().await.get("a", "/").await.text(), "well");
        let numbers = rig.numbers();
        assert_eq!((numbers.get("fuseboard.breaker.overridden"), has_breaker(&rig)), (0, true));
    }
}

#[tokio::test]
async fn p43_an_open_time_by_hand_ends_in_probes_where_there_is_a_rule() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let mut breaker = trips_at_once(Duration::from_secs(600));
            breaker.policy = BreakerPolicy::default();
            draft.cluster.breaker = Some(breaker);
        });
        order(&rig, "open", &forced("100ms"));
        until_state(&rig, State::HalfOpen).await;
        let mut probe = rig.client().await;
        probe.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let busy = rig.client().await.get("a", "/").await;
        assert_eq!(busy.field("x-fuseboard-refused"), Some("breaker.probe_busy"));
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test]
async fn an_order_that_is_wrong_changes_nothing() {
    let upstream = Upstream::start(Script::ok("well")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    for (target, status, said) in [
        ("open?cluster=nosuch&for=1m&reason=x", 404, "there is no cluster nosuch"),
        ("open?cluster=rig&for=1m", 400, "reason: is missing"),
        ("close?cluster=rig&reason=x", 400, "for: is missing"),
        ("open?cluster=rig&reason=x&for=9days", 400, "at most 7days"),
    ] {
        let answer = admin.post(&format!("/fuseboard/v1/breakers/{target}")).unwrap();
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    let nothing = admin.post("/fuseboard/v1/breakers/reset?cluster=rig").unwrap();
    let nothing: Ordered = serde_json::from_slice(&nothing.body).unwrap();
    assert!(!nothing.changed && nothing.breaker.is_none());
    assert!(!has_breaker(&rig));
    assert_eq!(rig.client().await.get("a", "/").await.status, 200);
}
