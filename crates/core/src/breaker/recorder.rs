//! One worker's way through a breaker: may this call be sent, what became of it, and which calls in flight are slow.

use std::cell::{Ref, RefCell};
use std::sync::Arc;

use super::cell::Cell;
use super::front::{Gist, Sign};
use super::half_open::LeaseId;
use super::in_flight::InFlight;
use super::machine::Admission;
use super::shared::Terms;
use super::{Breaker, Refusal, RefusedBy, Ticket, Transitions};
use crate::rng::Rng;
use crate::time::Instant;

/// A breaker as one worker uses it. Stays on its worker.
///
/// [`Self::check`] before queueing, [`Self::ticket`] once there are a slot and a host, [`Ticket::record`] at the end, and
/// [`Self::sweep`] every few milliseconds.
#[derive(Debug)]
pub struct Recorder {
    pub(super) breaker: Arc<Breaker>,
    pub(super) cell: Arc<Cell>,
    pub(super) in_flight: RefCell<InFlight>,
    terms: RefCell<Terms>,
}

/// The state let a call through to the queue. One call each: a retry checks again.
#[derive(Debug)]
#[must_use = "it is the way to a ticket"]
pub struct Pass(Checked);

#[derive(Clone, Copy, Debug)]
enum Checked {
    ByState,
    /// The ramp of this generation has counted it.
    OnRamp(u32),
    /// Enforcing would have refused it, and it was counted as such.
    Shadowed,
}

impl Recorder {
    pub(super) fn new(breaker: Arc<Breaker>, cell: Arc<Cell>) -> Self {
        let terms = RefCell::new(breaker.with(|inner| inner.terms()));
        Self { breaker, cell, terms, in_flight: RefCell::default() }
    }

    /// The breaker behind it.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Whether a call may queue. Takes nothing: nothing needs to be given back if the call ends in the queue.
    ///
    /// Refused when open, half-open with all probes out, or not in the ramp's part of the traffic. Passes when the open time
    /// is over: what is decided then is who gets the probe's lease, and that is [`Self::ticket`]'s matter.
    pub fn check(&self, now: Instant) -> Result<Pass, Refusal> {
        let sign = self.breaker.sign();
        let refusal = match sign.gist {
            Gist::Closed | Gist::Off | Gist::ForcedClosed => None,
            Gist::Open => self.until_not_before(RefusedBy::Open, now),
            Gist::HalfOpen => self.until_not_before(RefusedBy::ProbeBusy, now),
            Gist::Ramp => match self.breaker.with(|inner| inner.check_ramp(now)) {
                Ok(generation) => return Ok(Pass(Checked::OnRamp(generation))),
                Err(refusal) => Some(refusal),
            },
        };
        match refusal {
            None => Ok(Pass(Checked::ByState)),
            Some(refusal) => {
                self.refuse(sign, refusal)?;
                Ok(Pass(Checked::Shadowed))
            }
        }
    }

    /// Whether the call may be sent. A probe's lease begins here, and so does the time that makes a call slow.
    ///
    /// May refuse although [`Self::check`] did not: the breaker opened meanwhile, or another call took the probe. The open time
    /// that is over ends here: that is a transition.
    pub fn ticket(
        &self,
        Pass(checked): Pass,
        now: Instant,
        rng: &mut Rng,
    ) -> (Result<Ticket<'_>, Refusal>, Transitions) {
        let sign = self.breaker.sign();
        let mut out = Transitions::new();
        let on_ramp = match checked {
            Checked::Shadowed => return (Ok(Ticket::silent(self)), out),
            Checked::OnRamp(generation) => Some(generation),
            Checked::ByState => None,
        };
        match sign.gist {
            Gist::Closed => return (Ok(self.begin(sign, None, now)), out),
            Gist::Off => return (Ok(Ticket::silent(self)), out),
            Gist::ForcedClosed if now < self.breaker.not_before() => {
                return (Ok(Ticket::silent(self)), out);
            }
            Gist::Ramp | Gist::ForcedClosed | Gist::Open | Gist::HalfOpen => {}
        }
        let (admitted, sign) = self.breaker.with(|inner| {
            let admitted = inner.admit(on_ramp, now, rng, &mut out);
            (admitted, inner.sign())
        });
        let ticket = match admitted {
            Ok(Admission::Counted(lease)) => Ok(self.begin(sign, lease, now)),
            Ok(Admission::Silent) => Ok(Ticket::silent(self)),
            Err(refusal) => self.refuse(sign, refusal).map(|()| Ticket::silent(self)),
        };
        (ticket, out)
    }

    /// [`Self::check`] and [`Self::ticket`] at once, where nothing comes between them.
    pub fn admit(&self, now: Instant, rng: &mut Rng) -> (Result<Ticket<'_>, Refusal>, Transitions) {
        match self.check(now) {
            Ok(pass) => self.ticket(pass, now, rng),
            Err(refusal) => (Err(refusal), Transitions::new()),
        }
    }

    /// Counts the calls in flight that have become slow, each once, and hands over the good calls that were kept. Costs a look
    /// if there is nothing of either.
    ///
    /// How often it is called is how late a breaker sees that calls hang.
    pub fn sweep(&self, now: Instant, rng: &mut Rng) -> Transitions {
        let mut out = Transitions::new();
        let slow = self.terms(self.breaker.sign()).policy.trip.slow;
        if let Some(slow) = slow {
            let mut calls = self.in_flight.borrow_mut();
            while let Some(overdue) = calls.pop_overdue(slow.slower_than, now) {
                let record = self.breaker.with(|inner| {
                    inner.take(&self.cell, now);
                    inner.count_slow_in_flight(overdue.generation, overdue.lease, now, rng, &mut out)
                });
                calls.counted(overdue.place, record);
            }
        }
        if !self.cell.is_empty() {
            self.breaker.with(|inner| {
                inner.take(&self.cell, now);
                inner.judge(now, rng, &mut out);
            });
        }
        out
    }

    /// When the next call in flight becomes slow, as of now; [`Self::sweep`] finds it from the nanosecond after.
    pub fn deadline(&self) -> Option<Instant> {
        let slow = self.terms(self.breaker.sign()).policy.trip.slow?;
        self.in_flight.borrow().oldest().map(|began| began + slow.slower_than)
    }

    fn until_not_before(&self, by: RefusedBy, now: Instant) -> Option<Refusal> {
        let until = self.breaker.not_before();
        (now < until).then(|| Refusal { by, retry_after: until.saturating_since(now) })
    }

    /// A refusal, or a shadow's note of it.
    fn refuse(&self, sign: Sign, refusal: Refusal) -> Result<(), Refusal> {
        if sign.acts {
            return Err(refusal);
        }
        self.cell.note_let_pass();
        Ok(())
    }

    fn begin(&self, sign: Sign, lease: Option<LeaseId>, now: Instant) -> Ticket<'_> {
        let watched = self.terms(sign).policy.trip.slow.is_some();
        let place = watched.then(|| self.in_flight.borrow_mut().begin(sign.generation, lease, now));
        Ticket::new(self, sign.generation, lease, place, now)
    }

    /// The policy in force, and what else goes with its version.
    pub(super) fn terms(&self, sign: Sign) -> Ref<'_, Terms> {
        if self.terms.borrow().version != sign.version {
            *self.terms.borrow_mut() = self.breaker.with(|inner| inner.terms());
        }
        self.terms.borrow()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.breaker.with(|inner| inner.part_with(&self.cell));
    }
}
