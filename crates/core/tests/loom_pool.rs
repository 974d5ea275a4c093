//! Every interleaving of small races for connections, on the code that ships.
//! `RUSTFLAGS="--cfg loom" cargo test -p fuseboard-core --test loom_pool`
#![cfg(loom)]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parker;
mod race;

use std::sync::Arc;

use fuseboard_core::Instant;
use fuseboard_core::limit::{CxPermit, ResourceManager, Thresholds, WorkerId};
use fuseboard_core::pool::{Checkout, CxWaiter, Found, HostKey, IdlePool};
use loom::thread;
use parker::block_on;
use race::{model, race};

const ONE: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);
const HOST: HostKey = HostKey(7);

struct World {
    manager: Arc<ResourceManager>,
    pool: IdlePool<CxPermit>,
}

/// A cluster that may open `connections`; leaked, because waiters that move to a thread borrow from it.
fn world(connections: u32) -> &'static World {
    let thresholds = Thresholds { max_connections: connections, ..Thresholds::UNLIMITED };
    let manager = Arc::new(ResourceManager::new(2, thresholds));
    Box::leak(Box::new(World { pool: IdlePool::new(2, Arc::clone(&manager)), manager }))
}

impl World {
    fn open(&self) -> CxPermit {
        self.manager.try_connect().expect("below the limit")
    }

    fn checkin(&self, worker: WorkerId, connection: CxPermit) {
        assert!(self.pool.checkin(worker, HOST, connection, Instant::ZERO).is_none());
    }

    fn checkout(&self, worker: WorkerId) -> CxPermit {
        connection(match self.pool.checkout(worker, HOST) {
            Checkout::Ready(found) => found,
            Checkout::Wait(waiter) => block_on(waiter),
        })
    }

    fn wait(&self, worker: WorkerId) -> CxWaiter<'_, CxPermit> {
        match self.pool.checkout(worker, HOST) {
            Checkout::Wait(waiter) => waiter,
            Checkout::Ready(found) => panic!("no need to wait: {found:?}"),
        }
    }

    fn assert_open(&self, connections: u32, idle: usize) {
        assert_eq!(self.manager.view().connections, connections);
        assert_eq!(self.pool.idle(), idle);
    }
}

fn connection(found: Found<CxPermit>) -> CxPermit {
    match found {
        Found::Idle { item, .. } | Found::Replace(item) | Found::Connect(item) => item,
    }
}

#[test]
fn a_checkin_and_a_checkout_elsewhere_never_miss_each_other() {
    model(2, |main| {
        let world = world(1);
        let busy = world.open();
        race(main, move || world.checkin(ONE, busy), || drop(world.checkout(OTHER)));
        world.assert_open(0, 0);
    });
}

#[test]
fn a_closing_connection_and_a_checkout_never_miss_each_other() {
    model(2, |main| {
        let world = world(1);
        let closing = world.open();
        race(main, move || drop(closing), || drop(world.checkout(OTHER)));
        world.assert_open(0, 0);
    });
}

#[test]
fn a_connection_handed_to_a_waiter_that_leaves_goes_to_the_next() {
    model(2, |main| {
        let world = world(1);
        let busy = world.open();
        let first = world.wait(ONE);
        let second = world.wait(OTHER);
        let leaver = thread::spawn(move || drop(first));
        race(main, move || world.checkin(ONE, busy), move || drop(block_on(second)));
        leaver.join().unwrap();
        world.assert_open(0, 0);
    });
}

#[test]
fn a_connection_handed_to_the_last_waiter_that_leaves_is_idle() {
    model(2, |main| {
        let world = world(1);
        let busy = world.open();
        let waiter = world.wait(OTHER);
        race(main, move || world.checkin(ONE, busy), move || drop(waiter));
        world.assert_open(1, 1);
        assert!(matches!(world.pool.checkout(OTHER, HOST), Checkout::Ready(Found::Idle { .. })));
    });
}

#[test]
fn a_permit_handed_to_a_waiter_that_leaves_is_given_back() {
    model(2, |main| {
        let world = world(1);
        let closing = world.open();
        let waiter = world.wait(OTHER);
        race(main, move || drop(closing), move || drop(waiter));
        world.assert_open(0, 0);
        drop(world.open());
    });
}

#[test]
fn a_checkin_and_a_close_serve_two_who_ask() {
    model(2, |main| {
        let world = world(2);
        let (busy, closing) = (world.open(), world.open());
        let first = world.wait(ONE);
        let give = move || {
            world.checkin(ONE, busy);
            drop(closing);
        };
        let ((), second) = race(main, give, || world.checkout(OTHER));
        let first = connection(block_on(first));
        world.assert_open(2, 0);
        drop((first, second));
        world.assert_open(0, 0);
    });
}

#[test]
fn a_limit_raised_while_somebody_is_about_to_wait_lets_it_connect() {
    model(2, |main| {
        let world = world(1);
        let busy = world.open();
        let raise = || world.manager.set_thresholds(Thresholds::UNLIMITED);
        race(main, raise, || drop(world.checkout(OTHER)));
        world.assert_open(1, 0);
        drop(busy);
    });
}

#[test]
fn a_connection_checked_in_while_the_limit_is_lowered_does_not_stay_above_it() {
    model(2, |main| {
        let world = world(2);
        let (busy, other) = (world.open(), world.open());
        let lower = || {
            world.manager.set_thresholds(Thresholds { max_connections: 1, ..Thresholds::UNLIMITED });
            drop(world.pool.take_surplus());
        };
        let checkin = move || drop(world.pool.checkin(ONE, HOST, busy, Instant::ZERO));
        race(main, checkin, lower);
        world.assert_open(1, 0);
        drop(other);
    });
}
