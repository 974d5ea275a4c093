//! One cluster as it runs: limits, idle connections, ejections and numbers, which survive snapshots; and the view that one
//! snapshot gives of it: settings and hosts. What a worker does with them is the exchange's business.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use fuseboard_admin::breakers::cause_words;
use fuseboard_admin::logging::logger;
use fuseboard_admin::status::{HistoryEvent, HistoryRecord, OverrideEnd};
use fuseboard_core::balance::HostSet;
use fuseboard_core::breaker::{BreakerPolicy, Cause, Override, State, Transition, Transitions};
use fuseboard_core::limit::{HostCx, LimitView, PoolLimit, PoolsFull, Priority, ResourceManager};
use fuseboard_core::outlier::{
    HealthEpoch, OutlierAction, OutlierDetector, OutlierEvent, OutlierPolicy, OutlierView, Trip,
};
use fuseboard_core::pool::HostKey;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::{Instant, Rng};
use fuseboard_snapshot::{Availability, BreakerScope, Cluster, PerPriority, ServiceName};
use fuseboard_stats::{Counter, Sharded};
use fuseboard_tls::ClientContext;
use tracing::{debug, info, warn};

use super::history::History;
use super::host::Host;
use super::pace::Pace;
use super::refusing::Refusing;
use super::tier::{Bounds, LateTier, Tier};
use crate::breaker::{LiveBreaker, overrides_only};
use crate::clock;
use crate::events::EventRing;
use crate::fallback::LiveFallback;
use crate::outlier_log::OutlierLog;
use crate::stats::{ClusterBlock, ClusterStats, MessageSeries, RequestSeries, TcpSeries};
use crate::upstream::{ClosedBy, Pooled};

/// What a sweep of outlier detection did.
struct Swept {
    /// When the next one is due.
    next: Option<Instant>,
    /// Hosts went.
    ejected: bool,
}

/// The state of one cluster name. It dies when no snapshot names it and its last exchange has ended.
pub struct LiveCluster {
    /// Envoy's name; the identity.
    pub name: Arc<str>,
    /// Numbers, by worker.
    pub stats: Arc<Sharded<ClusterBlock>>,
    /// Istio's series, by how requests ended.
    pub requests: Arc<RequestSeries>,
    workers: usize,
    /// Made when the first TCP connection asks for it: most clusters have none.
    tcp_connections: OnceLock<Arc<TcpSeries>>,
    /// Made when the first call of gRPC asks for it.
    grpc_messages: OnceLock<Arc<MessageSeries>>,
    pub(crate) epoch: Arc<HealthEpoch>,
    /// Changes of the set of hosts; whoever applies snapshots counts.
    pub(crate) membership_changes: Counter,
    tiers: PerPriority<LateTier>,
    pools: PoolLimit,
    detector: Mutex<Option<OutlierDetector>>,
    outlier_log: Option<Arc<OutlierLog>>,
    history: History,
    /// The service it is for, as events have it.
    service: ServiceName,
    events: Arc<EventRing>,
    refusing: Refusing,
    refused_ejections: Pace,
    /// What breakers of hosts that are gone had let pass in shadow mode; a counter must not fall.
    let_pass_by_gone: AtomicU64,
}

impl LiveCluster {
    pub(crate) fn new(
        cluster: &Cluster,
        workers: usize,
        outlier_log: Option<Arc<OutlierLog>>,
        events: Arc<EventRing>,
    ) -> Self {
        let tier = |priority| LateTier::new(workers, bounds(cluster, priority));
        Self {
            name: Arc::clone(&cluster.name),
            stats: Arc::new(Sharded::new(workers)),
            requests: Arc::new(RequestSeries::new(workers)),
            workers,
            tcp_connections: OnceLock::new(),
            grpc_messages: OnceLock::new(),
            epoch: Arc::new(HealthEpoch::default()),
            membership_changes: Counter::default(),
            tiers: PerPriority { default: tier(Priority::Default), high: tier(Priority::High) },
            pools: PoolLimit::default(),
            detector: Mutex::new(None),
            outlier_log,
            history: History::default(),
            service: cluster.service.clone(),
            events,
            refusing: Refusing::default(),
            refused_ejections: Pace::default(),
            let_pass_by_gone: AtomicU64::new(0),
        }
    }

    /// Istio's counters of messages of gRPC, made now if nobody asked before.
    pub(crate) fn grpc_messages(&self) -> &MessageSeries {
        self.grpc_messages.get_or_init(|| Arc::new(MessageSeries::new(self.workers)))
    }

    /// The same, if anybody asked.
    pub(crate) fn made_grpc_messages(&self) -> Option<&Arc<MessageSeries>> {
        self.grpc_messages.get()
    }

    /// Istio's series of TCP connections, made now if nobody asked before.
    pub(crate) fn tcp_connections(&self) -> &TcpSeries {
        self.tcp_connections.get_or_init(|| Arc::new(TcpSeries::new(self.workers)))
    }

    /// The same, if there is any.
    pub(crate) fn made_tcp_connections(&self) -> Option<&Arc<TcpSeries>> {
        self.tcp_connections.get()
    }

    /// Limits and idle connections of one priority, made now if nobody asked before.
    pub(crate) fn tier(&self, priority: Priority) -> &Tier {
        self.tiers.get(priority).get()
    }

    /// Those that exist.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = &Tier> {
        Priority::ALL.into_iter().filter_map(|priority| self.tiers.get(priority).made())
    }

    /// Counts and bounds of one priority now; makes nothing.
    pub(crate) fn limit_view(&self, priority: Priority) -> LimitView {
        self.tiers.get(priority).view()
    }

    /// The live limits of one priority: gauges and bounds.
    pub fn limits(&self, priority: Priority) -> &ResourceManager {
        &self.tier(priority).limits
    }

    /// Idle connections, over all hosts and workers.
    pub fn idle_connections(&self) -> usize {
        self.tiers().map(|tier| tier.pool.idle()).sum()
    }

    /// Hosts that are ejected, and for how long; `None`: no outlier detection.
    pub fn ejections(&self) -> Option<OutlierView> {
        self.detector().as_ref().map(OutlierDetector::view)
    }

    /// Puts the settings of a new snapshot in force. Limits change in place; ejections stay (difference D7).
    pub(crate) fn reconfigure(&self, cluster: &Cluster, hosts: &[Arc<Host>], now: Instant) {
        for priority in Priority::ALL {
            if let Some(tier) = self.tiers.get(priority).set(bounds(cluster, priority)) {
                close(tier.pool.take_surplus(), &self.stats.control().stats, now);
            }
        }
        let monitors: Vec<_> = hosts.iter().map(|host| Arc::clone(&host.monitor)).collect();
        let mut detector = self.detector();
        match (&mut *detector, &cluster.outlier) {
            (Some(running), Some(policy)) => running.reconfigure(policy.clone()),
            (Some(running), None) => {
                let (events, policy) = (running.return_all(now), running.policy().clone());
                *detector = None;
                self.note_swept(&events, &policy, hosts, now);
            }
            (None, Some(policy)) => {
                *detector = Some(OutlierDetector::new(policy.clone(), Arc::clone(&self.epoch), now));
            }
            (None, None) => {}
        }
        match &mut *detector {
            Some(running) => running.set_hosts(&monitors),
            None => self.epoch.advance(),
        }
    }

    /// The breaker of the whole cluster under these settings: the one that runs, with the new numbers, or a new one. One that they
    /// do not have is dropped, once no override holds it.
    pub(crate) fn breaker(
        &self,
        cluster: &Arc<Cluster>,
        running: Option<&Arc<LiveBreaker>>,
        now: Instant,
    ) -> Option<Arc<LiveBreaker>> {
        let rule = cluster.breaker.as_ref().filter(|rule| rule.scope == BreakerScope::Destination);
        match (rule, running) {
            (Some(rule), running) => Some(self.keep_or_make(cluster, None, &rule.policy, running, now)),
            (None, None) => None,
            (None, Some(running)) => {
                let transitions = running.disarm(cluster, now)?;
                self.on_transitions(running, &transitions, self.stats.control());
                Some(Arc::clone(running))
            }
        }
    }

    /// The breakers of `hosts`, in their order, if the settings have one for each, or an override holds one: those that run stay, by
    /// their host.
    pub(crate) fn host_breakers(
        &self,
        cluster: &Arc<Cluster>,
        hosts: &[Arc<Host>],
        running: &[Arc<LiveBreaker>],
        now: Instant,
    ) -> Vec<Arc<LiveBreaker>> {
        let mut running: HashMap<HostKey, &Arc<LiveBreaker>> =
            running.iter().filter_map(|breaker| Some((breaker.host()?.key, breaker))).collect();
        let rule = cluster.breaker.as_ref().filter(|rule| rule.scope == BreakerScope::Endpoint);
        let by_hand = overrides_only();
        let is_held = |host: &Arc<Host>| {
            running.get(&host.key).is_some_and(|breaker| breaker.machine().forced(now).is_some())
        };
        let policy = match rule {
            Some(rule) => Some(&rule.policy),
            None => hosts.iter().any(is_held).then_some(&by_hand),
        };
        let breaker = |host: &Arc<Host>| {
            let own = running.remove(&host.key);
            Some(self.keep_or_make(cluster, Some(host), policy?, own, now))
        };
        let breakers = hosts.iter().filter_map(breaker).collect();
        let let_pass = running.values().map(|breaker| breaker.view(now).would_have_refused).sum();
        self.let_pass_by_gone.fetch_add(let_pass, Ordering::Relaxed);
        // Other numbers may let somebody in, or shadows begin to act.
        self.epoch.advance();
        breakers
    }

    /// What breakers of hosts that are gone had let pass in shadow mode.
    pub(crate) fn let_pass_by_gone(&self) -> u64 {
        self.let_pass_by_gone.load(Ordering::Relaxed)
    }

    fn keep_or_make(
        &self,
        cluster: &Arc<Cluster>,
        host: Option<&Arc<Host>>,
        policy: &BreakerPolicy,
        running: Option<&Arc<LiveBreaker>>,
        now: Instant,
    ) -> Arc<LiveBreaker> {
        let Some(running) = running else {
            return Arc::new(LiveBreaker::new(cluster, host, policy.clone(), now));
        };
        let transitions = running.reconfigure(cluster, policy, now);
        if !transitions.is_empty() {
            self.on_transitions(running, &transitions, self.stats.control());
        }
        Arc::clone(running)
    }

    /// Counts in `block`, logs and remembers what a breaker did. Before this returns, all workers know of an endpoint's, and idle
    /// connections to one that is shut are closed.
    pub(crate) fn on_transitions(
        &self,
        breaker: &LiveBreaker,
        transitions: &Transitions,
        block: &ClusterBlock,
    ) {
        let host = breaker.host();
        if host.is_some() && transitions.iter().any(Transition::takes_effect) {
            self.epoch.advance();
        }
        breaker.remember(transitions);
        let endpoint = host.map(|host| host.endpoint.address);
        for transition in transitions {
            block.breaker.count(transition);
            log_transition(&self.name, endpoint, transition);
            self.tell(HistoryEvent::Breaker { endpoint, change: transition.clone() }, transition.at);
            match &transition.cause {
                Cause::Forced(order) => {
                    let time = order.until.saturating_since(transition.at);
                    let event = HistoryEvent::OverrideSet { endpoint, order: order.clone(), time };
                    self.tell(event, transition.at);
                }
                Cause::OverrideEnded(order) => {
                    self.override_ended(breaker, order, OverrideEnd::Expired, transition.at);
                }
                _ => {}
            }
        }
        let now = clock::now();
        if let Some(host) = host.filter(|_| breaker.is_shut(now)) {
            self.close_idle(host, &block.stats, now);
        }
    }

    /// Tells that an override is over.
    pub(crate) fn override_ended(
        &self,
        breaker: &LiveBreaker,
        order: &Override,
        how: OverrideEnd,
        now: Instant,
    ) {
        let endpoint = breaker.host().map(|host| host.endpoint.address);
        self.tell(HistoryEvent::OverrideEnded { endpoint, order: order.clone(), how }, now);
    }

    /// One of the limits refused a call. True: for the first time, so somebody has to see when that is over.
    pub(crate) fn note_refusal(&self, reason: RefusalReason, bound: Option<u32>, now: Instant) -> bool {
        let first = self.refusing.note(reason, bound, now);
        first.map(|event| self.tell(event, now)).is_some()
    }

    /// Tells which limits refuse nobody any more; says when to look again.
    pub(crate) fn leave_limits(&self, now: Instant) -> Option<Instant> {
        let (left, next) = self.refusing.left(now);
        for event in left {
            self.tell(event, now);
        }
        next
    }

    /// Remembers what happened, and tells those who follow.
    fn tell(&self, event: HistoryEvent, now: Instant) {
        let record = HistoryRecord { at: clock::wall(now), event };
        self.events.push(&self.name, &self.service, record.clone());
        if matches!(
            record.event,
            HistoryEvent::Breaker { .. } | HistoryEvent::Ejected { .. } | HistoryEvent::Returned { .. }
        ) {
            self.history.push(record);
        }
    }

    /// Ends what runs out by itself; says when the next thing does. Counts in the control block.
    pub(crate) fn tick(&self, breaker: &LiveBreaker, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let machine = breaker.machine();
        if machine.deadline()? <= now {
            self.on_transitions(breaker, &machine.tick(now, rng), self.stats.control());
        }
        machine.deadline()
    }

    /// What happened lately, oldest first.
    pub fn history(&self) -> Vec<HistoryRecord> {
        self.history.records()
    }

    /// Decides on what a worker saw, and counts that in its block. An ejected host's idle connections are closed before this returns.
    pub(crate) fn on_trip(&self, host: &Host, trip: Trip, block: &ClusterBlock, now: Instant, rng: &mut Rng) {
        let (events, policy) = {
            let mut detector = self.detector();
            let Some(detector) = detector.as_mut() else { return };
            (detector.on_trip(&host.monitor, trip, now, rng), detector.policy().clone())
        };
        for event in &events {
            block.count_event(event);
            self.log(event, &policy, host, now);
            if matches!(event.action, OutlierAction::Ejected { .. }) {
                self.close_idle(host, &block.stats, now);
            }
        }
    }

    /// The sweep that returns hosts and judges rates; says when the next one is due. Counts in the control block. An ejected
    /// host's idle connections are closed before this returns.
    fn sweep(&self, hosts: &[Arc<Host>], now: Instant, rng: &mut Rng) -> Option<Swept> {
        let (events, next, policy) = {
            let mut detector = self.detector();
            let detector = detector.as_mut()?;
            (detector.tick(now, rng), detector.deadline(), detector.policy().clone())
        };
        self.note_swept(&events, &policy, hosts, now);
        let ejected = events.iter().any(|event| matches!(event.action, OutlierAction::Ejected { .. }));
        Some(Swept { next, ejected })
    }

    /// Ends the ejection of a host now; false: it is not ejected. The caller holds the registry's control lock.
    pub(crate) fn return_host(&self, host: &Host, now: Instant) -> bool {
        let (event, policy) = {
            let mut detector = self.detector();
            let Some(detector) = detector.as_mut() else { return false };
            (detector.return_host(&host.monitor, now), detector.policy().clone())
        };
        let Some(event) = event else { return false };
        self.stats.control().count_event(&event);
        self.log(&event, &policy, host, now);
        true
    }

    /// Counts and logs what a sweep found.
    fn note_swept(&self, events: &[OutlierEvent], policy: &OutlierPolicy, hosts: &[Arc<Host>], now: Instant) {
        for event in events {
            self.stats.control().count_event(event);
            if let Some(host) = hosts.iter().find(|host| Arc::ptr_eq(host.monitor.id(), &event.host)) {
                self.log(event, policy, host, now);
                if matches!(event.action, OutlierAction::Ejected { .. }) {
                    self.close_idle(host, &self.stats.control().stats, now);
                }
            }
        }
    }

    /// Tells the logs and the history of it.
    fn log(&self, event: &OutlierEvent, policy: &OutlierPolicy, host: &Host, now: Instant) {
        let (cluster, id) = (&self.name, &event.host);
        match event.action {
            OutlierAction::Ejected { by, .. } => {
                warn!(target: logger::UPSTREAM, "{cluster}: {id} ejected ({}, number {})", by.event_type(), event.num_ejections);
            }
            OutlierAction::Returned { .. } => info!(target: logger::UPSTREAM, "{cluster}: {id} returned"),
            OutlierAction::Blocked { ejected, hosts, .. } => {
                debug!(target: logger::UPSTREAM, "{cluster}: {id} not ejected: {ejected} of {hosts} hosts already are");
            }
            OutlierAction::NotEnforced { .. } => {
                debug!(target: logger::UPSTREAM, "{cluster}: {id} not ejected: the detector is not enforced");
            }
        }
        let address = host.endpoint.address;
        let happened = match event.action {
            OutlierAction::Ejected { by, due } => Some(HistoryEvent::Ejected {
                address,
                detector: by.event_type(),
                number: event.num_ejections,
                time: due.saturating_since(now),
            }),
            OutlierAction::Returned { .. } => Some(HistoryEvent::Returned { address }),
            OutlierAction::Blocked { by, ejected, hosts } => {
                self.refused_ejections.tell(now).map(|more| HistoryEvent::EjectionRefused {
                    address,
                    detector: by.event_type(),
                    ejected,
                    hosts,
                    max_percent: policy.max_ejection_percent,
                    more,
                })
            }
            OutlierAction::NotEnforced { .. } => None,
        };
        if let Some(event) = happened {
            self.tell(event, now);
        }
        if let Some(log) = &self.outlier_log {
            log.log(&self.name, &host.endpoint, event, policy, now);
        }
    }

    /// Closes the idle connections to a host; busy ones finish what they do.
    pub(crate) fn close_idle(&self, host: &Host, stats: &ClusterStats, now: Instant) {
        for tier in self.tiers() {
            close(tier.pool.take_host(host.key), stats, now);
        }
    }

    /// Closes all idle connections: the running snapshot does not name the cluster, or lets nobody send to it.
    pub(crate) fn retire(&self, now: Instant) {
        for tier in self.tiers() {
            close(tier.pool.take_all(), &self.stats.control().stats, now);
        }
    }

    /// Nobody is left to send to: all that wait are told so.
    pub(crate) fn dismiss_waiters(&self) {
        for tier in self.tiers() {
            tier.limits.dismiss_waiters();
        }
    }

    fn detector(&self) -> MutexGuard<'_, Option<OutlierDetector>> {
        // A panic inside the detector leaves counts behind that are still counts.
        self.detector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_transition(cluster: &str, endpoint: Option<SocketAddr>, transition: &Transition) {
    let whose = endpoint.map(|address| format!(" of {address}")).unwrap_or_default();
    let Transition { from, to, .. } = transition;
    let why = cause_words(&transition.cause);
    let shadow = if transition.shadow { " (shadow: nothing is refused)" } else { "" };
    if *to == State::Open {
        let time =
            transition.open_until.map_or(Duration::ZERO, |until| until.saturating_since(transition.at));
        warn!(target: logger::UPSTREAM, "{cluster}: breaker{whose} {from} -> open for {time:.1?}: {why}{shadow}");
    } else {
        info!(target: logger::UPSTREAM, "{cluster}: breaker{whose} {from} -> {to}: {why}{shadow}");
    }
}

/// What the settings say of one priority.
fn bounds(cluster: &Cluster, priority: Priority) -> Bounds {
    let streams = cluster.http.streams(cluster.connection.max_requests);
    Bounds { thresholds: *cluster.thresholds.get(priority), streams }
}

fn close(connections: Vec<Pooled>, stats: &ClusterStats, now: Instant) {
    for connection in connections {
        connection.close(stats, ClosedBy::Local, now);
    }
}

/// What connections to the hosts of a cluster are begun with; `None`: plain text.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterTls {
    /// Those that a request has for itself.
    pub(crate) own: Option<Arc<ClientContext>>,
    /// Those that requests share, by HTTP/2.
    pub(crate) shared: Option<Arc<ClientContext>>,
}

impl fmt::Debug for LiveCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveCluster").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The breakers that a view of a cluster has.
#[derive(Clone, Debug)]
pub(crate) struct Breakers {
    /// That of all calls.
    pub(crate) whole: Option<Arc<LiveBreaker>>,
    /// Those of the hosts, in their order, or none.
    pub(crate) hosts: Vec<Arc<LiveBreaker>>,
}

/// A cluster as one snapshot has it: the live state, with the settings and hosts of that snapshot.
#[derive(Debug)]
pub struct ClusterView {
    /// What survives snapshots.
    pub live: Arc<LiveCluster>,
    /// The settings.
    pub config: Arc<Cluster>,
    /// What connections are begun with.
    pub(crate) tls: ClusterTls,
    /// The breaker of all calls, if the settings have one or an override is in force.
    pub breaker: Option<Arc<LiveBreaker>>,
    /// What its fallbacks keep and count, if the settings have some.
    pub fallback: Option<Arc<LiveFallback>>,
    /// The breakers of the hosts, in their order; empty unless the settings have one for each, or an override of one is in force.
    pub host_breakers: Vec<Arc<LiveBreaker>>,
    /// The hosts, in the order of `config.endpoints`.
    pub hosts: Vec<Arc<Host>>,
    /// The hosts as balancers see them; same order.
    pub host_set: Arc<HostSet>,
}

impl ClusterView {
    /// The sweep of outlier detection; says when the next one is due. Where it ejects the last host, those who wait are told.
    pub(crate) fn sweep(&self, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let swept = self.live.sweep(&self.hosts, now, rng)?;
        if swept.ejected && self.is_deserted(now) {
            self.live.dismiss_waiters();
        }
        swept.next
    }

    /// Counts a connection to `host` that is about to be opened, if `maxConnectionPools` allows it. A host whose connections
    /// are all idle makes room for another one: they are closed.
    pub(crate) fn claim_connection(
        &self,
        host: &Host,
        stats: &ClusterStats,
        now: Instant,
    ) -> Result<HostCx, PoolsFull> {
        let Some(bound) = self.config.max_connection_pools else { return Ok(host.connections.count()) };
        let reclaim = |other: &Arc<Host>| {
            if other.load.active() == 0 {
                self.live.close_idle(other, stats, now);
            }
        };
        self.live.pools.claim(bound.get(), &host.connections, &self.hosts, |host| &host.connections, reclaim)
    }

    /// Its breakers.
    pub(crate) fn breakers(&self) -> Breakers {
        Breakers { whole: self.breaker.clone(), hosts: self.host_breakers.clone() }
    }

    /// Whether there is a breaker, of the whole or of each host.
    pub(crate) fn has_breakers(&self) -> bool {
        self.breaker.is_some() || !self.host_breakers.is_empty()
    }

    /// The breaker that says why a call was refused; of several hosts' that of the one which lets a call through first.
    pub(crate) fn refusing(&self, now: Instant) -> Option<&Arc<LiveBreaker>> {
        let of_host = || {
            let waits = |breaker: &&Arc<LiveBreaker>| {
                breaker.machine().peek(now).err().map_or(Duration::ZERO, |refusal| refusal.retry_after)
            };
            self.host_breakers.iter().filter(|breaker| !breaker.machine().takes_all()).min_by_key(waits)
        };
        let open = |breaker: &&Arc<LiveBreaker>| !breaker.machine().takes_all();
        self.breaker
            .as_ref()
            .filter(|breaker| self.host_breakers.is_empty() || open(breaker))
            .or_else(of_host)
    }

    /// Nobody can be sent to, so nobody should wait.
    pub(crate) fn is_deserted(&self, now: Instant) -> bool {
        self.config.availability != Availability::Serving || self.host_set.is_deserted(now)
    }
}
