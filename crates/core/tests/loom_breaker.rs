//! All interleavings of workers at the moments in which a breaker changes its state.
//! Runs with `RUSTFLAGS="--cfg loom"`; empty otherwise.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod race;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, HalfOpenPolicy, OpenPolicy, Percent, State, TripPolicy,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use loom::sync::atomic::{AtomicBool, Ordering};
use race::{model, race};

const OK: Outcome = Outcome::Success { status: 200 };
const BAD: Outcome = Outcome::Failure(FailureKind::Status(500));

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn policy(consecutive_failures: u32) -> BreakerPolicy {
    BreakerPolicy {
        trip: TripPolicy { consecutive_failures: Some(n(consecutive_failures)), ..TripPolicy::default() },
        open: OpenPolicy { open_for: Duration::from_millis(10), jitter_percent: 0, ..OpenPolicy::default() },
        half_open: HalfOpenPolicy { lease: Duration::from_millis(5), ..HalfOpenPolicy::default() },
        ..BreakerPolicy::default()
    }
}

/// One call of a worker of its own; whether it was let through, and how many transitions came of it.
fn call(breaker: &Arc<Breaker>, outcome: Outcome, now: u64) -> (bool, usize) {
    let (recorder, mut rng) = (breaker.recorder(), Rng::new(1));
    let (ticket, transitions) = recorder.admit(at(now), &mut rng);
    match ticket {
        Ok(ticket) => (true, transitions.len() + ticket.record(outcome, at(now), &mut rng).len()),
        Err(_) => (false, transitions.len()),
    }
}

fn open() -> Arc<Breaker> {
    let breaker = Breaker::new(policy(1), at(0));
    assert_eq!(call(&breaker, BAD, 0), (true, 1));
    breaker
}

#[test]
fn failures_that_race_open_it_once() {
    model(2, |main| {
        let breaker = Breaker::new(policy(2), at(0));
        let other = Arc::clone(&breaker);
        let own = Arc::clone(&breaker);
        let (one, two) = race(main, move || call(&own, BAD, 1), move || call(&other, BAD, 1));
        assert_eq!(one.1 + two.1, 1);
        assert_eq!((breaker.state(), breaker.view(at(1)).trips), (State::Open, 1));
    });
}

#[test]
fn a_success_either_ends_the_streak_or_comes_before_it() {
    model(2, |main| {
        let breaker = Breaker::new(policy(3), at(0));
        assert_eq!(call(&breaker, BAD, 0), (true, 0));
        let (own, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        race(main, move || call(&own, OK, 1), move || call(&other, BAD, 1));
        // Before the race there was a streak, so the success ends it: never both failures.
        assert!(breaker.view(at(1)).consecutive_failures <= 1);
    });
}

#[test]
fn p57_one_lease_goes_to_one_of_two_that_race_for_it() {
    model(2, |main| {
        let breaker = open();
        let take = |breaker: Arc<Breaker>| {
            move || {
                let (recorder, mut rng) = (breaker.recorder(), Rng::new(1));
                let (probe, _) = recorder.admit(at(20), &mut rng);
                // Never comes back: forgetting it keeps the lease out.
                let taken = probe.is_ok();
                std::mem::forget(probe);
                taken
            }
        };
        let (one, two) = race(main, take(Arc::clone(&breaker)), take(Arc::clone(&breaker)));
        assert!(one ^ two, "one of them");
        assert_eq!(breaker.view(at(20)).probes_out, 1);
        assert!(call(&breaker, OK, 25).0, "and its place is free when the lease ends");
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn p56_a_probe_that_is_dropped_while_another_asks_never_leaves_the_place_taken() {
    model(2, |main| {
        let breaker = open();
        let (own, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        let drops = move || {
            let (recorder, mut rng) = (own.recorder(), Rng::new(1));
            drop(recorder.admit(at(20), &mut rng));
        };
        race(main, drops, move || call(&other, Outcome::Abandoned, 20));
        assert_eq!(breaker.view(at(20)).probes_out, 0);
        assert!(call(&breaker, OK, 20).0);
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn who_learns_of_the_trip_is_refused() {
    model(2, |main| {
        let breaker = Breaker::new(policy(1), at(0));
        let told = Arc::new(AtomicBool::new(false));
        let (own, other, hears) = (Arc::clone(&breaker), Arc::clone(&breaker), Arc::clone(&told));
        let trips = move || {
            call(&own, BAD, 1);
            told.store(true, Ordering::Relaxed);
            own.state()
        };
        let asks = move || {
            let recorder = other.recorder();
            // Even a caller who was told on a channel without any ordering, if it has seen the word since.
            let seen = other.state() == State::Open;
            let _ = hears.load(Ordering::Relaxed);
            (seen, recorder.check(at(2)).is_err())
        };
        let (state, (seen, refused)) = race(main, trips, asks);
        assert_eq!(state, State::Open);
        assert!(!seen || refused, "once seen, the trip is never unseen");
        assert!(breaker.recorder().check(at(2)).is_err());
    });
}

#[test]
fn a_good_call_that_is_kept_while_another_worker_collects_is_counted_once() {
    model(2, |main| {
        let trip = TripPolicy { failure_percent: Percent::new(1), minimum_calls: 9, ..TripPolicy::default() };
        let breaker = Breaker::new(BreakerPolicy { trip, ..BreakerPolicy::default() }, at(0));
        let (own, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        let keeps = move || {
            let (recorder, mut rng) = (own.recorder(), Rng::new(1));
            for _ in 0..2 {
                let ticket = recorder.admit(at(1), &mut rng).0.unwrap();
                assert!(ticket.record(OK, at(1), &mut rng).is_empty());
            }
            assert!(recorder.sweep(at(1), &mut rng).is_empty());
        };
        race(main, keeps, move || call(&other, BAD, 1));
        let window = breaker.view(at(1)).window;
        assert_eq!((window.calls, window.failures), (3, 1));
    });
}

#[test]
fn a_call_from_before_the_trip_does_not_open_it_after_the_reset() {
    model(2, |main| {
        let breaker = Breaker::new(policy(1), at(0));
        let began = Arc::new(AtomicBool::new(false));
        let (own, other, seen) = (Arc::clone(&breaker), Arc::clone(&breaker), Arc::clone(&began));
        let late = move || {
            let (recorder, mut rng) = (own.recorder(), Rng::new(1));
            let ticket = recorder.admit(at(0), &mut rng).0.ok();
            began.store(true, Ordering::Release);
            ticket.map(|ticket| ticket.record(BAD, at(1), &mut rng).len())
        };
        let resets = move || {
            let began = seen.load(Ordering::Acquire);
            call(&other, BAD, 1);
            assert_eq!(other.reset("over", at(2)).len(), 1);
            began
        };
        let (_, began_before) = race(main, late, resets);
        if began_before {
            assert_eq!(breaker.state(), State::Closed);
        }
    });
}
