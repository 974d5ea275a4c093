//! The one word that decides: how many may still enter, and how many wait. What a rule allows is the turnstile's matter.

use super::Kind;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{AcqRel, Acquire};

/// Whose turns the word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Only this kind is inside or waits.
    Only(Kind),
    /// Both are: they are counted under the mutex, and nothing happens without it ([`super::both::Both`]).
    Both,
}

impl Mode {
    const fn pack(self) -> u64 {
        match self {
            Self::Only(Kind::Connection) => 0,
            Self::Only(Kind::Stream) => 1 << MODE_SHIFT,
            Self::Both => 2 << MODE_SHIFT,
        }
    }

    const fn unpack(word: u64) -> Self {
        match (word >> MODE_SHIFT) & 3 {
            0 => Self::Only(Kind::Connection),
            1 => Self::Only(Kind::Stream),
            _ => Self::Both,
        }
    }
}

const MODE_SHIFT: u32 = 30;

/// So many fit in the word beside the mode; each of them is a request in memory.
pub(super) const MAX_WAITERS: u32 = (1 << MODE_SHIFT) - 1;

/// What the word says at one moment.
///
/// `free` is the bound minus what is in use; below zero after the bound was lowered under running traffic. Counting down
/// from the bound rather than up to it makes a change of the bound one addition to the same word, so that no admission
/// can act on a bound that is no longer in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) free: i32,
    pub(super) waiters: u32,
    pub(super) mode: Mode,
}

impl Tally {
    const fn unpack(word: u64) -> Self {
        Self {
            free: ((word >> 32) as u32).cast_signed(),
            waiters: (word & 0xFFFF_FFFF) as u32 & MAX_WAITERS,
            mode: Mode::unpack(word),
        }
    }

    const fn pack(self) -> u64 {
        ((self.free.cast_unsigned() as u64) << 32) | self.mode.pack() | self.waiters as u64
    }

    /// A newcomer of this kind may enter: something is free, nobody came before it, and nobody of the other kind is here.
    pub(super) const fn admits(self, kind: Kind) -> bool {
        self.free > 0 && self.waiters == 0 && self.counts(kind)
    }

    /// The word counts this kind, and no other.
    pub(super) const fn counts(self, kind: Kind) -> bool {
        matches!(
            (self.mode, kind),
            (Mode::Only(Kind::Connection), Kind::Connection) | (Mode::Only(Kind::Stream), Kind::Stream)
        )
    }

    /// A turn may simply be put back: nobody waits for it.
    pub(super) const fn takes_back(self) -> bool {
        self.waiters == 0 && !matches!(self.mode, Mode::Both)
    }

    /// Something is free for the oldest waiter.
    pub(super) const fn serves(self) -> bool {
        self.free > 0 && self.waiters > 0 && !matches!(self.mode, Mode::Both)
    }

    pub(super) const fn take(self) -> Self {
        self.shift(-1)
    }

    pub(super) const fn put_back(self) -> Self {
        self.shift(1)
    }

    /// The bound moved by `delta`, or as many were taken over from elsewhere.
    pub(super) const fn shift(self, delta: i32) -> Self {
        Self { free: self.free.wrapping_add(delta), ..self }
    }

    pub(super) const fn join(self) -> Self {
        Self { waiters: self.waiters + 1, ..self }
    }

    pub(super) const fn leave(self) -> Self {
        Self { waiters: self.waiters - 1, ..self }
    }
}

/// The atomic home of a [`Tally`].
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

impl Word {
    pub(super) fn new(free: i32) -> Self {
        Self(AtomicU64::new(Tally { free, waiters: 0, mode: Mode::Only(Kind::Connection) }.pack()))
    }

    pub(super) fn read(&self) -> Tally {
        Tally::unpack(self.0.load(Acquire))
    }

    /// Replaces the tally by what `next` makes of it, or leaves it when `next` says no. Returns the tally that was
    /// judged either way.
    pub(super) fn update(&self, mut next: impl FnMut(Tally) -> Option<Tally>) -> Result<Tally, Tally> {
        self.0
            .fetch_update(AcqRel, Acquire, |word| next(Tally::unpack(word)).map(Tally::pack))
            .map(Tally::unpack)
            .map_err(Tally::unpack)
    }

    /// [`Self::update`] for a step that is always possible. Returns the tally before it.
    pub(super) fn apply(&self, mut next: impl FnMut(Tally) -> Tally) -> Tally {
        self.update(|tally| Some(next(tally))).unwrap_or_else(|tally| tally)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_debt_and_a_queue_fit_in_one_word() {
        for free in [i32::MIN, -1, 0, 1, i32::MAX] {
            for waiters in [0, 1, MAX_WAITERS] {
                for mode in [Mode::Only(Kind::Connection), Mode::Only(Kind::Stream), Mode::Both] {
                    let tally = Tally { free, waiters, mode };
                    assert_eq!(Tally::unpack(tally.pack()), tally);
                }
            }
        }
    }

    #[test]
    fn a_step_that_is_refused_changes_nothing() {
        let word = Word::new(0);
        assert_eq!(
            word.update(|tally| tally.admits(Kind::Connection).then(|| tally.take())),
            Err(word.read())
        );
        word.apply(Tally::put_back);
        assert_eq!(word.read(), Tally { free: 1, waiters: 0, mode: Mode::Only(Kind::Connection) });
        assert!(word.read().admits(Kind::Connection) && !word.read().admits(Kind::Stream));
    }
}
