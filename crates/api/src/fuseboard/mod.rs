//! Our own resources, `fuseboard.dev/v1alpha1`: what Istio's fields cannot say. They never change what an Istio rule means.

pub mod circuit_breaker;
pub mod failures;

pub use circuit_breaker::CircuitBreaker;

use std::time::Duration;

use crate::schema::object;

object! {
    /// `DestinationPolicy`: what is written under `spec`.
    pub struct DestinationPolicy {
        /// The service, as in a `DestinationRule`; a wildcard (`"*"`) gives defaults to the services that it covers.
        host: required String = "host", Supported;
        /// Service port; absent: all ports.
        port: optional u32 = "port", Supported;
        /// Longest time for a request with all its tries; absent or 0s: no bound.
        timeout: optional Duration = "timeout", Supported;
        /// Longest wait in the pending queue; absent or 0s: no bound.
        queue_timeout: optional Duration = "queueTimeout", Supported;
    }
}
