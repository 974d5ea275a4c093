//! A real Prometheus scraping Fuseboard under steady traffic: every query of the dashboard has data, no alert fires, and promtool
//! finds nothing wrong with the rules, their tests and the scrape.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fuseboard_testkit::dashboard::{self, Query};
use serde_json::Value;

use super::Workbench;
use super::table::Table;
use crate::process::{self, Server};
use crate::{peers, repository};

/// What callers put into `Host`.
const HOST: &str = "httpbin:8000";

/// Two hosts behind limits that the traffic does not reach, and ejection on.
const RULES: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin}
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 8}
      http: {http1MaxPendingRequests: 8, http2MaxRequests: 16}
    outlierDetection: {consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 30s}
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

/// Rates are over this: some scrapes.
const WINDOW: &str = "5s";
/// How long Prometheus may take to have scraped for that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Programs of the Debian package.
struct Programs {
    prometheus: PathBuf,
    promtool: PathBuf,
}

/// The proxy with its upstream and its callers, and the Prometheus that scrapes it; all end when dropped.
struct Scene {
    _servers: Vec<Server>,
    admin: SocketAddr,
    prometheus: SocketAddr,
}

pub(super) fn run(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let program = |name| peers::unpacked(name, "prometheus");
    let programs = match program("prometheus").and_then(|found| Ok((found, program("promtool")?))) {
        Ok((prometheus, promtool)) => Programs { prometheus, promtool },
        Err(missing) => {
            table.skip("dashboard and alerts in Prometheus", missing);
            return Ok(());
        }
    };
    check_files(&programs, table)?;
    let scene = Scene::start(bench, &programs)?;
    scene.wait_for_data(&programs)?;
    check_scrape(&programs, &scene, table)?;
    ask_everything(&programs, &scene, table)
}

fn deployed(name: &str) -> PathBuf {
    repository::root().join("deploy/grafana").join(name)
}

/// The alerts' syntax, and what they do with given series.
fn check_files(programs: &Programs, table: &mut Table) -> anyhow::Result<()> {
    for (kind, name) in [("check", "fuseboard-alerts.yaml"), ("test", "fuseboard-alerts.test.yaml")] {
        let output = Command::new(&programs.promtool).args([kind, "rules"]).arg(deployed(name)).output()?;
        table.ours(
            format!("promtool {kind} rules {name}"),
            "-",
            verdict(&output),
            output.status.success(),
            "",
        );
    }
    Ok(())
}

/// `ok`, or what was wrong.
fn verdict(output: &Output) -> String {
    if output.status.success() {
        return "ok".to_owned();
    }
    let said = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// promtool reads what Prometheus scrapes. It would have Envoy's names end otherwise and explained; such advice is no error.
fn check_scrape(programs: &Programs, scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    const ONLY_ADVICE: i32 = 3;
    let (_, page) = process::get(scene.admin, "localhost", "/stats/prometheus")?;
    let mut tool = Command::new(&programs.promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = tool.stdin.take().context("no stdin")?;
    // It reads everything before it says anything.
    input.write_all(page.as_bytes())?;
    drop(input);
    let output = tool.wait_with_output()?;
    let good = matches!(output.status.code(), Some(0 | ONLY_ADVICE));
    let said = if good { "no error".to_owned() } else { verdict(&output) };
    table.ours("promtool check metrics < /stats/prometheus", "-", said, good, "");
    Ok(())
}

/// Every query of the dashboard, and whether an alert fires.
fn ask_everything(programs: &Programs, scene: &Scene, table: &mut Table) -> anyhow::Result<()> {
    let file = deployed("fuseboard-circuit-breaking.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let queries = dashboard::queries(&dashboard, WINDOW);
    let mut answered = 0;
    for Query { panel, expression, .. } in &queries {
        match scene.ask(programs, expression)? {
            Ok(values) if !values.is_empty() && values.iter().all(|value| value.is_finite()) => answered += 1,
            Ok(values) => table.ours(format!("{panel}: {expression}"), "-", format!("{values:?}"), false, ""),
            Err(problem) => table.ours(format!("{panel}: {expression}"), "-", problem, false, ""),
        }
    }
    let all = queries.len();
    table.ours(
        "queries of the dashboard with data",
        "-",
        format!("{answered} of {all}"),
        answered == all,
        "",
    );
    let firing = scene.ask(programs, "count(ALERTS{alertname=~\"Fuseboard.*\"}) or vector(0)")?;
    let good = firing == Ok(vec![0.0]);
    let shown = firing.map_or_else(|problem| problem, |values| values.iter().sum::<f64>().to_string());
    table.ours("alerts pending or firing in a steady state", "-", shown, good, "");
    Ok(())
}

impl Scene {
    fn start(bench: &Workbench, programs: &Programs) -> anyhow::Result<Self> {
        let folder = bench.scratch.join("prometheus");
        // Series of an earlier run are not wanted.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let mut servers = Vec::new();
        let mut start =
            |name, program: &Path, line: &str, wait_for: Option<SocketAddr>| -> anyhow::Result<()> {
                let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                let mut server =
                    Server::start(name, None, program, &arguments, &folder.join(format!("{name}.out")))?;
                wait_for.map_or(Ok(()), |address| server.wait_for(address))?;
                servers.push(server);
                Ok(())
            };
        let mut rules = RULES.to_owned();
        for name in ["httpbin-1", "httpbin-2"] {
            let address = process::free_address()?;
            start(name, &bench.fuseboard, &format!("httpbin --listen {address}"), Some(address))?;
            rules.push_str(&subset(address));
        }
        let file = folder.join("rules.yaml");
        std::fs::write(&file, rules)?;
        let (listen, admin, prometheus) =
            (process::free_address()?, process::free_address()?, process::free_address()?);
        let line = format!("run --listen {listen} --admin {admin} --concurrency 2 -f {}", file.display());
        start("fuseboard", &bench.fuseboard, &line, Some(listen))?;
        let line = format!("load -quiet -c 2 -qps 40 -t 2m -H Host:{HOST} http://{listen}/get");
        start("load", &bench.fuseboard, &line, None)?;
        let file = folder.join("prometheus.yaml");
        std::fs::write(&file, configuration(admin))?;
        let line = format!(
            "--config.file={} --storage.tsdb.path={} --web.listen-address={prometheus} --log.level=warn",
            file.display(),
            folder.join("data").display()
        );
        start("prometheus", &programs.prometheus, &line, Some(prometheus))?;
        Ok(Self { _servers: servers, admin, prometheus })
    }

    /// Waits until there is traffic in every scrape of a window.
    fn wait_for_data(&self, programs: &Programs) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let enough = format!("min(count_over_time(istio_requests_total[{WINDOW}])) >= 5");
        while !matches!(self.ask(programs, &enough)?, Ok(values) if values.len() == 1) {
            if Instant::now() > deadline {
                bail!("Prometheus has no data after {} s; see {:?}", PATIENCE.as_secs(), self.prometheus);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// The values of an instant query; the inner error is Prometheus' own.
    fn ask(&self, programs: &Programs, expression: &str) -> anyhow::Result<Result<Vec<f64>, String>> {
        let server = format!("http://{}", self.prometheus);
        let output = Command::new(&programs.promtool)
            .args(["query", "instant", "-o", "json", &server, expression])
            .output()?;
        if !output.status.success() {
            return Ok(Err(verdict(&output)));
        }
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        let series = answer.as_array().context("no list of series")?;
        let value = |series: &Value| series["value"][1].as_str().and_then(|text| text.parse().ok());
        Ok(series.iter().map(value).collect::<Option<_>>().ok_or_else(|| answer.to_string()))
    }
}

/// One host of the service.
fn subset(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!("- addresses: [{{ip: {ip}}}]\n  ports: [{{name: http, port: {port}}}]\n")
}

/// Scrapes each second, with the alerts as they are deployed.
fn configuration(admin: SocketAddr) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{:?}]\n\
         scrape_configs:\n\
         - job_name: fuseboard\n\
         \x20 metrics_path: /stats/prometheus\n\
         \x20 static_configs: [{{targets: [\"{admin}\"]}}]\n",
        deployed("fuseboard-alerts.yaml").display().to_string(),
    )
}
