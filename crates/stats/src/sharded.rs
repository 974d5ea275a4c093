//! One block per writer, allocated when that writer first counts something.

use std::fmt;
use std::sync::OnceLock;

/// Blocks of type `T`, one per worker and one for the thread that applies snapshots. A cluster that gets no traffic
/// costs the table of empty slots and nothing else, and its stats read as zeros.
pub struct Sharded<T> {
    slots: Box<[OnceLock<Box<Shard<T>>>]>,
}

/// Its own cache lines: two writers never share one.
#[repr(align(64))]
#[derive(Default)]
struct Shard<T>(T);

impl<T: Default> Sharded<T> {
    /// Room for `workers` writers, numbered from 0, and for the control thread.
    pub fn new(workers: usize) -> Self {
        Self { slots: (0..=workers).map(|_| OnceLock::new()).collect() }
    }

    /// The block of worker `worker`. Only that worker may write it.
    ///
    /// # Panics
    /// If there is no such worker.
    #[inline]
    pub fn shard(&self, worker: usize) -> &T {
        let workers = self.slots.len() - 1;
        &self.slots[..workers][worker].get_or_init(Box::default).0
    }

    /// The block of the control side: snapshots being applied, sweeps. Its callers exclude each other by a lock of theirs.
    pub fn control(&self) -> &T {
        &self.slots[self.slots.len() - 1].get_or_init(Box::default).0
    }

    /// The blocks that exist so far.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.slots.iter().filter_map(|slot| slot.get().map(|shard| &shard.0))
    }

    /// Bytes on the heap: the slots, and the blocks that exist without what hangs from them.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.slots) + self.iter().count() * size_of::<Shard<T>>()
    }
}

impl<T: Default + fmt::Debug> fmt::Debug for Sharded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
