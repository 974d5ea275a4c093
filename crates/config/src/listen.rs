//! Where the proxy listens, and what for. Comes from flags, not from resources; [`crate::resolve`] turns it into listeners.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_snapshot::{ForwardClientCert, HttpSettings};
use fuseboard_tls::TlsVersion;

/// The sockets of a stand-alone proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenPlan {
    /// Addresses to bind; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Addresses to bind for single ports of services. On a machine that is no node of the cluster nobody can listen on a
    /// service's own address, as Istio's sidecar does.
    pub ports: Vec<PortListen>,
    /// Every connection must begin with a PROXY header.
    pub accept_proxy: bool,
    /// How long it may take to find out whether a connection carries HTTP or other bytes, where nobody said so.
    pub detection_timeout: Duration,
    /// What the requests are for.
    pub destination: Destination,
    /// Bound of the whole exchange where no `DestinationPolicy` says otherwise; `None`: off, Istio's default.
    pub timeout: Option<Duration>,
    /// Whether refusals say why in their headers.
    pub refusal_headers: bool,
    /// How long nothing may go through an upgraded connection; [`Duration::MAX`]: for ever.
    pub upgrade_idle_timeout: Duration,
    /// TLS on some of the addresses; `None`: on none.
    pub tls: Option<ListenTls>,
    /// What becomes of `x-forwarded-client-cert`.
    pub forward_client_cert: ForwardClientCert,
}

/// TLS of listeners, by the files that it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// Positions in [`ListenPlan::listen`] that have it; of [`ListenPlan::ports`] each says so itself.
    pub listeners: BTreeSet<usize>,
    /// Files of chains and of their keys; the first pair is for clients that name nobody.
    pub pairs: Vec<(PathBuf, PathBuf)>,
    /// Folders with further pairs, which come and go. Without any pair the listeners are not opened.
    pub folders: Vec<PathBuf>,
    /// File of the authorities whose certificates clients must show; `None`: they are not asked.
    pub client_ca: Option<PathBuf>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

/// An address at which a port of a service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortListen {
    /// Address to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The service, as a client of the workload's namespace names it.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// What is carried there.
    pub carries: Carries,
    /// Clients speak TLS, as [`ListenPlan::tls`] has it.
    pub tls: bool,
}

/// What the address of a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Bytes, whatever the port declares.
    Bytes,
    /// What the port declares, HTTP or bytes. Of one that declares nothing it is found out, for each connection.
    Declared,
}

/// What the requests of a listener are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Any service of the resources; `Host` says which.
    ByHost,
    /// One service, whatever `Host` says.
    Fixed {
        /// Its addresses.
        to: Vec<SocketAddr>,
        /// Its name, by which rules are found; `None`: the only host that the rules name.
        host: Option<Arc<str>>,
        /// What its addresses take, as long as no rule says otherwise.
        takes: Takes,
    },
}

/// What the addresses of one service take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takes {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, which gRPC needs.
    Http2,
    /// HTTP/1.1 or bytes, as each connection begins.
    Either,
    /// Bytes, and not HTTP.
    Bytes,
}

impl ListenPlan {
    /// Long enough for a client that speaks first and is far away.
    pub const DETECTION_TIMEOUT: Duration = Duration::from_secs(5);

    /// In plain text, without a bound of time.
    pub const fn new(listen: Vec<SocketAddr>, destination: Destination) -> Self {
        Self {
            listen,
            ports: Vec::new(),
            accept_proxy: false,
            detection_timeout: Self::DETECTION_TIMEOUT,
            destination,
            timeout: None,
            refusal_headers: true,
            upgrade_idle_timeout: HttpSettings::UPGRADE_IDLE_TIMEOUT,
            tls: None,
            forward_client_cert: ForwardClientCert::Sanitize,
        }
    }

    /// An outbound proxy that routes by `Host`.
    pub const fn outbound(listen: Vec<SocketAddr>) -> Self {
        Self::new(listen, Destination::ByHost)
    }

    /// A proxy in front of one service.
    pub const fn fixed(listen: Vec<SocketAddr>, to: Vec<SocketAddr>) -> Self {
        Self::new(listen, Destination::Fixed { to, host: None, takes: Takes::Http1 })
    }

    /// The same plan with a bound of the whole exchange.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }
}
