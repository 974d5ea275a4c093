//! A breaker with one worker, and policies of small numbers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, HalfOpenPolicy, OpenPolicy, Percent, Recorder, RefusedBy, State, Transition,
    TripPolicy,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};

pub(crate) const OK: Outcome = Outcome::Success { status: 200 };
pub(crate) const BAD: Outcome = Outcome::Failure(FailureKind::Status(503));

pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

pub(crate) fn percent(number: u8) -> Percent {
    Percent::new(number).unwrap()
}

/// Two failures in a row open it for a second, then two, then four; two good probes close it.
pub(crate) fn quick() -> BreakerPolicy {
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

pub(crate) fn half_failed(calls: u32) -> TripPolicy {
    TripPolicy { failure_percent: Some(percent(50)), minimum_calls: calls, ..TripPolicy::default() }
}

/// One worker.
pub(crate) struct Rig {
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) recorder: Recorder,
    pub(crate) rng: Rng,
}

impl Rig {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        let breaker = Breaker::new(policy, at(0));
        Self { recorder: breaker.recorder(), breaker, rng: Rng::new(1) }
    }

    /// A call from its admission to its end, at once.
    pub(crate) fn call(&mut self, outcome: Outcome, now: u64) -> Result<Vec<Transition>, RefusedBy> {
        self.call_for(outcome, now, now)
    }

    pub(crate) fn call_for(
        &mut self,
        outcome: Outcome,
        from: u64,
        to: u64,
    ) -> Result<Vec<Transition>, RefusedBy> {
        let (ticket, mut transitions) = self.recorder.admit(at(from), &mut self.rng);
        let ticket = ticket.map_err(|refusal| refusal.by)?;
        transitions.extend(ticket.record(outcome, at(to), &mut self.rng));
        transitions.extend(self.recorder.sweep(at(to), &mut self.rng));
        Ok(transitions)
    }

    pub(crate) fn calls(&mut self, outcomes: &[Outcome], now: u64) -> Vec<Transition> {
        outcomes.iter().flat_map(|outcome| self.call(*outcome, now).unwrap()).collect()
    }

    pub(crate) fn open(policy: BreakerPolicy) -> Self {
        let mut rig = Self::new(policy);
        rig.calls(&[BAD, BAD], 0);
        assert_eq!(rig.breaker.state(), State::Open);
        rig
    }

    pub(crate) fn tick(&mut self, now: u64) -> Vec<Transition> {
        self.breaker.tick(at(now), &mut self.rng)
    }
}

pub(crate) fn course(transitions: &[Transition]) -> Vec<(State, &'static str)> {
    transitions.iter().map(|transition| (transition.to, transition.cause.token())).collect()
}
