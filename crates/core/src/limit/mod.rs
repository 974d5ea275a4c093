//! Envoy's resource limits of one cluster and priority, made exact: connections, waiting requests, requests, retries.
//!
//! Requests are limited by *slots*: the right to have one request on one connection ([`Kind::Connection`], HTTP/1.1), or one
//! stream ([`Kind::Stream`], HTTP/2). Slots in use never exceed min(`max_connections`, `max_requests`), or for streams
//! min(`max_connections` * streams per connection, `max_requests`), and waiters never exceed `max_pending_requests`. Connections
//! follow: whoever holds a slot gets one from [`crate::pool`], under a count of its own that never exceeds `max_connections`.
//!
//! - [`manager`](ResourceManager): the four questions (run? now or never? retry? connect?) and changes in place
//! - `turnstile`: one word, one queue, exact at any number of workers; `word` and `queue` are its parts, and `both` is its
//!   word while requests of both kinds are here
//! - `cell`: one worker's own count where there is no limit
//! - `episode`: when a limit begins to refuse, and when it has stopped
//! - `admission`, `permit`, `view`: the answers, what is held, what gauges read

mod admission;
mod both;
mod cell;
mod episode;
mod manager;
mod permit;
mod pools;
mod queue;
pub(crate) mod turnstile;
mod view;
mod word;

pub use admission::{Admission, Refused};
pub(crate) use admission::{CxGrant, CxWant, MaxConnections, Room};
pub use episode::{Episodes, Lull};
pub use manager::ResourceManager;
pub use permit::{CxPermit, Dismissed, RetryPermit, Slot, Waiter};
pub use pools::{HostConnections, HostCx, PoolLimit, PoolsFull};
pub(crate) use queue::Key;
pub use view::LimitView;

/// One of the proxy's workers, numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

/// What one request takes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All of it: HTTP/1.1, TCP, upgrades of HTTP/1.1.
    Connection,
    /// One stream of it: HTTP/2.
    Stream,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Connection, Self::Stream];

    const fn index(self) -> usize {
        match self {
            Self::Connection => 0,
            Self::Stream => 1,
        }
    }
}

/// "No limit" of streams on one connection, as HTTP/2 numbers them. Envoy's default of `max_concurrent_streams`.
pub const MAX_STREAMS: u32 = i32::MAX.cast_unsigned();

/// "No limit", as Istio writes it: 2^32-1.
pub const UNLIMITED: u32 = u32::MAX;

/// Envoy's routing priority. Istio's routes always use [`Priority::Default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// `default` in stat names.
    #[default]
    Default,
    /// `high` in stat names.
    High,
}

impl Priority {
    /// Both priorities, in Envoy's order.
    pub const ALL: [Self; 2] = [Self::Default, Self::High];
}

/// The numbers of one `circuit_breakers.thresholds` entry; [`UNLIMITED`] where nothing is set.
///
/// Units: connections, requests. Source: Envoy's `CircuitBreakers.Thresholds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// N: connections of the cluster, connecting, busy, idle and closing together. Istio's `tcp.maxConnections`.
    pub max_connections: u32,
    /// P: requests that wait because no connection may be opened. Istio's `http.http1MaxPendingRequests`.
    pub max_pending_requests: u32,
    /// R: requests in flight. Istio's `http.http2MaxRequests` (it acts on HTTP/1.1 too).
    pub max_requests: u32,
    /// Retries in flight. Istio's `http.maxRetries`.
    pub max_retries: u32,
}

impl Thresholds {
    /// What Istio writes when a rule sets nothing.
    pub const UNLIMITED: Self = Self {
        max_connections: UNLIMITED,
        max_pending_requests: UNLIMITED,
        max_requests: UNLIMITED,
        max_retries: UNLIMITED,
    };
    /// Envoy's own defaults; under Istio the HIGH priority keeps them.
    pub const ENVOY: Self =
        Self { max_connections: 1024, max_pending_requests: 1024, max_requests: 1024, max_retries: 3 };
}
