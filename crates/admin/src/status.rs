//! What the proxy tells the admin API about itself: plain data, taken at one moment.
//!
//! The proxy fills these from its live state; the renderers of this crate and the `fuseboard` commands read them. Nothing
//! here knows how the proxy stores its state.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_core::Instant;
use fuseboard_core::breaker::{BreakerView, Mode, Override, State, Transition};
use fuseboard_core::fallback::CacheCounts;
use fuseboard_core::limit::{LimitView, Priority, UNLIMITED};
use fuseboard_core::outlier::{ByOrigin, DetectionKind, Rate, RateEvidence, SuccessBar};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Cluster, Locality, Origin, PerPriority, Snapshot};

/// Phase of the server's life; Envoy's `ServerInfo.State` and the gauge `server.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Serving.
    Live,
    /// Finishing what runs; not ready (SIGTERM, or POST /healthcheck/fail).
    Draining,
    /// Before all listeners accept.
    Initializing,
}

impl ServerState {
    /// Envoy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
            Self::Initializing => "INITIALIZING",
        }
    }

    /// Envoy's number, as in `server.state`.
    pub const fn number(self) -> u64 {
        match self {
            Self::Live => 0,
            Self::Draining => 1,
            Self::Initializing => 3,
        }
    }
}

/// The process.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// `0.1.0`
    pub version: &'static str,
    /// Phase.
    pub state: ServerState,
    /// Since start.
    pub uptime: Duration,
    /// Workers.
    pub concurrency: usize,
    /// Longest time that a drain may take.
    pub drain_time: Duration,
    /// Name of this proxy among others; empty where none was given.
    pub node_id: Arc<str>,
}

/// A bound listener.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    /// Whether its connections have TLS.
    pub tls: bool,
    /// Its name in the snapshot.
    pub name: Arc<str>,
    /// The address it is bound to, with the port that the system chose.
    pub address: SocketAddr,
    /// Whether it takes connections; not any more after `/drain_listeners`.
    pub accepting: bool,
}

/// A cluster as it runs.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// Its settings.
    pub cluster: Arc<Cluster>,
    /// Limits by priority.
    pub limits: PerPriority<LimitView>,
    /// Hosts, in the order of the snapshot.
    pub hosts: Vec<HostStatus>,
    /// What success rates were judged by at the last sweep.
    pub success: ByOrigin<Option<SuccessBar>>,
    /// Its breaker, if it has one for all calls.
    pub breaker: Option<BreakerStatus>,
    /// Its fallbacks, if it has some.
    pub fallback: Option<FallbackStatus>,
    /// What breakers of endpoints that are gone had let pass in shadow mode.
    pub let_pass_by_gone: u64,
    /// How often the set of hosts changed.
    pub membership_changes: u64,
    /// Whether a control plane sent it (Envoy's `added_via_api`); false for files.
    pub added_via_api: bool,
}

/// How the fallbacks of a cluster stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FallbackStatus {
    /// What is kept of good answers.
    pub cache: CacheCounts,
    /// Requests in each step of the chain.
    pub running: Vec<u32>,
}

impl ClusterStatus {
    /// Hosts that get traffic outside panic.
    pub fn healthy_hosts(&self) -> usize {
        self.hosts.iter().filter(|host| host.is_healthy()).count()
    }

    /// Hosts with open connections.
    pub fn pools(&self) -> u32 {
        let pools = self.hosts.iter().filter(|host| host.cx_active > 0).count();
        u32::try_from(pools).unwrap_or(u32::MAX)
    }

    /// How many hosts may have open connections at a time; [`UNLIMITED`] where nothing is said.
    pub fn max_pools(&self) -> u32 {
        self.cluster.max_connection_pools.map_or(UNLIMITED, NonZeroU32::get)
    }

    /// Hosts ejected now.
    pub fn ejected_hosts(&self) -> usize {
        self.hosts.iter().filter(|host| host.ejection.is_some()).count()
    }

    /// Hosts that only their own breakers keep out now.
    pub fn shut_hosts(&self) -> usize {
        self.hosts.iter().filter(|host| host.ejection.is_none() && host.is_shut()).count()
    }

    /// Open connections over both priorities.
    pub fn connections(&self) -> u64 {
        self.total(|limits| limits.connections)
    }

    /// Waiting requests over both priorities.
    pub fn pending(&self) -> u64 {
        self.total(|limits| limits.pending)
    }

    /// Requests in flight over both priorities.
    pub fn requests(&self) -> u64 {
        self.total(|limits| limits.requests)
    }

    fn total(&self, of: impl Fn(&LimitView) -> u32) -> u64 {
        Priority::ALL.into_iter().map(|priority| u64::from(of(self.limits.get(priority)))).sum()
    }
}

/// A host as it runs. The counts are those of Envoy's `/clusters`.
#[derive(Clone, Debug)]
pub struct HostStatus {
    /// Its address.
    pub address: SocketAddr,
    /// Name of its pod or host; empty where none is known.
    pub hostname: Arc<str>,
    /// Node it runs on; empty where unknown.
    pub node: Arc<str>,
    /// Share of traffic relative to the others.
    pub weight: u32,
    /// Where it runs.
    pub locality: Locality,
    /// The source says that it is not ready (Envoy's `failed_eds_health`).
    pub unready: bool,
    /// Set while outlier detection keeps it out.
    pub ejection: Option<EjectionStatus>,
    /// Its own breaker, where endpoints have such.
    pub breaker: Option<BreakerStatus>,
    /// How often it was ejected so far.
    pub ejections: u32,
    /// Failures in a row now, for each detector that can eject it.
    pub streaks: Vec<(DetectionKind, u32)>,
    /// Its success rates in the last interval, where a detector asks for them.
    pub success: ByOrigin<Option<Rate>>,
    /// Open connections.
    pub cx_active: u64,
    /// Connections ever opened.
    pub cx_total: u64,
    /// Connections that could not be opened.
    pub cx_connect_fail: u64,
    /// Requests in flight.
    pub rq_active: u64,
    /// 5xx, resets and local failures.
    pub rq_error: u64,
    /// Other answers.
    pub rq_success: u64,
    /// Requests whose time was up.
    pub rq_timeout: u64,
    /// Requests sent.
    pub rq_total: u64,
}

impl HostStatus {
    /// A host that nothing was sent to yet.
    pub fn idle(address: SocketAddr) -> Self {
        Self {
            address,
            hostname: Arc::from(""),
            node: Arc::from(""),
            weight: 1,
            locality: Locality::default(),
            unready: false,
            ejection: None,
            breaker: None,
            ejections: 0,
            streaks: Vec::new(),
            success: ByOrigin::default(),
            cx_active: 0,
            cx_total: 0,
            cx_connect_fail: 0,
            rq_active: 0,
            rq_error: 0,
            rq_success: 0,
            rq_timeout: 0,
            rq_total: 0,
        }
    }

    /// Whether it gets traffic outside panic.
    pub fn is_healthy(&self) -> bool {
        !self.unready && self.ejection.is_none() && !self.is_shut()
    }

    /// Whether its own breaker keeps it out.
    pub fn is_shut(&self) -> bool {
        self.breaker.as_ref().is_some_and(BreakerStatus::is_shut)
    }
}

/// An ejection in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EjectionStatus {
    /// Which in a row; the n-th lasts n times the base ejection time.
    pub number: u32,
    /// How long it has been out.
    pub since: Duration,
    /// What is left of its ejection time.
    pub remaining: Duration,
    /// Until the sweep that will return it, the first one after its ejection time.
    pub returns_in: Duration,
    /// What found it.
    pub detector: DetectionKind,
    /// What it saw, if it looks at rates.
    pub evidence: Option<RateEvidence>,
}

/// A breaker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerStatus {
    /// How it stands.
    pub view: BreakerView,
    /// The moment, by the clock of the view's own times.
    pub read_at: Instant,
}

impl BreakerStatus {
    /// Whether it is open, and its refusals are real.
    pub fn is_open(&self) -> bool {
        self.view.state == State::Open && (self.view.mode == Mode::Enforce || self.view.forced.is_some())
    }

    /// Whether it lets nobody through: open, and not the next call is a probe.
    pub fn is_shut(&self) -> bool {
        self.is_open() && self.view.open_until.is_some_and(|until| until > self.read_at)
    }
}

/// Something that happened to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRecord {
    /// When.
    pub at: SystemTime,
    /// What.
    pub event: HistoryEvent,
}

/// What can happen to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryEvent {
    /// A breaker changed.
    Breaker {
        /// The endpoint whose breaker it is; `None`: that of the whole cluster.
        endpoint: Option<SocketAddr>,
        /// What changed.
        change: Transition,
    },
    /// A host was taken out of rotation.
    Ejected {
        /// Its address.
        address: SocketAddr,
        /// What found it, in Envoy's spelling.
        detector: &'static str,
        /// How often the host was ejected so far.
        number: u32,
        /// For how long, at least.
        time: Duration,
    },
    /// A host is back.
    Returned {
        /// Its address.
        address: SocketAddr,
    },
    /// A host would have been taken out of rotation, but too many are.
    EjectionRefused {
        /// Its address.
        address: SocketAddr,
        /// What found it, in Envoy's spelling.
        detector: &'static str,
        /// Hosts that are out.
        ejected: u32,
        /// The hosts that the percentage is taken of.
        hosts: u32,
        /// `maxEjectionPercent`
        max_percent: u32,
        /// How often that happened since it was last told.
        more: u32,
    },
    /// A limit has begun to refuse.
    LimitReached {
        /// Which.
        reason: RefusalReason,
        /// Its bound, where it is a number.
        bound: Option<u32>,
    },
    /// A limit has not refused anybody for a while.
    LimitLeft {
        /// Which.
        reason: RefusalReason,
        /// How many it refused.
        refused: u64,
        /// From the first to the last of them.
        lasted: Duration,
    },
    /// Somebody holds the breaker open or closed.
    OverrideSet {
        /// The endpoint whose breaker it is; `None`: that of the whole cluster.
        endpoint: Option<SocketAddr>,
        /// How.
        order: Override,
        /// For so long.
        time: Duration,
    },
    /// Nobody does any more.
    OverrideEnded {
        /// The endpoint whose breaker it was; `None`: that of the whole cluster.
        endpoint: Option<SocketAddr>,
        /// What it was.
        order: Override,
        /// Why it ended.
        how: OverrideEnd,
    },
}

/// Why an override ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrideEnd {
    /// Its time was over.
    Expired,
    /// Somebody set the breaker back.
    Reset,
    /// Another order took its place.
    Replaced,
}

impl HistoryEvent {
    /// The stable token.
    pub const fn token(&self) -> &'static str {
        match self {
            Self::Breaker { .. } => "breaker",
            Self::Ejected { .. } => "ejected",
            Self::Returned { .. } => "returned",
            Self::EjectionRefused { .. } => "ejection_refused",
            Self::LimitReached { .. } => "limit_reached",
            Self::LimitLeft { .. } => "limit_left",
            Self::OverrideSet { .. } => "override_set",
            Self::OverrideEnded { .. } => "override_ended",
        }
    }
}

/// One answer that we gave in place of the upstream, kept in a bounded ring. Made when refusing only: requests that pass
/// pay nothing for it.
#[derive(Clone, Debug)]
pub struct RefusalRecord {
    /// When.
    pub at: SystemTime,
    /// Envoy's name of the cluster; `None` for what is refused before a route is known.
    pub cluster: Option<Arc<str>>,
    /// The listener that took the request.
    pub listener: Arc<str>,
    /// Why.
    pub reason: RefusalReason,
    /// What the caller saw; 0 where there was no answer (a retry not made, a connection not taken).
    pub status: u16,
    /// Envoy's response flag: `UO`.
    pub flag: &'static str,
    /// The limit's field as the user writes it: `http1MaxPendingRequests`; `None` where no limit was involved.
    pub setting: Option<&'static str>,
    /// The bound that was reached; `None` where no limit was involved.
    pub bound: Option<u32>,
    /// What counted against it at that moment.
    pub value: Option<u32>,
    /// Requests waiting at that moment.
    pub queue: u32,
    /// Where the bound was written; `None`: it is a default.
    pub rule: Option<Arc<Origin>>,
    /// Why the breaker had opened, in words; `None` where no breaker refused.
    pub trip: Option<Arc<str>>,
}

/// Everything that the admin pages show besides stats.
#[derive(Clone, Debug)]
pub struct ProxyStatus {
    /// The process.
    pub server: ServerInfo,
    /// Bound listeners.
    pub listeners: Vec<ListenerStatus>,
    /// Clusters, sorted by name.
    pub clusters: Vec<ClusterStatus>,
    /// What runs.
    pub snapshot: Arc<Snapshot>,
    /// When it was put into effect.
    pub applied_at: SystemTime,
}
