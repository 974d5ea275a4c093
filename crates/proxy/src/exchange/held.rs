//! What one try holds: connection, host, slot. They are given back in this order, when the upstream's message is complete or
//! its connection is closed, before the last byte goes to the client; by drop, if the exchange ends otherwise.

use std::sync::Arc;

use fuseboard_core::balance::ActiveGuard;
use fuseboard_core::limit::Slot;
use fuseboard_core::outlier::Ticket;
use fuseboard_core::{FailureKind, Instant, Outcome, breaker};

use crate::breaker::LiveBreaker;
use crate::clock;
use crate::http2::Fate;
use crate::live::{ClusterView, Host, Tier};
use crate::stats::ClusterStats;
use crate::upstream::{ClosedBy, Line, Pooled};
use crate::worker::{Worker, WorkerCluster};

/// One try against one host.
pub(crate) struct Held<'t> {
    pub(crate) worker: &'t Worker,
    pub(crate) cluster: &'t WorkerCluster,
    pub(crate) host: &'t Arc<Host>,
    pub(crate) tier: &'t Tier,
    /// `None` before it is there, and after it was given back.
    pub(crate) connection: Option<Line<'t>>,
    active: Option<ActiveGuard<'t>>,
    ticket: Option<Ticket>,
    guard: Option<Guard<'t>>,
    /// The breaker of the host itself.
    endpoint: Option<&'t LiveBreaker>,
    /// The host was out when it was chosen, as too few are left.
    in_panic: bool,
    slot: Option<Slot<'t>>,
}

/// A breaker that let the try through, and what it let it through with.
pub(crate) type Guard<'t> = (&'t LiveBreaker, breaker::Ticket<'t>);

impl<'t> Held<'t> {
    pub(crate) fn new(
        worker: &'t Worker,
        cluster: &'t WorkerCluster,
        host: &'t Arc<Host>,
        tier: &'t Tier,
        slot: Slot<'t>,
        guard: Option<Guard<'t>>,
    ) -> Self {
        let endpoint = guard.as_ref().map(|(breaker, _)| *breaker);
        Self {
            worker,
            cluster,
            host,
            tier,
            connection: None,
            active: Some(host.load.begin()),
            ticket: Some(host.monitor.begin()),
            guard,
            endpoint: endpoint.filter(|breaker| breaker.host().is_some()),
            in_panic: false,
            slot: Some(slot),
        }
    }

    /// All hosts were candidates, those that are out too. Connections to one of these are worth keeping, as long as that is so.
    pub(crate) fn chosen_in_panic(&mut self) {
        self.in_panic = self.host.monitor.is_ejected();
    }

    /// Tells the breaker and the host's health what became of the try; only the first outcome counts.
    pub(crate) fn record(&mut self, outcome: Outcome, now: Instant) {
        self.record_at_breaker(outcome, now);
        let Some(ticket) = self.ticket.take() else { return };
        let host_stats = self.host.stats.shard(self.worker.index);
        match outcome.as_http() {
            Outcome::Success { .. } | Outcome::Called(_) => host_stats.rq_success.inc(),
            Outcome::Failure(kind) => {
                host_stats.rq_error.inc();
                if kind == FailureKind::Timeout {
                    host_stats.rq_timeout.inc();
                }
                self.host.load.record(outcome, now);
            }
            Outcome::Abandoned => {}
        }
        let view = &self.cluster.view;
        let Some(policy) = &view.config.outlier else { return };
        let Some(trip) = self.host.monitor.record(ticket, outcome, policy) else { return };
        let block = view.live.stats.shard(self.worker.index);
        view.live.on_trip(self.host, trip, block, now, &mut self.worker.rng.borrow_mut());
        // Judged by the hosts of now: the try may have begun under an older snapshot.
        if self.worker.current_view(view).is_deserted(now) {
            view.live.dismiss_waiters();
        }
    }

    /// The breaker's part of [`Self::record`].
    pub(crate) fn record_at_breaker(&mut self, outcome: Outcome, now: Instant) {
        if let Some((breaker, ticket)) = self.guard.take() {
            let transitions = ticket.record(outcome, now, &mut self.worker.rng.borrow_mut());
            self.worker.note_transitions(self.cluster, breaker, &transitions);
        }
    }

    /// Whether the try is a breaker's probe, and not yet judged by it.
    pub(crate) fn is_probe(&self) -> bool {
        self.guard.as_ref().is_some_and(|(_, ticket)| ticket.is_probe())
    }

    /// The upstream's message is complete. `reusable`: as far as HTTP goes, the connection may carry another request.
    pub(crate) fn complete(&mut self, reusable: bool, now: Instant) {
        self.finish(reusable, ClosedBy::Local, now);
    }

    /// The same of a message that ended with its connection.
    pub(crate) fn complete_by_close(&mut self, now: Instant) {
        self.finish(false, ClosedBy::Remote, now);
    }

    /// `by`: who closes the connection, if it is not kept.
    fn finish(&mut self, reusable: bool, by: ClosedBy, now: Instant) {
        let policy = &self.cluster.view.config.connection;
        let stats = &self.cluster.view.live.stats.shard(self.worker.index).stats;
        match self.connection.take() {
            Some(Line::Socket(connection)) => {
                if connection.is_aged(policy, now) {
                    stats.upstream_cx_max_duration_reached.inc();
                }
                let own = &self.cluster.view.tls.own;
                let wanted = self.is_wanted(now) && connection.is_secured_with(own.as_ref());
                let surplus = if reusable && wanted && connection.may_continue(policy, now) {
                    let item = Pooled::Own(connection);
                    self.tier.pool.checkin(self.worker.id, self.host.key, item, now)
                } else {
                    Some(Pooled::Own(connection))
                };
                if let Some(connection) = surplus {
                    connection.close(stats, by, now);
                }
            }
            Some(Line::Stream(stream)) => {
                let shared = &self.cluster.view.tls.shared;
                let connection = stream.connection();
                let aged = connection.is_too_old(policy, now, stats);
                let keep = self.is_wanted(now) && !aged && connection.is_secured_with(shared.as_ref());
                stream.end(keep, now);
            }
            None => {}
        }
        self.active = None;
        self.slot = None;
    }

    /// Closes the connection with the request in flight, and gives everything back.
    pub(crate) fn abort(&mut self, by: ClosedBy, now: Instant) {
        if let Some(connection) = self.connection.take() {
            let stats = &self.cluster.view.live.stats.shard(self.worker.index).stats;
            match connection {
                Line::Socket(connection) => connection.close(stats, by, true, now),
                // The other streams of the connection go on, if it is there at all.
                Line::Stream(stream) => {
                    count_reset(stats, by, stream.fate());
                    let keep = by == ClosedBy::Local || stream.fate().is_some();
                    stream.end(keep && self.is_wanted(now), now);
                }
            }
        }
        self.active = None;
        self.slot = None;
    }

    /// Closes a connection that carried bytes for its whole life, and gives everything back.
    pub(crate) fn close(&mut self, by: ClosedBy, now: Instant) {
        if let Some(Line::Socket(connection)) = self.connection.take() {
            let stats = &self.cluster.view.live.stats.shard(self.worker.index).stats;
            connection.close(stats, by, true, now);
        }
        self.active = None;
        self.slot = None;
    }

    /// Whether its connection is secured as this view of the cluster asks.
    pub(crate) fn is_secured_as(&self, view: &ClusterView) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.is_secured_for(view))
    }

    /// The stream is at another host than the one that was picked.
    pub(super) fn go_to(&mut self, host: &'t Arc<Host>) {
        self.host = host;
        self.in_panic = false;
        self.active = Some(host.load.begin());
        self.ticket = Some(host.monitor.begin());
    }

    /// Whether connections to its host are kept: not to hosts that were ejected, shut off or removed meanwhile, nor for clusters
    /// that are gone.
    fn is_wanted(&self, now: Instant) -> bool {
        let has_detector = self.cluster.view.config.outlier.is_some();
        let ejected = has_detector && !self.in_panic && self.host.monitor.is_ejected();
        let shut = self.endpoint.is_some_and(|breaker| breaker.is_shut(now));
        !(ejected || shut || self.host.is_gone() || self.worker.is_draining())
    }
}

/// Counts that a stream ended before its time, as Envoy does: what the host refuses to look at is no reset.
fn count_reset(stats: &ClusterStats, by: ClosedBy, fate: Option<Fate>) {
    match (by, fate) {
        (ClosedBy::Local, _) => stats.upstream_rq_tx_reset.inc(),
        (ClosedBy::Remote, Some(Fate::NotProcessed(_))) => {}
        (ClosedBy::Remote, Some(_)) => stats.upstream_rq_rx_reset.inc(),
        // Its connection is gone.
        (ClosedBy::Remote, None) => stats.upstream_rq_pending_failure_eject.inc(),
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.connection.is_some() {
            self.abort(ClosedBy::Local, clock::now());
        }
        // A breaker's ticket that is dropped was abandoned.
        self.guard = None;
        self.record(Outcome::Abandoned, Instant::ZERO);
    }
}
