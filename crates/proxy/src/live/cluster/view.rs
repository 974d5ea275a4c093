//! The view that one snapshot gives of a cluster: its settings and hosts.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::balance::HostSet;
use fuseboard_core::limit::{HostCx, PoolsFull};
use fuseboard_core::{Instant, Rng};
use fuseboard_snapshot::{Availability, Cluster};
use fuseboard_tls::ClientContext;

use super::breakers::Breakers;
use super::{Host, LiveCluster};
use crate::breaker::LiveBreaker;
use crate::fallback::LiveFallback;
use crate::stats::ClusterStats;

/// What connections to the hosts of a cluster are begun with; `None`: plain text.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterTls {
    /// Those that a request has for itself.
    pub(crate) own: Option<Arc<ClientContext>>,
    /// Those that requests share, by HTTP/2.
    pub(crate) shared: Option<Arc<ClientContext>>,
}

/// A cluster as one snapshot has it: the live state, with the settings and hosts of that snapshot.
#[derive(Debug)]
pub struct ClusterView {
    /// What survives snapshots.
    pub live: Arc<LiveCluster>,
    /// The settings.
    pub config: Arc<Cluster>,
    /// What connections are begun with.
    pub(crate) tls: ClusterTls,
    /// The breaker of all calls, if the settings have one or an override is in force.
    pub breaker: Option<Arc<LiveBreaker>>,
    /// What its fallbacks keep and count, if the settings have some.
    pub fallback: Option<Arc<LiveFallback>>,
    /// The breakers of the hosts, in their order; empty unless the settings have one for each, or an override of one is in force.
    pub host_breakers: Vec<Arc<LiveBreaker>>,
    /// The hosts, in the order of `config.endpoints`.
    pub hosts: Vec<Arc<Host>>,
    /// The hosts as balancers see them; same order.
    pub host_set: Arc<HostSet>,
}

impl ClusterView {
    /// The sweep of outlier detection; says when the next one is due. Where it ejects the last host, those who wait are told.
    pub(crate) fn sweep(&self, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let swept = self.live.sweep(&self.hosts, now, rng)?;
        if swept.ejected && self.is_deserted(now) {
            self.live.dismiss_waiters();
        }
        swept.next
    }

    /// Counts a connection to `host` that is about to be opened, if `maxConnectionPools` allows it. A host whose connections
    /// are all idle makes room for another one: they are closed.
    pub(crate) fn claim_connection(
        &self,
        host: &Host,
        stats: &ClusterStats,
        now: Instant,
    ) -> Result<HostCx, PoolsFull> {
        let Some(bound) = self.config.max_connection_pools else { return Ok(host.connections.count()) };
        let reclaim = |other: &Arc<Host>| {
            if other.load.active() == 0 {
                self.live.close_idle(other, stats, now);
            }
        };
        self.live.pools.claim(bound.get(), &host.connections, &self.hosts, |host| &host.connections, reclaim)
    }

    /// Its breakers.
    pub(crate) fn breakers(&self) -> Breakers {
        Breakers { whole: self.breaker.clone(), hosts: self.host_breakers.clone() }
    }

    /// Whether there is a breaker, of the whole or of each host.
    pub(crate) fn has_breakers(&self) -> bool {
        self.breaker.is_some() || !self.host_breakers.is_empty()
    }

    /// The breaker that says why a call was refused; of several hosts' that of the one which lets a call through first.
    pub(crate) fn refusing(&self, now: Instant) -> Option<&Arc<LiveBreaker>> {
        let of_host = || {
            let waits = |breaker: &&Arc<LiveBreaker>| {
                breaker.machine().peek(now).err().map_or(Duration::ZERO, |refusal| refusal.retry_after)
            };
            self.host_breakers.iter().filter(|breaker| !breaker.machine().takes_all()).min_by_key(waits)
        };
        let open = |breaker: &&Arc<LiveBreaker>| !breaker.machine().takes_all();
        self.breaker
            .as_ref()
            .filter(|breaker| self.host_breakers.is_empty() || open(breaker))
            .or_else(of_host)
    }

    /// Nobody can be sent to, so nobody should wait.
    pub(crate) fn is_deserted(&self, now: Instant) -> bool {
        self.config.availability != Availability::Serving || self.host_set.is_deserted(now)
    }
}
