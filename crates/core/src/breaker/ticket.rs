//! One call on its way: its outcome is told once, or never.

use super::front::{Gist, Sign};
use super::half_open::LeaseId;
use super::in_flight::Place;
use super::machine::Ended;
use super::shared::stamp;
use super::window::RecordId;
use super::{Recorder, Transitions, Verdict};
use crate::outcome::Outcome;
use crate::rng::Rng;
use crate::time::Instant;

/// A call that may be sent. Recorded once; dropped without, it was abandoned, says nothing, and gives back its lease.
///
/// It is taken back once, because it cannot be copied:
/// ```compile_fail,E0382
/// # use fuseboard_core::{Instant, Outcome, Rng, breaker::{Breaker, BreakerPolicy}};
/// # let mut rng = Rng::new(1);
/// let recorder = Breaker::new(BreakerPolicy::default(), Instant::ZERO).recorder();
/// let ticket = recorder.admit(Instant::ZERO, &mut rng).0.unwrap();
/// ticket.record(Outcome::of_status(500), Instant::ZERO, &mut rng);
/// ticket.record(Outcome::of_status(500), Instant::ZERO, &mut rng);
/// ```
#[derive(Debug)]
#[must_use = "the outcome must come back through `record`"]
pub struct Ticket<'a> {
    recorder: &'a Recorder,
    /// `None`: the outcome is not asked for.
    generation: Option<u32>,
    began: Instant,
    lease: Option<LeaseId>,
    place: Option<Place>,
}

impl<'a> Ticket<'a> {
    pub(super) const fn new(
        recorder: &'a Recorder,
        generation: u32,
        lease: Option<LeaseId>,
        place: Option<Place>,
        began: Instant,
    ) -> Self {
        Self { recorder, generation: Some(generation), began, lease, place }
    }

    pub(super) const fn silent(recorder: &'a Recorder) -> Self {
        Self { recorder, generation: None, began: Instant::ZERO, lease: None, place: None }
    }

    /// Whether this call decides, with others, whether the breaker closes.
    pub const fn is_probe(&self) -> bool {
        self.lease.is_some()
    }

    /// Tells what became of the call. A call that began in an older state says nothing.
    pub fn record(mut self, outcome: Outcome, now: Instant, rng: &mut Rng) -> Transitions {
        let counted = self.leave();
        let sign = self.recorder.breaker.sign();
        // A lease ends with its generation.
        let lease = self.lease.take();
        let mut out = Transitions::new();
        if self.generation != Some(sign.generation) {
            return out;
        }
        let ended = self.ended(sign, outcome, lease, counted, now);
        if self.keeps(sign, &ended, now) {
            return out;
        }
        let cell = &self.recorder.cell;
        self.recorder.breaker.with(|inner| {
            inner.take(cell, now);
            inner.count(ended, now, rng, &mut out);
        });
        out
    }

    fn ended(
        &self,
        sign: Sign,
        outcome: Outcome,
        lease: Option<LeaseId>,
        counted: Option<RecordId>,
        now: Instant,
    ) -> Ended {
        let terms = self.recorder.terms(sign);
        let elapsed = now.saturating_since(self.began);
        let slow = terms.policy.trip.slow.is_some_and(|slow| elapsed > slow.slower_than);
        let verdict = terms.policy.classifier.judge(outcome);
        Ended { generation: sign.generation, lease, verdict, slow, counted }
    }

    /// Whether nobody but this worker needs to know now.
    fn keeps(&self, sign: Sign, ended: &Ended, now: Instant) -> bool {
        if sign.gist != Gist::Closed {
            return ended.verdict == Verdict::Ignored && ended.lease.is_none();
        }
        match ended.verdict {
            Verdict::Ignored => true,
            Verdict::Failure => false,
            Verdict::Success => {
                let recorder = self.recorder;
                let terms = recorder.terms(sign);
                !recorder.breaker.has_streak()
                    && (ended.counted.is_some()
                        || !ended.slow
                            && recorder.cell.add(stamp(sign, &terms.policy.window, now), terms.batch))
            }
        }
    }

    /// Leaves the calls in flight.
    fn leave(&mut self) -> Option<RecordId> {
        let place = self.place.take()?;
        self.recorder.in_flight.borrow_mut().end(place)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.leave();
        let Some((generation, lease)) = self.generation.zip(self.lease.take()) else { return };
        self.recorder.breaker.with(|inner| inner.give_back(generation, lease));
    }
}
