//! Decides when a breaker opens, lets probes through, and closes. One thread at a time; sharing it between workers is
//! `shared`'s matter. Every change of phase goes through [`Machine::enter`], which begins a new generation: what began
//! under an older one says nothing (P44, P56).

use std::sync::Arc;
use std::time::Duration;

use super::half_open::{HalfOpen, LeaseId};
use super::open::{Backoff, longest};
use super::ramp::Ramp;
use super::window::{RecentFailures, RecordId, Sample, Window};
use super::{
    BreakerPolicy, BreakerView, Cause, Force, Mode, Override, Refusal, RefusedBy, State, Transition,
    Transitions, Verdict,
};
use crate::rng::Rng;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Machine {
    policy: Arc<BreakerPolicy>,
    phase: Phase,
    generation: u32,
    since: Instant,
    cause: Cause,
    window: Window,
    failures: RecentFailures,
    /// Failures in a row; counted only if the policy asks.
    streak: u32,
    backoff: Backoff,
    trips: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The policy is switched off.
    Off,
    Closed,
    /// Closed, with growing parts of the traffic.
    Ramp(Ramp),
    ForcedClosed(Override),
    Open {
        until: Instant,
        forced: Option<Override>,
    },
    HalfOpen(HalfOpen),
}

/// What a call that is let through is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Its outcome counts; as a probe's, if it has a lease.
    Counted(Option<LeaseId>),
    /// Its outcome is not asked for.
    Silent,
}

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) generation: u32,
    pub(super) lease: Option<LeaseId>,
    pub(super) verdict: Verdict,
    pub(super) slow: bool,
    /// It was counted as slow in flight.
    pub(super) counted: Option<RecordId>,
}

impl Ended {
    /// Whether the window learns nothing from it: it was counted as slow in flight, and did not fail.
    pub(super) fn is_known(&self) -> bool {
        self.counted.is_some() && self.verdict != Verdict::Failure
    }
}

impl Phase {
    pub(super) const fn state(&self) -> State {
        match self {
            Self::Off | Self::Closed | Self::Ramp(_) | Self::ForcedClosed(_) => State::Closed,
            Self::Open { .. } => State::Open,
            Self::HalfOpen(_) => State::HalfOpen,
        }
    }

    fn forced(&self) -> Option<&Override> {
        match self {
            Self::ForcedClosed(forced) | Self::Open { forced: Some(forced), .. } => Some(forced),
            Self::Off | Self::Closed | Self::Ramp(_) | Self::Open { .. } | Self::HalfOpen(_) => None,
        }
    }
}

impl Machine {
    pub(super) fn new(policy: BreakerPolicy, now: Instant) -> Self {
        let window = Window::new(&policy.window);
        let policy = Arc::new(policy);
        Self {
            phase: at_rest(&policy),
            policy,
            generation: 0,
            since: now,
            cause: Cause::Started,
            window,
            failures: RecentFailures::default(),
            streak: 0,
            backoff: Backoff::default(),
            trips: 0,
        }
    }

    pub(super) fn policy(&self) -> &Arc<BreakerPolicy> {
        &self.policy
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// The override in force, as far as anybody has looked.
    pub(super) fn forced(&self) -> Option<&Override> {
        self.phase.forced()
    }

    /// A success must be told at once, to end the streak.
    pub(super) fn has_streak(&self) -> bool {
        self.streak > 0
    }

    /// Whether a refusal is a refusal.
    pub(super) fn acts(&self) -> bool {
        self.policy.mode != Mode::Shadow || self.phase.forced().is_some()
    }

    /// Before this nobody is let through (open, half-open), or nothing runs out (forced closed).
    pub(super) fn not_before(&self) -> Instant {
        match &self.phase {
            Phase::Off | Phase::Closed | Phase::Ramp(_) => Instant::ZERO,
            Phase::ForcedClosed(forced) => forced.until,
            Phase::Open { until, .. } => *until,
            Phase::HalfOpen(half) => half.busy_until(&self.policy.half_open).unwrap_or(Instant::ZERO),
        }
    }

    /// When [`Self::advance`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Off | Phase::Closed | Phase::Open { forced: None, .. } => None,
            Phase::Ramp(ramp) => Some(ramp.ends(&self.policy.ramp)),
            Phase::ForcedClosed(forced) | Phase::Open { forced: Some(forced), .. } => Some(forced.until),
            Phase::HalfOpen(half) => half.deadline(&self.policy.half_open),
        }
    }

    /// What time alone brings about. A transition bears the time at which it was due, however late it is noticed.
    pub(super) fn advance(&mut self, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        match &mut self.phase {
            Phase::Off | Phase::Closed | Phase::Open { forced: None, .. } => {}
            Phase::Ramp(ramp) => {
                let ends = ramp.ends(&self.policy.ramp);
                if now >= ends {
                    self.enter(Phase::Closed, Cause::RampCompleted, ends, out);
                }
            }
            Phase::ForcedClosed(forced) | Phase::Open { forced: Some(forced), .. } => {
                let until = forced.until;
                if now >= until {
                    self.lift(until, out);
                }
            }
            Phase::HalfOpen(half) => {
                let ends = half.ends(&self.policy.half_open);
                half.reclaim(now);
                if let Some(ends) = ends.filter(|ends| now >= *ends) {
                    let time = self.backoff.repeat(&self.policy.open, rng);
                    self.open(time, Cause::ProbesLost, ends, out);
                }
            }
        }
    }

    /// Whether a call is in the part of the traffic that the ramp lets through; always, without a ramp.
    pub(super) fn admit_to_ramp(&mut self, now: Instant) -> Result<(), Refusal> {
        let Phase::Ramp(ramp) = &mut self.phase else { return Ok(()) };
        let policy = &self.policy.ramp;
        if now >= ramp.ends(policy) || ramp.admit(policy, now) {
            return Ok(());
        }
        let retry_after = ramp.next_step(policy, now).saturating_since(now);
        Err(Refusal { by: RefusedBy::Ramp, retry_after })
    }

    /// Lets a call through, or refuses it. `on_ramp`: the ramp of this generation has let it through before.
    pub(super) fn admit(
        &mut self,
        on_ramp: bool,
        now: Instant,
        rng: &mut Rng,
        out: &mut Transitions,
    ) -> Result<Admission, Refusal> {
        self.advance(now, rng, out);
        if let Phase::Open { until, .. } = self.phase {
            if now < until {
                return Err(Refusal { by: RefusedBy::Open, retry_after: until.saturating_since(now) });
            }
            self.enter(Phase::HalfOpen(HalfOpen::default()), Cause::OpenTimeOver, now, out);
        }
        match &mut self.phase {
            Phase::Off | Phase::ForcedClosed(_) => Ok(Admission::Silent),
            Phase::Closed => Ok(Admission::Counted(None)),
            Phase::Ramp(_) if on_ramp => Ok(Admission::Counted(None)),
            Phase::Ramp(_) => self.admit_to_ramp(now).map(|()| Admission::Counted(None)),
            Phase::Open { until, .. } => {
                Err(Refusal { by: RefusedBy::Open, retry_after: until.saturating_since(now) })
            }
            Phase::HalfOpen(half) => match half.take(&self.policy.half_open, now) {
                Ok(lease) => Ok(Admission::Counted(Some(lease))),
                Err(until) => {
                    Err(Refusal { by: RefusedBy::ProbeBusy, retry_after: until.saturating_since(now) })
                }
            },
        }
    }

    /// A probe went away without a result.
    pub(super) fn give_back(&mut self, generation: u32, lease: LeaseId) {
        if let Phase::HalfOpen(half) = &mut self.phase
            && generation == self.generation
        {
            half.give_back(lease);
        }
    }

    /// Calls that succeeded, were not slow, and met no streak; of this generation.
    pub(super) fn count_good(&mut self, count: u32, at: Instant) {
        self.window.push_many(Sample::default(), count, at);
    }

    /// Counts a call that ended. A closed breaker is to be [`Self::judge`]d then; a probe's result takes effect at once.
    pub(super) fn count(&mut self, ended: Ended, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        if ended.generation != self.generation {
            return;
        }
        match &mut self.phase {
            Phase::Off | Phase::ForcedClosed(_) | Phase::Open { .. } => {}
            Phase::Closed => self.count_closed(ended, now),
            Phase::Ramp(ramp) => {
                if ended.counted.is_none() && ended.verdict != Verdict::Ignored {
                    ramp.count(ended.slow || ended.verdict == Verdict::Failure);
                }
                self.count_closed(ended, now);
            }
            Phase::HalfOpen(half) => {
                // A lease that was reclaimed has been given to another probe; only that one is asked.
                if ended.lease.is_some_and(|lease| half.give_back(lease)) {
                    self.count_probe(ended, now, rng, out);
                }
            }
        }
    }

    fn count_closed(&mut self, ended: Ended, now: Instant) {
        let failed = match ended.verdict {
            Verdict::Ignored => return,
            Verdict::Success => {
                self.streak = 0;
                false
            }
            Verdict::Failure => {
                if self.policy.trip.consecutive_failures.is_some() {
                    self.streak = self.streak.saturating_add(1);
                }
                if let Some(policy) = self.policy.trip.failures {
                    self.failures.push(policy, now);
                }
                true
            }
        };
        match ended.counted {
            None => {
                self.window.push(Sample { failed, slow: ended.slow }, now);
            }
            Some(id) if failed => self.window.fail(id, now),
            Some(_) => {}
        }
    }

    fn count_probe(&mut self, ended: Ended, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        let Phase::HalfOpen(half) = &mut self.phase else { return };
        match ended.verdict {
            Verdict::Ignored => {}
            Verdict::Failure => self.trip(Cause::ProbeFailed, now, rng, out),
            Verdict::Success if ended.slow => self.trip(Cause::ProbeSlow, now, rng, out),
            Verdict::Success => {
                half.succeed(now);
                let count = half.successes;
                if count >= self.policy.half_open.successes.get() {
                    let ramps = self.policy.ramp.ramp_for > Duration::ZERO;
                    let phase = if ramps { Phase::Ramp(Ramp::new(now)) } else { Phase::Closed };
                    self.enter(phase, Cause::ProbesSucceeded { count }, now, out);
                }
            }
        }
    }

    /// A call in flight passed the bound on slowness; where it was counted, if it was.
    pub(super) fn count_slow_in_flight(
        &mut self,
        generation: u32,
        lease: Option<LeaseId>,
        now: Instant,
        rng: &mut Rng,
        out: &mut Transitions,
    ) -> Option<RecordId> {
        if generation != self.generation {
            return None;
        }
        match &mut self.phase {
            Phase::Off | Phase::ForcedClosed(_) | Phase::Open { .. } => return None,
            Phase::Closed => {}
            Phase::Ramp(ramp) => ramp.count(true),
            Phase::HalfOpen(half) => {
                if lease.is_some_and(|lease| half.give_back(lease)) {
                    self.trip(Cause::ProbeSlow, now, rng, out);
                }
                return None;
            }
        }
        Some(self.window.push(Sample { failed: false, slow: true }, now))
    }

    /// Whether [`Self::judge`] might open by a percentage. Good calls that workers have not handed over yet only lower
    /// percentages, so without suspicion nobody needs to ask for them.
    pub(super) fn suspects(&mut self, now: Instant) -> bool {
        matches!(self.phase, Phase::Closed) && self.excess(now).is_some()
    }

    /// Opens a closed breaker if a trip condition is met.
    pub(super) fn judge(&mut self, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        let trip = &self.policy.trip;
        let failed_on_ramp = match &self.phase {
            Phase::Ramp(ramp) => ramp
                .has_failed(&self.policy.ramp)
                .then_some(Cause::RampFailed { calls: ramp.calls, bad: ramp.bad }),
            Phase::Closed => None,
            Phase::Off | Phase::ForcedClosed(_) | Phase::Open { .. } | Phase::HalfOpen(_) => return,
        };
        let streak = trip.consecutive_failures.filter(|count| self.streak >= count.get());
        let failures = trip.failures.filter(|policy| self.failures.is_reached(*policy));
        let cause = failed_on_ramp
            .or(streak.map(|_| Cause::ConsecutiveFailures { count: self.streak }))
            .or(failures.map(|policy| Cause::Failures { count: policy.count.get() }))
            .or_else(|| {
                let (cause, calls) = self.excess(now)?;
                (calls >= self.minimum_calls()).then_some(cause)
            });
        if let Some(cause) = cause {
            self.trip(cause, now, rng, out);
        }
    }

    /// The percentage that is exceeded, of however many calls.
    fn excess(&mut self, now: Instant) -> Option<(Cause, u64)> {
        let tally = self.window.tally(now);
        let trip = &self.policy.trip;
        let failed =
            trip.failure_percent.is_some_and(|percent| percent.is_reached(tally.failures, tally.calls));
        let slow = trip.slow.is_some_and(|slow| slow.percent.is_reached(tally.slow, tally.calls));
        let cause = failed
            .then_some(Cause::FailurePercent(tally))
            .or_else(|| slow.then_some(Cause::SlowPercent(tally)))?;
        Some((cause, tally.calls))
    }

    fn minimum_calls(&self) -> u64 {
        let minimum = self.policy.trip.minimum_calls;
        match self.policy.window.bucket_nanos() {
            None => minimum.min(self.policy.window.slots()).into(),
            Some(_) => minimum.into(),
        }
    }

    fn trip(&mut self, cause: Cause, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        self.leave_closed(now);
        self.trips += 1;
        let time = self.backoff.grow(&self.policy.open, rng);
        self.open(time, cause, now, out);
    }

    fn open(&mut self, time: Duration, cause: Cause, now: Instant, out: &mut Transitions) {
        self.enter(Phase::Open { until: now + time, forced: None }, cause, now, out);
    }

    /// Time spent closed takes growth of open times back, whatever ends it: a trip, or an order by hand.
    fn leave_closed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Closed | Phase::Ramp(_)) {
            self.backoff.decay(&self.policy.open, now.saturating_since(self.since));
        }
    }

    /// The only way from one phase to another.
    fn enter(&mut self, phase: Phase, cause: Cause, at: Instant, out: &mut Transitions) {
        let (from, to) = (self.phase.state(), phase.state());
        let open_until = if let Phase::Open { until, .. } = phase { Some(until) } else { None };
        self.phase = phase;
        // The end of the ramp changes nothing for the calls in flight, nor how long it has been closed.
        if cause != Cause::RampCompleted {
            self.generation = self.generation.wrapping_add(1);
            self.since = at;
            self.window.clear();
            self.failures.clear();
            self.streak = 0;
        }
        self.cause = cause.clone();
        out.push(Transition { from, to, at, cause, open_until, shadow: !self.acts() });
    }

    /// Puts an override above everything, in the place of another one; one that has run out is no override.
    pub(super) fn force(&mut self, order: Override, now: Instant, out: &mut Transitions) {
        if order.until <= now {
            return;
        }
        self.leave_closed(now);
        let cause = Cause::Forced(order.clone());
        let phase = match order.force {
            Force::Open => Phase::Open { until: order.until, forced: Some(order) },
            Force::Closed => Phase::ForcedClosed(order),
        };
        self.enter(phase, cause, now, out);
    }

    /// Ends an override.
    pub(super) fn lift(&mut self, now: Instant, out: &mut Transitions) {
        let Some(order) = self.phase.forced().cloned() else { return };
        let probes = order.force == Force::Open && self.policy.mode != Mode::Disabled;
        let phase = if probes { Phase::HalfOpen(HalfOpen::default()) } else { at_rest(&self.policy) };
        self.enter(phase, Cause::OverrideEnded(order), now, out);
    }

    /// Closes, forgets everything but the number of trips, and ends an override.
    pub(super) fn reset(&mut self, reason: Arc<str>, now: Instant, out: &mut Transitions) {
        self.backoff = Backoff::default();
        self.enter(at_rest(&self.policy), Cause::Reset { reason }, now, out);
    }

    /// Other numbers, in place; see [`super::Breaker::reconfigure`].
    pub(super) fn reconfigure(&mut self, policy: BreakerPolicy, now: Instant, out: &mut Transitions) {
        if policy.window != self.policy.window {
            self.window.replace(&policy.window);
        }
        if policy.trip.consecutive_failures.is_none() {
            self.streak = 0;
        }
        if policy.trip.failures.is_none() {
            self.failures.clear();
        }
        if policy.mode == Mode::Disabled {
            self.backoff = Backoff::default();
        }
        self.policy = Arc::new(policy);
        let longest = longest(&self.policy.open);
        match &mut self.phase {
            Phase::Off if self.policy.mode != Mode::Disabled => {
                self.enter(Phase::Closed, Cause::Started, now, out);
            }
            Phase::Closed | Phase::Ramp(_) | Phase::Open { forced: None, .. } | Phase::HalfOpen(_)
                if self.policy.mode == Mode::Disabled =>
            {
                self.enter(Phase::Off, Cause::Disabled, now, out);
            }
            Phase::Open { until, forced: None } => *until = (*until).min(self.since + longest),
            Phase::Off
            | Phase::Closed
            | Phase::Ramp(_)
            | Phase::ForcedClosed(_)
            | Phase::Open { .. }
            | Phase::HalfOpen(_) => {}
        }
    }

    pub(super) fn view(&mut self, now: Instant) -> BreakerView {
        let (probes_out, good_probes) = match &self.phase {
            Phase::HalfOpen(half) => (half.probes_out(), half.successes),
            Phase::Off | Phase::Closed | Phase::Ramp(_) | Phase::ForcedClosed(_) | Phase::Open { .. } => {
                (0, 0)
            }
        };
        BreakerView {
            mode: self.policy.mode,
            state: self.phase.state(),
            since: self.since,
            cause: self.cause.clone(),
            window: self.window.tally(now),
            consecutive_failures: self.streak,
            probes_out,
            good_probes,
            open_until: if let Phase::Open { until, .. } = self.phase { Some(until) } else { None },
            traffic_percent: self.traffic_percent(now),
            trips: self.trips,
            would_have_refused: 0,
            forced: self.phase.forced().cloned(),
        }
    }

    fn traffic_percent(&self, now: Instant) -> u8 {
        match &self.phase {
            Phase::Off | Phase::Closed | Phase::ForcedClosed(_) => 100,
            Phase::Ramp(ramp) => ramp.percent(&self.policy.ramp, now),
            Phase::Open { .. } | Phase::HalfOpen(_) => 0,
        }
    }
}

/// What a breaker is when there is nothing against its destination.
fn at_rest(policy: &BreakerPolicy) -> Phase {
    match policy.mode {
        Mode::Disabled => Phase::Off,
        Mode::Enforce | Mode::Shadow => Phase::Closed,
    }
}
