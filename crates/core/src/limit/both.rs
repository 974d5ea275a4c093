//! The counts of a turnstile while both kinds are inside or wait: under the mutex, where the one word is not enough. Decides
//! whose turn it is; the turnstile grants it.

use super::Kind;
use super::turnstile::{Crowd, Rule};

/// How many of each kind are inside, and how many wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Both {
    pub(super) inside: [u32; 2],
    pub(super) waiting: [u32; 2],
}

impl Both {
    /// Nothing forbids one more of this kind but those who came before it.
    pub(super) fn has_room<R: Rule>(&self, rule: &R, kind: Kind) -> bool {
        self.inside[kind.index()] < rule.bound(kind) && self.all_inside() < rule.total()
    }

    /// One more of this kind may enter: there is room, and nobody of its kind came before it.
    pub(super) fn admits<R: Rule>(&self, rule: &R, kind: Kind) -> bool {
        self.waiting[kind.index()] == 0 && self.has_room(rule, kind)
    }

    /// A waiter of this kind is to be served.
    pub(super) fn serves<R: Rule>(&self, rule: &R, kind: Kind) -> bool {
        self.waiting[kind.index()] > 0 && self.has_room(rule, kind)
    }

    /// The one kind that is here, if there is one at most; `last` if there is none.
    pub(super) fn only(&self, last: Kind) -> Option<Kind> {
        let here = |kind: Kind| self.inside[kind.index()] > 0 || self.waiting[kind.index()] > 0;
        match (here(Kind::Connection), here(Kind::Stream)) {
            (true, true) => None,
            (true, false) => Some(Kind::Connection),
            (false, true) => Some(Kind::Stream),
            (false, false) => Some(last),
        }
    }

    pub(super) fn crowd<R: Rule>(&self, rule: R, kind: Kind) -> Crowd<R> {
        Crowd {
            rule,
            kind,
            own: self.inside[kind.index()],
            inside: self.all_inside(),
            own_waiters: self.waiting[kind.index()],
            waiters: self.waiting.iter().sum(),
        }
    }

    const fn all_inside(&self) -> u32 {
        self.inside[0].saturating_add(self.inside[1])
    }
}
