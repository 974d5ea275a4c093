//! Sockets that accept downstream connections, where what comes goes, and what peers on them may do.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique; the key by which a running listener is recognised in the next snapshot.
    pub name: Arc<str>,
    /// Address to bind; port 0 lets the system choose (see the proxy's handle for the chosen one).
    pub address: SocketAddr,
    /// Where its requests go.
    pub target: ListenerTarget,
    /// Bounds on what clients may do; TCP knows `max_connections` only.
    pub http: HttpSettings,
}

/// Where the traffic of a listener goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTarget {
    /// HTTP, by the routing table of this index in `Snapshot::routes`.
    Routes(usize),
    /// TCP: bytes both ways between each connection and one cluster.
    Tcp(TcpProxy),
}

/// What becomes of the connections of a TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpProxy {
    /// Index into `Snapshot::clusters`.
    pub cluster: usize,
    /// A connection is closed when nothing goes either way for this long; `None`: never. Envoy's default: 1 h.
    pub idle_timeout: Option<Duration>,
    /// A connection is closed at this age, whatever it does; `None`: no bound. Istio's `tcp.maxConnectionDuration`.
    pub max_duration: Option<Duration>,
    /// Hosts that are tried, one after the other, until one takes the connection. Envoy's default, and Istio's: 1.
    pub max_connect_attempts: NonZeroU32,
    /// Every connection must begin with a PROXY header, which says who the client is.
    pub accept_proxy: bool,
}

impl TcpProxy {
    /// To this cluster, with Istio's defaults.
    pub const fn to(cluster: usize) -> Self {
        Self {
            cluster,
            idle_timeout: Some(Duration::from_hours(1)),
            max_duration: None,
            max_connect_attempts: NonZeroU32::MIN,
            accept_proxy: false,
        }
    }
}

/// Bounds on what downstream peers may do. All time-outs are on; [`Duration::MAX`] never fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// From the first byte of a request head to its end; exceeding it answers 408.
    pub request_headers_timeout: Duration,
    /// How long a client may neither send the next part of its request's body, which is then answered 408, nor take the next
    /// part of its answer, which is then broken off. Envoy's default: 5 min; Istio turns it off (difference D29).
    pub stream_idle_timeout: Duration,
    /// A keep-alive connection without a request is closed after this long. Envoy's default: 1 h.
    pub idle_timeout: Duration,
    /// A larger head is answered 431. Envoy's default: 60 KiB.
    pub max_head_bytes: usize,
    /// More fields than this are answered 431. Envoy's default: 100.
    pub max_headers: usize,
    /// Downstream connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Refusals say why, and that nothing was sent. Off where answers leave the mesh: it concerns nobody there.
    pub refusal_headers: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            request_headers_timeout: Duration::from_secs(60),
            stream_idle_timeout: Duration::from_mins(5),
            idle_timeout: Duration::from_hours(1),
            max_head_bytes: 60 * 1024,
            max_headers: 100,
            max_connections: 50_000,
            refusal_headers: true,
        }
    }
}
