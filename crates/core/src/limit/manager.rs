//! The live limits of one cluster and priority: who may run, wait, retry, connect. It decides by numbers only; hosts,
//! sockets and statistics are the proxy's, idle connections are the pool's ([`crate::pool`]).

use std::sync::Arc;

use super::admission::{Admission, MaxConnections, MaxRetries, Refused, SlotGrant};
use super::cell::{Cell, Epoch};
use super::permit::{CxPermit, RetryPermit, Slot, Waiter};
use super::turnstile::{Entry, Turnstile};
use super::{LimitView, Thresholds, UNLIMITED, WorkerId};
use crate::sync::{Mutex, lock};

/// Exact limits, shared by all workers. No bound is ever exceeded except by what ran already when it was lowered.
///
/// A cluster that bounds neither connections nor requests counts per worker and writes no shared cache line per request.
#[derive(Debug)]
pub struct ResourceManager {
    slots: Turnstile<Thresholds>,
    connections: Turnstile<MaxConnections>,
    retries: Turnstile<MaxRetries>,
    /// Open while there is no limit on slots; indexed by worker.
    cells: Box<[Cell]>,
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
            slots: Turnstile::new(thresholds),
            connections: Turnstile::new(MaxConnections(thresholds.max_connections)),
            retries: Turnstile::new(MaxRetries(thresholds.max_retries)),
            cells: (0..workers).map(|_| Cell::new(open)).collect(),
            changing: Mutex::new(()),
        }
    }

    /// The bounds in force.
    pub fn thresholds(&self) -> Thresholds {
        self.slots.crowd().rule
    }

    /// Changes the bounds in place, exact for every decision after the return. Raised: those who wait start at once.
    /// Lowered: nothing that runs is cut, and newcomers wait or are refused until the counts are below. Connections that
    /// are idle above a lowered `max_connections` are the pool's to close ([`crate::pool::IdlePool::take_surplus`]).
    pub fn set_thresholds(&self, thresholds: Thresholds) {
        let _one_at_a_time = lock(&self.changing);
        self.connections.change(MaxConnections(thresholds.max_connections), || 0);
        self.retries.change(MaxRetries(thresholds.max_retries), || 0);
        if counts_per_worker(&thresholds) {
            self.slots.change(thresholds, || 0);
            self.cells.iter().for_each(Cell::open);
        } else {
            self.slots.change(thresholds, || self.cells.iter().map(Cell::close).sum());
        }
    }

    /// An HTTP/1.1 request wants in: a slot, a place in the queue, or neither. Each retry is an admission of its own.
    pub fn admit(&self, worker: WorkerId) -> Admission<'_> {
        if let Some(slot) = self.admit_to_cell(worker) {
            return Admission::Admitted(slot);
        }
        match self.slots.enter(true) {
            Entry::Entered => Admission::Admitted(Slot::in_word(self)),
            Entry::Queued(place, crowd) => {
                Admission::Queued(Waiter::new(self, place, crowd.connections_full()))
            }
            Entry::Full(crowd) => Admission::Refused(crowd.refusal()),
        }
    }

    /// The same for upgrades, which hold their connection for life and never wait. They do not overtake requests that
    /// wait.
    #[must_use = "dropping the slot gives it to the next request"]
    pub fn admit_now(&self, worker: WorkerId) -> Result<Slot<'_>, Refused> {
        if let Some(slot) = self.admit_to_cell(worker) {
            return Ok(slot);
        }
        match self.slots.enter(false) {
            Entry::Entered => Ok(Slot::in_word(self)),
            Entry::Queued(_, crowd) | Entry::Full(crowd) => Err(crowd.refusal_at_once()),
        }
    }

    /// The same for TCP, which makes no requests: `max_connections` is the only bound, whatever is said of requests.
    #[must_use = "dropping the slot gives it to the next request"]
    pub fn admit_connection(&self, worker: WorkerId) -> Result<Slot<'_>, Refused> {
        if let Some(slot) = self.admit_to_cell(worker) {
            return Ok(slot);
        }
        match self.slots.enter_below(|thresholds| thresholds.max_connections) {
            Ok(()) => Ok(Slot::in_word(self)),
            Err(crowd) => Err(crowd.refusal_of_connection()),
        }
    }

    /// A retry wants to be in flight.
    #[must_use = "dropping the permit gives it back"]
    pub fn try_retry(&self) -> Result<RetryPermit<'_>, Refused> {
        match self.retries.enter(false) {
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
            thresholds: slots.rule,
            connections: connections.inside,
            pending: slots.waiters,
            requests: slots.inside + self.cells.iter().map(Cell::count).sum::<u32>(),
            retries: retries.inside,
        }
    }

    fn admit_to_cell(&self, worker: WorkerId) -> Option<Slot<'_>> {
        let epoch = self.cells.get(usize::from(worker.0))?.enter()?;
        Some(Slot::in_cell(self, worker, epoch))
    }

    /// Gives back a slot that entered through a cell: to the cell, or to the word that took it over.
    pub(super) fn leave_cell(&self, worker: WorkerId, epoch: Epoch) {
        if !self.cells.get(usize::from(worker.0)).is_some_and(|cell| cell.leave(epoch)) {
            self.slots.release();
        }
    }

    pub(super) const fn slots(&self) -> &Turnstile<Thresholds> {
        &self.slots
    }

    pub(super) const fn retries(&self) -> &Turnstile<MaxRetries> {
        &self.retries
    }

    pub(crate) const fn connections(&self) -> &Turnstile<MaxConnections> {
        &self.connections
    }
}
