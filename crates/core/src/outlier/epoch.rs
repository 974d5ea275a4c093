//! How balancers learn that a cluster's hosts were ejected or returned, without looking at each host on each pick.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Grows whenever hosts of a cluster were ejected or returned, so that balancers look at the hosts again. One per cluster; read on
/// each pick, written rarely.
#[derive(Debug)]
pub struct HealthEpoch(AtomicU64);

impl Default for HealthEpoch {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl HealthEpoch {
    /// Tells all balancers to look again. Called after the hosts' bits were written.
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    /// The present epoch. Read before the hosts' bits.
    pub fn current(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
