//! A cluster in one thread: callers, drivers of connections and peers as states that a seed moves on. A caller that waits moves only
//! if it was woken, as a task would.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use fuseboard_core::limit::{
    Admission, CxPermit, Dismissed, Kind, ResourceManager, Slot, Thresholds, UNLIMITED, Waiter, WorkerId,
};
use fuseboard_core::pool::{
    Checkout, CxWaiter, Found, Guard, HostKey, IdlePool, Lease, Lost, StreamCheckout, StreamFound,
    StreamWaiter,
};
use fuseboard_core::{Instant, Rng};

use crate::connections::{Flag, Item, Link};

/// What may happen.
#[derive(Clone, Copy)]
pub(crate) struct Chaos {
    pub(crate) kinds: &'static [Kind],
    pub(crate) offers_zero: bool,
    /// Limits change.
    pub(crate) changes: bool,
    pub(crate) gives_up: bool,
    pub(crate) hosts: u64,
    pub(crate) callers: u32,
}

type Usable = Box<dyn Fn(HostKey) -> bool>;

enum State {
    Idle,
    Queued(Waiter<'static>),
    Admitted(Slot<'static>),
    WaitsOwn(Slot<'static>, CxWaiter<'static, Item, Link>),
    WaitsStream(Slot<'static>, StreamWaiter<'static, Item, Link, Usable>),
    Opening(Slot<'static>, Lease<'static, Item, Link>),
    Runs(Slot<'static>, Lease<'static, Item, Link>, u32),
    RunsOwn(Slot<'static>, CxPermit),
}

struct Caller {
    kind: Kind,
    worker: WorkerId,
    host: HostKey,
    elsewhere: bool,
    state: State,
    /// `None`: not polled in this state yet.
    woken: Option<Arc<Flag>>,
}

/// Who drives a shared connection.
struct Driver {
    id: u32,
    guard: Guard<Item, Link>,
    open: bool,
    offered: u32,
    /// Requests sent.
    served: u32,
    max_requests: u32,
    woken: Option<Arc<Flag>>,
}

pub(crate) struct World {
    manager: Arc<ResourceManager>,
    pool: &'static IdlePool<Item, Link>,
    chaos: Chaos,
    bounds: Thresholds,
    streams: u32,
    callers: Vec<Caller>,
    drivers: Vec<Driver>,
    pub(crate) refused: u32,
    rng: Rng,
    now: u64,
    next: u32,
    seed: u64,
    /// Since a limit was lowered there may be more than it allows.
    lowered: bool,
}

impl World {
    pub(crate) fn new(bounds: Thresholds, streams: u32, chaos: Chaos, seed: u64) -> Self {
        let manager = Arc::new(ResourceManager::new(2, bounds));
        // Leaked, because what callers hold borrows from them; they are small.
        let manager: &'static Arc<ResourceManager> = Box::leak(Box::new(manager));
        let pool: &'static IdlePool<Item, Link> = Box::leak(Box::new(IdlePool::new(2, Arc::clone(manager))));
        pool.set_streams(streams);
        let mut world = Self {
            manager: Arc::clone(manager),
            pool,
            chaos,
            bounds,
            streams,
            callers: Vec::new(),
            drivers: Vec::new(),
            refused: 0,
            rng: Rng::new(seed.wrapping_mul(77) + 1),
            now: 0,
            next: 0,
            seed,
            lowered: false,
        };
        for _ in 0..chaos.callers {
            let state = State::Idle;
            let (kind, worker, host) = (Kind::Stream, WorkerId(0), HostKey(0));
            world.callers.push(Caller { kind, worker, host, elsewhere: false, state, woken: None });
        }
        world
    }

    fn limits(&self) -> &'static ResourceManager {
        // The pool has a copy for good.
        let manager: &'static Arc<ResourceManager> = Box::leak(Box::new(Arc::clone(&self.manager)));
        manager
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(u32::try_from(bound).unwrap()) as usize
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.below(one_in) == 0
    }

    pub(crate) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.now += 1;
            match self.rng.below(16) {
                0..=9 => {
                    let nth = self.below(self.callers.len());
                    self.caller(nth, true);
                }
                10..=13 if !self.drivers.is_empty() => {
                    let nth = self.below(self.drivers.len());
                    self.driver(nth, true);
                }
                14 => self.take(),
                15 if self.chaos.changes && self.chance(4) => self.change(),
                _ => {}
            }
            self.check();
        }
    }

    /// No new calls; whoever runs ends, whatever opens opens. Nobody may be left waiting.
    pub(crate) fn drain(&mut self) {
        self.chaos.gives_up = false;
        if self.chaos.changes {
            self.set_thresholds(Thresholds { max_connections: 1, ..Thresholds::UNLIMITED });
        }
        for _ in 0..400 {
            self.now += 1;
            for nth in 0..self.callers.len() {
                if !matches!(self.callers[nth].state, State::Idle) {
                    self.caller(nth, false);
                }
                self.check();
            }
            let mut nth = 0;
            while nth < self.drivers.len() {
                let before = self.drivers.len();
                self.driver(nth, false);
                nth += usize::from(self.drivers.len() == before);
                self.check();
            }
        }
        for caller in &self.callers {
            assert!(
                matches!(caller.state, State::Idle),
                "seed {}: {} waits for good",
                self.seed,
                caller.name()
            );
        }
        let view = self.manager.view();
        assert_eq!((view.requests, view.pending), (0, 0), "seed {}", self.seed);
        assert_eq!(view.connections as usize, self.pool.idle() + self.ending(), "seed {}", self.seed);
        drop(self.pool.take_all());
        self.drivers.clear();
        assert_eq!(self.manager.view().connections, 0, "seed {}", self.seed);
        assert_eq!(self.pool.idle(), 0);
        self.burst();
    }

    /// Nothing is missing: as many slots as the limits say.
    fn burst(&self) {
        if self.bounds.max_connections < 10 && self.streams < 10 {
            let all = self.bounds.max_connections.saturating_mul(self.streams).min(self.bounds.max_requests);
            let burst: Vec<_> =
                (0..=all).map(|_| self.manager.admit_now(WorkerId(0), Kind::Stream).ok()).collect();
            assert_eq!(burst.iter().flatten().count(), all as usize, "seed {}", self.seed);
        }
    }

    /// Connections that nobody may use again.
    fn ending(&self) -> usize {
        let waker = Waker::noop();
        let closes = |driver: &&Driver| driver.guard.poll_close(&mut Context::from_waker(waker)).is_ready();
        self.drivers.iter().filter(closes).count()
    }

    fn caller(&mut self, nth: usize, chaos: bool) {
        let state = std::mem::replace(&mut self.callers[nth].state, State::Idle);
        let gives_up = chaos && self.chaos.gives_up && self.chance(8);
        let next = match state {
            State::Idle if chaos => self.call(nth),
            _ if gives_up => State::Idle,
            waits
            @ (State::Queued(_) | State::WaitsOwn(..) | State::WaitsStream(..) | State::Opening(..))
                if !self.callers[nth].may_poll() =>
            {
                waits
            }
            State::Queued(mut waiter) => match waiter.poll_slot(&mut self.callers[nth].waker()) {
                Poll::Pending => State::Queued(waiter),
                Poll::Ready(Ok(slot)) => State::Admitted(slot),
                Poll::Ready(Err(Dismissed)) => State::Idle,
            },
            State::Admitted(slot) => self.checkout(nth, slot),
            State::WaitsOwn(slot, mut waiter) => match waiter.poll_found(&mut self.callers[nth].waker()) {
                Poll::Pending => State::WaitsOwn(slot, waiter),
                Poll::Ready(found) => Self::found_own(slot, found),
            },
            State::WaitsStream(slot, mut waiter) => match waiter.poll_found(&mut self.callers[nth].waker()) {
                Poll::Pending => State::WaitsStream(slot, waiter),
                Poll::Ready(found) => self.found_stream(nth, slot, found),
            },
            State::Opening(slot, mut lease) => match lease.poll_open(&mut self.callers[nth].waker()) {
                Poll::Pending => State::Opening(slot, lease),
                Poll::Ready(Err(Lost)) => State::Admitted(slot),
                Poll::Ready(Ok(link)) => {
                    if let Some(driver) = self.drivers.iter_mut().find(|driver| driver.id == link.0) {
                        driver.served += 1;
                        assert!(driver.served <= driver.max_requests, "seed {}", self.seed);
                    }
                    State::Runs(slot, lease, link.0)
                }
            },
            State::Runs(slot, lease, id) if chaos && self.chance(2) => State::Runs(slot, lease, id),
            State::Runs(_slot, lease, _) => {
                if !chaos || self.chance(2) {
                    drop(lease.finish(Instant::from_nanos(self.now)));
                }
                State::Idle
            }
            State::RunsOwn(slot, permit) if chaos && self.chance(2) => State::RunsOwn(slot, permit),
            State::RunsOwn(_slot, permit) => {
                let Caller { worker, host, .. } = self.callers[nth];
                if !self.chance(3) {
                    drop(self.pool.checkin(worker, host, Item::Own(permit), Instant::from_nanos(self.now)));
                }
                State::Idle
            }
            State::Idle => State::Idle,
        };
        self.callers[nth].state = next;
    }

    fn call(&mut self, nth: usize) -> State {
        let kinds = self.chaos.kinds;
        let kind = kinds[self.below(kinds.len())];
        let worker = WorkerId(u16::try_from(self.below(2)).unwrap());
        let host = HostKey(self.rng.below(u32::try_from(self.chaos.hosts).unwrap()).into());
        let elsewhere = self.chance(2);
        let caller = &mut self.callers[nth];
        (caller.kind, caller.worker, caller.host, caller.elsewhere) = (kind, worker, host, elsewhere);
        caller.woken = None;
        match self.limits().admit(worker, kind) {
            Admission::Admitted(slot) => State::Admitted(slot),
            Admission::Queued(waiter) => State::Queued(waiter),
            Admission::Refused(_) => {
                self.refused += 1;
                State::Idle
            }
        }
    }

    fn checkout(&mut self, nth: usize, slot: Slot<'static>) -> State {
        let Caller { worker, host, elsewhere, kind, .. } = self.callers[nth];
        self.callers[nth].woken = None;
        assert_eq!(slot.kind(), kind);
        if kind == Kind::Connection {
            return match self.pool.checkout(worker, host) {
                Checkout::Ready(found) => Self::found_own(slot, found),
                Checkout::Wait(waiter) => State::WaitsOwn(slot, waiter),
            };
        }
        let usable: Usable = Box::new(move |_| elsewhere);
        match self.pool.checkout_stream(worker, host, usable) {
            StreamCheckout::Ready(found) => self.found_stream(nth, slot, found),
            StreamCheckout::Wait(waiter) => State::WaitsStream(slot, waiter),
        }
    }

    fn found_own(slot: Slot<'static>, found: Found<Item>) -> State {
        match found {
            Found::Connect(permit) | Found::Idle { item: Item::Own(permit), .. } => {
                State::RunsOwn(slot, permit)
            }
            Found::Idle { item: Item::Shared(_), .. } => panic!("a shared connection for HTTP/1.1"),
            // Closed, and asked again.
            Found::Replace(_) => State::Admitted(slot),
        }
    }

    fn found_stream(
        &mut self,
        nth: usize,
        slot: Slot<'static>,
        found: StreamFound<'static, Item, Link>,
    ) -> State {
        let caller = &mut self.callers[nth];
        caller.woken = None;
        match found {
            StreamFound::Lease(lease) => {
                assert_eq!(lease.host(), caller.host);
                State::Opening(slot, lease)
            }
            StreamFound::Elsewhere(lease) => {
                assert!(caller.elsewhere && lease.host() != caller.host, "seed {}", self.seed);
                State::Opening(slot, lease)
            }
            StreamFound::Replace(Item::Own(_)) => State::Admitted(slot),
            StreamFound::Replace(Item::Shared(_)) => panic!("shared ones are told to close"),
            StreamFound::Connect(permit) => {
                let (worker, host) = (caller.worker, caller.host);
                let max_requests = if self.chance(3) { 1 + self.rng.below(4) } else { u32::MAX };
                let (lease, guard) = self.pool.begin(worker, host, permit, max_requests);
                self.next += 1;
                let (id, offered) = (self.next, UNLIMITED);
                let driver = Driver { id, guard, open: false, offered, served: 0, max_requests, woken: None };
                self.drivers.push(driver);
                State::Opening(slot, lease)
            }
        }
    }

    fn driver(&mut self, nth: usize, chaos: bool) {
        let least = u32::from(!chaos || !self.chaos.offers_zero);
        let what = self.rng.below(8);
        let some = self.rng.below(5).max(least);
        let now = Instant::from_nanos(self.now);
        let (seed, streams) = (self.seed, self.streams);
        let driver = &mut self.drivers[nth];
        assert!(driver.guard.streams() <= streams || self.lowered || driver.open, "seed {seed}");
        let closing = driver.poll_close();
        if closing && !(chaos && what == 0) {
            drop(self.drivers.swap_remove(nth));
            return;
        }
        if !driver.open {
            if chaos && what == 1 {
                drop(self.drivers.swap_remove(nth));
            } else {
                driver.offered = if what < 4 { some } else { UNLIMITED };
                driver.open = true;
                driver.guard.opened(Link(driver.id), driver.offered, now);
                assert!(driver.guard.streams() <= driver.offered.min(streams), "seed {seed}");
            }
        } else if chaos {
            match what {
                1 => drop(self.drivers.swap_remove(nth)),
                2 => driver.guard.retire(),
                3 => {
                    driver.offered = some;
                    driver.guard.set_capacity(some);
                }
                _ => {}
            }
        } else if driver.offered == 0 {
            driver.offered = 1;
            driver.guard.set_capacity(1);
        }
    }

    fn take(&mut self) {
        let before = Instant::from_nanos(self.now.saturating_sub(5));
        match self.rng.below(5) {
            0 => drop(self.pool.take_host(HostKey(0))),
            1 => drop(self.pool.take_idle_since(before)),
            2 => drop(self.pool.take_judged(WorkerId(1), |_, since| (since < before).then_some(()))),
            3 => drop(self.pool.take_surplus()),
            _ if self.chaos.changes => drop(self.pool.take_all()),
            _ => {}
        }
    }

    fn change(&mut self) {
        self.lowered = true;
        if self.chance(3) {
            self.streams = 1 + self.rng.below(4);
            self.pool.set_streams(self.streams);
            return;
        }
        let bounds = Thresholds {
            max_connections: if self.chance(6) { UNLIMITED } else { 1 + self.rng.below(4) },
            max_requests: if self.chance(2) { UNLIMITED } else { 1 + self.rng.below(6) },
            ..self.bounds
        };
        self.set_thresholds(bounds);
    }

    fn set_thresholds(&mut self, bounds: Thresholds) {
        self.lowered = true;
        self.bounds = bounds;
        self.manager.set_thresholds(bounds);
        drop(self.pool.take_surplus());
    }

    fn count(&self, is: impl Fn(&State) -> bool) -> u32 {
        u32::try_from(self.callers.iter().filter(|caller| is(&caller.state)).count()).unwrap()
    }

    fn check(&self) {
        let (seed, view) = (self.seed, self.manager.view());
        let waits = self.count(|state| matches!(state, State::Queued(_)));
        let outside = self.count(|state| matches!(state, State::Idle));
        // Who was given a slot and does not know is counted as a request, not as pending.
        assert!(view.pending <= waits, "seed {seed}");
        assert_eq!(view.requests + view.pending, self.chaos.callers - outside, "seed {seed}");
        if self.lowered {
            return;
        }
        assert!(view.pending <= self.bounds.max_pending_requests, "seed {seed}");
        assert!(view.connections <= self.bounds.max_connections, "seed {seed}");
        assert!(view.requests <= self.bounds.max_requests, "seed {seed}");
        let own = self.count(|state| state.slot().is_some_and(|slot| slot.kind() == Kind::Connection));
        let streams = self.count(|state| state.slot().is_some_and(|slot| slot.kind() == Kind::Stream));
        assert!(own <= self.bounds.max_connections, "seed {seed}");
        assert!(streams <= self.bounds.max_connections.saturating_mul(self.streams), "seed {seed}");
        for driver in &self.drivers {
            let running = self.count(|state| matches!(state, State::Runs(_, _, id) if *id == driver.id));
            assert!(running <= self.streams, "seed {seed}");
        }
    }
}

impl State {
    fn slot(&self) -> Option<&Slot<'static>> {
        match self {
            Self::Idle | Self::Queued(_) => None,
            Self::Admitted(slot)
            | Self::WaitsOwn(slot, _)
            | Self::WaitsStream(slot, _)
            | Self::Opening(slot, _)
            | Self::Runs(slot, ..)
            | Self::RunsOwn(slot, _) => Some(slot),
        }
    }
}

impl Caller {
    fn may_poll(&self) -> bool {
        self.woken.as_ref().is_none_or(|flag| flag.0.load(Ordering::Relaxed))
    }

    /// A waker of its own for each poll: only the latest counts.
    fn waker(&mut self) -> Context<'static> {
        context(&mut self.woken)
    }

    fn name(&self) -> String {
        let state = match self.state {
            State::Idle => "nobody",
            State::Queued(_) => "one in the queue",
            State::Admitted(_) => "one with a slot",
            State::WaitsOwn(..) => "one without a connection",
            State::WaitsStream(..) => "one without a stream",
            State::Opening(..) => "one with a lease",
            State::Runs(..) | State::RunsOwn(..) => "one that runs",
        };
        format!("{state} ({:?}, woken: {})", self.kind, self.may_poll())
    }
}

impl Driver {
    fn poll_close(&mut self) -> bool {
        if self.woken.as_ref().is_some_and(|flag| !flag.0.load(Ordering::Relaxed)) {
            return false;
        }
        let ready = self.guard.poll_close(&mut context(&mut self.woken)).is_ready();
        if ready {
            // Whoever takes its time with closing may look again.
            self.woken = None;
        }
        ready
    }
}

/// Leaked, for the same reason as the pool.
fn context(woken: &mut Option<Arc<Flag>>) -> Context<'static> {
    let flag = Arc::new(Flag::default());
    *woken = Some(Arc::clone(&flag));
    Context::from_waker(Box::leak(Box::new(Waker::from(flag))))
}
