//! Small seedable generator (`SplitMix64`), so that a seeded answer is the same in every run.
//! Not for secrets: `/uuid` and `/bytes` only need to look random.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Weyl constant of `SplitMix64`.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of numbers fixed by its seed.
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.next())
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// One generator for all requests of an instance; each request draws its own stream without a lock.
#[derive(Debug)]
pub(crate) struct SharedRandom {
    state: AtomicU64,
}

impl SharedRandom {
    /// `None` takes a seed from the operating system.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(STEP));
        Self { state: AtomicU64::new(seed) }
    }

    pub(crate) fn fork(&self) -> Random {
        Random::new(mix(self.state.fetch_add(STEP, Ordering::Relaxed)))
    }
}

fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        assert_eq!(a.bytes(33), b.bytes(33));
        assert_eq!(a.next(), b.next());
        assert_ne!(Random::new(7).next(), Random::new(8).next());
    }

    #[test]
    fn unit_stays_below_one_and_covers_both_halves() {
        let mut random = Random::new(1);
        let low = (0..1_000).filter(|_| random.unit() < 0.5).count();
        assert!((400..600).contains(&low), "{low}");
        assert!(unit(u64::MAX) < 1.0);
    }
}
