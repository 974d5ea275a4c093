//! The naive model: what every decision must be.

use std::collections::{BTreeMap, VecDeque};

use fuseboard_core::limit::{Kind, Thresholds, UNLIMITED};
use fuseboard_core::refusal::RefusalReason;

/// The rules of admission, written down as simply as possible.
pub(super) struct Model {
    pub(super) thresholds: Thresholds,
    pub(super) streams: u32,
    pub(super) inside: BTreeMap<Kind, u32>,
    pub(super) queue: VecDeque<(u32, Kind)>,
    pub(super) retries: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Enter,
    Queue { connections_full: bool },
    Refuse(RefusalReason, u32, u32),
}

impl Model {
    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap()
    }

    pub(super) fn inside(&self, kind: Kind) -> u32 {
        self.inside.get(&kind).copied().unwrap_or(0)
    }

    pub(super) fn total(&self) -> u32 {
        self.inside.values().sum()
    }

    pub(super) fn enter(&mut self, kind: Kind) {
        *self.inside.entry(kind).or_default() += 1;
    }

    pub(super) fn leave(&mut self, kind: Kind) {
        *self.inside.get_mut(&kind).unwrap() -= 1;
    }

    pub(super) fn bound(&self, kind: Kind) -> u32 {
        let n = self.thresholds.max_connections;
        match kind {
            Kind::Stream if n != UNLIMITED => {
                u32::try_from(u64::from(n) * u64::from(self.streams)).unwrap_or(UNLIMITED)
            }
            _ => n,
        }
    }

    fn has_room(&self, kind: Kind) -> bool {
        self.inside(kind) < self.bound(kind) && self.total() < self.thresholds.max_requests
    }

    pub(super) fn judge(&self, kind: Kind, may_queue: bool) -> Verdict {
        let Thresholds { max_pending_requests: p, max_requests: r, .. } = self.thresholds;
        let (bound, own) = (self.bound(kind), self.inside(kind));
        let someone_waits = self.queue.iter().any(|(_, other)| *other == kind);
        if self.has_room(kind) && !someone_waits {
            Verdict::Enter
        } else if !may_queue {
            if r < bound || (own < bound && self.total() >= r) {
                Verdict::Refuse(RefusalReason::LimitRequests, r, self.total())
            } else {
                Verdict::Refuse(RefusalReason::LimitConnections, bound, own)
            }
        } else if r < bound && !someone_waits {
            Verdict::Refuse(RefusalReason::LimitRequests, r, self.total())
        } else if self.waiting() < p {
            Verdict::Queue { connections_full: own >= bound }
        } else {
            Verdict::Refuse(RefusalReason::LimitQueueFull, p, self.waiting())
        }
    }

    /// Serves the oldest that may be, while something is free; returns who was served.
    pub(super) fn serve(&mut self) -> Vec<u32> {
        let mut served = Vec::new();
        while let Some(index) = self.queue.iter().position(|(_, kind)| self.has_room(*kind)) {
            let (caller, kind) = self.queue.remove(index).unwrap();
            self.enter(kind);
            served.push(caller);
        }
        served
    }
}
