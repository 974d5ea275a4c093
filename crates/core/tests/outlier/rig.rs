//! One cluster in virtual time, and numbers that are quick to reach.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::outlier::{
    Detector, HealthEpoch, HostMonitor, OutlierAction, OutlierCounter, OutlierDetector, OutlierEvent,
    OutlierPolicy, Ticket, Trip,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};

pub(crate) const OK: Outcome = Outcome::Success { status: 200 };
pub(crate) const REFUSED: Outcome = Outcome::Failure(FailureKind::ConnectFailed);
pub(crate) const TIMEOUT: Outcome = Outcome::Failure(FailureKind::Timeout);
pub(crate) const RESET: Outcome = Outcome::Failure(FailureKind::Reset);

pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn status(status: u16) -> Outcome {
    Outcome::of_status(status)
}

/// Three 5xx eject, everybody may go; sweeps each 500 ms, base 1 s.
pub(crate) fn quick() -> OutlierPolicy {
    OutlierPolicy {
        interval: millis(500),
        base_ejection_time: millis(1_000),
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold: 3, enforcing_percent: 100 },
        ..OutlierPolicy::default()
    }
}

/// One cluster, its hosts, and somebody who reports for all workers.
pub(crate) struct Rig {
    pub(crate) policy: OutlierPolicy,
    pub(crate) hosts: Vec<Arc<HostMonitor>>,
    pub(crate) detector: OutlierDetector,
    pub(crate) epoch: Arc<HealthEpoch>,
    pub(crate) rng: Rng,
}

impl Rig {
    pub(crate) fn new(hosts: usize, policy: OutlierPolicy) -> Self {
        Self::with_priorities(&vec![0; hosts], policy)
    }

    pub(crate) fn with_priorities(priorities: &[u32], policy: OutlierPolicy) -> Self {
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

    pub(crate) fn begin(&self, host: usize) -> Ticket {
        self.hosts[host].begin()
    }

    pub(crate) fn end(
        &mut self,
        host: usize,
        ticket: Ticket,
        outcome: Outcome,
        now: Instant,
    ) -> Vec<OutlierEvent> {
        match self.hosts[host].record(ticket, outcome, &self.policy) {
            Some(trip) => self.trip(host, trip, now),
            None => Vec::new(),
        }
    }

    pub(crate) fn trip(&mut self, host: usize, trip: Trip, now: Instant) -> Vec<OutlierEvent> {
        self.detector.on_trip(&self.hosts[host], trip, now, &mut self.rng)
    }

    /// A try that begins and ends at `now`.
    pub(crate) fn run(&mut self, host: usize, outcome: Outcome, now: Instant) -> Vec<OutlierEvent> {
        let ticket = self.begin(host);
        self.end(host, ticket, outcome, now)
    }

    /// Tries that all come to `outcome`, until something happens.
    pub(crate) fn tries_until_event(
        &mut self,
        host: usize,
        outcome: Outcome,
        now: Instant,
    ) -> (u32, Vec<OutlierEvent>) {
        for tries in 1..1_000 {
            let events = self.run(host, outcome, now);
            if !events.is_empty() {
                return (tries, events);
            }
        }
        panic!("nothing happened");
    }

    pub(crate) fn sweep(&mut self, now: u64) -> Vec<OutlierEvent> {
        self.detector.tick(at(now), &mut self.rng)
    }

    pub(crate) fn ejected(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.hosts[host].is_ejected()).collect()
    }
}

pub(crate) fn count(events: &[OutlierEvent], counter: OutlierCounter) -> usize {
    events.iter().flat_map(OutlierEvent::counters).filter(|&grown| grown == counter).count()
}

pub(crate) fn is_ejection(event: &OutlierEvent) -> bool {
    matches!(event.action, OutlierAction::Ejected { .. })
}
