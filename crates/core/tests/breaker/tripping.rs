//! Each condition that opens it, and what counts for it.

use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, Cause, FailureClassifier, FailureCount, RefusedBy, SlowPolicy, State, StatusSet,
    Tally, Transition, TripPolicy, Verdict, WindowPolicy,
};
use fuseboard_core::{FailureKind, Outcome, Rng};

use crate::rig::*;

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not() {
    let mut rig = Rig::new(quick());
    assert_eq!(rig.calls(&[BAD, OK, BAD], 5), []);
    let opened = rig.call(BAD, 7).unwrap();
    let expected = Transition {
        from: State::Closed,
        to: State::Open,
        at: at(7),
        cause: Cause::ConsecutiveFailures { count: 2 },
        open_until: Some(at(1_007)),
        shadow: false,
    };
    assert_eq!(opened, [expected]);
    let refusal = rig.recorder.check(at(107)).unwrap_err();
    assert_eq!((refusal.by, refusal.retry_after), (RefusedBy::Open, millis(900)));
}

#[test]
fn a_share_of_failures_opens_it_once_there_are_enough_calls() {
    for window in [WindowPolicy::Calls(n(10)), WindowPolicy::default()] {
        let mut rig = Rig::new(BreakerPolicy { window, trip: half_failed(6), ..quick() });
        assert_eq!(rig.calls(&[BAD, BAD, BAD, OK, OK], 1), [], "five calls are too few");
        let opened = rig.call(OK, 2).unwrap();
        let tally = Tally { calls: 6, failures: 3, slow: 0 };
        assert_eq!(opened[0].cause, Cause::FailurePercent(tally));
        assert_eq!(opened[0].cause.measured_percent(), Some(50.0));
    }
}

#[test]
fn a_minimum_above_the_window_of_calls_is_the_window() {
    let window = WindowPolicy::Calls(n(4));
    let mut rig = Rig::new(BreakerPolicy { window, trip: half_failed(100), ..quick() });
    assert_eq!(rig.calls(&[BAD, BAD, BAD], 1), []);
    assert_eq!(rig.call(BAD, 1).unwrap().len(), 1);
}

#[test]
fn failures_in_a_time_open_it_whatever_succeeds_between() {
    let failures = Some(FailureCount { count: n(3), within: millis(100) });
    let mut rig =
        Rig::new(BreakerPolicy { trip: TripPolicy { failures, ..TripPolicy::default() }, ..quick() });
    for (outcome, now) in [(BAD, 0), (BAD, 60), (OK, 70), (BAD, 101), (OK, 110)] {
        assert_eq!(rig.call(outcome, now).unwrap(), []);
    }
    assert_eq!(course(&rig.call(BAD, 160).unwrap()), [(State::Open, "failures")]);
}

#[test]
fn p11_the_classifier_alone_says_what_counts() {
    let classifier = FailureClassifier {
        failures: StatusSet::class(5).with(429).without(501),
        ignored: StatusSet::of(&[503, 404]),
        timeout: Verdict::Ignored,
        reset: Verdict::Success,
        ..FailureClassifier::default()
    };
    for status in 0..=u16::MAX {
        let expected = match status {
            404 | 503 => Verdict::Ignored,
            501 => Verdict::Success,
            429 | 500..=599 => Verdict::Failure,
            _ => Verdict::Success,
        };
        assert_eq!(classifier.judge(Outcome::Success { status }), expected, "{status}");
        assert_eq!(classifier.judge(Outcome::Failure(FailureKind::Status(status))), expected, "{status}");
    }
    let kinds = [
        (FailureKind::ConnectFailed, Verdict::Failure),
        (FailureKind::ConnectTimeout, Verdict::Failure),
        (FailureKind::Timeout, Verdict::Ignored),
        (FailureKind::Reset, Verdict::Success),
        (FailureKind::ProtocolError, Verdict::Failure),
    ];
    for (kind, expected) in kinds {
        assert_eq!(classifier.judge(Outcome::Failure(kind)), expected, "{kind:?}");
    }
    assert_eq!(classifier.judge(Outcome::Abandoned), Verdict::Ignored);
    let gateway = FailureClassifier::gateway();
    assert_eq!(gateway.judge(Outcome::of_status(500)), Verdict::Success);
    assert_eq!(gateway.judge(Outcome::of_status(502)), Verdict::Failure);

    let mut rig = Rig::new(BreakerPolicy { classifier, ..quick() });
    let ignored = Outcome::of_status(503);
    assert_eq!(rig.calls(&[Outcome::of_status(500), ignored, Outcome::Abandoned], 1), []);
    assert_eq!(rig.breaker.view(at(1)).window.calls, 1, "what is ignored is no call");
    assert_eq!(rig.call(Outcome::of_status(429), 1).unwrap().len(), 1, "and does not end the streak");
}

#[test]
fn what_a_worker_counted_stays_when_it_goes() {
    let windows =
        [WindowPolicy::Calls(n(100)), WindowPolicy::Time { length: millis(10_000), buckets: n(10) }];
    for window in windows {
        let mut rig = Rig::new(BreakerPolicy { window, trip: half_failed(4), ..quick() });
        for _ in 0..6 {
            let (ticket, _) = rig.recorder.admit(at(100), &mut rig.rng);
            let _ = ticket.unwrap().record(OK, at(100), &mut rig.rng);
        }
        rig.recorder = rig.breaker.recorder();
        assert_eq!(rig.calls(&[BAD; 5], 200), [], "five of eleven");
        assert_eq!(rig.breaker.view(at(200)).window, Tally { calls: 11, failures: 5, slow: 0 });
        assert_eq!(course(&rig.call(BAD, 200).unwrap()), [(State::Open, "failure_percent")]);
    }
}

#[test]
fn p30_calls_that_hang_open_it_at_the_bound_on_slowness_not_at_the_timeout() {
    let slow = Some(SlowPolicy { slower_than: millis(200), percent: percent(60) });
    let trip = TripPolicy { slow, minimum_calls: 5, ..TripPolicy::default() };
    let rig = &mut Rig::new(BreakerPolicy { trip, ..quick() });
    rig.calls(&[OK, OK], 0);
    let hanging: Vec<_> = (10..14).map(|now| rig.recorder.admit(at(now), &mut rig.rng).0.unwrap()).collect();
    assert_eq!(rig.recorder.deadline(), Some(at(210)));
    let mut opened = Vec::new();
    for now in 100..300 {
        opened.extend(rig.recorder.sweep(at(now), &mut rig.rng));
    }
    let tally = Tally { calls: 5, failures: 0, slow: 3 };
    assert_eq!((opened[0].at, opened[0].cause.clone()), (at(213), Cause::SlowPercent(tally)));
    assert_eq!(opened.len(), 1);
    for ticket in hanging {
        assert!(ticket.record(Outcome::Failure(FailureKind::Timeout), at(15_000), &mut rig.rng).is_empty());
    }
}

#[test]
fn p30_a_call_counted_in_flight_is_completed_at_its_end_and_not_counted_twice() {
    let slow = Some(SlowPolicy { slower_than: millis(100), percent: percent(100) });
    let trip =
        TripPolicy { slow, minimum_calls: 50, consecutive_failures: Some(n(9)), ..TripPolicy::default() };
    for window in [WindowPolicy::Calls(n(100)), WindowPolicy::default()] {
        let rig = &mut Rig::new(BreakerPolicy { trip: trip.clone(), window, ..quick() });
        assert_eq!(rig.breaker.view(at(0)).failure_percent(), None, "of no calls");
        let [failing, good, left] = [0; 3].map(|now| rig.recorder.admit(at(now), &mut rig.rng).0.unwrap());
        let swept = rig.recorder.sweep(at(101), &mut rig.rng);
        assert!(swept.is_empty());
        let counted = Tally { calls: 3, failures: 0, slow: 3 };
        assert_eq!(rig.breaker.view(at(101)).window, counted);
        let _ = rig.recorder.sweep(at(150), &mut rig.rng);
        assert_eq!(rig.breaker.view(at(150)).window, counted, "once");
        let _ = failing.record(BAD, at(200), &mut rig.rng);
        assert_eq!(rig.breaker.view(at(200)).consecutive_failures, 1);
        let _ = good.record(OK, at(200), &mut rig.rng);
        drop(left);
        let view = rig.breaker.view(at(200));
        assert_eq!(view.window, Tally { calls: 3, failures: 1, slow: 3 });
        assert_eq!(view.consecutive_failures, 0);
        assert_eq!((view.failure_percent().unwrap().round(), view.slow_percent()), (33.0, Some(100.0)));
        // Ended slow before a sweep saw it.
        rig.call_for(OK, 300, 401).unwrap();
        rig.call_for(OK, 300, 400).unwrap();
        assert_eq!(rig.breaker.view(at(401)).window, Tally { calls: 5, failures: 1, slow: 4 });
    }
}

#[test]
fn p30_a_probe_that_hangs_opens_it_again_at_the_bound() {
    let slow = Some(SlowPolicy { slower_than: millis(100), percent: percent(100) });
    let trip = TripPolicy { slow, ..quick().trip };
    let mut rig = Rig::open(BreakerPolicy { trip, ..quick() });
    let (probe, _) = rig.recorder.admit(at(1_000), &mut rig.rng);
    let opened = rig.recorder.sweep(at(1_101), &mut rig.rng);
    assert_eq!(course(&opened), [(State::Open, "probe_slow")]);
    assert_eq!(opened[0].open_until, Some(at(3_101)));
    assert!(probe.unwrap().record(OK, at(1_200), &mut rig.rng).is_empty());
    let slow_at_its_end = rig.call_for(OK, 3_101, 3_202).unwrap();
    assert_eq!(course(&slow_at_its_end), [(State::HalfOpen, "open_time_over"), (State::Open, "probe_slow")]);
}

#[test]
fn good_calls_that_are_kept_by_workers_count_when_a_failure_is_judged() {
    for window in [WindowPolicy::Calls(n(100)), WindowPolicy::default()] {
        let breaker = Breaker::new(BreakerPolicy { window, trip: half_failed(10), ..quick() }, at(0));
        let workers: Vec<_> = (0..4).map(|_| breaker.recorder()).collect();
        let mut rng = Rng::new(1);
        for recorder in &workers {
            for _ in 0..10 {
                assert!(recorder.admit(at(1), &mut rng).0.unwrap().record(OK, at(1), &mut rng).is_empty());
            }
        }
        for failures in 1..=40 {
            let (ticket, _) = workers[0].admit(at(1), &mut rng);
            let opened = ticket.unwrap().record(BAD, at(1), &mut rng);
            assert_eq!(opened.len(), usize::from(failures == 40), "{failures} of {}", 40 + failures);
        }
    }
}

#[test]
fn good_calls_of_an_older_bucket_are_counted_where_they_belong() {
    let window = WindowPolicy::Time { length: millis(1_000), buckets: n(10) };
    let mut rig = Rig::new(BreakerPolicy { window, trip: half_failed(1_000), ..quick() });
    for now in [50, 60, 250] {
        assert!(
            rig.recorder.admit(at(now), &mut rig.rng).0.unwrap().record(OK, at(now), &mut rig.rng).is_empty()
        );
    }
    let _ = rig.recorder.sweep(at(950), &mut rig.rng);
    assert_eq!(rig.breaker.view(at(950)).window.calls, 3);
    assert_eq!(rig.breaker.view(at(1_050)).window.calls, 1);
}
