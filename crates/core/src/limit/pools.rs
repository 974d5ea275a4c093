//! To how many hosts of a cluster connections are open at a time: Envoy's `max_connection_pools`, exact over all workers.
//!
//! A host has a pool while a connection to it is open. Only under the lock does a host get its first one, so that between
//! looking and counting nobody else gets one; giving a connection back needs no lock. It is taken where a connection is
//! opened under a limit, never for a request on a connection that is there, and never without a limit.

use std::sync::Arc;

use super::Refused;
use crate::refusal::RefusalReason;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, lock};

/// Open connections to one host, over all workers.
#[derive(Debug)]
pub struct HostConnections(AtomicU32);

impl Default for HostConnections {
    fn default() -> Self {
        Self(AtomicU32::new(0))
    }
}

impl HostConnections {
    /// How many are open.
    pub fn open(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Counts one more, without a limit.
    pub fn count(self: &Arc<Self>) -> HostCx {
        self.0.fetch_add(1, Ordering::AcqRel);
        HostCx(Arc::clone(self))
    }
}

/// One open connection to a host; counts until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the connection is closed"]
pub struct HostCx(Arc<HostConnections>);

impl Drop for HostCx {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Every pool that may be there is, and none of them is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolsFull {
    /// The limit.
    pub bound: u32,
    /// Other hosts with open connections.
    pub open: u32,
}

impl From<PoolsFull> for Refused {
    fn from(full: PoolsFull) -> Self {
        Self {
            reason: RefusalReason::LimitPools,
            bound: full.bound,
            value: full.open,
            waiting: 0,
            connections_full: false,
        }
    }
}

/// The limit of one cluster.
#[derive(Debug)]
pub struct PoolLimit(Mutex<()>);

impl Default for PoolLimit {
    fn default() -> Self {
        Self(Mutex::new(()))
    }
}

impl PoolLimit {
    /// Counts a connection to `own` that is about to be opened, if that makes no more than `bound` pools. Where it would,
    /// `reclaim` is asked to close what is idle at one host after the other, until there is room.
    ///
    /// `of` gives the count of a host; `own` may be among the hosts or not.
    pub fn claim<H>(
        &self,
        bound: u32,
        own: &Arc<HostConnections>,
        hosts: &[H],
        of: impl Fn(&H) -> &Arc<HostConnections>,
        mut reclaim: impl FnMut(&H),
    ) -> Result<HostCx, PoolsFull> {
        let _only_one = lock(&self.0);
        // A pool that is there takes any number of connections, also above a bound that was lowered.
        if own.open() == 0 {
            let has_pool = |host: &H| !Arc::ptr_eq(of(host), own) && of(host).open() > 0;
            let others =
                || u32::try_from(hosts.iter().filter(|host| has_pool(host)).count()).unwrap_or(u32::MAX);
            let mut candidates = hosts.iter();
            while others() >= bound {
                let Some(host) = candidates.by_ref().find(|host| has_pool(host)) else {
                    return Err(PoolsFull { bound, open: others() });
                };
                reclaim(host);
            }
        }
        Ok(own.count())
    }
}
