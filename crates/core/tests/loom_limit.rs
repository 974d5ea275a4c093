//! Every interleaving of small races for slots, on the code that ships.
//! `RUSTFLAGS="--cfg loom" cargo test -p fuseboard-core --test loom_limit`
#![cfg(loom)]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admission;
mod parker;
mod race;

use admission::{admitted, queued};
use fuseboard_core::limit::{Admission, Dismissed, Kind, ResourceManager, Slot, Thresholds, WorkerId};
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use parker::block_on;
use race::{model, race};

const ONE: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);

fn limits(connections: u32, pending: u32) -> Thresholds {
    Thresholds { max_connections: connections, max_pending_requests: pending, ..Thresholds::UNLIMITED }
}

/// Leaked, because slots and waiters that move to a thread borrow from it; it is small.
fn manager(thresholds: Thresholds) -> &'static ResourceManager {
    Box::leak(Box::new(ResourceManager::new(2, thresholds)))
}

/// Waits if need be; `None` if refused.
fn enter(manager: &ResourceManager, worker: WorkerId) -> Option<Slot<'_>> {
    match manager.admit(worker, Kind::Connection) {
        Admission::Admitted(slot) => Some(slot),
        Admission::Queued(waiter) => Some(block_on(waiter).unwrap()),
        Admission::Refused(_) => None,
    }
}

fn assert_empty(manager: &ResourceManager) {
    let view = manager.view();
    assert_eq!((view.requests, view.pending), (0, 0));
}

#[test]
fn a_release_and_a_newcomer_never_miss_each_other() {
    model(2, |main| {
        let manager = manager(limits(1, 1));
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        let ((), entered) = race(main, move || drop(slot), || enter(manager, OTHER));
        assert!(entered.is_some(), "there is a place in the queue, so nobody is refused");
        drop(entered);
        assert_empty(manager);
    });
}

#[test]
fn two_callers_of_one_connection_take_turns_and_none_is_refused() {
    model(2, |main| {
        let manager = manager(limits(1, 1));
        let inside: &AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        let call = |worker| {
            move || {
                let slot = enter(manager, worker).expect("two callers fit 1 + 1");
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                inside.fetch_sub(1, Ordering::Relaxed);
                drop(slot);
            }
        };
        race(main, call(ONE), call(OTHER));
        assert_empty(manager);
    });
}

#[test]
fn a_slot_handed_to_a_waiter_that_leaves_goes_to_the_next() {
    model(2, |main| {
        let manager = manager(limits(1, 2));
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        let first = queued(manager.admit(ONE, Kind::Connection));
        let second = queued(manager.admit(OTHER, Kind::Connection));
        let leaver = thread::spawn(move || drop(first));
        race(main, move || drop(slot), move || drop(block_on(second).unwrap()));
        leaver.join().unwrap();
        assert_empty(manager);
    });
}

#[test]
fn a_newcomer_never_slips_in_before_one_who_waits() {
    model(2, |main| {
        let manager = manager(limits(1, 2));
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        let waiter = queued(manager.admit(OTHER, Kind::Connection));
        let ((), (upgrade, request)) = race(
            main,
            move || drop(slot),
            || (manager.admit_now(OTHER, Kind::Connection), manager.admit(OTHER, Kind::Connection)),
        );
        assert!(upgrade.is_err());
        let behind = queued(request);
        drop(block_on(waiter).unwrap());
        drop(block_on(behind).unwrap());
        assert_empty(manager);
    });
}

#[test]
fn a_waiter_that_leaves_while_its_turn_comes_keeps_nothing() {
    model(2, |main| {
        let manager = manager(limits(1, 1));
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        let waiter = queued(manager.admit(OTHER, Kind::Connection));
        race(main, move || drop(slot), move || drop(waiter));
        assert_empty(manager);
        drop(admitted(manager.admit(OTHER, Kind::Connection)));
    });
}

#[test]
fn a_limit_set_on_a_live_cluster_counts_each_slot_exactly_once() {
    model(2, |main| {
        let manager = manager(Thresholds::UNLIMITED);
        let (under_the_limit, raced) = race(
            main,
            || {
                manager.set_thresholds(limits(1, 0));
                manager.admit_now(OTHER, Kind::Connection).ok()
            },
            // Either before the limit, or under it.
            || manager.admit_now(ONE, Kind::Connection).ok(),
        );
        assert_eq!(u32::from(raced.is_some()) + u32::from(under_the_limit.is_some()), 1);
        assert_eq!(manager.view().requests, 1);
        drop((raced, under_the_limit));
        assert_empty(manager);
    });
}

#[test]
fn a_slot_from_before_the_limit_wakes_those_who_wait_under_it() {
    model(2, |main| {
        let manager = manager(Thresholds::UNLIMITED);
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        race(
            main,
            move || drop(slot),
            || {
                manager.set_thresholds(limits(1, 1));
                drop(enter(manager, OTHER).expect("one holder, one waiter"));
            },
        );
        assert_empty(manager);
    });
}

#[test]
fn a_limit_that_comes_and_goes_leaves_no_slot_behind() {
    model(2, |main| {
        let manager = manager(Thresholds::UNLIMITED);
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        let ((), again) = race(
            main,
            move || drop(slot),
            || {
                manager.set_thresholds(limits(5, 0));
                manager.set_thresholds(Thresholds::UNLIMITED);
                admitted(manager.admit(ONE, Kind::Connection))
            },
        );
        assert_eq!(manager.view().requests, 1);
        drop(again);
        assert_empty(manager);
    });
}

#[test]
fn a_raised_limit_starts_whoever_is_about_to_wait() {
    for raised in [limits(2, 1), Thresholds::UNLIMITED] {
        model(2, move |main| {
            let manager = manager(limits(1, 1));
            let held = admitted(manager.admit(ONE, Kind::Connection));
            let ((), other) = race(main, move || manager.set_thresholds(raised), || enter(manager, OTHER));
            assert!(other.is_some());
            assert_eq!(manager.view().requests, 2);
            drop((held, other));
            assert_empty(manager);
        });
    }
}

#[test]
fn a_lowered_limit_and_a_newcomer_agree_on_who_came_first() {
    model(2, |main| {
        let manager = manager(limits(2, 0));
        let held = admitted(manager.admit(ONE, Kind::Connection));
        let (after, raced) = race(
            main,
            || {
                manager.set_thresholds(limits(1, 0));
                manager.admit_now(ONE, Kind::Connection).ok()
            },
            || manager.admit_now(OTHER, Kind::Connection).ok(),
        );
        assert!(after.is_none(), "one is running, so under a limit of 1 nobody may enter");
        assert_eq!(manager.view().requests, 1 + u32::from(raced.is_some()));
        drop((held, raced));
        assert_empty(manager);
    });
}

#[test]
fn a_dismissed_waiter_is_either_served_or_dismissed() {
    model(2, |main| {
        let manager = manager(limits(1, 1));
        let slot = admitted(manager.admit(ONE, Kind::Connection));
        let waiter = queued(manager.admit(OTHER, Kind::Connection));
        race(
            main,
            move || drop(slot),
            move || {
                manager.dismiss_waiters();
                match block_on(waiter) {
                    Ok(slot) => drop(slot),
                    Err(Dismissed) => {}
                }
            },
        );
        assert_empty(manager);
    });
}
