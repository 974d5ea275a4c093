//! A proxy in this process in front of scripted upstreams: what the component tests start from.
#![allow(unreachable_pub, missing_docs, reason = "shared inside one test binary")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

pub mod judge;
pub mod log;
pub mod numbers;
pub mod series;

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use fuseboard_core::limit::{Priority, Thresholds};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::retry::RetryPolicy;
use fuseboard_proxy::live::ClusterView;
use fuseboard_proxy::stats::ClusterBlock;
use fuseboard_proxy::{AdminAddress, Proxy, ProxyOptions, RefusalRecord, StartError};
use fuseboard_snapshot::{Cluster, Domain, Listener, Route, RouteConfig, Snapshot, VirtualHost};
use fuseboard_testkit::{Client, ClusterSketch, settle};

/// Every test of behaviour runs with one worker and with several.
pub const WORKERS: [usize; 2] = [1, 4];

/// What a snapshot is made from; change it and [`Rig::apply`] it.
#[derive(Clone)]
pub struct Draft {
    pub cluster: Cluster,
    /// Clusters that no route leads to; the first one is number 1 of the snapshot.
    pub others: Vec<Cluster>,
    pub route: Route,
    /// Whose requests go there.
    pub domains: Vec<Domain>,
    pub listener: Listener,
}

/// A running proxy with one cluster, called `rig`.
pub struct Rig {
    pub proxy: Proxy,
    pub address: SocketAddr,
    pub draft: Draft,
    version: u64,
}

pub fn limits(connections: u32, pending: u32, requests: u32) -> Thresholds {
    Thresholds {
        max_connections: connections,
        max_pending_requests: pending,
        max_requests: requests,
        ..Thresholds::UNLIMITED
    }
}

/// Ejects at the first 5xx, whatever the percentage.
pub fn touchy() -> OutlierPolicy {
    let mut policy = OutlierPolicy { max_ejection_percent: 100, ..OutlierPolicy::default() };
    policy.consecutive_5xx.threshold = 1;
    policy
}

/// So many workers, and an admin server on a port of the system's choice.
pub fn options(workers: usize) -> ProxyOptions {
    let admin = AdminAddress::Tcp(([127, 0, 0, 1], 0).into());
    ProxyOptions { concurrency: workers, admin: Some(admin), ..ProxyOptions::default() }
}

static PANICS_END_THE_RUN: Once = Once::new();

/// A panic on one of the proxy's threads closes a connection, and could pass for what a test wants. Threads of tests have
/// their test's name, or none.
fn end_the_run_on_panics() {
    const THREADS: [&str; 5] = ["worker-", "acceptor", "control", "admin", "access-log"];
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        if THREADS.iter().any(|of_proxy| name.starts_with(of_proxy)) && !name.contains("::") {
            std::process::abort();
        }
    }));
}

impl Rig {
    /// With `workers` workers in front of `hosts`; `change` sees the draft first.
    pub fn start(workers: usize, hosts: &[SocketAddr], change: impl FnOnce(&mut Draft)) -> Self {
        Self::start_with(options(workers), hosts, change)
    }

    pub fn start_with(options: ProxyOptions, hosts: &[SocketAddr], change: impl FnOnce(&mut Draft)) -> Self {
        Self::try_start(options, hosts, change).unwrap()
    }

    /// For those that expect it to fail.
    pub fn try_start(
        options: ProxyOptions,
        hosts: &[SocketAddr],
        change: impl FnOnce(&mut Draft),
    ) -> Result<Self, StartError> {
        PANICS_END_THE_RUN.call_once(end_the_run_on_panics);
        let sketch = ClusterSketch::new("rig", hosts).snapshot(1).unwrap();
        let mut draft = Draft {
            cluster: (*sketch.clusters[0]).clone(),
            others: Vec::new(),
            route: sketch.routes[0].virtual_hosts[0].route.clone(),
            domains: vec![Domain::Any],
            listener: sketch.listeners[0].clone(),
        };
        change(&mut draft);
        let proxy = fuseboard_proxy::start(options, Arc::new(draft.snapshot(1)))?;
        let address = proxy.listeners()[0].address;
        Ok(Self { proxy, address, draft, version: 1 })
    }

    /// Changes the draft and puts it in force.
    pub fn apply(&mut self, change: impl FnOnce(&mut Draft)) {
        change(&mut self.draft);
        self.version += 1;
        self.proxy.apply(&Arc::new(self.draft.snapshot(self.version))).unwrap();
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    pub fn cluster(&self) -> Arc<ClusterView> {
        Arc::clone(self.proxy.live().cluster("rig").unwrap())
    }

    /// A counter of the cluster, over all workers.
    pub fn count(&self, of: impl Fn(&ClusterBlock) -> u64) -> u64 {
        self.cluster().live.stats.iter().map(of).sum()
    }

    /// Waits until so many requests wait in the queue.
    pub async fn until_pending(&self, pending: u32) {
        let cluster = self.cluster();
        let waits = || cluster.live.limits(Priority::Default).view().pending == pending;
        assert!(settle(Duration::from_secs(5), waits).await, "the queue never had {pending}");
    }

    /// Waits until nothing is in flight or waiting.
    pub async fn until_idle(&self) {
        let cluster = self.cluster();
        let idle = || {
            let view = cluster.live.limits(Priority::Default).view();
            view.requests == 0 && view.pending == 0 && view.retries == 0
        };
        let view = || cluster.live.limits(Priority::Default).view();
        assert!(settle(Duration::from_secs(5), idle).await, "something leaks: {:?}", view());
    }

    /// What the admin server says now; only for rigs that have one.
    pub fn numbers(&self) -> numbers::Numbers {
        numbers::Numbers::read(self.proxy.admin_address().unwrap())
    }

    /// Istio's metrics now; only for rigs that have an admin server.
    pub fn series(&self) -> series::Series {
        series::Series::read(self.proxy.admin_address().unwrap())
    }

    /// Waits until nothing is in flight and every upstream connection is closed.
    pub async fn until_closed(&self) {
        self.until_idle().await;
        let cluster = self.cluster();
        let open = || cluster.live.limits(Priority::Default).view().connections;
        assert!(settle(Duration::from_secs(5), || open() == 0).await, "{} stay open", open());
    }

    /// Waits until every gauge of something under way is 0: clients, requests, waiters, tunnels. Idle upstream connections may stay.
    pub async fn until_at_rest(&self) {
        const UNDER_WAY: [&str; 7] = [
            "listener.downstream_cx_active",
            "http.downstream_cx_active",
            "http.downstream_rq_active",
            "http.downstream_cx_upgrades_active",
            "upstream_rq_active",
            "upstream_rq_pending_active",
            "circuit_breakers.default.rq_retry_open",
        ];
        let busy = || {
            let numbers = self.numbers();
            UNDER_WAY.into_iter().filter(|name| numbers.get(name) != 0).collect::<Vec<_>>()
        };
        assert!(settle(Duration::from_secs(5), || busy().is_empty()).await, "not at rest: {:?}", busy());
        self.until_idle().await;
    }

    pub fn refusals(&self) -> Vec<RefusalRecord> {
        self.proxy.refusals(SystemTime::UNIX_EPOCH)
    }

    /// Refusals remembered for this reason.
    pub fn refused(&self, reason: RefusalReason) -> usize {
        self.refusals().iter().filter(|record| record.reason == reason).count()
    }
}

impl Draft {
    /// Istio's default retries.
    pub fn retries(&mut self) -> &mut RetryPolicy {
        let policy = self.route.retry.get_or_insert_with(|| Arc::new(RetryPolicy::istio_default()));
        Arc::make_mut(policy)
    }

    /// One more cluster; its number.
    pub fn other(&mut self, name: &str, hosts: &[SocketAddr]) -> usize {
        let sketch = ClusterSketch::new(name, hosts).snapshot(1).unwrap();
        self.others.push((*sketch.clusters[0]).clone());
        self.others.len()
    }

    /// Other hosts.
    pub fn hosts(&mut self, hosts: &[SocketAddr]) {
        let sketch = ClusterSketch::new("rig", hosts).snapshot(1).unwrap();
        self.cluster.endpoints.clone_from(&sketch.clusters[0].endpoints);
    }

    pub fn snapshot(&self, version: u64) -> Snapshot {
        let host =
            VirtualHost { name: "rig:80".into(), domains: self.domains.clone(), route: self.route.clone() };
        let routes = RouteConfig { name: "rig".into(), virtual_hosts: vec![host] };
        let clusters =
            [&self.cluster].into_iter().chain(&self.others).map(|one| Arc::new(one.clone())).collect();
        Snapshot::new(version, vec![self.listener.clone()], vec![Arc::new(routes)], clusters).unwrap()
    }
}
