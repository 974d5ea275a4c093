//! What counts as a failure in a row, and what ends one.

use fuseboard_core::outlier::{DetectionKind, Detector, OutlierEvent, OutlierPolicy};
use fuseboard_core::{FailureKind, Outcome};

use crate::rig::*;

#[test]
fn p44_each_cycle_takes_exactly_k_failures() {
    for threshold in [1, 3, 5] {
        let policy = OutlierPolicy {
            consecutive_5xx: Detector { threshold, enforcing_percent: 100 },
            consecutive_gateway_failure: Detector { threshold: threshold + 2, enforcing_percent: 100 },
            ..quick()
        };
        let mut rig = Rig::new(2, policy);
        let mut now = 0;
        for cycle in 0..100 {
            // Some tries are under way through each ejection and each return; they fail after it.
            let before = [rig.begin(0), rig.begin(0), rig.begin(0)];
            let (tries, _) = rig.tries_until_event(0, status(503), at(now));
            assert_eq!(tries, threshold, "cycle {cycle}");
            let during = rig.begin(0);
            while !rig.ejected().is_empty() {
                now += 500;
                rig.sweep(now);
            }
            for late in before.into_iter().chain([during]) {
                assert_eq!(rig.end(0, late, status(503), at(now)), []);
            }
            assert!(DetectionKind::ALL.iter().all(|&kind| rig.hosts[0].streak(kind) == 0));
        }
    }
}

#[test]
fn d20_an_ejection_ends_every_streak_of_the_host() {
    let policy = OutlierPolicy {
        consecutive_5xx: Detector { threshold: 5, enforcing_percent: 100 },
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent: 100 },
        ..quick()
    };
    let mut rig = Rig::new(1, policy);
    for outcome in [status(500), status(500), status(503)] {
        rig.run(0, outcome, at(0));
    }
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 3);
    assert_eq!(rig.run(0, status(503), at(0)).len(), 1, "the gateway streak fires");
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 0, "at ejection");
    for _ in 0..9 {
        rig.run(0, status(500), at(100));
    }
    rig.sweep(1_000);
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 0, "at return, whatever came meanwhile");
    assert_eq!(rig.tries_until_event(0, status(500), at(1_000)).0, 5);
}

#[test]
fn without_split_local_failures_count_as_the_answers_made_for_them() {
    let mut rig = Rig::new(
        1,
        OutlierPolicy { consecutive_5xx: Detector { threshold: 4, enforcing_percent: 100 }, ..quick() },
    );
    for outcome in [status(500), RESET, TIMEOUT] {
        assert_eq!(rig.run(0, outcome, at(1)), []);
    }
    assert_eq!(rig.hosts[0].streak(DetectionKind::ConsecutiveGatewayFailure), 2, "503 and 504, after a 500");
    assert_eq!(rig.hosts[0].streak(DetectionKind::ConsecutiveLocalOriginFailure), 0);
    assert_eq!(rig.run(0, status(503), at(1)).len(), 1);
}

#[test]
fn a_4xx_is_a_success_and_a_500_ends_only_the_gateway_streak() {
    let mut rig = Rig::new(1, quick());
    let streaks = |rig: &Rig| {
        [DetectionKind::Consecutive5xx, DetectionKind::ConsecutiveGatewayFailure]
            .map(|kind| rig.hosts[0].streak(kind))
    };
    rig.run(0, status(502), at(1));
    rig.run(0, status(500), at(1));
    assert_eq!(streaks(&rig), [2, 0]);
    rig.run(0, status(503), at(1));
    rig.run(0, status(504), at(1));
    rig.run(0, status(404), at(1));
    assert_eq!(streaks(&rig), [0, 0]);
    assert!(rig.ejected().contains(&0));
}

#[test]
fn a_status_named_as_failure_by_a_rule_counts_as_500() {
    let mut rig = Rig::new(1, quick());
    let (tries, events) = rig.tries_until_event(0, Outcome::Failure(FailureKind::Status(429)), at(1));
    assert_eq!((tries, events[0].logged_type()), (3, "CONSECUTIVE_5XX"));
}

fn split(threshold: u32) -> OutlierPolicy {
    OutlierPolicy {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: Detector { threshold, enforcing_percent: 100 },
        ..quick()
    }
}

#[test]
fn with_split_refused_connects_add_up_and_touch_no_other_streak() {
    let mut rig = Rig::new(1, split(2));
    assert_eq!(rig.run(0, REFUSED, at(1)), []);
    let events = rig.run(0, REFUSED, at(1));
    assert_eq!(events[0].logged_type(), "CONSECUTIVE_LOCAL_ORIGIN_FAILURE");
    assert_eq!(rig.ejected(), [0]);
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 0);
}

#[test]
fn with_split_each_made_connection_ends_the_local_streak() {
    let mut rig = Rig::new(1, split(5));
    for _ in 0..7 {
        assert_eq!(rig.run(0, TIMEOUT, at(1)), []);
        assert_eq!(rig.run(0, RESET, at(1)), []);
    }
    for connected in [TIMEOUT, RESET, status(500), OK] {
        for _ in 0..3 {
            assert_eq!(rig.run(0, REFUSED, at(1)), []);
        }
        assert_eq!(rig.run(0, connected, at(1)), [], "at most 1 + 3, then {connected:?}");
    }
    assert_eq!(rig.tries_until_event(0, REFUSED, at(1)).0, 5);
}

#[test]
fn with_split_a_500_is_no_gateway_failure_and_a_503_is() {
    let policy = OutlierPolicy {
        consecutive_5xx: Detector { threshold: 0, enforcing_percent: 0 },
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent: 100 },
        ..split(5)
    };
    let mut rig = Rig::new(1, policy);
    for _ in 0..10 {
        assert_eq!(rig.run(0, status(500), at(1)), []);
    }
    assert_eq!(rig.tries_until_event(0, status(503), at(1)).0, 2);
}

#[test]
fn d09_the_old_consecutive_errors_is_gateway_failures_and_connects_and_no_500() {
    // `consecutiveErrors: 3`.
    let policy = OutlierPolicy {
        consecutive_5xx: Detector { threshold: 5, enforcing_percent: 0 },
        consecutive_gateway_failure: Detector { threshold: 3, enforcing_percent: 100 },
        ..quick()
    };
    let mut rig = Rig::new(1, policy);
    for _ in 0..20 {
        assert!(rig.run(0, status(500), at(1)).iter().all(|event| !event.is_enforced()));
    }
    rig.run(0, OK, at(1));
    for outcome in [REFUSED, status(502)] {
        assert_eq!(rig.run(0, outcome, at(1)), []);
    }
    let events = rig.run(0, REFUSED, at(1));
    assert_eq!(events[0].logged_type(), "CONSECUTIVE_GATEWAY_FAILURE");
    assert_eq!(rig.ejected(), [0]);
}

#[test]
fn abandoned_tries_say_nothing() {
    let mut rig = Rig::new(1, quick());
    rig.run(0, status(500), at(1));
    rig.run(0, Outcome::Abandoned, at(1));
    drop(rig.begin(0));
    rig.run(0, status(500), at(1));
    assert_eq!(rig.run(0, status(500), at(1)).len(), 1, "neither a failure nor the end of a streak");
}

#[test]
fn gateway_failures_are_looked_at_before_5xx_and_one_ejection_is_enough() {
    let both = |enforcing_percent| OutlierPolicy {
        consecutive_5xx: Detector { threshold: 2, enforcing_percent: 100 },
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent },
        ..quick()
    };
    let (_, events) = Rig::new(1, both(100)).tries_until_event(0, status(503), at(1));
    assert_eq!(
        events.iter().map(OutlierEvent::logged_type).collect::<Vec<_>>(),
        ["CONSECUTIVE_GATEWAY_FAILURE"]
    );
    let (_, events) = Rig::new(1, both(0)).tries_until_event(0, status(503), at(1));
    assert_eq!(events.iter().map(OutlierEvent::is_enforced).collect::<Vec<_>>(), [false, true]);
}
