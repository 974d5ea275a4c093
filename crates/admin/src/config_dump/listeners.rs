//! Listeners in the shape of Envoy's `Listener` message: what their connections carry, and where that goes.

use std::net::SocketAddr;
use std::time::Duration;

use fuseboard_snapshot::{
    Detect, ForwardClientCert, Listener, ListenerTarget, ServerPolicy, Snapshot, TcpProxy,
};

use super::proto_duration;
use super::secrets;
use crate::proxy_config::{HTTP, TCP, Tree};

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const HTTP_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const TLS: &str = "envoy.transport_sockets.tls";
const TLS_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/// A listener that is bound to `address`.
pub(super) fn tree(listener: &Listener, address: SocketAddr, snapshot: &Snapshot) -> Tree {
    let ip = Tree::of([
        ("address", Tree::from(address.ip().to_string())),
        ("port_value", Tree::from(u64::from(address.port()))),
    ]);
    let mut fields = vec![
        ("@type", Tree::from(LISTENER)),
        ("name", Tree::from(&*listener.name)),
        ("address", Tree::of([("socket_address", ip)])),
    ];
    let chain = |matched: Option<Tree>, filter: Tree| {
        let matched = matched.map(|matched| ("filter_chain_match", matched));
        let tls = listener.tls.as_ref().map(|policy| ("transport_socket", socket(policy, listener)));
        Tree::of(matched.into_iter().chain([("filters", Tree::List(vec![filter]))]).chain(tls))
    };
    let http = |routes: usize| http(listener, address, &snapshot.routes[routes].name);
    let mut filters = Vec::new();
    if listener.accept_proxy {
        filters.push("envoy.filters.listener.proxy_protocol");
    }
    match listener.target {
        ListenerTarget::Routes(routes) => {
            fields.push(("filter_chains", Tree::List(vec![chain(None, http(routes))])));
        }
        ListenerTarget::Tcp(proxy) => {
            fields.push(("filter_chains", Tree::List(vec![chain(None, tcp(proxy, snapshot))])));
        }
        ListenerTarget::Detect(Detect { routes, tcp: proxy, patience }) => {
            let protocols = ["http/1.1", "h2c"].map(Tree::from).to_vec();
            let plain = Tree::of([
                ("transport_protocol", Tree::from("raw_buffer")),
                ("application_protocols", Tree::List(protocols)),
            ]);
            fields.push(("filter_chains", Tree::List(vec![chain(Some(plain), http(routes))])));
            fields.push(("default_filter_chain", chain(None, tcp(proxy, snapshot))));
            filters.extend(["envoy.filters.listener.tls_inspector", "envoy.filters.listener.http_inspector"]);
            fields.push(("listener_filters_timeout", Tree::from(proto_duration(patience))));
            fields.push(("continue_on_listener_filters_timeout", Tree::Bool(true)));
        }
    }
    if !filters.is_empty() {
        let filters = filters.into_iter().map(|name| Tree::of([("name", Tree::from(name))]));
        fields.push(("listener_filters", Tree::List(filters.collect())));
    }
    fields.push(("traffic_direction", Tree::from("OUTBOUND")));
    Tree::of(fields)
}

/// One network filter with its settings.
fn filter(name: &str, kind: &str, settings: impl IntoIterator<Item = (&'static str, Tree)>) -> Tree {
    let settings = [("@type", Tree::from(kind))].into_iter().chain(settings);
    Tree::of([("name", Tree::from(name)), ("typed_config", Tree::of(settings))])
}

/// A time-out that may be none.
fn bound(name: &'static str, time: Duration) -> Option<(&'static str, Tree)> {
    (time < Duration::MAX).then(|| (name, Tree::from(proto_duration(time))))
}

fn http(listener: &Listener, address: SocketAddr, routes: &str) -> Tree {
    let http = &listener.http;
    let options = bound("idle_timeout", http.idle_timeout)
        .into_iter()
        .chain([("max_headers_count", Tree::from(http.max_headers as u64))]);
    let details = match http.forward_client_cert {
        ForwardClientCert::Sanitize => "SANITIZE",
        ForwardClientCert::ForwardOnly => "FORWARD_ONLY",
        ForwardClientCert::AppendForward => "APPEND_FORWARD",
        ForwardClientCert::SanitizeSet => "SANITIZE_SET",
        ForwardClientCert::AlwaysForwardOnly => "ALWAYS_FORWARD_ONLY",
    };
    let prefix = format!("outbound_{}", address.to_string().replace(':', "_"));
    let settings = [
        ("stat_prefix", Tree::from(prefix)),
        ("rds", Tree::of([("route_config_name", Tree::from(routes))])),
        ("common_http_protocol_options", Tree::of(options)),
    ];
    let bounds = [
        bound("stream_idle_timeout", http.stream_idle_timeout),
        bound("request_headers_timeout", http.request_headers_timeout),
        Some(("max_request_headers_kb", Tree::from((http.max_head_bytes / 1024) as u64))),
        Some(("forward_client_cert_details", Tree::from(details))),
    ];
    filter(HTTP, HTTP_TYPE, settings.into_iter().chain(bounds.into_iter().flatten()))
}

fn tcp(proxy: TcpProxy, snapshot: &Snapshot) -> Tree {
    let cluster = &snapshot.clusters[proxy.cluster];
    let settings = [
        ("stat_prefix", Tree::from(&*cluster.name)),
        ("cluster", Tree::from(&*cluster.name)),
        ("max_connect_attempts", Tree::from(u64::from(proxy.max_connect_attempts.get()))),
    ];
    let bounds = [
        proxy.idle_timeout.and_then(|time| bound("idle_timeout", time)),
        proxy.max_duration.and_then(|time| bound("max_downstream_connection_duration", time)),
    ];
    filter(TCP, TCP_TYPE, settings.into_iter().chain(bounds.into_iter().flatten()))
}

fn socket(policy: &ServerPolicy, listener: &Listener) -> Tree {
    let named = |name: String| Tree::of([("name", Tree::from(name))]);
    let own = policy.credentials.iter().map(|own| named(secrets::chain_name(own.source())));
    let mut common = Vec::new();
    if !matches!(listener.target, ListenerTarget::Tcp(_)) {
        common.push(("alpn_protocols", Tree::List(["h2", "http/1.1"].map(Tree::from).to_vec())));
    }
    common.push(("tls_certificate_sds_secret_configs", Tree::List(own.collect())));
    if let Some(trust) = &policy.clients {
        let name = named(secrets::root_name(trust.authorities.source()));
        common.push(("validation_context_sds_secret_config", name));
    }
    let settings = [
        ("@type", Tree::from(TLS_TYPE)),
        ("common_tls_context", Tree::of(common)),
        ("require_client_certificate", Tree::Bool(policy.clients.is_some())),
    ];
    Tree::of([("name", Tree::from(TLS)), ("typed_config", Tree::of(settings))])
}
