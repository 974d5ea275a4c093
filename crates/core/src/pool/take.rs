//! Which idle connections are taken out for closing: of a host, too old, above a lowered limit, or all.

use super::inner::Place;
use super::shared::{After, Shared};
use super::shelf::Oldest;
use super::{Handle, HostKey, IdlePool};
use crate::Instant;
use crate::limit::WorkerId;
use crate::sync::lock;

impl<T, C: Handle<T>> IdlePool<T, C> {
    /// The idle connections to `host`, for closing: it was ejected or removed. Shared ones that are in use take no new streams.
    #[must_use = "they are to be closed"]
    pub fn take_host(&self, host: HostKey) -> Vec<T> {
        let lists = self.inner.shelves.iter().filter_map(|shelf| lock(shelf).own.remove(&host));
        let mut taken: Vec<T> = lists.flatten().map(|idle| idle.item).collect();
        self.end_all(|shared| shared.host == host, &mut taken);
        taken
    }

    /// The connections that became idle before `before`, for closing: the idle time-out.
    #[must_use = "they are to be closed"]
    pub fn take_idle_since(&self, before: Instant) -> Vec<T> {
        let mut taken = Vec::new();
        for shelf in &self.inner.shelves {
            lock(shelf).take_since(before, &mut taken);
        }
        self.end_all(|shared| shared.is_idle() && shared.since() < before, &mut taken);
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
        let index = self.inner.index(worker);
        let mut kept = lock(&self.inner.shelves[index]);
        for list in kept.own.values_mut() {
            let mut index = 0;
            while let Some(idle) = list.get_mut(index) {
                match judge(&mut idle.item, idle.since) {
                    Some(verdict) => taken.push((list.remove(index).item, verdict)),
                    None => index += 1,
                }
            }
        }
        let idle =
            |(place, shared): (usize, &Shared<C>)| Some((place, shared.idle()?.clone(), shared.since()));
        let shared: Vec<_> = kept.shared().filter_map(idle).collect();
        drop(kept);
        for (place, handle, since) in shared {
            let mut item = handle.into_item();
            if let Some(verdict) = judge(&mut item, since)
                && self.end_if(Place { shelf: index, place }, |shared| {
                    shared.is_idle() && shared.since() == since
                })
            {
                taken.push((item, verdict));
            }
        }
        taken
    }

    /// Idle connections for closing, as many as are open above a lowered limit; those of the first workers, longest idle
    /// first. Those that are busy now come back from [`Self::checkin`], or take no new streams and come back from
    /// [`super::Lease::finish`].
    #[must_use = "they are to be closed"]
    pub fn take_surplus(&self) -> Vec<T> {
        let pool = &*self.inner;
        let (ending, closing) = (pool.ending(), pool.closing());
        let mut excess = pool.connections().excess().saturating_sub(closing);
        let mut taken = Vec::new();
        for index in 0..pool.shelves.len() {
            while excess > 0 {
                let mut kept = lock(&pool.shelves[index]);
                match kept.oldest(|_| true) {
                    None => break,
                    Some(Oldest::Own(host)) => taken.extend(kept.take_first(host).map(|idle| idle.item)),
                    Some(Oldest::Shared(place)) => {
                        drop(kept);
                        taken.extend(self.end_at(Place { shelf: index, place }, Shared::is_idle));
                    }
                }
                excess -= 1;
            }
        }
        let in_use = excess.saturating_sub(ending.saturating_sub(closing));
        for at in pool.places(Shared::is_busy).into_iter().take(usize::try_from(in_use).unwrap_or(usize::MAX))
        {
            pool.end(at);
        }
        taken
    }

    /// All idle connections, for closing. Shared ones that are in use take no new streams.
    #[must_use = "they are to be closed"]
    pub fn take_all(&self) -> Vec<T> {
        let lists =
            self.inner.shelves.iter().flat_map(|shelf| std::mem::take(&mut lock(shelf).own).into_values());
        let mut taken: Vec<T> = lists.flatten().map(|idle| idle.item).collect();
        self.end_all(|_| true, &mut taken);
        taken
    }

    /// Shared connections of which `is` says so take no new streams; those that are idle are taken.
    fn end_all(&self, is: impl Fn(&Shared<C>) -> bool, taken: &mut Vec<T>) {
        for at in self.inner.places(&is) {
            taken.extend(self.end_at(at, &is));
        }
    }

    fn end_at(&self, at: Place, is: impl Fn(&Shared<C>) -> bool) -> Option<T> {
        let ended = self.inner.step(at, |shared| is(shared).then(|| shared.retire()))?;
        ended.and_then(After::wake).map(Handle::into_item)
    }

    fn end_if(&self, at: Place, is: impl Fn(&Shared<C>) -> bool) -> bool {
        self.end_at(at, is).is_some()
    }
}
