//! Istio's circuit-breaking task: one, two and three callers of a real fortio against connections 1 and pending 1, through
//! a real Envoy and through Fuseboard, and both proxies' own statistics of it; then one error that ejects the only host.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::table::Table;
use super::{Workbench, envoy};
use crate::peers;
use crate::process::{self, Server};

/// What callers put into `Host`.
const HOST: &str = "httpbin:8000";
/// Name of the cluster in Fuseboard's stats for the rule below.
const CLUSTER: &str = "outbound|8000||httpbin.default.svc.cluster.local;";

const RULES: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin}
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1}
      http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}
    outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin}
spec:
  ports: [{name: http, port: 8000}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: httpbin}
subsets:
";

/// What one proxy did in one step.
struct Step {
    ok: u64,
    refused: u64,
    /// Growth of `upstream_rq_pending_overflow`.
    overflow: u64,
}

/// A proxy in front of one httpbin.
pub(super) struct Proxy {
    _server: Server,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    cluster: &'static str,
}

/// Both proxies under the same rule, each in front of the same origin.
pub(super) struct Pair {
    _origin: Server,
    pub(super) ours: Proxy,
    pub(super) envoy: Proxy,
}

impl Pair {
    pub(super) fn start(bench: &Workbench, envoy: &Path) -> anyhow::Result<Self> {
        let origin = process::free_address()?;
        Ok(Self {
            _origin: start_httpbin(bench, origin)?,
            ours: start_fuseboard(bench, origin)?,
            envoy: start_envoy(bench, envoy, origin)?,
        })
    }

    /// The same calls through both, one after the other.
    pub(super) fn call_both(&self, paths: &[&str]) -> anyhow::Result<()> {
        for path in paths {
            for proxy in [&self.envoy, &self.ours] {
                process::get(proxy.address, HOST, path)?;
            }
        }
        Ok(())
    }
}

pub(super) fn run(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let fortio = match peers::fortio() {
        Ok(fortio) => fortio,
        Err(missing) => {
            table.skip("circuit-breaking experiment", missing);
            return Ok(());
        }
    };
    let origin = process::free_address()?;
    let _origin = start_httpbin(bench, origin)?;
    let ours = start_fuseboard(bench, origin)?;
    let theirs = match peers::envoy() {
        Ok(program) => Some(start_envoy(bench, &program, origin)?),
        Err(missing) => {
            table.skip("Envoy's column", missing);
            None
        }
    };
    for (callers, calls) in [(1, 20), (2, 20), (2, 200), (3, 30)] {
        let what = format!("fortio -c {callers} -n {calls}");
        let us = step(&fortio, &ours, callers, calls)?;
        let envoy = theirs.as_ref().map(|proxy| step(&fortio, proxy, callers, calls)).transpose()?;
        let show = |step: &Step| format!("200: {}  503: {}", step.ok, step.refused);
        let good = if callers < 3 { us.refused == 0 } else { us.refused > 0 && us.ok > 0 };
        let row = if callers == 2 { "D3" } else { "" };
        table.ours(&what, envoy.as_ref().map_or("-".into(), show), show(&us), good, row);
        let counted = |step: &Step| (step.refused == step.overflow).to_string();
        let peer = envoy.as_ref().map_or("true".into(), counted);
        table.same(format!("{what}: upstream_rq_pending_overflow is the number of 503"), peer, counted(&us));
    }
    if let Some(envoy) = &theirs {
        compare_ejection(&ours, envoy, table)?;
    }
    Ok(())
}

/// One 500 of the application ejects the only host; after that nobody is healthy.
fn compare_ejection(ours: &Proxy, envoy: &Proxy, table: &mut Table) -> anyhow::Result<()> {
    for (what, path) in
        [("an error of the application", "/status/500"), ("then, with its host ejected", "/get")]
    {
        let (their_status, their_body) = process::get(envoy.address, HOST, path)?;
        let (our_status, our_body) = process::get(ours.address, HOST, path)?;
        table.same(format!("{what}: status"), their_status, our_status);
        table.same(format!("{what}: body"), their_body.trim(), our_body.trim());
    }
    for stat in [
        "outlier_detection.ejections_active",
        "outlier_detection.ejections_enforced_total",
        "outlier_detection.ejections_enforced_consecutive_5xx",
        "membership_healthy",
        "membership_total",
        "circuit_breakers.default.cx_open",
        "circuit_breakers.default.remaining_pending",
        "circuit_breakers.high.rq_pending_open",
    ] {
        table.same(stat, stat_of(envoy, stat)?, stat_of(ours, stat)?);
    }
    Ok(())
}

fn step(fortio: &Path, proxy: &Proxy, callers: u32, calls: u32) -> anyhow::Result<Step> {
    let before = stat_of(proxy, "upstream_rq_pending_overflow")?;
    let output = Command::new(fortio)
        .args(["load", "-quiet", "-qps", "0", "-H", &format!("Host: {HOST}")])
        .args(["-c", &callers.to_string(), "-n", &calls.to_string()])
        .arg(format!("http://{}/get", proxy.address))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    let count = |code: &str| -> u64 {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("Code {code} : ")))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_default()
    };
    let after = stat_of(proxy, "upstream_rq_pending_overflow")?;
    Ok(Step { ok: count("200"), refused: count("503"), overflow: after.saturating_sub(before) })
}

fn stat_of(proxy: &Proxy, stat: &str) -> anyhow::Result<u64> {
    let name = format!("cluster.{}.{stat}: ", proxy.cluster);
    let (_, text) = process::get(proxy.admin, "localhost", "/stats")?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(&name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().parse()?)
}

fn start_httpbin(bench: &Workbench, origin: SocketAddr) -> anyhow::Result<Server> {
    let arguments = ["httpbin".into(), "--listen".into(), origin.to_string()];
    let mut server =
        Server::start("httpbin", None, &bench.fuseboard, &arguments, &bench.scratch.join("httpbin.out"))?;
    server.wait_for(origin)?;
    Ok(server)
}

fn start_fuseboard(bench: &Workbench, origin: SocketAddr) -> anyhow::Result<Proxy> {
    let rules = bench.scratch.join("rules.yaml");
    let endpoint = format!(
        "- addresses: [{{ip: {}}}]\n  ports: [{{name: http, port: {}}}]\n",
        origin.ip(),
        origin.port()
    );
    std::fs::write(&rules, format!("{RULES}{endpoint}"))?;
    let (address, admin) = (process::free_address()?, process::free_address()?);
    let line = format!("run --listen {address} --admin {admin} --concurrency 2 -f {}", rules.display());
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let log = bench.scratch.join("fuseboard.out");
    let mut server = Server::start("fuseboard", None, &bench.fuseboard, &arguments, &log)?;
    server.wait_for(address)?;
    Ok(Proxy { _server: server, address, admin, cluster: CLUSTER })
}

fn start_envoy(bench: &Workbench, program: &Path, origin: SocketAddr) -> anyhow::Result<Proxy> {
    let (address, admin) = (process::free_address()?, process::free_address()?);
    let file = bench.scratch.join("envoy.json");
    std::fs::write(&file, envoy::bootstrap(address, admin, origin).to_string())?;
    let line = format!("-c {} --concurrency 2 --disable-hot-restart --log-level error", file.display());
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut server = Server::start("envoy", None, program, &arguments, &bench.scratch.join("envoy.out"))?;
    server.wait_for(address)?;
    Ok(Proxy { _server: server, address, admin, cluster: "httpbin" })
}
