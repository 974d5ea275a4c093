//! How long a host is out, what returns it, and who hears of it.

use std::sync::Arc;

use fuseboard_core::outlier::{OutlierAction, OutlierPolicy};

use crate::rig::*;

/// Fails without pause, counting in steps of 30 ms; the lengths of the ejections, in milliseconds.
fn ejection_lengths(rig: &mut Rig, cycles: usize) -> Vec<u64> {
    let (mut lengths, mut ejected_at) = (Vec::new(), 0);
    for now in (0..600_000).step_by(10) {
        if rig.sweep(now).iter().any(|event| matches!(event.action, OutlierAction::Returned { .. })) {
            lengths.push(now - ejected_at);
            if lengths.len() == cycles {
                return lengths;
            }
        }
        if now % 30 == 0 && rig.run(0, status(500), at(now)).iter().any(is_ejection) {
            ejected_at = now;
        }
    }
    panic!("not that many ejections: {lengths:?}");
}

#[test]
fn an_ejection_lasts_n_times_the_base_rounded_up_to_the_next_sweep() {
    // Measured on Envoy with the same numbers: 1.03, 2.45, 3.42, 4.43 s.
    let lengths = ejection_lengths(&mut Rig::new(1, quick()), 4);
    let sweeps: Vec<_> = lengths.iter().map(|length| length.div_ceil(500)).collect();
    assert_eq!(sweeps, [3, 5, 7, 9], "{lengths:?}");
    for (length, multiplier) in lengths.iter().zip(1..) {
        assert!((multiplier * 1_000..multiplier * 1_000 + 500).contains(length), "{lengths:?}");
    }
}

#[test]
fn an_ejection_never_lasts_longer_than_the_maximum_and_one_sweep() {
    let policy = OutlierPolicy { max_ejection_time: millis(2_000), ..quick() };
    let lengths = ejection_lengths(&mut Rig::new(1, policy), 6);
    for (length, due) in lengths.iter().zip([1_000, 2_000, 2_000, 2_000, 2_000, 2_000]) {
        assert!((due..due + 500).contains(length), "{lengths:?}");
    }
}

#[test]
fn d08_a_host_is_returned_by_sweeps_only() {
    let mut rig = Rig::new(1, quick());
    rig.tries_until_event(0, status(500), at(100));
    assert_eq!(rig.detector.deadline(), Some(at(500)));
    for (now, ejected) in [(500, true), (1_000, true), (1_100, true), (1_499, true), (1_500, false)] {
        rig.sweep(now);
        assert_eq!(!rig.ejected().is_empty(), ejected, "at {now} ms");
    }
}

/// Balancers choose anew when the epoch changes, and not before.
#[test]
fn whatever_takes_a_host_out_or_returns_it_is_seen_and_nothing_else_is() {
    let mut rig = Rig::new(3, quick());
    let mut seen = rig.epoch.current();
    let mut changed = |rig: &Rig| std::mem::replace(&mut seen, rig.epoch.current()) != rig.epoch.current();
    rig.run(0, status(500), at(100));
    assert!(!changed(&rig), "a failure alone");
    rig.tries_until_event(0, status(500), at(100));
    assert!(changed(&rig), "ejected");
    rig.sweep(600);
    assert!(!changed(&rig), "a sweep that returns nobody");
    rig.sweep(1_200);
    assert!(changed(&rig), "returned by a sweep");
    rig.tries_until_event(1, status(500), at(1_300));
    assert!(changed(&rig));
    let host = Arc::clone(&rig.hosts[1]);
    assert!(rig.detector.return_host(&host, at(1_400)).is_some() && changed(&rig), "by hand");
    rig.tries_until_event(1, status(500), at(1_500));
    assert!(changed(&rig));
    assert_eq!(rig.detector.return_all(at(1_600)).len(), 1);
    assert!(changed(&rig), "with the rule");
}

#[test]
fn the_view_tells_the_sweep_that_will_return_the_host() {
    let mut rig = Rig::new(2, quick());
    rig.sweep(500);
    rig.tries_until_event(1, status(503), at(600));
    let view = rig.detector.view();
    assert_eq!((view.ejected, view.hosts[0].ejection), (1, None));
    let ejection = view.hosts[1].ejection.unwrap();
    assert_eq!((ejection.since, ejection.due, ejection.returns), (at(600), at(1_600), at(2_000)));
    for now in [1_000, 1_500] {
        assert_eq!(rig.sweep(now), []);
    }
    assert_eq!(rig.sweep(ejection.returns.as_nanos() / 1_000_000).len(), 1);
}

#[test]
fn each_healthy_interval_shortens_the_next_ejection_by_one_step() {
    // Ejected three times; healthy for `healthy` ms after the return; then ejected again.
    let next_length = |healthy: u64| {
        let policy = OutlierPolicy { interval: millis(300), ..quick() };
        let mut rig = Rig::new(1, policy);
        let mut now = 0;
        for _ in 0..3 {
            rig.tries_until_event(0, status(500), at(now));
            while !rig.ejected().is_empty() {
                now += 300;
                rig.sweep(now);
            }
        }
        for _ in 0..healthy / 300 {
            now += 300;
            rig.sweep(now);
        }
        let (_, events) = rig.tries_until_event(0, status(500), at(now));
        match events[0].action {
            OutlierAction::Ejected { due, .. } => due.saturating_since(at(now)).as_millis(),
            _ => panic!("not ejected"),
        }
    };
    assert_eq!(next_length(0), 4_000, "the sweep that returns a host is not an interval of health");
    assert_eq!(next_length(300), 3_000);
    assert_eq!(next_length(600), 2_000);
    assert_eq!(next_length(900), 1_000);
    assert_eq!(next_length(9_000), 1_000, "never below the base");
}

#[test]
fn jitter_is_added_within_its_bound() {
    let policy = OutlierPolicy { max_ejection_time_jitter: millis(200), ..quick() };
    let mut rig = Rig::new(500, policy);
    let mut lengths = Vec::new();
    for host in 0..500 {
        let (_, events) = rig.tries_until_event(host, status(500), at(0));
        let OutlierAction::Ejected { due, .. } = events[0].action else { panic!("not ejected") };
        lengths.push(due.saturating_since(at(0)));
    }
    assert!(lengths.iter().all(|length| (millis(1_000)..=millis(1_200)).contains(length)));
    assert!(lengths.iter().min() < Some(&millis(1_020)) && lengths.iter().max() > Some(&millis(1_180)));
}
