//! Every interleaving of small races for slots, on the code that ships.
//! `RUSTFLAGS="--cfg loom" cargo test -p fuseboard-core --test loom_limit`
#![cfg(loom)]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod parker;

use std::sync::Arc;

use fuseboard_core::limit::{Admission, Dismissed, ResourceManager, Slot, Thresholds, Waiter, WorkerId};
use loom::thread;
use parker::block_on;

const ONE: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);

fn limits(connections: u32, pending: u32) -> Thresholds {
    Thresholds { max_connections: connections, max_pending_requests: pending, ..Thresholds::UNLIMITED }
}

fn manager(thresholds: Thresholds) -> Arc<ResourceManager> {
    Arc::new(ResourceManager::new(2, thresholds))
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

/// Waits if need be; `None` if refused.
fn enter(manager: &ResourceManager, worker: WorkerId) -> Option<Slot<'_>> {
    match manager.admit(worker) {
        Admission::Admitted(slot) => Some(slot),
        Admission::Queued(waiter) => Some(block_on(waiter).unwrap()),
        Admission::Refused(_) => None,
    }
}

fn assert_empty(manager: &ResourceManager) {
    let view = manager.view();
    assert_eq!((view.requests, view.pending), (0, 0));
}

/// Puts a slot or a waiter into another thread together with what it borrows from.
fn leak(manager: &Arc<ResourceManager>) -> &'static ResourceManager {
    // A model runs thousands of times on one process and its managers are small.
    Box::leak(Box::new(Arc::clone(manager)))
}

#[test]
fn a_release_and_a_newcomer_never_miss_each_other() {
    loom::model(|| {
        let manager = manager(limits(1, 1));
        let slot = admitted(leak(&manager).admit(ONE));
        let holder = thread::spawn(move || drop(slot));
        let slot = enter(&manager, OTHER);
        assert!(slot.is_some(), "there is a place in the queue, so nobody is refused");
        drop(slot);
        holder.join().unwrap();
        assert_empty(&manager);
    });
}

#[test]
fn two_callers_of_one_connection_take_turns_and_none_is_refused() {
    loom::model(|| {
        let manager = manager(limits(1, 1));
        let inside = Arc::new(loom::sync::atomic::AtomicU32::new(0));
        let call = |manager: &ResourceManager, inside: &loom::sync::atomic::AtomicU32, worker| {
            let slot = enter(manager, worker).expect("two callers fit 1 + 1");
            assert_eq!(inside.fetch_add(1, loom::sync::atomic::Ordering::Relaxed), 0);
            inside.fetch_sub(1, loom::sync::atomic::Ordering::Relaxed);
            drop(slot);
        };
        let caller = {
            let (manager, inside) = (Arc::clone(&manager), Arc::clone(&inside));
            thread::spawn(move || call(&manager, &inside, ONE))
        };
        call(&manager, &inside, OTHER);
        caller.join().unwrap();
        assert_empty(&manager);
    });
}

#[test]
fn a_slot_handed_to_a_waiter_that_leaves_goes_to_the_next() {
    loom::model(|| {
        let manager = manager(limits(1, 2));
        let slot = admitted(leak(&manager).admit(ONE));
        let first = queued(leak(&manager).admit(ONE));
        let second = queued(manager.admit(OTHER));
        let holder = thread::spawn(move || drop(slot));
        let leaver = thread::spawn(move || drop(first));
        drop(block_on(second).unwrap());
        holder.join().unwrap();
        leaver.join().unwrap();
        assert_empty(&manager);
    });
}

#[test]
fn a_newcomer_never_slips_in_before_one_who_waits() {
    loom::model(|| {
        let manager = manager(limits(1, 2));
        let slot = admitted(leak(&manager).admit(ONE));
        let waiter = queued(manager.admit(OTHER));
        let holder = thread::spawn(move || drop(slot));
        assert!(manager.admit_now(OTHER).is_err());
        let behind = queued(manager.admit(OTHER));
        drop(block_on(waiter).unwrap());
        drop(block_on(behind).unwrap());
        holder.join().unwrap();
        assert_empty(&manager);
    });
}

#[test]
fn a_waiter_that_leaves_while_its_turn_comes_keeps_nothing() {
    loom::model(|| {
        let manager = manager(limits(1, 1));
        let slot = admitted(leak(&manager).admit(ONE));
        let waiter = queued(manager.admit(OTHER));
        let holder = thread::spawn(move || drop(slot));
        drop(waiter);
        holder.join().unwrap();
        assert_empty(&manager);
        drop(admitted(manager.admit(OTHER)));
    });
}

#[test]
fn a_limit_set_on_a_live_cluster_counts_each_slot_exactly_once() {
    loom::model(|| {
        let manager = manager(Thresholds::UNLIMITED);
        let worker = {
            let manager = leak(&manager);
            // Exact also for one who is admitted while the limit is set: before it or under it.
            thread::spawn(move || manager.admit_now(ONE).ok())
        };
        manager.set_thresholds(limits(1, 0));
        let under_the_limit = manager.admit_now(OTHER).ok();
        let raced = worker.join().unwrap();
        assert_eq!(u32::from(raced.is_some()) + u32::from(under_the_limit.is_some()), 1);
        assert_eq!(manager.view().requests, 1);
        drop((raced, under_the_limit));
        assert_empty(&manager);
    });
}

#[test]
fn a_slot_from_before_the_limit_wakes_those_who_wait_under_it() {
    loom::model(|| {
        let manager = manager(Thresholds::UNLIMITED);
        let slot = admitted(leak(&manager).admit(ONE));
        let holder = thread::spawn(move || drop(slot));
        manager.set_thresholds(limits(1, 1));
        drop(enter(&manager, OTHER).expect("one holder, one waiter"));
        holder.join().unwrap();
        assert_empty(&manager);
    });
}

#[test]
fn a_limit_that_comes_and_goes_leaves_no_slot_behind() {
    loom::model(|| {
        let manager = manager(Thresholds::UNLIMITED);
        let slot = admitted(leak(&manager).admit(ONE));
        let holder = thread::spawn(move || drop(slot));
        manager.set_thresholds(limits(5, 0));
        manager.set_thresholds(Thresholds::UNLIMITED);
        let again = admitted(manager.admit(ONE));
        holder.join().unwrap();
        assert_eq!(manager.view().requests, 1);
        drop(again);
        assert_empty(&manager);
    });
}

#[test]
fn a_raised_limit_starts_whoever_is_about_to_wait() {
    for raised in [limits(2, 1), Thresholds::UNLIMITED] {
        loom::model(move || {
            let manager = manager(limits(1, 1));
            let held = admitted(manager.admit(ONE));
            let operator = {
                let manager = Arc::clone(&manager);
                thread::spawn(move || manager.set_thresholds(raised))
            };
            let other = enter(&manager, OTHER);
            assert!(other.is_some());
            operator.join().unwrap();
            assert_eq!(manager.view().requests, 2);
            drop((held, other));
            assert_empty(&manager);
        });
    }
}

#[test]
fn a_lowered_limit_and_a_newcomer_agree_on_who_came_first() {
    loom::model(|| {
        let manager = manager(limits(2, 0));
        let held = admitted(manager.admit(ONE));
        let newcomer = {
            let manager = leak(&manager);
            thread::spawn(move || manager.admit_now(OTHER).ok())
        };
        manager.set_thresholds(limits(1, 0));
        let after = manager.admit_now(ONE).ok();
        assert!(after.is_none(), "one is running, so under a limit of 1 nobody may enter");
        let raced = newcomer.join().unwrap();
        assert_eq!(manager.view().requests, 1 + u32::from(raced.is_some()));
        drop((held, raced));
        assert_empty(&manager);
    });
}

#[test]
fn a_dismissed_waiter_is_either_served_or_dismissed() {
    loom::model(|| {
        let manager = manager(limits(1, 1));
        let slot = admitted(leak(&manager).admit(ONE));
        let waiter = queued(manager.admit(OTHER));
        let holder = thread::spawn(move || drop(slot));
        manager.dismiss_waiters();
        match block_on(waiter) {
            Ok(slot) => drop(slot),
            Err(Dismissed) => {}
        }
        holder.join().unwrap();
        assert_empty(&manager);
    });
}
