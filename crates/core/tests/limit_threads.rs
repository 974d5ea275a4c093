//! Limits and the idle pool under real threads: bounded runs in which nobody may exceed a bound, be refused wrongly, or
//! be forgotten.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use fuseboard_core::limit::{
    Admission, CxPermit, Kind, ResourceManager, Slot, Thresholds, UNLIMITED, WorkerId,
};
use fuseboard_core::pool::{Checkout, Found, HostKey, IdlePool};
use fuseboard_core::{Instant, Rng};
use parker::block_on;

const THREADS: [u16; 5] = [1, 2, 4, 8, 16];
const CALLS: u32 = 20_000;

fn limits(connections: u32, pending: u32) -> Thresholds {
    Thresholds { max_connections: connections, max_pending_requests: pending, ..Thresholds::UNLIMITED }
}

/// A count that must never pass its bound.
#[derive(Default)]
struct Gauge(AtomicU32);

impl Gauge {
    fn enter(&self, bound: u32) {
        let inside = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(inside <= bound, "{inside} inside, {bound} allowed");
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `call` on `threads` workers, `CALLS` times in all.
fn run(threads: u16, call: impl Fn(WorkerId, &mut Rng) + Sync) {
    thread::scope(|scope| {
        for worker in 0..threads {
            let call = &call;
            scope.spawn(move || {
                let mut rng = Rng::new(u64::from(worker));
                for _ in 0..CALLS / u32::from(threads) {
                    call(WorkerId(worker), &mut rng);
                }
            });
        }
    });
}

/// Looks once and goes away, perhaps just as its turn comes.
fn give_up(future: impl Future) {
    let mut future = std::pin::pin!(future);
    let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    thread::yield_now();
}

/// A slot, unless the caller gave up; callers fit the limits, so nobody is refused.
fn enter<'a>(manager: &'a ResourceManager, worker: WorkerId, rng: &mut Rng) -> Option<Slot<'a>> {
    match manager.admit(worker, Kind::Connection) {
        Admission::Admitted(slot) => Some(slot),
        Admission::Queued(waiter) if rng.below(4) == 0 => {
            give_up(waiter);
            None
        }
        Admission::Queued(waiter) => Some(block_on(waiter).unwrap()),
        Admission::Refused(refused) => panic!("refused although the callers fit: {refused:?}"),
    }
}

#[test]
fn callers_that_fit_take_turns_at_any_number_of_threads() {
    for threads in THREADS {
        for connections in [1, 3] {
            let pending = u32::from(threads).saturating_sub(connections);
            let manager = ResourceManager::new(threads.into(), limits(connections, pending));
            let inside = Gauge::default();
            run(threads, |worker, rng| {
                if let Some(slot) = enter(&manager, worker, rng) {
                    inside.enter(connections);
                    if rng.below(8) == 0 {
                        thread::yield_now();
                    }
                    inside.leave();
                    drop(slot);
                }
            });
            assert_eq!((manager.view().requests, manager.view().pending), (0, 0));
        }
    }
}

/// A descriptor: closed before its permit is given back, because it comes first.
struct Socket {
    descriptor: Descriptor,
    permit: CxPermit,
}

struct Descriptor(Arc<Gauge>);

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Socket {
    fn open(gauge: &Arc<Gauge>, bound: u32, permit: CxPermit) -> Self {
        gauge.enter(bound);
        Self { descriptor: Descriptor(Arc::clone(gauge)), permit }
    }
}

#[test]
fn d01_d03_each_slot_leads_to_a_connection_and_never_more_than_allowed_are_open() {
    for threads in THREADS {
        for connections in [1, 2, 5] {
            let manager = Arc::new(ResourceManager::new(threads.into(), limits(connections, threads.into())));
            let pool: IdlePool<Socket> = IdlePool::new(threads.into(), Arc::clone(&manager));
            let (open, busy) = (Arc::new(Gauge::default()), Gauge::default());
            run(threads, |worker, rng| {
                let Some(slot) = enter(&manager, worker, rng) else { return };
                let host = HostKey(u64::from(rng.below(3)));
                let found = match pool.checkout(worker, host) {
                    Checkout::Ready(found) => found,
                    Checkout::Wait(waiter) if rng.below(4) == 0 => return give_up(waiter),
                    Checkout::Wait(waiter) => block_on(waiter),
                };
                let socket = match found {
                    Found::Idle { item, .. } => item,
                    Found::Connect(permit) => Socket::open(&open, connections, permit),
                    Found::Replace(Socket { descriptor, permit }) => {
                        drop(descriptor);
                        Socket::open(&open, connections, permit)
                    }
                };
                busy.enter(connections);
                busy.leave();
                match rng.below(3) {
                    // The slot is handed on while the connection is still being closed, as after its last request.
                    0 => {
                        drop(slot);
                        thread::yield_now();
                        drop(socket);
                    }
                    1 => {
                        drop(slot);
                        drop(pool.checkin(worker, host, socket, Instant::ZERO));
                    }
                    _ => {
                        drop(pool.checkin(worker, host, socket, Instant::ZERO));
                        drop(slot);
                    }
                }
            });
            assert_eq!(manager.view().connections as usize, pool.idle());
            assert_eq!((manager.view().requests, manager.view().pending), (0, 0));
            drop(pool.take_all());
            assert_eq!((manager.view().connections, open.0.load(Ordering::SeqCst)), (0, 0));
        }
    }
}

#[test]
fn limits_that_come_and_go_under_traffic_lose_nobody() {
    for threads in THREADS {
        let manager = Arc::new(ResourceManager::new(threads.into(), Thresholds::UNLIMITED));
        let pool: IdlePool<CxPermit> = IdlePool::new(threads.into(), Arc::clone(&manager));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut rng = Rng::new(99);
                while !over.load(Ordering::Relaxed) {
                    let connections = [UNLIMITED, UNLIMITED, 1, 2, 7][rng.below(5) as usize];
                    manager.set_thresholds(limits(connections, UNLIMITED));
                    drop(pool.take_surplus());
                    thread::yield_now();
                }
            });
            run(threads, |worker, rng| {
                let Some(slot) = enter(&manager, worker, rng) else { return };
                let host = HostKey(u64::from(rng.below(2)));
                let found = match pool.checkout(worker, host) {
                    Checkout::Ready(found) => found,
                    Checkout::Wait(waiter) if rng.below(4) == 0 => return give_up(waiter),
                    Checkout::Wait(waiter) => block_on(waiter),
                };
                let (Found::Idle { item, .. } | Found::Connect(item) | Found::Replace(item)) = found;
                if rng.below(3) > 0 {
                    drop(pool.checkin(worker, host, item, Instant::ZERO));
                }
                drop(slot);
            });
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!((manager.view().requests, manager.view().pending), (0, 0));
        assert_eq!(manager.view().connections as usize, pool.idle());
    }
}

#[test]
fn a_limit_is_exact_from_the_moment_it_is_set() {
    for threads in THREADS {
        let manager = ResourceManager::new(threads.into(), Thresholds::UNLIMITED);
        let inside = AtomicU32::new(0);
        // Odd: a limit of 1 is all there is.
        let (phase, over) = (AtomicU32::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..300 {
                    manager.set_thresholds(limits(1, UNLIMITED));
                    // Those who entered before the limit leave.
                    while manager.view().requests > 1 {
                        thread::yield_now();
                    }
                    phase.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    phase.fetch_add(1, Ordering::SeqCst);
                    manager.set_thresholds(Thresholds::UNLIMITED);
                }
                over.store(true, Ordering::Relaxed);
            });
            for worker in 0..threads {
                let (manager, inside, phase, over) = (&manager, &inside, &phase, &over);
                scope.spawn(move || {
                    let mut rng = Rng::new(worker.into());
                    while !over.load(Ordering::Relaxed) {
                        let Some(slot) = enter(manager, WorkerId(worker), &mut rng) else { continue };
                        let before = phase.load(Ordering::SeqCst);
                        let others = inside.fetch_add(1, Ordering::SeqCst);
                        let after = phase.load(Ordering::SeqCst);
                        let limited = before == after && before % 2 == 1;
                        assert!(!limited || others == 0, "{others} others inside under a limit of 1");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(slot);
                    }
                });
            }
        });
        assert_eq!(manager.view().requests, 0);
    }
}

#[test]
fn poll_after_the_end_is_harmless() {
    let manager = ResourceManager::new(1, limits(1, 1));
    let Admission::Admitted(slot) = manager.admit(WorkerId(0), Kind::Connection) else {
        panic!("the first is admitted")
    };
    let Admission::Queued(mut waiter) = manager.admit(WorkerId(0), Kind::Connection) else {
        panic!("the second waits")
    };
    drop(slot);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(waiter.poll_slot(cx), Poll::Ready(Ok(_))));
    assert!(matches!(waiter.poll_slot(cx), Poll::Ready(Err(_))));
}
