//! What the caller chooses when a proxy starts; nothing here changes while it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_admin::AdminAddress;
use fuseboard_admin::logging::LogControl;

use crate::inherited::Inherited;

/// How one proxy runs. What it proxies is the snapshot's business.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Worker threads; 0 means one for each processor.
    pub concurrency: usize,
    /// Where the admin server listens, a loopback address or a unix socket; `None`: there is none.
    pub admin: Option<AdminAddress>,
    /// Where Prometheus asks, from other machines too: `/stats/prometheus` and `/ready`; `None`: nowhere but at the admin server.
    pub metrics: Option<SocketAddr>,
    /// How long running exchanges may go on after [`crate::Proxy::drain`]. Envoy's default under Istio: 45 s.
    pub drain_time: Duration,
    /// Connections of clients at a time, over all listeners; further ones are closed at once. `None`: as descriptors allow, half of them,
    /// at most 100,000.
    pub max_connections: Option<usize>,
    /// `None`: no access log, as in Istio's default.
    pub access_log: Option<AccessLog>,
    /// The log that the proxy's events go to, so that the admin server can change its levels; `None`: it says that there is none.
    pub log: Option<Arc<dyn LogControl>>,
    /// Where ejections are logged, a line of JSON for each; `None`: nowhere.
    pub outlier_log: Option<LogSink>,
    /// Seed of every random choice: balancing, back-off, request ids.
    pub seed: u64,
    /// One listening socket per worker (`SO_REUSEPORT`) in place of one acceptor (difference D22).
    pub reuse_port: bool,
    /// Sockets that the process before this one listens on; `None`: there was none. With them, nothing is accepted before
    /// [`crate::Proxy::begin`].
    pub inherited: Option<Arc<Inherited>>,
    /// Name of this proxy among others, shown by the admin pages; empty where none was given.
    pub node_id: Arc<str>,
    /// Whom it works for, as Istio's metrics tell.
    pub source: Source,
}

/// The caller's side: what a pod tells Istio of itself. Empty: unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Labels; `app`, `version` and those of the canonical service are looked at.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            concurrency: 0,
            admin: None,
            metrics: None,
            drain_time: Duration::from_secs(45),
            max_connections: None,
            access_log: None,
            log: None,
            outlier_log: None,
            seed: 0,
            reuse_port: false,
            inherited: None,
            node_id: Arc::from(""),
            source: Source::default(),
        }
    }
}

impl ProxyOptions {
    /// Worker threads to start: `concurrency`, or the number of processors.
    pub(crate) fn workers(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = if self.concurrency == 0 { processors() } else { self.concurrency };
        wanted.min(usize::from(u16::MAX))
    }
}

/// One line per exchange, written within 200 ms. 32 MiB wait for a slow sink; beyond that lines are dropped and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// How a line looks.
    pub format: AccessLogFormat,
    /// Where lines go.
    pub sink: LogSink,
}

/// How an access log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Istio's text format, with the refusal reason as a last field.
    #[default]
    Text,
    /// Istio's JSON keys, and `refusal_reason`.
    Json,
}

/// Where the lines of a log go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogSink {
    /// `/dev/stdout`
    #[default]
    Stdout,
    /// `/dev/stderr`
    Stderr,
    /// Appended to a file, which is created where missing.
    File(PathBuf),
}
