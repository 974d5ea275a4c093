//! The fallbacks of a cluster as they run: the answers that are kept, and how many requests are in each step. Which step is
//! tried is `core::fallback`'s decision; asking it is the exchange's business.

mod facts;
mod kept;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuseboard_admin::status::FallbackStatus;
use fuseboard_core::Instant;
use fuseboard_core::fallback::{Cache, CacheCounts, Cap, Hit, Lookup, MAX_STEPS, RequestFacts, Stored};
use fuseboard_snapshot::Cluster;

pub(crate) use facts::{answer_facts, key, request_facts, selecting, value_of};
pub(crate) use kept::{Content, KeptAnswer};

/// State that survives snapshots, until one has no fallback for its cluster.
#[derive(Debug, Default)]
pub struct LiveFallback {
    /// Made when the first answer is kept; all workers share it.
    cache: Mutex<Option<Kept>>,
    /// By place in the chain.
    caps: [Cap; MAX_STEPS],
}

#[derive(Debug)]
struct Kept {
    answers: Cache<KeptAnswer>,
    /// The fields that answers were chosen by, apart from `Vary`.
    headers: Vec<Box<str>>,
}

impl LiveFallback {
    /// The state under the settings of `cluster`: what runs, as far as these fit; `None`: they have no fallback.
    pub(crate) fn of(cluster: &Cluster, running: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let policy = &cluster.fallback.as_ref()?.policy;
        let Some(running) = running else { return Some(Arc::default()) };
        let mut cache = running.cache();
        match (&mut *cache, &policy.cache) {
            // Answers that were chosen by other fields might be given to others than they were for.
            (Some(kept), Some(policy)) if kept.headers == policy.headers => {
                kept.answers.set_max_bytes(policy.max_bytes);
            }
            (cache, _) => *cache = None,
        }
        Some(Arc::clone(running))
    }

    /// How many requests are in step `index`.
    pub(crate) fn cap(&self, index: usize) -> Option<&Cap> {
        self.caps.get(index)
    }

    /// Keeps an answer. False: it is too large.
    pub(crate) fn keep(
        &self,
        cluster: &Cluster,
        key: &[u8],
        stored: Stored<KeptAnswer>,
        now: Instant,
    ) -> bool {
        let policy = cluster.fallback.as_ref().and_then(|fallback| fallback.policy.cache.as_ref());
        let Some(policy) = policy else { return false };
        let mut cache = self.cache();
        let kept = cache.get_or_insert_with(|| Kept {
            answers: Cache::new(policy.max_bytes),
            headers: policy.headers.clone(),
        });
        // A push may have put others in force while the answer was on its way.
        kept.headers == policy.headers && kept.answers.insert(key, stored, now)
    }

    /// The answer for a request.
    pub(crate) fn find(
        &self,
        key: &[u8],
        lookup: Lookup,
        value: impl Fn(&[u8]) -> Option<Box<[u8]>>,
        now: Instant,
    ) -> Option<Hit<KeptAnswer>> {
        self.cache().as_mut()?.answers.find(key, lookup, value, now)
    }

    /// Forgets the answers for a target.
    pub(crate) fn invalidate(&self, key: &[u8]) {
        if let Some(kept) = self.cache().as_mut() {
            kept.answers.invalidate(key);
        }
    }

    /// How it stands under the settings of `cluster`.
    pub(crate) fn status(&self, cluster: &Cluster) -> FallbackStatus {
        let steps = cluster.fallback.as_ref().map_or(0, |fallback| fallback.policy.steps.len());
        FallbackStatus {
            cache: self.counts(),
            running: self.caps.iter().take(steps).map(Cap::taken).collect(),
        }
    }

    /// What is kept.
    fn counts(&self) -> CacheCounts {
        self.cache().as_ref().map(|kept| kept.answers.counts()).unwrap_or_default()
    }

    fn cache(&self) -> MutexGuard<'_, Option<Kept>> {
        // A panic inside the cache leaves answers behind that are still answers.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether answers to this request may be kept at all: what can be told before one has come.
pub(crate) const fn may_be_kept(request: &RequestFacts) -> bool {
    request.get && !request.control.no_store
}
