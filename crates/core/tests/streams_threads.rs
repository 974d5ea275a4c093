//! Streams and HTTP/1.1 requests under real threads: what runs at a time is counted where it runs.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parker;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;

use fuseboard_core::limit::{Admission, CxPermit, Kind, ResourceManager, Slot, Thresholds, WorkerId};
use fuseboard_core::pool::{Checkout, Found, Guard, Handle, HostKey, IdlePool, StreamCheckout, StreamFound};
use fuseboard_core::{Instant, Rng};
use parker::block_on;

/// The handle, with how many run on the connection.
#[derive(Clone)]
struct Link(Arc<AtomicU32>);

enum Item {
    Own(CxPermit),
    Shared,
}

impl Handle<Item> for Link {
    fn into_item(self) -> Item {
        Item::Shared
    }
}

const CONNECTIONS: u32 = 3;
const STREAMS: u32 = 2;
const THREADS: u32 = 10;

struct World {
    manager: Arc<ResourceManager>,
    pool: IdlePool<Item, Link>,
    drivers: Mutex<Vec<Guard<Item, Link>>>,
    /// Of each kind.
    running: [AtomicU32; 2],
    done: AtomicBool,
}

fn enter(counter: &AtomicU32, bound: u32) {
    assert!(counter.fetch_add(1, Ordering::SeqCst) < bound);
}

fn leave(counter: &AtomicU32) {
    counter.fetch_sub(1, Ordering::SeqCst);
}

impl World {
    fn slot(&self, worker: WorkerId, kind: Kind) -> Slot<'_> {
        match self.manager.admit(worker, kind) {
            Admission::Admitted(slot) => slot,
            Admission::Queued(waiter) => block_on(waiter).unwrap(),
            Admission::Refused(refused) => panic!("they fit: {refused:?}"),
        }
    }

    /// One request; `true`: it was sent on a connection that others had opened.
    fn stream(&self, worker: WorkerId, host: HostKey, rng: &mut Rng) -> bool {
        let slot = self.slot(worker, Kind::Stream);
        enter(&self.running[0], CONNECTIONS * STREAMS);
        loop {
            let usable = |_: HostKey| false;
            let found = match self.pool.checkout_stream(worker, host, usable) {
                StreamCheckout::Ready(found) => found,
                StreamCheckout::Wait(waiter) => block_on(waiter),
            };
            let (mut lease, shared) = match found {
                StreamFound::Lease(lease) => (lease, true),
                StreamFound::Elsewhere(_) => panic!("nowhere else"),
                StreamFound::Replace(item) => {
                    assert!(matches!(item, Item::Own(_)));
                    continue;
                }
                StreamFound::Connect(permit) => {
                    let (lease, guard) = self.pool.begin(worker, host, permit, 1 + rng.below(50));
                    if rng.below(8) == 0 {
                        // It fails.
                        drop(guard);
                    } else {
                        let offered = if rng.below(4) == 0 { 1 } else { 100 };
                        guard.opened(Link(Arc::default()), offered, Instant::ZERO);
                        self.drivers.lock().unwrap().push(guard);
                    }
                    (lease, false)
                }
            };
            let Ok(link) = block_on(poll_fn(|cx| lease.poll_open(cx))) else { continue };
            enter(&link.0, STREAMS);
            if rng.below(4) == 0 {
                thread::yield_now();
            }
            leave(&link.0);
            if rng.below(30) == 0 {
                lease.retire();
            }
            drop(lease.finish(Instant::ZERO));
            leave(&self.running[0]);
            drop(slot);
            return shared;
        }
    }

    fn request(&self, worker: WorkerId, host: HostKey, rng: &mut Rng) {
        let slot = self.slot(worker, Kind::Connection);
        enter(&self.running[1], CONNECTIONS);
        let permit = loop {
            let found = match self.pool.checkout(worker, host) {
                Checkout::Ready(found) => found,
                Checkout::Wait(waiter) => block_on(waiter),
            };
            match found {
                Found::Connect(permit) | Found::Idle { item: Item::Own(permit), .. } => break permit,
                Found::Idle { item: Item::Shared, .. } => panic!("a shared connection"),
                Found::Replace(item) => drop(item),
            }
        };
        if rng.below(4) == 0 {
            thread::yield_now();
        }
        if rng.below(4) != 0 {
            drop(self.pool.checkin(worker, host, Item::Own(permit), Instant::ZERO));
        }
        leave(&self.running[1]);
        drop(slot);
    }

    /// Closes what is to be closed.
    fn drive(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        while !self.done.load(Ordering::SeqCst) {
            let mut drivers = self.drivers.lock().unwrap();
            let closed: Vec<_> =
                drivers.extract_if(.., |guard| guard.poll_close(&mut cx).is_ready()).collect();
            drop(drivers);
            drop(closed);
            assert!(self.manager.view().connections <= CONNECTIONS);
            thread::yield_now();
        }
    }
}

fn threads(both: bool) {
    let thresholds =
        Thresholds { max_connections: CONNECTIONS, max_pending_requests: THREADS, ..Thresholds::UNLIMITED };
    let manager = Arc::new(ResourceManager::new(2, thresholds));
    manager.set_streams(STREAMS);
    let world = World {
        pool: IdlePool::new(2, Arc::clone(&manager)),
        manager,
        drivers: Mutex::default(),
        running: Default::default(),
        done: AtomicBool::new(false),
    };
    let shared: u32 = thread::scope(|scope| {
        let driver = scope.spawn(|| world.drive());
        let callers: Vec<_> = (0..THREADS)
            .map(|nth| {
                let world = &world;
                scope.spawn(move || {
                    let (mut rng, mut shared) = (Rng::new(nth.into()), 0);
                    for _ in 0..600 {
                        let worker = WorkerId((nth % 2) as u16);
                        let host = HostKey(rng.below(2).into());
                        if both && rng.below(2) == 0 {
                            world.request(worker, host, &mut rng);
                        } else {
                            shared += u32::from(world.stream(worker, host, &mut rng));
                        }
                    }
                    shared
                })
            })
            .collect();
        let shared = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        world.done.store(true, Ordering::SeqCst);
        driver.join().unwrap();
        shared
    });
    assert!(shared > 0, "no connection was ever shared");
    let view = world.manager.view();
    assert_eq!((view.requests, view.pending), (0, 0));
    drop(world.pool.take_all());
    world.drivers.lock().unwrap().clear();
    assert_eq!((world.manager.view().connections, world.pool.idle()), (0, 0));
}

#[test]
fn threads_share_connections_and_never_exceed_a_bound() {
    threads(false);
}

#[test]
fn threads_of_both_kinds_never_exceed_a_bound_and_none_is_forgotten() {
    threads(true);
}
