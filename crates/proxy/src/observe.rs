//! What the admin pages see: the live state put into plain data, at the moment of the question.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use fuseboard_admin::logging::LogControl;
use fuseboard_admin::orders::{self, Order};
use fuseboard_admin::status::{
    ClusterStatus, EjectionStatus, HistoryRecord, HostStatus, ListenerStatus, ProxyStatus, RefusalRecord,
    ServerInfo, ServerState,
};
use fuseboard_core::Instant;
use fuseboard_core::limit::Priority;
use fuseboard_core::outlier::{ByOrigin, DetectionKind, HostView, OutlierPolicy};
use fuseboard_snapshot::{EndpointHealth, PerPriority};

use crate::admin::{AdminSource, ListenerDrain};
use crate::clock;
use crate::events::EventRing;
use crate::live::{ClusterView, Host};
use crate::shared::{Phase, Shared};
use crate::stats::{HostStats, Observation};

impl AdminSource for Shared {
    fn observe(&self) -> Observation {
        let (live, now) = (self.registry.current(), clock::now());
        Observation {
            cluster_blocks: live.clusters.iter().map(|view| Arc::clone(&view.live.stats)).collect(),
            cluster_requests: live.clusters.iter().map(|view| Arc::clone(&view.live.requests)).collect(),
            cluster_connections: live
                .clusters
                .iter()
                .map(|view| view.live.made_tcp_connections().cloned())
                .collect(),
            cluster_messages: live
                .clusters
                .iter()
                .map(|view| view.live.made_grpc_messages().cloned())
                .collect(),
            unrouted: Arc::clone(&self.unrouted),
            unrouted_messages: Arc::clone(&self.unrouted_messages),
            source: self.options.source.clone(),
            max_connections: self.clients.most,
            rules_held_back: self.rules_held_back.load(Ordering::Relaxed),
            listener_blocks: live.listeners.iter().map(|listener| Arc::clone(&listener.stats)).collect(),
            status: ProxyStatus {
                server: self.server_info(now),
                listeners: live
                    .listeners
                    .iter()
                    .map(|listener| ListenerStatus {
                        tls: listener.tls().is_some(),
                        name: Arc::clone(&listener.name),
                        address: listener.address,
                        accepting: !*listener.stopped().borrow(),
                    })
                    .collect(),
                clusters: live.clusters.iter().map(|view| cluster_status(view, now)).collect(),
                snapshot: Arc::clone(&live.snapshot),
                applied_at: clock::wall(live.applied_at),
            },
        }
    }

    fn server(&self) -> ServerInfo {
        self.server_info(clock::now())
    }

    fn refusals(&self, window: Duration) -> (Vec<RefusalRecord>, bool) {
        let since = SystemTime::now().checked_sub(window).unwrap_or(SystemTime::UNIX_EPOCH);
        (self.refusals.since(since), self.refusals.has_lost_since(since))
    }

    fn histories(&self) -> HashMap<Arc<str>, Vec<HistoryRecord>> {
        let live = self.registry.current();
        let histories = live.clusters.iter().map(|view| (Arc::clone(&view.config.name), view.live.history()));
        histories.filter(|(_, history)| !history.is_empty()).collect()
    }

    fn order_breaker(&self, order: &Order) -> orders::Outcome {
        self.carry_out(order)
    }

    fn events(&self) -> &Arc<EventRing> {
        &self.events
    }

    fn fail_health_check(&self, fails: bool) {
        self.farewell.unhealthy.store(fails, Ordering::Relaxed);
    }

    fn drain_listeners(&self, drain: ListenerDrain) {
        match drain {
            ListenerDrain::Now => self.stop_listeners(),
            ListenerDrain::Graceful => {
                self.farewell.draining.store(true, Ordering::Relaxed);
                self.stop_listeners_at(clock::now() + self.options.drain_time);
            }
            ListenerDrain::AskOnly => self.farewell.draining.store(true, Ordering::Relaxed),
        }
    }

    fn log(&self) -> Option<&dyn LogControl> {
        self.options.log.as_deref()
    }

    fn quit(&self) {
        self.enter(Phase::Draining);
    }
}

impl Shared {
    fn server_info(&self, now: Instant) -> ServerInfo {
        ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            state: match self.phase() {
                Phase::Serving if self.farewell.unhealthy.load(Ordering::Relaxed) => ServerState::Draining,
                Phase::Serving => ServerState::Live,
                Phase::Draining | Phase::Ended => ServerState::Draining,
            },
            uptime: now.saturating_since(self.started),
            concurrency: self.loads.len(),
            drain_time: self.options.drain_time,
            node_id: Arc::clone(&self.options.node_id),
        }
    }
}

fn cluster_status(view: &ClusterView, now: Instant) -> ClusterStatus {
    let limits = |priority| view.live.limit_view(priority);
    let (seen, success) = view.live.ejections().map(|seen| (seen.hosts, seen.success)).unwrap_or_default();
    let seen: HashMap<&str, &HostView> = seen.iter().map(|host| (&*host.host, host)).collect();
    // Beside one that an override holds, those of the other hosts are there and say nothing.
    let of_host = |index: usize| {
        let breaker = view.host_breakers.get(index).filter(|breaker| !breaker.is_idle(now))?;
        Some(breaker.status(now))
    };
    let history = |host: &Host| seen.get(&**host.monitor.id()).copied();
    let ejection = |seen: &HostView| {
        let ejection = seen.ejection?;
        Some(EjectionStatus {
            number: seen.multiplier,
            since: now.saturating_since(ejection.since),
            remaining: ejection.due.saturating_since(now),
            returns_in: ejection.returns.saturating_since(now),
            detector: ejection.by,
            evidence: ejection.evidence,
        })
    };
    ClusterStatus {
        cluster: Arc::clone(&view.config),
        limits: PerPriority { default: limits(Priority::Default), high: limits(Priority::High) },
        hosts: view
            .config
            .endpoints
            .iter()
            .zip(&view.hosts)
            .enumerate()
            .map(|(index, (endpoint, host))| {
                let history = history(host);
                let sum = |of: fn(&HostStats) -> u64| host.stats.iter().map(of).sum();
                HostStatus {
                    address: endpoint.address,
                    hostname: Arc::clone(&endpoint.hostname),
                    node: Arc::clone(&endpoint.node),
                    weight: endpoint.weight.get(),
                    locality: endpoint.locality.clone(),
                    unready: endpoint.health == EndpointHealth::Unhealthy,
                    ejection: history.and_then(ejection),
                    breaker: of_host(index),
                    ejections: history.map_or(0, |seen| seen.num_ejections),
                    streaks: view.config.outlier.as_ref().map_or_else(Vec::new, |set| streaks(host, set)),
                    success: history.map_or_else(ByOrigin::default, |seen| seen.success),
                    cx_active: u64::from(host.connections()),
                    cx_total: sum(|stats| stats.cx_total.get()),
                    cx_connect_fail: sum(|stats| stats.cx_connect_fail.get()),
                    rq_active: u64::from(host.load.active()),
                    rq_error: sum(|stats| stats.rq_error.get()),
                    rq_success: sum(|stats| stats.rq_success.get()),
                    rq_timeout: sum(|stats| stats.rq_timeout.get()),
                    rq_total: sum(|stats| stats.rq_total.get()),
                }
            })
            .collect(),
        success,
        breaker: view.breaker.as_ref().map(|breaker| breaker.status(now)),
        let_pass_by_gone: view.live.let_pass_by_gone(),
        fallback: view.fallback.as_ref().map(|fallback| fallback.status(&view.config)),
        membership_changes: view.live.membership_changes.get(),
        added_via_api: false,
    }
}

/// Failures in a row, by the detectors that act.
fn streaks(host: &Host, policy: &OutlierPolicy) -> Vec<(DetectionKind, u32)> {
    let acting = DetectionKind::STREAKS.into_iter().filter(|kind| policy.can_eject(*kind));
    acting.map(|kind| (kind, host.monitor.streak(kind))).collect()
}
