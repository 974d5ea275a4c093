//! The breaker judged from outside, as arithmetic: each trip condition, each way out of each state, and the pains it cures.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, Cause, FailureClassifier, FailureCount, Force, HalfOpenPolicy, Mode, OpenPolicy,
    Override, Percent, RampPolicy, Recorder, RefusedBy, SlowPolicy, State, StatusSet, Tally, Transition,
    TripPolicy, Verdict, WindowPolicy,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};

const OK: Outcome = Outcome::Success { status: 200 };
const BAD: Outcome = Outcome::Failure(FailureKind::Status(503));

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn percent(number: u8) -> Percent {
    Percent::new(number).unwrap()
}

/// Two failures in a row open it for a second, then two, then four; two good probes close it.
fn quick() -> BreakerPolicy {
    BreakerPolicy {
        trip: TripPolicy { consecutive_failures: Some(n(2)), ..TripPolicy::default() },
        open: OpenPolicy {
            open_for: millis(1_000),
            factor: 2.0,
            max_open_for: millis(4_000),
            jitter_percent: 0,
            decay: millis(10_000),
        },
        half_open: HalfOpenPolicy {
            probes: n(1),
            successes: n(2),
            lease: millis(500),
            patience: millis(2_000),
        },
        ..BreakerPolicy::default()
    }
}

fn half_failed(calls: u32) -> TripPolicy {
    TripPolicy { failure_percent: Some(percent(50)), minimum_calls: calls, ..TripPolicy::default() }
}

/// One worker.
struct Rig {
    breaker: Arc<Breaker>,
    recorder: Recorder,
    rng: Rng,
}

impl Rig {
    fn new(policy: BreakerPolicy) -> Self {
        let breaker = Breaker::new(policy, at(0));
        Self { recorder: breaker.recorder(), breaker, rng: Rng::new(1) }
    }

    /// A call from its admission to its end, at once.
    fn call(&mut self, outcome: Outcome, now: u64) -> Result<Vec<Transition>, RefusedBy> {
        self.call_for(outcome, now, now)
    }

    fn call_for(&mut self, outcome: Outcome, from: u64, to: u64) -> Result<Vec<Transition>, RefusedBy> {
        let (ticket, mut transitions) = self.recorder.admit(at(from), &mut self.rng);
        let ticket = ticket.map_err(|refusal| refusal.by)?;
        transitions.extend(ticket.record(outcome, at(to), &mut self.rng));
        transitions.extend(self.recorder.sweep(at(to), &mut self.rng));
        Ok(transitions)
    }

    fn calls(&mut self, outcomes: &[Outcome], now: u64) -> Vec<Transition> {
        outcomes.iter().flat_map(|outcome| self.call(*outcome, now).unwrap()).collect()
    }

    fn open(policy: BreakerPolicy) -> Self {
        let mut rig = Self::new(policy);
        rig.calls(&[BAD, BAD], 0);
        assert_eq!(rig.breaker.state(), State::Open);
        rig
    }

    fn tick(&mut self, now: u64) -> Vec<Transition> {
        self.breaker.tick(at(now), &mut self.rng)
    }
}

fn course(transitions: &[Transition]) -> Vec<(State, &'static str)> {
    transitions.iter().map(|transition| (transition.to, transition.cause.token())).collect()
}

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
fn p05_a_host_that_stays_down_gets_one_probe_for_each_growing_time_and_comes_back_after_its_successes() {
    let mut rig = Rig::open(quick());
    let mut failed = Vec::new();
    for now in (0..15_000).step_by(10) {
        if rig.call(BAD, now).is_ok() {
            failed.push(now);
        }
    }
    assert_eq!(failed, [1_000, 3_000, 7_000, 11_000], "times of 1, 2, 4 and again 4 s, one call for each");
    let course = [rig.call(OK, 15_000).unwrap(), rig.call(OK, 15_001).unwrap()].concat();
    let causes: Vec<_> = course.iter().map(|transition| transition.cause.clone()).collect();
    assert_eq!(causes, [Cause::OpenTimeOver, Cause::ProbesSucceeded { count: 2 }], "after exactly two");
    assert_eq!(rig.breaker.view(at(15_001)).trips, 5);
    // Three steps had been grown past the first; two healthy times take two of the five trips back.
    assert_eq!(rig.calls(&[BAD, BAD], 35_001)[0].open_until, Some(at(39_001)));
}

#[test]
fn p05_traffic_rises_in_steps_after_closing_and_failures_on_the_ramp_open_it_again() {
    let ramp = RampPolicy { ramp_for: millis(400), failure_percent: percent(50), minimum_calls: 4 };
    let mut rig = Rig::open(BreakerPolicy { ramp, ..quick() });
    rig.calls(&[OK, OK], 1_000);
    assert_eq!((rig.breaker.state(), rig.breaker.view(at(1_000)).traffic_percent), (State::Closed, 10));
    let admitted: Vec<usize> =
        (0..4).map(|step| (0..1_000).filter(|_| rig.call(OK, 1_001 + 100 * step).is_ok()).count()).collect();
    for (admitted, share) in admitted.iter().zip([100_usize, 250, 500, 1_000]) {
        assert!(admitted.abs_diff(share) <= 1, "{admitted} of 1000");
    }
    assert_eq!(course(&rig.tick(1_400)), [(State::Closed, "ramp_completed")]);
    assert_eq!(rig.breaker.view(at(1_400)).since, at(1_000), "closed since it closed");

    rig.calls(&[BAD, BAD], 1_500);
    rig.calls(&[OK, OK], 3_500);
    let mut refused = 0;
    let mut outcomes = [OK, BAD].into_iter().cycle();
    let mut reopened = Vec::new();
    let mut outcome = outcomes.next().unwrap();
    while reopened.is_empty() {
        match rig.call(outcome, 3_600) {
            Ok(transitions) => {
                reopened = transitions;
                outcome = outcomes.next().unwrap();
            }
            Err(by) => {
                assert_eq!(by, RefusedBy::Ramp);
                refused += 1;
            }
        }
    }
    assert_eq!(reopened[0].cause, Cause::RampFailed { calls: 4, bad: 2 });
    assert_eq!(reopened[0].open_until, Some(at(7_600)), "longer than before");
    assert_eq!(refused, 9, "three of four, between four that were let through");
}

#[test]
fn a_call_that_the_ramp_let_into_the_queue_is_not_thinned_out_again() {
    let ramp = RampPolicy { ramp_for: millis(400), ..RampPolicy::default() };
    let mut rig = Rig::open(BreakerPolicy { ramp, ..quick() });
    rig.calls(&[OK, OK], 1_000);
    let passes: Vec<_> = (0..100).filter_map(|_| rig.recorder.check(at(1_001)).ok()).collect();
    assert_eq!(passes.len(), 10);
    for pass in passes {
        let (ticket, _) = rig.recorder.ticket(pass, at(1_050), &mut rig.rng);
        assert!(ticket.unwrap().record(OK, at(1_050), &mut rig.rng).is_empty());
    }
    let refusal = (0..2).find_map(|_| rig.recorder.check(at(1_010)).err()).unwrap();
    assert_eq!((refusal.by, refusal.retry_after), (RefusedBy::Ramp, millis(90)), "until the next step");
}

#[test]
fn a_call_that_waited_into_a_ramp_that_did_not_let_it_in_is_thinned_out() {
    let ramp = RampPolicy { ramp_for: millis(400), ..RampPolicy::default() };
    let mut rig = Rig::new(BreakerPolicy { ramp, ..quick() });
    let closed: Vec<_> = (0..50).map(|_| rig.recorder.check(at(0)).unwrap()).collect();
    rig.calls(&[BAD, BAD], 0);
    rig.calls(&[OK, OK], 1_000);
    let earlier: Vec<_> = (0..500).filter_map(|_| rig.recorder.check(at(1_001)).ok()).collect();
    assert_eq!(earlier.len(), 50);
    rig.calls(&[BAD, BAD], 1_400);
    rig.calls(&[OK, OK], 3_400);
    let mut admitted = 0;
    for pass in closed.into_iter().chain(earlier) {
        let (ticket, _) = rig.recorder.ticket(pass, at(3_401), &mut rig.rng);
        admitted +=
            usize::from(ticket.is_ok_and(|ticket| ticket.record(OK, at(3_401), &mut rig.rng).is_empty()));
    }
    assert_eq!(admitted, 10, "a tenth");
}

#[test]
fn it_takes_all_while_closed_and_whatever_its_state_where_it_does_not_act() {
    for (mode, acts) in [(Mode::Enforce, true), (Mode::Shadow, false)] {
        let ramp = RampPolicy { ramp_for: millis(400), ..RampPolicy::default() };
        let mut rig = Rig::new(BreakerPolicy { mode, ramp, ..quick() });
        assert!(rig.breaker.takes_all());
        rig.calls(&[BAD, BAD], 0);
        assert_eq!(rig.breaker.takes_all(), !acts, "open");
        rig.calls(&[OK], 1_000);
        assert_eq!((rig.breaker.state(), rig.breaker.takes_all()), (State::HalfOpen, !acts));
        rig.calls(&[OK], 1_000);
        assert_eq!((rig.breaker.state(), rig.breaker.takes_all()), (State::Closed, !acts), "on the ramp");
        rig.tick(1_400);
        assert!(rig.breaker.takes_all());
    }
}

#[test]
fn what_a_worker_counted_stays_when_it_goes() {
    let windows =
        [WindowPolicy::Calls(n(100)), WindowPolicy::Time { length: millis(10_000), buckets: n(10) }];
    for window in windows {
        let trip =
            TripPolicy { failure_percent: Some(percent(50)), minimum_calls: 4, ..TripPolicy::default() };
        let mut rig = Rig::new(BreakerPolicy { window, trip, ..quick() });
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
fn a_straggler_is_not_the_probe() {
    let mut rig = Rig::new(quick());
    let (late, _) = rig.recorder.admit(at(0), &mut rig.rng);
    let (later, _) = rig.recorder.admit(at(0), &mut rig.rng);
    let other = rig.breaker.recorder();
    for _ in 0..2 {
        let (ticket, _) = other.admit(at(1), &mut rig.rng);
        let _ = ticket.unwrap().record(BAD, at(1), &mut rig.rng);
    }
    let (probe, _) = rig.recorder.admit(at(1_001), &mut rig.rng);
    let (probe, late) = (probe.unwrap(), late.unwrap());
    assert!(probe.is_probe() && !late.is_probe());
    assert!(late.record(BAD, at(1_002), &mut rig.rng).is_empty());
    assert!(later.unwrap().record(OK, at(1_002), &mut rig.rng).is_empty());
    let view = rig.breaker.view(at(1_002));
    assert_eq!((view.state, view.probes_out, view.good_probes), (State::HalfOpen, 1, 0));
    assert!(probe.record(OK, at(1_003), &mut rig.rng).is_empty());
    assert_eq!(rig.breaker.view(at(1_003)).good_probes, 1);
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
fn p42_a_shadow_takes_the_course_of_the_enforced_breaker_and_changes_nothing_for_the_caller() {
    let policy = || BreakerPolicy {
        trip: TripPolicy { consecutive_failures: Some(n(3)), ..half_failed(10) },
        ramp: RampPolicy { ramp_for: millis(300), ..RampPolicy::default() },
        open: OpenPolicy { jitter_percent: 20, ..quick().open },
        ..quick()
    };
    for seed in 0..50 {
        let mut enforced = Rig::new(policy());
        let mut shadow = Rig::new(BreakerPolicy { mode: Mode::Shadow, ..policy() });
        let (mut refused, mut real, mut predicted) = (0, Vec::new(), Vec::new());
        let mut trace = Rng::new(seed);
        for now in (0..30_000).step_by(7) {
            let sick = now / 3_000 % 3 == 1;
            let outcome = if trace.below(100) < if sick { 70 } else { 5 } { BAD } else { OK };
            match enforced.call(outcome, now) {
                Ok(transitions) => real.extend(transitions),
                Err(_) => refused += 1,
            }
            predicted.extend(shadow.call(outcome, now).unwrap());
        }
        assert!(refused > 0 && real.iter().all(|transition| !transition.shadow));
        let as_enforced: Vec<_> =
            predicted.into_iter().map(|it| Transition { shadow: false, ..it }).collect();
        assert_eq!(as_enforced, real, "seed {seed}");
        let view = shadow.breaker.view(at(30_000));
        assert_eq!((view.would_have_refused, view.mode), (refused, Mode::Shadow), "seed {seed}");
    }
}

#[test]
fn what_a_recorder_let_pass_stays_counted_when_it_goes() {
    let mut rig = Rig::open(BreakerPolicy { mode: Mode::Shadow, ..quick() });
    rig.calls(&[OK, BAD], 10);
    let Rig { breaker, recorder, .. } = rig;
    drop(recorder);
    assert_eq!(breaker.view(at(11)).would_have_refused, 2);
}

#[test]
fn p43_an_override_holds_whatever_happens_and_runs_out_by_itself() {
    let order = |force, until| Override { force, until: at(until), reason: "drill".into(), by: "me".into() };
    for mode in [Mode::Enforce, Mode::Shadow] {
        let mut rig = Rig::new(BreakerPolicy { mode, ..quick() });
        let closed = order(Force::Closed, 500);
        let forced = rig.breaker.force(closed.clone(), at(100));
        assert_eq!(forced[0].cause, Cause::Forced(closed.clone()));
        assert_eq!(rig.calls(&[BAD; 10], 499), [], "outcomes say nothing");
        assert_eq!(rig.breaker.view(at(499)).forced, Some(closed.clone()));
        assert_eq!((rig.breaker.forced(at(499)), rig.breaker.forced(at(500))), (Some(closed.clone()), None));
        assert_eq!(rig.breaker.deadline(), Some(at(500)));
        let ended = rig.call(BAD, 500).unwrap();
        assert_eq!((ended[0].at, ended[0].cause.clone()), (at(500), Cause::OverrideEnded(closed)));
        assert_eq!(rig.breaker.view(at(500)).consecutive_failures, 1, "the call itself counts");

        let forced = rig.breaker.force(order(Force::Open, 900), at(600));
        assert_eq!((forced[0].open_until, forced[0].shadow), (Some(at(900)), false));
        assert_eq!(rig.call(OK, 899), Err(RefusedBy::Open), "{mode:?}: a person's order acts");
        assert_eq!(course(&rig.tick(5_000)), [(State::HalfOpen, "override_ended")]);
        assert_eq!(rig.breaker.view(at(5_000)).since, at(900));
        rig.calls(&[OK, OK], 6_000);
        assert_eq!((rig.breaker.state(), rig.breaker.view(at(6_000)).trips), (State::Closed, 0));
    }
}

#[test]
fn time_spent_closed_makes_the_next_open_time_shorter_though_an_order_ended_it() {
    let mut rig = Rig::open(quick());
    rig.call(BAD, 1_000).unwrap();
    rig.calls(&[OK, OK], 3_000);
    assert_eq!(rig.breaker.state(), State::Closed);
    let order = Override { force: Force::Open, until: at(30_001), reason: "drill".into(), by: "me".into() };
    rig.breaker.force(order, at(30_000));
    let opened = rig.call(BAD, 30_001).unwrap();
    assert_eq!(
        opened.last().unwrap().open_until,
        Some(at(31_001)),
        "it was closed for longer than two steps"
    );
}

#[test]
fn a_breaker_that_was_switched_off_opens_for_the_first_time_again() {
    let mut rig = Rig::open(quick());
    rig.call(BAD, 1_000).unwrap();
    rig.breaker.reconfigure(BreakerPolicy { mode: Mode::Disabled, ..quick() }, at(1_001));
    rig.breaker.reconfigure(quick(), at(1_002));
    let opened = rig.calls(&[BAD, BAD], 1_003);
    assert_eq!(opened[0].open_until, Some(at(2_003)));
}

#[test]
fn p43_an_override_can_be_lifted_replaced_and_reset_and_is_not_given_for_the_past() {
    let order = |force, until| Override { force, until: at(until), reason: "drill".into(), by: "me".into() };
    let mut rig = Rig::open(quick());
    assert!(rig.breaker.force(order(Force::Closed, 100), at(100)).is_empty(), "has run out");
    assert!(rig.breaker.lift(at(100)).is_empty(), "there is none");
    let _ = rig.breaker.force(order(Force::Open, 9_000), at(100));
    let _ = rig.breaker.force(order(Force::Closed, 8_000), at(200));
    assert_eq!(rig.call(BAD, 300).unwrap(), []);
    assert_eq!(course(&rig.breaker.lift(at(400))), [(State::Closed, "override_ended")]);
    rig.calls(&[BAD, BAD], 500);
    let reset = rig.breaker.reset("false alarm", at(600));
    assert_eq!(reset[0].cause, Cause::Reset { reason: "false alarm".into() });
    assert_eq!(rig.calls(&[BAD, BAD], 700)[0].open_until, Some(at(1_700)), "no longer than the first time");
    assert_eq!(rig.breaker.view(at(700)).trips, 3);
    assert_eq!(*rig.breaker.policy(), quick());
}

#[test]
fn p43_an_override_acts_on_a_disabled_breaker_too_and_leaves_it_disabled() {
    let mut rig = Rig::new(BreakerPolicy { mode: Mode::Disabled, ..quick() });
    let order = Override { force: Force::Open, until: at(100), reason: "drill".into(), by: "me".into() };
    let _ = rig.breaker.force(order, at(0));
    assert_eq!(rig.call(OK, 99), Err(RefusedBy::Open));
    let ended = rig.tick(100);
    assert!(ended.iter().all(|transition| !transition.shadow), "{ended:?}");
    assert_eq!(rig.calls(&[BAD; 9], 101), []);
    assert_eq!(rig.breaker.view(at(101)).window.calls, 0);
}

#[test]
fn p56_a_probe_that_is_abandoned_gives_its_place_to_the_next_call() {
    let mut rig = Rig::open(quick());
    for now in 1_000..1_020 {
        let (probe, _) = rig.recorder.admit(at(now), &mut rig.rng);
        let busy = rig.recorder.check(at(now)).unwrap_err();
        assert_eq!((busy.by, busy.retry_after), (RefusedBy::ProbeBusy, millis(500)));
        drop(probe);
        assert!(rig.recorder.check(at(now)).is_ok());
    }
    assert!(rig.call(Outcome::Abandoned, 1_020).unwrap().is_empty(), "or recorded as abandoned");
    rig.calls(&[OK, OK], 1_021);
    assert_eq!(rig.breaker.state(), State::Closed);
}

#[test]
fn p56_half_open_ends_in_bounded_time_though_no_probe_ever_comes_back() {
    let rig = &mut Rig::open(quick());
    let mut lost = Vec::new();
    let mut seen = Vec::new();
    for now in 1_000..3_000 {
        let (probe, transitions) = rig.recorder.admit(at(now), &mut rig.rng);
        seen.extend(transitions);
        lost.extend(probe.ok().map(|probe| (now, probe)));
    }
    let times: Vec<u64> = lost.iter().map(|(now, _)| *now).collect();
    assert_eq!(times, [1_000, 1_500, 2_000, 2_500], "each lease is given to another when it ends");
    // Nobody ticks: the next call finds what was due, and the open time (not grown: nothing was learned) over as well.
    let (probe, transitions) = rig.recorder.admit(at(4_000), &mut rig.rng);
    seen.extend(transitions);
    let causes: Vec<_> = seen.iter().map(|it| (it.at, it.cause.token(), it.open_until)).collect();
    let expected = [
        (at(1_000), "open_time_over", None),
        (at(3_000), "probes_lost", Some(at(4_000))),
        (at(4_000), "open_time_over", None),
    ];
    assert_eq!(causes, expected);
    for (_, probe) in lost {
        assert!(probe.record(OK, at(4_001), &mut rig.rng).is_empty(), "too late to say anything");
    }
    assert_eq!(rig.breaker.view(at(4_001)).probes_out, 1);
    assert!(probe.unwrap().record(OK, at(4_002), &mut rig.rng).is_empty());
}

#[test]
fn p56_a_reclaimed_probe_that_comes_back_after_all_does_not_count_for_the_one_that_took_its_place() {
    let rig = &mut Rig::open(quick());
    let (lost, _) = rig.recorder.admit(at(1_000), &mut rig.rng);
    let (second, _) = rig.recorder.admit(at(1_500), &mut rig.rng);
    assert!(lost.unwrap().record(BAD, at(1_501), &mut rig.rng).is_empty());
    assert_eq!(rig.breaker.view(at(1_501)).probes_out, 1);
    drop(second);
    assert_eq!(rig.breaker.view(at(1_501)).probes_out, 0);
}

#[test]
fn half_open_without_calls_waits_for_them() {
    let mut rig = Rig::open(quick());
    rig.calls(&[OK], 1_000);
    assert_eq!((rig.tick(500_000), rig.breaker.deadline()), (vec![], None));
    rig.calls(&[OK], 500_001);
    assert_eq!(rig.breaker.state(), State::Closed);
}

#[test]
fn new_numbers_keep_the_state_and_what_they_can() {
    let mut rig = Rig::new(quick());
    rig.calls(&[OK, OK, BAD], 1);
    let longer = OpenPolicy { open_for: millis(60_000), max_open_for: millis(60_000), ..quick().open };
    assert!(rig.breaker.reconfigure(BreakerPolicy { open: longer, ..quick() }, at(2)).is_empty());
    let view = rig.breaker.view(at(2));
    assert_eq!((view.window.calls, view.consecutive_failures), (3, 1), "window and streak");
    assert_eq!(rig.call(BAD, 3).unwrap()[0].open_until, Some(at(60_003)));
    let _ = rig.breaker.reconfigure(quick(), at(4));
    assert_eq!(rig.breaker.view(at(4)).open_until, Some(at(4_003)), "cut to the longest time of now");
    let off = rig.breaker.reconfigure(BreakerPolicy { mode: Mode::Disabled, ..quick() }, at(5));
    assert_eq!(course(&off), [(State::Closed, "disabled")]);
    assert_eq!(rig.calls(&[BAD; 5], 6), []);
    assert_eq!(course(&rig.breaker.reconfigure(quick(), at(7))), [(State::Closed, "started")]);
    assert_eq!(rig.calls(&[BAD; 2], 8).len(), 1);
}

#[test]
fn another_window_starts_empty_and_a_call_counted_in_the_old_one_is_not_lost() {
    let slow = Some(SlowPolicy { slower_than: millis(100), percent: percent(100) });
    let trip = TripPolicy { slow, minimum_calls: 50, ..TripPolicy::default() };
    let policy = |window| BreakerPolicy { trip: trip.clone(), window, ..quick() };
    let rig = &mut Rig::new(policy(WindowPolicy::Calls(n(50))));
    let (hanging, _) = rig.recorder.admit(at(0), &mut rig.rng);
    let _ = rig.recorder.sweep(at(200), &mut rig.rng);
    let _ = rig.breaker.reconfigure(policy(WindowPolicy::Calls(n(60))), at(300));
    let (other, _) = rig.recorder.admit(at(300), &mut rig.rng);
    let _ = other.unwrap().record(OK, at(300), &mut rig.rng);
    let _ = hanging.unwrap().record(BAD, at(300), &mut rig.rng);
    assert_eq!(rig.breaker.view(at(300)).window, Tally { calls: 2, failures: 1, slow: 0 });
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
