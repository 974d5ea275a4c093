//! Every interleaving of small races for streams, on the code that ships.
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=5 cargo test -p fuseboard-core --test loom_streams`
//!
//! With the bound it ends within a minute or two, and every schedule with at most five preemptions (switches that nobody had to
//! wait for) was tried. Without it most of the tests end as well; an idle connection that is taken or used, and one for another host,
//! have too many schedules.
#![cfg(loom)]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parker;
mod race;

use std::future::poll_fn;
use std::sync::Arc;

use fuseboard_core::Instant;
use fuseboard_core::limit::{Admission, Kind, ResourceManager, Slot, Thresholds, WorkerId};
use fuseboard_core::pool::{Guard, Handle, HostKey, IdlePool, Lease, Lost, StreamCheckout, StreamFound};
use parker::block_on;
use race::{model, race};

const ONE: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);
const HOST: HostKey = HostKey(7);
const OTHER_HOST: HostKey = HostKey(8);

#[derive(Clone, Debug)]
struct Link;

#[derive(Debug)]
struct Item;

impl Handle<Item> for Link {
    fn into_item(self) -> Item {
        Item
    }
}

type Held = Lease<'static, Item, Link>;

struct World {
    manager: Arc<ResourceManager>,
    pool: IdlePool<Item, Link>,
}

/// A cluster that may open `connections` with `streams` each; leaked, because what moves to a thread borrows from it.
fn world(connections: u32, streams: u32) -> &'static World {
    let thresholds =
        Thresholds { max_connections: connections, max_pending_requests: 2, ..Thresholds::UNLIMITED };
    let manager = Arc::new(ResourceManager::new(2, thresholds));
    manager.set_streams(streams);
    Box::leak(Box::new(World { pool: IdlePool::new(2, Arc::clone(&manager)), manager }))
}

fn nowhere(_host: HostKey) -> bool {
    false
}

impl World {
    fn begin(&'static self, worker: WorkerId, host: HostKey) -> (Held, Guard<Item, Link>) {
        self.pool.begin(worker, host, self.manager.try_connect().expect("below the limit"), u32::MAX)
    }

    fn open(&'static self) -> (Held, Guard<Item, Link>) {
        let (lease, guard) = self.begin(ONE, HOST);
        guard.opened(Link, u32::MAX, Instant::ZERO);
        (lease, guard)
    }

    fn checkout(&'static self, worker: WorkerId, host: HostKey) -> StreamFound<'static, Item, Link> {
        match self.pool.checkout_stream(worker, host, nowhere as fn(HostKey) -> bool) {
            StreamCheckout::Ready(found) => found,
            StreamCheckout::Wait(waiter) => block_on(waiter),
        }
    }

    /// A stream that is there, whatever it takes.
    fn stream(&'static self, worker: WorkerId, host: HostKey) -> (Held, Option<Guard<Item, Link>>) {
        loop {
            match self.checkout(worker, host) {
                StreamFound::Lease(mut lease) | StreamFound::Elsewhere(mut lease) => {
                    if opened(&mut lease).is_ok() {
                        return (lease, None);
                    }
                }
                StreamFound::Connect(permit) => {
                    let (lease, guard) = self.pool.begin(worker, host, permit, u32::MAX);
                    guard.opened(Link, u32::MAX, Instant::ZERO);
                    return (lease, Some(guard));
                }
                StreamFound::Replace(item) => drop(item),
            }
        }
    }

    fn assert_closed(&self) {
        drop(self.pool.take_all());
        assert_eq!((self.manager.view().connections, self.pool.idle()), (0, 0));
    }
}

fn opened(lease: &mut Held) -> Result<Link, Lost> {
    block_on(poll_fn(|cx| lease.poll_open(cx)))
}

#[test]
fn room_that_comes_free_and_one_who_begins_to_wait_never_miss_each_other() {
    model(2, |main| {
        let world = world(1, 1);
        let (lease, guard) = world.open();
        let ((), second) =
            race(main, move || drop(lease.finish(Instant::ZERO)), || world.stream(OTHER, HOST));
        assert!(second.1.is_none(), "on the connection that was there");
        drop((second, guard));
        world.assert_closed();
    });
}

#[test]
fn room_handed_to_one_who_leaves_goes_to_the_next() {
    model(2, |main| {
        let world = world(1, 1);
        let (lease, guard) = world.open();
        let wait = |worker| match world.pool.checkout_stream(worker, HOST, nowhere as fn(HostKey) -> bool) {
            StreamCheckout::Wait(waiter) => waiter,
            StreamCheckout::Ready(found) => panic!("no need to wait: {found:?}"),
        };
        let (first, second) = (wait(ONE), wait(OTHER));
        race(
            main,
            move || {
                drop(lease);
                drop(block_on(second));
            },
            move || drop(first),
        );
        assert_eq!(guard.streams(), 0);
        drop(guard);
        world.assert_closed();
    });
}

#[test]
fn a_guard_that_goes_while_leases_are_taken_loses_them_all_and_gives_its_permit_on() {
    model(2, |main| {
        let world = world(1, 2);
        let (mut lease, guard) = world.begin(ONE, HOST);
        let ((), second) = race(main, move || drop(guard), || world.stream(OTHER, HOST));
        assert!(opened(&mut lease).is_err());
        assert!(second.1.is_some(), "its own connection");
        drop((lease, second));
        world.assert_closed();
    });
}

#[test]
fn a_peer_that_offers_less_and_one_who_takes_a_lease_agree_on_who_is_lost() {
    model(2, |main| {
        let world = world(1, 2);
        let (mut lease, guard) = world.begin(ONE, HOST);
        let (guard, ()) = race(
            main,
            move || {
                guard.opened(Link, 1, Instant::ZERO);
                guard
            },
            || match world.pool.checkout_stream(OTHER, HOST, nowhere as fn(HostKey) -> bool) {
                StreamCheckout::Ready(StreamFound::Lease(mut lease)) => {
                    assert!(opened(&mut lease).is_err());
                }
                // There was none left.
                StreamCheckout::Wait(_) => {}
                StreamCheckout::Ready(other) => panic!("not {other:?}"),
            },
        );
        assert!(opened(&mut lease).is_ok());
        assert_eq!(guard.streams(), 1);
        drop((lease, guard));
        world.assert_closed();
    });
}

#[test]
fn an_idle_connection_is_either_taken_for_closing_or_used() {
    model(2, |main| {
        let world = world(1, 1);
        let (lease, guard) = world.open();
        drop(lease);
        let close = move || {
            let taken = world.pool.take_host(HOST);
            if taken.is_empty() {
                return Some(guard);
            }
            drop(guard);
            None
        };
        let (kept, (stream, own)) = race(main, close, || world.stream(OTHER, HOST));
        assert_eq!(kept.is_some(), own.is_none(), "one connection, either the old or a new one");
        drop((stream, own, kept));
        world.assert_closed();
    });
}

#[test]
fn one_for_another_host_gets_the_place_of_a_connection_that_becomes_idle() {
    model(2, |main| {
        let world = world(1, 1);
        let (lease, guard) = world.open();
        let drive = move || {
            drop(lease);
            block_on(poll_fn(|cx| guard.poll_close(cx)));
            drop(guard);
        };
        let ((), (stream, own)) = race(main, drive, || world.stream(OTHER, OTHER_HOST));
        assert!(own.is_some());
        drop((stream, own));
        world.assert_closed();
    });
}

fn enter(manager: &ResourceManager, kind: Kind) -> Slot<'_> {
    match manager.admit(ONE, kind) {
        Admission::Admitted(slot) => slot,
        Admission::Queued(waiter) => block_on(waiter).unwrap(),
        Admission::Refused(refused) => panic!("{refused:?}"),
    }
}

/// One place for both kinds.
fn one_for_both() -> &'static ResourceManager {
    let thresholds =
        Thresholds { max_connections: 1, max_pending_requests: 2, max_requests: 1, ..Thresholds::UNLIMITED };
    let manager: &'static ResourceManager = Box::leak(Box::new(ResourceManager::new(2, thresholds)));
    manager.set_streams(1);
    manager
}

#[test]
fn a_release_of_one_kind_and_a_newcomer_of_the_other_never_miss_each_other() {
    model(2, |main| {
        let manager = one_for_both();
        let slot = enter(manager, Kind::Connection);
        race(main, move || drop(slot), || drop(enter(manager, Kind::Stream)));
        let view = manager.view();
        assert_eq!((view.requests, view.pending), (0, 0));
        drop(enter(manager, Kind::Connection));
    });
}

#[test]
fn both_kinds_at_once_take_turns() {
    model(2, |main| {
        let manager = one_for_both();
        race(main, || drop(enter(manager, Kind::Connection)), || drop(enter(manager, Kind::Stream)));
        let view = manager.view();
        assert_eq!((view.requests, view.pending), (0, 0));
    });
}
