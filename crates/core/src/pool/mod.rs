//! The upstream connections of one cluster and priority that others may use, and the way from a slot to a connection.
//!
//! Logical slots decide, connections follow: whoever asks here holds a slot. Since slots in use never exceed
//! `max_connections`, when no more may be opened one that is idle or about to be closed exists for each who asks. So
//! asking never fails; at worst it waits for a descriptor to be closed.
//!
//! HTTP/1.1 requests ([`IdlePool::checkout`]) have a connection for themselves, and check it in. Streams
//! ([`IdlePool::checkout_stream`]) have a [`Lease`] on one that is shared and stays here, with its driver's [`Guard`]. Both kinds
//! are under one limit, and wait in one queue. Neither is ever given a connection of the other, but has it closed for a new one.
//!
//! What a connection is, opening, closing and probing it are the proxy's: it drops what it is given here to close it.

mod inner;
mod lease;
mod shared;
mod shelf;
mod stream;
mod take;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use self::inner::Inner;
use self::shelf::Idle;
use crate::Instant;
use crate::limit::turnstile::Entry;
use crate::limit::{CxGrant, CxPermit, CxWant, Key, Kind, ResourceManager, WorkerId};
use crate::sync::lock;

pub use lease::{Guard, Lease, Lost};
pub use stream::{StreamCheckout, StreamFound, StreamWaiter};

/// Identity of a host within the process; a new pod on an old address is a new host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(pub u64);

/// What a slot leads to.
#[derive(Debug)]
pub enum Found<T> {
    /// An idle connection to the host.
    Idle {
        /// The connection, as it was checked in.
        item: T,
        /// The worker that checked it in; if it is not the one that asks, the socket must be registered anew.
        from: WorkerId,
    },
    /// A new one may be opened.
    Connect(CxPermit),
    /// An idle connection to another host: close it, then open a new one with its permit.
    Replace(T),
}

/// The answer of [`IdlePool::checkout`].
#[derive(Debug)]
#[must_use = "dropping it closes the connection, gives the permit back or leaves the queue"]
pub enum Checkout<'a, T, C = Infallible> {
    /// Go on.
    Ready(Found<T>),
    /// All connections that may be open are busy or being closed. One comes free soon; nothing is counted as pending.
    Wait(CxWaiter<'a, T, C>),
}

/// The handle of a shared connection, of which many have a copy: cheap to clone, and no more than a reference, so that dropping one
/// of them means nothing as long as others are there.
pub trait Handle<T>: Clone {
    /// What is given to who closes the connection.
    fn into_item(self) -> T;
}

/// A pool without shared connections.
impl<T> Handle<T> for Infallible {
    fn into_item(self) -> T {
        match self {}
    }
}

/// The connections of one cluster and priority that are idle (`T`), and those that are shared (by copies of a handle, `C`), by worker. A
/// worker that finds one of its own writes no cache line of others.
#[derive(Debug)]
pub struct IdlePool<T, C = Infallible> {
    inner: Arc<Inner<T, C>>,
}

impl<T, C> IdlePool<T, C> {
    /// For `workers` workers, numbered from 0, under the connection limit of `manager`.
    pub fn new(workers: usize, manager: Arc<ResourceManager>) -> Self {
        Self { inner: Arc::new(Inner::new(workers, manager)) }
    }

    /// A connection to `host` for a request of `worker` that holds a slot: an idle one of its own, else a new one if the
    /// limit allows, else an idle one of another worker, else one to another host to be replaced, else a wait.
    ///
    /// A connection that turns out to be dead is dropped and the pool asked again.
    pub fn checkout(&self, worker: WorkerId, host: HostKey) -> Checkout<'_, T, C> {
        let pool = &*self.inner;
        let own = pool.index(worker);
        if let Some(own) = lock(&pool.shelves[own]).take(host) {
            return Checkout::Ready(own.found_for(host));
        }
        if let Some(permit) = CxPermit::try_new(&pool.manager) {
            return Checkout::Ready(Found::Connect(permit));
        }
        if let Some(found) = pool.reclaim(own, host, pool.connections().waiters()) {
            return Checkout::Ready(found);
        }
        let want = CxWant { kind: Kind::Connection, host, elsewhere: Vec::new(), begun: 0 };
        let place = match pool.connections().enter(want, true) {
            Entry::Queued(place, _) => place,
            Entry::Entered | Entry::Full(_) => {
                return Checkout::Ready(Found::Connect(CxPermit::entered(&pool.manager)));
            }
        };
        // A connection checked in before the place was taken was not handed over: look again, now that it would be.
        let waiter = CxWaiter { pool, host, place: Some(place) };
        let ahead = pool.connections().waiters().saturating_sub(1);
        if let Some(found) = pool.reclaim(own, host, ahead) {
            return Checkout::Ready(found);
        }
        pool.make_way(|_| true);
        Checkout::Wait(waiter)
    }

    /// The right to open a connection that is never shared (TCP), for who holds a slot: [`Found::Connect`] if the limit allows,
    /// else an idle one that is to be closed, [`Found::Replace`], whereupon the pool is asked again; else a wait.
    pub fn checkout_new(&self, worker: WorkerId, host: HostKey) -> Checkout<'_, T, C> {
        if let Some(permit) = CxPermit::try_new(&self.inner.manager) {
            return Checkout::Ready(Found::Connect(permit));
        }
        match self.checkout(worker, host) {
            Checkout::Ready(Found::Idle { item, .. }) => Checkout::Ready(Found::Replace(item)),
            other => other,
        }
    }

    /// A connection to `host` is idle from `now` on. Check it in before its request's slot is dropped, so that the next
    /// request finds it. `Some`: more are open than a lowered limit allows; close it.
    #[must_use = "a connection above the limit is to be closed"]
    pub fn checkin(&self, worker: WorkerId, host: HostKey, item: T, now: Instant) -> Option<T> {
        self.inner.put(Idle { host, from: worker, since: now, item })
    }

    /// How many are idle now.
    pub fn idle(&self) -> usize {
        self.inner.shelves.iter().map(|shelf| lock(shelf).idle()).sum()
    }
}

/// A place in the queue for a connection: first come, first served over all workers. Dropping it leaves the queue; what
/// was being handed over goes to the next, or becomes idle.
#[derive(Debug)]
#[must_use = "dropping a waiter leaves the queue"]
pub struct CxWaiter<'a, T, C = Infallible> {
    pool: &'a Inner<T, C>,
    host: HostKey,
    /// `None` once resolved.
    place: Option<Key>,
}

impl<T, C> CxWaiter<'_, T, C> {
    /// The connection, once there is one. The waker of the latest call is the one that is woken. Not to be called again
    /// after it was ready.
    pub fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Found<T>> {
        let Some(place) = self.place else { return Poll::Pending };
        let Poll::Ready(grant) = self.pool.connections().poll(place, cx) else {
            return Poll::Pending;
        };
        self.place = None;
        match self.redeem(grant) {
            Some(found) => Poll::Ready(found),
            None => Poll::Pending,
        }
    }

    fn redeem(&self, grant: CxGrant) -> Option<Found<T>> {
        match grant {
            CxGrant::Permit => Some(Found::Connect(CxPermit::entered(&self.pool.manager))),
            CxGrant::Idle => {
                let mut reserved = lock(&self.pool.reserved);
                let index = reserved.iter().position(|idle| idle.host == self.host).unwrap_or(0);
                let idle = (index < reserved.len()).then(|| reserved.remove(index))?;
                Some(idle.found_for(self.host))
            }
            // Is handed to those only who want a stream.
            CxGrant::Room(_) => None,
        }
    }
}

impl<T, C> Future for CxWaiter<'_, T, C> {
    type Output = Found<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_found(cx)
    }
}

impl<T, C> Drop for CxWaiter<'_, T, C> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        if let Some(grant) = self.pool.connections().leave(place) {
            self.pool.pass_on(grant);
        }
    }
}
