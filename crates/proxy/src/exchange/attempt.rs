//! One try, from admission to the end of its answer: slot, host, connection, then the request and what comes back. Everything it
//! takes lives in this frame, so that nothing outlives the try.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fuseboard_core::limit::{CxPermit, Kind, Slot, WorkerId};
use fuseboard_core::outcome::Outcome;
use fuseboard_core::pool::{Checkout, Found};
use fuseboard_tls::ClientContext;

use super::breaker::{Checked, Picked};
use super::held::Held;
use super::retry::Retries;
use super::route::Routed;
use super::{Ended, Exchange, Interrupt};
use crate::clock;
use crate::deadline::Timer;
use crate::live::Tier;
use crate::local_reply::Cause;
use crate::stream::Stream;
use crate::upstream::{
    ClosedBy, ConnectError, Line, Pooled, Secured, UpstreamConnection, count_not_connected, count_spent,
    millis, open,
};
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
        loop {
            let (slot, checked) = match self.admit(routed, tier, retries.take_checked()).await {
                Ok(admitted) => admitted,
                Err(ended) => return Tried::Ended(ended),
            };
            let cluster = match self.usable(routed) {
                Ok(cluster) => cluster,
                Err(ended) => return Tried::Ended(ended),
            };
            if let Some(tried) = self.try_host(routed, &cluster, tier, (slot, checked), retries).await {
                return tried;
            }
        }
    }

    /// Picks a host and sends the request there; once more on another connection where the first was closed already (D18).
    /// `None`: while the connection was made, the cluster began to ask for another kind of one, and nothing was sent.
    async fn try_host(
        &mut self,
        routed: &Routed,
        cluster: &Rc<WorkerCluster>,
        tier: &Tier,
        (slot, checked): (Slot<'_>, Checked),
        retries: &mut Retries<'_>,
    ) -> Option<Tried> {
        let Picked { index, panic, guard: of_host } = match self.pick(cluster, retries) {
            Ok(picked) => picked,
            Err(ended) => return Some(Tried::Ended(ended)),
        };
        let guard = match self.take_ticket(cluster, checked) {
            Ok(of_cluster) => of_host.or(of_cluster),
            Err(ended) => return Some(Tried::Ended(ended)),
        };
        let worker = Rc::clone(&self.worker);
        let host = &cluster.view.hosts[index];
        retries.note_host(host.key);
        self.account.host(host);
        let mut held = Held::new(&worker, cluster, host, tier, slot, guard);
        if panic {
            held.chosen_in_panic();
        }
        if let Some(timeout) = routed.try_timeout() {
            self.account.try_timeout = Some(timeout);
            self.down.timers.arm(Timer::Try, self.now + timeout);
        }
        Some(loop {
            let replayed = self.account.resends > 0;
            let found = match self.kind {
                Kind::Connection => self.connection(&mut held, replayed).await,
                Kind::Stream => self.stream(&mut held).await,
            };
            let reused = match found {
                Ok(reused) => reused,
                Err(ended) => break self.failed(held, ended, retries),
            };
            match self.usable(routed) {
                Err(ended) => {
                    held.complete(false, self.now);
                    break Tried::Ended(ended);
                }
                // What is to be encrypted must not go out in plain text, nor to somebody who is not trusted any more.
                Ok(now) if !held.is_secured_as(&now.view) => {
                    held.complete(false, self.now);
                    return None;
                }
                Ok(_) => {}
            }
            match self.serve_on(&mut held, retries, reused && !replayed).await {
                Served::Ended(ended @ Ended::Failed(_)) => break self.failed(held, ended, retries),
                Served::Ended(ended) => break Tried::Ended(ended),
                Served::Retry(after) => break Tried::Retry(after),
                Served::Stale => {
                    self.account.resends += 1;
                    self.body.sent = self.head_length;
                    self.account.cluster_stats(&self.worker, |block| block.own.upstream_rq_resent.inc());
                }
            }
        })
    }

    /// Puts a connection to the host into `held`. True: it served others before. `fresh`: none that did. This worker's idle ones
    /// are then closed: where one was dead, its neighbours of the same age are likely to be.
    async fn connection(&mut self, held: &mut Held<'_>, fresh: bool) -> Result<bool, Ended> {
        // What must not be sent twice goes only to a connection of which the system itself says that it is still open.
        let careful = !self.request.method.is_idempotent();
        let secured = self.secured(held.cluster.view.tls.own.as_ref());
        loop {
            let found = match held.tier.pool.checkout(self.worker.id, held.host.key) {
                Checkout::Ready(found) => found,
                Checkout::Wait(mut waiter) => {
                    let found = poll_fn(|cx| match waiter.poll_found(cx) {
                        Poll::Ready(found) => Poll::Ready(Ok(found)),
                        Poll::Pending => self.poll_interrupt(cx).map(Err),
                    });
                    let found = found.await;
                    self.now = clock::now();
                    match found {
                        Ok(found) => found,
                        Err(interrupt) => return Err(self.cancelled(interrupt)),
                    }
                }
            };
            match found {
                Found::Idle { item: Pooled::Own(item), from } if !fresh && item.serves(secured.as_ref()) => {
                    if self.take_idle(held, item, from, careful) {
                        return Ok(true);
                    }
                }
                Found::Idle { item, .. } => self.close_idle(held, item, ClosedBy::Local),
                Found::Connect(permit) => return self.open(held, permit, secured).await.map(|()| false),
                // Its descriptor is closed here, and its permit is then the next checkout's.
                Found::Replace(other) => self.close_idle(held, other, ClosedBy::Local),
            }
        }
    }

    fn take_idle(
        &self,
        held: &mut Held<'_>,
        mut connection: Box<UpstreamConnection>,
        from: WorkerId,
        careful: bool,
    ) -> bool {
        let spent = connection.spent().or_else(|| if careful { connection.spent_now() } else { None });
        if let Some(spent) = spent {
            let by = count_spent(&held.cluster.view.live.stats.shard(self.worker.index).stats, spent);
            self.close_idle(held, Pooled::Own(connection), by);
            return false;
        }
        // A socket that cannot be registered here is closed by the failed move.
        held.connection = connection.move_to(from, self.worker.id).ok().map(Line::Socket);
        held.connection.is_some()
    }

    pub(super) fn close_idle(&self, held: &Held<'_>, connection: Pooled, by: ClosedBy) {
        let stats = &held.cluster.view.live.stats.shard(self.worker.index).stats;
        connection.close(stats, by, self.now);
    }

    /// Opens a connection. A failure fails this request only (difference D16).
    async fn open(
        &mut self,
        held: &mut Held<'_>,
        permit: CxPermit,
        secured: Option<Secured>,
    ) -> Result<(), Ended> {
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
            let session = secured.as_ref().map(Secured::begin);
            let (address, keepalive) = (held.host.endpoint.address, config.connection.keepalive);
            let mut connecting = pin!(open(address, keepalive, &[], session));
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
                self.note_session(held, &stream);
                let connection =
                    UpstreamConnection::boxed(stream, secured, held.host, (counted, permit), self.now);
                held.connection = Some(Line::Socket(connection));
                return Ok(());
            }
            Ok(Err(error)) => Ended::Failed(self.not_connected(held, error)),
            Err(interrupt) => self.cancelled(interrupt),
        };
        drop((counted, permit));
        if let Ended::Failed(
            Cause::ConnectFailed | Cause::HandshakeFailed | Cause::ConnectLocal | Cause::ConnectTimeout,
        ) = failed
        {
            count_not_connected(stats, at_host, failed == Ended::Failed(Cause::ConnectTimeout));
        }
        Err(failed)
    }

    /// Notes why there is no connection.
    pub(super) fn not_connected(&mut self, held: &Held<'_>, error: ConnectError) -> Cause {
        match error {
            ConnectError::Remote(error) => {
                self.account.transport_failure(&error);
                Cause::ConnectFailed
            }
            ConnectError::Local(error) => {
                self.account.transport_failure(&error);
                Cause::ConnectLocal
            }
            ConnectError::Handshake(failure) => {
                held.cluster.view.live.stats.shard(self.worker.index).ssl().count_failure(failure.kind());
                self.account.handshake_failure(&failure);
                Cause::HandshakeFailed
            }
        }
    }

    /// What a connection for this request must be secured with.
    pub(super) fn secured(&self, context: Option<&Arc<ClientContext>>) -> Option<Secured> {
        let context = context?;
        let host = context.depends_on_host().then(|| {
            let authority = String::from_utf8_lossy(self.head().authority().unwrap_or_default());
            host_of(&authority).to_ascii_lowercase().into()
        });
        Some(Secured { context: Arc::clone(context), host })
    }

    /// Counts what was agreed upon.
    fn note_session(&self, held: &Held<'_>, stream: &Stream) {
        if let Some(session) = stream.tls() {
            let block = held.cluster.view.live.stats.shard(self.worker.index);
            block.ssl().count_session(&session.peer());
        }
    }

    /// A wait for a connection was given up.
    pub(super) fn cancelled(&mut self, interrupt: Interrupt) -> Ended {
        let ended = self.interrupted(interrupt);
        if ended != Ended::Failed(Cause::ConnectTimeout) {
            self.account.cluster_stats(&self.worker, |block| block.stats.upstream_rq_cancelled.inc());
        }
        ended
    }

    /// A try ended without an answer: tells the host's health, gives everything back, and asks for another try.
    fn failed(&mut self, mut held: Held<'_>, ended: Ended, retries: &mut Retries<'_>) -> Tried {
        let Ended::Failed(cause) = ended else { return Tried::Ended(ended) };
        let by = closed_by(cause);
        let late = by == ClosedBy::Remote && self.caller_is_late();
        let cause = if late { Cause::RouteTimeout } else { cause };
        let ended = Ended::Failed(cause);
        let outcome = cause.row().outcome;
        held.record(outcome.map_or(Outcome::Abandoned, Outcome::Failure), self.now);
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

/// Who ended the connection, or the stream, of a try that ended so.
pub(super) const fn closed_by(cause: Cause) -> ClosedBy {
    match cause {
        Cause::ConnectionTermination
        | Cause::CutInHead
        | Cause::RemoteReset
        | Cause::StreamRefused
        | Cause::TerminatedInBody
        | Cause::CutInBody
        | Cause::RemoteResetInBody => ClosedBy::Remote,
        _ => ClosedBy::Local,
    }
}

/// An authority without its port.
fn host_of(authority: &str) -> &str {
    let end =
        if authority.starts_with('[') { authority.find(']').map(|end| end + 1) } else { authority.find(':') };
    &authority[..end.unwrap_or(authority.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_not_of_the_host() {
        for (authority, host) in
            [("a.b:80", "a.b"), ("a.b", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")]
        {
            assert_eq!(host_of(authority), host);
        }
    }
}
