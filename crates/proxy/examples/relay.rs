//! The proxy alone, for measurements: listens on the first address, sends to the others, with limits, ejection and stats on.
//!
//! `cargo run --release -p fuseboard-proxy --example relay -- 127.0.0.1:9000 127.0.0.1:8080`

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use fuseboard_core::balance::LbPolicy;
use fuseboard_core::limit::{Priority, Thresholds};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::retry::RetryPolicy;
use fuseboard_proxy::ProxyOptions;
use fuseboard_snapshot::{
    Availability, Cluster, ConnectionPolicy, Domain, Endpoint, EndpointHealth, EndpointId, HttpSettings,
    Listener, ListenerTarget, Locality, PerPriority, Provenance, Route, RouteConfig, ServiceName, Snapshot,
    VirtualHost,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args().skip(1).map(|text| text.parse::<SocketAddr>());
    let listen = addresses.next().ok_or("no address to listen on")??;
    let hosts = addresses.collect::<Result<Vec<_>, _>>()?;
    let limit = std::env::var("LIMIT").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let concurrency = std::env::var("WORKERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let options = ProxyOptions { concurrency, ..ProxyOptions::default() };
    let proxy = fuseboard_proxy::start(options, Arc::new(snapshot(listen, &hosts, limit)?))?;
    proxy.join();
    Ok(())
}

fn snapshot(listen: SocketAddr, hosts: &[SocketAddr], limit: u32) -> Result<Snapshot, String> {
    let thresholds =
        Thresholds { max_connections: limit, max_pending_requests: limit, ..Thresholds::UNLIMITED };
    let endpoint = |address: &SocketAddr| Endpoint {
        id: EndpointId::new("", *address),
        address: *address,
        weight: NonZeroU32::MIN,
        health: EndpointHealth::Healthy,
        hostname: "".into(),
        locality: Locality::default(),
    };
    let cluster = Cluster {
        name: "outbound|80||origin".into(),
        stat_name: "outbound|80||origin;".into(),
        service: ServiceName {
            host: "origin".into(),
            port: 80,
            name: "origin".into(),
            namespace: "default".into(),
            subset: "".into(),
        },
        connect_timeout: std::time::Duration::from_secs(10),
        thresholds: PerPriority { default: thresholds, high: Thresholds::ENVOY },
        connection: ConnectionPolicy::default(),
        lb: LbPolicy::LeastRequest,
        outlier: Some(OutlierPolicy::default()),
        panic_threshold: 0,
        queue_timeout: None,
        endpoints: hosts.iter().map(endpoint).collect(),
        availability: Availability::Serving,
        rule: None,
        provenance: Provenance::default(),
    };
    let route = Route {
        name: "default".into(),
        cluster: 0,
        timeout: None,
        retry: Some(Arc::new(RetryPolicy::istio_default())),
        priority: Priority::Default,
    };
    let host = VirtualHost { name: "origin".into(), domains: vec![Domain::Any], route };
    let listener = Listener {
        name: "relay".into(),
        address: listen,
        target: ListenerTarget::Routes(0),
        http: HttpSettings::default(),
    };
    let routes = RouteConfig { name: "relay".into(), virtual_hosts: vec![host] };
    Snapshot::new(1, vec![listener], vec![Arc::new(routes)], vec![Arc::new(cluster)])
        .map_err(|dangling| format!("{dangling:?}"))
}
