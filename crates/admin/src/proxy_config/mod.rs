//! What `istioctl proxy-config` shows of a proxy: the tables that it prints, and its JSON, from the pages that Envoy and
//! Fuseboard serve. Decides which lines there are, in which order, and what stands in them.

mod cluster;
mod dump;
mod endpoint;
mod table;
mod tree;

pub use cluster::ClusterFilter;
pub use dump::{Dump, DumpError};
pub use endpoint::EndpointFilter;
pub use tree::Tree;
