//! Idle upstream connections of one cluster and priority, and the way from a slot to a connection.
//!
//! Logical slots decide, connections follow: whoever asks here holds a slot. Since slots in use never exceed
//! `max_connections`, when no more may be opened one that is idle or about to be closed exists for each who asks. So
//! asking never fails; at worst it waits for a descriptor to be closed.
//!
//! What a connection is, opening, closing and probing it are the proxy's: it drops what it is given here to close it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::Instant;
use crate::limit::turnstile::Entry;
use crate::limit::{CxGrant, CxPermit, Key, ResourceManager, WorkerId};
use crate::sync::{CachePadded, Mutex, lock};

/// Identity of a host within the process; a new pod on an old address is a new host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(pub u64);

/// What a slot leads to.
#[derive(Debug)]
pub enum Found<T> {
    /// An idle connection to the host.
    Idle {
        /// The connection, as it was checked in.
        item: T,
        /// The worker that checked it in; if it is not the one that asks, the socket must be registered anew.
        from: WorkerId,
    },
    /// A new one may be opened.
    Connect(CxPermit),
    /// An idle connection to another host: close it, then open a new one with its permit.
    Replace(T),
}

/// The answer of [`IdlePool::checkout`].
#[derive(Debug)]
#[must_use = "dropping it closes the connection, gives the permit back or leaves the queue"]
pub enum Checkout<'a, T> {
    /// Go on.
    Ready(Found<T>),
    /// All connections that may be open are busy or being closed. One comes free soon; nothing is counted as pending.
    Wait(CxWaiter<'a, T>),
}

#[derive(Debug)]
struct Idle<T> {
    host: HostKey,
    from: WorkerId,
    since: Instant,
    item: T,
}

impl<T> Idle<T> {
    fn found_for(self, host: HostKey) -> Found<T> {
        if self.host == host {
            Found::Idle { item: self.item, from: self.from }
        } else {
            Found::Replace(self.item)
        }
    }
}

/// One worker's idle connections by host, each list from the longest idle to the most recently used.
#[derive(Debug)]
struct Shelf<T>(BTreeMap<HostKey, Vec<Idle<T>>>);

impl<T> Shelf<T> {
    fn put(&mut self, idle: Idle<T>) {
        let list = self.0.entry(idle.host).or_default();
        // At the end, except for one that comes back from a waiter that left.
        let place = list.partition_point(|other| other.since <= idle.since);
        list.insert(place, idle);
    }

    /// The most recently used connection to `host`: the likeliest to be alive, and the rest may age and be closed.
    fn take(&mut self, host: HostKey) -> Option<Idle<T>> {
        self.0.get_mut(&host)?.pop()
    }

    /// The one that has been idle longest, whatever its host.
    fn take_oldest(&mut self) -> Option<Idle<T>> {
        let oldest = self.0.values_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0].since)?;
        Some(oldest.remove(0))
    }

    /// All that became idle before `before`. Forgets hosts that have none left.
    fn take_since(&mut self, before: Instant, into: &mut Vec<T>) {
        self.0.retain(|_, list| {
            into.extend(list.extract_if(.., |idle| idle.since < before).map(|idle| idle.item));
            !list.is_empty()
        });
    }
}

/// Idle connections, sharded by worker. A worker that finds one of its own writes no cache line of others.
#[derive(Debug)]
pub struct IdlePool<T> {
    manager: Arc<ResourceManager>,
    shelves: Box<[CachePadded<Mutex<Shelf<T>>>]>,
    /// Set aside for waiters that have been told so ([`CxGrant::Idle`]): at least one for each of them.
    reserved: Mutex<Vec<Idle<T>>>,
}

impl<T> IdlePool<T> {
    /// For `workers` workers, numbered from 0, under the connection limit of `manager`.
    pub fn new(workers: usize, manager: Arc<ResourceManager>) -> Self {
        let shelf = || CachePadded(Mutex::new(Shelf(BTreeMap::new())));
        Self {
            manager,
            // One at least: connections of workers that were not announced go to the first shelf.
            shelves: (0..workers.max(1)).map(|_| shelf()).collect(),
            reserved: Mutex::new(Vec::new()),
        }
    }

    /// A connection to `host` for a request of `worker` that holds a slot: an idle one of its own, else a new one if the
    /// limit allows, else an idle one of another worker, else one to another host to be replaced, else a wait.
    ///
    /// A connection that turns out to be dead is dropped and the pool asked again.
    pub fn checkout(&self, worker: WorkerId, host: HostKey) -> Checkout<'_, T> {
        if let Some(own) = lock(&self.shelves[self.index(worker)]).take(host) {
            return Checkout::Ready(own.found_for(host));
        }
        if let Some(permit) = CxPermit::try_new(&self.manager) {
            return Checkout::Ready(Found::Connect(permit));
        }
        if let Some(found) = self.reclaim(worker, host) {
            return Checkout::Ready(found);
        }
        let place = match self.manager.connections().enter(true) {
            Entry::Queued(place, _) => place,
            Entry::Entered | Entry::Full(_) => {
                return Checkout::Ready(Found::Connect(CxPermit::entered(&self.manager)));
            }
        };
        // A connection checked in before the place was taken was not handed over: look again, now that it would be.
        let waiter = CxWaiter { pool: self, host, place: Some(place) };
        match self.reclaim(worker, host) {
            Some(found) => Checkout::Ready(found),
            None => Checkout::Wait(waiter),
        }
    }

    /// The right to open a connection that is never shared (TCP), for who holds a slot: [`Found::Connect`] if the limit allows,
    /// else an idle one that is to be closed, [`Found::Replace`], whereupon the pool is asked again; else a wait.
    pub fn checkout_new(&self, worker: WorkerId, host: HostKey) -> Checkout<'_, T> {
        if let Some(permit) = CxPermit::try_new(&self.manager) {
            return Checkout::Ready(Found::Connect(permit));
        }
        match self.checkout(worker, host) {
            Checkout::Ready(Found::Idle { item, .. }) => Checkout::Ready(Found::Replace(item)),
            other => other,
        }
    }

    /// An idle connection from anywhere: to `host` if there is one, else to another host.
    fn reclaim(&self, worker: WorkerId, host: HostKey) -> Option<Found<T>> {
        let own = self.index(worker);
        let from_own = || self.shelves[own..].iter().chain(&self.shelves[..own]);
        from_own()
            .find_map(|shelf| lock(shelf).take(host))
            .or_else(|| from_own().find_map(|shelf| lock(shelf).take_oldest()))
            .map(|idle| idle.found_for(host))
    }

    /// A connection to `host` is idle from `now` on. Check it in before its request's slot is dropped, so that the next
    /// request finds it. `Some`: more are open than a lowered limit allows; close it.
    #[must_use = "a connection above the limit is to be closed"]
    pub fn checkin(&self, worker: WorkerId, host: HostKey, item: T, now: Instant) -> Option<T> {
        self.put(Idle { host, from: worker, since: now, item })
    }

    fn put(&self, mut idle: Idle<T>) -> Option<T> {
        let connections = self.manager.connections();
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
            idle = lock(own).take_oldest()?;
        }
    }

    /// The idle connections to `host`, for closing: it was ejected or removed.
    #[must_use = "they are to be closed"]
    pub fn take_host(&self, host: HostKey) -> Vec<T> {
        let lists = self.shelves.iter().filter_map(|shelf| lock(shelf).0.remove(&host));
        lists.flatten().map(|idle| idle.item).collect()
    }

    /// The connections that became idle before `before`, for closing: the idle time-out.
    #[must_use = "they are to be closed"]
    pub fn take_idle_since(&self, before: Instant) -> Vec<T> {
        let mut taken = Vec::new();
        for shelf in &self.shelves {
            lock(shelf).take_since(before, &mut taken);
        }
        taken
    }

    /// The idle connections on the shelf of `worker` for which `judge`, given also since when they are idle, has a verdict.
    #[must_use = "they are to be closed"]
    pub fn take_judged<V>(
        &self,
        worker: WorkerId,
        mut judge: impl FnMut(&mut T, Instant) -> Option<V>,
    ) -> Vec<(T, V)> {
        let mut taken = Vec::new();
        let mut connections = lock(&self.shelves[self.index(worker)]);
        for list in connections.0.values_mut() {
            let mut index = 0;
            while let Some(idle) = list.get_mut(index) {
                match judge(&mut idle.item, idle.since) {
                    Some(verdict) => taken.push((list.remove(index).item, verdict)),
                    None => index += 1,
                }
            }
        }
        taken
    }

    /// Idle connections for closing, as many as are open above a lowered limit; those of the first workers, longest idle
    /// first. Those that are busy now come back from [`Self::checkin`].
    #[must_use = "they are to be closed"]
    pub fn take_surplus(&self) -> Vec<T> {
        let mut excess = self.manager.connections().excess();
        let mut taken = Vec::new();
        for shelf in &self.shelves {
            let mut connections = lock(shelf);
            while excess > 0
                && let Some(idle) = connections.take_oldest()
            {
                taken.push(idle.item);
                excess -= 1;
            }
        }
        taken
    }

    /// All idle connections, for closing.
    #[must_use = "they are to be closed"]
    pub fn take_all(&self) -> Vec<T> {
        let lists = self.shelves.iter().flat_map(|shelf| std::mem::take(&mut lock(shelf).0).into_values());
        lists.flatten().map(|idle| idle.item).collect()
    }

    /// How many are idle now.
    pub fn idle(&self) -> usize {
        self.shelves.iter().map(|shelf| lock(shelf).0.values().map(Vec::len).sum::<usize>()).sum()
    }

    fn index(&self, worker: WorkerId) -> usize {
        let index = usize::from(worker.0);
        if index < self.shelves.len() { index } else { 0 }
    }
}

/// A place in the queue for a connection: first come, first served over all workers. Dropping it leaves the queue; what
/// was being handed over goes to the next, or becomes idle.
#[derive(Debug)]
#[must_use = "dropping a waiter leaves the queue"]
pub struct CxWaiter<'a, T> {
    pool: &'a IdlePool<T>,
    host: HostKey,
    /// `None` once resolved.
    place: Option<Key>,
}

impl<T> CxWaiter<'_, T> {
    /// The connection, once there is one. The waker of the latest call is the one that is woken. Not to be called again
    /// after it was ready.
    pub fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<Found<T>> {
        let Some(place) = self.place else { return Poll::Pending };
        let Poll::Ready(grant) = self.pool.manager.connections().poll(place, cx) else {
            return Poll::Pending;
        };
        self.place = None;
        match self.redeem(grant) {
            Some(found) => Poll::Ready(found),
            None => Poll::Pending,
        }
    }

    fn redeem(&self, grant: CxGrant) -> Option<Found<T>> {
        match grant {
            CxGrant::Permit => Some(Found::Connect(CxPermit::entered(&self.pool.manager))),
            CxGrant::Idle => {
                let mut reserved = lock(&self.pool.reserved);
                let index = reserved.iter().position(|idle| idle.host == self.host).unwrap_or(0);
                let idle = (index < reserved.len()).then(|| reserved.remove(index))?;
                Some(idle.found_for(self.host))
            }
        }
    }
}

impl<T> Future for CxWaiter<'_, T> {
    type Output = Found<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_found(cx)
    }
}

impl<T> Drop for CxWaiter<'_, T> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        match self.pool.manager.connections().leave(place) {
            None => {}
            Some(CxGrant::Permit) => drop(CxPermit::entered(&self.pool.manager)),
            Some(CxGrant::Idle) => {
                let idle = lock(&self.pool.reserved).pop();
                let surplus = idle.and_then(|idle| self.pool.put(idle));
                drop(surplus);
            }
        }
    }
}
