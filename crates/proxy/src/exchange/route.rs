//! The step from a request's authority to its cluster, with a memory: as long as the same snapshot runs and the same `Host` comes,
//! a connection looks nothing up.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Availability, HttpSettings, ListenerTarget, Route};

use super::{Ended, Exchange};
use crate::live::{RouteRef, Tier};
use crate::local_reply::Cause;
use crate::worker::{Worker, WorkerCluster, WorkerView};

/// A longer authority, which no DNS name with a port can be, is looked up each time: idle connections must not keep it.
const REMEMBERED: usize = 264;

/// What a connection remembers of its last lookup.
#[derive(Debug)]
pub(crate) struct RouteCache {
    view: Rc<WorkerView>,
    listener: u64,
    /// Position of the listener in the snapshot; `None`: no snapshot has it any more.
    position: Option<usize>,
    authority: Vec<u8>,
    found: Option<RouteRef>,
}

impl RouteCache {
    /// For the connections of the listener with this id.
    pub(crate) fn new(view: Rc<WorkerView>, listener: u64) -> Self {
        let position = view.live.listener(listener);
        Self { view, listener, position, authority: Vec::new(), found: None }
    }

    /// Forgets what an older snapshot said.
    pub(crate) fn refresh(&mut self, worker: &Worker) {
        if worker.is_current(&self.view) {
            return;
        }
        *self = Self::new(worker.view(), self.listener);
    }

    /// The bounds on what this connection's client may do; `None`: the listener is gone.
    pub(crate) fn http_settings(&self) -> Option<&HttpSettings> {
        self.position.map(|position| &self.view.live.snapshot.listeners[position].http)
    }

    fn table(&self) -> Option<usize> {
        match self.view.live.snapshot.listeners[self.position?].target {
            ListenerTarget::Routes(table) => Some(table),
            ListenerTarget::Detect(detect) => Some(detect.routes),
            // The listener carries bytes since a later snapshot: its HTTP connections have no route any more.
            ListenerTarget::Tcp(_) => None,
        }
    }

    fn find(&mut self, authority: &[u8], logs: bool) -> Option<Routed> {
        let table = self.table()?;
        let remembered = self.found.filter(|_| self.authority == authority);
        let route = remembered.or_else(|| self.look_up(table, authority))?;
        let index = self.view.live.tables[table].route(route).cluster;
        Some(Routed {
            view: Rc::clone(&self.view),
            table,
            route,
            logs,
            stands_in: false,
            cluster: Rc::clone(self.view.at(index)?),
        })
    }

    fn look_up(&mut self, table: usize, authority: &[u8]) -> Option<RouteRef> {
        let found = self.view.live.tables[table].find(authority);
        self.found = found.filter(|_| authority.len() <= REMEMBERED);
        self.authority.clear();
        if self.found.is_some() {
            self.authority.extend_from_slice(authority);
        }
        found
    }
}

/// A route and its cluster, of the snapshot that was current when the request came.
pub(super) struct Routed {
    view: Rc<WorkerView>,
    table: usize,
    route: RouteRef,
    logs: bool,
    stands_in: bool,
    pub(super) cluster: Rc<WorkerCluster>,
}

impl Routed {
    pub(super) fn route(&self) -> &Route {
        self.view.live.tables[self.table].route(self.route)
    }

    /// The same request for another cluster of the same snapshot, by its index.
    pub(super) fn to(&self, cluster: usize) -> Option<Self> {
        Some(Self {
            view: Rc::clone(&self.view),
            table: self.table,
            route: self.route,
            logs: self.logs,
            stands_in: true,
            cluster: Rc::clone(self.view.at(cluster)?),
        })
    }

    /// The bound of one try; of a stand-in its step has one of its own.
    pub(super) fn try_timeout(&self) -> Option<Duration> {
        self.route().retry.as_ref().filter(|_| !self.stands_in)?.per_try_timeout
    }

    /// Whether anybody will read what is noted of the route.
    pub(super) fn logs(&self) -> bool {
        self.logs
    }

    /// Limits and idle connections of the route's priority.
    pub(super) fn tier(&self) -> &Tier {
        self.cluster.view.live.tier(self.route().priority)
    }

    /// The cluster as it is now: hosts may have come and gone while the request waited. `Err`: it may not be used any more.
    /// Asked by name, so that a rule that came with a new cluster of this name holds for who still waits for the old one.
    fn current(&self, worker: &Worker) -> Result<Rc<WorkerCluster>, (Rc<WorkerCluster>, RefusalReason)> {
        if worker.is_current(&self.view) {
            return available(&self.cluster);
        }
        let live = &self.cluster.view.live;
        let view = worker.view();
        let Some(named) = view.cluster(&live.name) else { return Ok(Rc::clone(&self.cluster)) };
        let now = available(named)?;
        Ok(if Arc::ptr_eq(&now.view.live, live) { now } else { Rc::clone(&self.cluster) })
    }
}

fn available(cluster: &Rc<WorkerCluster>) -> Result<Rc<WorkerCluster>, (Rc<WorkerCluster>, RefusalReason)> {
    match cluster.view.config.availability {
        Availability::Serving => Ok(Rc::clone(cluster)),
        Availability::Withheld(reason) => Err((Rc::clone(cluster), reason)),
    }
}

impl Exchange<'_> {
    /// Finds the cluster.
    pub(super) fn route(&mut self) -> Result<Routed, Cause> {
        self.down.routes.refresh(&self.worker);
        let logs = self.worker.shared.access_log.is_some();
        let bytes = &self.down.input.filled()[..self.head_length];
        let head = fuseboard_http1::RequestHead::restore(bytes, &self.down.request_headers, self.request);
        let Some(routed) = self.down.routes.find(head.authority().unwrap_or_default(), logs) else {
            self.down.stats().http.no_route.inc();
            return Err(Cause::NoRoute);
        };
        self.account.route(&routed);
        Ok(routed)
    }

    /// The cluster as it is now, or the answer to who may not be sent there. To be asked after every wait: what must not be
    /// sent in plain text must not be sent late either.
    pub(super) fn usable(&mut self, routed: &Routed) -> Result<Rc<WorkerCluster>, Ended> {
        routed.current(&self.worker).map_err(|(cluster, reason)| {
            self.account.cluster(cluster);
            self.note_refusal(reason, None);
            Ended::Failed(Cause::of_refusal(reason))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_connection_remembers_no_more_than_a_name_may_be_long() {
        let (worker, listener) = fixture::worker();
        let mut cache = RouteCache::new(worker.view(), listener.id);
        assert!(cache.find(&[b'a'; REMEMBERED], false).is_some());
        assert_eq!(cache.authority.len(), REMEMBERED);
        assert!(cache.find(&vec![b'a'; 60_000], false).is_some(), "longer ones are served all the same");
        assert!(cache.authority.capacity() < 2 * REMEMBERED, "{} bytes are kept", cache.authority.capacity());
        assert!(cache.find(&vec![b'a'; 60_001], false).is_some(), "and again");
        assert!(cache.find(b"", false).is_some());
    }
}
