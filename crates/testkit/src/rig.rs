//! One proxy in this process with one cluster behind it, and what it says of itself, read from memory.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_proxy::{Proxy, ProxyOptions};

use crate::caller::Caller;
use crate::door::Door;
use crate::origin::{Origin, OriginOptions};
use crate::settle::settle;
use crate::sketch::ClusterSketch;

/// What a cluster's gauges say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// `upstream_rq_active`
    pub requests: u32,
    /// `upstream_rq_pending_active`
    pub pending: u32,
    /// `upstream_cx_active`
    pub connections: u32,
    /// Those of `connections` that carry no request.
    pub idle: u32,
}

/// What a cluster has counted since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `upstream_rq_pending_total`
    pub pending_total: u64,
    /// `upstream_rq_pending_overflow`
    pub pending_overflow: u64,
    /// `upstream_rq_active_overflow`
    pub active_overflow: u64,
    /// `upstream_cx_overflow`
    pub cx_overflow: u64,
    /// `upstream_cx_total`
    pub cx_total: u64,
    /// `outlier_detection.ejections_enforced_total`
    pub ejections: u64,
    /// `upstream_rq_resent`
    pub resent: u64,
    /// `upstream_cx_connect_fail`
    pub connect_fails: u64,
    /// `upstream_rq_timeout`
    pub timeouts: u64,
    /// `istio_requests_total`, however they ended
    pub ended: u64,
    /// `rq_total` of all hosts
    pub tries: u64,
    /// `rq_success` and `rq_error` of all hosts
    pub outcomes: u64,
}

/// Proxy and origin. They end when dropped.
pub struct Rig {
    /// The cluster's hosts.
    pub origin: Origin,
    proxy: Option<Proxy>,
    door: Door,
    sketch: ClusterSketch,
    version: u64,
}

impl Rig {
    /// Starts an origin, and a proxy with `workers` workers before it. `sketch` gets the origin's addresses.
    pub fn start(
        workers: usize,
        origin: OriginOptions,
        sketch: impl FnOnce(&[SocketAddr]) -> ClusterSketch,
    ) -> io::Result<Self> {
        let seed = origin.seed;
        let origin = Origin::start(origin)?;
        let sketch = sketch(origin.addresses());
        let options = ProxyOptions {
            concurrency: workers,
            drain_time: Duration::from_secs(2),
            seed,
            ..ProxyOptions::default()
        };
        let snapshot = sketch.snapshot(1).map_err(io::Error::other)?;
        let proxy = fuseboard_proxy::start(options, Arc::new(snapshot)).map_err(io::Error::other)?;
        let listener = proxy.listeners().into_iter().next().ok_or(io::ErrorKind::NotFound)?;
        let door = Door::new(listener.address);
        let rig = Self { origin, proxy: Some(proxy), door, sketch, version: 1 };
        rig.forget_peaks();
        Ok(rig)
    }

    /// Where the proxy listens.
    pub const fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// The same, for callers whose connections [`Self::is_quiet`] waits for.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// What runs.
    pub const fn sketch(&self) -> &ClusterSketch {
        &self.sketch
    }

    /// Puts another cluster, or the same with other settings, into effect.
    pub fn apply(&mut self, sketch: ClusterSketch) -> io::Result<()> {
        self.version += 1;
        let snapshot = sketch.snapshot(self.version).map_err(io::Error::other)?;
        if let Some(proxy) = &self.proxy {
            proxy.apply(&Arc::new(snapshot)).map_err(io::Error::other)?;
        }
        self.sketch = sketch;
        self.forget_peaks();
        Ok(())
    }

    /// `n` callers of the proxy.
    pub fn callers(&self, n: u32, keep_alive: bool) -> Vec<Caller> {
        (0..n).map(|_| Caller::new(self.door(), keep_alive)).collect()
    }

    /// The cluster's gauges of now.
    pub fn gauges(&self) -> Gauges {
        let Some(proxy) = &self.proxy else { return Gauges::default() };
        let live = proxy.live();
        let Some(cluster) = live.cluster(&self.sketch.name) else { return Gauges::default() };
        let view = cluster.live.limits(Priority::Default).view();
        let idle = cluster.live.idle_connections();
        Gauges {
            requests: view.requests,
            pending: view.pending,
            connections: view.connections,
            idle: u32::try_from(idle).unwrap_or(u32::MAX),
        }
    }

    /// The cluster's counters of now.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        let Some(proxy) = &self.proxy else { return counters };
        let live = proxy.live();
        let Some(cluster) = live.cluster(&self.sketch.name) else { return counters };
        for block in cluster.live.stats.iter() {
            counters.pending_total += block.stats.upstream_rq_pending_total.get();
            counters.pending_overflow += block.stats.upstream_rq_pending_overflow.get();
            counters.active_overflow += block.stats.upstream_rq_active_overflow.get();
            counters.cx_overflow += block.stats.upstream_cx_overflow.get();
            counters.cx_total += block.stats.upstream_cx_total.get();
            counters.connect_fails += block.stats.upstream_cx_connect_fail.get();
            counters.timeouts += block.stats.upstream_rq_timeout.get();
            counters.resent += block.own.upstream_rq_resent.get();
            counters.ejections += block.outlier.ejections_enforced_total.get();
        }
        for (_, blocks) in cluster.live.requests.iter() {
            counters.ended += blocks.iter().map(|block| block.istio_requests_total.get()).sum::<u64>();
        }
        for stats in cluster.hosts.iter().flat_map(|host| host.stats.iter()) {
            counters.tries += stats.rq_total.get();
            counters.outcomes += stats.rq_success.get() + stats.rq_error.get();
        }
        counters
    }

    /// The origin's peaks start anew, with the cluster's bound on connections in mind.
    pub fn forget_peaks(&self) {
        let bound = self.sketch.thresholds.max_connections;
        self.origin.forget_peaks((bound != fuseboard_core::limit::UNLIMITED).then_some(bound));
    }

    /// Whether the proxy has taken every connection that was made, and closed those that are closed.
    fn knows_its_callers(&self) -> bool {
        let Some(proxy) = &self.proxy else { return true };
        let (taken, open) = proxy.live().clients();
        taken >= self.door.came() && open <= self.door.open()
    }

    /// Waits until nothing runs or waits, every open connection is idle, and the origin sees as many; and until nobody who
    /// came and left will still be taken in. False: not within `patience`.
    pub async fn is_quiet(&self, patience: Duration) -> bool {
        settle(patience, || {
            let (gauges, count) = (self.gauges(), self.origin.count());
            gauges.requests == 0
                && gauges.pending == 0
                && gauges.connections == gauges.idle
                && count.connections == gauges.connections
                && count.requests == 0
                && self.knows_its_callers()
        })
        .await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Held answers would make the drain wait for its whole time.
        self.origin.open();
        if let Some(proxy) = self.proxy.take() {
            proxy.drain();
            proxy.join();
        }
    }
}
