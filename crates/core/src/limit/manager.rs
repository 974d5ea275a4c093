//! The live limits of one cluster and priority: who may run, wait, retry, connect. It decides by numbers only; hosts,
//! sockets and statistics are the proxy's, idle connections are the pool's ([`crate::pool`]).

use std::sync::Arc;

use super::admission::{Admission, MaxConnections, MaxRetries, Refused, SlotGrant, Slots};
use super::cell::{Cell, Epoch};
use super::permit::{CxPermit, RetryPermit, Slot, Waiter};
use super::turnstile::{Entry, Turnstile};
use super::{Kind, LimitView, MAX_STREAMS, Thresholds, UNLIMITED, WorkerId};
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Acquire, Release};
use crate::sync::{Mutex, lock};

/// Exact limits, shared by all workers. No bound is ever exceeded except by what ran already when it was lowered.
///
/// A cluster that bounds neither connections nor requests counts per worker and writes no shared cache line per request.
#[derive(Debug)]
pub struct ResourceManager {
    slots: Turnstile<Slots>,
    connections: Turnstile<MaxConnections>,
    retries: Turnstile<MaxRetries>,
    /// Open while there is no limit on slots; indexed by worker.
    cells: Box<[Cell]>,
    /// S, for those who open connections.
    streams: AtomicU32,
    /// One change of the thresholds at a time.
    changing: Mutex<()>,
}

/// Neither connections nor requests are bounded: nobody can ever be refused or wait.
const fn counts_per_worker(thresholds: &Thresholds) -> bool {
    thresholds.max_connections == UNLIMITED && thresholds.max_requests == UNLIMITED
}

impl ResourceManager {
    /// For `workers` workers, numbered from 0.
    pub fn new(workers: usize, thresholds: Thresholds) -> Self {
        let open = counts_per_worker(&thresholds);
        Self {
            slots: Turnstile::new(Slots { thresholds, streams: MAX_STREAMS, missing: 0 }),
            connections: Turnstile::new(MaxConnections(thresholds.max_connections)),
            retries: Turnstile::new(MaxRetries(thresholds.max_retries)),
            cells: (0..workers).map(|_| Cell::new(open)).collect(),
            streams: AtomicU32::new(MAX_STREAMS),
            changing: Mutex::new(()),
        }
    }

    /// The bounds in force.
    pub fn thresholds(&self) -> Thresholds {
        self.slots.crowd().rule.thresholds
    }

    /// How many streams one connection carries ([`MAX_STREAMS`] at first).
    pub fn streams(&self) -> u32 {
        self.streams.load(Acquire)
    }

    /// Changes how many streams one connection carries, in place, like [`Self::set_thresholds`]. Where there is a pool, through
    /// [`crate::pool::IdlePool::set_streams`], which tells the connections that are open.
    pub fn set_streams(&self, per_connection: u32) {
        let _one_at_a_time = lock(&self.changing);
        self.streams.store(per_connection, Release);
        self.slots.change(|slots| Slots { streams: per_connection, ..slots }, || [0; 2]);
    }

    /// An open connection offers so many streams fewer than the configured number than it did before, or more.
    pub(crate) fn offers_fewer(&self, streams: i64) {
        if streams != 0 {
            let missing = |slots: Slots| slots.missing.wrapping_add_signed(streams);
            self.slots.change(|slots| Slots { missing: missing(slots), ..slots }, || [0; 2]);
        }
    }

    /// Changes the bounds in place, exact for every decision after the return. Raised: those who wait start at once.
    /// Lowered: nothing that runs is cut, and newcomers wait or are refused until the counts are below. Connections that
    /// are idle above a lowered `max_connections` are the pool's to close ([`crate::pool::IdlePool::take_surplus`]).
    pub fn set_thresholds(&self, thresholds: Thresholds) {
        let _one_at_a_time = lock(&self.changing);
        self.connections.change(|_| MaxConnections(thresholds.max_connections), || [0; 2]);
        self.retries.change(|_| MaxRetries(thresholds.max_retries), || [0; 2]);
        let slots = |slots: Slots| Slots { thresholds, ..slots };
        if counts_per_worker(&thresholds) {
            self.slots.change(slots, || [0; 2]);
            self.cells.iter().for_each(Cell::open);
        } else {
            let close = || self.cells.iter().map(Cell::close).fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
            self.slots.change(slots, close);
        }
    }

    /// A request wants in: a slot, a place in the queue, or neither. Each retry is an admission of its own.
    pub fn admit(&self, worker: WorkerId, kind: Kind) -> Admission<'_> {
        if let Some(slot) = self.admit_to_cell(worker, kind) {
            return Admission::Admitted(slot);
        }
        match self.slots.enter(kind, true) {
            Entry::Entered => Admission::Admitted(Slot::in_word(self, kind)),
            Entry::Queued(place, crowd) => {
                Admission::Queued(Waiter::new(self, kind, place, crowd.connections_full()))
            }
            Entry::Full(crowd) => Admission::Refused(crowd.refusal()),
        }
    }

    /// The same for upgrades, which hold their connection for life and never wait. They do not overtake requests that
    /// wait.
    #[must_use = "dropping the slot gives it to the next request"]
    pub fn admit_now(&self, worker: WorkerId, kind: Kind) -> Result<Slot<'_>, Refused> {
        if let Some(slot) = self.admit_to_cell(worker, kind) {
            return Ok(slot);
        }
        match self.slots.enter(kind, false) {
            Entry::Entered => Ok(Slot::in_word(self, kind)),
            Entry::Queued(_, crowd) | Entry::Full(crowd) => Err(crowd.refusal_at_once()),
        }
    }

    /// The same for TCP, which makes no requests: `max_connections` is the only bound, whatever is said of requests.
    #[must_use = "dropping the slot gives it to the next request"]
    pub fn admit_connection(&self, worker: WorkerId) -> Result<Slot<'_>, Refused> {
        const KIND: Kind = Kind::Connection;
        if let Some(slot) = self.admit_to_cell(worker, KIND) {
            return Ok(slot);
        }
        match self.slots.enter_below(KIND, |slots| slots.thresholds.max_connections) {
            Ok(()) => Ok(Slot::in_word(self, KIND)),
            Err(crowd) => Err(crowd.refusal_of_connection()),
        }
    }

    /// A retry wants to be in flight.
    #[must_use = "dropping the permit gives it back"]
    pub fn try_retry(&self) -> Result<RetryPermit<'_>, Refused> {
        match self.retries.enter((), false) {
            Entry::Entered => Ok(RetryPermit(self)),
            Entry::Queued(_, crowd) | Entry::Full(crowd) => Err(crowd.refusal()),
        }
    }

    /// The right to open one more connection, unless that many are open or others wait for it. Requests get theirs
    /// through [`crate::pool::IdlePool::checkout`].
    #[must_use = "dropping the permit lets another connection open"]
    pub fn try_connect(self: &Arc<Self>) -> Option<CxPermit> {
        CxPermit::try_new(self)
    }

    /// The last host went: all who wait now get [`super::Dismissed`]. A request that looked for hosts before and queues
    /// after this is served by the next release, and finds no host then.
    pub fn dismiss_waiters(&self) {
        self.slots.hand_all(|| SlotGrant::Dismissed);
    }

    /// The counts and bounds of now.
    pub fn view(&self) -> LimitView {
        // Slots do not move between cells and word meanwhile.
        let _unchanging = lock(&self.changing);
        let (slots, connections, retries) =
            (self.slots.crowd(), self.connections.crowd(), self.retries.crowd());
        LimitView {
            thresholds: slots.rule.thresholds,
            connections: connections.inside,
            pending: slots.waiters,
            requests: slots.inside + self.cells.iter().map(Cell::count).sum::<u32>(),
            retries: retries.inside,
        }
    }

    fn admit_to_cell(&self, worker: WorkerId, kind: Kind) -> Option<Slot<'_>> {
        let epoch = self.cells.get(usize::from(worker.0))?.enter(kind)?;
        Some(Slot::in_cell(self, kind, worker, epoch))
    }

    /// Gives back a slot that entered through a cell: to the cell, or to the word that took it over.
    pub(super) fn leave_cell(&self, worker: WorkerId, kind: Kind, epoch: Epoch) {
        if !self.cells.get(usize::from(worker.0)).is_some_and(|cell| cell.leave(kind, epoch)) {
            self.slots.release(kind);
        }
    }

    pub(super) const fn slots(&self) -> &Turnstile<Slots> {
        &self.slots
    }

    pub(super) const fn retries(&self) -> &Turnstile<MaxRetries> {
        &self.retries
    }

    pub(crate) const fn connections(&self) -> &Turnstile<MaxConnections> {
        &self.connections
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn without_limits_requests_are_counted_by_their_worker_and_not_in_the_shared_word() {
        let manager =
            ResourceManager::new(2, Thresholds { max_pending_requests: 1, ..Thresholds::UNLIMITED });
        let slots: Vec<_> = [0, 1, 1].map(|worker| manager.admit(WorkerId(worker), Kind::Stream)).into();
        let counted = || (manager.slots.crowd().inside, manager.view().requests);
        assert_eq!(counted(), (0, 3));
        manager.set_thresholds(Thresholds { max_requests: 9, ..Thresholds::UNLIMITED });
        assert_eq!(counted(), (3, 3), "with a limit the word takes them over");
        drop(slots);
        assert_eq!(counted(), (0, 0));
    }
}
