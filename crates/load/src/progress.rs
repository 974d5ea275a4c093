//! How far a run is, for whoever looks while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts of a run that goes on.
#[derive(Debug)]
pub struct Progress {
    calls: AtomicU64,
    errors: AtomicU64,
    expected: Option<u64>,
    length: Option<Duration>,
}

impl Progress {
    /// Nothing done yet of `expected` calls in `length`, where these are known.
    pub fn new(expected: Option<u64>, length: Option<Duration>) -> Self {
        Self { calls: AtomicU64::new(0), errors: AtomicU64::new(0), expected, length }
    }

    /// Counts a call that ended.
    pub fn count(&self, ok: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !ok {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Calls that ended.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Those of them that were not OK.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// How many there will be, where that is known.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// How long it will take, where that is known.
    pub fn length(&self) -> Option<Duration> {
        self.length
    }
}
