//! One cluster as it runs: limits, idle connections, ejections and numbers, which survive snapshots; and the view that one
//! snapshot gives of it: settings and hosts. What a worker does with them is the exchange's business.

mod breakers;
mod ejection;
mod view;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use fuseboard_admin::status::{HistoryEvent, HistoryRecord};
use fuseboard_core::Instant;
use fuseboard_core::limit::{LimitView, PoolLimit, Priority, ResourceManager};
use fuseboard_core::outlier::{HealthEpoch, OutlierDetector};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Cluster, PerPriority, ServiceName};
use fuseboard_stats::{Counter, Sharded};

use super::history::History;
use super::host::Host;
use super::pace::Pace;
use super::refusing::Refusing;
use super::tier::{Bounds, LateTier, Tier};
use crate::clock;
use crate::events::EventRing;
use crate::outlier_log::OutlierLog;
use crate::stats::{ClusterBlock, ClusterStats, MessageSeries, RequestSeries, TcpSeries};
use crate::upstream::{ClosedBy, Pooled};

pub(crate) use breakers::Breakers;
pub(crate) use view::ClusterTls;
pub use view::ClusterView;

/// The state of one cluster name. It dies when no snapshot names it and its last exchange has ended.
pub struct LiveCluster {
    /// Envoy's name; the identity.
    pub name: Arc<str>,
    /// Numbers, by worker.
    pub stats: Arc<Sharded<ClusterBlock>>,
    /// Istio's series, by how requests ended.
    pub requests: Arc<RequestSeries>,
    workers: usize,
    /// Made when the first TCP connection asks for it: most clusters have none.
    tcp_connections: OnceLock<Arc<TcpSeries>>,
    /// Made when the first call of gRPC asks for it.
    grpc_messages: OnceLock<Arc<MessageSeries>>,
    pub(crate) epoch: Arc<HealthEpoch>,
    /// Changes of the set of hosts; whoever applies snapshots counts.
    pub(crate) membership_changes: Counter,
    tiers: PerPriority<LateTier>,
    pools: PoolLimit,
    detector: Mutex<Option<OutlierDetector>>,
    outlier_log: Option<Arc<OutlierLog>>,
    history: History,
    /// The service it is for, as events have it.
    service: ServiceName,
    events: Arc<EventRing>,
    refusing: Refusing,
    refused_ejections: Pace,
    /// What breakers of hosts that are gone had let pass in shadow mode; a counter must not fall.
    let_pass_by_gone: AtomicU64,
}

impl LiveCluster {
    pub(crate) fn new(
        cluster: &Cluster,
        workers: usize,
        outlier_log: Option<Arc<OutlierLog>>,
        events: Arc<EventRing>,
    ) -> Self {
        let tier = |priority| LateTier::new(workers, bounds(cluster, priority));
        Self {
            name: Arc::clone(&cluster.name),
            stats: Arc::new(Sharded::new(workers)),
            requests: Arc::new(RequestSeries::new(workers)),
            workers,
            tcp_connections: OnceLock::new(),
            grpc_messages: OnceLock::new(),
            epoch: Arc::new(HealthEpoch::default()),
            membership_changes: Counter::default(),
            tiers: PerPriority { default: tier(Priority::Default), high: tier(Priority::High) },
            pools: PoolLimit::default(),
            detector: Mutex::new(None),
            outlier_log,
            history: History::default(),
            service: cluster.service.clone(),
            events,
            refusing: Refusing::default(),
            refused_ejections: Pace::default(),
            let_pass_by_gone: AtomicU64::new(0),
        }
    }

    /// Istio's counters of messages of gRPC, made now if nobody asked before.
    pub(crate) fn grpc_messages(&self) -> &MessageSeries {
        self.grpc_messages.get_or_init(|| Arc::new(MessageSeries::new(self.workers)))
    }

    /// The same, if anybody asked.
    pub(crate) fn made_grpc_messages(&self) -> Option<&Arc<MessageSeries>> {
        self.grpc_messages.get()
    }

    /// Istio's series of TCP connections, made now if nobody asked before.
    pub(crate) fn tcp_connections(&self) -> &TcpSeries {
        self.tcp_connections.get_or_init(|| Arc::new(TcpSeries::new(self.workers)))
    }

    /// The same, if there is any.
    pub(crate) fn made_tcp_connections(&self) -> Option<&Arc<TcpSeries>> {
        self.tcp_connections.get()
    }

    /// Limits and idle connections of one priority, made now if nobody asked before.
    pub(crate) fn tier(&self, priority: Priority) -> &Tier {
        self.tiers.get(priority).get()
    }

    /// Those that exist.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = &Tier> {
        Priority::ALL.into_iter().filter_map(|priority| self.tiers.get(priority).made())
    }

    /// Counts and bounds of one priority now; makes nothing.
    pub(crate) fn limit_view(&self, priority: Priority) -> LimitView {
        self.tiers.get(priority).view()
    }

    /// The live limits of one priority: gauges and bounds.
    pub fn limits(&self, priority: Priority) -> &ResourceManager {
        &self.tier(priority).limits
    }

    /// Idle connections, over all hosts and workers.
    pub fn idle_connections(&self) -> usize {
        self.tiers().map(|tier| tier.pool.idle()).sum()
    }

    /// Puts the settings of a new snapshot in force. Limits change in place; ejections stay (difference D7).
    pub(crate) fn reconfigure(&self, cluster: &Cluster, hosts: &[Arc<Host>], now: Instant) {
        for priority in Priority::ALL {
            if let Some(tier) = self.tiers.get(priority).set(bounds(cluster, priority)) {
                close(tier.pool.take_surplus(), &self.stats.control().stats, now);
            }
        }
        self.reconfigure_detection(cluster.outlier.as_ref(), hosts, now);
    }

    /// One of the limits refused a call. True: for the first time, so somebody has to see when that is over.
    pub(crate) fn note_refusal(&self, reason: RefusalReason, bound: Option<u32>, now: Instant) -> bool {
        let first = self.refusing.note(reason, bound, now);
        first.map(|event| self.tell(event, now)).is_some()
    }

    /// Tells which limits refuse nobody any more; says when to look again.
    pub(crate) fn leave_limits(&self, now: Instant) -> Option<Instant> {
        let (left, next) = self.refusing.left(now);
        for event in left {
            self.tell(event, now);
        }
        next
    }

    /// Remembers what happened, and tells those who follow.
    fn tell(&self, event: HistoryEvent, now: Instant) {
        let record = HistoryRecord { at: clock::wall(now), event };
        self.events.push(&self.name, &self.service, record.clone());
        if matches!(
            record.event,
            HistoryEvent::Breaker { .. } | HistoryEvent::Ejected { .. } | HistoryEvent::Returned { .. }
        ) {
            self.history.push(record);
        }
    }

    /// What happened lately, oldest first.
    pub fn history(&self) -> Vec<HistoryRecord> {
        self.history.records()
    }

    /// Closes the idle connections to a host; busy ones finish what they do.
    pub(crate) fn close_idle(&self, host: &Host, stats: &ClusterStats, now: Instant) {
        for tier in self.tiers() {
            close(tier.pool.take_host(host.key), stats, now);
        }
    }

    /// Closes all idle connections: the running snapshot does not name the cluster, or lets nobody send to it.
    pub(crate) fn retire(&self, now: Instant) {
        for tier in self.tiers() {
            close(tier.pool.take_all(), &self.stats.control().stats, now);
        }
    }

    /// Nobody is left to send to: all that wait are told so.
    pub(crate) fn dismiss_waiters(&self) {
        for tier in self.tiers() {
            tier.limits.dismiss_waiters();
        }
    }
}

/// What the settings say of one priority.
fn bounds(cluster: &Cluster, priority: Priority) -> Bounds {
    let streams = cluster.http.streams(cluster.connection.max_requests);
    Bounds { thresholds: *cluster.thresholds.get(priority), streams }
}

fn close(connections: Vec<Pooled>, stats: &ClusterStats, now: Instant) {
    for connection in connections {
        connection.close(stats, ClosedBy::Local, now);
    }
}

impl fmt::Debug for LiveCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveCluster").field("name", &self.name).finish_non_exhaustive()
    }
}
