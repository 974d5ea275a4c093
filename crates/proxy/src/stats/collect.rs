//! From live blocks and status to one [`Reading`]: which stat belongs to which scope. Runs on the admin thread only.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use fuseboard_admin::status::{ClusterStatus, FallbackStatus, ListenerStatus, ProxyStatus, ServerState};
use fuseboard_core::limit::Priority;
use fuseboard_snapshot::{BreakerScope, ListenerTarget};
use fuseboard_stats::{Block, CodeOrigin, Desc, Gauge, Reading, Scope, Sharded};

use super::cluster::{
    BreakerStats, ClusterBlock, ClusterStats, MembershipStats, OutlierStats, OwnClusterStats, ShadowStats,
};
use super::fallback::{FallbackCacheStats, FallbackLevels, FallbackStats, FallbackStepStats};
use super::levels::{
    BreakerLevels, ClusterLevels, EndpointStateLevels, LimitLevels, OutlierLevels, RemainingLevels,
    StateLevels,
};
use super::listener::{HttpStats, ListenerBlock, ListenerStats, OwnListenerStats};
use super::refused;
use super::requests::{self, MessageSeries, RequestSeries};
use super::server::{ClusterManagerStats, ListenerManagerStats, OwnServerStats, ServerStats};
use super::ssl::{ClusterSslStats, ListenerSslStats};
use super::tcp::{self, TcpSeries, TcpStats};
use crate::options::Source;

/// The proxy at one moment: its status, and the blocks that belong to the status's clusters and listeners.
pub struct Observation {
    /// What runs.
    pub status: ProxyStatus,
    /// Blocks of `status.clusters`, in the same order.
    pub cluster_blocks: Vec<Arc<Sharded<ClusterBlock>>>,
    /// Blocks of `status.listeners`, in the same order.
    pub listener_blocks: Vec<Arc<Sharded<ListenerBlock>>>,
    /// Istio's series of `status.clusters`, in the same order.
    pub cluster_requests: Vec<Arc<RequestSeries>>,
    /// Istio's TCP series of `status.clusters`, in the same order; `None`: no connection ever came.
    pub cluster_connections: Vec<Option<Arc<TcpSeries>>>,
    /// Istio's counters of messages to `status.clusters`, in the same order; `None`: no call of gRPC ever came.
    pub cluster_messages: Vec<Option<Arc<MessageSeries>>>,
    /// Istio's series of requests that found no cluster.
    pub unrouted: Arc<RequestSeries>,
    /// Istio's counters of messages of calls that found no cluster.
    pub unrouted_messages: Arc<MessageSeries>,
    /// Whom the proxy works for.
    pub source: Source,
    /// What was read last is not all in force.
    pub rules_held_back: bool,
    /// Connections of clients that may be open at a time.
    pub max_connections: usize,
}

/// Every declared scope, for the documentation.
pub fn declared() -> Vec<(&'static str, &'static [Desc])> {
    fn of<B: Block>() -> (&'static str, &'static [Desc]) {
        (B::SCOPE, B::DESCS)
    }
    vec![
        of::<ClusterStats>(),
        of::<MembershipStats>(),
        of::<ClusterLevels>(),
        of::<BreakerLevels>(),
        of::<RemainingLevels>(),
        of::<OutlierStats>(),
        of::<OutlierLevels>(),
        of::<ClusterSslStats>(),
        of::<OwnClusterStats>(),
        of::<LimitLevels>(),
        of::<BreakerStats>(),
        of::<ShadowStats>(),
        of::<StateLevels>(),
        of::<EndpointStateLevels>(),
        of::<FallbackStats>(),
        of::<FallbackStepStats>(),
        of::<FallbackLevels>(),
        of::<FallbackCacheStats>(),
        of::<ListenerStats>(),
        of::<ListenerSslStats>(),
        of::<OwnListenerStats>(),
        of::<HttpStats>(),
        of::<TcpStats>(),
        of::<ServerStats>(),
        of::<OwnServerStats>(),
        of::<ClusterManagerStats>(),
        of::<ListenerManagerStats>(),
    ]
}

/// All stats, by scope.
pub fn collect(observed: &Observation) -> Reading {
    let mut reading = Reading::new();
    for (status, blocks) in observed.status.clusters.iter().zip(&observed.cluster_blocks) {
        add_cluster(&mut reading, status, blocks);
    }
    for cluster in tcp_clusters(&observed.status) {
        if let Some(blocks) = observed.cluster_blocks.get(cluster) {
            let name = &observed.status.clusters[cluster].cluster.stat_name;
            let scope = reading.scope(Scope::of_many("tcp", name, "tcp_prefix"));
            reading.block(scope, blocks.iter().map(|block| &block.tcp));
        }
    }
    for (status, blocks) in observed.status.listeners.iter().zip(&observed.listener_blocks) {
        add_listener(&mut reading, status, blocks);
    }
    add_server(&mut reading, observed);
    let from = requests::From::new(&observed.source);
    for (status, series) in observed.status.clusters.iter().zip(&observed.cluster_requests) {
        requests::collect(&mut reading, &from, Some(&status.cluster), series);
    }
    requests::collect(&mut reading, &from, None, &observed.unrouted);
    for (status, series) in observed.status.clusters.iter().zip(&observed.cluster_messages) {
        if let Some(series) = series {
            requests::collect_messages(&mut reading, &from, Some(&status.cluster), series);
        }
    }
    requests::collect_messages(&mut reading, &from, None, &observed.unrouted_messages);
    for (status, series) in observed.status.clusters.iter().zip(&observed.cluster_connections) {
        if let Some(series) = series {
            tcp::collect(&mut reading, &from, &status.cluster, series);
        }
    }
    reading
}

fn add_cluster(reading: &mut Reading, status: &ClusterStatus, blocks: &Sharded<ClusterBlock>) {
    let cluster = Scope::of_many("cluster", &status.cluster.stat_name, "cluster_name");

    let scope = reading.scope(cluster.clone());
    reading.block(scope, blocks.iter().map(|block| &block.stats));
    reading.block(scope, std::iter::once(&MembershipStats::from(status)));
    reading.block(scope, std::iter::once(&ClusterLevels::from(status)));
    let codes = blocks.iter().map(|block| &block.codes);
    reading.codes(scope, "upstream_rq", &[CodeOrigin::All, CodeOrigin::External], codes);
    let retried = blocks.iter().map(|block| &block.retried_codes);
    reading.codes(scope, "upstream_rq", &[CodeOrigin::Retry], retried);

    for (priority, name) in [(Priority::Default, "default"), (Priority::High, "high")] {
        let scope = reading.scope(cluster.part("circuit_breakers").part(name));
        reading.block(scope, std::iter::once(&BreakerLevels::of(status, priority)));
        if priority == Priority::Default {
            reading.block(scope, std::iter::once(&RemainingLevels::from(status)));
        }
    }

    if status.cluster.outlier.is_some() {
        let scope = reading.scope(cluster.part("outlier_detection"));
        reading.block(scope, blocks.iter().map(|block| &block.outlier));
        reading.block(scope, std::iter::once(&OutlierLevels::from(status)));
    }

    if status.cluster.tls.is_some() {
        let scope = reading.scope(cluster.part("ssl"));
        reading.block(scope, blocks.iter().filter_map(|block| block.ssl.get()).map(AsRef::as_ref));
    }

    let own = cluster.own();
    let scope = reading.scope(own.clone());
    reading.block(scope, blocks.iter().map(|block| &block.own));
    refused::collect(reading, scope, blocks.iter().map(|block| &block.refused), |reason| {
        !refused::is_of_listener(reason)
    });
    let rule = status.cluster.breaker.as_ref();
    let of_hosts = status.hosts.iter().any(|host| host.breaker.is_some());
    if rule.is_some() || status.breaker.is_some() || of_hosts {
        let scope = reading.scope(own.part("breaker"));
        reading.block(scope, blocks.iter().map(|block| &block.breaker));
        reading.block(scope, std::iter::once(&ShadowStats::from(status)));
        reading.block(scope, std::iter::once(&StateLevels::from(status)));
        if of_hosts || rule.is_some_and(|rule| rule.scope == BreakerScope::Endpoint) {
            reading.block(scope, std::iter::once(&EndpointStateLevels::from(status)));
        }
    }
    if let Some(fallback) = &status.fallback {
        add_fallback(reading, &own.part("fallback"), fallback, blocks);
    }
    let scope = reading.scope(own.part("limit"));
    reading.block(scope, std::iter::once(&LimitLevels::from(status)));
}

/// Clusters that TCP listeners lead to.
fn tcp_clusters(status: &ProxyStatus) -> BTreeSet<usize> {
    let targets = status.snapshot.listeners.iter().map(|listener| listener.target);
    let clusters = targets.filter_map(|target| match target {
        ListenerTarget::Tcp(tcp) => Some(tcp.cluster),
        ListenerTarget::Detect(detect) => Some(detect.tcp.cluster),
        ListenerTarget::Routes(_) => None,
    });
    clusters.filter(|cluster| *cluster < status.clusters.len()).collect()
}

fn add_fallback(reading: &mut Reading, own: &Scope, status: &FallbackStatus, blocks: &Sharded<ClusterBlock>) {
    let scope = reading.scope(own.clone());
    reading.block(scope, blocks.iter().map(|block| &block.fallback.chain));
    let scope = reading.scope(own.part("cached"));
    reading.block(scope, blocks.iter().map(|block| &block.fallback.cached));
    let scope = reading.scope(own.part("service"));
    reading.block(scope, blocks.iter().map(|block| &block.fallback.service));
    let scope = reading.scope(own.part("static"));
    reading.block(scope, blocks.iter().map(|block| &block.fallback.fixed));
    let scope = reading.scope(own.part("cache"));
    reading.block(scope, std::iter::once(&FallbackLevels::from(status)));
    reading.block(scope, std::iter::once(&FallbackCacheStats::from(status)));
}

/// Envoy's spelling of an address inside a stat name: `127.0.0.1_9000`, `[__1]_9000`.
fn stat_address(address: SocketAddr) -> String {
    address.to_string().replace(':', "_")
}

fn add_listener(reading: &mut Reading, status: &ListenerStatus, blocks: &Sharded<ListenerBlock>) {
    let address = stat_address(status.address);
    let listener = Scope::of_many("listener", &address, "listener_address");
    let scope = reading.scope(listener.clone());
    reading.block(scope, blocks.iter().map(|block| &block.listener));
    if status.tls {
        let scope = reading.scope(listener.part("ssl"));
        reading.block(scope, blocks.iter().map(|block| &block.ssl));
    }
    let scope = reading.scope(listener.own());
    reading.block(scope, blocks.iter().map(|block| &block.own));
    refused::collect(reading, scope, blocks.iter().map(|block| &block.refused), refused::is_of_listener);

    let prefix = format!("outbound_{address};");
    let scope = reading.scope(Scope::of_many("http", &prefix, "http_conn_manager_prefix"));
    reading.block(scope, blocks.iter().map(|block| &block.http));
    reading.code_classes(scope, "downstream_rq", blocks.iter().map(|block| &block.codes));
}

fn add_server(reading: &mut Reading, observed: &Observation) {
    let status = &observed.status;
    let blocks = observed.listener_blocks.iter().flat_map(|blocks| blocks.iter());
    let open = Gauge::sum(blocks.map(|block| &block.listener.downstream_cx_active));
    let memory = super::memory::memory();
    let server = Scope::single("server");
    let scope = reading.scope(server.clone());
    let levels = ServerStats {
        uptime: status.server.uptime.as_secs().into(),
        live: (status.server.state == ServerState::Live).into(),
        state: status.server.state.number().into(),
        concurrency: (status.server.concurrency as u64).into(),
        total_connections: open.into(),
        memory_heap_size: memory.heap.unwrap_or(0).into(),
        memory_physical_size: memory.resident.unwrap_or(0).into(),
        version: version_number(status.server.version).into(),
    };
    reading.block(scope, std::iter::once(&levels));
    let scope = reading.scope(server.own());
    let levels = OwnServerStats {
        snapshot_version: status.snapshot.version.into(),
        max_connections: (observed.max_connections as u64).into(),
        rules_held_back: observed.rules_held_back.into(),
    };
    reading.block(scope, std::iter::once(&levels));

    let scope = reading.scope(Scope::single("cluster_manager"));
    let levels = ClusterManagerStats { active_clusters: (status.clusters.len() as u64).into() };
    reading.block(scope, std::iter::once(&levels));
    let scope = reading.scope(Scope::single("listener_manager"));
    let accepting = status.listeners.iter().filter(|listener| listener.accepting).count();
    let levels = ListenerManagerStats {
        total_listeners_active: (accepting as u64).into(),
        workers_started: (status.server.state != ServerState::Initializing).into(),
    };
    reading.block(scope, std::iter::once(&levels));
}

/// `1.2.3` as 1002003, so that a newer release is a larger number.
fn version_number(version: &str) -> u64 {
    version.split('.').map(|part| part.parse().unwrap_or(0)).fold(0, |all, part: u64| all * 1000 + part)
}
