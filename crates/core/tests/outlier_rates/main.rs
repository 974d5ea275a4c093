//! The detectors that look at rates, through the monitor and the sweep: what is counted, when it is judged, and the pains
//! that they cure.
#![cfg(not(loom))]

mod samples;

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::outlier::{
    DetectionKind, Detector, FailurePercentagePolicy, HealthEpoch, HostMonitor, OutlierAction,
    OutlierCounter, OutlierDetector, OutlierEvent, OutlierPolicy, Rate, SuccessRatePolicy, Volume,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};

const OK: Outcome = Outcome::Success { status: 200 };
const BAD: Outcome = Outcome::Failure(FailureKind::Status(503));
const REFUSED: Outcome = Outcome::Failure(FailureKind::ConnectFailed);
const TIMEOUT: Outcome = Outcome::Failure(FailureKind::Timeout);

const OFF: Detector = Detector { threshold: 0, enforcing_percent: 0 };
const INTERVAL: Duration = Duration::from_secs(10);

fn failing(threshold: u32) -> FailurePercentagePolicy {
    FailurePercentagePolicy {
        threshold,
        minimum_hosts: 1,
        request_volume: 10,
        ..FailurePercentagePolicy::default()
    }
}

fn unlike() -> SuccessRatePolicy {
    SuccessRatePolicy { minimum_hosts: 3, request_volume: 10, ..SuccessRatePolicy::default() }
}

/// Rates alone.
fn policy() -> OutlierPolicy {
    OutlierPolicy {
        interval: INTERVAL,
        max_ejection_percent: 100,
        consecutive_5xx: OFF,
        consecutive_gateway_failure: OFF,
        consecutive_local_origin_failure: OFF,
        ..OutlierPolicy::default()
    }
}

struct Rig {
    policy: OutlierPolicy,
    hosts: Vec<Arc<HostMonitor>>,
    detector: OutlierDetector,
    now: Instant,
    rng: Rng,
}

impl Rig {
    fn new(hosts: usize, policy: OutlierPolicy) -> Self {
        let hosts: Vec<_> = (0..hosts).map(|host| Arc::new(HostMonitor::new(host.to_string(), 0))).collect();
        let mut detector =
            OutlierDetector::new(policy.clone(), Arc::new(HealthEpoch::default()), Instant::ZERO);
        detector.set_hosts(&hosts);
        Self { policy, hosts, detector, now: Instant::ZERO, rng: Rng::new(1) }
    }

    fn tries(&mut self, host: usize, outcome: Outcome, count: u32) {
        for _ in 0..count {
            let monitor = &self.hosts[host];
            if let Some(trip) = monitor.record(monitor.begin(), outcome, &self.policy) {
                self.detector.on_trip(&self.hosts[host], trip, self.now, &mut self.rng);
            }
        }
    }

    fn sweep(&mut self) -> Vec<OutlierEvent> {
        self.now = self.now + INTERVAL;
        self.detector.tick(self.now, &mut self.rng)
    }

    fn ejected(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].is_ejected()).collect()
    }
}

fn counted(events: &[OutlierEvent], counter: OutlierCounter) -> usize {
    events.iter().flat_map(OutlierEvent::counters).filter(|&grown| grown == counter).count()
}

#[test]
fn an_interval_is_judged_at_its_sweep_and_forgotten_with_it() {
    let mut rig = Rig::new(2, OutlierPolicy { failure_percentage: Some(failing(50)), ..policy() });
    rig.tries(0, BAD, 9);
    assert_eq!(rig.sweep(), [], "nine tries are not enough");
    rig.tries(0, BAD, 9);
    assert_eq!(rig.sweep(), [], "and do not add up with the interval before");
    rig.tries(0, BAD, 5);
    rig.tries(0, OK, 5);
    rig.tries(1, BAD, 4);
    rig.tries(1, OK, 6);
    assert_eq!(rig.ejected(), [0; 0], "nothing happens before the sweep");
    let events = rig.sweep();
    assert_eq!(rig.ejected(), [0]);
    assert_eq!(events[0].logged_type(), "FAILURE_PERCENTAGE");
    let evidence = events[0].evidence.expect("rates were looked at");
    assert_eq!((evidence.volume, evidence.bar), (Volume { requests: 10, failures: 5 }, None));
    for counter in [
        OutlierCounter::Detected(DetectionKind::FailurePercentage),
        OutlierCounter::Enforced(DetectionKind::FailurePercentage),
        OutlierCounter::EnforcedTotal,
    ] {
        assert_eq!(counted(&events, counter), 1, "{counter:?}");
    }
    assert_eq!(counted(&events, OutlierCounter::Total), 0, "Envoy's old counter knows nothing of it");
}

#[test]
fn a_host_that_is_unlike_the_others_goes_with_what_they_did() {
    let mut rig = Rig::new(5, OutlierPolicy { success_rate: Some(unlike()), ..policy() });
    for host in 1..5 {
        rig.tries(host, OK, 100);
    }
    rig.tries(0, OK, 50);
    rig.tries(0, BAD, 50);
    let events = rig.sweep();
    assert_eq!((rig.ejected(), events.len()), (vec![0], 1));
    assert_eq!(events[0].logged_type(), "SUCCESS_RATE");
    let bar = events[0].evidence.and_then(|evidence| evidence.bar).expect("the others were looked at");
    assert_eq!((bar.average.whole_percent(), bar.threshold.whole_percent()), (90, 52));
    assert_eq!(counted(&events, OutlierCounter::SuccessRate), 1);
    assert_eq!(counted(&events, OutlierCounter::Total), 1);
    let view = rig.detector.view();
    assert_eq!(view.success.external, Some(bar));
    assert_eq!(view.hosts[0].success.external, Some(Rate::of(1, 2)));
    assert_eq!(view.hosts[0].ejection.and_then(|ejection| ejection.evidence), events[0].evidence);
    assert_eq!(view.hosts[0].success.local, None);
    rig.sweep();
    assert_eq!(rig.detector.view().hosts[1].success.external, None, "an idle interval has no rate");
}

#[test]
fn a_service_that_fails_as_a_whole_keeps_its_hosts_under_success_rate_and_not_under_failure_percentage() {
    let mut rig = Rig::new(5, OutlierPolicy { success_rate: Some(unlike()), ..policy() });
    (0..5).for_each(|host| rig.tries(host, BAD, 100));
    assert_eq!(rig.sweep(), []);
    let mut rig = Rig::new(5, OutlierPolicy { failure_percentage: Some(failing(85)), ..policy() });
    (0..5).for_each(|host| rig.tries(host, BAD, 100));
    assert_eq!(rig.sweep().len(), 5);
}

#[test]
fn d33_with_split_answers_and_local_failures_are_judged_apart_and_a_try_counts_once() {
    let split = OutlierPolicy {
        failure_percentage: Some(failing(50)),
        split_external_local_origin_errors: true,
        ..policy()
    };
    for (outcome, by) in [
        (BAD, DetectionKind::FailurePercentage),
        (REFUSED, DetectionKind::LocalOriginFailurePercentage),
        (TIMEOUT, DetectionKind::LocalOriginFailurePercentage),
    ] {
        let mut rig = Rig::new(2, split.clone());
        rig.tries(0, outcome, 20);
        let events = rig.sweep();
        assert_eq!(events.iter().map(|event| event.action.detector()).collect::<Vec<_>>(), [by]);
        let volume = events[0].evidence.map(|evidence| evidence.volume);
        assert_eq!(volume, Some(Volume { requests: 20, failures: 20 }), "{outcome:?}");
    }
    let mut together =
        Rig::new(2, OutlierPolicy { split_external_local_origin_errors: false, ..split.clone() });
    for outcome in [BAD, REFUSED, TIMEOUT, OK] {
        together.tries(0, outcome, 5);
    }
    let events = together.sweep();
    assert_eq!(events[0].action.detector(), DetectionKind::FailurePercentage);
    let volume = events[0].evidence.map(|evidence| evidence.volume);
    assert_eq!(volume, Some(Volume { requests: 20, failures: 15 }));
    let mut connected = Rig::new(2, split);
    connected.tries(0, BAD, 10);
    connected.tries(0, OK, 11);
    connected.tries(0, REFUSED, 20);
    assert_eq!(connected.sweep(), [], "21 answers are as many local successes");
}

#[test]
fn both_detectors_eject_once_and_the_percentage_bounds_them() {
    let both =
        OutlierPolicy { success_rate: Some(unlike()), failure_percentage: Some(failing(10)), ..policy() };
    let mut rig = Rig::new(5, both.clone());
    (1..5).for_each(|host| rig.tries(host, OK, 100));
    rig.tries(0, BAD, 100);
    let events = rig.sweep();
    assert_eq!(events.iter().map(OutlierEvent::logged_type).collect::<Vec<_>>(), ["SUCCESS_RATE"]);
    let mut blocked = Rig::new(5, OutlierPolicy { max_ejection_percent: 20, ..both });
    (0..5).for_each(|host| blocked.tries(host, BAD, 100));
    let events = blocked.sweep();
    assert_eq!((blocked.ejected().len(), events.len()), (1, 5));
    assert_eq!(counted(&events, OutlierCounter::Overflow), 4);
    assert_eq!(
        events[4].action,
        OutlierAction::Blocked { by: DetectionKind::FailurePercentage, ejected: 1, hosts: 5 }
    );
}

#[test]
fn what_is_not_enforced_is_told_and_what_is_off_is_not_even_counted() {
    let seen = Some(FailurePercentagePolicy { enforcing_percent: 0, ..failing(50) });
    let mut rig = Rig::new(1, OutlierPolicy { failure_percentage: seen, ..policy() });
    rig.tries(0, BAD, 10);
    let events = rig.sweep();
    assert_eq!((events[0].logged_action(), events[0].is_enforced()), (Some("EJECT"), false));
    assert_eq!(rig.ejected(), [0; 0]);
    let mut off = Rig::new(1, policy());
    off.tries(0, BAD, 100);
    off.policy.failure_percentage = Some(failing(50));
    off.detector.reconfigure(off.policy.clone());
    assert_eq!(off.sweep(), [], "nothing had been counted");
    off.tries(0, BAD, 10);
    off.detector.reconfigure(policy());
    off.detector.reconfigure(off.policy.clone());
    assert_eq!(off.sweep(), [], "what was counted before a pause is forgotten");
}

#[test]
fn a_host_that_returns_is_not_judged_by_what_it_did_before() {
    // The ejection by a streak ends with the very sweep that ends the interval.
    let policy = OutlierPolicy {
        base_ejection_time: Duration::from_millis(1),
        consecutive_5xx: Detector { threshold: 20, enforcing_percent: 100 },
        failure_percentage: Some(failing(50)),
        ..policy()
    };
    let mut rig = Rig::new(1, policy);
    rig.tries(0, BAD, 20);
    assert_eq!(rig.ejected(), [0]);
    let events = rig.sweep();
    assert_eq!(events.iter().map(OutlierEvent::logged_action).collect::<Vec<_>>(), [Some("UNEJECT")]);
    assert_eq!(rig.ejected(), [0; 0]);
}

/// Calls of one interval to a host that fails so many of a thousand by chance.
fn by_chance(rig: &mut Rig, host: usize, calls: u32, failures: u32) {
    for _ in 0..calls {
        let outcome = if rig.rng.below(1_000) < failures { BAD } else { OK };
        rig.tries(host, outcome, 1);
    }
}

/// Ten percent are too many.
fn p12_policy() -> OutlierPolicy {
    let failure_percentage = Some(FailurePercentagePolicy {
        threshold: 10,
        minimum_hosts: 1,
        request_volume: 100,
        ..FailurePercentagePolicy::default()
    });
    OutlierPolicy { failure_percentage, ..policy() }
}

#[test]
fn p12_a_host_that_fails_one_call_in_five_is_out_within_one_interval() {
    // Of 200 calls at least 20 fail with probability 1 - 2e-5.
    let runs = 2_000;
    let mut missed = 0;
    for seed in 0..runs {
        let mut rig = Rig::new(3, p12_policy());
        rig.rng = Rng::new(seed);
        by_chance(&mut rig, 0, 200, 200);
        by_chance(&mut rig, 1, 200, 0);
        by_chance(&mut rig, 2, 200, 0);
        rig.sweep();
        assert!(rig.ejected().iter().all(|host| *host == 0));
        missed += u64::from(rig.ejected().is_empty());
    }
    assert!(1_000 * missed < runs, "missed {missed} of {runs}: less than one in a thousand is expected");
}

#[test]
fn p12_a_host_that_fails_one_call_in_a_hundred_stays_for_a_day() {
    let mut rig = Rig::new(3, p12_policy());
    rig.rng = Rng::new(12);
    for _ in 0..24 * 360 {
        for host in 0..3 {
            by_chance(&mut rig, host, 200, if host == 0 { 10 } else { 0 });
        }
        assert_eq!(rig.sweep(), []);
    }
}

#[test]
fn p12_five_in_a_row_take_thousands_of_calls_where_one_in_five_fails() {
    // The mean of the first run of five is (1 - p^5) / (p^5 (1 - p)) = 3905 calls.
    let mut calls = 0_u64;
    let runs = 300;
    for seed in 0..runs {
        let five = Detector { threshold: 5, enforcing_percent: 100 };
        let mut rig = Rig::new(1, OutlierPolicy { consecutive_5xx: five, ..policy() });
        rig.rng = Rng::new(seed);
        while rig.ejected().is_empty() {
            by_chance(&mut rig, 0, 1, 200);
            calls += 1;
        }
    }
    let mean = calls / runs;
    assert!((3_200..4_700).contains(&mean), "{mean} calls on average");
}
