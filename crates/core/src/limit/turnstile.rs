//! A counted passage with a first-come-first-served queue: so many inside, so many waiting, the rest refused at once.
//! What the numbers mean (slots, connections, retries) is the [`Rule`]'s; who holds what is the permits'.
//!
//! Invariants, all of them of one word:
//! - outside the mutex, nothing is free while somebody waits;
//! - the count of waiters changes only under the mutex, together with the push or the removal;
//! - hence a release either sees "nobody waits" in the very compare-and-swap that gives its turn back, or takes the mutex
//!   and hands the turn to the oldest waiter: no wake-up is lost and no newcomer slips in between.
//!
//! Those who enter are of a [`Kind`]. The word says which one it counts. When one of the other kind comes while some are here,
//! the word is set to "both", which no step without the mutex gets past, and [`Both`] counts until only one kind is left. So
//! whoever has one kind only pays for one.

use std::fmt::Debug;
use std::task::{Context, Poll};

use super::Kind;
use super::both::Both;
use super::queue::{Key, Left, Queue, Wake};
use super::word::{Mode, Tally, Word};
use crate::sync::{Mutex, lock};

/// What the numbers of a [`Turnstile`] mean.
pub(crate) trait Rule: Copy + Debug {
    /// What a waiter can be given.
    type Grant: Debug;
    /// The grant that is a turn: counted, and given back through [`Turnstile::release`].
    const TURN: Self::Grant;
    /// What one that enters may wait for.
    type Want: Debug;

    /// Of which kind one that wants this is.
    fn kind(_want: &Self::Want) -> Kind {
        Kind::Connection
    }

    /// How many of one kind may be inside.
    fn bound(&self, kind: Kind) -> u32;

    /// How many of both kinds may be inside.
    fn total(&self) -> u32;

    /// How many may be inside where there is only this kind.
    fn capacity(&self, kind: Kind) -> u32 {
        self.bound(kind).min(self.total())
    }

    /// Whether a newcomer that found no turn may wait behind these.
    fn may_wait(crowd: &Crowd<Self>) -> bool;
}

/// What a newcomer met: the numbers and the rule that judged it, of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd<R> {
    pub(crate) rule: R,
    /// The newcomer's.
    pub(crate) kind: Kind,
    /// Of its own kind.
    pub(crate) own: u32,
    pub(crate) inside: u32,
    /// Of its own kind.
    pub(crate) own_waiters: u32,
    pub(crate) waiters: u32,
}

/// The answer to a newcomer.
#[derive(Debug)]
pub(crate) enum Entry<R> {
    Entered,
    Queued(Key, Crowd<R>),
    Full(Crowd<R>),
}

#[derive(Debug)]
struct Line<R: Rule> {
    rule: R,
    queue: Queue<R::Want, R::Grant>,
    /// While the word's mode is [`Mode::Both`].
    both: Option<Both>,
}

/// Aligned as [`crate::sync::CachePadded`], for the same reason.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Turnstile<R: Rule> {
    word: Word,
    line: Mutex<Line<R>>,
}

/// A bound as the word counts it. 2^31 of anything never exist at once, so larger bounds are never met.
fn counted(bound: u32) -> i32 {
    i32::try_from(bound).unwrap_or(i32::MAX)
}

/// How many are inside where the word counts this kind.
fn inside<R: Rule>(rule: &R, kind: Kind, tally: Tally) -> u32 {
    counted(rule.capacity(kind)).wrapping_sub(tally.free).cast_unsigned()
}

impl<R: Rule> Crowd<R> {
    /// Where there is only the newcomer's kind.
    fn new(rule: R, kind: Kind, tally: Tally) -> Self {
        let inside = inside(&rule, kind, tally);
        Self { rule, kind, own: inside, inside, own_waiters: tally.waiters, waiters: tally.waiters }
    }
}

impl<R: Rule> Turnstile<R> {
    pub(crate) fn new(rule: R) -> Self {
        Self {
            word: Word::new(counted(rule.capacity(Kind::Connection))),
            line: Mutex::new(Line { rule, queue: Queue::new(), both: None }),
        }
    }

    /// Enters if something is free, nobody waits and nobody of the other kind is here; never blocks.
    pub(crate) fn try_enter(&self, kind: Kind) -> bool {
        self.word.update(|tally| tally.admits(kind).then(|| tally.take())).is_ok()
    }

    /// Enters, or joins the queue if `queueing` and the rule allow it, or is refused.
    pub(crate) fn enter(&self, want: R::Want, queueing: bool) -> Entry<R> {
        let kind = R::kind(&want);
        if self.try_enter(kind) {
            return Entry::Entered;
        }
        let mut guard = lock(&self.line);
        let line = &mut *guard;
        let rule = line.rule;
        if let Some(both) = self.meet(line, kind) {
            if both.admits(&rule, kind) {
                both.inside[kind.index()] += 1;
                return Entry::Entered;
            }
            let crowd = both.crowd(rule, kind);
            if !(queueing && R::may_wait(&crowd)) {
                self.settle(line, kind);
                return Entry::Full(crowd);
            }
            both.waiting[kind.index()] += 1;
            return Entry::Queued(line.queue.join(want), crowd);
        }
        let judged = self.word.update(|tally| {
            if tally.admits(kind) {
                Some(tally.take())
            } else if queueing && R::may_wait(&Crowd::new(rule, kind, tally)) {
                Some(tally.join())
            } else {
                None
            }
        });
        match judged {
            Ok(tally) if tally.admits(kind) => Entry::Entered,
            Ok(tally) => Entry::Queued(line.queue.join(want), Crowd::new(rule, kind, tally)),
            Err(tally) => Entry::Full(Crowd::new(rule, kind, tally)),
        }
    }

    /// Enters, or is refused, under another bound than the rule's own capacity, which must not be larger than it. Nobody
    /// who waits is overtaken.
    pub(crate) fn enter_below(&self, kind: Kind, bound: impl Fn(&R) -> u32) -> Result<(), Crowd<R>> {
        if self.try_enter(kind) {
            return Ok(());
        }
        let mut guard = lock(&self.line);
        let line = &mut *guard;
        let rule = line.rule;
        if let Some(both) = self.meet(line, kind) {
            let crowd = both.crowd(rule, kind);
            if crowd.own < bound(&rule) && crowd.own_waiters == 0 {
                both.inside[kind.index()] += 1;
                return Ok(());
            }
            self.settle(line, kind);
            return Err(crowd);
        }
        // What is inside follows from what is free and the capacity, which does not change under the mutex.
        let judged = self.word.update(|tally| {
            let room = inside(&rule, kind, tally) < counted(bound(&rule)).cast_unsigned();
            (room && tally.waiters == 0).then(|| tally.take())
        });
        judged.map(drop).map_err(|tally| Crowd::new(rule, kind, tally))
    }

    /// Gives a turn of this kind back, to the oldest waiter that may have it if there is one.
    pub(crate) fn release(&self, kind: Kind) {
        if self.word.update(|tally| tally.takes_back().then(|| tally.put_back())).is_ok() {
            return;
        }
        let mut line = lock(&self.line);
        match &mut line.both {
            Some(both) => both.inside[kind.index()] -= 1,
            None => {
                self.word.apply(Tally::put_back);
            }
        }
        let served = self.serve_oldest(&mut line);
        self.settle(&mut line, kind);
        drop(line);
        if let Some(wake) = served {
            wake.wake();
        }
    }

    /// Puts another rule in force: at once and exactly for every decision after the return. `absorb` counts those who
    /// entered elsewhere and are counted here from now on, of each kind. Whoever enters while it runs still enters under the
    /// old rule, and is counted under the new one.
    pub(crate) fn change(&self, change: impl FnOnce(R) -> R, absorb: impl FnOnce() -> [u32; 2]) {
        let mut guard = lock(&self.line);
        let line = &mut *guard;
        let absorbed = absorb();
        for kind in Kind::ALL {
            if absorbed[kind.index()] > 0 {
                self.absorb(line, kind, absorbed[kind.index()]);
            }
        }
        let rule = change(line.rule);
        if line.both.is_none() {
            let Mode::Only(kind) = self.word.read().mode else { return };
            let gained = counted(rule.capacity(kind)).wrapping_sub(counted(line.rule.capacity(kind)));
            self.word.apply(|tally| tally.shift(gained));
        }
        line.rule = rule;
        let mut woken = Vec::new();
        while let Some(wake) = self.serve_oldest(line) {
            woken.push(wake);
        }
        drop(guard);
        woken.into_iter().for_each(Wake::wake);
    }

    /// Gives the oldest waiter something that is not a turn. `false`: nobody waits.
    pub(crate) fn hand(&self, grant: R::Grant) -> bool {
        let mut line = lock(&self.line);
        let Some((want, wake)) = line.queue.grant_oldest(grant) else { return false };
        self.gone(&mut line, R::kind(&want));
        drop(line);
        wake.wake();
        true
    }

    /// Gives the oldest waiter that wants what `wanted` says something that is not a turn, and that `make` makes then.
    /// `false`: there is none, of the one or the other.
    pub(crate) fn hand_to(
        &self,
        wanted: impl Fn(&R::Want) -> bool,
        make: impl FnOnce() -> Option<R::Grant>,
    ) -> bool {
        let mut line = lock(&self.line);
        let Some(key) = line.queue.first(wanted) else { return false };
        let Some(grant) = make() else { return false };
        let Some((want, wake)) = line.queue.grant(key, grant) else { return false };
        self.gone(&mut line, R::kind(&want));
        drop(line);
        wake.wake();
        true
    }

    /// Gives all who wait now something that is not a turn.
    pub(crate) fn hand_all(&self, grant: impl Fn() -> R::Grant) {
        let mut line = lock(&self.line);
        let mut woken = Vec::new();
        while let Some((want, wake)) = line.queue.grant_oldest(grant()) {
            self.gone(&mut line, R::kind(&want));
            woken.push(wake);
        }
        drop(line);
        woken.into_iter().for_each(Wake::wake);
    }

    /// Wakes those who want what `wanted` says, to look again for themselves.
    pub(crate) fn nudge(&self, wanted: impl Fn(&R::Want) -> bool) {
        let woken = lock(&self.line).queue.nudge(wanted);
        woken.into_iter().for_each(Wake::wake);
    }

    /// How many wait for what `wanted` says.
    pub(crate) fn count(&self, wanted: impl Fn(&R::Want) -> bool) -> usize {
        lock(&self.line).queue.waiting().filter(|(_, want)| wanted(want)).count()
    }

    /// The holder of `key` wants something else, of the same kind.
    pub(crate) fn want(&self, key: Key, want: R::Want) {
        let before = lock(&self.line).queue.change(key, want);
        drop(before);
    }

    /// Whether the holder of `key` has been granted something; if so the key is spent.
    pub(crate) fn poll(&self, key: Key, cx: &mut Context<'_>) -> Poll<R::Grant> {
        let mut waker = Some(cx.waker().clone());
        let granted = lock(&self.line).queue.poll(key, &mut waker);
        granted.map_or(Poll::Pending, Poll::Ready)
    }

    /// The holder of `key` goes away. What had been granted to it meanwhile comes back, for the caller to pass on.
    pub(crate) fn leave(&self, key: Key) -> Option<R::Grant> {
        let mut line = lock(&self.line);
        let left = line.queue.leave(key);
        if let Some(Left::Waiting(want, _)) = &left {
            self.gone(&mut line, R::kind(want));
        }
        drop(line);
        match left? {
            Left::Granted(grant) => Some(grant),
            Left::Waiting(_want, _waker) => None,
        }
    }

    /// How many wait, where there is only one kind: a look at the word, no lock.
    pub(crate) fn waiters(&self) -> u32 {
        self.word.read().waiters
    }

    /// By how many the count exceeds a bound that was lowered, where there is only one kind: a look at the word, no lock.
    pub(crate) fn excess(&self) -> u32 {
        self.word.read().free.min(0).unsigned_abs()
    }

    /// The numbers and the rule of one moment.
    pub(crate) fn crowd(&self) -> Crowd<R> {
        let line = lock(&self.line);
        match (&line.both, self.word.read()) {
            (Some(both), _) => both.crowd(line.rule, Kind::Connection),
            (None, tally @ Tally { mode: Mode::Only(kind), .. }) => Crowd::new(line.rule, kind, tally),
            (None, tally) => Crowd::new(line.rule, Kind::Connection, tally),
        }
    }

    /// Serves one waiter if something is free for it. `None`: nothing to do. Under the mutex.
    fn serve_oldest(&self, line: &mut Line<R>) -> Option<Wake> {
        let rule = line.rule;
        let Some(both) = &mut line.both else {
            self.word.update(|tally| tally.serves().then(|| tally.take().leave())).ok()?;
            return line.queue.grant_oldest(R::TURN).map(|(_, wake)| wake);
        };
        if !Kind::ALL.into_iter().any(|kind| both.serves(&rule, kind)) {
            return None;
        }
        let key = line.queue.first(|want| both.has_room(&rule, R::kind(want)))?;
        let (want, wake) = line.queue.grant(key, R::TURN)?;
        let kind = R::kind(&want).index();
        both.waiting[kind] -= 1;
        both.inside[kind] += 1;
        Some(wake)
    }

    /// One that waited does so no more, and has no turn. Under the mutex.
    fn gone(&self, line: &mut Line<R>, kind: Kind) {
        match &mut line.both {
            Some(both) => both.waiting[kind.index()] -= 1,
            None => {
                self.word.apply(Tally::leave);
            }
        }
        self.settle(line, kind);
    }

    /// One of this kind comes. `None`: the word counts its kind, alone. Under the mutex.
    fn meet<'l>(&self, line: &'l mut Line<R>, kind: Kind) -> Option<&'l mut Both> {
        if line.both.is_none() {
            // Only under the mutex does the word's mode change.
            if self.word.read().counts(kind) {
                return None;
            }
            let rule = line.rule;
            let before = self.word.apply(|tally| match tally.mode {
                Mode::Only(here) if here != kind => {
                    if tally.waiters == 0 && inside(&rule, here, tally) == 0 {
                        Tally { free: counted(rule.capacity(kind)), waiters: 0, mode: Mode::Only(kind) }
                    } else {
                        Tally { mode: Mode::Both, ..tally }
                    }
                }
                _ => tally,
            });
            if let (Mode::Only(here), Mode::Both) = (before.mode, self.word.read().mode) {
                let mut both = Both::default();
                both.inside[here.index()] = inside(&rule, here, before);
                both.waiting[here.index()] = before.waiters;
                line.both = Some(both);
            }
        }
        line.both.as_mut()
    }

    /// Lets the word count again if only one kind is left; `last` came or went last. Under the mutex.
    fn settle(&self, line: &mut Line<R>, last: Kind) {
        let Some(both) = line.both else { return };
        let Some(kind) = both.only(last) else { return };
        let free = counted(line.rule.capacity(kind)).wrapping_sub(both.inside[kind.index()].cast_signed());
        self.word.apply(|_| Tally { free, waiters: both.waiting[kind.index()], mode: Mode::Only(kind) });
        line.both = None;
    }

    /// So many of a kind are counted here from now on. Under the mutex.
    fn absorb(&self, line: &mut Line<R>, kind: Kind, count: u32) {
        match self.meet(line, kind) {
            Some(both) => both.inside[kind.index()] += count,
            None => {
                self.word.apply(|tally| tally.shift(count.cast_signed().wrapping_neg()));
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::super::Thresholds;
    use super::super::admission::Slots;
    use super::*;

    /// That decisions are right is compared elsewhere; this is about their cost.
    #[test]
    fn the_word_decides_again_as_soon_as_one_kind_is_left() {
        let thresholds = Thresholds { max_connections: 2, ..Thresholds::UNLIMITED };
        let turnstile = Turnstile::new(Slots { thresholds, streams: 3, missing: 0 });
        assert!(turnstile.try_enter(Kind::Connection), "one kind");
        assert!(matches!(turnstile.enter(Kind::Stream, false), Entry::Entered));
        assert!(!turnstile.try_enter(Kind::Stream) && !turnstile.try_enter(Kind::Connection), "both");
        turnstile.release(Kind::Connection);
        assert!((1..6).all(|_| turnstile.try_enter(Kind::Stream)), "six streams");
        assert!(!turnstile.try_enter(Kind::Stream));
        (0..6).for_each(|_| turnstile.release(Kind::Stream));
        assert!(matches!(turnstile.enter(Kind::Connection, false), Entry::Entered));
        assert!(turnstile.try_enter(Kind::Connection), "nobody was left");
    }
}
