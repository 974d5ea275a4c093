//! One Envoy and one Fuseboard for all scenarios: a listener, a service and its rule for each.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::origin::Origin;
use super::scenario::Scenario;
use crate::envoy::{EXTENSIONS, http_filter, http_options, load_assignment, socket};
use crate::interop::Workbench;
use crate::process::Server;

/// What Istio writes of a request.
const LOG: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% \
    %RESPONSE_CODE_DETAILS% %UPSTREAM_HOST% %DOWNSTREAM_LOCAL_ADDRESS% -\n";

/// The bounds of a service without a rule.
const UNBOUNDED: u32 = u32::MAX;

pub(super) fn authority(service: &str) -> String {
    format!("{service}:8000")
}

pub(super) fn cluster(service: &str) -> String {
    format!("outbound|8000||{service}.default.svc.cluster.local")
}

/// A running proxy with a listener for each scenario.
pub(super) struct Proxy {
    server: Server,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) admin: SocketAddr,
    log: PathBuf,
}

impl Proxy {
    pub(super) fn envoy(
        bench: &Workbench,
        program: &Path,
        scenarios: &[Scenario],
        origins: &[Origin],
    ) -> anyhow::Result<Self> {
        let (listeners, admin) = ports(scenarios.len())?;
        let log = fresh(bench, "envoy.log")?;
        let (file, stderr) = (fresh(bench, "envoy.json")?, fresh(bench, "envoy.err")?);
        let bootstrap = json!({
            "admin": {"address": socket(admin)},
            "static_resources": {
                "listeners": scenarios.iter().zip(&listeners)
                    .map(|(scenario, address)| listener(scenario, *address, &log)).collect::<anyhow::Result<Vec<_>>>()?,
                "clusters": scenarios.iter().zip(origins)
                    .map(|(scenario, origin)| envoy_cluster(scenario, origin)).collect::<anyhow::Result<Vec<_>>>()?,
            },
        });
        std::fs::write(&file, bootstrap.to_string())?;
        let line = "--concurrency 1 --disable-hot-restart --log-level error --file-flush-interval-msec 50 -c";
        let server = start("envoy", program, line, &file, &stderr, admin, &listeners)?;
        Ok(Self { server, listeners, admin, log })
    }

    pub(super) fn fuseboard(
        bench: &Workbench,
        scenarios: &[Scenario],
        origins: &[Origin],
    ) -> anyhow::Result<Self> {
        let (listeners, admin) = ports(scenarios.len())?;
        let log = fresh(bench, "fuseboard.log")?;
        let (file, stderr) = (fresh(bench, "rules.yaml")?, fresh(bench, "fuseboard.err")?);
        let rules: String =
            scenarios.iter().zip(origins).map(|(scenario, origin)| rules(scenario, origin)).collect();
        std::fs::write(&file, rules)?;
        let mut line =
            format!("run --concurrency 1 --drain-time 1s --admin {admin} --access-log {}", log.display());
        for listener in &listeners {
            let _ = write!(line, " --listen {listener}");
        }
        line.push_str(" -f");
        let server = start("fuseboard", &bench.fuseboard, &line, &file, &stderr, admin, &listeners)?;
        Ok(Self { server, listeners, admin, log })
    }

    /// Ends it; its access log is whole then.
    pub(super) fn end(self) -> anyhow::Result<String> {
        self.server.end()?;
        Ok(std::fs::read_to_string(&self.log)?)
    }
}

fn start(
    name: &'static str,
    program: &Path,
    line: &str,
    file: &Path,
    stderr: &Path,
    admin: SocketAddr,
    listeners: &[SocketAddr],
) -> anyhow::Result<Server> {
    let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    arguments.push(file.display().to_string());
    let mut server = Server::start(name, None, program, &arguments, stderr)?;
    for address in listeners.iter().chain([&admin]) {
        server.wait_for(*address).with_context(|| std::fs::read_to_string(stderr).unwrap_or_default())?;
    }
    Ok(server)
}

/// Ports that nobody listens on now, all different.
fn ports(listeners: usize) -> anyhow::Result<(Vec<SocketAddr>, SocketAddr)> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let bound = (0..=listeners).map(bind).collect::<std::io::Result<Vec<_>>>()?;
    let mut addresses = bound.iter().map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>()?;
    let admin = addresses.pop().context("a port for the admin server")?;
    Ok((addresses, admin))
}

fn fresh(bench: &Workbench, name: &str) -> anyhow::Result<PathBuf> {
    let folder = bench.scratch.join("scenarios");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(name);
    std::fs::write(&file, "")?;
    Ok(file)
}

/// What istiod makes of a sidecar's outbound listener.
fn listener(scenario: &Scenario, address: SocketAddr, log: &Path) -> anyhow::Result<Value> {
    let name = cluster(scenario.name);
    let mut route = json!({
        "cluster": name,
        "timeout": "0s",
        "retry_policy": {
            "num_retries": 2,
            "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
            "host_selection_retry_max_attempts": "5",
            "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
                "@type": format!("{EXTENSIONS}.retry.host.previous_hosts.v3.PreviousHostsPredicate")}}],
        },
    });
    lay_over(&mut route, told(scenario, scenario.route)?);
    let domains = json!([scenario.name, authority(scenario.name)]);
    let manager = http_filter(json!({
        "stat_prefix": format!("outbound_127.0.0.1_{};", address.port()),
        "stream_idle_timeout": "0s",
        "normalize_path": true,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": format!("{EXTENSIONS}.access_loggers.file.v3.FileAccessLog"),
            "path": log.display().to_string(),
            "log_format": {"text_format_source": {"inline_string": LOG}}}}],
        "route_config": {"virtual_hosts": [{"name": scenario.name, "domains": domains, "include_request_attempt_count": true,
            "routes": [{"match": {"prefix": "/"}, "route": route}]}]},
    }));
    Ok(json!({"name": scenario.name, "address": socket(address), "filter_chains": [{"filters": [manager]}]}))
}

fn envoy_cluster(scenario: &Scenario, origin: &Origin) -> anyhow::Result<Value> {
    let name = cluster(scenario.name);
    let mut whole = json!({
        "name": name,
        "alt_stat_name": format!("{name};"),
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [{"max_connections": UNBOUNDED, "max_pending_requests": UNBOUNDED,
            "max_requests": UNBOUNDED, "max_retries": UNBOUNDED, "track_remaining": true}]},
        // Else ejections reach the balancer when they may (D6).
        "common_lb_config": {"healthy_panic_threshold": {}, "update_merge_window": "0s"},
        "load_assignment": load_assignment(&name, &origin.addresses),
    });
    let mut over = told(scenario, scenario.cluster)?;
    // Short for what istiod writes into a cluster's options of HTTP.
    let common = over.as_object_mut().and_then(|over| over.remove("http"));
    if common.is_some() || scenario.is_http2() {
        let version = if scenario.is_http2() { "http2_protocol_options" } else { "http_protocol_options" };
        over["typed_extension_protocol_options"] =
            http_options(&common.unwrap_or_else(|| json!({})), &json!({version: {}}));
    }
    // And for the bounds, of which a rule sets few.
    if let Some(limits) = over.as_object_mut().and_then(|over| over.remove("limits")) {
        lay_over(&mut whole["circuit_breakers"]["thresholds"][0], limits);
    }
    if let Some(outliers) = over.get_mut("outlier_detection") {
        lay_over(outliers, json!({"enforcing_success_rate": 0}));
    }
    lay_over(&mut whole, over);
    Ok(whole)
}

fn told(scenario: &Scenario, text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).with_context(|| format!("scenario {}: {text}", scenario.name))
}

/// Objects are merged; anything else takes the place of what was.
fn lay_over(whole: &mut Value, over: Value) {
    match (whole, over) {
        (Value::Object(whole), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (whole, over) => *whole = over,
    }
}

fn rules(scenario: &Scenario, origin: &Origin) -> String {
    let name = scenario.name;
    let policy = match scenario.policy {
        "" => String::new(),
        policy => format!(
            "---\napiVersion: fuseboard.dev/v1alpha1\nkind: DestinationPolicy\nmetadata: {{name: {name}}}\n\
             spec: {{host: {name}, {policy}}}\n"
        ),
    };
    let rule = match scenario.rule {
        "" => "loadBalancer: {simple: ROUND_ROBIN}".to_owned(),
        rule => format!("loadBalancer: {{simple: ROUND_ROBIN}}, {rule}"),
    };
    let spoken = if scenario.is_http2() { "http2" } else { "http" };
    let mut subsets = String::new();
    for address in &origin.addresses {
        let (ip, port) = (address.ip(), address.port());
        let _ =
            writeln!(subsets, "- {{addresses: [{{ip: {ip}}}], ports: [{{name: {spoken}, port: {port}}}]}}");
    }
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}}}\n\
         spec: {{host: {name}, trafficPolicy: {{{rule}}}}}\n{policy}\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: {spoken}, port: 8000}}]}}\n\
         ---\napiVersion: v1\nkind: Endpoints\nmetadata: {{name: {name}}}\nsubsets:\n{subsets}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_over_keeps_the_rest() {
        let mut whole = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        lay_over(&mut whole, json!({"a": {"b": 3}, "d": [2], "e": 4}));
        assert_eq!(whole, json!({"a": {"b": 3, "c": 2}, "d": [2], "e": 4}));
    }
}
