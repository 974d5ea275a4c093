//! One worker's way through a breaker: may this call be sent, what became of it, and which calls in flight are slow.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::cell::Cell;
use super::front::{Gist, Sign};
use super::half_open::LeaseId;
use super::in_flight::InFlight;
use super::machine::{Admission, Ended};
use super::shared::{Numbers, Terms};
use super::{Breaker, BreakerPolicy, Refusal, RefusedBy, Ticket, Transitions};
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
    /// Both of the version that the numbers name.
    pub(super) policy: RefCell<Arc<BreakerPolicy>>,
    numbers: std::cell::Cell<Numbers>,
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
        let Terms { policy, numbers } = breaker.with(|inner| inner.terms());
        let (policy, numbers) = (RefCell::new(policy), std::cell::Cell::new(numbers));
        Self { breaker, cell, policy, numbers, in_flight: RefCell::default() }
    }

    /// The breaker behind it.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Whether a call may queue. Takes nothing: nothing needs to be given back if the call ends in the queue.
    ///
    /// Refused when open, half-open with all probes out, or not in the ramp's part of the traffic. Passes when the open time
    /// is over: what is decided then is who gets the probe's lease, and that is [`Self::ticket`]'s matter.
    #[inline]
    pub fn check(&self, now: Instant) -> Result<Pass, Refusal> {
        let sign = self.breaker.sign();
        match sign.gist {
            Gist::Closed | Gist::Off | Gist::ForcedClosed => Ok(Pass(Checked::ByState)),
            Gist::Open | Gist::HalfOpen | Gist::Ramp => self.check_time_or_ramp(sign, now),
        }
    }

    fn check_time_or_ramp(&self, sign: Sign, now: Instant) -> Result<Pass, Refusal> {
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
    #[inline]
    pub fn ticket(
        &self,
        Pass(checked): Pass,
        now: Instant,
        rng: &mut Rng,
    ) -> (Result<Ticket<'_>, Refusal>, Transitions) {
        let sign = self.breaker.sign();
        let on_ramp = match checked {
            Checked::Shadowed => return (Ok(Ticket::silent(self)), Transitions::new()),
            Checked::OnRamp(generation) => Some(generation),
            Checked::ByState => None,
        };
        match sign.gist {
            Gist::Closed => (Ok(self.begin(sign, None, now)), Transitions::new()),
            _ => self.ticket_by_machine(sign, on_ramp, now, rng),
        }
    }

    /// Where the word alone does not tell.
    fn ticket_by_machine(
        &self,
        sign: Sign,
        on_ramp: Option<u32>,
        now: Instant,
        rng: &mut Rng,
    ) -> (Result<Ticket<'_>, Refusal>, Transitions) {
        let mut out = Transitions::new();
        match sign.gist {
            Gist::Off => return (Ok(Ticket::silent(self)), out),
            Gist::ForcedClosed if now < self.breaker.not_before() => {
                return (Ok(Ticket::silent(self)), out);
            }
            Gist::Closed | Gist::Ramp | Gist::ForcedClosed | Gist::Open | Gist::HalfOpen => {}
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

    /// Hands over the good calls that were kept, and counts the calls in flight that have become slow, each once. Costs a look
    /// if there is nothing of either.
    ///
    /// How often it is called is how late a breaker sees that calls hang.
    pub fn sweep(&self, now: Instant, rng: &mut Rng) -> Transitions {
        let mut out = Transitions::new();
        if !self.cell.is_empty() {
            self.breaker.with(|inner| {
                inner.take(&self.cell, now);
                inner.judge(now, rng, &mut out);
            });
        }
        if let Some(bound) = self.slower_than() {
            let mut calls = self.in_flight.borrow_mut();
            while let Some(overdue) = calls.pop_overdue(bound, now) {
                let record = self.breaker.with(|inner| {
                    inner.count_slow_in_flight(overdue.generation, overdue.lease, now, rng, &mut out)
                });
                calls.counted(overdue.place, record);
            }
        }
        out
    }

    /// When the next call in flight becomes slow, as of now; [`Self::sweep`] finds it from the nanosecond after.
    pub fn deadline(&self) -> Option<Instant> {
        let bound = self.slower_than()?;
        self.in_flight.borrow().oldest().map(|began| began + bound)
    }

    /// Counts a call that ended, and what was kept before it.
    pub(super) fn hand_in(&self, ended: Ended, now: Instant, rng: &mut Rng) -> Transitions {
        let mut out = Transitions::new();
        self.breaker.with(|inner| {
            inner.take(&self.cell, now);
            inner.count(ended, now, rng, &mut out);
        });
        out
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

    #[inline]
    fn begin(&self, sign: Sign, lease: Option<LeaseId>, now: Instant) -> Ticket<'_> {
        let watched = self.numbers(sign).slower_than != Numbers::NEVER;
        let place = watched.then(|| self.in_flight.borrow_mut().begin(sign.generation, lease, now));
        Ticket::new(self, sign.generation, lease, place, now)
    }

    fn slower_than(&self) -> Option<Duration> {
        let bound = self.numbers(self.breaker.sign()).slower_than;
        (bound != Numbers::NEVER).then(|| Duration::from_nanos(bound))
    }

    /// The numbers in force; [`Self::policy`] is of the same version then.
    pub(super) fn numbers(&self, sign: Sign) -> Numbers {
        let numbers = self.numbers.get();
        if numbers.version == sign.version { numbers } else { self.renew() }
    }

    #[cold]
    fn renew(&self) -> Numbers {
        let Terms { policy, numbers } = self.breaker.with(|inner| inner.terms());
        *self.policy.borrow_mut() = policy;
        self.numbers.set(numbers);
        numbers
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.breaker.with(|inner| inner.part_with(&self.cell));
    }
}
