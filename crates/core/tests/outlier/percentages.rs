//! How many may be out at once, and detections that eject nobody.

use fuseboard_core::outlier::{DetectionKind, Detector, OutlierAction, OutlierCounter, OutlierPolicy};

use crate::rig::*;

#[test]
fn the_percentage_rounds_as_measured_on_envoy() {
    let table = [
        (1, 10, 0),
        (2, 10, 0),
        (3, 10, 0),
        (9, 10, 0),
        (10, 10, 1),
        (1, 100, 1),
        (2, 50, 1),
        (3, 50, 1),
        (4, 34, 1),
        (3, 100, 3),
    ];
    for (hosts, percent, expected) in table {
        let mut rig = Rig::new(hosts, OutlierPolicy { max_ejection_percent: percent, ..quick() });
        for host in 0..hosts {
            let (tries, events) = rig.tries_until_event(host, status(500), at(1));
            assert_eq!((tries, events.len()), (3, 1));
        }
        assert_eq!(rig.ejected().len(), expected, "{hosts} hosts, {percent} percent");
    }
}

#[test]
fn p09_every_number_of_hosts_and_every_percentage_gives_the_floor() {
    for hosts in 1..=20 {
        for percent in 0..=100 {
            let mut rig = Rig::new(hosts, OutlierPolicy { max_ejection_percent: percent, ..quick() });
            for host in 0..hosts {
                rig.tries_until_event(host, status(500), at(1));
            }
            assert_eq!(
                rig.ejected().len(),
                hosts * percent as usize / 100,
                "{hosts} hosts, {percent} percent"
            );
            assert_eq!(rig.detector.ejected(), rig.ejected().len());
        }
    }
}

#[test]
fn one_host_may_always_go_where_that_is_asked_for() {
    let policy = OutlierPolicy { max_ejection_percent: 10, always_eject_one_host: true, ..quick() };
    let mut rig = Rig::new(3, policy);
    for host in 0..3 {
        rig.tries_until_event(host, status(500), at(1));
    }
    assert_eq!(rig.ejected(), [0]);
}

#[test]
fn a_blocked_detection_repeats_every_threshold_failures_and_shows_the_arithmetic() {
    let mut rig = Rig::new(3, OutlierPolicy { max_ejection_percent: 10, ..quick() });
    let events: Vec<_> = (0..40).flat_map(|_| rig.run(0, status(500), at(1))).collect();
    assert_eq!(count(&events, OutlierCounter::Detected(DetectionKind::Consecutive5xx)), 13);
    assert_eq!(count(&events, OutlierCounter::Overflow), 13);
    assert_eq!(count(&events, OutlierCounter::Total), 0);
    assert_eq!(
        events[0].action,
        OutlierAction::Blocked { by: DetectionKind::Consecutive5xx, ejected: 0, hosts: 3 }
    );
    assert_eq!(events[0].logged_action(), None);
}

#[test]
fn d21_a_share_below_100_percent_never_takes_the_last_host_of_a_priority() {
    let priorities: Vec<u32> = (0..20).map(|host| u32::from(host >= 2)).collect();
    let mut rig = Rig::with_priorities(&priorities, OutlierPolicy { max_ejection_percent: 50, ..quick() });
    for host in [0, 1] {
        rig.tries_until_event(host, status(500), at(1));
    }
    assert_eq!(rig.ejected(), [0], "10 of 20 hosts may go, but not both of priority 0");
    let mut all = Rig::with_priorities(&priorities, quick());
    for host in [0, 1] {
        all.tries_until_event(host, status(500), at(1));
    }
    assert_eq!(all.ejected(), [0, 1], "100 percent means all");
}

#[test]
fn detections_that_are_not_enforced_are_told_and_change_nothing() {
    let mut rig = Rig::new(
        1,
        OutlierPolicy { consecutive_5xx: Detector { threshold: 3, enforcing_percent: 0 }, ..quick() },
    );
    let events: Vec<_> = (0..10).flat_map(|_| rig.run(0, status(500), at(1))).collect();
    assert_eq!(count(&events, OutlierCounter::Detected(DetectionKind::Consecutive5xx)), 3);
    assert_eq!(count(&events, OutlierCounter::Total), 3, "Envoy's deprecated counter grows before the roll");
    assert_eq!(count(&events, OutlierCounter::EnforcedTotal), 0);
    for event in &events {
        assert_eq!(
            (event.logged_action(), event.is_enforced(), event.num_ejections),
            (Some("EJECT"), false, 0)
        );
    }
    assert_eq!(rig.ejected(), [0; 0]);
}

#[test]
fn half_enforced_ejects_about_half_of_the_time() {
    let policy =
        OutlierPolicy { consecutive_5xx: Detector { threshold: 1, enforcing_percent: 50 }, ..quick() };
    let mut rig = Rig::new(1_000, policy);
    for host in 0..1_000 {
        rig.run(host, status(500), at(1));
    }
    assert!((440..=560).contains(&rig.ejected().len()), "{}", rig.ejected().len());
}
