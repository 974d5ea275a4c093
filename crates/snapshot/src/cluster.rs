//! Upstream groups and the addresses in them.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::balance::{LbPolicy, NoneHealthy};
use fuseboard_core::limit::{Priority, Thresholds};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::tcp::ProxyVersion;
use fuseboard_tls::ClientPolicy;

use crate::breaker::ClusterBreaker;
use crate::fallback::ClusterFallback;
use crate::provenance::{Provenance, ResourceRef};

/// One Envoy cluster: `outbound|<port>|<subset>|<host>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Envoy's name; the identity under which live state (limits, ejections, counters) survives a new snapshot.
    pub name: Arc<str>,
    /// Name inside stats: `name` with `:` replaced by `_`, plus Istio's delimiter `;`.
    pub stat_name: Arc<str>,
    /// The service it is made from.
    pub service: ServiceName,
    /// Bound of the TCP connect. Istio's default: 10 s.
    pub connect_timeout: Duration,
    /// Limits by priority.
    pub thresholds: PerPriority<Thresholds>,
    /// To how many hosts connections may be open at a time; `None`: no bound. Ours, from `DestinationPolicy`.
    pub max_connection_pools: Option<NonZeroU32>,
    /// Life of an upstream connection.
    pub connection: ConnectionPolicy,
    /// Which HTTP is spoken to its hosts.
    pub http: UpstreamHttp,
    /// Choice of host.
    pub lb: LbPolicy,
    /// `None`: no outlier detection, and none of its stats.
    pub outlier: Option<OutlierPolicy>,
    /// Envoy's `healthy_panic_threshold` in percent; 0: never send to hosts that are not healthy.
    pub panic_threshold: u32,
    /// What is done while nobody, or a smaller percentage than that, is healthy. Ours, from `DestinationPolicy`.
    pub none_healthy: NoneHealthy,
    /// `None`: no breaker, and none of its stats. Ours, from `CircuitBreaker`.
    pub breaker: Option<ClusterBreaker>,
    /// `None`: a failure is answered as it is. Ours, from `Fallback`.
    pub fallback: Option<Arc<ClusterFallback>>,
    /// Longest time from a request's head to the end of its answer (Envoy's `max_stream_duration`, for the whole exchange); `None`: no
    /// bound. Ours, from `DestinationPolicy`.
    pub max_stream_duration: Option<Duration>,
    /// Longest wait in the pending queue; `None`: no bound (Envoy's behaviour). Ours, from `DestinationPolicy`.
    pub queue_timeout: Option<Duration>,
    /// The hosts are Fuseboards: when they say that they have not processed a request, it counts against nobody and goes to another
    /// host. Ours, from `DestinationPolicy`.
    pub trust_refusals: bool,
    /// The PROXY header that TCP connections to it begin with; `None`: none. HTTP connections, which clients share, have none.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Addresses, in the order of the source.
    pub endpoints: Vec<Endpoint>,
    /// TLS towards its hosts; `None`: plain text.
    pub tls: Option<Arc<ClientPolicy>>,
    /// Whether it may be used at all.
    pub availability: Availability,
    /// The `DestinationRule` in force; `None`: Istio's defaults.
    pub rule: Option<ResourceRef>,
    /// Where each setting was written; settings at their default are absent.
    pub provenance: Provenance,
}

/// Kubernetes or `ServiceEntry` name behind a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Fully qualified host: `httpbin.default.svc.cluster.local`.
    pub host: Arc<str>,
    /// Service port.
    pub port: u16,
    /// `httpbin`; the host itself for names outside Kubernetes.
    pub name: Arc<str>,
    /// `default`; the namespace of the `ServiceEntry` for names outside Kubernetes.
    pub namespace: Arc<str>,
    /// Subset; empty for the default cluster.
    pub subset: Arc<str>,
}

/// One value for each of Envoy's routing priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerPriority<T> {
    /// Priority DEFAULT.
    pub default: T,
    /// Priority HIGH.
    pub high: T,
}

impl<T> PerPriority<T> {
    /// The value for `priority`.
    pub const fn get(&self, priority: Priority) -> &T {
        match priority {
            Priority::Default => &self.default,
            Priority::High => &self.high,
        }
    }
}

/// How long upstream connections live and how they are kept alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPolicy {
    /// Requests after which a connection is closed; `None`: no bound. Istio's `http.maxRequestsPerConnection`.
    pub max_requests: Option<NonZeroU32>,
    /// An unused connection is closed after this long; `None`: never. Istio's default: 1 h.
    pub idle_timeout: Option<Duration>,
    /// Age after which a connection is closed as soon as it is idle; `None`: no bound.
    pub max_duration: Option<Duration>,
    /// `SO_KEEPALIVE`; `None`: off.
    pub keepalive: Option<TcpKeepalive>,
}

impl Default for ConnectionPolicy {
    fn default() -> Self {
        Self {
            max_requests: None,
            idle_timeout: Some(Duration::from_hours(1)),
            max_duration: None,
            keepalive: None,
        }
    }
}

/// Which HTTP is spoken to the hosts of a cluster, and the bounds of HTTP/2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamHttp {
    /// The version.
    pub version: UpstreamVersion,
    /// Streams that one connection may carry at a time, if the host does not offer less; `None`: Envoy's default, 1024. Istio's
    /// `http.maxConcurrentStreams`. Without a meaning for HTTP/1.1.
    pub max_concurrent_streams: Option<NonZeroU32>,
    /// PING frames on HTTP/2 connections; `None`: none. Istio's `http.http2KeepAlive`.
    pub ping: Option<Http2Ping>,
}

impl UpstreamHttp {
    /// Envoy's own bound of streams on one connection.
    pub const DEFAULT_STREAMS: u32 = 1024;

    /// Requests that one connection of HTTP/2 carries at a time, unless the host offers less; `in_all`: those of its whole life.
    pub fn streams(self, in_all: Option<NonZeroU32>) -> u32 {
        let at_a_time = self.max_concurrent_streams.map_or(Self::DEFAULT_STREAMS, NonZeroU32::get);
        in_all.map_or(at_a_time, |in_all| in_all.get().min(at_a_time))
    }

    /// Requests that one connection carries at a time. Where the client decides, over HTTP/1.1.
    pub fn at_a_time(self, in_all: Option<NonZeroU32>) -> u32 {
        match self.version {
            UpstreamVersion::Http2 => self.streams(in_all),
            UpstreamVersion::Http1 | UpstreamVersion::Client => 1,
        }
    }
}

/// The version of HTTP that is spoken to the hosts of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: with TLS as ALPN agrees, in plain text by prior knowledge.
    Http2,
    /// What the client speaks: Envoy's `use_downstream_protocol_config`, Istio's `useClientProtocol`.
    Client,
}

/// HTTP/2's own keep-alive: Envoy's `connection_keepalive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Ping {
    /// Time between two PING frames.
    pub interval: Duration,
    /// The connection is closed when a PING stays unanswered for this long.
    pub timeout: Duration,
}

/// TCP keep-alive probes; `None` leaves the system's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes before the connection is dead.
    pub probes: Option<u32>,
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Identity that live state is keyed by.
    pub id: EndpointId,
    /// Where to connect.
    pub address: SocketAddr,
    /// Share of traffic relative to the others.
    pub weight: NonZeroU32,
    /// What the source says of it.
    pub health: EndpointHealth,
    /// Name of the pod or host, shown by `/clusters`; empty where none is known.
    pub hostname: Arc<str>,
    /// Node it runs on; empty where unknown.
    pub node: Arc<str>,
    /// Where it runs.
    pub locality: Locality,
}

/// Identity of an endpoint: the pod's UID (else its name) where one is known, with the address. A new pod on an old address is a new host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(Arc<str>);

impl EndpointId {
    /// From what tells a pod from others (empty where unknown) and the address.
    pub fn new(pod: &str, address: SocketAddr) -> Self {
        Self(if pod.is_empty() { address.to_string().into() } else { format!("{pod}@{address}").into() })
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Health of an endpoint as its source tells it (EDS health, `conditions.ready`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointHealth {
    /// Gets traffic.
    #[default]
    Healthy,
    /// Gets traffic only in panic.
    Unhealthy,
}

/// Region, zone and sub-zone; empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locality {
    /// `topology.kubernetes.io/region`
    pub region: Arc<str>,
    /// `topology.kubernetes.io/zone`
    pub zone: Arc<str>,
    /// `topology.istio.io/subzone`
    pub sub_zone: Arc<str>,
}

/// Whether a cluster may serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// It serves.
    #[default]
    Serving,
    /// Its rule asks for something that would be unsafe to ignore; each request is answered 503 with this reason.
    Withheld(RefusalReason),
}
