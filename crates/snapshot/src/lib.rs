//! What one proxy runs: listeners, routes, clusters, endpoints; complete, valid, with provenance.
//!
//! A [`Snapshot`] is the seam of the product: files, our control plane or istiod make one, the proxy runs it, the simulator
//! takes it. Nothing in it refers to something outside it, and no `Option` means "some default": where `None` occurs it
//! means "off", and says so.

mod breaker;
mod cluster;
mod failures;
mod fallback;
mod listener;
mod provenance;
mod route;

pub use breaker::{BreakerScope, BreakerSetting, ClusterBreaker};
pub use cluster::{
    Availability, Cluster, ConnectionPolicy, Endpoint, EndpointHealth, EndpointId, Http2Ping, Locality,
    PerPriority, ServiceName, TcpKeepalive, UpstreamHttp, UpstreamVersion,
};
pub use failures::ClassifierSetting;
pub use fallback::{ClusterFallback, FallbackSetting, WrittenStep};
pub use fuseboard_tls::{Certificate, ClientPolicy, ServerPolicy};
pub use listener::{Detect, ForwardClientCert, HttpSettings, Listener, ListenerTarget, TcpProxy};
pub use provenance::{Location, Origin, Provenance, ResourceRef, Setting};
pub use route::{Domain, Route, RouteConfig, VirtualHost};

use std::fmt;
use std::sync::Arc;

/// Everything one proxy runs at a time. Indices into `clusters` and `routes` are valid by construction
/// (see [`Snapshot::new`]).
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with each snapshot of a source; shown as Envoy's `version_info`.
    pub version: u64,
    /// Sockets to listen on.
    pub listeners: Vec<Listener>,
    /// Routing tables, named by listeners.
    pub routes: Vec<Arc<RouteConfig>>,
    /// Upstream groups, sorted by name.
    pub clusters: Vec<Arc<Cluster>>,
}

/// A reference inside a [`Snapshot`] that leads nowhere; a bug of whoever built it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dangling {
    /// A listener names a routing table that does not exist.
    RouteConfig {
        /// The listener's name.
        listener: Arc<str>,
    },
    /// A listener names a cluster that does not exist.
    ListenerCluster {
        /// The listener's name.
        listener: Arc<str>,
    },
    /// A route names a cluster that does not exist.
    Cluster {
        /// The virtual host's name.
        virtual_host: Arc<str>,
    },
    /// A step of a fallback names a cluster that does not exist.
    Fallback {
        /// The name of the cluster whose fallback it is.
        cluster: Arc<str>,
    },
}

impl fmt::Display for Dangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RouteConfig { listener } => {
                write!(f, "listener {listener} names a routing table that does not exist")
            }
            Self::ListenerCluster { listener } => {
                write!(f, "listener {listener} leads to a cluster that does not exist")
            }
            Self::Cluster { virtual_host } => {
                write!(f, "{virtual_host} leads to a cluster that does not exist")
            }
            Self::Fallback { cluster } => {
                write!(f, "the fallback of {cluster} leads to a cluster that does not exist")
            }
        }
    }
}

impl std::error::Error for Dangling {}

impl Snapshot {
    /// A snapshot whose references all lead somewhere.
    pub fn new(
        version: u64,
        listeners: Vec<Listener>,
        routes: Vec<Arc<RouteConfig>>,
        clusters: Vec<Arc<Cluster>>,
    ) -> Result<Self, Dangling> {
        for listener in &listeners {
            match listener.target {
                ListenerTarget::Routes(index) if index >= routes.len() => {
                    return Err(Dangling::RouteConfig { listener: listener.name.clone() });
                }
                ListenerTarget::Tcp(tcp) if tcp.cluster >= clusters.len() => {
                    return Err(Dangling::ListenerCluster { listener: listener.name.clone() });
                }
                ListenerTarget::Detect(detect) if detect.routes >= routes.len() => {
                    return Err(Dangling::RouteConfig { listener: listener.name.clone() });
                }
                ListenerTarget::Detect(detect) if detect.tcp.cluster >= clusters.len() => {
                    return Err(Dangling::ListenerCluster { listener: listener.name.clone() });
                }
                ListenerTarget::Routes(_) | ListenerTarget::Tcp(_) | ListenerTarget::Detect(_) => {}
            }
        }
        for host in routes.iter().flat_map(|table| &table.virtual_hosts) {
            if host.route.cluster >= clusters.len() {
                return Err(Dangling::Cluster { virtual_host: host.name.clone() });
            }
        }
        for cluster in &clusters {
            let mut targets = cluster.fallback.iter().flat_map(|fallback| fallback.policy.targets());
            if targets.any(|target| target >= clusters.len()) {
                return Err(Dangling::Fallback { cluster: cluster.name.clone() });
            }
        }
        Ok(Self { version, listeners, routes, clusters })
    }
}
