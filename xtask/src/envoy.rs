//! The parts of a real Envoy's configuration that are the same whatever it is measured or compared for.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// Where the types of Envoy's extensions are.
pub(crate) const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";

/// An address as Envoy writes it.
pub(crate) fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// The filter of a listener that serves HTTP and routes it, with these settings of its connection manager.
pub(crate) fn http_filter(mut settings: Value) -> Value {
    settings["@type"] =
        format!("{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager").into();
    settings["http_filters"] = json!([{"name": "envoy.filters.http.router", "typed_config": {
        "@type": format!("{EXTENSIONS}.filters.http.router.v3.Router")}}]);
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": settings})
}

/// Which hosts a cluster has, for its field `load_assignment`.
pub(crate) fn load_assignment(cluster: &str, hosts: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> =
        hosts.iter().map(|host| json!({"endpoint": {"address": socket(*host)}})).collect();
    json!({"cluster_name": cluster, "endpoints": [{"lb_endpoints": endpoints}]})
}

/// How a cluster speaks HTTP, for its field `typed_extension_protocol_options`: what both versions have in common, and the
/// options of one.
pub(crate) fn http_options(common: &Value, version: &Value) -> Value {
    json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": format!("{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"),
        "common_http_protocol_options": common,
        "explicit_http_config": version,
    }})
}
