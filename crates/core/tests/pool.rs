//! The idle pool against a naive model that does one thing at a time.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use fuseboard_core::Instant;
use fuseboard_core::limit::{CxPermit, ResourceManager, Thresholds, UNLIMITED, WorkerId};
use fuseboard_core::pool::{Checkout, CxWaiter, Found, HostKey, IdlePool};
use proptest::collection::vec;
use proptest::prelude::*;

const WORKERS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    Checkout(u16, u64),
    CheckoutNew(u16, u64),
    /// The n-th busy connection becomes idle on its worker.
    Checkin(usize),
    /// The n-th busy connection is closed.
    Close(usize),
    Poll(usize),
    Cancel(usize),
    Change(u32),
    TakeHost(u64),
    TakeSurplus,
    /// Those idle for more than so many steps.
    TakeIdle(u64),
}

/// A connection, and what the model knows of it.
#[derive(Debug)]
struct Connection {
    id: u32,
    host: u64,
    _permit: CxPermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Idle {
    id: u32,
    host: u64,
    worker: u16,
    since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Idle(u32, u16),
    Connect,
    Replace(u32),
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waiting,
    Permit,
    Idle,
}

#[derive(Default)]
struct Model {
    bound: u32,
    open: u32,
    idle: Vec<Idle>,
    reserved: Vec<Idle>,
    queue: VecDeque<u32>,
    fates: BTreeMap<u32, Fate>,
}

impl Model {
    fn remove(&mut self, idle: Idle) {
        self.idle.retain(|other| *other != idle);
    }

    /// Own worker first, then the next ones around.
    fn around(worker: u16) -> impl Iterator<Item = u16> {
        (0..WORKERS).map(move |step| (worker + step) % WORKERS)
    }

    fn newest(&self, worker: u16, host: u64) -> Option<Idle> {
        let here = self.idle.iter().filter(|idle| idle.worker == worker && idle.host == host);
        here.max_by_key(|idle| idle.since).copied()
    }

    fn oldest(&self, worker: u16) -> Option<Idle> {
        self.idle.iter().filter(|idle| idle.worker == worker).min_by_key(|idle| idle.since).copied()
    }

    fn checkout(&mut self, worker: u16, host: u64) -> Expected {
        if let Some(own) = self.newest(worker, host) {
            self.remove(own);
            return Expected::Idle(own.id, worker);
        }
        if self.open < self.bound && self.queue.is_empty() {
            self.open += 1;
            return Expected::Connect;
        }
        if let Some(same_host) = Self::around(worker).find_map(|other| self.newest(other, host)) {
            self.remove(same_host);
            return Expected::Idle(same_host.id, same_host.worker);
        }
        if let Some(other_host) = Self::around(worker).find_map(|other| self.oldest(other)) {
            self.remove(other_host);
            return Expected::Replace(other_host.id);
        }
        Expected::Wait
    }

    /// Never an idle one to be used: those are only closed, where nothing else helps.
    fn checkout_new(&mut self, worker: u16, host: u64) -> Expected {
        if self.open < self.bound && self.queue.is_empty() {
            self.open += 1;
            return Expected::Connect;
        }
        match self.checkout(worker, host) {
            Expected::Idle(id, _) => Expected::Replace(id),
            other => other,
        }
    }

    /// `true`: kept.
    fn put(&mut self, idle: Idle) -> bool {
        if let Some(waiter) = self.queue.pop_front() {
            self.fates.insert(waiter, Fate::Idle);
            self.reserved.push(idle);
        } else if self.open > self.bound {
            return false;
        } else {
            self.idle.push(idle);
        }
        true
    }

    fn closed(&mut self, count: usize) {
        self.open -= u32::try_from(count).unwrap();
        self.serve();
    }

    fn serve(&mut self) {
        while self.open < self.bound
            && let Some(waiter) = self.queue.pop_front()
        {
            self.open += 1;
            self.fates.insert(waiter, Fate::Permit);
        }
    }

    fn take(&mut self, taken: impl Fn(&Idle) -> bool) -> Vec<u32> {
        self.idle.extract_if(.., |idle| taken(idle)).map(|idle| idle.id).collect()
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Waiting<'a> {
    waiter: CxWaiter<'a, Connection>,
    worker: u16,
    host: u64,
    woken: Option<Arc<Flag>>,
}

struct World<'a> {
    manager: &'a Arc<ResourceManager>,
    pool: &'a IdlePool<Connection>,
    model: Model,
    busy: Vec<(u16, Connection)>,
    waiting: BTreeMap<u32, Waiting<'a>>,
    next: u32,
    now: u64,
}

fn thresholds(bound: u32) -> Thresholds {
    Thresholds { max_connections: bound, ..Thresholds::UNLIMITED }
}

impl<'w> World<'w> {
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.now += 1;
        match *step {
            Step::Checkout(worker, host) => {
                let expected = self.model.checkout(worker, host);
                self.checked_out(
                    (worker, host),
                    self.pool.checkout(WorkerId(worker), HostKey(host)),
                    expected,
                )?;
            }
            Step::CheckoutNew(worker, host) => {
                let expected = self.model.checkout_new(worker, host);
                let found = self.pool.checkout_new(WorkerId(worker), HostKey(host));
                self.checked_out((worker, host), found, expected)?;
            }
            Step::Checkin(nth) if !self.busy.is_empty() => self.checkin(nth)?,
            Step::Close(nth) if !self.busy.is_empty() => {
                drop(self.busy.swap_remove(nth % self.busy.len()));
                self.model.closed(1);
            }
            Step::Poll(nth) if !self.waiting.is_empty() => self.poll(nth)?,
            Step::Cancel(nth) if !self.waiting.is_empty() => self.cancel(nth),
            Step::Change(bound) => {
                self.manager.set_thresholds(thresholds(bound));
                self.model.bound = bound;
                self.model.serve();
            }
            Step::TakeHost(host) => {
                let expected = self.model.take(|idle| idle.host == host);
                self.taken(self.pool.take_host(HostKey(host)), expected)?;
            }
            Step::TakeSurplus => {
                let mut order = self.model.idle.clone();
                order.sort_by_key(|idle| (idle.worker, idle.since));
                order.truncate(self.model.open.saturating_sub(self.model.bound) as usize);
                let expected = self.model.take(|idle| order.contains(idle));
                self.taken(self.pool.take_surplus(), expected)?;
            }
            Step::TakeIdle(age) => {
                let before = self.now.saturating_sub(age);
                let expected = self.model.take(|idle| idle.since < before);
                self.taken(self.pool.take_idle_since(Instant::from_nanos(before)), expected)?;
            }
            Step::Checkin(_) | Step::Close(_) | Step::Poll(_) | Step::Cancel(_) => {}
        }
        self.compare()
    }

    fn checked_out(
        &mut self,
        (worker, host): (u16, u64),
        checkout: Checkout<'w, Connection>,
        expected: Expected,
    ) -> Result<(), TestCaseError> {
        match checkout {
            Checkout::Ready(found) => self.found(worker, host, found, expected)?,
            Checkout::Wait(waiter) => {
                prop_assert_eq!(expected, Expected::Wait);
                self.model.queue.push_back(self.next);
                self.model.fates.insert(self.next, Fate::Waiting);
                self.waiting.insert(self.next, Waiting { waiter, worker, host, woken: None });
                self.next += 1;
            }
        }
        Ok(())
    }

    fn found(
        &mut self,
        worker: u16,
        host: u64,
        found: Found<Connection>,
        expected: Expected,
    ) -> Result<(), TestCaseError> {
        let connection = match found {
            Found::Idle { item, from } => {
                prop_assert_eq!(Expected::Idle(item.id, from.0), expected);
                prop_assert_eq!(item.host, host);
                item
            }
            Found::Connect(permit) => {
                prop_assert_eq!(expected, Expected::Connect);
                self.opened(host, permit)
            }
            Found::Replace(Connection { id, _permit: permit, .. }) => {
                prop_assert_eq!(Expected::Replace(id), expected);
                self.opened(host, permit)
            }
        };
        self.busy.push((worker, connection));
        Ok(())
    }

    fn opened(&mut self, host: u64, permit: CxPermit) -> Connection {
        self.next += 1;
        Connection { id: self.next, host, _permit: permit }
    }

    fn checkin(&mut self, nth: usize) -> Result<(), TestCaseError> {
        let (worker, connection) = self.busy.swap_remove(nth % self.busy.len());
        let (id, host) = (connection.id, connection.host);
        let kept = self.model.put(Idle { id, host, worker, since: self.now });
        let now = Instant::from_nanos(self.now);
        let surplus = self.pool.checkin(WorkerId(worker), HostKey(host), connection, now);
        prop_assert_eq!(surplus.is_none(), kept);
        if surplus.is_some() {
            drop(surplus);
            self.model.closed(1);
        }
        Ok(())
    }

    fn nth_waiting(&self, nth: usize) -> u32 {
        *self.waiting.keys().nth(nth % self.waiting.len()).unwrap()
    }

    fn poll(&mut self, nth: usize) -> Result<(), TestCaseError> {
        let id = self.nth_waiting(nth);
        let fate = self.model.fates[&id];
        let waiting = self.waiting.get_mut(&id).unwrap();
        let (worker, host, woken) = (waiting.worker, waiting.host, Arc::new(Flag::default()));
        let waker = Waker::from(Arc::clone(&woken));
        waiting.woken = Some(woken);
        let Poll::Ready(found) = waiting.waiter.poll_found(&mut Context::from_waker(&waker)) else {
            prop_assert_eq!(fate, Fate::Waiting);
            return Ok(());
        };
        self.waiting.remove(&id);
        let expected = match fate {
            Fate::Waiting => Expected::Wait,
            Fate::Permit => Expected::Connect,
            Fate::Idle => {
                let same = self.model.reserved.iter().position(|idle| idle.host == host);
                let idle = self.model.reserved.remove(same.unwrap_or(0));
                if same.is_some() { Expected::Idle(idle.id, idle.worker) } else { Expected::Replace(idle.id) }
            }
        };
        self.found(worker, host, found, expected)
    }

    fn cancel(&mut self, nth: usize) {
        let id = self.nth_waiting(nth);
        self.waiting.remove(&id);
        match self.model.fates[&id] {
            Fate::Waiting => self.model.queue.retain(|other| *other != id),
            Fate::Permit => self.model.closed(1),
            Fate::Idle => {
                let idle = self.model.reserved.pop().unwrap();
                if !self.model.put(idle) {
                    self.model.closed(1);
                }
            }
        }
    }

    fn taken(&mut self, taken: Vec<Connection>, mut expected: Vec<u32>) -> Result<(), TestCaseError> {
        let mut ids: Vec<u32> = taken.iter().map(|connection| connection.id).collect();
        drop(taken);
        self.model.closed(ids.len());
        ids.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(ids, expected);
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.manager.view().connections, self.model.open);
        prop_assert_eq!(self.pool.idle(), self.model.idle.len());
        for (id, waiting) in &self.waiting {
            if let Some(woken) = &waiting.woken {
                let fate = self.model.fates[id];
                prop_assert_eq!(
                    woken.0.load(Ordering::Relaxed),
                    fate != Fate::Waiting,
                    "{} was {:?}",
                    id,
                    fate
                );
            }
        }
        let possible = self.model.open < self.model.bound || !self.model.idle.is_empty();
        prop_assert!(!possible || self.model.queue.is_empty(), "somebody waits for nothing");
        Ok(())
    }
}

fn bound() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 1..5_u32, 1 => Just(UNLIMITED)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..WORKERS, 0..3_u64).prop_map(|(worker, host)| Step::Checkout(worker, host)),
        4 => (0..WORKERS, 0..3_u64).prop_map(|(worker, host)| Step::CheckoutNew(worker, host)),
        8 => any::<usize>().prop_map(Step::Checkin),
        3 => any::<usize>().prop_map(Step::Close),
        5 => any::<usize>().prop_map(Step::Poll),
        3 => any::<usize>().prop_map(Step::Cancel),
        2 => bound().prop_map(Step::Change),
        1 => (0..3_u64).prop_map(Step::TakeHost),
        1 => Just(Step::TakeSurplus),
        1 => (0..20_u64).prop_map(Step::TakeIdle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_connection_is_the_naive_models(start in bound(), steps in vec(step(), 1..80)) {
        let manager = Arc::new(ResourceManager::new(WORKERS.into(), thresholds(start)));
        let pool = IdlePool::new(WORKERS.into(), Arc::clone(&manager));
        let mut world = World {
            manager: &manager,
            pool: &pool,
            model: Model { bound: start, ..Model::default() },
            busy: Vec::new(),
            waiting: BTreeMap::new(),
            next: 0,
            now: 0,
        };
        for step in &steps {
            world.step(step)?;
        }
        drop(world);
        prop_assert_eq!(manager.view().connections as usize, pool.idle());
        drop(pool.take_all());
        prop_assert_eq!(manager.view().connections, 0);
    }
}

struct Plain {
    manager: Arc<ResourceManager>,
    pool: IdlePool<CxPermit>,
}

fn plain(bound: u32) -> Plain {
    let manager = Arc::new(ResourceManager::new(2, thresholds(bound)));
    Plain { pool: IdlePool::new(2, Arc::clone(&manager)), manager }
}

impl Plain {
    fn connect(&self, worker: WorkerId, host: HostKey) -> CxPermit {
        match self.pool.checkout(worker, host) {
            Checkout::Ready(Found::Connect(permit)) => permit,
            other => panic!("not a new connection: {other:?}"),
        }
    }
}

const ONE: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);
const HOST: HostKey = HostKey(1);
const OTHER_HOST: HostKey = HostKey(2);

#[test]
fn d01_an_idle_connection_elsewhere_never_keeps_a_host_from_being_reached() {
    let Plain { manager, pool } = &plain(1);
    let connection = manager.try_connect().unwrap();
    assert!(pool.checkin(ONE, HOST, connection, Instant::ZERO).is_none());
    let Checkout::Ready(Found::Replace(permit)) = pool.checkout(OTHER, OTHER_HOST) else {
        panic!("the idle one is to be replaced")
    };
    assert_eq!(manager.view().connections, 1, "its permit is used for the new one");
    drop(permit);
}

#[test]
fn below_the_limit_a_worker_opens_its_own_connection() {
    let world = plain(2);
    let connection = world.connect(ONE, HOST);
    assert!(world.pool.checkin(ONE, HOST, connection, Instant::ZERO).is_none());
    let _own = world.connect(OTHER, HOST);
    let Checkout::Ready(Found::Idle { from, .. }) = world.pool.checkout(OTHER, HOST) else {
        panic!("at the limit the other worker's is used")
    };
    assert_eq!(from, ONE);
}

#[test]
fn a_connection_above_a_lowered_limit_is_closed_at_checkin() {
    let world = plain(2);
    let (first, second) = (world.connect(ONE, HOST), world.connect(ONE, HOST));
    world.manager.set_thresholds(thresholds(1));
    let surplus = world.pool.checkin(ONE, HOST, first, Instant::ZERO);
    assert!(surplus.is_some(), "two are open, one is allowed");
    drop(surplus);
    assert!(world.pool.checkin(ONE, HOST, second, Instant::ZERO).is_none(), "now one is open");
}

#[test]
fn a_worker_that_was_not_announced_is_served_too() {
    // Of two, which are 0 and 1.
    for stranger in [WorkerId(2), WorkerId(9)] {
        let world = plain(UNLIMITED);
        let connection = world.connect(stranger, HOST);
        assert!(world.pool.checkin(stranger, HOST, connection, Instant::ZERO).is_none());
        assert!(matches!(world.pool.checkout(stranger, HOST), Checkout::Ready(Found::Idle { .. })));
    }
}
