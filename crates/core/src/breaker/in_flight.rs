//! The calls in flight of one worker, by when they began: which of them are slow by now. A list through a slab, so that
//! beginning and ending cost the same however many there are, and looking costs as much as there is to find.

use std::time::Duration;

use super::half_open::LeaseId;
use super::window::RecordId;
use crate::time::Instant;

/// Where a call stands in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// A call that is slow by now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overdue {
    pub(super) place: Place,
    pub(super) generation: u32,
    pub(super) lease: Option<LeaseId>,
}

#[derive(Debug)]
struct Call {
    began: Instant,
    generation: u32,
    lease: Option<LeaseId>,
    listed: bool,
    earlier: Option<usize>,
    later: Option<usize>,
    counted: Option<RecordId>,
}

#[derive(Debug, Default)]
pub(super) struct InFlight {
    slab: Vec<Call>,
    free: Vec<usize>,
    oldest: Option<usize>,
    youngest: Option<usize>,
}

impl InFlight {
    pub(super) fn begin(&mut self, generation: u32, lease: Option<LeaseId>, now: Instant) -> Place {
        let earlier = self.youngest;
        let call = Call { began: now, generation, lease, listed: true, earlier, later: None, counted: None };
        let index = match self.free.pop() {
            Some(index) => {
                self.slab[index] = call;
                index
            }
            None => {
                self.slab.push(call);
                self.slab.len() - 1
            }
        };
        match earlier {
            Some(earlier) => self.slab[earlier].later = Some(index),
            None => self.oldest = Some(index),
        }
        self.youngest = Some(index);
        Place(index)
    }

    /// Takes the call out; where it was counted as slow, if it was.
    pub(super) fn end(&mut self, Place(index): Place) -> Option<RecordId> {
        self.unlist(index);
        self.free.push(index);
        self.slab[index].counted.take()
    }

    /// Takes the oldest call off the list if it has been in flight for longer than `bound`.
    pub(super) fn pop_overdue(&mut self, bound: Duration, now: Instant) -> Option<Overdue> {
        let index = self.oldest?;
        let call = &self.slab[index];
        if now.saturating_since(call.began) <= bound {
            return None;
        }
        let overdue = Overdue { place: Place(index), generation: call.generation, lease: call.lease };
        self.unlist(index);
        Some(overdue)
    }

    pub(super) fn counted(&mut self, Place(index): Place, record: Option<RecordId>) {
        self.slab[index].counted = record;
    }

    /// When the oldest call began that is not slow yet.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.oldest.map(|index| self.slab[index].began)
    }

    fn unlist(&mut self, index: usize) {
        let call = &mut self.slab[index];
        if !std::mem::take(&mut call.listed) {
            return;
        }
        let (earlier, later) = (call.earlier, call.later);
        match earlier {
            Some(earlier) => self.slab[earlier].later = later,
            None => self.oldest = later,
        }
        match later {
            Some(later) => self.slab[later].earlier = earlier,
            None => self.youngest = earlier,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn calls_become_overdue_in_the_order_in_which_they_began_and_once() {
        let mut calls = InFlight::default();
        let [_, second, _, last] = [1, 2, 3, 4].map(|ms| calls.begin(ms, None, at(ms.into())));
        assert_eq!(calls.end(second), None);
        assert_eq!(calls.end(last), None);
        calls.begin(9, None, at(9));
        let mut overdue = |now| {
            let popped = calls.pop_overdue(Duration::from_millis(10), at(now));
            popped.map(|overdue| overdue.generation)
        };
        assert_eq!(overdue(11), None, "10 ms are not more than 10 ms");
        assert_eq!([overdue(14), overdue(14), overdue(14)], [Some(1), Some(3), None]);
        assert_eq!([overdue(20), overdue(99)], [Some(9), None]);
        assert_eq!((calls.oldest(), calls.slab.len()), (None, 4), "places are used again");
    }
}
