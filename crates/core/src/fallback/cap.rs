//! How many requests are in one step at a time: a count that all workers share, with a bound that may change.

use crate::sync::atomic::{AtomicU32, Ordering};

/// The count.
#[derive(Debug, Default)]
pub struct Cap(AtomicU32);

/// A place in a step; dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropping the permit gives the place back"]
pub struct CapPermit<'a>(&'a Cap);

impl Cap {
    /// A place, if fewer than `bound` are taken.
    pub fn try_enter(&self, bound: u32) -> Option<CapPermit<'_>> {
        let entered =
            self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < bound).then(|| now + 1));
        entered.ok().map(|_| CapPermit(self))
    }

    /// Places that are taken now.
    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for CapPermit<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
