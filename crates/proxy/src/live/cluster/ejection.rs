//! Outlier detection of a cluster: what it decides takes effect here, and is counted and told.

use std::sync::{Arc, MutexGuard, PoisonError};

use fuseboard_admin::logging::logger;
use fuseboard_admin::status::HistoryEvent;
use fuseboard_core::outlier::{
    OutlierAction, OutlierDetector, OutlierEvent, OutlierPolicy, OutlierView, Trip,
};
use fuseboard_core::{Instant, Rng};
use tracing::{debug, info, warn};

use super::{Host, LiveCluster};
use crate::stats::ClusterBlock;

/// What a sweep of outlier detection did.
pub(super) struct Swept {
    /// When the next one is due.
    pub(super) next: Option<Instant>,
    /// Hosts went.
    pub(super) ejected: bool,
}

impl LiveCluster {
    /// Hosts that are ejected, and for how long; `None`: no outlier detection.
    pub fn ejections(&self) -> Option<OutlierView> {
        self.detector().as_ref().map(OutlierDetector::view)
    }

    /// Detects as a new snapshot says from now on; `None`: not at all, and who is ejected returns.
    pub(super) fn reconfigure_detection(
        &self,
        policy: Option<&OutlierPolicy>,
        hosts: &[Arc<Host>],
        now: Instant,
    ) {
        let monitors: Vec<_> = hosts.iter().map(|host| Arc::clone(&host.monitor)).collect();
        let mut detector = self.detector();
        match (&mut *detector, policy) {
            (Some(running), Some(policy)) => running.reconfigure(policy.clone()),
            (Some(running), None) => {
                let (events, policy) = (running.return_all(now), running.policy().clone());
                *detector = None;
                self.note_swept(&events, &policy, hosts, now);
            }
            (None, Some(policy)) => {
                *detector = Some(OutlierDetector::new(policy.clone(), Arc::clone(&self.epoch), now));
            }
            (None, None) => {}
        }
        match &mut *detector {
            Some(running) => running.set_hosts(&monitors),
            None => self.epoch.advance(),
        }
    }

    /// Decides on what a worker saw, and counts that in its block. An ejected host's idle connections are closed before this returns.
    pub(crate) fn on_trip(&self, host: &Host, trip: Trip, block: &ClusterBlock, now: Instant, rng: &mut Rng) {
        let (events, policy) = {
            let mut detector = self.detector();
            let Some(detector) = detector.as_mut() else { return };
            (detector.on_trip(&host.monitor, trip, now, rng), detector.policy().clone())
        };
        for event in &events {
            block.count_event(event);
            self.log(event, &policy, host, now);
            if matches!(event.action, OutlierAction::Ejected { .. }) {
                self.close_idle(host, &block.stats, now);
            }
        }
    }

    /// The sweep that returns hosts and judges rates; says when the next one is due. Counts in the control block. An ejected
    /// host's idle connections are closed before this returns.
    pub(super) fn sweep(&self, hosts: &[Arc<Host>], now: Instant, rng: &mut Rng) -> Option<Swept> {
        let (events, next, policy) = {
            let mut detector = self.detector();
            let detector = detector.as_mut()?;
            (detector.tick(now, rng), detector.deadline(), detector.policy().clone())
        };
        self.note_swept(&events, &policy, hosts, now);
        let ejected = events.iter().any(|event| matches!(event.action, OutlierAction::Ejected { .. }));
        Some(Swept { next, ejected })
    }

    /// Ends the ejection of a host now; false: it is not ejected. The caller holds the registry's control lock.
    pub(crate) fn return_host(&self, host: &Host, now: Instant) -> bool {
        let (event, policy) = {
            let mut detector = self.detector();
            let Some(detector) = detector.as_mut() else { return false };
            (detector.return_host(&host.monitor, now), detector.policy().clone())
        };
        let Some(event) = event else { return false };
        self.stats.control().count_event(&event);
        self.log(&event, &policy, host, now);
        true
    }

    /// Counts and logs what a sweep found.
    fn note_swept(&self, events: &[OutlierEvent], policy: &OutlierPolicy, hosts: &[Arc<Host>], now: Instant) {
        for event in events {
            self.stats.control().count_event(event);
            if let Some(host) = hosts.iter().find(|host| Arc::ptr_eq(host.monitor.id(), &event.host)) {
                self.log(event, policy, host, now);
                if matches!(event.action, OutlierAction::Ejected { .. }) {
                    self.close_idle(host, &self.stats.control().stats, now);
                }
            }
        }
    }

    /// Tells the logs and the history of it.
    fn log(&self, event: &OutlierEvent, policy: &OutlierPolicy, host: &Host, now: Instant) {
        let (cluster, id) = (&self.name, &event.host);
        match event.action {
            OutlierAction::Ejected { by, .. } => {
                warn!(target: logger::UPSTREAM, "{cluster}: {id} ejected ({}, number {})", by.event_type(), event.num_ejections);
            }
            OutlierAction::Returned { .. } => info!(target: logger::UPSTREAM, "{cluster}: {id} returned"),
            OutlierAction::Blocked { ejected, hosts, .. } => {
                debug!(target: logger::UPSTREAM, "{cluster}: {id} not ejected: {ejected} of {hosts} hosts already are");
            }
            OutlierAction::NotEnforced { .. } => {
                debug!(target: logger::UPSTREAM, "{cluster}: {id} not ejected: the detector is not enforced");
            }
        }
        let address = host.endpoint.address;
        let happened = match event.action {
            OutlierAction::Ejected { by, due } => Some(HistoryEvent::Ejected {
                address,
                detector: by.event_type(),
                number: event.num_ejections,
                time: due.saturating_since(now),
            }),
            OutlierAction::Returned { .. } => Some(HistoryEvent::Returned { address }),
            OutlierAction::Blocked { by, ejected, hosts } => {
                self.refused_ejections.tell(now).map(|more| HistoryEvent::EjectionRefused {
                    address,
                    detector: by.event_type(),
                    ejected,
                    hosts,
                    max_percent: policy.max_ejection_percent,
                    more,
                })
            }
            OutlierAction::NotEnforced { .. } => None,
        };
        if let Some(event) = happened {
            self.tell(event, now);
        }
        if let Some(log) = &self.outlier_log {
            log.log(&self.name, &host.endpoint, event, policy, now);
        }
    }

    fn detector(&self) -> MutexGuard<'_, Option<OutlierDetector>> {
        // A panic inside the detector leaves counts behind that are still counts.
        self.detector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
