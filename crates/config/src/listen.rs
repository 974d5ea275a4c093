//! Where the proxy listens, and what for. Comes from flags, not from resources; [`crate::resolve`] turns it into listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The sockets of a stand-alone proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenPlan {
    /// Addresses to bind; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// What the requests are for.
    pub destination: Destination,
    /// Bound of the whole exchange where no `DestinationPolicy` says otherwise; `None`: off, Istio's default.
    pub timeout: Option<Duration>,
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
    },
}

impl ListenPlan {
    /// An outbound proxy that routes by `Host`.
    pub const fn outbound(listen: Vec<SocketAddr>) -> Self {
        Self { listen, destination: Destination::ByHost, timeout: None }
    }

    /// A proxy in front of one service.
    pub const fn fixed(listen: Vec<SocketAddr>, to: Vec<SocketAddr>) -> Self {
        Self { listen, destination: Destination::Fixed { to, host: None }, timeout: None }
    }

    /// The same plan with a bound of the whole exchange.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }
}
