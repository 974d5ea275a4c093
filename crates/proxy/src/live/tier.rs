//! What one routing priority of a cluster has of its own, limits and idle connections, made when the first request asks for it: they have a
//! part for each worker, and most of a mesh's clusters are never called by most of its proxies.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fuseboard_core::limit::{LimitView, ResourceManager, Thresholds};
use fuseboard_core::pool::IdlePool;

use crate::upstream::UpstreamConnection;

/// Limits and idle connections of one priority.
pub(crate) struct Tier {
    pub(crate) limits: Arc<ResourceManager>,
    pub(crate) pool: IdlePool<UpstreamConnection>,
}

/// A [`Tier`], or what it will be made with.
pub(crate) struct LateTier {
    workers: usize,
    thresholds: Mutex<Thresholds>,
    tier: OnceLock<Tier>,
}

impl LateTier {
    pub(crate) const fn new(workers: usize, thresholds: Thresholds) -> Self {
        Self { workers, thresholds: Mutex::new(thresholds), tier: OnceLock::new() }
    }

    /// The tier, made now if nobody asked before.
    #[inline]
    pub(crate) fn get(&self) -> &Tier {
        self.tier.get().unwrap_or_else(|| self.make())
    }

    /// The tier, if anybody ever asked for it.
    pub(crate) fn made(&self) -> Option<&Tier> {
        self.tier.get()
    }

    /// Under the lock, so that no change of the thresholds passes it by.
    #[cold]
    fn make(&self) -> &Tier {
        let thresholds = self.thresholds();
        self.tier.get_or_init(|| {
            let limits = Arc::new(ResourceManager::new(self.workers, *thresholds));
            Tier { pool: IdlePool::new(self.workers, Arc::clone(&limits)), limits }
        })
    }

    /// Puts `wanted` in force. Returns the tier if that changed something it had decided on.
    pub(crate) fn set_thresholds(&self, wanted: Thresholds) -> Option<&Tier> {
        let mut thresholds = self.thresholds();
        if *thresholds == wanted {
            return None;
        }
        *thresholds = wanted;
        let tier = self.tier.get()?;
        tier.limits.set_thresholds(wanted);
        Some(tier)
    }

    /// Counts and bounds now.
    pub(crate) fn view(&self) -> LimitView {
        self.made().map_or_else(|| LimitView::idle(*self.thresholds()), |tier| tier.limits.view())
    }

    fn thresholds(&self) -> MutexGuard<'_, Thresholds> {
        self.thresholds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(bound: u32) -> Thresholds {
        Thresholds { max_connections: bound, ..Thresholds::ENVOY }
    }

    #[test]
    fn nothing_is_made_until_somebody_asks_and_the_latest_bounds_hold_then() {
        let late = LateTier::new(2, connections(1));
        assert!(late.set_thresholds(connections(7)).is_none());
        assert_eq!(late.view(), LimitView::idle(connections(7)));
        assert!(late.made().is_none(), "looking makes nothing");
        assert_eq!(late.get().limits.thresholds(), connections(7));
        assert_eq!(late.view(), LimitView::idle(connections(7)), "made, it says the same");
        assert!(late.set_thresholds(connections(7)).is_none(), "nothing changed");
        let tier = late.set_thresholds(connections(3)).unwrap();
        assert_eq!(tier.limits.thresholds(), connections(3));
    }
}
