//! What outlier detection does, written as plainly as possible: one thread, whole milliseconds, enforced or not at all.

use std::time::Duration;

use fuseboard_core::outlier::{Detector, FailurePercentagePolicy, OutlierPolicy};
use fuseboard_core::{FailureKind, Outcome};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Try { host: usize, outcome: Outcome },
    Begin { host: usize },
    End { outcome: Outcome },
    Wait { millis: u64 },
    Return { host: usize },
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        2 => Just(Outcome::Success { status: 200 }),
        1 => Just(Outcome::Abandoned),
        4 => prop_oneof![Just(500), Just(502), Just(503), Just(504), Just(429), Just(599)]
            .prop_map(|status| Outcome::Failure(FailureKind::Status(status))),
        4 => prop_oneof![
            Just(FailureKind::ConnectFailed),
            Just(FailureKind::ConnectTimeout),
            Just(FailureKind::Timeout),
            Just(FailureKind::Reset),
            Just(FailureKind::ProtocolError),
        ]
        .prop_map(Outcome::Failure),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_usize..6, outcomes()).prop_map(|(host, outcome)| Step::Try { host, outcome }),
        2 => (0_usize..6).prop_map(|host| Step::Begin { host }),
        2 => outcomes().prop_map(|outcome| Step::End { outcome }),
        3 => (0_u64..400).prop_map(|millis| Step::Wait { millis }),
        1 => (0_usize..6).prop_map(|host| Step::Return { host }),
    ]
}

fn detectors() -> impl Strategy<Value = Detector> {
    (0_u32..4, prop_oneof![Just(0), Just(100)])
        .prop_map(|(threshold, enforcing_percent)| Detector { threshold, enforcing_percent })
}

fn shares() -> impl Strategy<Value = Option<FailurePercentagePolicy>> {
    let share = (0_u32..=100, 0_u32..3, 1_u32..6, prop_oneof![Just(0), Just(100)]);
    proptest::option::of(share.prop_map(|(threshold, minimum_hosts, request_volume, percent)| {
        FailurePercentagePolicy {
            threshold,
            minimum_hosts,
            request_volume,
            enforcing_percent: percent,
            local_origin_enforcing_percent: 100 - percent,
        }
    }))
}

pub(crate) fn policies() -> impl Strategy<Value = OutlierPolicy> {
    (0_u32..=100, detectors(), detectors(), detectors(), any::<bool>(), 1_u64..4, shares()).prop_map(
        |(percent, any_5xx, gateway, local, split, most, failure_percentage)| OutlierPolicy {
            failure_percentage,
            interval: Duration::from_millis(200),
            base_ejection_time: Duration::from_millis(300),
            max_ejection_time: Duration::from_millis(300 * most),
            max_ejection_percent: percent,
            consecutive_5xx: any_5xx,
            consecutive_gateway_failure: gateway,
            consecutive_local_origin_failure: local,
            split_external_local_origin_errors: split,
            ..OutlierPolicy::default()
        },
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Clone, Default)]
struct Host {
    any_5xx: u32,
    gateway: u32,
    local: u32,
    ejected_at: Option<u64>,
    returned_at: Option<u64>,
    multiplier: u64,
    era: u32,
    /// Failures and tries since the last sweep, of answers and of connections.
    volumes: [(u32, u32); 2],
}

pub(crate) struct Cluster {
    policy: OutlierPolicy,
    hosts: Vec<Host>,
    swept_at: u64,
    /// Streaks found on hosts in rotation.
    pub(crate) detections: usize,
}

impl Cluster {
    pub(crate) fn new(hosts: usize, policy: OutlierPolicy) -> Self {
        Self { policy, hosts: vec![Host::default(); hosts], swept_at: 0, detections: 0 }
    }

    pub(crate) fn era(&self, host: usize) -> u32 {
        self.hosts[host].era
    }

    pub(crate) fn ejected(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].ejected_at.is_some()).collect()
    }

    pub(crate) fn record(&mut self, host: usize, outcome: Outcome, now: u64) {
        if self.hosts[host].ejected_at.is_some() || outcome == Outcome::Abandoned {
            return;
        }
        let split = self.policy.split_external_local_origin_errors;
        let (code, local) = match outcome {
            Outcome::Failure(FailureKind::Status(status)) => (status.max(500), false),
            Outcome::Failure(FailureKind::Timeout) => (504, true),
            Outcome::Failure(_) => (503, true),
            _ => (200, false),
        };
        let connects =
            matches!(outcome, Outcome::Failure(FailureKind::ConnectFailed | FailureKind::ConnectTimeout));
        let state = &mut self.hosts[host];
        if self.policy.failure_percentage.is_some() {
            if !(split && local) {
                state.volumes[0].0 += u32::from(code >= 500);
                state.volumes[0].1 += 1;
            }
            if split {
                state.volumes[1].0 += u32::from(local);
                state.volumes[1].1 += 1;
            }
        }
        if !(split && connects) {
            state.local = 0;
        }
        if split && local {
            state.local += 1;
            if state.local == self.policy.consecutive_local_origin_failure.threshold {
                self.hosts[host].local = 0;
                self.detect(host, self.policy.consecutive_local_origin_failure, now);
            }
            return;
        }
        state.gateway = if (502..=504).contains(&code) { state.gateway + 1 } else { 0 };
        state.any_5xx = if code >= 500 { state.any_5xx + 1 } else { 0 };
        let gateway_fired =
            state.gateway != 0 && state.gateway == self.policy.consecutive_gateway_failure.threshold;
        let any_fired = state.any_5xx != 0 && state.any_5xx == self.policy.consecutive_5xx.threshold;
        if gateway_fired {
            self.hosts[host].gateway = 0;
            self.detect(host, self.policy.consecutive_gateway_failure, now);
        }
        if any_fired && self.hosts[host].ejected_at.is_none() {
            self.hosts[host].any_5xx = 0;
            self.detect(host, self.policy.consecutive_5xx, now);
        }
    }

    fn detect(&mut self, host: usize, detector: Detector, now: u64) {
        self.detections += 1;
        let allowed =
            100 * (self.ejected().len() + 1) <= self.policy.max_ejection_percent as usize * self.hosts.len();
        if !allowed || detector.enforcing_percent == 0 {
            return;
        }
        let base = millis(self.policy.base_ejection_time);
        let most = millis(self.policy.max_ejection_time);
        let state = &mut self.hosts[host];
        if state.multiplier * base < most + base {
            state.multiplier += 1;
        }
        *state = Host {
            ejected_at: Some(now),
            multiplier: state.multiplier,
            era: state.era + 1,
            returned_at: state.returned_at,
            ..Host::default()
        };
    }

    /// Somebody returns the host by hand; whether it was ejected.
    pub(crate) fn return_by_hand(&mut self, host: usize, now: u64) -> bool {
        let state = &mut self.hosts[host];
        if state.ejected_at.is_none() {
            return false;
        }
        *state = Host {
            returned_at: Some(now),
            multiplier: state.multiplier,
            era: state.era + 1,
            ..Host::default()
        };
        true
    }

    /// How many hosts came back.
    pub(crate) fn tick(&mut self, now: u64) -> usize {
        let interval = millis(self.policy.interval);
        if now - self.swept_at < interval {
            return 0;
        }
        self.swept_at = now;
        let base = millis(self.policy.base_ejection_time);
        let most = millis(self.policy.max_ejection_time);
        let mut returned = 0;
        // Those that are out now did nothing that counts.
        let volumes: Vec<_> = self.hosts.iter_mut().map(|host| std::mem::take(&mut host.volumes)).collect();
        let out: Vec<_> = self.hosts.iter().map(|host| host.ejected_at.is_some()).collect();
        for host in &mut self.hosts {
            if let Some(at) = host.ejected_at
                && now - at >= (base * host.multiplier).min(most)
            {
                host.ejected_at = None;
                host.returned_at = Some(now);
                host.era += 1;
                returned += 1;
            }
        }
        for kind in 0..2 {
            self.judge(kind, &volumes, &out, now);
        }
        for host in &mut self.hosts {
            let healthy =
                host.ejected_at.is_none() && host.returned_at.is_some_and(|at| now - at >= interval);
            if healthy {
                host.multiplier = host.multiplier.saturating_sub(1);
            }
        }
        returned
    }

    fn judge(&mut self, kind: usize, volumes: &[[(u32, u32); 2]], out: &[bool], now: u64) {
        let Some(share) = self.policy.failure_percentage else { return };
        let valid: Vec<usize> = (0..volumes.len())
            .filter(|&host| !out[host] && volumes[host][kind].1 >= share.request_volume)
            .collect();
        if valid.len() < share.minimum_hosts as usize {
            return;
        }
        for host in valid {
            let (failures, tries) = volumes[host][kind];
            if failures * 100 >= share.threshold * tries && self.hosts[host].ejected_at.is_none() {
                let enforcing_percent = [share.enforcing_percent, share.local_origin_enforcing_percent][kind];
                self.detect(host, Detector { threshold: 0, enforcing_percent }, now);
            }
        }
    }
}
