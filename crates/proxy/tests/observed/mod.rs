//! A proxy's state made by hand, to read stats from without sockets.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_admin::status::{
    ClusterStatus, HostStatus, ListenerStatus, ProxyStatus, ServerInfo, ServerState,
};
use fuseboard_core::balance::{LbPolicy, NoneHealthy};
use fuseboard_core::limit::{LimitView, Thresholds};
use fuseboard_core::outlier::{ByOrigin, OutlierPolicy};
use fuseboard_proxy::Source;
use fuseboard_proxy::stats::{MessageSeries, Observation, RequestSeries};
use fuseboard_snapshot::{
    Availability, Cluster, ConnectionPolicy, PerPriority, Provenance, ServiceName, Snapshot,
};
use fuseboard_stats::Sharded;

/// Envoy's name of the cluster of service `name` on port 8000.
pub(crate) fn cluster_name(name: &str) -> String {
    format!("outbound|8000||{name}.default.svc.cluster.local")
}

/// A cluster with outlier detection, one host, and nothing running.
pub(crate) fn cluster(name: &str, thresholds: Thresholds) -> ClusterStatus {
    let full = cluster_name(name);
    let cluster = Cluster {
        name: Arc::from(full.as_str()),
        stat_name: Arc::from(format!("{full};")),
        service: ServiceName {
            host: Arc::from(format!("{name}.default.svc.cluster.local")),
            port: 8000,
            name: Arc::from(name),
            namespace: Arc::from("default"),
            subset: Arc::from(""),
        },
        connect_timeout: Duration::from_secs(10),
        thresholds: PerPriority { default: thresholds, high: Thresholds::ENVOY },
        connection: ConnectionPolicy::default(),
        lb: LbPolicy::LeastRequest,
        outlier: Some(OutlierPolicy::default()),
        panic_threshold: 0,
        none_healthy: NoneHealthy::ByThreshold,
        max_connection_pools: None,
        breaker: None,
        fallback: None,
        max_stream_duration: None,
        queue_timeout: None,
        trust_refusals: false,
        http: fuseboard_snapshot::UpstreamHttp::default(),
        proxy_protocol: None,
        endpoints: Vec::new(),
        tls: None,
        availability: Availability::Serving,
        rule: None,
        provenance: Provenance::default(),
    };
    ClusterStatus {
        cluster: Arc::new(cluster),
        limits: PerPriority { default: idle(thresholds), high: idle(Thresholds::ENVOY) },
        hosts: vec![HostStatus::idle("127.0.0.1:8000".parse().unwrap())],
        success: ByOrigin::default(),
        breaker: None,
        fallback: None,
        let_pass_by_gone: 0,
        membership_changes: 0,
        added_via_api: false,
    }
}

/// A proxy with these clusters and one listener, in which nothing was counted.
pub(crate) fn proxy(clusters: Vec<ClusterStatus>) -> Observation {
    let server = ServerInfo {
        version: "1.2.3",
        state: ServerState::Live,
        uptime: Duration::from_secs(7),
        concurrency: 4,
        drain_time: Duration::from_secs(45),
        node_id: Arc::from("test"),
    };
    let listener = ListenerStatus {
        name: Arc::from("main"),
        address: "[::1]:9000".parse().unwrap(),
        accepting: true,
        tls: false,
    };
    Observation {
        cluster_blocks: clusters.iter().map(|_| Arc::new(Sharded::new(4))).collect(),
        cluster_requests: clusters.iter().map(|_| Arc::new(RequestSeries::new(4))).collect(),
        cluster_connections: clusters.iter().map(|_| None).collect(),
        unrouted: Arc::new(RequestSeries::new(4)),
        cluster_messages: Vec::new(),
        unrouted_messages: Arc::new(MessageSeries::new(4)),
        source: Source::default(),
        rules_held_back: false,
        max_connections: 1000,
        listener_blocks: vec![Arc::new(Sharded::new(4))],
        status: ProxyStatus {
            server,
            listeners: vec![listener],
            clusters,
            snapshot: Arc::new(Snapshot { version: 3, ..Snapshot::default() }),
            applied_at: SystemTime::UNIX_EPOCH,
        },
    }
}

/// Limits with nothing running.
pub(crate) const fn idle(thresholds: Thresholds) -> LimitView {
    LimitView { thresholds, connections: 0, pending: 0, requests: 0, retries: 0 }
}
