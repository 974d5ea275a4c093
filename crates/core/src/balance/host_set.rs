//! The hosts of one cluster as balancers see them, which of them are available now, and whether it is time to panic.
//! One priority level; the choice among the hosts is `balancer`'s.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::HostLoad;
use crate::outlier::{HealthEpoch, HostMonitor};

/// Envoy's overprovisioning factor in percent: a level counts as fully available while 1/1.4 of its hosts are.
const OVERPROVISIONING_PERCENT: u64 = 140;

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
    panic_threshold: u32,
    epoch: Arc<HealthEpoch>,
}

impl HostSet {
    /// `panic_threshold` in percent, 0: never panic. `epoch` is the cluster's, shared with its detector.
    pub fn new(hosts: impl Into<Box<[HostEntry]>>, panic_threshold: u32, epoch: Arc<HealthEpoch>) -> Self {
        Self { hosts: hosts.into(), panic_threshold, epoch }
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

    /// Whether so few hosts are available that all are used: fewer percent than the threshold, unless the level counts as fully
    /// available anyway. An empty set panics at any threshold above 0, as in Envoy.
    pub(super) fn is_panic(&self, available: usize) -> bool {
        let (available, all) = (available as u64, self.hosts.len() as u64);
        let below = 100 * available < u64::from(self.panic_threshold.min(100)) * all;
        let fully_available = all > 0 && OVERPROVISIONING_PERCENT * available / all >= 100;
        (below || (all == 0 && self.panic_threshold > 0)) && !fully_available
    }
}
