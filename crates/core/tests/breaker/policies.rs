//! A policy in the place of another.

use fuseboard_core::breaker::{
    BreakerPolicy, Mode, OpenPolicy, SlowPolicy, State, Tally, TripPolicy, WindowPolicy,
};

use crate::rig::*;

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
