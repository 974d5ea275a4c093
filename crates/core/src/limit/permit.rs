//! What a request or a connection holds while it counts. Each is given back by drop, exactly once, whatever ended it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::admission::SlotGrant;
use super::cell::Epoch;
use super::manager::ResourceManager;
use super::queue::Key;
use super::{Kind, WorkerId};

/// The right to have one request on one connection, or one stream.
///
/// Drop it when the upstream message is complete (or its connection closed), before the last downstream byte is written.
/// Check the connection in first, so that the one who gets the slot finds it. A slot that stays held counts for as long:
/// an HTTP/1.1 request whose connection was upgraded keeps its slot for the life of the tunnel.
#[derive(Debug)]
#[must_use = "dropping a slot gives it to the next request"]
pub struct Slot<'a> {
    manager: &'a ResourceManager,
    kind: Kind,
    counted: CountedBy,
}

/// The counter that a slot came from.
#[derive(Clone, Copy, Debug)]
enum CountedBy {
    Word,
    Cell(WorkerId, Epoch),
}

impl<'a> Slot<'a> {
    pub(super) const fn in_word(manager: &'a ResourceManager, kind: Kind) -> Self {
        Self { manager, kind, counted: CountedBy::Word }
    }

    pub(super) const fn in_cell(
        manager: &'a ResourceManager,
        kind: Kind,
        worker: WorkerId,
        epoch: Epoch,
    ) -> Self {
        Self { manager, kind, counted: CountedBy::Cell(worker, epoch) }
    }

    /// What it was asked for.
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        match self.counted {
            CountedBy::Word => self.manager.slots().release(self.kind),
            CountedBy::Cell(worker, epoch) => self.manager.leave_cell(worker, self.kind, epoch),
        }
    }
}

/// The last host went while this request waited: it is answered 503 UH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dismissed;

/// A place in the queue for a slot: first come, first served over all workers. Dropping it leaves the queue at once; a
/// slot that was being handed over goes to the next.
#[derive(Debug)]
#[must_use = "dropping a waiter leaves the queue"]
pub struct Waiter<'a> {
    manager: &'a ResourceManager,
    kind: Kind,
    /// `None` once resolved.
    place: Option<Key>,
    connections_full: bool,
}

impl<'a> Waiter<'a> {
    pub(super) const fn new(
        manager: &'a ResourceManager,
        kind: Kind,
        place: Key,
        connections_full: bool,
    ) -> Self {
        Self { manager, kind, place: Some(place), connections_full }
    }

    /// Whether it was the connection limit that made this request wait: one `upstream_cx_overflow` (difference D17).
    /// Otherwise it waits behind others that the request limit keeps waiting since the limits were changed.
    pub const fn connections_full(&self) -> bool {
        self.connections_full
    }

    /// The slot, once it is this waiter's turn. The waker of the latest call is the one that is woken.
    /// After it was ready once, it only says [`Dismissed`].
    pub fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Result<Slot<'a>, Dismissed>> {
        let Some(place) = self.place else { return Poll::Ready(Err(Dismissed)) };
        let Poll::Ready(grant) = self.manager.slots().poll(place, cx) else { return Poll::Pending };
        self.place = None;
        Poll::Ready(match grant {
            SlotGrant::Slot => Ok(Slot::in_word(self.manager, self.kind)),
            SlotGrant::Dismissed => Err(Dismissed),
        })
    }
}

impl<'a> Future for Waiter<'a> {
    type Output = Result<Slot<'a>, Dismissed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_slot(cx)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        if self.manager.slots().leave(place) == Some(SlotGrant::Slot) {
            self.manager.slots().release(self.kind);
        }
    }
}

/// The right to have one retry in flight. Beside it the retry needs a slot like any request.
#[derive(Debug)]
#[must_use = "dropping a retry permit gives it back"]
pub struct RetryPermit<'a>(pub(super) &'a ResourceManager);

impl Drop for RetryPermit<'_> {
    fn drop(&mut self) {
        self.0.retries().release(Kind::Connection);
    }
}

/// The right to have one connection open, from before the connect until its descriptor is closed.
///
/// It lives in the connection. A connection that is being closed still counts, so whoever holds both must drop the
/// socket first: put the permit *after* the socket in the struct (fields are dropped in the order of their declaration).
#[must_use = "dropping a connection permit lets another connection open"]
pub struct CxPermit(Arc<ResourceManager>);

impl CxPermit {
    /// If one may be opened and nobody waits for it.
    pub(crate) fn try_new(manager: &Arc<ResourceManager>) -> Option<Self> {
        manager.connections().try_enter(Kind::Connection).then(|| Self::entered(manager))
    }

    /// For one that the turnstile of connections has let in.
    pub(crate) fn entered(manager: &Arc<ResourceManager>) -> Self {
        Self(Arc::clone(manager))
    }
}

impl fmt::Debug for CxPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CxPermit")
    }
}

impl Drop for CxPermit {
    fn drop(&mut self) {
        self.0.connections().release(Kind::Connection);
    }
}
