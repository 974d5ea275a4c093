//! How many tries a host had in the present interval, and how many of them failed. One word, so that both are of one moment;
//! one relaxed addition for each try, and none where no detector of the policy asks for it.

use super::Rate;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What a host did in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Tries with an outcome.
    pub requests: u32,
    /// Those of them that failed.
    pub failures: u32,
}

impl Volume {
    /// The share of the tries that did not fail; of no tries, all.
    pub fn success_rate(self) -> Rate {
        Rate::of(self.requests.saturating_sub(self.failures), self.requests)
    }
}

/// Counts of one kind of outcome. On a cache line of its own: each try writes it.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Tally(AtomicU64);

impl Tally {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn add(&self, failed: bool) {
        self.0.fetch_add((1 << 32) | u64::from(failed), Ordering::Relaxed);
    }

    /// What was counted since the last time.
    pub(super) fn take(&self) -> Volume {
        let word = self.0.swap(0, Ordering::Relaxed);
        Volume { requests: (word >> 32) as u32, failures: (word & 0xFFFF_FFFF) as u32 }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_taken_once() {
        let tally = Tally::new();
        for failed in [true, false, true, true] {
            tally.add(failed);
        }
        assert_eq!(tally.take(), Volume { requests: 4, failures: 3 });
        assert_eq!(tally.take(), Volume::default());
    }
}
