//! Sockets that accept downstream connections, where what comes goes, and what peers on them may do.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_tls::ServerPolicy;

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique; the key by which a running listener is recognised in the next snapshot.
    pub name: Arc<str>,
    /// Address to bind; port 0 lets the system choose (see the proxy's handle for the chosen one).
    pub address: SocketAddr,
    /// Where its requests go.
    pub target: ListenerTarget,
    /// Every connection must begin with a PROXY header, which says who the client is.
    pub accept_proxy: bool,
    /// TLS on its connections; `None`: plain text.
    pub tls: Option<Arc<ServerPolicy>>,
    /// Bounds on what clients may do; TCP knows `max_connections` and `handshake_timeout` only.
    pub http: HttpSettings,
}

/// Where the traffic of a listener goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTarget {
    /// HTTP, by the routing table of this index in `Snapshot::routes`.
    Routes(usize),
    /// TCP: bytes both ways between each connection and one cluster.
    Tcp(TcpProxy),
    /// HTTP or TCP, as each connection begins. Not with TLS of ours.
    Detect(Detect),
}

/// How it is found out what a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detect {
    /// For HTTP, 1 or 2: index into `Snapshot::routes`.
    pub routes: usize,
    /// For everything else, TLS of clients included.
    pub tcp: TcpProxy,
    /// A client of which this is not known by then waits for its server to speak, and is served as TCP. Istio's default is to
    /// wait for ever, for which such connections hang.
    pub patience: Duration,
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
}

impl TcpProxy {
    /// To this cluster, with Istio's defaults.
    pub const fn to(cluster: usize) -> Self {
        Self {
            cluster,
            idle_timeout: Some(Duration::from_hours(1)),
            max_duration: None,
            max_connect_attempts: NonZeroU32::MIN,
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
    /// An upgraded connection (WebSocket) through which nothing goes either way for this long is broken off. The stream's time-out is
    /// not for it: quiet is the usual state of such a connection. An hour is what Envoy gives connections that carry bytes.
    pub upgrade_idle_timeout: Duration,
    /// A larger head is answered 431. Envoy's default: 60 KiB.
    pub max_head_bytes: usize,
    /// More fields than this are answered 431. Envoy's default: 100.
    pub max_headers: usize,
    /// Downstream connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Refusals say why, and that nothing was sent. Off where answers leave the mesh: it concerns nobody there.
    pub refusal_headers: bool,
    /// From the connect to the end of the TLS handshake; exceeding it closes the connection. Istio's default: 15 s.
    pub handshake_timeout: Duration,
    /// What becomes of `x-forwarded-client-cert`.
    pub forward_client_cert: ForwardClientCert,
}

/// What becomes of the field `x-forwarded-client-cert` of requests: Envoy's `forward_client_cert_details`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardClientCert {
    /// It is removed.
    #[default]
    Sanitize,
    /// It is passed on where the client showed a certificate, else removed.
    ForwardOnly,
    /// What the client's certificate says is added to it; without a certificate it is removed.
    AppendForward,
    /// What the client's certificate says takes its place; without a certificate it is removed.
    SanitizeSet,
    /// It is passed on, whoever wrote it.
    AlwaysForwardOnly,
}

impl ForwardClientCert {
    /// All of them, in Envoy's order.
    pub const ALL: [Self; 5] =
        [Self::Sanitize, Self::ForwardOnly, Self::AppendForward, Self::SanitizeSet, Self::AlwaysForwardOnly];

    /// Envoy's word in small letters: `sanitize`, `append-forward`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sanitize => "sanitize",
            Self::ForwardOnly => "forward-only",
            Self::AppendForward => "append-forward",
            Self::SanitizeSet => "sanitize-set",
            Self::AlwaysForwardOnly => "always-forward-only",
        }
    }
}

impl HttpSettings {
    /// Unless somebody says otherwise.
    pub const UPGRADE_IDLE_TIMEOUT: Duration = Duration::from_hours(1);
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            request_headers_timeout: Duration::from_secs(60),
            stream_idle_timeout: Duration::from_mins(5),
            idle_timeout: Duration::from_hours(1),
            upgrade_idle_timeout: Self::UPGRADE_IDLE_TIMEOUT,
            max_head_bytes: 60 * 1024,
            max_headers: 100,
            max_connections: 50_000,
            refusal_headers: true,
            handshake_timeout: Duration::from_secs(15),
            forward_client_cert: ForwardClientCert::Sanitize,
        }
    }
}
