//! The three-state breaker in front of a real upstream: what reaches the server in each state, seen by the server itself.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use fuseboard_core::breaker::{BreakerPolicy, Mode, Percent, SlowPolicy, State, TripPolicy, WindowPolicy};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::retry::RetryOn;
use fuseboard_snapshot::{BreakerScope, ClusterBreaker, Provenance};
use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Response, Script, Upstream, settle};

use crate::rig::{Rig, limits};

const WORKERS: [usize; 3] = [1, 2, 8];
const PATIENCE: Duration = Duration::from_secs(5);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// An answer that counts as a failure.
pub(crate) fn failing() -> Behaviour {
    Behaviour::answer(&Reply::status(500).body("broken"))
}

fn breaker(policy: BreakerPolicy) -> ClusterBreaker {
    let scope = BreakerScope::Destination;
    ClusterBreaker { scope, policy, rules: Vec::new(), provenance: Provenance::default() }
}

fn opens_after(failures: u32) -> BreakerPolicy {
    let trip = TripPolicy { consecutive_failures: NonZeroU32::new(failures), ..TripPolicy::default() };
    BreakerPolicy { trip, ..BreakerPolicy::default() }
}

/// Opens at the first failure, for so long each time.
pub(crate) fn trips_at_once(open_for: Duration) -> ClusterBreaker {
    let mut policy = opens_after(1);
    policy.open.open_for = open_for;
    policy.open.factor = 1.0;
    policy.open.jitter_percent = 0;
    breaker(policy)
}

/// Sends requests until one is let through as a probe and has reached the upstream.
pub(crate) async fn probe(rig: &Rig, upstream: &Upstream) -> Client {
    let before = upstream.counts().requests;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = rig.client().await;
        client.send(GET).await;
        let arrived = || upstream.counts().requests > before;
        assert!(settle(PATIENCE, || arrived() || client.was_answered()).await, "neither refused nor sent");
        if arrived() {
            return client;
        }
        assert_eq!(client.response().await.field("x-fuseboard-refused"), Some("breaker.open"));
        assert!(Instant::now() < deadline, "no probe was let through");
    }
}

fn state(rig: &Rig) -> u64 {
    rig.numbers().get("fuseboard.breaker.state")
}

pub(crate) async fn until_state(rig: &Rig, wanted: State) {
    let wanted = State::ALL.iter().position(|state| *state == wanted).unwrap() as u64;
    assert!(settle(PATIENCE, || state(rig) == wanted).await, "state {} in place of {wanted}", state(rig));
}

fn reason(response: &Response) -> Option<&str> {
    response.field("x-fuseboard-refused")
}

#[tokio::test]
async fn an_open_breaker_lets_nothing_through_and_says_when_to_come_again() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let mut policy = opens_after(3);
            policy.open.open_for = Duration::from_millis(59_500);
            policy.open.jitter_percent = 0;
            draft.cluster.breaker = Some(breaker(policy));
        });
        for _ in 0..3 {
            assert_eq!(rig.client().await.get("a", "/").await.text(), "broken");
        }
        for _ in 0..20 {
            let refused = rig.client().await.get("a", "/").await;
            assert_eq!((refused.status, reason(&refused)), (503, Some("breaker.open")));
            assert_eq!(refused.field("retry-after"), Some("60"), "rounded up");
        }
        assert_eq!(upstream.counts().requests, 3);
        let numbers = rig.numbers();
        for (name, count) in [("opened", 1), ("refused", 20), ("state", 1), ("closed", 0), ("probes", 0)] {
            assert_eq!(numbers.get(&format!("fuseboard.breaker.{name}")), count, "{name}");
        }
        assert_eq!(rig.refused(RefusalReason::BreakerOpen), 20);
        assert_eq!(rig.refusals()[0].trip.as_deref(), Some("3 failures in a row"));
    }
}

#[tokio::test]
async fn half_open_never_more_than_the_probes_are_at_the_server_and_good_ones_close() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let mut breaker = trips_at_once(Duration::from_millis(30));
            breaker.policy.half_open.probes = NonZeroU32::new(2).unwrap();
            breaker.policy.half_open.successes = NonZeroU32::new(2).unwrap();
            draft.cluster.breaker = Some(breaker);
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        let gate = Gate::new();
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate)));
        let mut probes = vec![probe(&rig, &upstream).await, probe(&rig, &upstream).await];
        let mut rest = Vec::new();
        for _ in 0..16 {
            let mut client = rig.client().await;
            client.send(GET).await;
            rest.push(client);
        }
        for client in &mut rest {
            assert_eq!(reason(&client.response().await), Some("breaker.probe_busy"));
        }
        assert_eq!(upstream.counts().in_flight_peak, 2);
        gate.open();
        for probe in &mut probes {
            assert_eq!(probe.response().await.text(), "well");
        }
        until_state(&rig, State::Closed).await;
        assert_eq!(rig.client().await.get("a", "/").await.text(), "well");
        assert_eq!(rig.numbers().get("fuseboard.breaker.probes"), 2);
    }
}

#[tokio::test]
async fn a_probe_whose_client_goes_away_gives_its_place_back() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_millis(30)));
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        let gate = Gate::new();
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate)));
        probe(&rig, &upstream).await.close();
        upstream.until(|counts| counts.in_flight == 0).await;
        rig.until_idle().await;
        gate.open();
        assert_eq!(rig.client().await.get("a", "/").await.text(), "well", "the next one is the probe");
        until_state(&rig, State::Closed).await;
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_opens_the_breaker_about_when_calls_become_slow() {
    const SLOW: Duration = Duration::from_millis(150);
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let slow = SlowPolicy { slower_than: SLOW, percent: Percent::new(50).unwrap() };
            let trip = TripPolicy { slow: Some(slow), minimum_calls: 4, ..TripPolicy::default() };
            draft.cluster.breaker = Some(breaker(BreakerPolicy { trip, ..BreakerPolicy::default() }));
            draft.route.timeout = Some(Duration::from_secs(60));
        });
        let began = Instant::now();
        let mut hanging = Vec::new();
        for _ in 0..4 {
            let mut client = rig.client().await;
            client.send(GET).await;
            hanging.push(client);
        }
        upstream.until(|counts| counts.in_flight == 4).await;
        until_state(&rig, State::Open).await;
        let took = began.elapsed();
        assert!(took >= SLOW && took < SLOW * 10, "{took:?}: not by a time-out, of a minute");
        assert_eq!(reason(&rig.client().await.get("a", "/").await), Some("breaker.open"));
        assert_eq!(upstream.counts().requests, 4);
        assert_eq!(rig.refusals()[0].trip.as_deref(), Some("100 % of 4 calls were slow"));
    }
}

#[tokio::test]
async fn a_shadow_changes_no_byte_and_counts_what_it_would_have_refused() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = None;
        });
        let plain = rig.client().await.get("a", "/").await;
        rig.apply(|draft| {
            let mut breaker = trips_at_once(Duration::from_secs(60));
            breaker.policy.mode = Mode::Shadow;
            draft.cluster.breaker = Some(breaker);
        });
        let same = |answer: &Response| {
            let lines = |answer: &Response| {
                let differs =
                    |line: &&str| !line.starts_with("date:") && !line.starts_with("x-envoy-upstream");
                answer.head.lines().filter(differs).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!((lines(answer), answer.text()), (lines(&plain), plain.text()));
        };
        for _ in 0..10 {
            same(&rig.client().await.get("a", "/").await);
        }
        assert_eq!(upstream.counts().requests, 11);
        let numbers = rig.numbers();
        for (name, count) in [("refused", 0), ("refused_shadow", 9), ("state", 1), ("shadow", 1)] {
            assert_eq!(numbers.get(&format!("fuseboard.breaker.{name}")), count, "{name}");
        }
        assert!(rig.refusals().is_empty());
    }
}

#[tokio::test]
async fn what_our_own_limits_refuse_never_opens_it() {
    for workers in WORKERS {
        let gate = Gate::new();
        let script = Script::always(Behaviour::answer(&Reply::ok("held")).after(&gate));
        let upstream = Upstream::start(script).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
        });
        let mut busy = rig.client().await;
        busy.send(GET).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        for _ in 0..20 {
            assert_eq!(reason(&rig.client().await.get("a", "/").await), Some("limit.queue_full"));
        }
        gate.open();
        assert_eq!(busy.response().await.text(), "held");
        assert_eq!((state(&rig), rig.numbers().get("fuseboard.breaker.opened")), (0, 0));
        rig.until_idle().await;
        assert_eq!(rig.client().await.get("a", "/").await.text(), "held");
    }
}

#[tokio::test]
async fn those_who_wait_when_it_opens_are_refused_when_their_turn_comes() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream = Upstream::start(Script::always(failing().after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 8, u32::MAX);
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
        });
        let mut first = rig.client().await;
        first.send(GET).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let mut waiting = Vec::new();
        for pending in 1..=3 {
            let mut client = rig.client().await;
            client.send(GET).await;
            rig.until_pending(pending).await;
            waiting.push(client);
        }
        gate.open();
        assert_eq!(first.response().await.status, 500);
        for client in &mut waiting {
            assert_eq!(reason(&client.response().await), Some("breaker.open"));
        }
        assert_eq!(upstream.counts().requests, 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn p58_each_try_counts_once_and_the_answer_before_a_refused_retry_stands() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let retries = draft.retries();
            retries.retry_on = RetryOn::FIVE_XX;
            retries.num_retries = 5;
            retries.base_interval = Duration::from_millis(1);
            let mut policy = opens_after(3);
            policy.open.open_for = Duration::from_secs(60);
            draft.cluster.breaker = Some(breaker(policy));
        });
        let answer = rig.client().await.get("a", "/").await;
        assert_eq!((answer.status, answer.text(), reason(&answer)), (500, "broken", None));
        assert_eq!(answer.field("retry-after"), None);
        assert_eq!(upstream.counts().requests, 3, "the third failure opens it, and there is no fourth try");
        assert_eq!(rig.refused(RefusalReason::BreakerOpen), 1);
        assert_eq!(rig.refusals()[0].status, 0);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_snapshot_keeps_the_state_changes_the_numbers_in_place_and_takes_the_breaker_away() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(3_600)));
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        assert_eq!(state(&rig), 1);
        rig.apply(|draft| draft.cluster.connect_timeout = Duration::from_secs(7));
        let refused = rig.client().await.get("a", "/").await;
        assert_eq!((reason(&refused), refused.field("retry-after")), (Some("breaker.open"), Some("3600")));
        rig.apply(|draft| {
            let open = &mut draft.cluster.breaker.as_mut().unwrap().policy.open;
            (open.open_for, open.max_open_for) = (Duration::from_secs(60), Duration::from_secs(60));
        });
        let refused = rig.client().await.get("a", "/").await;
        let after: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!(after <= 60, "still open, but no longer than the new numbers allow: {after} s");
        assert_eq!(upstream.counts().requests, 1);
        rig.apply(|draft| draft.cluster.breaker = None);
        assert_eq!(rig.client().await.get("a", "/").await.text(), "broken");
        assert!(rig.cluster().breaker.is_none());
        rig.apply(|draft| draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60))));
        assert_eq!(state(&rig), 0, "a new one has no past");
    }
}

/// Sends a trace of good (`true`) and bad calls through a breaker; how many of them it refused, or would have, after each.
async fn refusals_along(workers: usize, mode: Mode, trace: &[bool]) -> Vec<u64> {
    let upstream = Upstream::start(Script::by(|request| match request.target.as_str() {
        "/good" => Behaviour::answer(&Reply::ok("good")),
        _ => failing(),
    }))
    .await;
    let rig = Rig::start(workers, &[upstream.address()], |draft| {
        let trip =
            TripPolicy { failure_percent: Percent::new(50), minimum_calls: 8, ..TripPolicy::default() };
        let window = WindowPolicy::Calls(NonZeroU32::new(10).unwrap());
        let mut policy = BreakerPolicy { mode, window, trip, ..BreakerPolicy::default() };
        policy.open.open_for = Duration::from_secs(3_600);
        draft.cluster.breaker = Some(breaker(policy));
    });
    let name = if mode == Mode::Shadow { "refused_shadow" } else { "refused" };
    let mut refused = Vec::new();
    for good in trace {
        rig.client().await.get("a", if *good { "/good" } else { "/bad" }).await;
        refused.push(rig.numbers().get(&format!("fuseboard.breaker.{name}")));
    }
    assert_eq!(
        upstream.counts().requests == trace.len(),
        mode == Mode::Shadow,
        "a shadow keeps nothing back"
    );
    refused
}

#[tokio::test]
async fn p42_what_a_shadow_foretells_is_what_enforcing_refuses_on_the_same_traffic() {
    for workers in WORKERS {
        // Ever more failures among 60 calls.
        let trace: Vec<bool> = (0..60_u32).map(|call| (call * 7 + 3) % 60 >= call).collect();
        let foretold = refusals_along(workers, Mode::Shadow, &trace).await;
        let refused = refusals_along(workers, Mode::Enforce, &trace).await;
        assert_eq!(foretold, refused, "call by call");
        assert!((5..55).contains(refused.last().unwrap()), "{refused:?}");
    }
}
