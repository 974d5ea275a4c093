//! The breaker under real threads: bounded runs in which no probe too many is let through and no outcome is lost.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, HalfOpenPolicy, OpenPolicy, Percent, State, TripPolicy, WindowPolicy,
};
use fuseboard_core::{Instant, Outcome, Rng};

const OK: Outcome = Outcome::Success { status: 200 };
const BAD: Outcome = Outcome::Failure(fuseboard_core::FailureKind::Reset);

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

#[test]
fn p57_of_64_threads_at_the_instant_of_transition_as_many_probe_as_the_policy_says() {
    const THREADS: u32 = 64;
    const ROUNDS: u32 = 500;
    const PROBES: u32 = 3;
    let policy = BreakerPolicy {
        trip: TripPolicy { consecutive_failures: Some(n(1)), ..TripPolicy::default() },
        open: OpenPolicy { open_for: Duration::from_millis(1), factor: 1.0, ..OpenPolicy::default() },
        half_open: HalfOpenPolicy { probes: n(PROBES), ..HalfOpenPolicy::default() },
        ..BreakerPolicy::default()
    };
    let breaker = Breaker::new(policy, Instant::ZERO);
    let start = Barrier::new(THREADS as usize);
    let admitted = AtomicU32::new(0);
    // One failure opens it; each round ends with its probes failing, which opens it again.
    let (first, mut rng) = (breaker.recorder(), Rng::new(1));
    let _ = first.admit(Instant::ZERO, &mut rng).0.unwrap().record(BAD, Instant::ZERO, &mut rng);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (breaker, start, admitted) = (&breaker, &start, &admitted);
            scope.spawn(move || {
                let (recorder, mut rng) = (breaker.recorder(), Rng::new(thread.into()));
                for round in 1..=ROUNDS {
                    let now = Instant::from_millis(u64::from(round) * 10);
                    start.wait();
                    let (probe, _) = recorder.admit(now, &mut rng);
                    admitted.fetch_add(u32::from(probe.is_ok()), Ordering::SeqCst);
                    start.wait();
                    assert_eq!(admitted.load(Ordering::SeqCst), round * PROBES, "round {round}");
                    assert_eq!(breaker.view(now).probes_out, PROBES);
                    start.wait();
                    drop(probe.map(|probe| probe.record(BAD, now, &mut rng)));
                }
            });
        }
    });
    assert_eq!(breaker.view(Instant::ZERO).trips, u64::from(ROUNDS) + 1);
}

#[test]
fn no_outcome_is_lost_between_workers_that_keep_and_those_that_collect() {
    const CALLS: u64 = 20_000;
    for window in [
        WindowPolicy::Calls(n(65_536)),
        WindowPolicy::Time { length: Duration::from_secs(90), buckets: n(90) },
    ] {
        // One percent would open it, but there are never enough calls: so every failure looks at the whole.
        let trip =
            TripPolicy { failure_percent: Percent::new(1), minimum_calls: u32::MAX, ..TripPolicy::default() };
        let breaker = Breaker::new(BreakerPolicy { window, trip, ..BreakerPolicy::default() }, Instant::ZERO);
        let failures = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (breaker, failures) = (&breaker, &failures);
                scope.spawn(move || {
                    let (recorder, mut rng) = (breaker.recorder(), Rng::new(thread));
                    for call in 0..CALLS / 4 {
                        let now = Instant::from_millis(call);
                        let fails = rng.below(10) == 0;
                        failures.fetch_add(fails.into(), Ordering::Relaxed);
                        let ticket = recorder.admit(now, &mut rng).0.unwrap();
                        let opened = ticket.record(if fails { BAD } else { OK }, now, &mut rng);
                        assert!(opened.is_empty());
                        if call % 100 == 99 {
                            // The version of the policy changes under those who keep.
                            assert!(breaker.reconfigure((*breaker.policy()).clone(), now).is_empty());
                        }
                    }
                });
            }
        });
        let view = breaker.view(Instant::from_millis(CALLS / 4));
        assert_eq!((view.window.calls, view.window.failures), (CALLS, failures.into_inner()));
    }
}

#[test]
fn random_traffic_from_many_threads_never_holds_a_probe_too_many_and_does_not_wedge() {
    let policy = BreakerPolicy {
        trip: TripPolicy {
            consecutive_failures: Some(n(2)),
            failure_percent: Percent::new(60),
            ..TripPolicy::default()
        },
        open: OpenPolicy { open_for: Duration::from_millis(2), factor: 1.0, ..OpenPolicy::default() },
        half_open: HalfOpenPolicy {
            probes: n(2),
            successes: n(3),
            // No lease ends within the run, so that those out are those held.
            lease: Duration::from_secs(3_600),
            patience: Duration::from_secs(3_600),
        },
        ..BreakerPolicy::default()
    };
    let breaker = Breaker::new(policy, Instant::ZERO);
    let clock = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..8 {
            let (breaker, clock) = (Arc::clone(&breaker), &clock);
            scope.spawn(move || {
                let (recorder, mut rng) = (breaker.recorder(), Rng::new(thread));
                let mut held = Vec::new();
                for _ in 0..4_000 {
                    let now = Instant::from_nanos(clock.fetch_add(10_000, Ordering::SeqCst));
                    if let Ok(ticket) = recorder.admit(now, &mut rng).0 {
                        held.push(ticket);
                    }
                    if rng.below(3) > 0
                        && let Some(ticket) = held.pop()
                    {
                        match rng.below(4) {
                            0 => drop(ticket),
                            1 => drop(ticket.record(BAD, now, &mut rng)),
                            _ => drop(ticket.record(OK, now, &mut rng)),
                        }
                    }
                    assert!(breaker.view(now).probes_out <= 2);
                }
            });
        }
    });
    let (recorder, mut rng) = (breaker.recorder(), Rng::new(1));
    let mut now = Instant::from_nanos(clock.into_inner());
    for _ in 0..10 {
        now = now + Duration::from_millis(5);
        drop(recorder.admit(now, &mut rng).0.map(|ticket| ticket.record(OK, now, &mut rng)));
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.view(now).probes_out, 0);
}
