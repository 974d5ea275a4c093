//! The state of a small proxy: the one that Envoy 1.40 was put into when the files in `tests/envoy` were recorded.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_admin::status::{
    ClusterStatus, HostStatus, ListenerStatus, ProxyStatus, ServerInfo, ServerState,
};
use fuseboard_core::balance::{LbPolicy, NoneHealthy};
use fuseboard_core::limit::{LimitView, Thresholds, UNLIMITED};
use fuseboard_core::outlier::{ByOrigin, Detector, OutlierPolicy};
use fuseboard_snapshot::{
    Availability, Cluster, ConnectionPolicy, Endpoint, EndpointHealth, EndpointId, Locality, PerPriority,
    Provenance, ResourceRef, ServiceName, Snapshot, TcpKeepalive,
};

/// A cluster with one endpoint.
pub(crate) fn cluster(name: &str, address: &str) -> Cluster {
    let host = name.rsplit('|').next().unwrap_or(name);
    let address = address.parse().unwrap();
    Cluster {
        name: Arc::from(name),
        stat_name: Arc::from(format!("{name};")),
        service: ServiceName {
            host: Arc::from(host),
            port: 8000,
            name: Arc::from("httpbin"),
            namespace: Arc::from("default"),
            subset: Arc::from(""),
        },
        connect_timeout: Duration::from_secs(10),
        thresholds: PerPriority { default: Thresholds::ENVOY, high: Thresholds::ENVOY },
        connection: ConnectionPolicy::default(),
        lb: LbPolicy::RoundRobin,
        outlier: None,
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
        endpoints: vec![Endpoint {
            id: EndpointId::new("", address),
            address,
            weight: NonZeroU32::MIN,
            health: EndpointHealth::Healthy,
            hostname: Arc::from(""),
            node: Arc::from(""),
            locality: Locality::default(),
        }],
        tls: None,
        availability: Availability::Serving,
        rule: None,
        provenance: Provenance::default(),
    }
}

/// The cluster that nothing was sent to; its only host is not ready.
pub(crate) fn unused() -> ClusterStatus {
    let mut cluster = cluster("outbound|9000||unused.default.svc.cluster.local", "127.0.0.1:28182");
    cluster.endpoints[0].health = EndpointHealth::Unhealthy;
    cluster.endpoints[0].hostname = Arc::from("foo");
    cluster.endpoints[0].weight = NonZeroU32::new(3).unwrap();
    let host = HostStatus {
        unready: true,
        weight: 3,
        hostname: Arc::from("foo"),
        ..HostStatus::idle("127.0.0.1:28182".parse().unwrap())
    };
    let limits = idle(Thresholds::ENVOY);
    ClusterStatus {
        cluster: Arc::new(cluster),
        limits: PerPriority { default: limits, high: limits },
        hosts: vec![host],
        success: ByOrigin::default(),
        breaker: None,
        fallback: None,
        let_pass_by_gone: 0,
        membership_changes: 0,
        added_via_api: false,
    }
}

/// The cluster with limits 1/1, after seven requests over one connection that is still open.
pub(crate) fn httpbin() -> ClusterStatus {
    let mut cluster = cluster("outbound|8000||httpbin.default.svc.cluster.local", "127.0.0.1:28181");
    let bounds = Thresholds {
        max_connections: 1,
        max_pending_requests: 1,
        max_requests: UNLIMITED,
        max_retries: UNLIMITED,
    };
    cluster.thresholds.default = bounds;
    cluster.lb = LbPolicy::LeastRequest;
    cluster.outlier = Some(OutlierPolicy {
        consecutive_5xx: Detector { threshold: 3, enforcing_percent: 100 },
        max_ejection_percent: 100,
        ..OutlierPolicy::default()
    });
    cluster.connection.max_requests = NonZeroU32::new(1);
    cluster.connection.keepalive = Some(TcpKeepalive {
        time: Some(Duration::from_secs(7200)),
        interval: Some(Duration::from_secs(75)),
        probes: None,
    });
    cluster.rule = Some(ResourceRef {
        kind: Arc::from("DestinationRule"),
        namespace: Arc::from("default"),
        name: Arc::from("httpbin"),
    });
    let locality = Locality { region: Arc::from("r1"), zone: Arc::from("z1"), sub_zone: Arc::from("") };
    cluster.endpoints[0].locality = locality.clone();
    let host = HostStatus {
        locality,
        cx_active: 1,
        cx_total: 1,
        rq_success: 7,
        rq_total: 7,
        ..HostStatus::idle("127.0.0.1:28181".parse().unwrap())
    };
    ClusterStatus {
        cluster: Arc::new(cluster),
        limits: PerPriority {
            default: LimitView { connections: 1, ..idle(bounds) },
            high: idle(Thresholds::ENVOY),
        },
        hosts: vec![host],
        success: ByOrigin::default(),
        breaker: None,
        fallback: None,
        let_pass_by_gone: 0,
        membership_changes: 0,
        added_via_api: false,
    }
}

/// The whole proxy, with the clusters in the order in which Envoy printed them.
pub(crate) fn proxy() -> ProxyStatus {
    ProxyStatus {
        server: ServerInfo {
            version: "1.2.3",
            state: ServerState::Live,
            uptime: Duration::from_millis(6_700),
            concurrency: 2,
            drain_time: Duration::from_secs(45),
            node_id: Arc::from("n1"),
        },
        listeners: vec![ListenerStatus {
            tls: false,
            name: Arc::from("127.0.0.1_28000"),
            address: "127.0.0.1:28000".parse().unwrap(),
            accepting: true,
        }],
        clusters: vec![unused(), httpbin()],
        snapshot: Arc::new(Snapshot { version: 4, ..Snapshot::default() }),
        applied_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_400_867_643),
    }
}

/// Limits with nothing running.
pub(crate) const fn idle(thresholds: Thresholds) -> LimitView {
    LimitView { thresholds, connections: 0, pending: 0, requests: 0, retries: 0 }
}
