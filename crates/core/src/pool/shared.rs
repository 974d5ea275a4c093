//! One shared connection as the pool counts it, under its shelf's mutex: how many streams run on it, who waits for it to open, and
//! when it takes no more. What comes out of a step is woken or dropped by the caller, after the mutex is released.

use std::task::Waker;

use super::{HostKey, Lost};
use crate::Instant;

#[derive(Debug)]
enum Phase<C> {
    /// The leases, in the order in which they were taken, and who waits with them.
    Opening(Vec<(u64, Option<Waker>)>),
    Open(C),
    /// The last stream ended and none may come: its driver is told to close it.
    Closing,
    /// It has no driver any more.
    Gone,
}

/// What a step leaves to do once the mutex is released.
#[derive(Debug)]
#[must_use = "who is not woken waits for good"]
pub(super) struct After<C> {
    /// The connection is to be closed: dropped, or given to who closes it.
    pub(super) handle: Option<C>,
    wakers: Vec<Waker>,
}

impl<C> After<C> {
    const NOTHING: Self = Self { handle: None, wakers: Vec::new() };

    /// Another step followed.
    pub(super) fn and(&mut self, next: Self) {
        self.wakers.extend(next.wakers);
        self.handle = next.handle.or_else(|| self.handle.take());
    }

    /// Wakes, and gives the handle out.
    pub(super) fn wake(self) -> Option<C> {
        self.wakers.into_iter().for_each(Waker::wake);
        self.handle
    }
}

/// What others count of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// It takes no new streams.
    pub(super) ending: bool,
    /// Besides, none runs on it, so that it is about to be closed.
    pub(super) closing: bool,
    /// So many streams fewer than configured it offers.
    pub(super) missing: u32,
}

#[derive(Debug)]
pub(super) struct Shared<C> {
    pub(super) host: HostKey,
    /// How many were begun, this one included.
    pub(super) nth: u32,
    phase: Phase<C>,
    /// Leases that are out, without those that were cut.
    streams: u32,
    /// Leases for which the peer had no room when the connection was there.
    cut: Vec<u64>,
    /// S.
    configured: u32,
    /// What the peer offers, as far as it is known.
    offered: u32,
    /// How many requests it may still be given.
    remaining: u32,
    retired: bool,
    next_lease: u64,
    /// When the last stream ended of which that is known.
    since: Instant,
    /// The driver, which wants to know when to close it.
    closer: Option<Waker>,
}

impl<C> Shared<C> {
    /// With the lease of the one who opens it, which is number 0.
    pub(super) fn new(host: HostKey, nth: u32, configured: u32, requests: u32) -> Self {
        Self {
            host,
            nth,
            phase: Phase::Opening(vec![(0, None)]),
            streams: 1,
            cut: Vec::new(),
            configured,
            offered: u32::MAX,
            remaining: requests.saturating_sub(1),
            retired: false,
            next_lease: 1,
            since: Instant::ZERO,
            closer: None,
        }
    }

    const fn capacity(&self) -> u32 {
        if self.offered < self.configured { self.offered } else { self.configured }
    }

    const fn is_ending(&self) -> bool {
        self.retired || self.remaining == 0
    }

    const fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    pub(super) const fn standing(&self) -> Standing {
        if self.is_gone() {
            return Standing { ending: false, closing: false, missing: 0 };
        }
        let ending = self.is_ending();
        let missing = self.configured - self.capacity();
        Standing { ending, closing: ending && self.streams == 0, missing }
    }

    pub(super) const fn has_room(&self) -> bool {
        matches!(self.phase, Phase::Opening(_) | Phase::Open(_))
            && !self.is_ending()
            && self.streams < self.capacity()
    }

    /// Open, and nothing runs on it.
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Open(_)) && self.streams == 0 && !self.is_ending()
    }

    /// Streams run on it or it is being opened, and it takes more now or later.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Opening(_) | Phase::Open(_)) && !self.is_ending() && !self.is_idle()
    }

    /// No driver and no lease knows it.
    pub(super) const fn is_forgotten(&self) -> bool {
        self.is_gone() && self.streams == 0 && self.cut.is_empty()
    }

    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    pub(super) const fn streams(&self) -> u32 {
        self.streams
    }

    /// Its handle, if it is idle.
    pub(super) const fn idle(&self) -> Option<&C> {
        match &self.phase {
            Phase::Open(handle) if self.is_idle() => Some(handle),
            _ => None,
        }
    }

    /// One stream more, if there is room.
    pub(super) fn lease(&mut self) -> Option<u64> {
        if !self.has_room() {
            return None;
        }
        let lease = self.next_lease;
        self.next_lease += 1;
        self.streams += 1;
        self.remaining -= 1;
        if let Phase::Opening(waiting) = &mut self.phase {
            waiting.push((lease, None));
        }
        Some(lease)
    }

    /// The connection, once it is there for this lease or lost. The waker that was left before comes
    /// back in the place of the one that is left.
    pub(super) fn poll(&mut self, lease: u64, waker: &mut Option<Waker>) -> Option<Result<&C, Lost>> {
        if self.cut.contains(&lease) {
            return Some(Err(Lost));
        }
        match &mut self.phase {
            Phase::Opening(waiting) => {
                if let Some((_, left)) = waiting.iter_mut().find(|(other, _)| *other == lease) {
                    std::mem::swap(left, waker);
                }
                None
            }
            Phase::Open(handle) => Some(Ok(handle)),
            Phase::Closing | Phase::Gone => Some(Err(Lost)),
        }
    }

    /// The lease comes back. `used`: a request may have been sent on it.
    pub(super) fn give_back(&mut self, lease: u64, used: bool, now: Option<Instant>) -> After<C> {
        let mut after = After::NOTHING;
        if let Some(index) = self.cut.iter().position(|other| *other == lease) {
            self.cut.swap_remove(index);
            return after;
        }
        if let Phase::Opening(waiting) = &mut self.phase
            && let Some(index) = waiting.iter().position(|(other, _)| *other == lease)
        {
            // Not to be woken, but no user value is dropped here either: waking one that is gone harms nobody.
            after.wakers.extend(waiting.remove(index).1);
        }
        self.streams -= 1;
        if !used {
            self.remaining = self.remaining.saturating_add(1);
        }
        if let Some(now) = now {
            self.since = self.since.max(now);
        }
        self.close_if_done(&mut after);
        after
    }

    /// The connection is there, and the peer offers so many streams: the leases above that, the youngest, are lost.
    pub(super) fn opened(&mut self, handle: C, offered: u32, now: Instant) -> After<C> {
        let mut after = After::NOTHING;
        self.offered = offered;
        self.since = now;
        match std::mem::replace(&mut self.phase, Phase::Open(handle)) {
            Phase::Opening(waiting) => {
                let room = usize::try_from(self.capacity()).unwrap_or(usize::MAX);
                for (index, (lease, waker)) in waiting.into_iter().enumerate() {
                    if index >= room {
                        self.cut.push(lease);
                        self.streams -= 1;
                        self.remaining = self.remaining.saturating_add(1);
                    }
                    after.wakers.extend(waker);
                }
                self.close_if_done(&mut after);
            }
            // Told twice: the later handle is in force.
            Phase::Open(before) => after.handle = Some(before),
            over @ (Phase::Closing | Phase::Gone) => after.handle = self.put_phase(over),
        }
        after
    }

    /// The peer offers another number now, or another one is configured. Streams that run stay.
    pub(super) const fn offer(&mut self, offered: u32) {
        self.offered = offered;
    }

    pub(super) const fn configure(&mut self, configured: u32) {
        self.configured = configured;
    }

    /// No new streams.
    pub(super) fn retire(&mut self) -> After<C> {
        let mut after = After::NOTHING;
        self.retired = true;
        self.close_if_done(&mut after);
        after
    }

    /// Its driver is gone.
    pub(super) fn lose(&mut self) -> After<C> {
        let mut after = After::NOTHING;
        match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Opening(waiting) => {
                after.wakers.extend(waiting.into_iter().filter_map(|(_, waker)| waker));
            }
            Phase::Open(handle) => after.handle = Some(handle),
            Phase::Closing | Phase::Gone => {}
        }
        after.wakers.extend(self.closer.take());
        after
    }

    /// Whether the driver is to close it. If not, `waker` is left there and the one left before comes back.
    pub(super) const fn poll_close(&mut self, waker: &mut Option<Waker>) -> bool {
        if self.standing().closing {
            return true;
        }
        std::mem::swap(&mut self.closer, waker);
        false
    }

    fn close_if_done(&mut self, after: &mut After<C>) {
        if !self.standing().closing {
            return;
        }
        if matches!(self.phase, Phase::Open(_)) {
            after.handle = self.put_phase(Phase::Closing);
        }
        after.wakers.extend(self.closer.take());
    }

    /// The handle of the phase before, if it had one.
    fn put_phase(&mut self, phase: Phase<C>) -> Option<C> {
        match std::mem::replace(&mut self.phase, phase) {
            Phase::Open(handle) => Some(handle),
            Phase::Opening(_) | Phase::Closing | Phase::Gone => None,
        }
    }
}
