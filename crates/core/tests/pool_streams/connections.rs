//! Connections as tests have them, and a pool of them to be asked step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use fuseboard_core::Instant;
use fuseboard_core::limit::{CxPermit, ResourceManager, Thresholds, UNLIMITED, WorkerId};
use fuseboard_core::pool::{
    Guard, Handle, HostKey, IdlePool, Lease, Lost, StreamCheckout, StreamFound, StreamWaiter,
};

pub(crate) const ONE: WorkerId = WorkerId(0);
pub(crate) const OTHER: WorkerId = WorkerId(1);
pub(crate) const HOST: HostKey = HostKey(1);
pub(crate) const OTHER_HOST: HostKey = HostKey(2);

/// The handle of a shared connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) u32);

#[derive(Debug)]
pub(crate) enum Item {
    Own(CxPermit),
    Shared(Link),
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Shared(one), Self::Shared(two)) if one == two)
    }
}

impl Handle<Item> for Link {
    fn into_item(self) -> Item {
        Item::Shared(self)
    }
}

#[derive(Default)]
pub(crate) struct Flag(pub(crate) AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn limits(connections: u32, pending: u32, requests: u32) -> Thresholds {
    Thresholds {
        max_connections: connections,
        max_pending_requests: pending,
        max_requests: requests,
        ..Thresholds::UNLIMITED
    }
}

pub(crate) struct Plain {
    pub(crate) manager: Arc<ResourceManager>,
    pub(crate) pool: IdlePool<Item, Link>,
}

pub(crate) fn plain(connections: u32, streams: u32) -> Plain {
    let manager = Arc::new(ResourceManager::new(2, limits(connections, 100, UNLIMITED)));
    manager.set_streams(streams);
    Plain { pool: IdlePool::new(2, Arc::clone(&manager)), manager }
}

pub(crate) fn anywhere(_host: HostKey) -> bool {
    true
}

pub(crate) fn nowhere(_host: HostKey) -> bool {
    false
}

impl Plain {
    pub(crate) fn permit(&self, worker: WorkerId, host: HostKey) -> CxPermit {
        match self.pool.checkout_stream(worker, host, nowhere) {
            StreamCheckout::Ready(StreamFound::Connect(permit)) => permit,
            other => panic!("not a new connection: {other:?}"),
        }
    }

    pub(crate) fn begin(
        &self,
        worker: WorkerId,
        host: HostKey,
    ) -> (Lease<'_, Item, Link>, Guard<Item, Link>) {
        self.pool.begin(worker, host, self.permit(worker, host), u32::MAX)
    }

    /// One that is open, with its first stream.
    pub(crate) fn opened(
        &self,
        worker: WorkerId,
        host: HostKey,
    ) -> (Lease<'_, Item, Link>, Guard<Item, Link>) {
        let (lease, guard) = self.begin(worker, host);
        guard.opened(Link(1), self.manager.streams(), Instant::ZERO);
        (lease, guard)
    }

    /// The same, though there is room on another one.
    pub(crate) fn another(&self, host: HostKey) -> (Lease<'_, Item, Link>, Guard<Item, Link>) {
        let permit = self.manager.try_connect().unwrap();
        let (lease, guard) = self.pool.begin(ONE, host, permit, u32::MAX);
        guard.opened(Link(u32::try_from(host.0).unwrap()), self.manager.streams(), Instant::ZERO);
        (lease, guard)
    }

    /// A stream that has to wait.
    pub(crate) fn waiter<F: Fn(HostKey) -> bool>(
        &self,
        worker: WorkerId,
        host: HostKey,
        usable: F,
    ) -> StreamWaiter<'_, Item, Link, F> {
        match self.pool.checkout_stream(worker, host, usable) {
            StreamCheckout::Wait(waiter) => waiter,
            StreamCheckout::Ready(found) => panic!("nothing to wait for: {found:?}"),
        }
    }

    pub(crate) fn lease(&self, worker: WorkerId, host: HostKey) -> Lease<'_, Item, Link> {
        match self.pool.checkout_stream(worker, host, nowhere) {
            StreamCheckout::Ready(StreamFound::Lease(lease)) => lease,
            other => panic!("no room: {other:?}"),
        }
    }
}

pub(crate) fn open(lease: &mut Lease<'_, Item, Link>) -> Poll<Result<Link, Lost>> {
    lease.poll_open(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn closes(guard: &Guard<Item, Link>) -> bool {
    guard.poll_close(&mut Context::from_waker(Waker::noop())).is_ready()
}
