//! One worker's own count of slots in a cluster without a limit, on its own cache line: one for each kind.
//!
//! A cell is open (it counts) or closed (the shared word counts). Both the state and the count are one word, so that
//! whoever closes it takes exactly those who entered, and whoever enters later sees in the same compare-and-swap that it
//! is closed. Each closing starts a new epoch; a slot remembers the epoch in which it entered and so knows, however often
//! limits came and went meanwhile, whether this cell still counts it.

use super::Kind;
use crate::sync::CachePadded;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{AcqRel, Acquire};

/// Even: the cell is open. Odd: closed.
pub(super) type Epoch = u32;

#[derive(Clone, Copy)]
struct State {
    epoch: Epoch,
    count: u32,
}

impl State {
    const fn unpack(word: u64) -> Self {
        Self { epoch: (word >> 32) as u32, count: (word & 0xFFFF_FFFF) as u32 }
    }

    const fn pack(self) -> u64 {
        ((self.epoch as u64) << 32) | self.count as u64
    }

    const fn is_open(self) -> bool {
        self.epoch.is_multiple_of(2)
    }

    /// The other state, counting nobody.
    const fn turned(self) -> Self {
        Self { epoch: self.epoch.wrapping_add(1), count: 0 }
    }
}

/// One word for each kind.
#[derive(Debug)]
pub(super) struct Cell(CachePadded<[AtomicU64; 2]>);

impl Cell {
    pub(super) fn new(open: bool) -> Self {
        let word = || AtomicU64::new(State { epoch: u32::from(!open), count: 0 }.pack());
        Self(CachePadded([word(), word()]))
    }

    /// Counts one more, unless the cell is closed.
    pub(super) fn enter(&self, kind: Kind) -> Option<Epoch> {
        let entered = |state: State| state.is_open().then(|| State { count: state.count + 1, ..state });
        self.update(kind, entered).ok().map(|state| state.epoch)
    }

    /// Counts one less, unless whoever entered in `epoch` is counted elsewhere by now (`false`).
    pub(super) fn leave(&self, kind: Kind, epoch: Epoch) -> bool {
        self.update(kind, |state| (state.epoch == epoch).then(|| State { count: state.count - 1, ..state }))
            .is_ok()
    }

    /// Closes the cell and returns how many of a kind it counted; they are the caller's to count.
    pub(super) fn close(&self) -> [u32; 2] {
        let close = |state: State| state.is_open().then(|| state.turned());
        Kind::ALL.map(|kind| self.update(kind, close).map_or(0, |state| state.count))
    }

    /// Opens the cell; it counts those who enter from now on.
    pub(super) fn open(&self) {
        for kind in Kind::ALL {
            // An open cell stays as it is.
            let _ = self.update(kind, |state| (!state.is_open()).then(|| state.turned()));
        }
    }

    /// Of both kinds.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|word| State::unpack(word.load(Acquire)).count).sum()
    }

    fn update(&self, kind: Kind, mut next: impl FnMut(State) -> Option<State>) -> Result<State, State> {
        self.0[kind.index()]
            .fetch_update(AcqRel, Acquire, |word| next(State::unpack(word)).map(State::pack))
            .map(State::unpack)
            .map_err(State::unpack)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const CONNECTION: Kind = Kind::Connection;

    #[test]
    fn whoever_entered_before_the_closing_is_counted_by_the_closer() {
        let cell = Cell::new(true);
        let (one, two) = (cell.enter(CONNECTION).unwrap(), cell.enter(CONNECTION).unwrap());
        let stream = cell.enter(Kind::Stream).unwrap();
        assert!(cell.leave(CONNECTION, one));
        assert_eq!(cell.close(), [1, 1]);
        assert_eq!(cell.enter(CONNECTION), None);
        assert!(!cell.leave(CONNECTION, two) && !cell.leave(Kind::Stream, stream));
        assert_eq!(cell.close(), [0, 0], "closed once, counted once");
    }

    #[test]
    fn a_slot_of_an_earlier_epoch_is_not_taken_off_a_later_count() {
        let cell = Cell::new(true);
        let early = cell.enter(CONNECTION).unwrap();
        cell.close();
        cell.open();
        cell.open();
        let late = cell.enter(CONNECTION).unwrap();
        assert!(!cell.leave(CONNECTION, early));
        assert_eq!(cell.count(), 1);
        assert!(cell.leave(CONNECTION, late));
    }
}
