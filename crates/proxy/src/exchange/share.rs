//! The way from a slot to a stream on a connection that others share: one that is there, one that is being opened, or a new one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use fuseboard_core::limit::{CxPermit, Kind};
use fuseboard_core::pool::{HostKey, StreamCheckout, StreamFound};
use fuseboard_snapshot::{UpstreamHttp, UpstreamVersion};
use tokio::sync::oneshot::Receiver;

use super::held::Held;
use super::{Ended, Exchange};
use crate::clock;
use crate::deadline::Timer;
use crate::downstream::Spoken;
use crate::local_reply::Cause;
use crate::upstream::{
    ClosedBy, HostStream, Line, OpenError, Opening, Secured, SharedConnection, StreamLease, open_shared,
};

/// What became of a lease.
enum Leased {
    /// The stream is in place.
    Placed,
    /// There is no room on that connection after all, or it is not what is wanted: ask again.
    Lost,
}

impl Exchange<'_> {
    /// What is asked of a cluster that is spoken to like this.
    pub(super) fn kind_for(&self, http: &UpstreamHttp) -> Kind {
        match (http.version, self.down.spoken()) {
            (UpstreamVersion::Http1, _) | (UpstreamVersion::Client, Spoken::Http1) => Kind::Connection,
            (UpstreamVersion::Http2, _) | (UpstreamVersion::Client, Spoken::Http2) => Kind::Stream,
        }
    }

    /// Puts a stream at the host into `held`. True: on a connection that was there before.
    pub(super) async fn stream(&mut self, held: &mut Held<'_>) -> Result<bool, Ended> {
        let secured = self.secured(held.cluster.view.tls.shared.as_ref());
        loop {
            match self.find_stream(held).await? {
                StreamFound::Lease(lease) => {
                    if let Leased::Placed = self.use_lease(held, lease, secured.as_ref(), false).await? {
                        return Ok(true);
                    }
                }
                StreamFound::Elsewhere(lease) => {
                    let cluster = held.cluster;
                    let other = cluster.view.hosts.iter().find(|host| host.key == lease.host());
                    let Some(other) = other else {
                        lease.retire();
                        continue;
                    };
                    held.go_to(other);
                    self.account.moved_to(other);
                    if let Leased::Placed = self.use_lease(held, lease, secured.as_ref(), false).await? {
                        return Ok(true);
                    }
                }
                StreamFound::Connect(permit) => {
                    if let Leased::Placed = self.open_stream(held, permit, secured.clone()).await? {
                        return Ok(false);
                    }
                }
                // Its descriptor is closed here, and its permit is then the next checkout's.
                StreamFound::Replace(other) => self.close_idle(held, other, ClosedBy::Local),
            }
        }
    }

    async fn find_stream<'t>(
        &mut self,
        held: &Held<'t>,
    ) -> Result<StreamFound<'t, crate::upstream::Pooled, crate::upstream::SharedConnection>, Ended> {
        // Where each endpoint has a breaker, the one that was asked has let this try through, and no other.
        let (view, breakers) = (&held.cluster.view, held.cluster.endpoints.is_some());
        let usable = |key: HostKey| {
            let host = view.hosts.iter().find(|host| host.key == key);
            !breakers && host.is_some_and(|host| !host.is_gone() && !host.monitor.is_ejected())
        };
        match held.tier.pool.checkout_stream(self.worker.id, held.host.key, usable) {
            StreamCheckout::Ready(found) => Ok(found),
            StreamCheckout::Wait(mut waiter) => {
                let found = poll_fn(|cx| match waiter.poll_found(cx) {
                    Poll::Ready(found) => Poll::Ready(Ok(found)),
                    Poll::Pending => self.poll_interrupt(cx).map(Err),
                });
                let found = found.await;
                self.now = clock::now();
                found.map_err(|interrupt| self.cancelled(interrupt))
            }
        }
    }

    /// Takes a stream, once its connection is there. That takes no longer than opening one of its own would. `own`: it was opened for
    /// this stream, which it serves whatever its age.
    async fn use_lease<'t>(
        &mut self,
        held: &mut Held<'t>,
        mut lease: StreamLease<'t>,
        secured: Option<&Secured>,
        own: bool,
    ) -> Result<Leased, Ended> {
        let began = self.now;
        let patience = held.cluster.view.config.connect_timeout;
        let mut waits = false;
        let opened = poll_fn(|cx| {
            if let Poll::Ready(opened) = lease.poll_open(cx) {
                return Poll::Ready(Ok(opened));
            }
            if !std::mem::replace(&mut waits, true) {
                self.down.timers.arm(Timer::Connect, began + patience);
            }
            self.poll_interrupt(cx).map(Err)
        })
        .await;
        if waits {
            self.down.timers.disarm(Timer::Connect);
            self.now = clock::now();
        }
        match opened {
            Err(interrupt) => Err(self.cancelled(interrupt)),
            Ok(Err(_lost)) => Ok(Leased::Lost),
            Ok(Ok(connection)) if !connection.serves(secured) => {
                lease.retire();
                Ok(Leased::Lost)
            }
            Ok(Ok(connection)) if !own && self.is_too_old(held, &connection) => {
                lease.retire();
                Ok(Leased::Lost)
            }
            Ok(Ok(connection)) => {
                held.connection = Some(Line::Stream(Box::new(HostStream::new(connection, lease))));
                Ok(Leased::Placed)
            }
        }
    }

    fn is_too_old(&self, held: &Held<'_>, connection: &SharedConnection) -> bool {
        let view = &held.cluster.view;
        let stats = &view.live.stats.shard(self.worker.index).stats;
        connection.is_too_old(&view.config.connection, self.now, stats)
    }

    /// Opens a connection and takes its first stream. A failure fails this request only (difference D16).
    async fn open_stream(
        &mut self,
        held: &mut Held<'_>,
        permit: CxPermit,
        secured: Option<Secured>,
    ) -> Result<Leased, Ended> {
        self.now = clock::now();
        let view = Arc::clone(&held.cluster.view);
        let stats = &view.live.stats.shard(self.worker.index).stats;
        let counted = match view.claim_connection(held.host, stats, self.now) {
            Ok(counted) => counted,
            Err(full) => return Err(self.pools_full(full)),
        };
        stats.upstream_cx_total.inc();
        stats.upstream_cx_http2_total.inc();
        held.host.stats.shard(self.worker.index).cx_total.inc();
        let most = view.config.connection.max_requests.map_or(u32::MAX, std::num::NonZeroU32::get);
        let (lease, guard) = held.tier.pool.begin(self.worker.id, held.host.key, permit, most);
        let wanted = secured.clone();
        let host = Arc::clone(held.host);
        let opening = Opening { view: Arc::clone(&view), host, secured, counted, guard };
        let told = open_shared(&Rc::clone(&self.worker), opening);
        match self.until_told(told).await? {
            Ok(()) => self.use_lease(held, lease, wanted.as_ref(), true).await,
            Err(OpenError::Late) => Err(Ended::Failed(Cause::ConnectTimeout)),
            Err(OpenError::Failed(error)) => Err(Ended::Failed(self.not_connected(held, error))),
        }
    }

    /// Waits for the word of who opens the connection.
    async fn until_told(
        &mut self,
        mut told: Receiver<Result<(), OpenError>>,
    ) -> Result<Result<(), OpenError>, Ended> {
        let told = poll_fn(|cx| match Pin::new(&mut told).poll(cx) {
            Poll::Ready(told) => Poll::Ready(Ok(told)),
            Poll::Pending => self.poll_interrupt(cx).map(Err),
        })
        .await;
        self.now = clock::now();
        match told {
            // Its task ends without a word only with the worker.
            Ok(told) => Ok(told.unwrap_or(Err(OpenError::Late))),
            Err(interrupt) => Err(self.cancelled(interrupt)),
        }
    }
}
