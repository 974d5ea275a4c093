//! Other numbers, other hosts, and a hand that returns one.

use std::sync::Arc;

use fuseboard_core::outlier::{DetectionKind, Detector, HostMonitor, OutlierCounter, OutlierPolicy};

use crate::rig::*;

#[test]
fn d07_p45_changes_of_numbers_and_of_other_hosts_keep_ejections_and_streaks() {
    let mut rig = Rig::new(3, quick());
    rig.tries_until_event(0, status(500), at(100));
    rig.run(1, status(500), at(100));
    for _ in 0..100 {
        let policy = OutlierPolicy { max_ejection_percent: 40, ..quick() };
        rig.detector.reconfigure(policy.clone());
        assert_eq!(*rig.detector.policy(), policy);
        rig.hosts.truncate(2);
        rig.hosts.push(Arc::new(HostMonitor::new("new", 0)));
        let hosts = rig.hosts.clone();
        rig.detector.set_hosts(&hosts);
    }
    assert_eq!((rig.ejected(), rig.detector.ejected()), (vec![0], 1));
    assert_eq!(rig.hosts[1].streak(DetectionKind::Consecutive5xx), 1);
    assert_eq!(rig.detector.view().hosts[0].ejection.unwrap().due, at(1_100), "the timer is unchanged");
    let (tries, events) = rig.tries_until_event(1, status(500), at(200));
    assert_eq!(tries, 2);
    assert_eq!(count(&events, OutlierCounter::Overflow), 1, "the new percentage counts at once");
}

#[test]
fn a_threshold_lowered_below_a_streak_fires_on_the_next_failure() {
    let mut rig = Rig::new(
        1,
        OutlierPolicy { consecutive_5xx: Detector { threshold: 9, enforcing_percent: 100 }, ..quick() },
    );
    for _ in 0..8 {
        rig.run(0, status(500), at(1));
    }
    rig.policy = quick();
    rig.detector.reconfigure(quick());
    assert_eq!(rig.run(0, status(500), at(1)).len(), 1);
}

#[test]
fn a_host_that_was_removed_comes_back_fresh_and_its_stale_trips_are_ignored() {
    let mut rig = Rig::new(2, quick());
    rig.tries_until_event(0, status(500), at(100));
    let removed = Arc::clone(&rig.hosts[0]);
    let others = [Arc::clone(&rig.hosts[1])];
    rig.detector.set_hosts(&others);
    assert_eq!(rig.detector.ejected(), 0, "a host that is gone is not counted");
    for _ in 0..2 {
        assert_eq!(removed.record(removed.begin(), status(500), &rig.policy), None);
    }
    let trip = removed.record(removed.begin(), status(500), &rig.policy).expect("its streak goes on");
    assert_eq!(rig.trip(0, trip, at(200)), [], "but nobody decides on it");
    let hosts = rig.hosts.clone();
    rig.detector.set_hosts(&hosts);
    assert_eq!(rig.ejected(), [0; 0]);
    assert_eq!(rig.detector.view().hosts[0].num_ejections, 0);
    assert_eq!(rig.tries_until_event(0, status(500), at(300)).0, 3);
}

#[test]
fn a_rule_without_outlier_detection_returns_everybody() {
    let mut rig = Rig::new(3, quick());
    rig.tries_until_event(0, status(500), at(100));
    rig.tries_until_event(2, status(500), at(100));
    assert_eq!(rig.detector.return_all(at(200)).len(), 2);
    assert_eq!((rig.ejected(), rig.detector.ejected()), (vec![], 0));
}

#[test]
fn p43_a_host_returned_by_hand_is_back_at_once_and_its_next_ejection_is_as_long_as_after_a_sweep() {
    let mut rig = Rig::new(3, quick());
    let monitors: Vec<_> = (0..3).map(|host| Arc::clone(&rig.hosts[host])).collect();
    assert_eq!(rig.detector.return_host(&monitors[0], at(0)), None, "it is in rotation");
    rig.tries_until_event(0, status(500), at(100));
    rig.tries_until_event(2, status(500), at(100));
    let stale = rig.begin(0);
    let event = rig.detector.return_host(&monitors[0], at(130)).unwrap();
    assert_eq!((event.logged_action(), event.num_ejections), (Some("UNEJECT"), 1));
    assert_eq!(event.since_last_action, Some(millis(30)));
    assert!(Arc::ptr_eq(&event.host, monitors[0].id()));
    assert_eq!(rig.ejected(), [2], "nobody else");
    assert_eq!(rig.detector.return_host(&monitors[0], at(140)), None, "once");
    assert!(rig.end(0, stale, status(500), at(140)).is_empty());
    assert_eq!(rig.tries_until_event(0, status(500), at(150)).0, 3, "what was before says nothing");
    let view = rig.detector.view();
    assert_eq!((view.hosts[0].num_ejections, view.hosts[0].multiplier), (2, 2));
    let gone = HostMonitor::new("gone", 0);
    assert_eq!(rig.detector.return_host(&gone, at(150)), None);
}
