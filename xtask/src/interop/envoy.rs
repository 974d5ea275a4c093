//! A real Envoy told what istiod tells it for the rule of the circuit-breaking experiment.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::envoy::{http_filter, http_options, load_assignment, socket};

/// Envoy's bootstrap: one listener, one cluster with connections 1, pending 1, one request per connection, ejection on.
pub(super) fn bootstrap(listen: SocketAddr, admin: SocketAddr, origin: SocketAddr) -> Value {
    let manager = http_filter(json!({
        "stat_prefix": "outbound",
        "stream_idle_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": "httpbin", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "httpbin", "timeout": "0s"}}]}]},
    }));
    json!({
        "admin": {"address": socket(admin)},
        "stats_flush_interval": "0.5s",
        "static_resources": {
            "listeners": [{"name": "outbound", "address": socket(listen), "filter_chains": [{"filters": [manager]}]}],
            "clusters": [cluster(origin)],
        },
    })
}

fn cluster(origin: SocketAddr) -> Value {
    json!({
        "name": "httpbin",
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 1,
            "max_requests": 4_294_967_295_u32, "max_retries": 4_294_967_295_u32, "track_remaining": true}]},
        "outlier_detection": {"consecutive_5xx": 1, "enforcing_consecutive_5xx": 100, "enforcing_success_rate": 0,
            "interval": "1s", "base_ejection_time": "180s", "max_ejection_percent": 100},
        "common_lb_config": {"healthy_panic_threshold": {}},
        "typed_extension_protocol_options": http_options(
            &json!({"max_requests_per_connection": 1}),
            &json!({"http_protocol_options": {}}),
        ),
        "load_assignment": load_assignment("httpbin", &[origin]),
    })
}
