//! Random steps: every decision, every count and every wake-up is the naive model's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use fuseboard_core::limit::{
    Admission, Dismissed, Kind, MAX_STREAMS, Refused, ResourceManager, RetryPermit, Slot, Thresholds,
    UNLIMITED, Waiter, WorkerId,
};
use fuseboard_core::refusal::RefusalReason;
use proptest::collection::vec;
use proptest::prelude::*;

use super::Flag;
use super::model::{Model, Verdict};

#[derive(Clone, Debug)]
enum Step {
    Admit(u16, Kind),
    AdmitNow(u16, Kind),
    AdmitConnection(u16),
    /// The n-th of those who hold a slot is done.
    Release(usize),
    /// The n-th of those who wait (or were served and don't know yet) looks.
    Poll(usize),
    /// The n-th of those goes away.
    Cancel(usize),
    Change(Thresholds),
    /// One connection carries so many streams.
    Streams(u32),
    Dismiss,
    Retry,
    RetryDone(usize),
}

/// What the model knows of a caller that queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waiting,
    Served,
    Dismissed,
}

struct Queued<'a> {
    kind: Kind,
    waiter: Waiter<'a>,
    woken: Arc<Flag>,
    polled: bool,
    fate: Fate,
}

struct World<'a> {
    manager: &'a ResourceManager,
    model: Model,
    holders: Vec<Slot<'a>>,
    queued: BTreeMap<u32, Queued<'a>>,
    retries: Vec<RetryPermit<'a>>,
    next: u32,
}

impl<'a> World<'a> {
    fn new(manager: &'a ResourceManager) -> Self {
        let thresholds = manager.thresholds();
        let model = Model {
            thresholds,
            streams: manager.streams(),
            inside: BTreeMap::new(),
            queue: VecDeque::new(),
            retries: 0,
        };
        Self { manager, model, holders: Vec::new(), queued: BTreeMap::new(), retries: Vec::new(), next: 0 }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Admit(worker, kind) => self.admit(WorkerId(worker), kind)?,
            Step::AdmitNow(worker, kind) => self.admit_now(WorkerId(worker), kind)?,
            Step::AdmitConnection(worker) => self.admit_connection(WorkerId(worker))?,
            Step::Release(nth) if !self.holders.is_empty() => {
                let slot = self.holders.remove(nth % self.holders.len());
                self.model.leave(slot.kind());
                drop(slot);
                self.serve();
            }
            Step::Poll(nth) if !self.queued.is_empty() => self.poll(nth)?,
            Step::Cancel(nth) if !self.queued.is_empty() => self.cancel(nth),
            Step::Change(thresholds) => {
                self.manager.set_thresholds(thresholds);
                self.model.thresholds = thresholds;
                self.serve();
            }
            Step::Streams(streams) => {
                self.manager.set_streams(streams);
                self.model.streams = streams;
                self.serve();
            }
            Step::Dismiss => {
                self.manager.dismiss_waiters();
                for (caller, _) in self.model.queue.drain(..) {
                    self.queued.get_mut(&caller).unwrap().fate = Fate::Dismissed;
                }
            }
            Step::Retry => self.retry()?,
            Step::RetryDone(nth) if !self.retries.is_empty() => {
                drop(self.retries.remove(nth % self.retries.len()));
                self.model.retries -= 1;
            }
            Step::Release(_) | Step::Poll(_) | Step::Cancel(_) | Step::RetryDone(_) => {}
        }
        self.compare()
    }

    fn admit(&mut self, worker: WorkerId, kind: Kind) -> Result<(), TestCaseError> {
        let verdict = self.model.judge(kind, true);
        match self.manager.admit(worker, kind) {
            Admission::Admitted(slot) => {
                prop_assert_eq!(verdict, Verdict::Enter);
                self.model.enter(kind);
                self.holders.push(slot);
            }
            Admission::Queued(waiter) => {
                prop_assert_eq!(verdict, Verdict::Queue { connections_full: waiter.connections_full() });
                self.model.queue.push_back((self.next, kind));
                let woken = Arc::default();
                let queued = Queued { kind, waiter, woken, polled: false, fate: Fate::Waiting };
                self.queued.insert(self.next, queued);
                self.next += 1;
            }
            Admission::Refused(refused) => self.refused(kind, verdict, refused)?,
        }
        Ok(())
    }

    fn admit_now(&mut self, worker: WorkerId, kind: Kind) -> Result<(), TestCaseError> {
        let verdict = self.model.judge(kind, false);
        match self.manager.admit_now(worker, kind) {
            Ok(slot) => {
                prop_assert_eq!(verdict, Verdict::Enter);
                self.model.enter(kind);
                self.holders.push(slot);
            }
            Err(refused) => self.refused(kind, verdict, refused)?,
        }
        Ok(())
    }

    fn admit_connection(&mut self, worker: WorkerId) -> Result<(), TestCaseError> {
        const KIND: Kind = Kind::Connection;
        let (inside, bound) = (self.model.inside(KIND), self.model.thresholds.max_connections);
        let someone_waits = self.model.queue.iter().any(|(_, kind)| *kind == KIND);
        match self.manager.admit_connection(worker) {
            Ok(slot) => {
                prop_assert!(inside < bound && !someone_waits, "{} of {}", inside, bound);
                self.model.enter(KIND);
                self.holders.push(slot);
            }
            Err(refused) => {
                prop_assert!(inside >= bound || someone_waits);
                self.refused(KIND, Verdict::Refuse(RefusalReason::LimitConnections, bound, inside), refused)?;
            }
        }
        Ok(())
    }

    fn refused(&self, kind: Kind, verdict: Verdict, refused: Refused) -> Result<(), TestCaseError> {
        prop_assert_eq!(verdict, Verdict::Refuse(refused.reason, refused.bound, refused.value));
        prop_assert_eq!(refused.waiting, self.model.waiting());
        let full = self.model.inside(kind) >= self.model.bound(kind);
        prop_assert_eq!(refused.connections_full, full);
        Ok(())
    }

    fn retry(&mut self) -> Result<(), TestCaseError> {
        let bound = self.model.thresholds.max_retries;
        match self.manager.try_retry() {
            Ok(permit) => {
                prop_assert!(self.model.retries < bound);
                self.model.retries += 1;
                self.retries.push(permit);
            }
            Err(refused) => {
                prop_assert!(self.model.retries >= bound);
                prop_assert_eq!(refused.reason, RefusalReason::LimitRetries);
                prop_assert_eq!((refused.bound, refused.value), (bound, self.model.retries));
            }
        }
        Ok(())
    }

    fn serve(&mut self) {
        for caller in self.model.serve() {
            self.queued.get_mut(&caller).unwrap().fate = Fate::Served;
        }
    }

    fn nth_queued(&self, nth: usize) -> u32 {
        *self.queued.keys().nth(nth % self.queued.len()).unwrap()
    }

    fn poll(&mut self, nth: usize) -> Result<(), TestCaseError> {
        let caller = self.nth_queued(nth);
        let queued = self.queued.get_mut(&caller).unwrap();
        // A waker of its own for each poll: only the latest counts.
        queued.woken = Arc::default();
        queued.polled = true;
        let waker = Waker::from(Arc::clone(&queued.woken));
        match queued.waiter.poll_slot(&mut Context::from_waker(&waker)) {
            Poll::Pending => prop_assert_eq!(queued.fate, Fate::Waiting),
            Poll::Ready(Ok(slot)) => {
                prop_assert_eq!(queued.fate, Fate::Served);
                self.holders.push(slot);
                self.queued.remove(&caller);
            }
            Poll::Ready(Err(Dismissed)) => {
                prop_assert_eq!(queued.fate, Fate::Dismissed);
                self.queued.remove(&caller);
            }
        }
        Ok(())
    }

    fn cancel(&mut self, nth: usize) {
        let caller = self.nth_queued(nth);
        let queued = self.queued.remove(&caller).unwrap();
        match queued.fate {
            Fate::Waiting => self.model.queue.retain(|(other, _)| *other != caller),
            Fate::Served => {
                self.model.leave(queued.kind);
                drop(queued);
                self.serve();
            }
            Fate::Dismissed => {}
        }
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let view = self.manager.view();
        prop_assert_eq!(view.thresholds, self.model.thresholds);
        prop_assert_eq!(view.requests, self.model.total());
        prop_assert_eq!(view.pending, self.model.waiting());
        prop_assert_eq!(view.retries, self.model.retries);
        for (caller, queued) in &self.queued {
            if queued.polled {
                let woken = queued.woken.0.load(Ordering::Relaxed);
                prop_assert_eq!(
                    woken,
                    queued.fate != Fate::Waiting,
                    "caller {} was {:?}",
                    caller,
                    queued.fate
                );
            }
        }
        Ok(())
    }
}

fn bound() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0..5_u32, 3 => Just(UNLIMITED), 1 => Just(u32::MAX / 2), 1 => Just(u32::MAX - 1)]
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let some = (bound(), bound(), bound(), bound()).prop_map(
        |(max_connections, max_pending_requests, max_requests, max_retries)| Thresholds {
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries,
        },
    );
    prop_oneof![4 => some, 1 => Just(Thresholds::UNLIMITED)]
}

/// As often one kind only as both.
fn step(kinds: &'static [Kind]) -> impl Strategy<Value = Step> {
    let kind = || prop::sample::select(kinds);
    prop_oneof![
        // Worker 3 was never announced.
        10 => (0..4_u16, kind()).prop_map(|(worker, kind)| Step::Admit(worker, kind)),
        3 => (0..4_u16, kind()).prop_map(|(worker, kind)| Step::AdmitNow(worker, kind)),
        4 => (0..4_u16).prop_map(Step::AdmitConnection),
        8 => any::<usize>().prop_map(Step::Release),
        6 => any::<usize>().prop_map(Step::Poll),
        4 => any::<usize>().prop_map(Step::Cancel),
        3 => thresholds().prop_map(Step::Change),
        1 => prop_oneof![4 => 0..5_u32, 1 => Just(MAX_STREAMS), 1 => Just(UNLIMITED)].prop_map(Step::Streams),
        1 => Just(Step::Dismiss),
        2 => Just(Step::Retry),
        1 => any::<usize>().prop_map(Step::RetryDone),
    ]
}

const KINDS: &[&[Kind]] = &[&[Kind::Connection], &[Kind::Stream], &[Kind::Connection, Kind::Stream]];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_is_the_naive_models(
        start in thresholds(),
        streams in 1..4_u32,
        steps in prop::sample::select(KINDS).prop_flat_map(|kinds| vec(step(kinds), 1..80)),
    ) {
        let manager = ResourceManager::new(3, start);
        manager.set_streams(streams);
        let mut world = World::new(&manager);
        for step in &steps {
            world.step(step)?;
        }
        drop(world);
        let view = manager.view();
        prop_assert_eq!((view.requests, view.pending, view.retries), (0, 0, 0));
    }
}
