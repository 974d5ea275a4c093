//! The last good answers of one cluster, bounded in bytes: what is found for a request, what is dropped when room is needed
//! (what was not used for longest), and what an older answer gives way to. What an answer is, the caller knows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::control::Storable;
use crate::time::Instant;

/// What an entry takes besides its key, its selecting fields and its answer.
const OVERHEAD: usize = 256;

/// Answers for one target that differ in selecting fields; the one that was not used for longest goes first. A service that
/// varies by a field with many values would make each lookup long otherwise.
const VARIANTS: usize = 32;

/// Fields of a request that an answer was chosen by, in lower case, each with its value; `None`: the request had none.
pub type Selecting = Vec<(Box<[u8]>, Option<Box<[u8]>>)>;

/// An answer to be kept.
#[derive(Debug)]
pub struct Stored<A> {
    /// What the answer was chosen by: the fields that the rule names, and those of `Vary`.
    pub selecting: Selecting,
    /// The answer.
    pub answer: Arc<A>,
    /// The bytes that it takes.
    pub bytes: usize,
    /// How it may be used.
    pub storable: Storable,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Not older than the rule allows.
    pub max_age: Duration,
    /// Nor than the client takes.
    pub oldest: Duration,
}

/// What was found.
#[derive(Debug)]
pub struct Hit<A> {
    /// The answer.
    pub answer: Arc<A>,
    /// How old it is.
    pub age: Duration,
    /// It is older than its server said it would be good for, by so much; `None`: it is not.
    pub stale_by: Option<Duration>,
}

/// What happened so far, and how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Answers kept now.
    pub entries: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Answers that were kept.
    pub stored: u64,
    /// Answers that were dropped to make room.
    pub evicted: u64,
}

#[derive(Debug)]
struct Entry<A> {
    key: Arc<[u8]>,
    stored: Stored<A>,
    size: usize,
    stored_at: Instant,
    used: u64,
}

/// The answers.
#[derive(Debug)]
pub struct Cache<A> {
    max_bytes: usize,
    /// By target; each list in no order.
    keys: HashMap<Arc<[u8]>, Vec<u64>>,
    entries: HashMap<u64, Entry<A>>,
    /// Entries by when they were used last, counted in uses.
    by_use: BTreeMap<u64, u64>,
    clock: u64,
    counts: CacheCounts,
}

impl<A> Cache<A> {
    /// An empty one.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            keys: HashMap::new(),
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            counts: CacheCounts::default(),
        }
    }

    /// Another bound; what is too much goes at once.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        self.make_room(0);
    }

    /// Keeps an answer for the target `key`; one with the same selecting fields gives way. False: it is larger than the cache.
    pub fn insert(&mut self, key: &[u8], stored: Stored<A>, now: Instant) -> bool {
        let fields = stored.selecting.iter();
        let selecting: usize =
            fields.map(|(name, value)| name.len() + value.as_ref().map_or(0, |value| value.len())).sum();
        let size = stored.bytes + selecting + key.len() + OVERHEAD;
        let same = self.ids(key).iter().copied().find(|id| self.entry_has(*id, &stored.selecting));
        if let Some(same) = same {
            self.remove(same);
        }
        if size > self.max_bytes {
            return false;
        }
        self.make_room(size);
        while self.ids(key).len() >= VARIANTS {
            let oldest =
                self.ids(key).iter().copied().min_by_key(|id| self.entries.get(id).map(|entry| entry.used));
            let Some(oldest) = oldest else { break };
            self.evict(oldest);
        }
        self.clock += 1;
        let id = self.clock;
        let key: Arc<[u8]> =
            self.keys.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        self.keys.entry(Arc::clone(&key)).or_default().push(id);
        self.by_use.insert(id, id);
        self.entries.insert(id, Entry { key, stored, size, stored_at: now, used: id });
        self.counts.stored += 1;
        self.counts.bytes += size;
        self.counts.entries += 1;
        true
    }

    /// The youngest answer for the target `key` that may be given to a request; `value` tells the request's fields by their
    /// names in lower case.
    pub fn find(
        &mut self,
        key: &[u8],
        lookup: Lookup,
        value: impl Fn(&[u8]) -> Option<Box<[u8]>>,
        now: Instant,
    ) -> Option<Hit<A>> {
        let fits = |entry: &Entry<A>| {
            entry.age(now) <= lookup.max_age.min(lookup.oldest)
                && !(entry.stored.storable.never_stale && entry.stale_by(now).is_some())
                && entry.stored.selecting.iter().all(|(name, wanted)| value(name) == *wanted)
        };
        let candidates = self.ids(key).iter().copied();
        let found = candidates
            .filter_map(|id| Some((id, self.entries.get(&id)?)))
            .filter(|(_, entry)| fits(entry))
            .min_by_key(|(_, entry)| entry.age(now));
        let id = found?.0;
        self.clock += 1;
        let clock = self.clock;
        let entry = self.entries.get_mut(&id)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(clock, id);
        entry.used = clock;
        Some(Hit {
            answer: Arc::clone(&entry.stored.answer),
            age: entry.age(now),
            stale_by: entry.stale_by(now),
        })
    }

    /// Forgets all answers for the target: it was changed, or is gone.
    pub fn invalidate(&mut self, key: &[u8]) {
        for id in self.ids(key).to_vec() {
            self.remove(id);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.entries.clear();
        self.by_use.clear();
        (self.counts.bytes, self.counts.entries) = (0, 0);
    }

    /// What there is.
    pub const fn counts(&self) -> CacheCounts {
        self.counts
    }

    fn ids(&self, key: &[u8]) -> &[u64] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    fn entry_has(&self, id: u64, selecting: &Selecting) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.stored.selecting == *selecting)
    }

    fn make_room(&mut self, size: usize) {
        while self.counts.bytes + size > self.max_bytes {
            let Some((_, id)) = self.by_use.first_key_value() else { return };
            self.evict(*id);
        }
    }

    fn evict(&mut self, id: u64) {
        self.counts.evicted += 1;
        self.remove(id);
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.by_use.remove(&entry.used);
        self.counts.bytes -= entry.size;
        self.counts.entries -= 1;
        if let Some(ids) = self.keys.get_mut(&entry.key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.keys.remove(&entry.key);
            }
        }
    }
}

impl<A> Entry<A> {
    fn age(&self, now: Instant) -> Duration {
        self.stored.storable.age + now.saturating_since(self.stored_at)
    }

    fn stale_by(&self, now: Instant) -> Option<Duration> {
        self.age(now).checked_sub(self.stored.storable.lifetime)
    }
}
