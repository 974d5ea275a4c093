//! What the proxy runs now: clusters and hosts that survive snapshots, and the view that one snapshot gives of them.
//! Everything is keyed by identity, so that a new snapshot changes limits in place and forgets no ejection (difference D7).

mod cluster;
mod history;
mod host;
mod pace;
mod refusing;
mod registry;
mod routing;
mod tier;

pub use cluster::{ClusterView, LiveCluster};
pub use host::Host;
pub use registry::LiveSnapshot;

pub(crate) use cluster::Breakers;
pub(crate) use registry::Registry;
pub(crate) use routing::RouteRef;
pub(crate) use tier::Tier;
