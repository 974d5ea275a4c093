//! Limits against a naive model that does one thing at a time, and the arithmetic of bursts that users reckon with.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use fuseboard_core::limit::{
    Admission, Dismissed, Kind, MAX_STREAMS, Refused, ResourceManager, RetryPermit, Slot, Thresholds,
    UNLIMITED, Waiter, WorkerId,
};
use fuseboard_core::refusal::RefusalReason;
use proptest::collection::vec;
use proptest::prelude::*;

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

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the model knows of a caller that queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waiting,
    Served,
    Dismissed,
}

/// The rules of admission, written down as simply as possible.
struct Model {
    thresholds: Thresholds,
    streams: u32,
    inside: BTreeMap<Kind, u32>,
    queue: VecDeque<(u32, Kind)>,
    retries: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Enter,
    Queue { connections_full: bool },
    Refuse(RefusalReason, u32, u32),
}

impl Model {
    fn waiting(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap()
    }

    fn inside(&self, kind: Kind) -> u32 {
        self.inside.get(&kind).copied().unwrap_or(0)
    }

    fn total(&self) -> u32 {
        self.inside.values().sum()
    }

    fn enter(&mut self, kind: Kind) {
        *self.inside.entry(kind).or_default() += 1;
    }

    fn leave(&mut self, kind: Kind) {
        *self.inside.get_mut(&kind).unwrap() -= 1;
    }

    fn bound(&self, kind: Kind) -> u32 {
        let n = self.thresholds.max_connections;
        match kind {
            Kind::Stream if n != UNLIMITED => {
                u32::try_from(u64::from(n) * u64::from(self.streams)).unwrap_or(UNLIMITED)
            }
            _ => n,
        }
    }

    fn has_room(&self, kind: Kind) -> bool {
        self.inside(kind) < self.bound(kind) && self.total() < self.thresholds.max_requests
    }

    fn judge(&self, kind: Kind, may_queue: bool) -> Verdict {
        let Thresholds { max_pending_requests: p, max_requests: r, .. } = self.thresholds;
        let (bound, own) = (self.bound(kind), self.inside(kind));
        let someone_waits = self.queue.iter().any(|(_, other)| *other == kind);
        if self.has_room(kind) && !someone_waits {
            Verdict::Enter
        } else if !may_queue {
            if r < bound || (own < bound && self.total() >= r) {
                Verdict::Refuse(RefusalReason::LimitRequests, r, self.total())
            } else {
                Verdict::Refuse(RefusalReason::LimitConnections, bound, own)
            }
        } else if r < bound && !someone_waits {
            Verdict::Refuse(RefusalReason::LimitRequests, r, self.total())
        } else if self.waiting() < p {
            Verdict::Queue { connections_full: own >= bound }
        } else {
            Verdict::Refuse(RefusalReason::LimitQueueFull, p, self.waiting())
        }
    }

    /// Serves the oldest that may be, while something is free; returns who was served.
    fn serve(&mut self) -> Vec<u32> {
        let mut served = Vec::new();
        while let Some(index) = self.queue.iter().position(|(_, kind)| self.has_room(*kind)) {
            let (caller, kind) = self.queue.remove(index).unwrap();
            self.enter(kind);
            served.push(caller);
        }
        served
    }
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

    #[test]
    fn d03_callers_that_fit_are_never_refused(
        connections in 1..4_u32,
        pending in 0..4_u32,
        turns in vec((any::<prop::sample::Index>(), any::<bool>()), 1..120),
    ) {
        let manager = ResourceManager::new(4, limits(connections, pending, UNLIMITED));
        let mut callers: Vec<Option<Admission<'_>>> = (0..connections + pending).map(|_| None).collect();
        for (who, gives_up) in turns {
            let who = who.index(callers.len());
            callers[who] = match callers[who].take() {
                None => {
                    let admission = manager.admit(WorkerId(u16::try_from(who).unwrap()), Kind::Connection);
                    prop_assert!(!matches!(admission, Admission::Refused(_)), "{:?}", admission);
                    Some(admission)
                }
                Some(Admission::Queued(mut waiter)) if !gives_up => match poll(&mut waiter) {
                    Poll::Ready(Ok(slot)) => Some(Admission::Admitted(slot)),
                    _ => Some(Admission::Queued(waiter)),
                },
                Some(_done) => None,
            };
            let running = callers.iter().filter(|caller| matches!(caller, Some(Admission::Admitted(_)))).count();
            prop_assert!(running <= connections as usize);
        }
    }

    /// Of both kinds, where requests are not what binds.
    #[test]
    fn callers_of_both_kinds_that_fit_are_never_refused(
        connections in 1..4_u32,
        pending in 0..4_u32,
        streams in 1..4_u32,
        more in 0..6_u32,
        turns in vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 1..160),
    ) {
        let requests = connections * streams + more;
        let manager = ResourceManager::new(4, limits(connections, pending, requests));
        manager.set_streams(streams);
        let mut callers: Vec<Option<Admission<'_>>> = (0..connections + pending).map(|_| None).collect();
        for (who, gives_up, stream) in turns {
            let who = who.index(callers.len());
            let kind = if stream { Kind::Stream } else { Kind::Connection };
            callers[who] = match callers[who].take() {
                None => {
                    let admission = manager.admit(WorkerId(u16::try_from(who % 4).unwrap()), kind);
                    prop_assert!(!matches!(admission, Admission::Refused(_)), "{:?}", admission);
                    Some(admission)
                }
                Some(Admission::Queued(mut waiter)) if !gives_up => match poll(&mut waiter) {
                    Poll::Ready(Ok(slot)) => Some(Admission::Admitted(slot)),
                    _ => Some(Admission::Queued(waiter)),
                },
                Some(_done) => None,
            };
            let running = |kind: Kind| {
                let of = |caller: &&Option<Admission<'_>>| matches!(caller, Some(Admission::Admitted(slot)) if slot.kind() == kind);
                u32::try_from(callers.iter().filter(of).count()).unwrap()
            };
            prop_assert!(running(Kind::Connection) <= connections);
            prop_assert!(running(Kind::Stream) <= connections * streams);
            prop_assert!(running(Kind::Connection) + running(Kind::Stream) <= requests);
        }
    }

    #[test]
    fn a_burst_of_streams_is_admitted_by_the_arithmetic(
        connections in prop_oneof![6 => 1..5_u32, 1 => Just(UNLIMITED)],
        streams in prop_oneof![6 => 1..4_u32, 1 => Just(MAX_STREAMS)],
        pending in 0..6_u32,
        requests in prop_oneof![1..20_u32, Just(UNLIMITED)],
        callers in 0..30_u32,
    ) {
        let manager = ResourceManager::new(2, limits(connections, pending, requests));
        manager.set_streams(streams);
        let burst: Vec<_> =
            (0..callers).map(|nth| manager.admit(WorkerId((nth % 2) as u16), Kind::Stream)).collect();
        let refused = burst.iter().filter(|admission| matches!(admission, Admission::Refused(_))).count();
        let slots = connections.saturating_mul(streams);
        let expected = if requests >= slots { slots.saturating_add(pending) } else { requests };
        prop_assert_eq!(callers as usize - refused, callers.min(expected) as usize);
        let running = burst.iter().filter(|admission| matches!(admission, Admission::Admitted(_))).count();
        prop_assert_eq!(running, callers.min(slots).min(requests) as usize);
    }

    #[test]
    fn d02_a_burst_is_admitted_by_the_arithmetic(
        connections in 1..6_u32,
        pending in 0..6_u32,
        requests in prop_oneof![1..12_u32, Just(UNLIMITED)],
        callers in 0..20_u32,
    ) {
        let manager = ResourceManager::new(2, limits(connections, pending, requests));
        let burst: Vec<_> = (0..callers).map(|nth| manager.admit(WorkerId((nth % 2) as u16), Kind::Connection)).collect();
        let refused = burst.iter().filter(|admission| matches!(admission, Admission::Refused(_))).count();
        let expected = if requests >= connections { connections + pending } else { requests };
        prop_assert_eq!(callers as usize - refused, callers.min(expected) as usize);
    }
}

fn limits(connections: u32, pending: u32, requests: u32) -> Thresholds {
    Thresholds {
        max_connections: connections,
        max_pending_requests: pending,
        max_requests: requests,
        ..Thresholds::UNLIMITED
    }
}

fn poll<'a>(waiter: &mut Waiter<'a>) -> Poll<Result<Slot<'a>, Dismissed>> {
    waiter.poll_slot(&mut Context::from_waker(Waker::noop()))
}

fn admitted(admission: Admission<'_>) -> Slot<'_> {
    match admission {
        Admission::Admitted(slot) => slot,
        other => panic!("not admitted at once: {other:?}"),
    }
}

fn queued(admission: Admission<'_>) -> Waiter<'_> {
    match admission {
        Admission::Queued(waiter) => waiter,
        other => panic!("not queued: {other:?}"),
    }
}

fn refused(admission: Admission<'_>) -> Refused {
    match admission {
        Admission::Refused(refused) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

const WORKER: WorkerId = WorkerId(0);

#[test]
fn the_classic_experiment_refuses_the_third_caller_and_says_why() {
    let manager = ResourceManager::new(1, limits(1, 1, UNLIMITED));
    let _first = admitted(manager.admit(WORKER, Kind::Connection));
    let _second = queued(manager.admit(WORKER, Kind::Connection));
    let third = refused(manager.admit(WORKER, Kind::Connection));
    let reason = RefusalReason::LimitQueueFull;
    assert_eq!(third, Refused { reason, bound: 1, value: 1, waiting: 1, connections_full: true });
}

#[test]
fn d04_a_request_beyond_the_request_limit_is_refused_before_any_connection_work() {
    let manager = ResourceManager::new(1, limits(8, 8, 2));
    let _running = [
        admitted(manager.admit(WORKER, Kind::Connection)),
        admitted(manager.admit(WORKER, Kind::Connection)),
    ];
    let third = refused(manager.admit(WORKER, Kind::Connection));
    let reason = RefusalReason::LimitRequests;
    assert_eq!(third, Refused { reason, bound: 2, value: 2, waiting: 0, connections_full: false });
}

#[test]
fn d05_one_queue_serves_all_workers_first_come_first_served() {
    let manager = ResourceManager::new(3, limits(1, 3, UNLIMITED));
    let mut running = Some(admitted(manager.admit(WorkerId(2), Kind::Connection)));
    let mut waiters = [1, 0, 2].map(|worker| queued(manager.admit(WorkerId(worker), Kind::Connection)));
    for turn in 0..3 {
        drop(running.take());
        for (place, waiter) in waiters.iter_mut().enumerate().skip(turn) {
            match poll(waiter) {
                Poll::Ready(slot) => {
                    assert_eq!(place, turn);
                    running = slot.ok();
                }
                Poll::Pending => assert!(place > turn),
            }
        }
        assert!(running.is_some());
    }
}

#[test]
fn d13_gauges_follow_a_limit_that_changes_while_nothing_is_counted() {
    let manager = ResourceManager::new(1, limits(5, 0, UNLIMITED));
    let _running = [
        admitted(manager.admit(WORKER, Kind::Connection)),
        admitted(manager.admit(WORKER, Kind::Connection)),
    ];
    assert!(!manager.view().rq_open());
    manager.set_thresholds(limits(5, 0, 2));
    assert!(manager.view().rq_open());
    assert_eq!(manager.view().remaining_rq(), 0);
}

#[test]
fn d17_it_is_known_whether_the_connection_limit_made_a_request_wait() {
    let manager = ResourceManager::new(1, limits(1, 2, UNLIMITED));
    let running = admitted(manager.admit(WORKER, Kind::Connection));
    let by_connections = queued(manager.admit(WORKER, Kind::Connection));
    assert!(by_connections.connections_full());
    manager.set_thresholds(limits(5, 2, 1));
    let behind_it = queued(manager.admit(WORKER, Kind::Connection));
    assert!(!behind_it.connections_full(), "it is the request limit that keeps both waiting now");
    let refused = refused(manager.admit(WORKER, Kind::Connection));
    assert_eq!((refused.reason, refused.connections_full), (RefusalReason::LimitQueueFull, false));
    drop(running);
}

#[test]
fn d15_an_upgrade_never_waits_and_keeps_its_slot_for_life() {
    let manager = ResourceManager::new(1, limits(1, 5, UNLIMITED));
    let tunnel = manager.admit_now(WORKER, Kind::Connection).unwrap();
    let refused = manager.admit_now(WORKER, Kind::Connection).unwrap_err();
    assert_eq!((refused.reason, refused.bound, refused.value), (RefusalReason::LimitConnections, 1, 1));
    let mut request = queued(manager.admit(WORKER, Kind::Connection));
    assert!(poll(&mut request).is_pending());
    drop(tunnel);
    assert!(poll(&mut request).is_ready());
}

#[test]
fn an_upgrade_does_not_overtake_a_request_that_waits() {
    let manager = ResourceManager::new(1, limits(1, 5, UNLIMITED));
    let running = admitted(manager.admit(WORKER, Kind::Connection));
    let _waiting = queued(manager.admit(WORKER, Kind::Connection));
    drop(running);
    assert!(manager.admit_now(WORKER, Kind::Connection).is_err(), "the slot went to the one who waited");
}

#[test]
fn a_slot_is_given_back_when_its_task_panics() {
    let manager = ResourceManager::new(1, limits(1, 0, UNLIMITED));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _slot = admitted(manager.admit(WORKER, Kind::Connection));
        std::panic::resume_unwind(Box::new("the task"));
    }));
    assert!(panicked.is_err());
    drop(admitted(manager.admit(WORKER, Kind::Connection)));
}

#[test]
fn connections_above_a_lowered_limit_stay_and_no_other_opens_until_below() {
    let manager = Arc::new(ResourceManager::new(1, limits(3, 0, UNLIMITED)));
    let mut open: Vec<_> = (0..3).map(|_| manager.try_connect().unwrap()).collect();
    assert!(manager.try_connect().is_none());
    manager.set_thresholds(limits(2, 0, UNLIMITED));
    assert_eq!((manager.view().connections, manager.view().remaining_cx()), (3, 0));
    for _ in 0..2 {
        assert!(manager.try_connect().is_none());
        open.pop();
    }
    assert!(manager.try_connect().is_some());
}

#[test]
fn the_last_permit_may_outlive_the_cluster() {
    let manager = Arc::new(ResourceManager::new(1, Thresholds::ENVOY));
    let permit = manager.try_connect().unwrap();
    let weak = Arc::downgrade(&manager);
    drop(manager);
    assert!(weak.upgrade().is_some());
    drop(permit);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_waiter_is_woken_through_the_waker_it_left_last() {
    let manager = ResourceManager::new(1, limits(1, 1, UNLIMITED));
    let running = admitted(manager.admit(WORKER, Kind::Connection));
    let mut waiter = queued(manager.admit(WORKER, Kind::Connection));
    let (before, after) = (Arc::new(Flag::default()), Arc::new(Flag::default()));
    for flag in [&before, &after] {
        let waker = Waker::from(Arc::clone(flag));
        assert!(waiter.poll_slot(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&before), 1, "a waker that was replaced is let go");
    drop(running);
    assert!(after.0.load(Ordering::Relaxed) && !before.0.load(Ordering::Relaxed));
}
