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

/// What a waiter found at its place.
#[derive(Debug)]
pub(super) enum Found<G> {
    /// Its turn came. The place is given back.
    Granted(G),
    /// Not yet. The waker it left before, if any, is to be dropped outside the mutex.
    Waiting(Option<Waker>),
}

#[derive(Debug)]
pub(super) struct Queue<G> {
    places: Vec<Place<G>>,
    oldest: Option<Key>,
    youngest: Option<Key>,
    vacant: Option<Key>,
}

impl<G> Queue<G> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), oldest: None, youngest: None, vacant: None }
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
        key
    }

    /// Gives `grant` to the oldest waiter. `None`: nobody waits.
    pub(super) fn grant_oldest(&mut self, grant: G) -> Option<Wake> {
        let key = self.oldest?;
        let waker = self.unlink(key);
        self.places[key.0] = Place::Granted(grant);
        Some(Wake(waker))
    }

    /// Looks whether the turn has come; if not, leaves `waker`.
    pub(super) fn poll(&mut self, key: Key, waker: Waker) -> Found<G> {
        if let Place::Waiting { waker: left, .. } = &mut self.places[key.0] {
            return Found::Waiting(left.replace(waker));
        }
        match self.vacate(key) {
            Place::Granted(grant) => Found::Granted(grant),
            Place::Vacant { .. } | Place::Waiting { .. } => Found::Waiting(Some(waker)),
        }
    }

    /// Gives the place back: what had been granted already, or the waker of one who still waited.
    pub(super) fn leave(&mut self, key: Key) -> Found<G> {
        if let Place::Waiting { .. } = self.places[key.0] {
            let waker = self.unlink(key);
            self.vacate(key);
            return Found::Waiting(waker);
        }
        match self.vacate(key) {
            Place::Granted(grant) => Found::Granted(grant),
            Place::Vacant { .. } | Place::Waiting { .. } => Found::Waiting(None),
        }
    }

    fn vacate(&mut self, key: Key) -> Place<G> {
        let place = std::mem::replace(&mut self.places[key.0], Place::Vacant { next: self.vacant });
        self.vacant = Some(key);
        place
    }

    /// Takes a waiting place out of the list and returns its waker.
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

    fn order(queue: &mut Queue<u32>, keys: &[Key]) -> Vec<usize> {
        let mut served = Vec::new();
        while queue.grant_oldest(7).is_some() {
            let next = keys.iter().position(|key| {
                !served.contains(&keys.iter().position(|other| other == key).unwrap())
                    && matches!(queue.places[key.0], Place::Granted(7))
            });
            served.push(next.unwrap());
        }
        served
    }

    #[test]
    fn the_oldest_is_served_first_whoever_left_in_between() {
        let mut queue = Queue::new();
        let mut keys: Vec<Key> = (0..6).map(|_| queue.join()).collect();
        for gone in [5, 2, 0] {
            assert!(matches!(queue.leave(keys[gone]), Found::Waiting(None)));
            keys.remove(gone);
        }
        keys.push(queue.join());
        assert_eq!(order(&mut queue, &keys), [0, 1, 2, 3]);
    }

    #[test]
    fn a_place_given_back_is_used_again() {
        let mut queue: Queue<u32> = Queue::new();
        for _ in 0..100 {
            let (one, two) = (queue.join(), queue.join());
            queue.leave(one);
            assert!(matches!(queue.grant_oldest(1), Some(Wake(None))));
            assert!(matches!(queue.leave(two), Found::Granted(1)));
        }
        assert_eq!(queue.places.len(), 2);
        assert!(queue.grant_oldest(1).is_none());
    }

    #[test]
    fn the_waker_left_last_is_the_one_that_comes_back() {
        let mut queue: Queue<u32> = Queue::new();
        let key = queue.join();
        assert!(matches!(queue.poll(key, Waker::noop().clone()), Found::Waiting(None)));
        assert!(matches!(queue.poll(key, Waker::noop().clone()), Found::Waiting(Some(_))));
        assert!(matches!(queue.grant_oldest(1), Some(Wake(Some(_)))));
        assert!(matches!(queue.poll(key, Waker::noop().clone()), Found::Granted(1)));
    }
}
