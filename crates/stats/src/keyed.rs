//! A block per value of a key that is only known when something is counted, such as a status: up to [`KEYS`] of them, and one block
//! for all further ones, so that what peers send cannot make memory grow.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sharded::Sharded;

/// How many keys have blocks of their own.
pub const KEYS: usize = 32;

/// Blocks of type `B` by key, each with one writer. What was seen first is found first; after a key's first use, finding its block
/// takes neither lock nor memory.
pub struct Keyed<B> {
    /// Filled from the front and never emptied, so that all workers agree on each key's place. 0: free.
    keys: Box<[AtomicU64; KEYS]>,
    shards: Sharded<Row<B>>,
}

/// One worker's blocks, in the order of the keys; the last one is for all that have no place.
struct Row<B>([OnceLock<Box<B>>; KEYS + 1]);

impl<B> Default for Row<B> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; KEYS + 1])
    }
}

impl<B: Default> Keyed<B> {
    /// For the workers `0..workers`.
    pub fn new(workers: usize) -> Self {
        Self { keys: Box::new([const { AtomicU64::new(0) }; KEYS]), shards: Sharded::new(workers) }
    }

    /// The block of worker `worker` for `key`, and whether it is the one that further keys share. Only that worker may write it.
    ///
    /// # Panics
    /// If there is no such worker.
    #[inline]
    pub fn block(&self, worker: usize, key: NonZeroU64) -> (&B, bool) {
        let place = self.place(key);
        (self.shards.shard(worker).0[place].get_or_init(Box::default), place == KEYS)
    }

    #[inline]
    fn place(&self, key: NonZeroU64) -> usize {
        let key = key.get();
        for (place, slot) in self.keys.iter().enumerate() {
            let mut known = slot.load(Ordering::Relaxed);
            if known == 0 {
                known = match slot.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => key,
                    Err(other) => other,
                };
            }
            if known == key {
                return place;
            }
        }
        KEYS
    }

    /// Each key that was counted, in the order of first use, with the blocks of all workers; `None` is what further keys share.
    pub fn iter(&self) -> impl Iterator<Item = (Option<NonZeroU64>, Vec<&B>)> {
        (0..=KEYS).filter_map(move |place| {
            let made = self.shards.iter().filter_map(|row| row.0[place].get());
            let blocks: Vec<&B> = made.map(|block| &**block).collect();
            // After the blocks: whoever made one knew the key. The other way round a first use in between would pass for
            // what further keys share.
            let key = self.keys.get(place).and_then(|slot| NonZeroU64::new(slot.load(Ordering::Relaxed)));
            (!blocks.is_empty()).then_some((key, blocks))
        })
    }
}

impl<B> fmt::Debug for Keyed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("keys", &self.keys).finish_non_exhaustive()
    }
}
