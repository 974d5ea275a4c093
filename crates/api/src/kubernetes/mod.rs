//! Kubernetes' resources that name services, their addresses and their certificates.

pub mod endpoint_slice;
pub mod endpoints;
pub mod meta;
pub mod pod;
pub mod secret;
pub mod service;

pub use endpoint_slice::EndpointSlice;
pub use endpoints::Endpoints;
pub use meta::ObjectMeta;
pub use pod::Pod;
pub use secret::Secret;
pub use service::Service;
