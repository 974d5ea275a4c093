//! The calls in flight of one worker, by when they began: which of them are slow by now. A list through a slab, so that
//! beginning and ending cost the same however many there are, and looking costs as much as there is to find.

use std::time::Duration;

use super::half_open::LeaseId;
use super::window::RecordId;
use crate::time::Instant;

/// Where a call stands in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// No place.
const NONE: u32 = u32::MAX;

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
    lease: Option<LeaseId>,
    generation: u32,
    /// The neighbours in the list; of a free place, `later` is the next free one.
    earlier: u32,
    later: u32,
    listed: bool,
    counted: Option<RecordId>,
}

#[derive(Debug)]
pub(super) struct InFlight {
    slab: Vec<Call>,
    free: u32,
    oldest: u32,
    youngest: u32,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { slab: Vec::new(), free: NONE, oldest: NONE, youngest: NONE }
    }
}

impl InFlight {
    pub(super) fn begin(&mut self, generation: u32, lease: Option<LeaseId>, now: Instant) -> Place {
        let earlier = self.youngest;
        let call = Call { began: now, lease, generation, earlier, later: NONE, listed: true, counted: None };
        let mut index = self.free;
        if let Some(place) = self.at(index) {
            let next = place.later;
            *place = call;
            self.free = next;
        } else {
            // More calls than that are in no process.
            index = u32::try_from(self.slab.len()).unwrap_or(NONE);
            self.slab.push(call);
        }
        match self.at(earlier) {
            Some(earlier) => earlier.later = index,
            None => self.oldest = index,
        }
        self.youngest = index;
        Place(index)
    }

    /// Takes the call out; where it was counted as slow, if it was.
    pub(super) fn end(&mut self, Place(index): Place) -> Option<RecordId> {
        let free = std::mem::replace(&mut self.free, index);
        let call = self.at(index)?;
        let (earlier, later) = (call.earlier, std::mem::replace(&mut call.later, free));
        let (listed, counted) = (std::mem::take(&mut call.listed), call.counted.take());
        if listed {
            self.join(earlier, later);
        }
        counted
    }

    /// Takes the oldest call off the list if it has been in flight for longer than `bound`.
    pub(super) fn pop_overdue(&mut self, bound: Duration, now: Instant) -> Option<Overdue> {
        let index = self.oldest;
        let call = self.at(index)?;
        if now.saturating_since(call.began) <= bound {
            return None;
        }
        let overdue = Overdue { place: Place(index), generation: call.generation, lease: call.lease };
        self.unlist(index);
        Some(overdue)
    }

    pub(super) fn counted(&mut self, Place(index): Place, record: Option<RecordId>) {
        if let Some(call) = self.at(index) {
            call.counted = record;
        }
    }

    /// When the oldest call began that is not slow yet.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.slab.get(self.oldest as usize).map(|call| call.began)
    }

    fn unlist(&mut self, index: u32) {
        let Some(call) = self.at(index) else { return };
        let (earlier, later) = (call.earlier, call.later);
        if std::mem::take(&mut call.listed) {
            self.join(earlier, later);
        }
    }

    /// Makes neighbours of two calls of the list, or an end of it of one.
    fn join(&mut self, earlier: u32, later: u32) {
        match self.at(earlier) {
            Some(earlier) => earlier.later = later,
            None => self.oldest = later,
        }
        match self.at(later) {
            Some(later) => later.earlier = earlier,
            None => self.youngest = earlier,
        }
    }

    /// The call in a place, if it is one.
    fn at(&mut self, index: u32) -> Option<&mut Call> {
        self.slab.get_mut(index as usize)
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
