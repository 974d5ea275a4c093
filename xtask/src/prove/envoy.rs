//! A real Envoy under the same limits, and what it makes of the same bursts: its leeway, beside which ours can be seen. It is no judge of ours.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_snapshot::UpstreamVersion;
use fuseboard_testkit::{Caller, Door, Origin, OriginOptions, Split, settle};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::report::{Progress, Report};
use super::setup::{Before, Setup};
use crate::envoy::{http_filter, http_options, load_assignment, socket};
use crate::process::{self, Server};
use crate::{peers, repository};

/// For what happens at once where it happens. What Envoy has refused by then is counted whether or not the rest has come to a host.
const PATIENCE: Duration = Duration::from_secs(2);

/// Requests that Envoy has taken may still be on their way to a host.
const REST: Duration = Duration::from_millis(15);

/// Clusters for each setup: so often it comes to a burst that nobody was before.
const COLD: usize = 2;

/// The most addresses that a setup has.
const HOSTS: usize = 5;

/// Where bursts and numbers differ.
#[derive(Clone, Copy, Default)]
pub(super) struct Leeway {
    pub(super) bursts: u32,
    /// Those that were not split as the limits say.
    pub(super) off: u32,
    /// Requests that fit and were refused.
    pub(super) refused: u32,
    /// Requests that did not fit and were let in.
    pub(super) admitted: u32,
    /// The most connections above the limit that an origin saw.
    pub(super) connections: u32,
}

impl std::ops::AddAssign for Leeway {
    fn add_assign(&mut self, other: Self) {
        self.bursts += other.bursts;
        self.off += other.off;
        self.refused += other.refused;
        self.admitted += other.admitted;
        self.connections = self.connections.max(other.connections);
    }
}

impl fmt::Display for Leeway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bursts, off, refused, admitted, connections } = self;
        write!(f, "{bursts:>7} {off:>6} {refused:>8} {admitted:>9} {connections:>9}")
    }
}

/// A running Envoy with one cluster for each setup, under the path `/<number>/`.
pub(super) struct Envoy {
    _server: Server,
    pub(super) door: Door,
    admin: SocketAddr,
}

impl Envoy {
    pub(super) fn start(
        program: &Path,
        workers: usize,
        setups: &[&Setup],
        hosts: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let (address, admin) = (process::free_address()?, process::free_address()?);
        let scratch = repository::root().join("target/prove");
        std::fs::create_dir_all(&scratch)?;
        let (file, log) = (scratch.join("envoy.json"), scratch.join("envoy.out"));
        std::fs::write(&file, bootstrap(address, admin, setups, hosts).to_string())?;
        let arguments = [
            "-c".to_owned(),
            file.display().to_string(),
            "--concurrency".to_owned(),
            workers.to_string(),
            "--disable-hot-restart".to_owned(),
            "--log-level".to_owned(),
            "error".to_owned(),
        ];
        let mut server = Server::start("envoy", None, program, &arguments, &log)?;
        server
            .wait_at_most(Duration::from_secs(30), address)
            .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Self { _server: server, door: Door::new(address), admin })
    }

    /// Requests of a cluster that wait.
    fn waiting(&self, cluster: usize) -> anyhow::Result<u32> {
        let name = format!("cluster.c{cluster}.upstream_rq_pending_active");
        let (_, text) = process::get(self.admin, "localhost", &format!("/stats?filter=^{name}$"))?;
        let value = text.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(": "));
        Ok(value.with_context(|| format!("no {name}"))?.trim().parse()?)
    }
}

/// Where it is, or a word to the report.
pub(super) fn program(report: &mut Report) -> Option<PathBuf> {
    match peers::envoy() {
        Ok(program) => {
            let line = process::first_line(&program, &["--version"]).unwrap_or_default();
            report.envoy(version(&line).to_owned());
            Some(program)
        }
        Err(missing) => {
            report.envoy(missing.to_string());
            None
        }
    }
}

/// Of `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(line: &str) -> &str {
    line.rsplit_once("version: ").and_then(|(_, version)| version.split('/').nth(1)).unwrap_or(line)
}

/// The bursts of these setups, as often as we had them. Connections that are idle elsewhere are not made: that takes hosts which come and go.
pub(super) async fn bursts(program: &Path, setups: &[Setup], report: &mut Report) -> anyhow::Result<()> {
    let mut workers: Vec<_> = setups.iter().map(|setup| setup.workers).collect();
    workers.sort_unstable();
    workers.dedup();
    let mut progress = Progress::new("the same through Envoy", u32::try_from(setups.len())?);
    for workers in workers {
        let of_workers: Vec<&Setup> = setups.iter().filter(|setup| setup.workers == workers).collect();
        let clusters: Vec<&Setup> = of_workers.iter().flat_map(|setup| [*setup; COLD]).collect();
        let origin = Origin::start(OriginOptions { hosts: HOSTS, ..OriginOptions::default() })?;
        let envoy = Envoy::start(program, workers, &clusters, origin.addresses())?;
        for (number, setup) in of_workers.into_iter().enumerate() {
            let leeway = Stage { envoy: &envoy, origin: &origin, setup }.bursts(number * COLD).await?;
            report.leeway(setup, leeway);
            progress.step(1);
        }
    }
    Ok(())
}

/// A setup at work.
struct Stage<'r> {
    envoy: &'r Envoy,
    origin: &'r Origin,
    setup: &'r Setup,
}

impl Stage<'_> {
    /// On the clusters from `first` on, which nobody has used.
    async fn bursts(&self, first: usize) -> anyhow::Result<Leeway> {
        let (mut all, mut cluster, mut next) = (Leeway::default(), first, first);
        let (mut callers, mut others) = (Vec::new(), 0);
        for round in self.setup.rounds() {
            match round.before {
                Before::Cold => {
                    cluster = next;
                    next += 1;
                    others = self.origin.count().connections;
                }
                Before::Warm => {}
                Before::WarmElsewhere => continue,
            }
            all += self.burst(cluster, others, round.callers, &mut callers).await?;
        }
        for caller in callers {
            caller.end().await;
        }
        Ok(all)
    }

    /// `others`: connections that other clusters have left idle.
    async fn burst(
        &self,
        cluster: usize,
        others: u32,
        n: u32,
        kept: &mut Vec<Caller>,
    ) -> anyhow::Result<Leeway> {
        let bound = match self.setup.thresholds.max_connections {
            UNLIMITED => None,
            bound => Some(others + bound),
        };
        self.origin.forget_peaks(bound);
        let mut callers = self.setup.speakers(&self.envoy.door, n);
        for (caller, kept) in callers.iter_mut().zip(kept.drain(..)) {
            *caller = kept;
        }
        for caller in &mut callers {
            caller.connect().await?;
        }
        self.origin.hold();
        let mut calls = JoinSet::new();
        let refused = std::rc::Rc::new(std::cell::Cell::new(0));
        let local = tokio::task::LocalSet::new();
        for (number, mut caller) in callers.into_iter().enumerate() {
            let refused = std::rc::Rc::clone(&refused);
            let call = async move {
                let answer = caller.get(&format!("/{cluster}/{number}")).await;
                if answer.is_ok_and(|answer| answer.status == 503) {
                    refused.set(refused.get() + 1);
                }
                caller
            };
            calls.spawn_local_on(call, &local);
        }
        local.run_until(self.until_split(cluster, n, || refused.get())).await;
        self.origin.open();
        let ended = async {
            while let Ok(Some(Ok(caller))) = timeout(PATIENCE, calls.join_next()).await {
                kept.push(caller);
            }
        };
        local.run_until(ended).await;
        let seen = self.origin.count();
        settle(PATIENCE, || self.origin.count().requests == 0).await;
        let (admitted, fits) = (n - refused.get(), Split::of(&self.setup.slots(), n).admitted());
        Ok(Leeway {
            bursts: 1,
            off: u32::from(admitted != fits),
            refused: fits.saturating_sub(admitted),
            admitted: admitted.saturating_sub(fits),
            connections: bound.map_or(0, |bound| seen.peak_connections.saturating_sub(bound)),
        })
    }

    /// Until all are in the origin's hands, wait or are refused.
    async fn until_split(&self, cluster: usize, n: u32, refused: impl Fn() -> u32) {
        let waiting = || self.envoy.waiting(cluster).unwrap_or_default();
        let split = || {
            let known = self.origin.count().requests + refused();
            known >= n || known + waiting() >= n
        };
        if settle(PATIENCE, split).await && self.origin.count().requests + refused() < n {
            tokio::time::sleep(REST).await;
        }
    }
}

fn bootstrap(listen: SocketAddr, admin: SocketAddr, setups: &[&Setup], hosts: &[SocketAddr]) -> Value {
    let route = |number: usize, prefix: String| json!({"match": {"prefix": prefix}, "route": {"cluster": format!("c{number}"), "timeout": "0s"}});
    let mut routes: Vec<Value> =
        (0..setups.len()).map(|number| route(number, format!("/{number}/"))).collect();
    routes.push(route(0, "/".to_owned()));
    let clusters: Vec<Value> =
        setups.iter().enumerate().map(|(number, setup)| cluster(number, setup, hosts)).collect();
    let manager = http_filter(json!({
        "stat_prefix": "outbound",
        "stream_idle_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }));
    json!({
        "admin": {"address": socket(admin)},
        "static_resources": {
            "listeners": [{"name": "outbound", "address": socket(listen), "filter_chains": [{"filters": [manager]}]}],
            "clusters": clusters,
        },
    })
}

/// What istiod makes of the limits.
fn cluster(number: usize, setup: &Setup, hosts: &[SocketAddr]) -> Value {
    let Thresholds { max_connections, max_pending_requests, max_requests, max_retries } = setup.thresholds;
    let name = format!("c{number}");
    let common = match setup.max_requests {
        Some(max) => json!({"max_requests_per_connection": max}),
        None => json!({}),
    };
    let http = match setup.http.version {
        UpstreamVersion::Http2 => json!({"http2_protocol_options": {
            "max_concurrent_streams": setup.http.at_a_time(None).min(i32::MAX.cast_unsigned())}}),
        UpstreamVersion::Http1 | UpstreamVersion::Client => json!({"http_protocol_options": {}}),
    };
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [{"max_connections": max_connections,
            "max_pending_requests": max_pending_requests, "max_requests": max_requests, "max_retries": max_retries}]},
        "typed_extension_protocol_options": http_options(&common, &http),
        "load_assignment": load_assignment(&name, &hosts[..setup.hosts.min(hosts.len())]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_version_is_the_number_alone() {
        assert_eq!(version("/some/where/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL"), "1.40.0");
        assert_eq!(version("unlike"), "unlike");
    }
}
