//! What all threads of one proxy share, and the phases of its life.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuseboard_core::Instant;
use tokio::sync::{Notify, watch};

use crate::access_log::AccessLogHandle;
use crate::clock;
use crate::descriptors;
use crate::events::EventRing;
use crate::live::Registry;
use crate::options::ProxyOptions;
use crate::outlier_log::OutlierLog;
use crate::refusal::RefusalRing;
use crate::stats::{MessageSeries, RequestSeries};

/// Where a proxy is in its life; it only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepts and serves.
    Serving,
    /// Not ready; what waits to be accepted is accepted, what runs is finished, nothing is kept alive.
    Draining,
    /// Everything is closed.
    Ended,
}

/// Shared by workers, acceptor, control thread and the [`crate::Proxy`] handle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ProxyOptions,
    pub(crate) started: Instant,
    pub(crate) registry: Registry,
    /// What happens to clusters, for those who follow it.
    pub(crate) events: Arc<EventRing>,
    pub(crate) refusals: RefusalRing,
    /// Istio's series of requests that found no cluster.
    pub(crate) unrouted: Arc<RequestSeries>,
    /// Istio's counters of messages of calls that found no cluster.
    pub(crate) unrouted_messages: Arc<MessageSeries>,
    /// What was read last is not all in force.
    pub(crate) rules_held_back: AtomicBool,
    pub(crate) access_log: Option<AccessLogHandle>,
    pub(crate) outlier_log: Option<Arc<OutlierLog>>,
    pub(crate) loads: Box<[Arc<WorkerLoad>]>,
    /// All connections of clients.
    pub(crate) clients: Arc<Clients>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Sockets that are accepted from; workers end when there is none and their connections are gone.
    pub(crate) accepting: AtomicUsize,
    /// Told after each applied snapshot and each change of a breaker, so that sweeps are planned anew.
    pub(crate) applied: Notify,
    /// Tells workers of each applied snapshot.
    pub(crate) snapshots: watch::Sender<()>,
    /// Whether clients are asked to close their connections although the proxy goes on.
    pub(crate) farewell: Farewell,
    /// Connections are accepted. Not at once where another process still accepts from the same sockets.
    pub(crate) open: watch::Sender<bool>,
    /// Another process accepts from the same sockets, and goes on with it.
    handed_over: AtomicBool,
    /// When listeners stop; the control thread sees to it.
    listeners_end: Mutex<Option<Instant>>,
}

/// Reasons to ask clients to go (`connection: close` on every answer) without ending.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// The health check fails by request.
    pub(crate) unhealthy: AtomicBool,
    /// Listeners are being drained.
    pub(crate) draining: AtomicBool,
}

impl Farewell {
    /// Whether there is one.
    pub(crate) fn is_said(&self) -> bool {
        self.unhealthy.load(Ordering::Relaxed) || self.draining.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Serving, with nothing to serve yet.
    pub(crate) fn new(
        options: ProxyOptions,
        access_log: Option<AccessLogHandle>,
        outlier_log: Option<Arc<OutlierLog>>,
    ) -> Self {
        let (workers, open) = (options.workers(), options.inherited.is_none());
        let events = Arc::new(EventRing::default());
        let clients = Clients::new(options.max_connections.unwrap_or_else(descriptors::clients));
        Self {
            options,
            clients: Arc::new(clients),
            started: clock::now(),
            registry: Registry::new(workers, outlier_log.clone(), Arc::clone(&events)),
            events,
            refusals: RefusalRing::default(),
            unrouted: Arc::new(RequestSeries::new(workers)),
            unrouted_messages: Arc::new(MessageSeries::new(workers)),
            rules_held_back: AtomicBool::new(false),
            access_log,
            outlier_log,
            loads: (0..workers).map(|_| Arc::new(WorkerLoad::default())).collect(),
            phase: watch::Sender::new(Phase::Serving),
            accepting: AtomicUsize::new(0),
            applied: Notify::new(),
            snapshots: watch::Sender::new(()),
            farewell: Farewell::default(),
            open: watch::Sender::new(open),
            handed_over: AtomicBool::new(false),
            listeners_end: Mutex::default(),
        }
    }

    /// Where the proxy is in its life.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves forward to `phase`; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let moves = *current < phase;
            *current = (*current).max(phase);
            moves
        });
    }

    /// Whether another process goes on with the sockets that this one listens on.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Another process goes on; this one drains.
    pub(crate) fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
        self.enter(Phase::Draining);
    }

    /// Listeners stop; their connections stay.
    pub(crate) fn stop_listeners(&self) {
        for listener in &self.registry.current().listeners {
            listener.stop();
        }
    }

    /// Listeners stop at `end`, unless they are to stop earlier.
    pub(crate) fn stop_listeners_at(&self, end: Instant) {
        let mut planned = self.listeners_end();
        *planned = Some(planned.map_or(end, |earlier| earlier.min(end)));
        drop(planned);
        self.applied.notify_one();
    }

    /// Stops listeners if that is due; says when it will be.
    pub(crate) fn stop_due_listeners(&self, now: Instant) -> Option<Instant> {
        let end = *self.listeners_end();
        if end.is_some_and(|end| end <= now) {
            *self.listeners_end() = None;
            self.stop_listeners();
            return None;
        }
        end
    }

    fn listeners_end(&self) -> MutexGuard<'_, Option<Instant>> {
        self.listeners_end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker with the fewest connections.
    pub(crate) fn least_busy(&self) -> usize {
        let busy = self.loads.iter().enumerate().min_by_key(|(_, load)| load.connections());
        busy.map_or(0, |(index, _)| index)
    }
}

/// How busy a worker is, as the acceptor sees it; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct WorkerLoad(AtomicUsize);

impl WorkerLoad {
    /// Connections given to the worker and not yet closed.
    pub(crate) fn connections(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// A seat for one more connection.
    pub(crate) fn seat(self: &Arc<Self>, client: ClientPermit) -> Seat {
        self.0.fetch_add(1, Ordering::AcqRel);
        Seat { load: Arc::clone(self), _client: client }
    }
}

/// One connection's part of a worker's load, and of all connections; given back by drop.
#[derive(Debug)]
pub(crate) struct Seat {
    load: Arc<WorkerLoad>,
    _client: ClientPermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.load.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many connections of clients there are, over all listeners, and how many there may be: Envoy's overload monitor
/// `global_downstream_max_connections`.
#[derive(Debug)]
pub(crate) struct Clients {
    open: AtomicUsize,
    pub(crate) most: usize,
    /// The last one that was let in was one of the last that could be; a shortage is said once.
    short: AtomicBool,
}

impl Clients {
    const fn new(most: usize) -> Self {
        Self { open: AtomicUsize::new(0), most, short: AtomicBool::new(false) }
    }

    /// A place for one more; `None` at the bound.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<ClientPermit> {
        let before = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < self.most).then_some(open + 1))
            .ok()?;
        // A tenth of the places must have become free before a shortage is a new one.
        if before < self.most - self.most / 10 {
            self.short.store(false, Ordering::Relaxed);
        }
        Some(ClientPermit(Arc::clone(self)))
    }

    /// Whether nobody was told yet of the shortage that is now.
    pub(crate) fn is_newly_short(&self) -> bool {
        !self.short.swap(true, Ordering::Relaxed)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// The place of one client among all; given back by drop.
#[derive(Debug)]
pub(crate) struct ClientPermit(Arc<Clients>);

impl Drop for ClientPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_once_until_a_tenth_is_free_again() {
        let clients = Arc::new(Clients::new(20));
        let mut open: Vec<_> = (0..20).map(|_| clients.admit().unwrap()).collect();
        assert!(clients.admit().is_none());
        assert_eq!([clients.is_newly_short(), clients.is_newly_short()], [true, false]);
        open.pop();
        open.push(clients.admit().unwrap());
        assert!(!clients.is_newly_short(), "the same one");
        open.truncate(17);
        open.push(clients.admit().unwrap());
        assert!(clients.is_newly_short(), "another one");
        drop(open);
        assert_eq!(clients.open(), 0);
    }
}
