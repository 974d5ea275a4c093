//! Which host gets the next request.
//!
//! A [`HostSet`] is what may be chosen from, shared and unchanging; a [`Balancer`] is one worker's view of it and its place in
//! the rotation; a [`HostLoad`] is what all workers know of one host's load. Ejecting hosts is `outlier`'s, connecting to them the pool's.

mod balancer;
mod host_set;
mod load;
mod none_healthy;
mod schedule;
mod willing;

pub use balancer::{Balancer, Outlook, Pick};
pub use host_set::{HostEntry, HostSet};
pub use load::{ActiveGuard, HostLoad};
pub use none_healthy::{NoneHealthy, NoneHealthyPolicy, Recipients};
pub use willing::Taken;

/// Istio's `loadBalancer.simple`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LbPolicy {
    /// Hosts of equal weight: the less loaded of two random ones. Else a schedule by weight / (load + 1). Istio's default.
    #[default]
    LeastRequest,
    /// One after the other, more often those of higher weight.
    RoundRobin,
    /// Any available host with the same chance. As in Envoy, weights don't count.
    Random,
}
