//! Outlier detection judged from outside: Envoy's measured tables, our differences, and random runs against a naive model.
#![cfg(not(loom))]
#![expect(clippy::panic, reason = "a panic is how a test fails")]

mod outlier_model;

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::outlier::{
    DetectionKind, Detector, HealthEpoch, HostMonitor, OutlierAction, OutlierCounter, OutlierDetector,
    OutlierEvent, OutlierPolicy, Ticket, Trip,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use proptest::prelude::*;

const OK: Outcome = Outcome::Success { status: 200 };
const REFUSED: Outcome = Outcome::Failure(FailureKind::ConnectFailed);
const TIMEOUT: Outcome = Outcome::Failure(FailureKind::Timeout);
const RESET: Outcome = Outcome::Failure(FailureKind::Reset);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn status(status: u16) -> Outcome {
    Outcome::of_status(status)
}

/// Three 5xx eject, everybody may go; sweeps each 500 ms, base 1 s.
fn quick() -> OutlierPolicy {
    OutlierPolicy {
        interval: millis(500),
        base_ejection_time: millis(1_000),
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold: 3, enforcing_percent: 100 },
        ..OutlierPolicy::default()
    }
}

/// One cluster, its hosts, and somebody who reports for all workers.
struct Rig {
    policy: OutlierPolicy,
    hosts: Vec<Arc<HostMonitor>>,
    detector: OutlierDetector,
    epoch: Arc<HealthEpoch>,
    rng: Rng,
}

impl Rig {
    fn new(hosts: usize, policy: OutlierPolicy) -> Self {
        Self::with_priorities(&vec![0; hosts], policy)
    }

    fn with_priorities(priorities: &[u32], policy: OutlierPolicy) -> Self {
        let hosts: Vec<_> = priorities
            .iter()
            .enumerate()
            .map(|(index, &priority)| Arc::new(HostMonitor::new(index.to_string(), priority)))
            .collect();
        let epoch = Arc::new(HealthEpoch::default());
        let mut detector = OutlierDetector::new(policy.clone(), Arc::clone(&epoch), Instant::ZERO);
        detector.set_hosts(&hosts);
        Self { policy, hosts, detector, epoch, rng: Rng::new(1) }
    }

    fn begin(&self, host: usize) -> Ticket {
        self.hosts[host].begin()
    }

    fn end(&mut self, host: usize, ticket: Ticket, outcome: Outcome, now: Instant) -> Vec<OutlierEvent> {
        match self.hosts[host].record(ticket, outcome, &self.policy) {
            Some(trip) => self.trip(host, trip, now),
            None => Vec::new(),
        }
    }

    fn trip(&mut self, host: usize, trip: Trip, now: Instant) -> Vec<OutlierEvent> {
        self.detector.on_trip(&self.hosts[host], trip, now, &mut self.rng)
    }

    /// A try that begins and ends at `now`.
    fn run(&mut self, host: usize, outcome: Outcome, now: Instant) -> Vec<OutlierEvent> {
        let ticket = self.begin(host);
        self.end(host, ticket, outcome, now)
    }

    /// Tries that all come to `outcome`, until something happens.
    fn tries_until_event(&mut self, host: usize, outcome: Outcome, now: Instant) -> (u32, Vec<OutlierEvent>) {
        for tries in 1..1_000 {
            let events = self.run(host, outcome, now);
            if !events.is_empty() {
                return (tries, events);
            }
        }
        panic!("nothing happened");
    }

    fn sweep(&mut self, now: u64) -> Vec<OutlierEvent> {
        self.detector.tick(at(now), &mut self.rng)
    }

    fn ejected(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].is_ejected()).collect()
    }
}

fn count(events: &[OutlierEvent], counter: OutlierCounter) -> usize {
    events.iter().flat_map(OutlierEvent::counters).filter(|&grown| grown == counter).count()
}

fn is_ejection(event: &OutlierEvent) -> bool {
    matches!(event.action, OutlierAction::Ejected { .. })
}

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
fn p44_each_cycle_takes_exactly_k_failures() {
    for threshold in [1, 3, 5] {
        let policy = OutlierPolicy {
            consecutive_5xx: Detector { threshold, enforcing_percent: 100 },
            consecutive_gateway_failure: Detector { threshold: threshold + 2, enforcing_percent: 100 },
            ..quick()
        };
        let mut rig = Rig::new(2, policy);
        let mut now = 0;
        for cycle in 0..100 {
            // Some tries are under way through each ejection and each return; they fail after it.
            let before = [rig.begin(0), rig.begin(0), rig.begin(0)];
            let (tries, _) = rig.tries_until_event(0, status(503), at(now));
            assert_eq!(tries, threshold, "cycle {cycle}");
            let during = rig.begin(0);
            while !rig.ejected().is_empty() {
                now += 500;
                rig.sweep(now);
            }
            for late in before.into_iter().chain([during]) {
                assert_eq!(rig.end(0, late, status(503), at(now)), []);
            }
            assert!(DetectionKind::ALL.iter().all(|&kind| rig.hosts[0].streak(kind) == 0));
        }
    }
}

#[test]
fn d20_an_ejection_ends_every_streak_of_the_host() {
    let policy = OutlierPolicy {
        consecutive_5xx: Detector { threshold: 5, enforcing_percent: 100 },
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent: 100 },
        ..quick()
    };
    let mut rig = Rig::new(1, policy);
    for outcome in [status(500), status(500), status(503)] {
        rig.run(0, outcome, at(0));
    }
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 3);
    assert_eq!(rig.run(0, status(503), at(0)).len(), 1, "the gateway streak fires");
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 0, "at ejection");
    for _ in 0..9 {
        rig.run(0, status(500), at(100));
    }
    rig.sweep(1_000);
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 0, "at return, whatever came meanwhile");
    assert_eq!(rig.tries_until_event(0, status(500), at(1_000)).0, 5);
}

#[test]
fn without_split_local_failures_count_as_the_answers_made_for_them() {
    let mut rig = Rig::new(
        1,
        OutlierPolicy { consecutive_5xx: Detector { threshold: 4, enforcing_percent: 100 }, ..quick() },
    );
    for outcome in [status(500), RESET, TIMEOUT] {
        assert_eq!(rig.run(0, outcome, at(1)), []);
    }
    assert_eq!(rig.hosts[0].streak(DetectionKind::ConsecutiveGatewayFailure), 2, "503 and 504, after a 500");
    assert_eq!(rig.hosts[0].streak(DetectionKind::ConsecutiveLocalOriginFailure), 0);
    assert_eq!(rig.run(0, status(503), at(1)).len(), 1);
}

#[test]
fn a_4xx_is_a_success_and_a_500_ends_only_the_gateway_streak() {
    let mut rig = Rig::new(1, quick());
    let streaks = |rig: &Rig| {
        [DetectionKind::Consecutive5xx, DetectionKind::ConsecutiveGatewayFailure]
            .map(|kind| rig.hosts[0].streak(kind))
    };
    rig.run(0, status(502), at(1));
    rig.run(0, status(500), at(1));
    assert_eq!(streaks(&rig), [2, 0]);
    rig.run(0, status(503), at(1));
    rig.run(0, status(504), at(1));
    rig.run(0, status(404), at(1));
    assert_eq!(streaks(&rig), [0, 0]);
    assert!(rig.ejected().contains(&0));
}

#[test]
fn a_status_named_as_failure_by_a_rule_counts_as_500() {
    let mut rig = Rig::new(1, quick());
    let (tries, events) = rig.tries_until_event(0, Outcome::Failure(FailureKind::Status(429)), at(1));
    assert_eq!((tries, events[0].logged_type()), (3, "CONSECUTIVE_5XX"));
}

fn split(threshold: u32) -> OutlierPolicy {
    OutlierPolicy {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: Detector { threshold, enforcing_percent: 100 },
        ..quick()
    }
}

#[test]
fn with_split_refused_connects_add_up_and_touch_no_other_streak() {
    let mut rig = Rig::new(1, split(2));
    assert_eq!(rig.run(0, REFUSED, at(1)), []);
    let events = rig.run(0, REFUSED, at(1));
    assert_eq!(events[0].logged_type(), "CONSECUTIVE_LOCAL_ORIGIN_FAILURE");
    assert_eq!(rig.ejected(), [0]);
    assert_eq!(rig.hosts[0].streak(DetectionKind::Consecutive5xx), 0);
}

#[test]
fn with_split_each_made_connection_ends_the_local_streak() {
    let mut rig = Rig::new(1, split(5));
    for _ in 0..7 {
        assert_eq!(rig.run(0, TIMEOUT, at(1)), []);
        assert_eq!(rig.run(0, RESET, at(1)), []);
    }
    for connected in [TIMEOUT, RESET, status(500), OK] {
        for _ in 0..3 {
            assert_eq!(rig.run(0, REFUSED, at(1)), []);
        }
        assert_eq!(rig.run(0, connected, at(1)), [], "at most 1 + 3, then {connected:?}");
    }
    assert_eq!(rig.tries_until_event(0, REFUSED, at(1)).0, 5);
}

#[test]
fn with_split_a_500_is_no_gateway_failure_and_a_503_is() {
    let policy = OutlierPolicy {
        consecutive_5xx: Detector { threshold: 0, enforcing_percent: 0 },
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent: 100 },
        ..split(5)
    };
    let mut rig = Rig::new(1, policy);
    for _ in 0..10 {
        assert_eq!(rig.run(0, status(500), at(1)), []);
    }
    assert_eq!(rig.tries_until_event(0, status(503), at(1)).0, 2);
}

#[test]
fn d09_the_old_consecutive_errors_is_gateway_failures_and_connects_and_no_500() {
    // `consecutiveErrors: 3`.
    let policy = OutlierPolicy {
        consecutive_5xx: Detector { threshold: 5, enforcing_percent: 0 },
        consecutive_gateway_failure: Detector { threshold: 3, enforcing_percent: 100 },
        ..quick()
    };
    let mut rig = Rig::new(1, policy);
    for _ in 0..20 {
        assert!(rig.run(0, status(500), at(1)).iter().all(|event| !event.is_enforced()));
    }
    rig.run(0, OK, at(1));
    for outcome in [REFUSED, status(502)] {
        assert_eq!(rig.run(0, outcome, at(1)), []);
    }
    let events = rig.run(0, REFUSED, at(1));
    assert_eq!(events[0].logged_type(), "CONSECUTIVE_GATEWAY_FAILURE");
    assert_eq!(rig.ejected(), [0]);
}

#[test]
fn abandoned_tries_say_nothing() {
    let mut rig = Rig::new(1, quick());
    rig.run(0, status(500), at(1));
    rig.run(0, Outcome::Abandoned, at(1));
    drop(rig.begin(0));
    rig.run(0, status(500), at(1));
    assert_eq!(rig.run(0, status(500), at(1)).len(), 1, "neither a failure nor the end of a streak");
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

#[test]
fn gateway_failures_are_looked_at_before_5xx_and_one_ejection_is_enough() {
    let both = |enforcing_percent| OutlierPolicy {
        consecutive_5xx: Detector { threshold: 2, enforcing_percent: 100 },
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent },
        ..quick()
    };
    let (_, events) = Rig::new(1, both(100)).tries_until_event(0, status(503), at(1));
    assert_eq!(
        events.iter().map(OutlierEvent::logged_type).collect::<Vec<_>>(),
        ["CONSECUTIVE_GATEWAY_FAILURE"]
    );
    let (_, events) = Rig::new(1, both(0)).tries_until_event(0, status(503), at(1));
    assert_eq!(events.iter().map(OutlierEvent::is_enforced).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn d30_a_return_has_the_type_of_the_ejection_that_it_ends() {
    let gateway = Detector { threshold: 2, enforcing_percent: 100 };
    let mut rig = Rig::new(1, OutlierPolicy { consecutive_gateway_failure: gateway, ..quick() });
    let (_, ejected) = rig.tries_until_event(0, status(503), at(0));
    let returned = rig.sweep(1_000).remove(0);
    assert_eq!(ejected[0].logged_type(), "CONSECUTIVE_GATEWAY_FAILURE");
    assert_eq!(
        (returned.logged_action(), returned.logged_type()),
        (Some("UNEJECT"), "CONSECUTIVE_GATEWAY_FAILURE")
    );
}

#[test]
fn each_event_grows_the_counters_that_envoy_grows() {
    use OutlierCounter as C;
    let kind = DetectionKind::Consecutive5xx;
    let mut rig = Rig::new(2, OutlierPolicy { max_ejection_percent: 50, ..quick() });
    let grown = |events: &[OutlierEvent]| events[0].counters().collect::<Vec<_>>();
    let (_, ejected) = rig.tries_until_event(0, status(500), at(0));
    assert_eq!(
        grown(&ejected),
        [C::Detected(kind), C::Consecutive5xx, C::Total, C::EnforcedTotal, C::Enforced(kind)]
    );
    let (_, blocked) = rig.tries_until_event(1, status(500), at(0));
    assert_eq!(grown(&blocked), [C::Detected(kind), C::Consecutive5xx, C::Overflow]);
    assert_eq!(grown(&rig.sweep(1_000)), []);
}

#[test]
fn events_read_as_envoys_log() {
    let mut rig = Rig::new(1, quick());
    let (_, first) = rig.tries_until_event(0, status(500), at(0));
    assert_eq!(
        (first[0].logged_action(), first[0].num_ejections, first[0].since_last_action),
        (Some("EJECT"), 1, None)
    );
    rig.sweep(500);
    let returned = rig.sweep(1_000).remove(0);
    assert_eq!((returned.logged_action(), returned.logged_type()), (Some("UNEJECT"), "CONSECUTIVE_5XX"));
    assert_eq!((returned.is_enforced(), returned.num_ejections), (false, 1));
    assert_eq!(returned.since_last_action, Some(millis(1_000)), "since the ejection");
    let (_, second) = rig.tries_until_event(0, status(500), at(3_000));
    assert_eq!(second[0].since_last_action, Some(millis(2_000)), "since the return");
    assert_eq!(&*second[0].host, "0");
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_runs_agree_with_the_naive_model(
        hosts in 1_usize..7,
        policy in outlier_model::policies(),
        steps in proptest::collection::vec(outlier_model::steps(), 1..300),
    ) {
        let mut rig = Rig::new(hosts, policy.clone());
        let mut model = outlier_model::Cluster::new(hosts, policy.clone());
        let (mut now, mut late) = (0, Vec::new());
        let mut detections = 0;
        for step in steps {
            match step {
                outlier_model::Step::Try { host, outcome } => {
                    let events = rig.run(host % hosts, outcome, at(now));
                    detections += events.len();
                    model.record(host % hosts, outcome, now);
                }
                outlier_model::Step::Begin { host } => late.push((host % hosts, rig.begin(host % hosts), model.era(host % hosts))),
                outlier_model::Step::End { outcome } => {
                    if let Some((host, ticket, era)) = late.pop() {
                        let events = rig.end(host, ticket, outcome, at(now));
                        detections += events.len();
                        if model.era(host) == era {
                            model.record(host, outcome, now);
                        }
                    }
                }
                outlier_model::Step::Wait { millis } => {
                    now += millis;
                    let events = rig.sweep(now);
                    let is_return = |event: &&OutlierEvent| matches!(event.action, OutlierAction::Returned { .. });
                    let returned = events.iter().filter(is_return).count();
                    detections += events.len() - returned;
                    prop_assert_eq!(returned, model.tick(now));
                }
                outlier_model::Step::Return { host } => {
                    let monitor = Arc::clone(&rig.hosts[host % hosts]);
                    let returned = rig.detector.return_host(&monitor, at(now)).is_some();
                    prop_assert_eq!(returned, model.return_by_hand(host % hosts, now));
                }
            }
            prop_assert_eq!(rig.ejected(), model.ejected());
            prop_assert_eq!(rig.detector.ejected(), model.ejected().len());
            prop_assert!(100 * rig.ejected().len() <= policy.max_ejection_percent as usize * hosts);
            prop_assert_eq!(detections, model.detections);
        }
    }
}
