//! The word that every admission reads and only transitions write.

use super::State;
use super::machine::{Machine, Phase};
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{Acquire, Release};
use crate::time::Instant;

/// What is to be done with a call, as far as the word tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gist {
    /// Let it through and don't ask for its outcome.
    Off = 0,
    /// Let it through.
    Closed = 1,
    /// Ask whether it is in the part that is let through.
    Ramp = 2,
    /// As off, until a time.
    ForcedClosed = 3,
    /// Refuse it until a time.
    Open = 4,
    /// Refuse it until a time, and then ask for a lease.
    HalfOpen = 5,
}

/// One reading of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) gist: Gist,
    /// A refusal is a refusal; otherwise it is only counted.
    pub(super) acts: bool,
    /// Of the policy and the recorders; at most [`VERSION_MASK`].
    pub(super) version: u32,
    pub(super) generation: u32,
}

pub(super) const VERSION_MASK: u32 = (1 << 28) - 1;

impl Gist {
    const fn unpack(bits: u64) -> Self {
        match bits & 7 {
            1 => Self::Closed,
            2 => Self::Ramp,
            3 => Self::ForcedClosed,
            4 => Self::Open,
            5 => Self::HalfOpen,
            _ => Self::Off,
        }
    }

    pub(super) const fn state(self) -> State {
        match self {
            Self::Off | Self::Closed | Self::Ramp | Self::ForcedClosed => State::Closed,
            Self::Open => State::Open,
            Self::HalfOpen => State::HalfOpen,
        }
    }
}

impl Sign {
    pub(super) fn of(machine: &Machine, version: u32) -> Self {
        let gist = match machine.phase() {
            Phase::Off => Gist::Off,
            Phase::Closed => Gist::Closed,
            Phase::Ramp(_) => Gist::Ramp,
            Phase::ForcedClosed(_) => Gist::ForcedClosed,
            Phase::Open { .. } => Gist::Open,
            Phase::HalfOpen(_) => Gist::HalfOpen,
        };
        let generation = machine.generation();
        Self { gist, acts: machine.acts(), version, generation }
    }

    fn pack(self) -> u64 {
        u64::from(self.generation) << 32
            | u64::from(self.version) << 4
            | u64::from(self.acts) << 3
            | self.gist as u64
    }

    const fn unpack(word: u64) -> Self {
        Self {
            gist: Gist::unpack(word),
            acts: word >> 3 & 1 == 1,
            version: (word >> 4 & 0x0FFF_FFFF) as u32,
            generation: (word >> 32) as u32,
        }
    }
}

/// On cache lines of its own, which a closed breaker leaves alone.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Front {
    sign: AtomicU64,
    not_before: AtomicU64,
    streak: AtomicU64,
}

impl Front {
    pub(super) fn new(machine: &Machine, version: u32) -> Self {
        Self {
            sign: AtomicU64::new(Sign::of(machine, version).pack()),
            not_before: AtomicU64::new(machine.not_before().as_nanos()),
            streak: AtomicU64::new(0),
        }
    }

    pub(super) fn sign(&self) -> Sign {
        Sign::unpack(self.sign.load(Acquire))
    }

    /// The time that open, half-open and forced closed speak of. Written before the word: whoever reads that one reads
    /// this time or a later one.
    pub(super) fn not_before(&self) -> Instant {
        Instant::from_nanos(self.not_before.load(Acquire))
    }

    /// Whether a success would end a streak.
    pub(super) fn has_streak(&self) -> bool {
        self.streak.load(Acquire) != 0
    }

    /// Shows what the machine came to; under its mutex. Writes only what has changed.
    pub(super) fn show(&self, machine: &Machine, version: u32) {
        write(&self.streak, machine.has_streak().into());
        write(&self.not_before, machine.not_before().as_nanos());
        write(&self.sign, Sign::of(machine, version).pack());
    }
}

fn write(word: &AtomicU64, value: u64) {
    if word.load(Acquire) != value {
        word.store(value, Release);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn every_sign_fits_in_a_word() {
        use Gist::{Closed, ForcedClosed, HalfOpen, Off, Open, Ramp};
        for gist in [Off, Closed, Ramp, ForcedClosed, Open, HalfOpen] {
            for (acts, version, generation) in [(true, 0, u32::MAX), (false, VERSION_MASK, 0), (true, 5, 7)] {
                let sign = Sign { gist, acts, version, generation };
                assert_eq!(Sign::unpack(sign.pack()), sign);
            }
        }
    }
}
