//! From `Host` to cluster.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_core::retry::RetryPolicy;

/// A routing table: virtual hosts, each owning domains that no other one owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// Envoy's `route_config` name: the port for outbound HTTP in Istio, ours for stand-alone listeners.
    pub name: Arc<str>,
    /// Hosts by domain.
    pub virtual_hosts: Vec<VirtualHost>,
}

/// The requests of some authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    /// `host:port` of the service.
    pub name: Arc<str>,
    /// Which `Host` values (lower case) belong here.
    pub domains: Vec<Domain>,
    /// Where they go.
    pub route: Route,
}

/// One pattern for the `Host` of a request, compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// This value exactly, port included where one is written.
    Exact(Arc<str>),
    /// Any value that ends so (`*.example.com` is `.example.com`).
    Suffix(Arc<str>),
    /// Every value.
    Any,
}

/// What happens to a matching request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Istio's route name, `default` where none is written; appears in the access log.
    pub name: Arc<str>,
    /// Index into `Snapshot::clusters`.
    pub cluster: usize,
    /// Whole exchange, retries and back-off included, from the end of the request; `None`: off (Istio's default).
    pub timeout: Option<Duration>,
    /// `None`: nothing is retried.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Which of the cluster's thresholds count.
    pub priority: Priority,
}
