//! Everything that a walk needs: replicas, rule, proxy, callers, and the admin server to look at them with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use fuseboard_admin::{AdminClient, ejections::Ejections, refusals::Refusals};
use fuseboard_config::{ListenPlan, Workload};
use fuseboard_httpbin::{Control, Options, Server};
use fuseboard_load::Cancel;
use fuseboard_proxy::ProxyOptions;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::asking;
use crate::cmd::httpbin;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::serving::{Plan, Serving, Told};

/// Envoy's name of the one cluster.
pub(super) const CLUSTER: &str = "outbound|8000||httpbin.default.svc.cluster.local";
/// What callers put into `Host`.
pub(super) const HOST: &str = "httpbin";
/// Services, each with the names of its servers; two servers in all.
pub(super) type Cast = &'static [(&'static str, &'static [&'static str])];
/// Whoever ends a demo does not wait for long.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Ports of admin server, proxy and replicas; 0 takes a free one.
#[derive(Clone, Copy)]
pub(super) struct Ports([u16; 4]);

/// A set stage.
pub(super) struct Stage {
    pub(super) cast: Cast,
    /// All servers, in the order of the cast.
    pub(super) replicas: Vec<Replica>,
    pub(super) rule_file: PathBuf,
    pub(super) rule: String,
    pub(super) proxy: SocketAddr,
    pub(super) admin: AdminClient,
    serving: Serving,
    servers: ReplicaThread,
    callers: Runtime,
    stop: Cancel,
    _folder: TempDir,
}

/// One httpbin.
pub(super) struct Replica {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Where it is broken from outside.
    pub(super) door: Option<SocketAddr>,
    pub(super) control: Control,
}

/// What the callers of one step got.
pub(super) struct Calls {
    pub(super) codes: BTreeMap<i32, u64>,
    pub(super) total: u64,
}

impl Ports {
    /// Those that people know from Istio.
    pub(super) const USUAL: Self = Self::from(15000);
    /// Whatever is free.
    pub(super) const ANY: Self = Self([0; 4]);

    /// Four in a row.
    pub(super) const fn from(base: u16) -> Self {
        Self([base, base + 1, base + 2, base + 3])
    }

    fn address(self, index: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0[index]).into()
    }
}

/// Where the rules lie while the demo runs.
pub(super) fn folder() -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("fuseboard-demo-").tempdir();
    folder.context("no temporary folder for the rules").map_err(|error| {
        Failure::from(error)
            .next("set TMPDIR to a folder that can be written; in a container give it a tmpfs on /tmp")
    })
}

impl Stage {
    /// Brings everything up. What `stop` is cancelled for ends the walk.
    pub(super) fn set(
        (cast, rule): (Cast, &str),
        folder: TempDir,
        ports: Ports,
        seed: u64,
        stop: Cancel,
    ) -> Result<Self, Failure> {
        let servers = ReplicaThread::start(cast, [ports.address(2), ports.address(3)], seed)?;
        let rule_file = folder.path().join("httpbin.yaml");
        std::fs::write(&rule_file, rule)?;
        std::fs::write(folder.path().join("service.yaml"), services(cast, &servers.replicas))?;
        let plan = Plan {
            paths: vec![folder.path().to_owned()],
            workload: Workload::default(),
            listen: ListenPlan::outbound(vec![ports.address(1)]),
            proxy: ProxyOptions {
                admin: Some(fuseboard_proxy::AdminAddress::Tcp(ports.address(0))),
                drain_time: DRAIN_TIME,
                seed,
                ..ProxyOptions::default()
            },
            watch: true,
        };
        let serving = Serving::start(plan, tell)?;
        let proxy = serving.proxy().listeners().first().map(|listener| listener.address);
        let admin = serving.proxy().admin_address().cloned();
        Ok(Self {
            cast,
            replicas: servers.replicas.clone(),
            rule_file,
            rule: rule.to_owned(),
            proxy: proxy.context("the proxy listens nowhere")?,
            admin: AdminClient::new(admin.context("the proxy has no admin server")?),
            serving,
            servers,
            callers: Builder::new_current_thread().enable_all().build()?,
            stop,
            _folder: folder,
        })
    }

    /// So many callers making so many calls of `path`, as fast as they can.
    pub(super) fn call(&self, callers: usize, calls: u64, path: &str) -> Result<Calls, Failure> {
        let mut options = fuseboard_load::Options::to(format!("http://{}{path}", self.proxy));
        options.connections = callers;
        options.calls = Some(calls);
        options.qps = 0.0;
        options.http.headers.push(("Host".to_owned(), HOST.to_owned()));
        let report = self
            .callers
            .block_on(fuseboard_load::run(options, self.stop.clone()))
            .map_err(|error| Failure::new(Exit::Error, error))?;
        self.check_going()?;
        let codes = report.codes().clone();
        Ok(Calls { total: codes.values().sum(), codes })
    }

    /// The value of a counter or gauge of the cluster, as the proxy's admin server tells it.
    pub(super) fn stat(&self, name: &str) -> Result<u64, Failure> {
        let full = format!("cluster.{CLUSTER};.{name}: ");
        let text = asking::text(&self.admin, "/stats")?;
        let value =
            text.lines().find_map(|line| line.strip_prefix(&full)).and_then(|value| value.parse().ok());
        value.ok_or_else(|| anyhow!("the proxy does not count {name}").into())
    }

    pub(super) fn refusals(&self) -> Result<Refusals, Failure> {
        asking::document(&self.admin, "/fuseboard/v1/refusals?last=10m")
    }

    pub(super) fn ejections(&self) -> Result<Ejections, Failure> {
        asking::document(&self.admin, "/fuseboard/v1/ejections")
    }

    /// An error once somebody wants the end.
    pub(super) fn check_going(&self) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            Err(Failure::message(Exit::Interrupted, "interrupted"))
        } else {
            Ok(())
        }
    }

    /// Stays up until somebody wants the end.
    pub(super) fn wait_for_stop(&self) {
        self.callers.block_on(self.stop.cancelled());
    }

    /// Takes everything down.
    pub(super) fn strike(self) {
        self.serving.drain();
        self.servers.stop();
    }
}

impl Calls {
    pub(super) fn of(&self, code: i32) -> u64 {
        self.codes.get(&code).copied().unwrap_or_default()
    }
}

fn tell(told: Told<'_>) {
    match told {
        // The rules of the demo are right at the start; later these are edits of the person who watches.
        Told::Diagnostics(diagnostics) => output::diagnostics(diagnostics),
        Told::Gone(diagnostics) => output::gone(diagnostics),
        Told::Applied(update) => output::note(format_args!("  rules {} in force", update.snapshot.version)),
        Told::NotApplied(reason) => output::note(format_args!("  not applied: {reason}")),
    }
}

/// The services, and where their servers are.
fn services(cast: Cast, replicas: &[Replica]) -> String {
    let mut text = String::new();
    for (service, names) in cast {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {service}\nspec:\n  ports:\n  - name: http\n    port: 8000\n---\n\
             apiVersion: v1\nkind: Endpoints\nmetadata:\n  name: {service}\nsubsets:\n"
        );
        for replica in replicas.iter().filter(|replica| names.contains(&replica.name)) {
            let (ip, port) = (replica.address.ip(), replica.address.port());
            let _ = write!(
                text,
                "- addresses:\n  - ip: {ip}\n    hostname: {}\n  ports:\n  - name: http\n    port: {port}\n",
                replica.name
            );
        }
    }
    text
}

/// The replicas on a thread of their own, so that they answer while the callers wait.
struct ReplicaThread {
    replicas: Vec<Replica>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Clone for Replica {
    fn clone(&self) -> Self {
        Self { control: self.control.clone(), ..*self }
    }
}

impl ReplicaThread {
    fn start(cast: Cast, addresses: [SocketAddr; 2], seed: u64) -> Result<Self, Failure> {
        let names = || cast.iter().flat_map(|(_, names)| names.iter().copied());
        let (stop, stopped) = oneshot::channel();
        let (started, replicas) = std::sync::mpsc::channel();
        let thread = thread::Builder::new().name("httpbin".into()).spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let servers = serve_all(names().zip(addresses), seed).await;
                let servers = match servers {
                    Ok(servers) => servers,
                    Err(failure) => {
                        let _ = started.send(Err(failure));
                        return;
                    }
                };
                let _ = started.send(Ok(names().zip(&servers).map(replica).collect::<Vec<_>>()));
                let _ = stopped.await;
                for server in servers {
                    server.stop().await;
                }
            });
        })?;
        let replicas = replicas.recv().context("the replicas did not start")??;
        Ok(Self { replicas, stop, thread })
    }

    fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn serve_all(
    named: impl Iterator<Item = (&'static str, SocketAddr)>,
    seed: u64,
) -> Result<Vec<Server>, Failure> {
    let mut servers = Vec::new();
    for (name, address) in named {
        let mut options = Options { seed: Some(seed), ..Options::on(address).named(name) };
        options.control = Some((Ipv4Addr::LOCALHOST, 0).into());
        servers.push(fuseboard_httpbin::serve(options).await.map_err(httpbin::not_served)?);
    }
    Ok(servers)
}

fn replica((name, server): (&'static str, &Server)) -> Replica {
    let (address, door) = (server.addresses()[0], server.control_address());
    Replica { name, address, door, control: server.control() }
}
