//! A counted passage with a first-come-first-served queue: so many inside, so many waiting, the rest refused at once.
//! What the numbers mean (slots, connections, retries) is the [`Rule`]'s; who holds what is the permits'.
//!
//! Invariants, all of them of one word:
//! - outside the mutex, nothing is free while somebody waits;
//! - the count of waiters changes only under the mutex, together with the push or the removal;
//! - hence a release either sees "nobody waits" in the very compare-and-swap that gives its turn back, or takes the mutex
//!   and hands the turn to the oldest waiter: no wake-up is lost and no newcomer slips in between.

use std::fmt::Debug;
use std::task::{Context, Poll};

use super::queue::{Key, Left, Queue, Wake};
use super::word::{Tally, Word};
use crate::sync::{Mutex, lock};

/// What the numbers of a [`Turnstile`] mean.
pub(crate) trait Rule: Copy + Debug {
    /// What a waiter can be given.
    type Grant: Debug;
    /// The grant that is a turn: counted, and given back through [`Turnstile::release`].
    const TURN: Self::Grant;

    /// How many may be inside.
    fn capacity(&self) -> u32;

    /// Whether a newcomer that found no turn may wait behind `waiters` others.
    fn may_wait(&self, waiters: u32) -> bool;
}

/// What a newcomer met: the numbers and the rule that judged it, of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd<R> {
    pub(crate) rule: R,
    pub(crate) inside: u32,
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
    queue: Queue<R::Grant>,
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

impl<R: Rule> Crowd<R> {
    fn new(rule: R, tally: Tally) -> Self {
        let inside = counted(rule.capacity()).wrapping_sub(tally.free).cast_unsigned();
        Self { rule, inside, waiters: tally.waiters }
    }
}

impl<R: Rule> Turnstile<R> {
    pub(crate) fn new(rule: R) -> Self {
        Self {
            word: Word::new(counted(rule.capacity())),
            line: Mutex::new(Line { rule, queue: Queue::new() }),
        }
    }

    /// Enters if something is free and nobody waits; never blocks.
    pub(crate) fn try_enter(&self) -> bool {
        self.word.update(|tally| tally.admits().then(|| tally.take())).is_ok()
    }

    /// Enters, or joins the queue if `queueing` and the rule allow it, or is refused.
    pub(crate) fn enter(&self, queueing: bool) -> Entry<R> {
        if self.try_enter() {
            return Entry::Entered;
        }
        let mut line = lock(&self.line);
        let rule = line.rule;
        let judged = self.word.update(|tally| {
            if tally.admits() {
                Some(tally.take())
            } else if queueing && rule.may_wait(tally.waiters) {
                Some(tally.join())
            } else {
                None
            }
        });
        match judged {
            Ok(tally) if tally.admits() => Entry::Entered,
            Ok(tally) => Entry::Queued(line.queue.join(), Crowd::new(rule, tally)),
            Err(tally) => Entry::Full(Crowd::new(rule, tally)),
        }
    }

    /// Enters, or is refused, under another bound than the rule's own capacity, which must not be larger than it. Nobody
    /// who waits is overtaken.
    pub(crate) fn enter_below(&self, bound: impl Fn(&R) -> u32) -> Result<(), Crowd<R>> {
        if self.try_enter() {
            return Ok(());
        }
        let line = lock(&self.line);
        let rule = line.rule;
        // What is inside follows from what is free and the capacity, which does not change under the mutex.
        let judged = self.word.update(|tally| {
            let room = Crowd::new(rule, tally).inside < counted(bound(&rule)).cast_unsigned();
            (room && tally.waiters == 0).then(|| tally.take())
        });
        judged.map(drop).map_err(|tally| Crowd::new(rule, tally))
    }

    /// Gives a turn back, to the oldest waiter if there is one.
    pub(crate) fn release(&self) {
        if self.word.update(|tally| (tally.waiters == 0).then(|| tally.put_back())).is_ok() {
            return;
        }
        let mut line = lock(&self.line);
        self.word.apply(Tally::put_back);
        let served = self.serve_oldest(&mut line);
        drop(line);
        if let Some(wake) = served {
            wake.wake();
        }
    }

    /// Puts another rule in force: at once and exactly for every decision after the return. `absorb` counts those who
    /// entered elsewhere and are counted here from now on. Whoever enters while it runs still enters under the old rule,
    /// and is counted under the new one.
    pub(crate) fn change(&self, rule: R, absorb: impl FnOnce() -> u32) {
        let mut line = lock(&self.line);
        let absorbed = absorb().cast_signed();
        let gained = counted(rule.capacity()).wrapping_sub(counted(line.rule.capacity()));
        self.word.apply(|tally| tally.shift(gained.wrapping_sub(absorbed)));
        line.rule = rule;
        let mut woken = Vec::new();
        while let Some(wake) = self.serve_oldest(&mut line) {
            woken.push(wake);
        }
        drop(line);
        woken.into_iter().for_each(Wake::wake);
    }

    /// Gives the oldest waiter something that is not a turn. `false`: nobody waits.
    pub(crate) fn hand(&self, grant: R::Grant) -> bool {
        let mut line = lock(&self.line);
        let Some(wake) = line.queue.grant_oldest(grant) else { return false };
        self.word.apply(Tally::leave);
        drop(line);
        wake.wake();
        true
    }

    /// Gives all who wait now something that is not a turn.
    pub(crate) fn hand_all(&self, grant: impl Fn() -> R::Grant) {
        let mut line = lock(&self.line);
        let mut woken = Vec::new();
        while let Some(wake) = line.queue.grant_oldest(grant()) {
            self.word.apply(Tally::leave);
            woken.push(wake);
        }
        drop(line);
        woken.into_iter().for_each(Wake::wake);
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
        if let Left::Waiting(_) = left {
            self.word.apply(Tally::leave);
        }
        drop(line);
        match left {
            Left::Granted(grant) => Some(grant),
            Left::Waiting(_waker) => None,
        }
    }

    /// How many wait: a look at the word, no lock.
    pub(crate) fn waiters(&self) -> u32 {
        self.word.read().waiters
    }

    /// By how many the count exceeds a bound that was lowered: a look at the word, no lock.
    pub(crate) fn excess(&self) -> u32 {
        self.word.read().free.min(0).unsigned_abs()
    }

    /// The numbers and the rule of one moment.
    pub(crate) fn crowd(&self) -> Crowd<R> {
        let line = lock(&self.line);
        Crowd::new(line.rule, self.word.read())
    }

    /// Serves one waiter if something is free for it. `None`: nothing to do. Under the mutex.
    fn serve_oldest(&self, line: &mut Line<R>) -> Option<Wake> {
        self.word.update(|tally| tally.serves().then(|| tally.take().leave())).ok()?;
        line.queue.grant_oldest(R::TURN)
    }
}
