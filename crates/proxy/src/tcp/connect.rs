//! The way of a TCP connection to a host: breaker, slot, host, permit, connect. A connection never waits for a limit: at
//! `maxConnections` it is closed at once (difference D15), unless an idle HTTP connection can go in its place.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use fuseboard_core::Instant;
use fuseboard_core::balance::{Outlook, Taken};
use fuseboard_core::breaker;
use fuseboard_core::limit::{CxPermit, HostCx, Priority, Slot};
use fuseboard_core::outcome::{FailureKind, Outcome};
use fuseboard_core::pool::{Checkout, Found};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::Availability;
use tokio::io::Interest;

use super::session::Session;
use crate::breaker::{note_probe, pick};
use crate::clock;
use crate::deadline::Timer;
use crate::exchange::held::{Guard, Held};
use crate::live::{ClusterView, Tier};
use crate::local_reply::Cause;
use crate::stream::Stream;
use crate::upstream::{
    ClosedBy, ConnectError, Line, Secured, UpstreamConnection, count_not_connected, millis, open,
};
use crate::worker::{Worker, WorkerCluster};

/// There is no connection to a host; everybody has heard why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was the host's fault: another one may take the connection.
    OfHost,
    /// A limit decided, or the client left.
    Refused,
    /// The cluster's rule asks for other connections now.
    Outdated,
}

/// What ended a wait for a connection.
enum Interrupt {
    Failed(ConnectError),
    TimeUp,
    ClientReset,
}

impl Session {
    /// One host's connection, and all that it holds.
    pub(super) async fn connect<'t>(
        &mut self,
        worker: &'t Worker,
        cluster: &'t Rc<WorkerCluster>,
    ) -> Result<Held<'t>, Failed> {
        self.usable(cluster)?;
        let now = clock::now();
        let pass = match &cluster.breaker {
            Some(breaker) => {
                Some(breaker.recorder.check(now).map_err(|refusal| self.refused_by_breaker(refusal))?)
            }
            None => None,
        };
        let outlook = cluster.balancer.borrow_mut().outlook(now, &mut worker.rng.borrow_mut());
        match outlook {
            Outlook::Hosts => {}
            Outlook::Refused(refusal) => return Err(self.refused_by_breaker(refusal)),
            Outlook::NoneHealthy => return Err(self.none_healthy()),
        }
        let tier = cluster.view.live.tier(Priority::Default);
        let slot = self.admit(worker, tier)?;
        let (host, of_host) = self.pick(worker, cluster)?;
        let of_cluster = match (&cluster.breaker, pass) {
            (Some(breaker), Some(pass)) => {
                let (ticket, transitions) = breaker.recorder.ticket(pass, now, &mut worker.rng.borrow_mut());
                worker.note_transitions(cluster, &breaker.live, &transitions);
                let ticket = ticket.map_err(|refusal| self.refused_by_breaker(refusal))?;
                note_probe(worker, cluster, &ticket);
                Some((&*breaker.live, ticket))
            }
            _ => None,
        };
        let host = &cluster.view.hosts[host];
        self.notes.host(host);
        let mut held = Held::new(worker, cluster, host, tier, slot, of_host.or(of_cluster));
        let permit = self.permit(&held).await?;
        self.open(&mut held, permit).await?;
        // The rule may have changed while the host was connected to: what must not be sent in plain text must not be sent late.
        let current = worker.view().cluster(&cluster.view.live.name).cloned();
        let Some(current) = current else { return Ok(held) };
        let refused = self.usable(&current).err();
        let outdated = (!held.is_secured_as(&current.view)).then_some(Failed::Outdated);
        match refused.or(outdated) {
            Some(failed) => {
                held.close(ClosedBy::Local, clock::now());
                Err(failed)
            }
            None => Ok(held),
        }
    }

    fn usable(&mut self, cluster: &Rc<WorkerCluster>) -> Result<(), Failed> {
        match cluster.view.config.availability {
            Availability::Serving => Ok(()),
            Availability::Withheld(reason) => {
                self.notes.refused(reason, None);
                Err(Failed::Refused)
            }
        }
    }

    fn admit<'t>(&mut self, worker: &Worker, tier: &'t Tier) -> Result<Slot<'t>, Failed> {
        tier.limits.admit_connection(worker.id).map_err(|refused| {
            self.notes.cluster_stats(|block| block.stats.upstream_cx_overflow.inc());
            self.notes.refused(refused.reason, Some(refused));
            Failed::Refused
        })
    }

    fn pick<'t>(
        &mut self,
        worker: &Worker,
        cluster: &'t WorkerCluster,
    ) -> Result<(usize, Option<Guard<'t>>), Failed> {
        match pick(worker, cluster, |_| false, 0, clock::now()) {
            Taken::Host { index, ticket, .. } => Ok((index, ticket)),
            Taken::Refused(refusal) => Err(self.refused_by_breaker(refusal)),
            Taken::NoneHealthy { .. } => Err(self.none_healthy()),
        }
    }

    fn none_healthy(&mut self) -> Failed {
        self.notes.cluster_stats(|block| block.stats.upstream_cx_none_healthy.inc());
        self.notes.refused(RefusalReason::NoHealthy, None);
        Failed::Refused
    }

    fn refused_by_breaker(&mut self, refusal: breaker::Refusal) -> Failed {
        self.notes.cluster_stats(|block| block.breaker.refused.inc());
        self.notes.refused(refusal.by.into(), None);
        Failed::Refused
    }

    /// The right to open a connection. Whoever has a slot gets it, at worst when a descriptor was closed.
    async fn permit(&mut self, held: &Held<'_>) -> Result<CxPermit, Failed> {
        let pool = &held.tier.pool;
        loop {
            let found = match pool.checkout_new(held.worker.id, held.host.key) {
                Checkout::Ready(found) => found,
                Checkout::Wait(mut waiter) => {
                    let found = {
                        let mut reset = pin!(self.client.tcp().ready(Interest::ERROR));
                        poll_fn(|cx| match waiter.poll_found(cx) {
                            Poll::Ready(found) => Poll::Ready(Some(found)),
                            Poll::Pending => reset.as_mut().poll(cx).map(|_| None),
                        })
                        .await
                    };
                    found.ok_or_else(|| self.left())?
                }
            };
            match found {
                Found::Connect(permit) => return Ok(permit),
                // Closed here; its permit is then the next one's.
                Found::Replace(idle) | Found::Idle { item: idle, .. } => {
                    let stats = &held.cluster.view.live.stats.shard(held.worker.index).stats;
                    idle.close(stats, ClosedBy::Local, clock::now());
                }
            }
        }
    }

    /// The client reset its connection before there was one to a host.
    fn left(&mut self) -> Failed {
        self.notes.cluster_stats(|block| block.stats.upstream_rq_cancelled.inc());
        self.notes.flag(Cause::ClientGone.row().flag);
        Failed::Refused
    }

    async fn open(&mut self, held: &mut Held<'_>, permit: CxPermit) -> Result<(), Failed> {
        let began = clock::now();
        let block = held.cluster.view.live.stats.shard(held.worker.index);
        let counted = self.claim(held, began)?;
        let secured = secured(&held.cluster.view);
        let connected = self.reach(held, secured.as_ref(), began).await;
        let now = clock::now();
        let mut outcome = None;
        let cause = match connected {
            Ok(stream) => {
                block.stats.upstream_cx_connect_ms.record(millis(now.saturating_since(began)));
                if let Some(session) = stream.tls() {
                    block.ssl().count_session(&session.peer());
                }
                let mut connection =
                    UpstreamConnection::boxed(stream, secured, held.host, (counted, permit), now);
                connection.begin_request(None);
                self.notes.connected(&mut connection);
                held.connection = Some(Line::Socket(connection));
                return Ok(());
            }
            Err(Interrupt::Failed(ConnectError::Remote(error))) => {
                self.notes.transport_failure(&error);
                // Who does not want a connection refuses it; this one was made, and reset before we looked.
                outcome = (error.kind() == io::ErrorKind::ConnectionReset)
                    .then_some(Outcome::Failure(FailureKind::Reset));
                Cause::ConnectFailed
            }
            Err(Interrupt::Failed(ConnectError::Handshake(failure))) => {
                block.ssl().count_failure(failure.kind());
                self.notes.handshake_failure(&failure);
                Cause::HandshakeFailed
            }
            Err(Interrupt::Failed(ConnectError::Local(error))) => {
                self.notes.transport_failure(&error);
                Cause::ConnectLocal
            }
            Err(Interrupt::TimeUp) => Cause::ConnectTimeout,
            Err(Interrupt::ClientReset) => {
                drop((counted, permit));
                return Err(self.left());
            }
        };
        drop((counted, permit));
        Err(self.failed(held, cause, outcome))
    }

    /// A place among the connections to the host, which is counted as called.
    fn claim(&mut self, held: &Held<'_>, now: Instant) -> Result<HostCx, Failed> {
        let stats = &held.cluster.view.live.stats.shard(held.worker.index).stats;
        let counted = held.cluster.view.claim_connection(held.host, stats, now).map_err(|full| {
            stats.upstream_cx_pool_overflow.inc();
            self.notes.refused(RefusalReason::LimitPools, Some(full.into()));
            Failed::Refused
        })?;
        let at_host = held.host.stats.shard(held.worker.index);
        stats.upstream_cx_total.inc();
        stats.upstream_rq_total.inc();
        at_host.cx_total.inc();
        at_host.rq_total.inc();
        Ok(counted)
    }

    /// Connects to the host, tells it who the client is where the rule asks for that, and agrees on TLS; all within one time.
    async fn reach(
        &self,
        held: &Held<'_>,
        secured: Option<&Secured>,
        began: Instant,
    ) -> Result<Stream, Interrupt> {
        let view = &held.cluster.view;
        let session = secured.map(Secured::begin_unnamed);
        let preface = view.config.proxy_protocol.map(|version| self.notes.proxied().header(version));
        let preface = preface.unwrap_or_default();
        self.timers.arm(Timer::Connect, began + view.config.connect_timeout);
        let (address, keepalive) = (held.host.endpoint.address, view.config.connection.keepalive);
        let mut connecting = pin!(open(address, keepalive, &preface, session));
        let mut reset = pin!(self.client.tcp().ready(Interest::ERROR));
        let connected = poll_fn(|cx| {
            if let Poll::Ready(connected) = connecting.as_mut().poll(cx) {
                return Poll::Ready(connected.map_err(Interrupt::Failed));
            }
            if reset.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Interrupt::ClientReset));
            }
            self.timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(Err(Interrupt::TimeUp)))
        })
        .await;
        self.timers.disarm(Timer::Connect);
        if connected.is_ok() {
            let stats = &view.live.stats.shard(held.worker.index).stats;
            stats.upstream_cx_tx_bytes_total.add(preface.len() as u64);
        }
        connected
    }

    /// Tells everybody that a host did not take the connection: why, and what that says of it where it is not as usual.
    fn failed(&mut self, held: &mut Held<'_>, cause: Cause, outcome: Option<Outcome>) -> Failed {
        let stats = &held.cluster.view.live.stats.shard(held.worker.index).stats;
        let at_host = held.host.stats.shard(held.worker.index);
        count_not_connected(stats, at_host, cause == Cause::ConnectTimeout);
        let row = cause.row();
        let outcome = outcome.unwrap_or_else(|| row.outcome.map_or(Outcome::Abandoned, Outcome::Failure));
        held.record(outcome, clock::now());
        self.notes.flag(row.flag);
        Failed::OfHost
    }
}

/// What a connection must be secured with. Bytes name no server: where the rule names none, the service's name is sent and
/// checked.
fn secured(view: &ClusterView) -> Option<Secured> {
    let context = view.tls.own.as_ref()?;
    let host = context.depends_on_host().then(|| view.config.service.host.to_ascii_lowercase().into());
    Some(Secured { context: Arc::clone(context), host })
}
