//! One try, from admission to the end of its answer: slot, host, connection, then the request and what comes back. Everything it
//! takes lives in this frame, so that nothing outlives the try.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fuseboard_core::limit::{CxPermit, Slot, WorkerId};
use fuseboard_core::outcome::Outcome;
use fuseboard_core::pool::{Checkout, Found};

use super::breaker::Checked;
use super::held::Held;
use super::retry::Retries;
use super::route::Routed;
use super::{Ended, Exchange, Interrupt};
use crate::clock;
use crate::deadline::Timer;
use crate::live::Tier;
use crate::local_reply::Cause;
use crate::upstream::{ClosedBy, ConnectError, UpstreamConnection, connect, millis};
use crate::worker::WorkerCluster;

/// What a try came to.
pub(super) enum Tried {
    Ended(Ended),
    /// Another try is due after this pause.
    Retry(Duration),
}

/// How one connection served the request.
pub(super) enum Served {
    Ended(Ended),
    Retry(Duration),
    /// The connection had been closed by the host before it saw the request; nothing of an answer came.
    Stale,
}

impl Exchange<'_> {
    /// Makes one try.
    pub(super) async fn attempt(&mut self, routed: &Routed, retries: &mut Retries<'_>) -> Tried {
        let tier = routed.tier();
        let (slot, checked) = match self.admit(routed, tier, retries.take_checked()).await {
            Ok(admitted) => admitted,
            Err(ended) => return Tried::Ended(ended),
        };
        let cluster = match self.usable(routed) {
            Ok(cluster) => cluster,
            Err(ended) => return Tried::Ended(ended),
        };
        self.try_host(routed, &cluster, tier, (slot, checked), retries).await
    }

    /// Picks a host and sends the request there; once more on another connection where the first was closed already (D18).
    async fn try_host(
        &mut self,
        routed: &Routed,
        cluster: &Rc<WorkerCluster>,
        tier: &Tier,
        (slot, checked): (Slot<'_>, Checked),
        retries: &mut Retries<'_>,
    ) -> Tried {
        let (index, of_host) = match self.pick(cluster, retries) {
            Ok(picked) => picked,
            Err(ended) => return Tried::Ended(ended),
        };
        let guard = match self.take_ticket(cluster, checked) {
            Ok(of_cluster) => of_host.or(of_cluster),
            Err(ended) => return Tried::Ended(ended),
        };
        let worker = Rc::clone(&self.worker);
        let host = &cluster.view.hosts[index];
        retries.note_host(host.key);
        self.account.host(host);
        let mut held = Held::new(&worker, cluster, host, tier, slot, guard);
        if let Some(timeout) = routed.try_timeout() {
            self.account.try_timeout = Some(timeout);
            self.down.timers.arm(Timer::Try, self.now + timeout);
        }
        loop {
            let replayed = self.account.replayed;
            let reused = match self.connection(&mut held, replayed).await {
                Ok(reused) => reused,
                Err(ended) => break self.failed(held, ended, retries),
            };
            if let Err(ended) = self.usable(routed) {
                held.complete(false, self.now);
                break Tried::Ended(ended);
            }
            match self.serve_on(&mut held, retries, reused && !replayed).await {
                Served::Ended(ended @ Ended::Failed(_)) => break self.failed(held, ended, retries),
                Served::Ended(ended) => break Tried::Ended(ended),
                Served::Retry(after) => break Tried::Retry(after),
                Served::Stale => {
                    self.account.replayed = true;
                    self.body.sent = self.head_length;
                    self.account.cluster_stats(&self.worker, |block| block.own.upstream_rq_resent.inc());
                }
            }
        }
    }

    /// Puts a connection to the host into `held`. True: it served others before. `fresh`: none that did. This worker's idle ones
    /// are then closed: where one was dead, its neighbours of the same age are likely to be.
    async fn connection(&mut self, held: &mut Held<'_>, fresh: bool) -> Result<bool, Ended> {
        // What must not be sent twice goes only to a connection of which the system itself says that it is still open.
        let careful = !self.request.method.is_idempotent();
        loop {
            let found = match held.tier.pool.checkout(self.worker.id, held.host.key) {
                Checkout::Ready(found) => found,
                Checkout::Wait(mut waiter) => {
                    let found = poll_fn(|cx| match waiter.poll_found(cx) {
                        Poll::Ready(found) => Poll::Ready(Ok(found)),
                        Poll::Pending => self.poll_interrupt(cx).map(Err),
                    });
                    match found.await {
                        Ok(found) => found,
                        Err(interrupt) => return Err(self.cancelled(interrupt)),
                    }
                }
            };
            match found {
                Found::Idle { item, .. } if fresh => self.close_idle(held, item, ClosedBy::Local),
                Found::Idle { item, from } => {
                    if self.take_idle(held, item, from, careful) {
                        return Ok(true);
                    }
                }
                Found::Connect(permit) => return self.open(held, permit).await.map(|()| false),
                // Its descriptor is closed here, and its permit is then the next checkout's.
                Found::Replace(other) => self.close_idle(held, other, ClosedBy::Local),
            }
        }
    }

    fn take_idle(
        &self,
        held: &mut Held<'_>,
        connection: UpstreamConnection,
        from: WorkerId,
        careful: bool,
    ) -> bool {
        if connection.is_stale() || (careful && connection.is_stale_now()) {
            self.close_idle(held, connection, ClosedBy::Remote);
            return false;
        }
        // A socket that cannot be registered here is closed by the failed move.
        held.connection = connection.move_to(from, self.worker.id).ok();
        held.connection.is_some()
    }

    fn close_idle(&self, held: &Held<'_>, connection: UpstreamConnection, by: ClosedBy) {
        let stats = &held.cluster.view.live.stats.shard(self.worker.index).stats;
        connection.close(stats, by, false, self.now);
    }

    /// Opens a connection. A failure fails this request only (difference D16).
    async fn open(&mut self, held: &mut Held<'_>, permit: CxPermit) -> Result<(), Ended> {
        let config = Arc::clone(&held.cluster.view.config);
        let began = clock::now();
        self.now = began;
        let stats = &held.cluster.view.live.stats.shard(self.worker.index).stats;
        let counted = match held.cluster.view.claim_connection(held.host, stats, began) {
            Ok(counted) => counted,
            Err(full) => return Err(self.pools_full(full)),
        };
        let at_host = held.host.stats.shard(self.worker.index);
        stats.upstream_cx_total.inc();
        stats.upstream_cx_http1_total.inc();
        at_host.cx_total.inc();
        self.down.timers.arm(Timer::Connect, began + config.connect_timeout);
        let connected = {
            let mut connecting = pin!(connect(held.host.endpoint.address, config.connection.keepalive));
            poll_fn(|cx| match connecting.as_mut().poll(cx) {
                Poll::Ready(connected) => Poll::Ready(Ok(connected)),
                Poll::Pending => self.poll_interrupt(cx).map(Err),
            })
            .await
        };
        self.down.timers.disarm(Timer::Connect);
        self.now = clock::now();
        let failed = match connected {
            Ok(Ok(stream)) => {
                stats.upstream_cx_connect_ms.record(millis(self.now.saturating_since(began)));
                held.connection =
                    Some(UpstreamConnection::new(stream, held.host, (counted, permit), self.now));
                return Ok(());
            }
            Ok(Err(ConnectError::Remote(error))) => {
                self.account.transport_failure(&error);
                Ended::Failed(Cause::ConnectFailed)
            }
            Ok(Err(ConnectError::Local(error))) => {
                self.account.transport_failure(&error);
                Ended::Failed(Cause::ConnectLocal)
            }
            Err(interrupt) => self.cancelled(interrupt),
        };
        drop((counted, permit));
        if let Ended::Failed(Cause::ConnectFailed | Cause::ConnectLocal | Cause::ConnectTimeout) = failed {
            stats.upstream_cx_connect_fail.inc();
            stats.upstream_rq_pending_failure_eject.inc();
            at_host.cx_connect_fail.inc();
            if failed == Ended::Failed(Cause::ConnectTimeout) {
                stats.upstream_cx_connect_timeout.inc();
            }
        }
        Err(failed)
    }

    /// A wait for a connection was given up.
    fn cancelled(&mut self, interrupt: Interrupt) -> Ended {
        let ended = self.interrupted(interrupt);
        if ended != Ended::Failed(Cause::ConnectTimeout) {
            self.account.cluster_stats(&self.worker, |block| block.stats.upstream_rq_cancelled.inc());
        }
        ended
    }

    /// A try ended without an answer: tells the host's health, gives everything back, and asks for another try.
    fn failed(&mut self, mut held: Held<'_>, ended: Ended, retries: &mut Retries<'_>) -> Tried {
        let Ended::Failed(cause) = ended else { return Tried::Ended(ended) };
        let outcome = cause.row().outcome;
        held.record(outcome.map_or(Outcome::Abandoned, Outcome::Failure), self.now);
        let by = if cause == Cause::ConnectionTermination { ClosedBy::Remote } else { ClosedBy::Local };
        held.abort(by, self.now);
        let sent = self.sent_output > 0;
        drop(held);
        match outcome {
            Some(kind) if cause != Cause::RouteTimeout => {
                self.retry_after_failure(retries, kind, sent, ended)
            }
            // Out of descriptors is no outcome of the host, but another try may find one free.
            None if cause == Cause::ConnectLocal => {
                self.retry_after_failure(retries, fuseboard_core::FailureKind::ConnectFailed, sent, ended)
            }
            _ => Tried::Ended(ended),
        }
    }
}
