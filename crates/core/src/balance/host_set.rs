//! The hosts of one cluster as balancers see them, and which of them are available now. One priority level; who gets requests
//! while too few are available is `none_healthy`'s to say, the choice among the hosts `balancer`'s.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{HostLoad, NoneHealthy, NoneHealthyPolicy, Recipients};
use crate::outlier::{HealthEpoch, HostMonitor};

/// One host of a [`HostSet`].
#[derive(Clone, Debug)]
pub struct HostEntry {
    /// Share of traffic relative to the others.
    pub weight: NonZeroU32,
    /// What the source of endpoints says of it.
    pub healthy: bool,
    /// Its load, over all workers.
    pub load: Arc<HostLoad>,
    /// `None`: the cluster has no outlier detection.
    pub monitor: Option<Arc<HostMonitor>>,
}

impl HostEntry {
    /// Whether it gets traffic outside panic: healthy by its source and not ejected.
    pub fn is_available(&self) -> bool {
        self.healthy && !self.monitor.as_ref().is_some_and(|monitor| monitor.is_ejected())
    }
}

/// The hosts of one cluster. Never changes but for the bits inside its entries; a change of endpoints makes a new one.
#[derive(Debug)]
pub struct HostSet {
    hosts: Box<[HostEntry]>,
    none_healthy: NoneHealthyPolicy,
    epoch: Arc<HealthEpoch>,
}

impl HostSet {
    /// `panic_threshold` in percent, 0: never panic. `epoch` is the cluster's, shared with its detector.
    pub fn new(hosts: impl Into<Box<[HostEntry]>>, panic_threshold: u32, epoch: Arc<HealthEpoch>) -> Self {
        let none_healthy = NoneHealthyPolicy { threshold: panic_threshold, ..NoneHealthyPolicy::default() };
        Self { hosts: hosts.into(), none_healthy, epoch }
    }

    /// The set with another answer to "nobody is healthy" than Istio's.
    #[must_use]
    pub fn when_none_healthy(mut self, answer: NoneHealthy) -> Self {
        self.none_healthy.answer = answer;
        self
    }

    /// Whether nobody gets requests now, so that nobody should wait.
    pub fn is_deserted(&self) -> bool {
        self.hosts.is_empty() || self.recipients(self.available()) == Recipients::Nobody
    }

    /// The hosts, in the order of their indices.
    pub fn hosts(&self) -> &[HostEntry] {
        &self.hosts
    }

    /// Available hosts: the gauge `membership_healthy`.
    pub fn available(&self) -> usize {
        self.hosts.iter().filter(|host| host.is_available()).count()
    }

    /// The present epoch of the cluster's health.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.current()
    }

    /// Who gets requests while so many are available.
    pub(super) fn recipients(&self, available: usize) -> Recipients {
        self.none_healthy.recipients(available, self.hosts.len())
    }
}
