//! All interleavings of workers that choose among endpoints while the breaker of one changes its state: what is shared is its word,
//! its probes' leases, and the epoch that tells balancers to look again.
//! Runs with `RUSTFLAGS="--cfg loom"`; empty otherwise.
#![cfg(loom)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod race;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::balance::{Balancer, HostEntry, HostLoad, HostSet, LbPolicy, Taken};
use fuseboard_core::breaker::{Breaker, BreakerPolicy, OpenPolicy, Recorder, State, TripPolicy};
use fuseboard_core::outlier::HealthEpoch;
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use race::{model, race};

const OK: Outcome = Outcome::Success { status: 200 };
const BAD: Outcome = Outcome::Failure(FailureKind::Reset);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Two hosts, of which the first has a breaker that one failure opens for 10 ms.
#[derive(Clone)]
struct Pair {
    breaker: Arc<Breaker>,
    set: Arc<HostSet>,
    epoch: Arc<HealthEpoch>,
}

impl Pair {
    fn new() -> Self {
        let policy = BreakerPolicy {
            trip: TripPolicy { consecutive_failures: NonZeroU32::new(1), ..TripPolicy::default() },
            open: OpenPolicy {
                open_for: Duration::from_millis(10),
                jitter_percent: 0,
                ..OpenPolicy::default()
            },
            ..BreakerPolicy::default()
        };
        let breaker = Breaker::new(policy, at(0));
        let entry = |breaker| HostEntry {
            weight: NonZeroU32::MIN,
            healthy: true,
            load: Arc::new(HostLoad::default()),
            monitor: None,
            breaker,
        };
        let epoch = Arc::new(HealthEpoch::default());
        let hosts = vec![entry(Some(Arc::clone(&breaker))), entry(None)];
        let set = Arc::new(HostSet::new(hosts, 0, Arc::clone(&epoch)));
        Self { breaker, set, epoch }
    }

    /// What a worker chooses with; made and dropped outside the race, so that there is less to interleave.
    fn worker(&self) -> Worker {
        let balancer = Balancer::new(LbPolicy::RoundRobin, Arc::clone(&self.set));
        Worker {
            recorder: self.breaker.recorder(),
            balancer,
            rng: Rng::new(1),
            epoch: Arc::clone(&self.epoch),
        }
    }

    fn open(&self) {
        let (recorder, mut rng) = (self.breaker.recorder(), Rng::new(1));
        let ticket = recorder.admit(at(0), &mut rng).0.unwrap();
        assert_eq!(ticket.record(BAD, at(0), &mut rng).len(), 1);
        self.epoch.advance();
    }
}

struct Worker {
    recorder: Recorder,
    balancer: Balancer,
    rng: Rng,
    epoch: Arc<HealthEpoch>,
}

impl Worker {
    /// One choice, and what became of the call if it went to the first host; `None`: it never ends.
    fn call(&mut self, outcome: Option<Outcome>, now: u64) -> usize {
        let Self { recorder, balancer, rng, epoch } = self;
        // The first host, where there is a choice.
        let taken = balancer.pick_willing(
            |host| host == 1,
            8,
            at(now),
            rng,
            |host, rng| {
                if host == 1 {
                    return Ok(None);
                }
                let (ticket, transitions) = recorder.admit(at(now), rng);
                if !transitions.is_empty() {
                    epoch.advance();
                }
                ticket.map(Some)
            },
        );
        let Taken::Host { index, ticket, .. } = taken else { panic!("the other host is always there") };
        match (ticket, outcome) {
            (Some(ticket), Some(outcome)) => {
                if !ticket.record(outcome, at(now), rng).is_empty() {
                    epoch.advance();
                }
            }
            (ticket, _) => std::mem::forget(ticket),
        }
        index
    }
}

/// What happens in the race; the worker comes back from it.
fn calls(mut worker: Worker, outcome: Option<Outcome>, now: u64) -> impl FnOnce() -> (usize, Worker) + Send {
    move || (worker.call(outcome, now), worker)
}

#[test]
fn p57_of_two_workers_that_choose_when_the_open_time_is_over_one_probes_and_the_other_goes_on() {
    model(2, |main| {
        let pair = Pair::new();
        pair.open();
        let ((one, _own), (two, _other)) =
            race(main, calls(pair.worker(), None, 20), calls(pair.worker(), None, 20));
        assert_eq!(one + two, 1, "one there, and one on to the other host");
        assert_eq!(pair.breaker.view(at(20)).probes_out, 1);
    });
}

#[test]
fn who_chooses_after_the_trip_is_known_never_gets_the_host_and_before_that_nobody_gets_a_ticket() {
    model(2, |main| {
        let pair = Pair::new();
        let (own, mut other) = (pair.clone(), pair.worker());
        let failing = own.breaker.recorder();
        let trips = move || {
            let mut rng = Rng::new(1);
            let ticket = failing.admit(at(0), &mut rng).0.unwrap();
            assert_eq!(ticket.record(BAD, at(0), &mut rng).len(), 1);
            own.epoch.advance();
            failing
        };
        let asks = move || {
            let before = other.epoch.current();
            let host = other.call(Some(OK), 1);
            (before, host, other)
        };
        let (_failing, (epoch, host, _other)) = race(main, trips, asks);
        assert_eq!(pair.breaker.state(), State::Open);
        assert!(epoch == 0 || host == 1, "the epoch comes after the word");
        assert_eq!(pair.worker().call(Some(OK), 2), 1);
    });
}

#[test]
fn a_probe_that_succeeds_while_another_worker_chooses_leaves_nobody_refused() {
    model(2, |main| {
        let pair = Pair::new();
        pair.open();
        let (own, other) = (pair.worker(), pair.worker());
        let _back = race(main, calls(own, Some(OK), 20), calls(other, Some(OK), 20));
        assert_eq!(pair.breaker.view(at(20)).probes_out, 0);
        assert!(pair.breaker.state() != State::HalfOpen || pair.breaker.peek(at(20)).is_ok());
    });
}
