//! How many tries a host had in the present interval, and how many of them failed. One word, so that both are of one moment;
//! one relaxed addition for each try, and nothing, not even the word, where no detector of the policy asks for it.

use std::sync::OnceLock;

use super::{Origin, Rate};
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

/// Counts of one host, made with the first try that is counted.
#[derive(Debug, Default)]
pub(super) struct Tallies(OnceLock<Box<[Tally; 2]>>);

impl Tallies {
    pub(super) fn add(&self, origin: Origin, failed: bool) {
        let [external, local] = &**self.0.get_or_init(|| Box::new([Tally::new(), Tally::new()]));
        match origin {
            Origin::External => external.add(failed),
            Origin::Local => local.add(failed),
        }
    }

    /// What was counted since the last time.
    pub(super) fn take(&self, origin: Origin) -> Volume {
        match (self.0.get().map(AsRef::as_ref), origin) {
            (None, _) => Volume::default(),
            (Some([external, _]), Origin::External) => external.take(),
            (Some([_, local]), Origin::Local) => local.take(),
        }
    }
}

/// Counts of one kind of outcome. On a cache line of its own: each try writes it.
#[derive(Debug)]
#[repr(align(64))]
struct Tally(AtomicU64);

impl Tally {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn add(&self, failed: bool) {
        self.0.fetch_add((1 << 32) | u64::from(failed), Ordering::Relaxed);
    }

    fn take(&self) -> Volume {
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
        let tallies = Tallies::default();
        assert_eq!(tallies.take(Origin::External), Volume::default());
        for failed in [true, false, true, true] {
            tallies.add(Origin::External, failed);
        }
        tallies.add(Origin::Local, true);
        assert_eq!(tallies.take(Origin::External), Volume { requests: 4, failures: 3 });
        assert_eq!(tallies.take(Origin::External), Volume::default());
        assert_eq!(tallies.take(Origin::Local), Volume { requests: 1, failures: 1 });
    }
}
