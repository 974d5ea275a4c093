//! What one worker has not handed over yet: good calls, of one bucket of the window; and what it let pass in shadow mode.
//! One word, so that whoever needs the whole picture takes exactly what was put in.

use crate::sync::CachePadded;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// What the calls of a batch have in common. The numbers are cut to what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    generation: u16,
    version: u8,
    bucket: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) stamp: Stamp,
    pub(super) count: u16,
}

/// The last bits of the word are the count.
const COUNT_MASK: u64 = 0xFFFF;
const BUCKET_BITS: u32 = 24;
const BUCKETS: u64 = 1 << BUCKET_BITS;

impl Stamp {
    #[expect(clippy::cast_possible_truncation, reason = "cut on purpose")]
    pub(super) const fn new(generation: u32, version: u32, bucket: u64) -> Self {
        Self { generation: generation as u16, version: version as u8, bucket: (bucket % BUCKETS) as u32 }
    }

    /// Whether the batch is of this generation. A worker would have to sleep between two instructions through exactly
    /// 65,536 generations to be mistaken.
    pub(super) const fn is_of_generation(self, generation: u32) -> bool {
        self.generation == (generation & 0xFFFF) as u16
    }

    /// The full number of the bucket, the nearest one up to `current`; `None`: it was numbered by another policy.
    pub(super) fn bucket(self, version: u32, current: u64) -> Option<u64> {
        if self.version != (version & 0xFF) as u8 {
            return None;
        }
        let behind = (current % BUCKETS + BUCKETS - u64::from(self.bucket)) % BUCKETS;
        // More than half the range behind: a little ahead, by a clock that was read a moment later.
        Some(if behind < BUCKETS / 2 { current.saturating_sub(behind) } else { current })
    }
}

impl Batch {
    const fn unpack(word: u64) -> Self {
        let stamp = Stamp {
            generation: (word >> 48) as u16,
            version: (word >> 40 & 0xFF) as u8,
            bucket: (word >> 16 & 0xFF_FFFF) as u32,
        };
        Self { stamp, count: (word & COUNT_MASK) as u16 }
    }

    const fn pack(self) -> u64 {
        (self.stamp.generation as u64) << 48
            | (self.stamp.version as u64) << 40
            | (self.stamp.bucket as u64) << 16
            | self.count as u64
    }
}

#[derive(Debug)]
struct Words {
    batch: AtomicU64,
    let_pass: AtomicU64,
}

/// Written by one worker, and taken by whoever needs the sum.
#[derive(Debug)]
pub(super) struct Cell(CachePadded<Words>);

impl Cell {
    pub(super) fn new() -> Self {
        Self(CachePadded(Words { batch: AtomicU64::new(0), let_pass: AtomicU64::new(0) }))
    }

    /// Adds a good call, unless the batch is of another kind or would become `full` with it.
    pub(super) fn add(&self, stamp: Stamp, full: u16) -> bool {
        let empty = Batch { stamp, count: 0 }.pack();
        let added = |word: u64| {
            let count = word & COUNT_MASK;
            let fits = count == 0 || word - count == empty;
            (fits && count + 1 < full.into()).then_some(empty + count + 1)
        };
        self.0.batch.fetch_update(AcqRel, Acquire, added).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        Batch::unpack(self.0.batch.load(Relaxed)).count == 0
    }

    /// Takes the batch; the calls in it are the caller's to count.
    pub(super) fn take(&self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        Some(Batch::unpack(self.0.batch.swap(0, AcqRel))).filter(|batch| batch.count > 0)
    }

    /// Counts a call that enforcing would have refused. Only the owner writes, so a load and a store are enough.
    pub(super) fn note_let_pass(&self) {
        self.0.let_pass.store(self.0.let_pass.load(Relaxed) + 1, Relaxed);
    }

    pub(super) fn let_pass(&self) -> u64 {
        self.0.let_pass.load(Relaxed)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_calls_of_one_kind_up_to_its_size() {
        let cell = Cell::new();
        let (stamp, later) = (Stamp::new(70_000, 300, 5), Stamp::new(70_000, 300, 6));
        assert!(cell.take().is_none());
        assert!(cell.add(stamp, 4) && cell.add(stamp, 4) && !cell.add(later, 4) && cell.add(stamp, 4));
        assert!(!cell.add(stamp, 4), "the fourth hands all over");
        assert_eq!(cell.take(), Some(Batch { stamp, count: 3 }));
        assert!(cell.is_empty() && cell.add(later, 4));
    }

    #[test]
    fn a_bucket_is_found_again_from_its_last_bits() {
        for bucket in [0, 1, BUCKETS - 1, BUCKETS, 7 * BUCKETS + 3] {
            for behind in [0, 1, 900] {
                let stamp = Batch::unpack(Batch { stamp: Stamp::new(1, 2, bucket), count: 1 }.pack()).stamp;
                assert_eq!(stamp.bucket(2, bucket + behind), Some(bucket));
            }
        }
        assert_eq!(Stamp::new(1, 2, 8).bucket(2, 7), Some(7), "not ahead of the one who asks");
        assert_eq!(Stamp::new(1, 2, 8).bucket(3, 8), None);
        let stamp = Stamp::new(65_537, 0, 0);
        assert!(stamp.is_of_generation(65_537) && !stamp.is_of_generation(65_538));
    }
}
