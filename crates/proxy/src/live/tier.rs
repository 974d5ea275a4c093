//! What one routing priority of a cluster has of its own, limits and idle connections, made when the first request asks for it: they have a
//! part for each worker, and most of a mesh's clusters are never called by most of its proxies.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fuseboard_core::limit::{LimitView, ResourceManager, Thresholds};
use fuseboard_core::pool::IdlePool;

use crate::upstream::{Pooled, SharedConnection};

/// Limits and idle connections of one priority.
pub(crate) struct Tier {
    pub(crate) limits: Arc<ResourceManager>,
    pub(crate) pool: IdlePool<Pooled, SharedConnection>,
}

/// What a tier is bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Envoy's limits.
    pub(crate) thresholds: Thresholds,
    /// Requests that one connection of HTTP/2 carries at a time, if the host does not offer less.
    pub(crate) streams: u32,
}

/// A [`Tier`], or what it will be made with.
pub(crate) struct LateTier {
    workers: usize,
    bounds: Mutex<Bounds>,
    tier: OnceLock<Tier>,
}

impl LateTier {
    pub(crate) const fn new(workers: usize, bounds: Bounds) -> Self {
        Self { workers, bounds: Mutex::new(bounds), tier: OnceLock::new() }
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
        let bounds = self.bounds();
        self.tier.get_or_init(|| {
            let limits = Arc::new(ResourceManager::new(self.workers, bounds.thresholds));
            let pool = IdlePool::new(self.workers, Arc::clone(&limits));
            pool.set_streams(bounds.streams);
            Tier { limits, pool }
        })
    }

    /// Puts `wanted` in force. Returns the tier if that changed something it had decided on.
    pub(crate) fn set(&self, wanted: Bounds) -> Option<&Tier> {
        let mut bounds = self.bounds();
        if *bounds == wanted {
            return None;
        }
        let old = std::mem::replace(&mut *bounds, wanted);
        let tier = self.tier.get()?;
        if old.thresholds != wanted.thresholds {
            tier.limits.set_thresholds(wanted.thresholds);
        }
        if old.streams != wanted.streams {
            tier.pool.set_streams(wanted.streams);
        }
        Some(tier)
    }

    /// Counts and bounds now.
    pub(crate) fn view(&self) -> LimitView {
        self.made().map_or_else(|| LimitView::idle(self.bounds().thresholds), |tier| tier.limits.view())
    }

    fn bounds(&self) -> MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(bound: u32) -> Bounds {
        Bounds { thresholds: Thresholds { max_connections: bound, ..Thresholds::ENVOY }, streams: 1024 }
    }

    #[test]
    fn nothing_is_made_until_somebody_asks_and_the_latest_bounds_hold_then() {
        let late = LateTier::new(2, connections(1));
        assert!(late.set(connections(7)).is_none());
        assert_eq!(late.view(), LimitView::idle(connections(7).thresholds));
        assert!(late.made().is_none(), "looking makes nothing");
        assert_eq!(late.get().limits.thresholds(), connections(7).thresholds);
        assert_eq!(late.view(), LimitView::idle(connections(7).thresholds), "made, it says the same");
        assert!(late.set(connections(7)).is_none(), "nothing changed");
        let tier = late.set(connections(3)).unwrap();
        assert_eq!(tier.limits.thresholds(), connections(3).thresholds);
    }
}
