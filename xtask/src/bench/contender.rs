//! The proxies that are compared, each told to do the same work: one HTTP/1.1 origin, keep-alive on both sides, limits set
//! high, outlier detection where it has it, statistics on, log off, one worker.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Bench;
use crate::process::{self, Server};

/// A proxy under test and where its binary is.
pub(super) enum Contender {
    HAProxy(PathBuf),
    Fuseboard(PathBuf),
    Envoy(PathBuf),
}

/// A contender that accepts connections.
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
}

impl Contender {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::HAProxy(_) => "HAProxy",
            Self::Fuseboard(_) => "Fuseboard",
            Self::Envoy(_) => "Envoy",
        }
    }

    /// Starts it and says how long after exec it accepted.
    pub(super) fn start(&self, bench: &Bench, core: Option<usize>) -> anyhow::Result<(Running, Duration)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, process::free_port()?));
        let (program, arguments) = self.command(bench, address)?;
        let started = Instant::now();
        let log = bench.scratch.join(format!("{}.out", self.name()));
        let mut server = Server::start(self.name(), core, program, &arguments, &log)?;
        server.wait_for(address)?;
        Ok((Running { server, address }, started.elapsed()))
    }

    fn command(&self, bench: &Bench, address: SocketAddr) -> anyhow::Result<(&Path, Vec<String>)> {
        let write = |name: &str, text: String| -> anyhow::Result<String> {
            let file = bench.scratch.join(name);
            std::fs::write(&file, text)?;
            Ok(file.display().to_string())
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Ok(match self {
            Self::HAProxy(program) => {
                let file = write("haproxy.cfg", haproxy(bench.origin, address))?;
                (program, vec!["-db".into(), "-f".into(), file])
            }
            Self::Fuseboard(program) => {
                let file = write("rule.yaml", fuseboard())?;
                let line = format!(
                    "run --listen {address} --to {} --admin 127.0.0.1:0 --concurrency 1",
                    bench.origin
                );
                let mut arguments = words(&line);
                arguments.extend(["-f".into(), file]);
                (program, arguments)
            }
            Self::Envoy(program) => {
                let file = write("envoy.json", envoy(bench.origin, address))?;
                let mut arguments = words("--concurrency 1 --disable-hot-restart --log-level error");
                arguments.extend(["-c".into(), file]);
                (program, arguments)
            }
        })
    }
}

fn haproxy(origin: SocketAddr, address: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n  http-reuse always\n\
         frontend in\n  bind {address}\n  option forwardfor\n  default_backend origin\n\
         backend origin\n  server one {origin} maxconn 4000 observe layer7 error-limit 50 on-error mark-down check inter 1h\n"
    )
}

/// The rule of the bench: limits that are counted but never reached, and ejection on.
pub(super) fn fuseboard() -> String {
    "apiVersion: networking.istio.io/v1\n\
     kind: DestinationRule\n\
     metadata: {name: origin}\n\
     spec:\n\
     \x20 host: origin\n\
     \x20 trafficPolicy:\n\
     \x20   connectionPool:\n\
     \x20     tcp: {maxConnections: 4000}\n\
     \x20     http: {http1MaxPendingRequests: 4000, http2MaxRequests: 4000}\n\
     \x20   outlierDetection: {consecutive5xxErrors: 50, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 100}\n"
        .to_owned()
}

fn envoy(origin: SocketAddr, address: SocketAddr) -> String {
    let socket = |address: SocketAddr| serde_json::json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let limits =
        serde_json::json!({"max_connections": 4000, "max_pending_requests": 4000, "max_requests": 4000});
    serde_json::json!({"static_resources": {
        "listeners": [{"address": socket(address), "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "in",
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}]}]},
                "http_filters": [{"name": "router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
            }}]}]}],
        "clusters": [{
            "name": "origin",
            "connect_timeout": "10s",
            "circuit_breakers": {"thresholds": [limits]},
            "outlier_detection": {"consecutive_5xx": 50},
            "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": socket(origin)}}]}]},
        }],
    }})
    .to_string()
}
