//! Our own resources, `fuseboard.dev/v1alpha1`: what Istio's fields cannot say. They never change what an Istio rule means.

pub mod circuit_breaker;
pub mod destination_policy;
pub mod failures;
pub mod fallback;

pub use circuit_breaker::CircuitBreaker;
pub use destination_policy::DestinationPolicy;
pub use fallback::Fallback;
