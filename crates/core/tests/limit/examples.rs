//! What users are told of limits, by example.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use fuseboard_core::limit::{Kind, Refused, ResourceManager, Thresholds, UNLIMITED, WorkerId};
use fuseboard_core::refusal::RefusalReason;

use super::admission::{admitted, queued};
use super::{Flag, WORKER, limits, poll, refused};

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
