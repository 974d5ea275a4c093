//! A snapshot with one listener that sends everything to one cluster, from the few numbers that a test cares about.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::balance::{LbPolicy, NoneHealthy};
use fuseboard_core::limit::{Priority, Thresholds};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_snapshot::{
    Availability, Cluster, ClusterBreaker, ConnectionPolicy, Dangling, Domain, Endpoint, EndpointHealth,
    EndpointId, HttpSettings, Listener, ListenerTarget, Locality, PerPriority, Provenance, Route,
    RouteConfig, ServiceName, Snapshot, TcpProxy, UpstreamHttp, VirtualHost,
};

/// What a test says of its cluster; the rest is Istio's default.
#[derive(Clone, Debug)]
pub struct ClusterSketch {
    /// The cluster's name: another name is another cluster, without any state.
    pub name: String,
    /// Limits of priority DEFAULT.
    pub thresholds: Thresholds,
    /// `maxRequestsPerConnection`
    pub max_requests: Option<NonZeroU32>,
    /// Choice of host. Round robin unless said otherwise, so that every host gets some.
    pub lb: LbPolicy,
    /// Bound of an exchange.
    pub timeout: Option<Duration>,
    /// A breaker.
    pub breaker: Option<ClusterBreaker>,
    /// `outlierDetection`
    pub outlier: Option<OutlierPolicy>,
    /// Where its hosts are.
    pub hosts: Vec<SocketAddr>,
    /// The listener carries bytes, and not HTTP.
    pub tcp: bool,
    /// Which HTTP is spoken to its hosts; HTTP/1.1 unless said otherwise.
    pub http: UpstreamHttp,
}

impl ClusterSketch {
    /// A cluster without limits.
    pub fn new(name: impl Into<String>, hosts: &[SocketAddr]) -> Self {
        Self {
            name: name.into(),
            thresholds: Thresholds::UNLIMITED,
            max_requests: None,
            lb: LbPolicy::RoundRobin,
            timeout: None,
            breaker: None,
            outlier: None,
            hosts: hosts.to_vec(),
            tcp: false,
            http: UpstreamHttp::default(),
        }
    }

    /// The snapshot: a listener called `test` on a port of the system's choice, all hosts to this cluster.
    pub fn snapshot(&self, version: u64) -> Result<Snapshot, Dangling> {
        let listener = Listener {
            name: "test".into(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            target: if self.tcp { ListenerTarget::Tcp(TcpProxy::to(0)) } else { ListenerTarget::Routes(0) },
            accept_proxy: false,
            tls: None,
            http: HttpSettings::default(),
        };
        let route = Route {
            name: "default".into(),
            cluster: 0,
            timeout: self.timeout,
            retry: None,
            priority: Priority::Default,
        };
        let everything = VirtualHost { name: "test:80".into(), domains: vec![Domain::Any], route };
        let routes = RouteConfig { name: "test".into(), virtual_hosts: vec![everything] };
        Snapshot::new(version, vec![listener], vec![Arc::new(routes)], vec![Arc::new(self.cluster())])
    }

    fn cluster(&self) -> Cluster {
        Cluster {
            name: self.name.as_str().into(),
            stat_name: format!("{};", self.name.replace(':', "_")).into(),
            service: ServiceName {
                host: self.name.as_str().into(),
                port: 80,
                name: self.name.as_str().into(),
                namespace: "default".into(),
                subset: "".into(),
            },
            connect_timeout: Duration::from_secs(10),
            thresholds: PerPriority { default: self.thresholds, high: Thresholds::ENVOY },
            connection: ConnectionPolicy { max_requests: self.max_requests, ..ConnectionPolicy::default() },
            lb: self.lb,
            outlier: self.outlier.clone(),
            panic_threshold: 0,
            none_healthy: NoneHealthy::ByThreshold,
            max_connection_pools: None,
            breaker: self.breaker.clone(),
            fallback: None,
            max_stream_duration: None,
            queue_timeout: None,
            trust_refusals: false,
            http: self.http,
            proxy_protocol: None,
            endpoints: self.hosts.iter().map(|address| endpoint(*address)).collect(),
            tls: None,
            availability: Availability::Serving,
            rule: None,
            provenance: Provenance::default(),
        }
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        id: EndpointId::new("", address),
        address,
        weight: NonZeroU32::MIN,
        health: EndpointHealth::Healthy,
        hostname: "".into(),
        node: "".into(),
        locality: Locality::default(),
    }
}
