//! What `istioctl proxy-config` shows of a proxy: the tables that it prints, and its JSON, from the pages that Envoy and
//! Fuseboard serve. Decides which lines there are, in which order, and what stands in them.

mod cluster;
mod dump;
mod endpoint;
mod listener;
mod route;
mod secret;
mod table;
mod tree;

pub use cluster::ClusterFilter;
pub use dump::{Dump, DumpError};
pub use endpoint::EndpointFilter;
pub use listener::ListenerFilter;
pub(crate) use listener::{HTTP, TCP};
pub use route::RouteFilter;
pub use tree::Tree;

/// `NAME.NAMESPACE` of the rule that istiod noted in the metadata of a cluster or a route; empty where there is none.
fn rule_of(resource: &Tree) -> String {
    let path = resource.text(&["metadata", "filter_metadata", "istio", "config"]);
    if path.is_empty() {
        return String::new();
    }
    let pieces: Vec<&str> = path.split('/').collect();
    match pieces.as_slice() {
        ["", "apis", "networking.istio.io", _, "namespaces", namespace, _, name] => {
            format!("{name}.{namespace}")
        }
        _ => "<unknown>".to_owned(),
    }
}
