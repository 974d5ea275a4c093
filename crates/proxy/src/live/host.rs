//! One address of a cluster as it runs: its identity, streaks, load and numbers. Choosing among hosts is the balancer's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseboard_core::balance::HostLoad;
use fuseboard_core::limit::HostConnections;
use fuseboard_core::outlier::HostMonitor;
use fuseboard_core::pool::HostKey;
use fuseboard_snapshot::Endpoint;
use fuseboard_stats::Sharded;

use crate::stats::HostStats;

/// A host; lives as long as a snapshot names its endpoint, or an exchange uses it.
#[derive(Debug)]
pub struct Host {
    /// Unique in the process: the key of its idle connections.
    pub(crate) key: HostKey,
    /// The endpoint as the first snapshot that named it wrote it; identity and address never change.
    pub endpoint: Endpoint,
    /// Its failures in a row, and whether it is ejected.
    pub monitor: Arc<HostMonitor>,
    /// Its requests in flight.
    pub load: Arc<HostLoad>,
    /// Its numbers.
    pub stats: Sharded<HostStats>,
    /// Its open connections, those that are being opened among them.
    pub(crate) connections: Arc<HostConnections>,
    /// No snapshot will name it again.
    gone: AtomicBool,
}

impl Host {
    pub(crate) fn new(key: HostKey, endpoint: Endpoint, workers: usize) -> Self {
        let id = endpoint.id.to_string();
        Self {
            key,
            endpoint,
            monitor: Arc::new(HostMonitor::new(id, 0)),
            load: Arc::new(HostLoad::default()),
            stats: Sharded::new(workers),
            connections: Arc::default(),
            gone: AtomicBool::new(false),
        }
    }

    /// Connections to it that are open: `cx_active`.
    pub fn connections(&self) -> u32 {
        self.connections.open()
    }

    /// Whether a snapshot has left it, or its cluster, out. It never comes back: an endpoint that is named again is a new host.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}
