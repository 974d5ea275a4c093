//! The way from a slot to a stream on a shared connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::inner::Inner;
use super::lease::{Guard, Lease};
use super::{HostKey, IdlePool};
use crate::limit::turnstile::Entry;
use crate::limit::{CxGrant, CxPermit, CxWant, Key, Kind, Room, WorkerId};
use crate::sync::atomic::Ordering::Acquire;
use crate::sync::lock;

/// What a slot for a stream leads to.
pub enum StreamFound<'a, T, C> {
    /// A stream on a connection to the host, open or opening.
    Lease(Lease<'a, T, C>),
    /// A stream on a connection to another host, [`Lease::host`], that was usable when that was asked: for one that waited, when
    /// it began to wait or a later connection was begun.
    Elsewhere(Lease<'a, T, C>),
    /// A new connection may be opened: [`IdlePool::begin`].
    Connect(CxPermit),
    /// An idle connection that can't be used: close it, then open a new one with its permit.
    Replace(T),
}

impl<T: fmt::Debug, C> fmt::Debug for StreamFound<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease(lease) => f.debug_tuple("Lease").field(lease).finish(),
            Self::Elsewhere(lease) => f.debug_tuple("Elsewhere").field(lease).finish(),
            Self::Connect(permit) => f.debug_tuple("Connect").field(permit).finish(),
            Self::Replace(item) => f.debug_tuple("Replace").field(item).finish(),
        }
    }
}

/// The answer of [`IdlePool::checkout_stream`].
#[must_use = "dropping it gives the stream or the permit back, closes the connection or leaves the queue"]
pub enum StreamCheckout<'a, T, C, F> {
    /// Go on.
    Ready(StreamFound<'a, T, C>),
    /// There is no room now, or a connection is being closed first. Nothing is counted as pending.
    Wait(StreamWaiter<'a, T, C, F>),
}

impl<T: fmt::Debug, C, F> fmt::Debug for StreamCheckout<'_, T, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(found) => f.debug_tuple("Ready").field(found).finish(),
            Self::Wait(waiter) => f.debug_tuple("Wait").field(waiter).finish(),
        }
    }
}

impl<T, C> IdlePool<T, C> {
    /// A stream to `host` for a request of `worker` that holds a slot for one: on a connection of its own worker that is open or
    /// opening and has room, else on a new one if the limit allows, else on one of another worker, else one on which there is
    /// another kind or another host is replaced, else on one to another host that is `usable`, else a wait.
    ///
    /// A lease on a connection that turns out to be dead is [retired](Lease::retire), and the pool asked again.
    pub fn checkout_stream<F: Fn(HostKey) -> bool>(
        &self,
        worker: WorkerId,
        host: HostKey,
        usable: F,
    ) -> StreamCheckout<'_, T, C, F> {
        let pool = &*self.inner;
        let own = pool.index(worker);
        if let Some(room) = pool.lease_of(own, host, true) {
            return StreamCheckout::Ready(StreamFound::Lease(Lease::new(pool, room, host)));
        }
        if let Some(permit) = CxPermit::try_new(&pool.manager) {
            return StreamCheckout::Ready(StreamFound::Connect(permit));
        }
        let ahead = pool.connections().waiters();
        if let Some(found) = pool.find(own, host, &usable, ahead) {
            return StreamCheckout::Ready(found);
        }
        let begun = pool.begun.load(Acquire);
        let elsewhere = pool.elsewhere(host, &usable);
        let place =
            match pool.connections().enter(CxWant { kind: Kind::Stream, host, elsewhere, begun }, true) {
                Entry::Queued(place, _) => place,
                Entry::Entered | Entry::Full(_) => {
                    let permit = CxPermit::entered(&pool.manager);
                    return StreamCheckout::Ready(StreamFound::Connect(permit));
                }
            };
        // What came free before the place was taken was not handed over: look again, now that it would be.
        let waiter = StreamWaiter { pool, host, usable, place: Some(place), begun };
        let ahead = pool.connections().waiters().saturating_sub(1);
        if let Some(found) = pool.find(own, host, &waiter.usable, ahead) {
            return StreamCheckout::Ready(found);
        }
        pool.make_way(|other| other != host && !(waiter.usable)(other));
        StreamCheckout::Wait(waiter)
    }

    /// Opens a shared connection of `worker` to `host`, for at most so many requests: the opener's lease, and what its driver
    /// holds. Others get leases on it at once.
    pub fn begin(
        &self,
        worker: WorkerId,
        host: HostKey,
        permit: CxPermit,
        max_requests: u32,
    ) -> (Lease<'_, T, C>, Guard<T, C>) {
        let pool = &*self.inner;
        let at = pool.share(pool.index(worker), host, max_requests);
        let lease = Lease::new(pool, Room { shelf: at.shelf, place: at.place, lease: 0 }, host);
        let guard = Guard::new(Arc::clone(&self.inner), at, permit);
        if pool.connections().waiters() > 0 {
            pool.offer(at);
            pool.connections().nudge(|want| want.kind == Kind::Stream && !want.shares(host));
            pool.settle();
        }
        (lease, guard)
    }

    /// Changes how many streams one connection carries, in place, for the limits and for connections that are open.
    pub fn set_streams(&self, per_connection: u32) {
        let pool = &*self.inner;
        let _one_at_a_time = lock(&pool.changing);
        pool.manager.set_streams(per_connection);
        for at in pool.places(|_| true) {
            pool.step(at, |shared| shared.configure(per_connection));
            pool.offer(at);
        }
    }
}

impl<T, C> Inner<T, C> {
    /// What there is for a stream beside its own worker's and a new connection. `ahead`: so many of those connections that are about
    /// to be closed are others'.
    fn find(
        &self,
        own: usize,
        host: HostKey,
        usable: impl Fn(HostKey) -> bool,
        ahead: u32,
    ) -> Option<StreamFound<'_, T, C>> {
        let lease = |idle: bool| self.around(own).find_map(|shelf| self.lease_of(shelf, host, idle));
        if let Some(room) = lease(false).or_else(|| lease(true)) {
            return Some(StreamFound::Lease(Lease::new(self, room, host)));
        }
        if self.closing() > ahead {
            return None;
        }
        // One to this host that is idle and has no room is not worth replacing: the next would have none either.
        if let Some(item) = self.replace(own, |shared| shared.host != host) {
            return Some(StreamFound::Replace(item));
        }
        if self.closing() > ahead {
            return None;
        }
        self.lease_elsewhere(host, usable)
    }

    fn lease_elsewhere(
        &self,
        host: HostKey,
        usable: impl Fn(HostKey) -> bool,
    ) -> Option<StreamFound<'_, T, C>> {
        let hosts = self.elsewhere(host, usable);
        let around = |other: HostKey| {
            self.around(0).find_map(|shelf| Some((self.lease_of(shelf, other, true)?, other)))
        };
        let (room, other) = hosts.into_iter().find_map(around)?;
        Some(StreamFound::Elsewhere(Lease::new(self, room, other)))
    }

    /// The other hosts with shared connections that are usable.
    fn elsewhere(&self, host: HostKey, usable: impl Fn(HostKey) -> bool) -> Vec<HostKey> {
        if !self.has_shared() {
            return Vec::new();
        }
        let mut hosts: Vec<HostKey> = Vec::new();
        for shelf in &self.shelves {
            hosts.extend(lock(shelf).shared().map(|(_, shared)| shared.host).filter(|other| *other != host));
        }
        hosts.sort_unstable();
        hosts.dedup();
        hosts.retain(|other| usable(*other));
        hosts
    }
}

/// A place in the queue for a stream: first come, first served over all workers among those who can use the same. Dropping it
/// leaves the queue; what was being handed over goes to the next.
#[must_use = "dropping a waiter leaves the queue"]
pub struct StreamWaiter<'a, T, C, F> {
    pool: &'a Inner<T, C>,
    host: HostKey,
    usable: F,
    /// `None` once resolved.
    place: Option<Key>,
    /// How many shared connections had been begun when it looked which of them it can use.
    begun: u32,
}

impl<'a, T, C, F: Fn(HostKey) -> bool> StreamWaiter<'a, T, C, F> {
    /// What there is, once there is something. The waker of the latest call is the one that is woken. Not to be called again
    /// after it was ready.
    pub fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<StreamFound<'a, T, C>> {
        let Some(place) = self.place else { return Poll::Pending };
        if let Poll::Ready(grant) = self.pool.connections().poll(place, cx) {
            self.place = None;
            return self.redeem(grant).map_or(Poll::Pending, Poll::Ready);
        }
        // The waker is there before the look: whatever begins after the look wakes.
        match self.look(place) {
            Some(found) => {
                self.leave();
                Poll::Ready(found)
            }
            None => Poll::Pending,
        }
    }

    /// Looks whether there is room on connections that were begun meanwhile, and says that it can use them.
    fn look(&mut self, place: Key) -> Option<StreamFound<'a, T, C>> {
        let begun = self.pool.begun.load(Acquire);
        if begun == self.begun {
            return None;
        }
        self.begun = begun;
        let elsewhere = self.pool.elsewhere(self.host, &self.usable);
        let want = CxWant { kind: Kind::Stream, host: self.host, elsewhere, begun };
        self.pool.connections().want(place, want);
        let found = self.pool.lease_elsewhere(self.host, &self.usable);
        if found.is_none() {
            self.pool.make_way(|other| other != self.host && !(self.usable)(other));
        }
        found
    }

    fn redeem(&self, grant: CxGrant) -> Option<StreamFound<'a, T, C>> {
        match grant {
            CxGrant::Permit => Some(StreamFound::Connect(CxPermit::entered(&self.pool.manager))),
            CxGrant::Idle => lock(&self.pool.reserved).pop().map(|idle| StreamFound::Replace(idle.item)),
            CxGrant::Room(room) => {
                let host = self.pool.step(room.into(), |shared| shared.host)?;
                let lease = Lease::new(self.pool, room, host);
                Some(if host == self.host {
                    StreamFound::Lease(lease)
                } else {
                    StreamFound::Elsewhere(lease)
                })
            }
        }
    }
}

impl<T, C, F> StreamWaiter<'_, T, C, F> {
    fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        if let Some(grant) = self.pool.connections().leave(place) {
            self.pool.pass_on(grant);
        }
    }
}

impl<'a, T, C, F: Fn(HostKey) -> bool + Unpin> Future for StreamWaiter<'a, T, C, F> {
    type Output = StreamFound<'a, T, C>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_found(cx)
    }
}

impl<T, C, F> Drop for StreamWaiter<'_, T, C, F> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T, C, F> fmt::Debug for StreamWaiter<'_, T, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWaiter").field("host", &self.host).finish_non_exhaustive()
    }
}
