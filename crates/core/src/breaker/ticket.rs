//! One call on its way: its outcome is told once, or never.

use std::mem::ManuallyDrop;

use super::front::{Gist, Sign};
use super::half_open::LeaseId;
use super::in_flight::Place;
use super::machine::Ended;
use super::shared::Numbers;
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
    #[inline]
    pub fn record(self, outcome: Outcome, now: Instant, rng: &mut Rng) -> Transitions {
        // Its lease comes back with its outcome, or has ended with its generation.
        let mut ticket = ManuallyDrop::new(self);
        let counted = ticket.leave();
        let sign = ticket.recorder.breaker.sign();
        if ticket.generation != Some(sign.generation) {
            return Transitions::new();
        }
        let numbers = ticket.recorder.numbers(sign);
        let ended = ticket.ended(&numbers, outcome, counted, now);
        if ticket.keeps(sign, &numbers, &ended, now) {
            return Transitions::new();
        }
        ticket.recorder.hand_in(ended, now, rng)
    }

    fn ended(&self, numbers: &Numbers, outcome: Outcome, counted: Option<RecordId>, now: Instant) -> Ended {
        let verdict = self.recorder.policy.borrow().classifier.judge(outcome);
        let slow = numbers.is_slow(self.began, now);
        Ended { generation: self.generation.unwrap_or_default(), lease: self.lease, verdict, slow, counted }
    }

    /// Whether nobody but this worker needs to know now.
    fn keeps(&self, sign: Sign, numbers: &Numbers, ended: &Ended, now: Instant) -> bool {
        if sign.gist != Gist::Closed {
            return ended.verdict == Verdict::Ignored && ended.lease.is_none();
        }
        match ended.verdict {
            Verdict::Ignored => true,
            Verdict::Failure => false,
            Verdict::Success => {
                let recorder = self.recorder;
                !recorder.breaker.has_streak()
                    && (ended.is_known()
                        || !ended.slow && recorder.cell.add(numbers.stamp(sign, now), numbers.batch))
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
