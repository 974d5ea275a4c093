//! One breaker, shared by all workers: a machine behind a short mutex, and in front of it the word that says how it stands.
//! What a worker keeps for itself is `recorder`'s.

use std::sync::Arc;

use super::cell::{Cell, Stamp};
use super::front::{Front, Gist, Sign, VERSION_MASK};
use super::half_open::LeaseId;
use super::machine::{Admission, Ended, Machine};
use super::window::RecordId;
use super::{
    BreakerPolicy, BreakerView, Override, Recorder, Refusal, RefusedBy, State, Transitions, WindowPolicy,
};
use crate::rng::Rng;
use crate::sync::{Mutex, lock};
use crate::time::Instant;

/// Good calls that a worker keeps before it hands them over, at most.
const BATCH: u32 = 32;

/// The breaker of one destination, or of one endpoint.
///
/// Calls go through a [`Recorder`], one for each worker. What is here is for the one who owns the breaker: time
/// ([`Self::deadline`], [`Self::tick`]), new numbers, overrides, and pictures.
///
/// While it is closed, a good call writes nothing that another worker reads. The mutex is taken for failures, slow calls,
/// the end of a streak, a full batch, and for every call while half-open or on the ramp.
#[derive(Debug)]
pub struct Breaker {
    front: Front,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    machine: Machine,
    /// Grows with each change of the policy or of the number of recorders; recorders that see it grow look again.
    version: u32,
    cells: Vec<Arc<Cell>>,
    /// Of workers that are gone, with calls that nobody has counted yet: the next who counts any takes them.
    gone: Vec<Arc<Cell>>,
    /// What recorders that are gone had let pass in shadow mode.
    let_pass: u64,
}

/// What a recorder goes by until the version grows.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) policy: Arc<BreakerPolicy>,
    pub(super) numbers: Numbers,
}

/// What every call needs of it, ready for use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) version: u32,
    /// Good calls are handed over when there are so many.
    pub(super) batch: u16,
    /// A call that takes more nanoseconds is slow; [`Numbers::NEVER`]: none is.
    pub(super) slower_than: u64,
    /// Nanoseconds of a bucket of the window; 0: it counts calls.
    bucket: u64,
}

impl Numbers {
    pub(super) const NEVER: u64 = u64::MAX;

    pub(super) const fn is_slow(&self, began: Instant, now: Instant) -> bool {
        now.as_nanos().saturating_sub(began.as_nanos()) > self.slower_than
    }

    /// The stamp of a good call that ends now.
    pub(super) fn stamp(&self, sign: Sign, now: Instant) -> Stamp {
        let bucket = now.as_nanos().checked_div(self.bucket).unwrap_or_default();
        Stamp::new(sign.generation, sign.version, bucket)
    }
}

impl Breaker {
    /// A closed breaker without a past.
    pub fn new(policy: BreakerPolicy, now: Instant) -> Arc<Self> {
        let machine = Machine::new(policy, now);
        let front = Front::new(&machine, 0);
        let inner = Inner { machine, version: 0, cells: Vec::new(), gone: Vec::new(), let_pass: 0 };
        Arc::new(Self { front, inner: Mutex::new(inner) })
    }

    /// How it stands: one load of a word that only transitions write. Open stays until a call comes after its time.
    pub fn state(&self) -> State {
        self.front.sign().gist.state()
    }

    /// Until when it lets nobody through, as far as one look at its word tells; `None`: it might take a call at `now`. A
    /// shadow keeps nobody out.
    pub fn shut_until(&self, now: Instant) -> Option<Instant> {
        let sign = self.front.sign();
        let shut = sign.acts && sign.gist == Gist::Open;
        shut.then(|| self.front.not_before()).filter(|until| now < *until)
    }

    /// Why it would not take a call at `now`, as far as one look tells; takes nothing. Half-open with a probe's place free,
    /// and on the ramp, it might.
    pub fn peek(&self, now: Instant) -> Result<(), Refusal> {
        let sign = self.front.sign();
        let by = match sign.gist {
            Gist::Open => RefusedBy::Open,
            Gist::HalfOpen => RefusedBy::ProbeBusy,
            Gist::Off | Gist::Closed | Gist::Ramp | Gist::ForcedClosed => return Ok(()),
        };
        let until = self.front.not_before();
        if !sign.acts || now >= until {
            return Ok(());
        }
        Err(Refusal { by, retry_after: until.saturating_since(now) })
    }

    /// Whether it takes every call.
    pub fn takes_all(&self) -> bool {
        let sign = self.front.sign();
        !sign.acts || matches!(sign.gist, Gist::Off | Gist::Closed | Gist::ForcedClosed)
    }

    /// A way in for one more worker.
    pub fn recorder(self: &Arc<Self>) -> Recorder {
        let cell = Arc::new(Cell::new());
        self.with(|inner| {
            inner.cells.push(Arc::clone(&cell));
            inner.renew();
        });
        Recorder::new(Arc::clone(self), cell)
    }

    /// When [`Self::tick`] has something to do next; `None`: nothing runs out by itself.
    pub fn deadline(&self) -> Option<Instant> {
        if matches!(self.front.sign().gist, Gist::Off | Gist::Closed) {
            return None;
        }
        lock(&self.inner).machine.deadline()
    }

    /// Does what is due: ends overrides and ramps, takes back the leases of lost probes, opens again when none came back.
    /// Calls do the same when they meet it, so a late tick delays only what nobody asked about.
    pub fn tick(&self, now: Instant, rng: &mut Rng) -> Transitions {
        self.with(|inner| {
            let mut out = Transitions::new();
            inner.machine.advance(now, rng, &mut out);
            out
        })
    }

    /// Other numbers, in place. What survives:
    /// - the state and the calls in flight, always; a shadow's state when the mode becomes enforce is then acted on;
    /// - the window, unless its own numbers change: then it starts empty;
    /// - streaks, and as many recent failures as were asked about, if the condition is still there; conditions are judged with the next call that is counted;
    /// - an open time, cut to the longest that the new numbers allow; the number of trips and the growth of open times;
    /// - half-open: leases that are out keep their deadlines, even if more than are allowed now; good probes count on;
    /// - the ramp, by its new length; overrides, always.
    ///
    /// Disabling forgets all of that but overrides and the number of trips.
    pub fn reconfigure(&self, policy: BreakerPolicy, now: Instant) -> Transitions {
        self.with(|inner| {
            let mut out = Transitions::new();
            inner.collect(now);
            inner.machine.reconfigure(policy, now, &mut out);
            inner.renew();
            out
        })
    }

    /// Puts an override in force, in the place of another one. It acts in every mode. One that has run out does nothing.
    pub fn force(&self, order: Override, now: Instant) -> Transitions {
        self.with(|inner| {
            let mut out = Transitions::new();
            inner.machine.force(order, now, &mut out);
            out
        })
    }

    /// The override that is in force at `now`.
    pub fn forced(&self, now: Instant) -> Option<Override> {
        lock(&self.inner).machine.forced().filter(|order| now < order.until).cloned()
    }

    /// Ends an override before its time, as if it had run out.
    pub fn lift(&self, now: Instant) -> Transitions {
        self.with(|inner| {
            let mut out = Transitions::new();
            inner.machine.lift(now, &mut out);
            out
        })
    }

    /// Closes it with nothing remembered but the number of trips; ends an override. `reason` goes into the transition.
    pub fn reset(&self, reason: impl Into<Arc<str>>, now: Instant) -> Transitions {
        self.with(|inner| {
            let mut out = Transitions::new();
            inner.machine.reset(reason.into(), now, &mut out);
            out
        })
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<BreakerPolicy> {
        Arc::clone(lock(&self.inner).machine.policy())
    }

    /// The whole picture.
    pub fn view(&self, now: Instant) -> BreakerView {
        let mut inner = lock(&self.inner);
        let let_pass = inner.cells.iter().map(|cell| cell.let_pass()).sum::<u64>();
        BreakerView { would_have_refused: inner.let_pass + let_pass, ..inner.machine.view(now) }
    }

    pub(super) fn sign(&self) -> Sign {
        self.front.sign()
    }

    pub(super) fn not_before(&self) -> Instant {
        self.front.not_before()
    }

    pub(super) fn has_streak(&self) -> bool {
        self.front.has_streak()
    }

    /// A step of the machine; what it came to is shown before the mutex is released.
    pub(super) fn with<R>(&self, step: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = lock(&self.inner);
        let result = step(&mut inner);
        self.front.show(&inner.machine, inner.version);
        result
    }
}

impl Inner {
    pub(super) fn terms(&self) -> Terms {
        let policy = Arc::clone(self.machine.policy());
        let slower_than = policy.trip.slow.map(|slow| u64::try_from(slow.slower_than.as_nanos()));
        let numbers = Numbers {
            version: self.version,
            batch: batch(&policy.window, self.cells.len()),
            slower_than: slower_than.and_then(Result::ok).unwrap_or(Numbers::NEVER),
            bucket: policy.window.bucket_nanos().unwrap_or_default(),
        };
        Terms { policy, numbers }
    }

    pub(super) fn sign(&self) -> Sign {
        Sign::of(&self.machine, self.version)
    }

    /// Whether the ramp lets a call through, and of which generation it is.
    pub(super) fn check_ramp(&mut self, now: Instant) -> Result<u32, Refusal> {
        self.machine.admit_to_ramp(now).map(|()| self.machine.generation())
    }

    /// `on_ramp`: the generation in which the ramp has let the call through already.
    pub(super) fn admit(
        &mut self,
        on_ramp: Option<u32>,
        now: Instant,
        rng: &mut Rng,
        out: &mut Transitions,
    ) -> Result<Admission, Refusal> {
        let on_ramp = on_ramp == Some(self.machine.generation());
        self.machine.admit(on_ramp, now, rng, out)
    }

    pub(super) fn count(&mut self, ended: Ended, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        self.machine.advance(now, rng, out);
        self.machine.count(ended, now, rng, out);
        if !ended.is_known() {
            self.judge(now, rng, out);
        }
    }

    pub(super) fn count_slow_in_flight(
        &mut self,
        generation: u32,
        lease: Option<LeaseId>,
        now: Instant,
        rng: &mut Rng,
        out: &mut Transitions,
    ) -> Option<RecordId> {
        self.machine.advance(now, rng, out);
        let counted = self.machine.count_slow_in_flight(generation, lease, now, rng, out);
        if counted.is_some() {
            self.judge(now, rng, out);
        }
        counted
    }

    /// Counts what a worker has kept, and those that are gone; the machine is to be judged then.
    pub(super) fn take(&mut self, cell: &Cell, now: Instant) {
        self.take_one(cell, now);
        for gone in std::mem::take(&mut self.gone) {
            self.take_one(&gone, now);
        }
    }

    fn take_one(&mut self, cell: &Cell, now: Instant) {
        let Some(batch) = cell.take() else { return };
        if !batch.stamp.is_of_generation(self.machine.generation()) {
            return;
        }
        let nanos = self.machine.policy().window.bucket_nanos();
        let at = nanos.and_then(|nanos| {
            let bucket = batch.stamp.bucket(self.version, now.as_nanos() / nanos)?;
            Some(Instant::from_nanos(bucket * nanos))
        });
        self.machine.count_good(batch.count.into(), at.unwrap_or(now));
    }

    pub(super) fn judge(&mut self, now: Instant, rng: &mut Rng, out: &mut Transitions) {
        if self.machine.suspects(now) {
            self.collect(now);
        }
        self.machine.judge(now, rng, out);
    }

    pub(super) fn give_back(&mut self, generation: u32, lease: LeaseId) {
        self.machine.give_back(generation, lease);
    }

    /// A recorder goes; what it kept stays.
    pub(super) fn part_with(&mut self, cell: &Arc<Cell>) {
        self.let_pass += cell.let_pass();
        self.cells.retain(|other| !Arc::ptr_eq(other, cell));
        if !cell.is_empty() {
            self.gone.push(Arc::clone(cell));
        }
        self.renew();
    }

    fn renew(&mut self) {
        self.version = self.version.wrapping_add(1) & VERSION_MASK;
    }

    fn collect(&mut self, now: Instant) {
        for index in 0..self.cells.len() {
            let cell = Arc::clone(&self.cells[index]);
            self.take(&cell, now);
        }
    }
}

/// So few that the good calls of all workers together put no call further out of place than by half a window.
fn batch(window: &WindowPolicy, recorders: usize) -> u16 {
    let recorders = u32::try_from(recorders).unwrap_or(u32::MAX).max(1);
    let size = match window {
        WindowPolicy::Calls(_) => window.slots() / recorders.saturating_mul(2),
        WindowPolicy::Time { .. } => BATCH,
    };
    u16::try_from(size.clamp(1, BATCH)).unwrap_or(1)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::Outcome;

    #[test]
    fn all_workers_together_keep_no_more_good_calls_than_half_a_window() {
        let calls = |calls| WindowPolicy::Calls(NonZeroU32::new(calls).unwrap());
        let second = WindowPolicy::Time { length: Duration::from_secs(1), buckets: NonZeroU32::MIN };
        let sizes = [(calls(100), 1), (calls(100), 4), (calls(100), 0), (calls(4), 16), (second, 16)];
        assert_eq!(sizes.map(|(window, recorders)| batch(&window, recorders)), [32, 12, 32, 1, 32]);
    }

    #[test]
    fn a_worker_that_goes_is_forgotten_and_what_it_kept_is_until_the_next_has_counted_it() {
        let breaker = Breaker::new(BreakerPolicy::default(), Instant::ZERO);
        let (stays, mut rng) = (breaker.recorder(), Rng::new(1));
        let call = |recorder: &Recorder, rng: &mut Rng| {
            let (ticket, _) = recorder.admit(Instant::ZERO, rng);
            assert!(ticket.unwrap().record(Outcome::Success { status: 200 }, Instant::ZERO, rng).is_empty());
        };
        let lists = || {
            let inner = lock(&breaker.inner);
            (inner.cells.len(), inner.gone.len())
        };
        for _ in 0..3 {
            call(&breaker.recorder(), &mut rng);
            drop(breaker.recorder());
        }
        assert_eq!(lists(), (1, 3));
        call(&stays, &mut rng);
        assert!(stays.sweep(Instant::ZERO, &mut rng).is_empty());
        assert_eq!((lists(), breaker.view(Instant::ZERO).window.calls), ((1, 0), 4));
    }
}
