//! What one holds of a shared connection: a stream of it, or the connection itself. Given back by drop.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::inner::{Inner, Place};
use super::shared::After;
use super::{Handle, HostKey};
use crate::Instant;
use crate::limit::{CxPermit, Room, WorkerId};
use crate::sync::lock;

/// The connection is not there for this lease: it could not be opened, it was lost, or its peer offers fewer streams than were
/// asked for. Drop the lease and ask the pool again; the slot stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// The right to one stream on a shared connection, which may still be opening.
#[must_use = "dropping a lease gives the stream back"]
pub struct Lease<'a, T, C> {
    pool: &'a Inner<T, C>,
    room: Room,
    host: HostKey,
    /// The connection was seen, so that a request may have been sent on it.
    used: bool,
    given_back: bool,
}

impl<'a, T, C> Lease<'a, T, C> {
    pub(super) const fn new(pool: &'a Inner<T, C>, room: Room, host: HostKey) -> Self {
        Self { pool, room, host, used: false, given_back: false }
    }

    /// Where the connection goes.
    pub const fn host(&self) -> HostKey {
        self.host
    }

    /// The worker that opened it, on whose event loop it lives.
    pub fn worker(&self) -> WorkerId {
        WorkerId(u16::try_from(self.room.shelf).unwrap_or(0))
    }

    /// Takes no new streams on this connection: its host is gone or ejected, it was found dead, or it is too old.
    pub fn retire(&self) {
        self.pool.end(self.room.into());
        self.pool.settle();
    }

    fn give_back(&mut self, now: Option<Instant>) -> Option<C> {
        if self.given_back {
            return None;
        }
        self.given_back = true;
        self.pool.give_back(self.room, self.used, now)
    }
}

impl<T, C: Clone> Lease<'_, T, C> {
    /// The connection, once it is there. The waker of the latest call is the one that is woken.
    pub fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<C, Lost>> {
        let mut waker = Some(cx.waker().clone());
        let mut kept = lock(&self.pool.shelves[self.room.shelf]);
        let Some(shared) = kept.at(self.room.place) else { return Poll::Ready(Err(Lost)) };
        let found = shared.poll(self.room.lease, &mut waker).map(<Result<&C, Lost>>::cloned);
        drop(kept);
        self.used |= matches!(found, Some(Ok(_)));
        found.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T, C: Handle<T>> Lease<'_, T, C> {
    /// The stream ended at `now`. Before its request's slot is dropped, so that the next request finds room. `Some`: the
    /// connection takes no more, because of its age or a lowered limit, and this was its last stream; close it.
    #[must_use = "a connection that takes no more is to be closed"]
    pub fn finish(mut self, now: Instant) -> Option<T> {
        self.give_back(Some(now)).map(Handle::into_item)
    }
}

impl<T, C> Drop for Lease<'_, T, C> {
    /// Without a time, the connection counts as idle since an earlier stream ended.
    fn drop(&mut self) {
        drop(self.give_back(None));
    }
}

impl<T, C> fmt::Debug for Lease<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("host", &self.host).field("room", &self.room).finish_non_exhaustive()
    }
}

/// Held by whoever drives a shared connection, from before the connect until the descriptor is closed. Drop it after the socket:
/// its permit lets another connection open.
#[must_use = "dropping a guard says that the connection is closed"]
pub struct Guard<T, C> {
    pool: Arc<Inner<T, C>>,
    at: Place,
    permit: Option<CxPermit>,
}

impl<T, C> Guard<T, C> {
    pub(super) const fn new(pool: Arc<Inner<T, C>>, at: Place, permit: CxPermit) -> Self {
        Self { pool, at, permit: Some(permit) }
    }

    /// The connection is there, since `now`, and the peer offers so many streams. Leases above that are [`Lost`], the youngest
    /// first. `handle` is what the others get; it is dropped as soon as the connection is to be closed.
    pub fn opened(&self, handle: C, offered: u32, now: Instant) {
        let after = self.pool.step(self.at, |shared| {
            let mut after = shared.opened(handle, offered, now);
            self.pool.end_surplus(shared, &mut after);
            after
        });
        drop(after.and_then(After::wake));
        self.pool.offer(self.at);
        self.pool.settle();
    }

    /// The peer offers another number of streams from now on. Those that run stay.
    pub fn set_capacity(&self, offered: u32) {
        self.pool.step(self.at, |shared| shared.offer(offered));
        self.pool.offer(self.at);
    }

    /// Takes no new streams on this connection (GOAWAY, its age). Those that run go on.
    pub fn retire(&self) {
        self.pool.end(self.at);
        self.pool.settle();
    }

    /// How many streams are leased now.
    pub fn streams(&self) -> u32 {
        self.pool.step(self.at, |shared| shared.streams()).unwrap_or(0)
    }

    /// Ready once the connection is to be closed: it takes no new streams, and the last one was given back. The waker of the
    /// latest call is the one that is woken.
    pub fn poll_close(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = Some(cx.waker().clone());
        let close = self.pool.step(self.at, |shared| shared.poll_close(&mut waker)).unwrap_or(true);
        if close { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<T, C> Drop for Guard<T, C> {
    /// What the connection counted for is taken back before its permit: whoever gets that finds the numbers without it.
    fn drop(&mut self) {
        let after = self.pool.step(self.at, super::shared::Shared::lose);
        drop(after.and_then(After::wake));
        self.permit = None;
        self.pool.settle();
    }
}

impl<T, C> fmt::Debug for Guard<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("at", &self.at).finish_non_exhaustive()
    }
}
