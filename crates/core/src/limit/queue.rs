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
enum Place<G> {
    Vacant { next: Option<Key> },
    Waiting { older: Option<Key>, younger: Option<Key>, waker: Option<Waker> },
    Granted(G),
}

/// What a waiter that goes away leaves behind.
#[derive(Debug)]
pub(super) enum Left<G> {
    /// What it had been granted, to be passed on.
    Granted(G),
    /// It still waited; its waker, if any, is to be dropped after the mutex is released.
    Waiting(Option<Waker>),
}

/// So many places are kept for the next burst; more are given back once nobody waits.
const KEPT_PLACES: usize = 64;

#[derive(Debug)]
pub(super) struct Queue<G> {
    places: Vec<Place<G>>,
    oldest: Option<Key>,
    youngest: Option<Key>,
    vacant: Option<Key>,
    /// How many places are not vacant.
    held: usize,
}

impl<G> Queue<G> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), oldest: None, youngest: None, vacant: None, held: 0 }
    }

    /// Adds a waiter behind all others.
    pub(super) fn join(&mut self) -> Key {
        let place = Place::Waiting { older: self.youngest, younger: None, waker: None };
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

    /// Gives `grant` to the oldest waiter. `None`: nobody waits.
    pub(super) fn grant_oldest(&mut self, grant: G) -> Option<Wake> {
        let key = self.oldest?;
        let waker = self.unlink(key);
        self.places[key.0] = Place::Granted(grant);
        Some(Wake(waker))
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
    pub(super) fn leave(&mut self, key: Key) -> Left<G> {
        let waker = self.unlink(key);
        match self.vacate(key) {
            Place::Granted(grant) => Left::Granted(grant),
            Place::Vacant { .. } | Place::Waiting { .. } => Left::Waiting(waker),
        }
    }

    fn vacate(&mut self, key: Key) -> Place<G> {
        let place = std::mem::replace(&mut self.places[key.0], Place::Vacant { next: self.vacant });
        self.vacant = Some(key);
        self.held -= 1;
        if self.held == 0 && self.places.len() > KEPT_PLACES {
            self.places = Vec::new();
            self.vacant = None;
        }
        place
    }

    /// Takes a place that waits out of the list and returns its waker; leaves any other as it is.
    fn unlink(&mut self, key: Key) -> Option<Waker> {
        let Place::Waiting { older, younger, waker } = &mut self.places[key.0] else { return None };
        let (older, younger, waker) = (*older, *younger, waker.take());
        match older {
            Some(older) => self.set_younger(older, younger),
            None => self.oldest = younger,
        }
        match younger {
            Some(younger) => self.set_older(younger, older),
            None => self.youngest = older,
        }
        waker
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
    fn order(queue: &mut Queue<usize>, keys: &[Key]) -> Vec<usize> {
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
        let mut keys: Vec<Key> = (0..6).map(|_| queue.join()).collect();
        for gone in [5, 2, 0] {
            assert!(matches!(queue.leave(keys[gone]), Left::Waiting(None)));
            keys.remove(gone);
        }
        keys.push(queue.join());
        assert_eq!(order(&mut queue, &keys), [0, 1, 2, 3]);
        assert!(queue.grant_oldest(9).is_none());
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back_when_it_is_over() {
        let mut queue: Queue<u32> = Queue::new();
        let keys: Vec<Key> = (0..=KEPT_PLACES).map(|_| queue.join()).collect();
        for key in keys {
            assert!(!queue.places.is_empty());
            queue.leave(key);
        }
        assert_eq!(queue.places.capacity(), 0);
        let key = queue.join();
        assert!(queue.grant_oldest(1).is_some());
        assert!(matches!(queue.leave(key), Left::Granted(1)));
    }

    #[test]
    fn a_place_given_back_is_used_again() {
        let mut queue: Queue<u32> = Queue::new();
        for _ in 0..100 {
            let (one, two) = (queue.join(), queue.join());
            queue.leave(one);
            assert!(matches!(queue.grant_oldest(1), Some(Wake(None))));
            assert!(matches!(queue.leave(two), Left::Granted(1)));
        }
        assert_eq!(queue.places.len(), 2);
        assert!(queue.grant_oldest(1).is_none());
    }

    #[test]
    fn the_waker_left_last_is_the_one_that_comes_back() {
        let mut queue: Queue<u32> = Queue::new();
        let key = queue.join();
        let mut waker = Some(Waker::noop().clone());
        assert_eq!(queue.poll(key, &mut waker), None);
        assert!(waker.is_none());
        waker = Some(Waker::noop().clone());
        assert_eq!(queue.poll(key, &mut waker), None);
        assert!(waker.is_some(), "the first one, to be dropped");
        assert!(matches!(queue.grant_oldest(1), Some(Wake(Some(_)))));
        assert_eq!(queue.poll(key, &mut waker), Some(1));
    }
}
