//! First come, first served: the places of those who wait, as a linked list in a slab, so that leaving from the middle
//! costs as little as being served. It knows nothing of counts; its owner guards it with a mutex and keeps the count.
//!
//! Wakers come out of every call that lets go of one: running or dropping a waker may run anything, so it must happen
//! after the mutex is released.

use std::task::Waker;

/// Who is to be woken, once the mutex is released; nobody, if the waiter has not been polled yet.
#[derive(Debug)]
#[must_use = "a waiter that is not woken waits for good"]
pub(super) struct Wake(Option<Waker>);

impl Wake {
    pub(super) fn wake(self) {
        if let Some(waker) = self.0 {
            waker.wake();
        }
    }
}

/// A place in a [`Queue`]; whoever holds it gives it back through [`Queue::poll`] or [`Queue::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(usize);

#[derive(Debug)]
enum Place<W, G> {
    Vacant { next: Option<Key> },
    Waiting { older: Option<Key>, younger: Option<Key>, waker: Option<Waker>, want: W },
    Granted(G),
}

/// What a waiter that goes away leaves behind.
#[derive(Debug)]
pub(super) enum Left<W, G> {
    /// What it had been granted, to be passed on.
    Granted(G),
    /// It still waited, for this; its waker, if any, is to be dropped after the mutex is released.
    Waiting(W, Option<Waker>),
}

/// So many places are kept for the next burst; more are given back once nobody waits.
const KEPT_PLACES: usize = 64;

/// `W`: what a waiter wants, `G`: what it may be granted.
#[derive(Debug)]
pub(super) struct Queue<W, G> {
    places: Vec<Place<W, G>>,
    oldest: Option<Key>,
    youngest: Option<Key>,
    vacant: Option<Key>,
    /// How many places are not vacant.
    held: usize,
}

impl<W, G> Queue<W, G> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), oldest: None, youngest: None, vacant: None, held: 0 }
    }

    /// Adds a waiter behind all others.
    pub(super) fn join(&mut self, want: W) -> Key {
        let place = Place::Waiting { older: self.youngest, younger: None, waker: None, want };
        let key = match self.vacant {
            Some(key) => {
                if let Place::Vacant { next } = std::mem::replace(&mut self.places[key.0], place) {
                    self.vacant = next;
                }
                key
            }
            None => {
                self.places.push(place);
                Key(self.places.len() - 1)
            }
        };
        match self.youngest {
            Some(before) => self.set_younger(before, Some(key)),
            None => self.oldest = Some(key),
        }
        self.youngest = Some(key);
        self.held += 1;
        key
    }

    /// The oldest waiter that wants what `wanted` says.
    pub(super) fn first(&self, wanted: impl Fn(&W) -> bool) -> Option<Key> {
        self.waiting().find(|(_, want)| wanted(want)).map(|(key, _)| key)
    }

    /// All who wait and what they want, the oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Key, &W)> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let key = next?;
            let Place::Waiting { younger, want, .. } = &self.places[key.0] else { return None };
            next = *younger;
            Some((key, want))
        })
    }

    /// Gives `grant` to the oldest waiter, and tells what that wanted. `None`: nobody waits.
    pub(super) fn grant_oldest(&mut self, grant: G) -> Option<(W, Wake)> {
        self.grant(self.oldest?, grant)
    }

    /// Gives `grant` to this waiter. `None`: it does not wait.
    pub(super) fn grant(&mut self, key: Key, grant: G) -> Option<(W, Wake)> {
        let (want, waker) = self.unlink(key, Place::Granted(grant))?;
        Some((want, Wake(waker)))
    }

    /// Wakes those who want what `wanted` says, without a grant.
    pub(super) fn nudge(&mut self, wanted: impl Fn(&W) -> bool) -> Vec<Wake> {
        let keys: Vec<Key> = self.waiting().filter(|(_, want)| wanted(want)).map(|(key, _)| key).collect();
        let wake = |key: Key| match &mut self.places[key.0] {
            Place::Waiting { waker, .. } => Wake(waker.take()),
            Place::Vacant { .. } | Place::Granted(_) => Wake(None),
        };
        keys.into_iter().map(wake).collect()
    }

    /// This waiter, if it still waits, wants something else from now on; what it wanted comes back.
    pub(super) fn change(&mut self, key: Key, wanted: W) -> Option<W> {
        let Place::Waiting { want, .. } = &mut self.places[key.0] else { return None };
        Some(std::mem::replace(want, wanted))
    }

    /// What the waiter was granted, if its turn has come; its place is then given back. If not, `waker` is left there
    /// and the one left before comes back in its place.
    pub(super) fn poll(&mut self, key: Key, waker: &mut Option<Waker>) -> Option<G> {
        if let Place::Waiting { waker: left, .. } = &mut self.places[key.0] {
            std::mem::swap(left, waker);
            return None;
        }
        match self.vacate(key) {
            Place::Granted(grant) => Some(grant),
            Place::Vacant { .. } | Place::Waiting { .. } => None,
        }
    }

    /// Gives the place back before the turn was seen.
    pub(super) fn leave(&mut self, key: Key) -> Option<Left<W, G>> {
        if let Some((want, waker)) = self.unlink(key, Place::Vacant { next: None }) {
            self.vacate(key);
            return Some(Left::Waiting(want, waker));
        }
        match self.vacate(key) {
            Place::Granted(grant) => Some(Left::Granted(grant)),
            Place::Vacant { .. } | Place::Waiting { .. } => None,
        }
    }

    fn vacate(&mut self, key: Key) -> Place<W, G> {
        let place = std::mem::replace(&mut self.places[key.0], Place::Vacant { next: self.vacant });
        self.vacant = Some(key);
        self.held -= 1;
        if self.held == 0 && self.places.len() > KEPT_PLACES {
            self.places = Vec::new();
            self.vacant = None;
        }
        place
    }

    /// Takes a place that waits out of the list, puts `place` there, and returns what was wanted and the waker; leaves any
    /// other as it is.
    fn unlink(&mut self, key: Key, place: Place<W, G>) -> Option<(W, Option<Waker>)> {
        if !matches!(self.places[key.0], Place::Waiting { .. }) {
            return None;
        }
        let Place::Waiting { older, younger, waker, want } =
            std::mem::replace(&mut self.places[key.0], place)
        else {
            return None;
        };
        match older {
            Some(older) => self.set_younger(older, younger),
            None => self.oldest = younger,
        }
        match younger {
            Some(younger) => self.set_older(younger, older),
            None => self.youngest = older,
        }
        Some((want, waker))
    }

    fn set_younger(&mut self, key: Key, to: Option<Key>) {
        if let Place::Waiting { younger, .. } = &mut self.places[key.0] {
            *younger = to;
        }
    }

    fn set_older(&mut self, key: Key, to: Option<Key>) {
        if let Place::Waiting { older, .. } = &mut self.places[key.0] {
            *older = to;
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    /// Serves everybody; the indices of `keys` in the order in which they were served.
    fn order(queue: &mut Queue<(), usize>, keys: &[Key]) -> Vec<usize> {
        let mut nth = 0;
        while queue.grant_oldest(nth).is_some() {
            nth += 1;
        }
        let turn = |key: &Key| match queue.places[key.0] {
            Place::Granted(nth) => nth,
            _ => usize::MAX,
        };
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|index| turn(&keys[*index]));
        order
    }

    #[test]
    fn the_oldest_is_served_first_whoever_left_in_between() {
        let mut queue = Queue::new();
        let mut keys: Vec<Key> = (0..6).map(|_| queue.join(())).collect();
        for gone in [5, 2, 0] {
            assert!(matches!(queue.leave(keys[gone]), Some(Left::Waiting((), None))));
            keys.remove(gone);
        }
        keys.push(queue.join(()));
        assert_eq!(order(&mut queue, &keys), [0, 1, 2, 3]);
        assert!(queue.grant_oldest(9).is_none());
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back_when_it_is_over() {
        let mut queue: Queue<(), u32> = Queue::new();
        let keys: Vec<Key> = (0..=KEPT_PLACES).map(|_| queue.join(())).collect();
        for key in keys {
            assert!(!queue.places.is_empty());
            queue.leave(key);
        }
        assert_eq!(queue.places.capacity(), 0);
        let key = queue.join(());
        assert!(queue.grant_oldest(1).is_some());
        assert!(matches!(queue.leave(key), Some(Left::Granted(1))));
    }

    #[test]
    fn a_place_given_back_is_used_again() {
        let mut queue: Queue<(), u32> = Queue::new();
        for _ in 0..100 {
            let (one, two) = (queue.join(()), queue.join(()));
            queue.leave(one);
            assert!(matches!(queue.grant_oldest(1), Some(((), Wake(None)))));
            assert!(matches!(queue.leave(two), Some(Left::Granted(1))));
        }
        assert_eq!(queue.places.len(), 2);
        assert!(queue.grant_oldest(1).is_none());
    }

    #[test]
    fn the_waker_left_last_is_the_one_that_comes_back() {
        let mut queue: Queue<(), u32> = Queue::new();
        let key = queue.join(());
        let mut waker = Some(Waker::noop().clone());
        assert_eq!(queue.poll(key, &mut waker), None);
        assert!(waker.is_none());
        waker = Some(Waker::noop().clone());
        assert_eq!(queue.poll(key, &mut waker), None);
        assert!(waker.is_some(), "the first one, to be dropped");
        assert!(matches!(queue.grant_oldest(1), Some(((), Wake(Some(_))))));
        assert_eq!(queue.poll(key, &mut waker), Some(1));
    }
}
