//! From open back to closed: open times, probes, the ramp.

use fuseboard_core::Outcome;
use fuseboard_core::breaker::{BreakerPolicy, Cause, Force, Override, RampPolicy, RefusedBy, State};

use crate::rig::*;

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
