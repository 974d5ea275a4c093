//! Histograms that count straight into Prometheus' buckets: an eighth of a [`Histogram`](crate::Histogram)'s memory, a fraction of its
//! instructions, and an exact sum; for distributions that exist once per label set. Their quantiles are as coarse as the buckets.

use crate::cell::Counter;
use crate::histogram::{Bin, Buckets};

/// The largest whole number in each bucket but the last: [`PROMETHEUS_BOUNDS`](crate::PROMETHEUS_BOUNDS) rounded down.
const BOUNDS: [u64; 19] = [
    0, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
    1_800_000, 3_600_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// What the numbers of one length in bits need to know: at most one bound lies between two powers of two.
#[derive(Clone, Copy)]
struct Octave {
    /// The bucket of its smallest number.
    first: u8,
    /// Numbers above this are in the bucket behind that one.
    bound: u64,
}

const OCTAVES: [Octave; 65] = octaves();

const fn octaves() -> [Octave; 65] {
    let mut octaves = [Octave { first: 0, bound: 0 }; 65];
    let (mut bits, mut bucket) = (1, 0);
    while bits <= 64 {
        let smallest = 1 << (bits - 1);
        while (bucket as usize) < BOUNDS.len() && BOUNDS[bucket as usize] < smallest {
            bucket += 1;
        }
        let bound = if (bucket as usize) < BOUNDS.len() { BOUNDS[bucket as usize] } else { u64::MAX };
        octaves[bits] = Octave { first: bucket, bound };
        bits += 1;
    }
    octaves
}

/// One writer's distribution of whole numbers (milliseconds, bytes).
#[derive(Debug, Default)]
pub struct Distribution {
    buckets: [Counter; BUCKETS],
    sum: Counter,
}

impl Distribution {
    /// Counts `value`. Only the block's own writer may call it.
    #[inline]
    pub fn record(&self, value: u64) {
        self.buckets[bucket_of(value)].inc();
        self.sum.add(value);
    }

    /// The sum of `distributions`.
    pub(crate) fn sum_of<'a>(distributions: impl Iterator<Item = &'a Self>) -> Buckets {
        let (mut counts, mut sum) = ([0; BUCKETS], 0u64);
        for distribution in distributions {
            for (count, counter) in counts.iter_mut().zip(&distribution.buckets) {
                *count += counter.get();
            }
            sum = sum.wrapping_add(distribution.sum.get());
        }
        let used = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        Buckets::new(used.map(|(bucket, count)| (bin(bucket), count)).collect(), sum as f64)
    }
}

#[inline]
fn bucket_of(value: u64) -> usize {
    let octave = OCTAVES[(u64::BITS - value.leading_zeros()) as usize];
    usize::from(octave.first) + usize::from(value > octave.bound)
}

/// The whole numbers of a bucket; the last one has no upper bound to speak of.
fn bin(bucket: usize) -> Bin {
    let lower = if bucket == 0 { 0 } else { BOUNDS[bucket - 1] + 1 };
    let upper = BOUNDS.get(bucket).copied().unwrap_or(lower);
    Bin { lower: lower as f64, width: (upper - lower) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::PROMETHEUS_BOUNDS;

    #[test]
    fn a_value_falls_into_the_first_bucket_whose_bound_is_not_below_it() {
        let slowly = |value: u64| PROMETHEUS_BOUNDS.iter().take_while(|bound| **bound < value as f64).count();
        let around = BOUNDS.iter().flat_map(|bound| [bound.saturating_sub(1), *bound, bound + 1]);
        let powers = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1]);
        for value in around.chain(powers).chain([u64::MAX]) {
            assert_eq!(bucket_of(value), slowly(value), "{value}");
        }
    }
}
