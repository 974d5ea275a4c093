//! Turns a snapshot into live state: finds what ran already by its identity, makes what is new, retires what is gone.
//! One snapshot at a time; workers see it whole, at their next request.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use fuseboard_admin::logging::logger;
use fuseboard_core::Instant;
use fuseboard_core::balance::{HostEntry, HostSet};
use fuseboard_core::pool::HostKey;
use fuseboard_core::published::{Numbered, Published, Slot};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Availability, Cluster, EndpointHealth, EndpointId, Snapshot, UpstreamVersion};
use fuseboard_stats::Gauge;
use fuseboard_tls::{ClientContext, ClientPolicy, ProtocolError};
use tracing::error;

use super::cluster::{Breakers, ClusterTls, ClusterView, LiveCluster};
use super::host::Host;
use super::routing::RoutingTable;
use crate::breaker::LiveBreaker;
use crate::events::EventRing;
use crate::fallback::LiveFallback;
use crate::listener::LiveListener;
use crate::outlier_log::OutlierLog;

/// A snapshot with the live state behind it. Never changes; the next snapshot makes the next one.
#[derive(Debug)]
pub struct LiveSnapshot {
    /// Grows with each applied snapshot, and when an override adds or removes a breaker.
    pub generation: u64,
    /// When it was put into effect.
    pub applied_at: Instant,
    /// What was applied.
    pub snapshot: Arc<Snapshot>,
    /// Its clusters, in its order.
    pub clusters: Vec<Arc<ClusterView>>,
    pub(crate) tables: Arc<[RoutingTable]>,
    /// Running listeners, in the snapshot's order.
    pub(crate) listeners: Vec<Arc<LiveListener>>,
    by_name: Arc<HashMap<Arc<str>, usize>>,
}

impl LiveSnapshot {
    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<&Arc<ClusterView>> {
        self.position(name).map(|index| &self.clusters[index])
    }

    /// Position of the cluster of this name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Position of a running listener in `snapshot.listeners`.
    pub(crate) fn listener(&self, id: u64) -> Option<usize> {
        self.listeners.iter().position(|listener| listener.id == id)
    }

    /// Connections that its listeners took since they are there, and those that are open.
    pub fn clients(&self) -> (u64, u64) {
        let blocks = self.listeners.iter().flat_map(|listener| listener.stats.iter());
        let stats = blocks.map(|block| &block.listener);
        let taken = stats.clone().map(|stats| stats.downstream_cx_total.get()).sum();
        (taken, Gauge::sum(stats.map(|stats| &stats.downstream_cx_active)))
    }

    /// Nothing runs.
    pub(crate) fn empty() -> Self {
        Self {
            generation: 0,
            applied_at: Instant::ZERO,
            snapshot: Arc::new(Snapshot::default()),
            clusters: Vec::new(),
            tables: Arc::default(),
            listeners: Vec::new(),
            by_name: Arc::default(),
        }
    }
}

impl Numbered for LiveSnapshot {
    fn number(&self) -> u64 {
        self.generation
    }
}

impl Slot<LiveSnapshot> for ArcSwap<LiveSnapshot> {
    fn store(&self, live: Arc<LiveSnapshot>) {
        Self::store(self, live);
    }

    fn load(&self) -> Arc<LiveSnapshot> {
        self.load_full()
    }
}

/// The current [`LiveSnapshot`]. Whoever applies holds the server's lock.
#[derive(Debug)]
pub(crate) struct Registry {
    workers: usize,
    outlier_log: Option<Arc<OutlierLog>>,
    events: Arc<EventRing>,
    published: Published<ArcSwap<LiveSnapshot>>,
    next_key: AtomicU64,
    /// Held by whoever writes control blocks of stats.
    control: Mutex<()>,
}

impl Registry {
    pub(crate) fn new(workers: usize, outlier_log: Option<Arc<OutlierLog>>, events: Arc<EventRing>) -> Self {
        Self {
            workers,
            outlier_log,
            events,
            published: Published::new(ArcSwap::from_pointee(LiveSnapshot::empty())),
            next_key: AtomicU64::new(0),
            control: Mutex::new(()),
        }
    }

    /// The right to write control blocks of stats.
    pub(crate) fn control(&self) -> MutexGuard<'_, ()> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs now.
    pub(crate) fn current(&self) -> Arc<LiveSnapshot> {
        self.published.current()
    }

    /// The generation of what runs now; cheap enough to look at for each request.
    pub(crate) fn generation(&self) -> u64 {
        self.published.number()
    }

    /// Whether `live` still is what runs; as cheap.
    pub(crate) fn is_current(&self, live: &LiveSnapshot) -> bool {
        self.published.is_current(live)
    }

    /// Makes `snapshot` what runs.
    pub(crate) fn apply(&self, snapshot: Arc<Snapshot>, listeners: Vec<Arc<LiveListener>>, now: Instant) {
        let _only_writer = self.control();
        let before = self.current();
        let clusters: Vec<_> =
            snapshot.clusters.iter().map(|cluster| self.view(cluster, &before, now)).collect();
        let by_name =
            clusters.iter().enumerate().map(|(index, view)| (Arc::clone(&view.live.name), index)).collect();
        let generation = before.generation + 1;
        let live = Arc::new(LiveSnapshot {
            generation,
            applied_at: now,
            tables: snapshot.routes.iter().map(RoutingTable::new).collect(),
            snapshot,
            clusters,
            listeners,
            by_name: Arc::new(by_name),
        });
        self.published.publish(Arc::clone(&live));
        retire_gone(&before, &live, now);
    }

    /// Gives the clusters at these positions these breakers; everything else goes on as it runs. The caller holds
    /// [`Self::control`].
    pub(crate) fn set_breakers(&self, breakers: Vec<(usize, Breakers)>) {
        let before = self.current();
        let mut clusters = before.clusters.clone();
        for (position, Breakers { whole, hosts }) in breakers {
            let view = &clusters[position];
            // The hosts' are all there, or none is.
            let same = view.host_breakers.len() == hosts.len();
            let new_set = || host_set(&view.config, &view.hosts, &hosts, &view.live);
            let host_set = if same { Arc::clone(&view.host_set) } else { new_set() };
            clusters[position] = Arc::new(ClusterView {
                live: Arc::clone(&view.live),
                config: Arc::clone(&view.config),
                tls: view.tls.clone(),
                breaker: whole,
                fallback: view.fallback.clone(),
                host_breakers: hosts,
                hosts: view.hosts.clone(),
                host_set,
            });
        }
        self.published.publish(Arc::new(LiveSnapshot {
            generation: before.generation + 1,
            applied_at: before.applied_at,
            snapshot: Arc::clone(&before.snapshot),
            clusters,
            tables: Arc::clone(&before.tables),
            listeners: before.listeners.clone(),
            by_name: Arc::clone(&before.by_name),
        }));
    }

    /// The view of one cluster: its state and hosts as they ran before, or new ones.
    fn view(&self, cluster: &Arc<Cluster>, before: &LiveSnapshot, now: Instant) -> Arc<ClusterView> {
        let old = before.cluster(&cluster.name);
        if let Some(old) = old.filter(|old| old.config == *cluster) {
            return Arc::clone(old);
        }
        let new = || {
            let (log, events) = (self.outlier_log.clone(), Arc::clone(&self.events));
            Arc::new(LiveCluster::new(cluster, self.workers, log, events))
        };
        let live = old.map_or_else(new, |old| Arc::clone(&old.live));
        let known: HashMap<&EndpointId, &Arc<Host>> =
            old.iter().flat_map(|old| &old.hosts).map(|host| (&host.endpoint.id, host)).collect();
        let hosts: Vec<_> = cluster
            .endpoints
            .iter()
            .map(|endpoint| match known.get(&endpoint.id) {
                Some(host) => Arc::clone(host),
                None => Arc::new(Host::new(self.next_key(), endpoint.clone(), self.workers)),
            })
            .collect();
        let (cluster, tls) = secured(cluster, old);
        let cluster = &cluster;
        live.reconfigure(cluster, &hosts, now);
        let breaker = live.breaker(cluster, old.and_then(|old| old.breaker.as_ref()), now);
        let fallback = LiveFallback::of(cluster, old.and_then(|old| old.fallback.as_ref()));
        let running = old.map(|old| &*old.host_breakers).unwrap_or_default();
        let host_breakers = live.host_breakers(cluster, &hosts, running, now);
        let same_hosts = old.is_some_and(|old| {
            old.hosts.len() == hosts.len() && old.hosts.iter().zip(&hosts).all(|(a, b)| Arc::ptr_eq(a, b))
        });
        if !same_hosts {
            live.membership_changes.inc();
        }
        let host_set = host_set(cluster, &hosts, &host_breakers, &live);
        let config = Arc::clone(cluster);
        Arc::new(ClusterView { live, config, tls, breaker, fallback, host_breakers, hosts, host_set })
    }

    fn next_key(&self) -> HostKey {
        HostKey(self.next_key.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the cluster's connections are begun with: the same as before while the settings are, so that sessions can be taken
/// up again. Settings of which nothing can be made keep the cluster from being used.
fn secured(cluster: &Arc<Cluster>, old: Option<&Arc<ClusterView>>) -> (Arc<Cluster>, ClusterTls) {
    let Some(policy) = &cluster.tls else { return (Arc::clone(cluster), ClusterTls::default()) };
    let running = old.map(|old| old.tls.clone()).unwrap_or_default();
    let many = cluster.http.version != UpstreamVersion::Http1;
    let made = context(policy, running.own, fuseboard_tls::HTTP_1_1).and_then(|own| {
        let shared = many.then(|| context(policy, running.shared, fuseboard_tls::HTTP_2)).transpose()?;
        Ok(ClusterTls { own: Some(own), shared })
    });
    match made {
        Ok(tls) => (Arc::clone(cluster), tls),
        Err(error) => {
            error!(target: logger::UPSTREAM, "{}: no TLS can be made of its settings: {error}", cluster.name);
            let availability = Availability::Withheld(RefusalReason::TlsNotReady);
            (Arc::new(Cluster { availability, ..(**cluster).clone() }), ClusterTls::default())
        }
    }
}

/// What connections of one protocol are begun with.
fn context(
    policy: &Arc<ClientPolicy>,
    running: Option<Arc<ClientContext>>,
    protocol: &[u8],
) -> Result<Arc<ClientContext>, ProtocolError> {
    match running.filter(|running| running.policy() == policy) {
        Some(running) => Ok(running),
        None => ClientContext::new(policy, &[protocol]).map(Arc::new),
    }
}

fn host_set(
    cluster: &Cluster,
    hosts: &[Arc<Host>],
    breakers: &[Arc<LiveBreaker>],
    live: &LiveCluster,
) -> Arc<HostSet> {
    let entries: Vec<_> = cluster
        .endpoints
        .iter()
        .zip(hosts)
        .enumerate()
        .map(|(index, (endpoint, host))| HostEntry {
            weight: endpoint.weight,
            healthy: endpoint.health == EndpointHealth::Healthy,
            load: Arc::clone(&host.load),
            monitor: cluster.outlier.is_some().then(|| Arc::clone(&host.monitor)),
            breaker: breakers.get(index).map(|breaker| Arc::clone(breaker.machine())),
        })
        .collect();
    let set = HostSet::new(entries, cluster.panic_threshold, Arc::clone(&live.epoch));
    Arc::new(set.when_none_healthy(cluster.none_healthy))
}

/// Closes idle connections to hosts and clusters that are gone, or may not be sent to any more; where nobody is left to send
/// to, those who wait are told.
fn retire_gone(before: &LiveSnapshot, after: &LiveSnapshot, now: Instant) {
    for old in &before.clusters {
        let Some(new) = after.cluster(&old.live.name) else {
            old.hosts.iter().for_each(|host| host.leave());
            old.live.retire(now);
            old.live.dismiss_waiters();
            continue;
        };
        if Arc::ptr_eq(old, new) {
            continue;
        }
        let kept: HashSet<HostKey> = new.hosts.iter().map(|host| host.key).collect();
        for host in old.hosts.iter().filter(|host| !kept.contains(&host.key)) {
            // First the mark: a connection that is checked in from here on is not kept.
            host.leave();
            new.live.close_idle(host, &new.live.stats.control().stats, now);
        }
        if new.config.availability != Availability::Serving || !same_security(old, new) {
            new.live.retire(now);
        }
        if new.is_deserted(now) {
            new.live.dismiss_waiters();
        }
    }
}

/// Whether connections of before are still what the settings ask for.
fn same_security(old: &ClusterView, new: &ClusterView) -> bool {
    let same = |old: &Option<Arc<ClientContext>>, new: &Option<Arc<ClientContext>>| match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        _ => false,
    };
    same(&old.tls.own, &new.tls.own) && same(&old.tls.shared, &new.tls.shared)
}
