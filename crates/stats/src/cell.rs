//! The cells that workers write: one writer each, any number of readers.
//!
//! A cell lives in a block that only one thread writes, so adding is a load and a store without a locked instruction.
//! Two writers would lose counts (never more than that); [`Sharded`](crate::Sharded) gives each writer its own block.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the block's own writer may call it.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the block's own writer may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        // Release: whoever sees a gauge lowered also sees it raised before, on whatever worker.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release);
    }

    /// What this cell has counted so far; the stat's value is the sum over all blocks.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A number that rises and falls. What one worker raised, another may lower: the stat's value is the sum over all blocks.
///
/// Kept as two growing counters, so that a reader never sees a sum below zero and knows whether it was ever used.
#[derive(Debug, Default)]
pub struct Gauge {
    raised: Counter,
    lowered: Counter,
}

impl Gauge {
    /// Adds one. Only the block's own writer may call it.
    #[inline]
    pub fn inc(&self) {
        self.raised.inc();
    }

    /// Takes one off. Only the block's own writer may call it.
    #[inline]
    pub fn dec(&self) {
        self.lowered.inc();
    }

    /// Adds `n`. Only the block's own writer may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.raised.add(n);
    }

    /// Takes `n` off. Only the block's own writer may call it.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.lowered.add(n);
    }

    /// All that was ever taken off here. A reader sums this over all blocks before it sums [`Gauge::raised`].
    pub fn lowered(&self) -> u64 {
        self.lowered.get()
    }

    /// All that was ever added here.
    pub fn raised(&self) -> u64 {
        self.raised.get()
    }

    /// The stat's value, by the same gauge of all blocks.
    pub fn sum<'g>(gauges: impl Iterator<Item = &'g Self> + Clone) -> u64 {
        let lowered: u64 = gauges.clone().map(Self::lowered).sum();
        let raised: u64 = gauges.map(Self::raised).sum();
        raised.saturating_sub(lowered)
    }
}

/// A gauge that is computed when it is read, from the state that decides (difference D13 from Envoy, which refreshes
/// its breaker gauges only on change).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level(pub u64);

impl From<u64> for Level {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl From<u32> for Level {
    fn from(value: u32) -> Self {
        Self(u64::from(value))
    }
}

impl From<bool> for Level {
    fn from(value: bool) -> Self {
        Self(u64::from(value))
    }
}
