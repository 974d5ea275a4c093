//! One worker's connections: those that are idle, and those that are shared, by host. Decides which one of them is taken.

use std::collections::BTreeMap;

use super::shared::Shared;
use super::{Found, HostKey};
use crate::Instant;
use crate::limit::WorkerId;

#[derive(Debug)]
pub(super) struct Idle<T> {
    pub(super) host: HostKey,
    pub(super) from: WorkerId,
    pub(super) since: Instant,
    pub(super) item: T,
}

impl<T> Idle<T> {
    pub(super) fn found_for(self, host: HostKey) -> Found<T> {
        if self.host == host {
            Found::Idle { item: self.item, from: self.from }
        } else {
            Found::Replace(self.item)
        }
    }
}

/// The connection that has been idle longest.
#[derive(Debug)]
pub(super) enum Oldest {
    /// The first one in the list of this host.
    Own(HostKey),
    /// The shared one at this place.
    Shared(usize),
}

#[derive(Debug)]
pub(super) struct Shelf<T, C> {
    /// Idle connections that carry one request at a time, each list from the longest idle to the most recently used.
    pub(super) own: BTreeMap<HostKey, Vec<Idle<T>>>,
    places: Vec<Option<Shared<C>>>,
    vacant: Vec<usize>,
    /// Where the shared ones are, oldest first.
    by_host: BTreeMap<HostKey, Vec<usize>>,
}

impl<T, C> Shelf<T, C> {
    pub(super) const fn new() -> Self {
        Self { own: BTreeMap::new(), places: Vec::new(), vacant: Vec::new(), by_host: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, idle: Idle<T>) {
        let list = self.own.entry(idle.host).or_default();
        // At the end, except for one that comes back from a waiter that left.
        let place = list.partition_point(|other| other.since <= idle.since);
        list.insert(place, idle);
    }

    /// The most recently used connection to `host`: the likeliest to be alive, and the rest may age and be closed.
    pub(super) fn take(&mut self, host: HostKey) -> Option<Idle<T>> {
        self.own.get_mut(&host)?.pop()
    }

    /// The one that carries one request at a time and has been idle longest, whatever its host.
    pub(super) fn take_oldest_own(&mut self) -> Option<Idle<T>> {
        let oldest =
            self.own.values_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0].since)?;
        Some(oldest.remove(0))
    }

    /// The one that has been idle longest, among the shared ones those that `may_end`.
    pub(super) fn oldest(&self, may_end: impl Fn(&Shared<C>) -> bool) -> Option<Oldest> {
        let own = self.own.values().filter_map(|list| list.first()).min_by_key(|idle| idle.since);
        let idle = self.shared().filter(|(_, shared)| shared.is_idle() && may_end(shared));
        let shared = idle.min_by_key(|(_, shared)| shared.since());
        match (own, shared) {
            (Some(own), Some((_, shared))) if own.since <= shared.since() => Some(Oldest::Own(own.host)),
            (_, Some((place, _))) => Some(Oldest::Shared(place)),
            (Some(own), None) => Some(Oldest::Own(own.host)),
            (None, None) => None,
        }
    }

    /// The longest idle of a host's own.
    pub(super) fn take_first(&mut self, host: HostKey) -> Option<Idle<T>> {
        let list = self.own.get_mut(&host)?;
        (!list.is_empty()).then(|| list.remove(0))
    }

    /// All that became idle before `before`. Forgets hosts that have none left.
    pub(super) fn take_since(&mut self, before: Instant, into: &mut Vec<T>) {
        self.own.retain(|_, list| {
            into.extend(list.extract_if(.., |idle| idle.since < before).map(|idle| idle.item));
            !list.is_empty()
        });
    }

    pub(super) fn idle(&self) -> usize {
        let shared = self.shared().filter(|(_, shared)| shared.is_idle()).count();
        self.own.values().map(Vec::len).sum::<usize>() + shared
    }

    /// A place for a connection that is shared from now on.
    pub(super) fn share(&mut self, shared: Shared<C>) -> usize {
        let host = shared.host;
        let place = match self.vacant.pop() {
            Some(place) => {
                self.places[place] = Some(shared);
                place
            }
            None => {
                self.places.push(Some(shared));
                self.places.len() - 1
            }
        };
        self.by_host.entry(host).or_default().push(place);
        place
    }

    pub(super) fn shared(&self) -> impl Iterator<Item = (usize, &Shared<C>)> {
        self.places.iter().enumerate().filter_map(|(place, shared)| Some((place, shared.as_ref()?)))
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Shared<C>> {
        self.places.get_mut(place)?.as_mut()
    }

    /// Where a stream to `host` finds room: on a connection that is in use if there is one. `idle`: also on one that is not.
    pub(super) fn with_room(&self, host: HostKey, idle: bool) -> Option<usize> {
        let places = self.by_host.get(&host)?;
        let find = |idle: bool| {
            let fits = |place: &&usize| {
                self.places[**place]
                    .as_ref()
                    .is_some_and(|shared| shared.has_room() && shared.is_idle() == idle)
            };
            places.iter().find(fits).copied()
        };
        find(false).or_else(|| if idle { find(true) } else { None })
    }

    /// Forgets the shared connection at `place`.
    pub(super) fn forget(&mut self, place: usize) -> Option<Shared<C>> {
        let shared = self.places.get_mut(place)?.take()?;
        self.vacant.push(place);
        if let Some(places) = self.by_host.get_mut(&shared.host) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_host.remove(&shared.host);
            }
        }
        Some(shared)
    }
}
