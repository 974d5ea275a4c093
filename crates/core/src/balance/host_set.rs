//! The hosts of one cluster as balancers see them, which of them are available now, and what the breakers of the others say. One
//! priority level; who gets requests while too few are available is `none_healthy`'s to say, the choice among the hosts `balancer`'s.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{HostLoad, NoneHealthy, NoneHealthyPolicy, Recipients};
use crate::breaker::{Breaker, Refusal, RefusedBy};
use crate::outlier::{HealthEpoch, HostMonitor};
use crate::time::Instant;

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
    /// Its own breaker; `None`: the cluster has none for each endpoint.
    pub breaker: Option<Arc<Breaker>>,
}

impl HostEntry {
    /// Whether it gets traffic outside panic: healthy by its source, not ejected, and not kept out by its breaker.
    pub fn is_available(&self, now: Instant) -> bool {
        self.is_healthy() && self.shut_until(now).is_none()
    }

    /// Healthy by its source and not ejected; its breaker is not asked.
    fn is_healthy(&self) -> bool {
        self.healthy && !self.monitor.as_ref().is_some_and(|monitor| monitor.is_ejected())
    }

    /// Until when its breaker lets nobody through, in panic neither.
    pub(super) fn shut_until(&self, now: Instant) -> Option<Instant> {
        self.breaker.as_ref()?.shut_until(now)
    }

    /// Whether its breaker takes every call.
    pub(super) fn takes_all(&self) -> bool {
        self.breaker.as_ref().is_none_or(|breaker| breaker.takes_all())
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
    pub fn is_deserted(&self, now: Instant) -> bool {
        match self.recipients(self.available(now)) {
            Recipients::Healthy => false,
            Recipients::All => self.hosts.iter().all(|host| host.shut_until(now).is_some()),
            Recipients::Nobody => true,
        }
    }

    /// The hosts, in the order of their indices.
    pub fn hosts(&self) -> &[HostEntry] {
        &self.hosts
    }

    /// Hosts that are available at `now`.
    pub fn available(&self, now: Instant) -> usize {
        self.hosts.iter().filter(|host| host.is_available(now)).count()
    }

    /// Whether a host is healthy by its source and not ejected, whatever its breaker says.
    pub(super) fn has_healthy(&self) -> bool {
        self.hosts.iter().any(HostEntry::is_healthy)
    }

    /// What the breakers of the healthy hosts say, if none of them might take a call at `now`. `None`: one might, or there is
    /// no healthy host at all.
    pub fn refusal(&self, now: Instant) -> Option<Refusal> {
        refusal_of(self.hosts.iter().filter(|host| host.is_healthy()), now)
    }

    /// The refusal of those who were asked, but no later than when the first healthy one that is shut lets a probe through.
    pub(super) fn or_first_probe(&self, refusal: Refusal, now: Instant) -> Refusal {
        let healthy = self.hosts.iter().filter(|host| host.is_healthy());
        let first = healthy.filter_map(|host| host.shut_until(now)).min();
        first.map_or(refusal, |until| {
            join(Some(refusal), Refusal { by: RefusedBy::Open, retry_after: until.saturating_since(now) })
        })
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

/// One refusal for many: the state of the host that is closest to closed, and the time after which the first of them might take a
/// call.
pub(super) fn join(one: Option<Refusal>, other: Refusal) -> Refusal {
    let rank = |by: RefusedBy| match by {
        RefusedBy::Open => 0,
        RefusedBy::ProbeBusy => 1,
        RefusedBy::Ramp => 2,
    };
    let Some(one) = one else { return other };
    let by = if rank(other.by) > rank(one.by) { other.by } else { one.by };
    Refusal { by, retry_after: one.retry_after.min(other.retry_after) }
}

/// What the breakers of `hosts` say; `None` if one of the hosts might take a call, or there is no host.
pub(super) fn refusal_of<'h>(hosts: impl Iterator<Item = &'h HostEntry>, now: Instant) -> Option<Refusal> {
    let mut joined = None;
    for host in hosts {
        let refusal = host.breaker.as_ref()?.peek(now).err()?;
        joined = Some(join(joined, refusal));
    }
    joined
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_refusal_for_two_has_the_state_closest_to_closed_and_the_shorter_time() {
        let all = [(RefusedBy::Open, 5), (RefusedBy::ProbeBusy, 3), (RefusedBy::Ramp, 9)]
            .map(|(by, secs)| Refusal { by, retry_after: Duration::from_secs(secs) });
        for (index, one) in all.into_iter().enumerate() {
            assert_eq!(join(None, one), one);
            for (other_index, other) in all.into_iter().enumerate() {
                let closest = all[index.max(other_index)].by;
                let soonest = one.retry_after.min(other.retry_after);
                assert_eq!(join(Some(one), other), Refusal { by: closest, retry_after: soonest });
            }
        }
    }
}
