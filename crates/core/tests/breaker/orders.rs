//! Shadow mode, and orders of a person.

use fuseboard_core::Rng;
use fuseboard_core::breaker::{
    BreakerPolicy, Cause, Force, Mode, OpenPolicy, Override, RampPolicy, RefusedBy, State, Transition,
    TripPolicy,
};

use crate::rig::*;

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
