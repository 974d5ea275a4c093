//! What a pool and the drivers of its shared connections have in common. Decides who gets what comes free while somebody waits:
//! streams go to those who can use them, everything else to the oldest; and which connection ends so that another may open.
//!
//! Locks are taken in this order: the line of those who wait, a shelf, nothing. What is woken or dropped is so after both.

use std::sync::Arc;

use super::shared::{After, Shared, Standing};
use super::shelf::{Idle, Oldest, Shelf};
use super::{Found, HostKey};
use crate::Instant;
use crate::limit::turnstile::Turnstile;
use crate::limit::{CxGrant, CxPermit, CxWant, MaxConnections, ResourceManager, Room, WorkerId};
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{AcqRel, Acquire};
use crate::sync::{CachePadded, Mutex, lock};

/// A worker's shelf, on cache lines of its own.
type Locked<T, C> = CachePadded<Mutex<Shelf<T, C>>>;

#[derive(Debug)]
pub(super) struct Inner<T, C> {
    pub(super) manager: Arc<ResourceManager>,
    pub(super) shelves: Box<[Locked<T, C>]>,
    /// Set aside for waiters that have been told so ([`CxGrant::Idle`]): at least one for each of them.
    pub(super) reserved: Mutex<Vec<Idle<T>>>,
    /// Shared connections that are there.
    shared: AtomicU32,
    /// Those of them that take no new streams: each lets another one open when it is gone.
    ending: AtomicU32,
    /// Those of these on which no stream runs: they are about to be closed.
    closing: AtomicU32,
    /// Grows with each shared connection: whoever waits looks whether it may use it.
    pub(super) begun: AtomicU32,
    /// One change of the number of streams at a time.
    pub(super) changing: Mutex<()>,
}

/// Where a shared connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shelf: usize,
    pub(super) place: usize,
}

impl From<Room> for Place {
    fn from(room: Room) -> Self {
        Self { shelf: room.shelf, place: room.place }
    }
}

fn count(counter: &AtomicU32, before: bool, after: bool) {
    match (before, after) {
        (false, true) => {
            counter.fetch_add(1, AcqRel);
        }
        (true, false) => {
            counter.fetch_sub(1, AcqRel);
        }
        _ => {}
    }
}

impl<T, C> Inner<T, C> {
    pub(super) fn new(workers: usize, manager: Arc<ResourceManager>) -> Self {
        Self {
            manager,
            // One at least: connections of workers that were not announced go to the first shelf.
            shelves: (0..workers.max(1)).map(|_| CachePadded(Mutex::new(Shelf::new()))).collect(),
            reserved: Mutex::new(Vec::new()),
            shared: AtomicU32::new(0),
            ending: AtomicU32::new(0),
            closing: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            changing: Mutex::new(()),
        }
    }

    pub(super) fn index(&self, worker: WorkerId) -> usize {
        let index = usize::from(worker.0);
        if index < self.shelves.len() { index } else { 0 }
    }

    pub(super) fn connections(&self) -> &Turnstile<MaxConnections> {
        self.manager.connections()
    }

    /// The shelves from this one around.
    pub(super) fn around(&self, own: usize) -> impl Iterator<Item = usize> + use<T, C> {
        (own..self.shelves.len()).chain(0..own)
    }

    pub(super) fn closing(&self) -> u32 {
        self.closing.load(Acquire)
    }

    pub(super) fn ending(&self) -> u32 {
        self.ending.load(Acquire)
    }

    pub(super) fn has_shared(&self) -> bool {
        self.shared.load(Acquire) > 0
    }

    /// One step of a shared connection, and what follows from it for the counts.
    pub(super) fn step<R>(&self, at: Place, step: impl FnOnce(&mut Shared<C>) -> R) -> Option<R> {
        let mut kept = lock(&self.shelves[at.shelf]);
        let shared = kept.at(at.place)?;
        let before = shared.standing();
        let result = step(shared);
        let after = shared.standing();
        let forgotten = if shared.is_forgotten() { kept.forget(at.place) } else { None };
        self.stands(before, after);
        count(&self.shared, forgotten.is_some(), false);
        drop(kept);
        self.manager.offers_fewer(i64::from(after.missing) - i64::from(before.missing));
        Some(result)
    }

    /// Under the shelf's mutex, so that nobody sees a connection that ends and is not counted.
    fn stands(&self, before: Standing, after: Standing) {
        count(&self.ending, before.ending, after.ending);
        count(&self.closing, before.closing, after.closing);
    }

    /// A new shared connection of this worker, with the lease of the one who opens it.
    pub(super) fn share(&self, worker: usize, host: HostKey, requests: u32) -> Place {
        let mut kept = lock(&self.shelves[worker]);
        // Whoever counts it looks at this shelf later than this, and finds it.
        let nth = self.begun.fetch_add(1, AcqRel).wrapping_add(1);
        // Read under the mutex: a change that is not seen here comes by and finds the connection.
        let shared = Shared::new(host, nth, self.manager.streams(), requests);
        self.stands(Standing::default(), shared.standing());
        count(&self.shared, false, true);
        Place { shelf: worker, place: kept.share(shared) }
    }

    /// A stream to `host` on a connection of this shelf. `idle`: also on one that nobody uses.
    pub(super) fn lease_of(&self, index: usize, host: HostKey, idle: bool) -> Option<Room> {
        let mut connections = lock(&self.shelves[index]);
        let place = connections.with_room(host, idle)?;
        let found = connections.at(place)?;
        let before = found.standing();
        let lease = found.lease()?;
        let after = found.standing();
        self.stands(before, after);
        Some(Room { shelf: index, place, lease })
    }

    /// A stream on this connection, if it still goes to `host`.
    fn lease_at(&self, at: Place, host: HostKey) -> Option<Room> {
        let lease = self.step(at, |shared| if shared.host == host { shared.lease() } else { None })??;
        Some(Room { shelf: at.shelf, place: at.place, lease })
    }

    /// A lease comes back. `Some`: the connection is to be closed.
    pub(super) fn give_back(&self, room: Room, used: bool, now: Option<Instant>) -> Option<C> {
        let after = self.step(room.into(), |shared| {
            let mut after = shared.give_back(room.lease, used, now);
            self.end_surplus(shared, &mut after);
            after
        });
        let handle = after.and_then(After::wake);
        self.offer(room.into());
        handle
    }

    /// One that became idle goes if more are open than a lowered limit allows. Whoever takes the surplus looks at the shelf after
    /// this and finds it, or what lowered the limit is seen here.
    pub(super) fn end_surplus(&self, shared: &mut Shared<C>, after: &mut After<C>) {
        if shared.is_idle() && self.connections().excess() > self.closing() {
            let ended = shared.retire();
            after.and(ended);
        }
    }

    /// There may be room on this connection, or it may be idle: whoever waits for that gets it.
    pub(super) fn offer(&self, at: Place) {
        let connections = self.connections();
        while connections.waiters() > 0 {
            let state = self.step(at, |shared| (shared.host, shared.has_room(), shared.is_idle()));
            let Some((host, room, idle)) = state else { return };
            let shares = |want: &CxWant| want.shares(host);
            if room && connections.hand_to(shares, || self.lease_at(at, host).map(CxGrant::Room)) {
                continue;
            }
            if idle && self.closing() < connections.waiters() && connections.count(|want| !shares(want)) > 0 {
                self.end_idle(at);
            }
            return;
        }
    }

    /// Ends this connection, if it is idle, for another to be opened in its place.
    fn end_idle(&self, at: Place) {
        let ended = self.step(at, |shared| shared.is_idle().then(|| shared.retire()));
        drop(ended.flatten().and_then(After::wake));
    }

    /// An idle connection that carries one request at a time, from anywhere: to `host` if there is one, else to another host. An
    /// idle shared one is ended where its turn would be: its permit goes to whoever waits.
    /// `ahead`: so many of those that are about to be closed are others'.
    pub(super) fn reclaim(&self, own: usize, host: HostKey, ahead: u32) -> Option<Found<T>> {
        if let Some(idle) = self.around(own).find_map(|shelf| lock(&self.shelves[shelf]).take(host)) {
            return Some(idle.found_for(host));
        }
        if self.closing() > ahead {
            return None;
        }
        self.replace(own, |_| true).map(Found::Replace)
    }

    /// The longest idle connection of the first shelf that has one, if it carries one request at a time; a shared one that `may_end`
    /// is ended.
    pub(super) fn replace(&self, own: usize, may_end: impl Fn(&Shared<C>) -> bool) -> Option<T> {
        for shelf in self.around(own) {
            let mut connections = lock(&self.shelves[shelf]);
            match connections.oldest(&may_end) {
                None => {}
                Some(Oldest::Own(host)) => return connections.take_first(host).map(|idle| idle.item),
                Some(Oldest::Shared(place)) => {
                    drop(connections);
                    self.end_idle(Place { shelf, place });
                    return None;
                }
            }
        }
        None
    }

    /// Makes an idle connection that carries one request at a time somebody's or anybody's.
    pub(super) fn put(&self, mut idle: Idle<T>) -> Option<T> {
        let connections = self.connections();
        loop {
            if connections.waiters() > 0 {
                lock(&self.reserved).push(idle);
                if connections.hand(CxGrant::Idle) {
                    return None;
                }
                // Nobody waits any more: take back one of what is set aside. Which one does not matter.
                idle = lock(&self.reserved).pop()?;
            }
            if connections.excess() > 0 {
                return Some(idle.item);
            }
            let own = &self.shelves[self.index(idle.from)];
            lock(own).put(idle);
            // Whoever began to wait, or took the surplus of a lowered limit, before the connection was on the shelf has not
            // seen it; the shelf's mutex makes sure that either it looks later and finds it, or what it did is seen here.
            if connections.waiters() == 0 && connections.excess() == 0 {
                return None;
            }
            idle = lock(own).take_oldest_own()?;
        }
    }

    /// A waiter left to which this had been granted.
    pub(super) fn pass_on(&self, grant: CxGrant) {
        match grant {
            CxGrant::Permit => drop(CxPermit::entered(&self.manager)),
            CxGrant::Idle => {
                let idle = lock(&self.reserved).pop();
                let surplus = idle.and_then(|idle| self.put(idle));
                drop(surplus);
            }
            CxGrant::Room(room) => drop(self.give_back(room, false, None)),
        }
    }

    /// A shared connection came or went: whoever waits gets what is idle and was kept because one was about to be closed, and
    /// connections end for those who can use none that is there.
    pub(super) fn settle(&self) {
        let connections = self.connections();
        if connections.waiters() == 0 {
            return;
        }
        while connections.waiters() > self.closing() {
            let mut taken = self.around(0).filter_map(|shelf| lock(&self.shelves[shelf]).take_oldest_own());
            let Some(idle) = taken.next() else { break };
            if let Some(surplus) = self.put(idle) {
                drop(surplus);
                break;
            }
        }
        for at in self.places(Shared::is_idle) {
            if connections.waiters() == 0 {
                return;
            }
            self.offer(at);
        }
        for at in self.places(Shared::is_busy) {
            if connections.waiters() <= self.ending() {
                return;
            }
            let Some((host, nth)) = self.step(at, |shared| (shared.host, shared.nth)) else { continue };
            let shunning = connections.count(|want| want.shuns(host, nth));
            if shunning > usize::try_from(self.ending()).unwrap_or(usize::MAX) {
                self.end(at);
            }
        }
    }

    /// Somebody joined the line who can't use what runs on connections that `is_useless` to it: one of these takes no new streams
    /// from now on, unless enough end already. Otherwise streams that come and go could keep it waiting for good.
    pub(super) fn make_way(&self, is_useless: impl Fn(HostKey) -> bool) {
        if !self.has_shared() || self.connections().waiters() <= self.ending() {
            return;
        }
        let look = |at: Place| Some((self.step(at, |shared| (shared.streams(), shared.host))?, at));
        let busy: Vec<_> = self.places(Shared::is_busy).into_iter().filter_map(look).collect();
        let useless = busy.into_iter().filter(|((_, host), _)| is_useless(*host));
        if let Some((_, at)) = useless.min_by_key(|((streams, _), _)| *streams) {
            self.end(at);
        }
    }

    /// This connection takes no new streams.
    pub(super) fn end(&self, at: Place) {
        drop(self.step(at, Shared::retire).and_then(After::wake));
    }

    /// The shared connections of which `is` says so, the first worker's first.
    pub(super) fn places(&self, is: impl Fn(&Shared<C>) -> bool) -> Vec<Place> {
        let mut places = Vec::new();
        for (shelf, connections) in self.shelves.iter().enumerate() {
            let connections = lock(connections);
            let here = connections.shared().filter(|(_, shared)| is(shared));
            places.extend(here.map(|(place, _)| Place { shelf, place }));
        }
        places
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::limit::Thresholds;

    /// Otherwise each connection that ever was would be looked at, and remembered, for good.
    #[test]
    fn a_connection_without_driver_and_streams_leaves_its_place_to_another() {
        let manager = Arc::new(ResourceManager::new(1, Thresholds::UNLIMITED));
        let pool: Inner<(), ()> = Inner::new(1, manager);
        for lease_first in [true, false] {
            let at = pool.share(0, HostKey(1), u32::MAX);
            let give_back = || pool.give_back(Room { shelf: 0, place: at.place, lease: 0 }, true, None);
            let lose = || pool.step(at, Shared::lose).unwrap().wake();
            let steps: [&dyn Fn() -> Option<()>; 2] =
                if lease_first { [&give_back, &lose] } else { [&lose, &give_back] };
            for step in steps {
                assert!(pool.has_shared() && pool.places(|_| true) == [at]);
                step();
            }
            assert!(!pool.has_shared() && pool.places(|_| true).is_empty());
        }
        assert_eq!(pool.share(0, HostKey(2), u32::MAX).place, 0);
    }
}
