//! One worker: a thread with one event loop, and what its connections share without locks: the view of the running snapshot,
//! deadlines, buffers, random numbers, the date. What is done with a connection is `arrival`'s.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuseboard_core::balance::Balancer;
use fuseboard_core::breaker::Transitions;
use fuseboard_core::limit::WorkerId;
use fuseboard_core::{Instant, Rng};
use fuseboard_http1::write::{DATE_LENGTH, http_date};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::acceptor::{Accepted, Acceptor, Listening, accept_loop};
use crate::access_log::Entry;
use crate::arrival;
use crate::breaker::{self, LiveBreaker, WorkerBreaker, WorkerEndpoints};
use crate::buffer::BufferPool;
use crate::clock;
use crate::deadline::Deadlines;
use crate::downstream::{Rooms, StreamTasks};
use crate::error::StartError;
use crate::live::{ClusterView, LiveSnapshot};
use crate::shared::{Phase, Shared};
use crate::stream::PipePool;
use crate::upstream::reaper;

/// How often a draining worker looks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// What other threads tell a worker.
#[derive(Debug)]
pub(crate) enum ToWorker {
    /// Serve this connection.
    Connection(Accepted),
    /// Accept from this socket.
    Listen(Listening),
}

/// A cluster as one worker sees it: with its own place in the rotation.
#[derive(Debug)]
pub(crate) struct WorkerCluster {
    pub(crate) view: Arc<ClusterView>,
    pub(crate) balancer: RefCell<Balancer>,
    pub(crate) breaker: Option<Rc<WorkerBreaker>>,
    /// The breakers of its endpoints, where each has one.
    pub(crate) endpoints: Option<Box<WorkerEndpoints>>,
}

impl WorkerCluster {
    /// The breaker of the host at `index`, where endpoints have their own.
    pub(crate) fn endpoint_breaker(&self, index: usize) -> Option<&Rc<WorkerBreaker>> {
        self.endpoints.as_ref()?.get(&self.view.host_breakers, index)
    }

    /// The worker's ways into all its breakers that it has used.
    pub(crate) fn breakers(&self) -> impl Iterator<Item = &Rc<WorkerBreaker>> {
        self.breaker.iter().chain(self.endpoints.iter().flat_map(|endpoints| endpoints.made()))
    }
}

/// What runs, as one worker sees it. A cluster that the worker never used is not made, as most workers of most proxies use few;
/// but one with a breaker is, so that the sweep finds it.
#[derive(Debug)]
pub(crate) struct WorkerView {
    pub(crate) live: Arc<LiveSnapshot>,
    /// In the order of the snapshot.
    clusters: Vec<OnceCell<Rc<WorkerCluster>>>,
}

impl WorkerCluster {
    /// The cluster, which takes over what the worker had of it before.
    fn new(view: &Arc<ClusterView>, old: Option<&Self>) -> Rc<Self> {
        let balancer = RefCell::new(Balancer::new(view.config.lb, Arc::clone(&view.host_set)));
        let before = old.and_then(|old| old.breaker.as_ref());
        let breaker = view.breaker.as_ref().map(|live| WorkerBreaker::of(live, before));
        let endpoints =
            WorkerEndpoints::of(&view.host_breakers, old.and_then(|old| old.endpoints.as_deref()));
        Rc::new(Self { view: Arc::clone(view), balancer, breaker, endpoints })
    }
}

impl WorkerView {
    /// The cluster at this place of the snapshot.
    pub(crate) fn at(&self, index: usize) -> Option<&Rc<WorkerCluster>> {
        let view = self.live.clusters.get(index)?;
        Some(self.clusters.get(index)?.get_or_init(|| WorkerCluster::new(view, None)))
    }

    /// Those clusters that have a breaker, or one for each endpoint.
    pub(crate) fn breakers(&self) -> impl Iterator<Item = &Rc<WorkerCluster>> {
        self.clusters.iter().filter_map(OnceCell::get).filter(|cluster| cluster.view.has_breakers())
    }

    /// The cluster of this name, if it still runs.
    pub(crate) fn cluster(&self, name: &str) -> Option<&Rc<WorkerCluster>> {
        self.at(self.live.position(name)?)
    }

    /// Keeps the rotations of clusters that did not change.
    fn next(&self, live: Arc<LiveSnapshot>) -> Self {
        let cluster = |view: &Arc<ClusterView>| {
            let old = self.live.position(&view.live.name).and_then(|index| self.clusters[index].get());
            match old {
                Some(old) if Arc::ptr_eq(&old.view, view) => OnceCell::from(Rc::clone(old)),
                None if !view.has_breakers() => OnceCell::new(),
                old => OnceCell::from(WorkerCluster::new(view, old.map(Rc::as_ref))),
            }
        };
        let clusters = live.clusters.iter().map(cluster).collect();
        Self { live, clusters }
    }
}

/// What the connections of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: BufferPool,
    pub(crate) pipes: Rc<PipePool>,
    pub(crate) rooms: Rooms,
    pub(crate) stream_tasks: StreamTasks,
    pub(crate) rng: RefCell<Rng>,
    view: RefCell<Rc<WorkerView>>,
    draining: Cell<bool>,
    /// Where lines of the access log are made.
    log_line: RefCell<String>,
    date: Cell<(u64, [u8; DATE_LENGTH])>,
}

impl Worker {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        let seed = shared.options.seed;
        let empty = WorkerView { live: Arc::new(LiveSnapshot::empty()), clusters: Vec::new() };
        let view = empty.next(shared.registry.current());
        Self {
            id: WorkerId(u16::try_from(index).unwrap_or(u16::MAX)),
            index,
            deadlines: Rc::default(),
            buffers: BufferPool::default(),
            pipes: Rc::default(),
            rooms: Rooms::default(),
            stream_tasks: StreamTasks::default(),
            rng: RefCell::new(Rng::new(seed ^ (index as u64 + 1).wrapping_mul(0xA076_1D64_78BD_642F))),
            view: RefCell::new(Rc::new(view)),
            draining: Cell::new(false),
            log_line: RefCell::default(),
            date: Cell::new((u64::MAX, [0; DATE_LENGTH])),
            shared,
        }
    }

    /// What runs now. Costs one look at a number unless a snapshot was applied.
    pub(crate) fn view(&self) -> Rc<WorkerView> {
        let mut view = self.view.borrow_mut();
        if !self.shared.registry.is_current(&view.live) {
            *view = Rc::new(view.next(self.shared.registry.current()));
        }
        Rc::clone(&view)
    }

    /// Hands an entry to the access log, if there is one.
    pub(crate) fn log<'e>(&self, entry: impl FnOnce() -> Entry<'e>) {
        if let Some(log) = &self.shared.access_log {
            log.log(&entry(), &mut self.log_line.borrow_mut());
        }
    }

    /// The generation of what runs now.
    pub(crate) fn generation(&self) -> u64 {
        self.shared.registry.generation()
    }

    /// Whether `view` is still what runs.
    pub(crate) fn is_current(&self, view: &WorkerView) -> bool {
        self.shared.registry.is_current(&view.live)
    }

    /// The cluster as the running snapshot has it; as it was, if it does not run any more.
    pub(crate) fn current_view(&self, cluster: &Arc<ClusterView>) -> Arc<ClusterView> {
        let view = self.view();
        let current = view.live.cluster(&cluster.live.name);
        Arc::clone(current.filter(|current| Arc::ptr_eq(&current.live, &cluster.live)).unwrap_or(cluster))
    }

    /// Counts, logs and remembers what a breaker of a cluster did, if anything, and lets it take effect.
    #[inline]
    pub(crate) fn note_transitions(
        &self,
        cluster: &WorkerCluster,
        breaker: &LiveBreaker,
        transitions: &Transitions,
    ) {
        if !transitions.is_empty() {
            self.note_each(cluster, breaker, transitions);
        }
    }

    #[cold]
    fn note_each(&self, cluster: &WorkerCluster, breaker: &LiveBreaker, transitions: &Transitions) {
        let live = &cluster.view.live;
        live.on_transitions(breaker, transitions, live.stats.shard(self.index));
        // Judged by the hosts of now: the call may have begun under an older snapshot.
        if breaker.host().is_some() && self.current_view(&cluster.view).is_deserted(clock::now()) {
            live.dismiss_waiters();
        }
        // What runs out next has changed.
        self.shared.applied.notify_one();
    }

    /// Whether connections are to be closed after what they do now.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether clients are asked to close their connections.
    pub(crate) fn says_farewell(&self) -> bool {
        self.draining.get() || self.shared.farewell.is_said()
    }

    /// The time as an HTTP date, formatted once a second.
    pub(crate) fn date(&self, now: Instant) -> [u8; DATE_LENGTH] {
        let seconds = clock::unix_seconds(now);
        let (formatted, text) = self.date.get();
        if formatted == seconds {
            return text;
        }
        let text = http_date(seconds);
        self.date.set((seconds, text));
        text
    }

    /// From now on connections are closed after what they do; those that wait for a request hear of it.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.deadlines.wake_all();
    }
}

/// Starts worker `index`. Its thread ends when the proxy has drained.
pub(crate) fn spawn(
    index: usize,
    shared: &Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<ToWorker>,
) -> Result<std::thread::JoinHandle<()>, StartError> {
    let failed = |source| StartError::Thread { what: format!("worker {index}"), source };
    let shared = Arc::clone(shared);
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            // The runtime stays on its thread, so it is made there; a failure goes back to the starter.
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let (runtime, outcome) = match runtime {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            drop(ready.send(outcome));
            if let Some(runtime) = runtime {
                runtime.block_on(run(Rc::new(Worker::new(index, shared)), inbox));
            }
        })
        .map_err(failed)?;
    started.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread ended"))).map_err(failed)?;
    Ok(thread)
}

async fn run(worker: Rc<Worker>, mut inbox: mpsc::UnboundedReceiver<ToWorker>) {
    tokio::task::spawn_local(Rc::clone(&worker.deadlines).run());
    tokio::task::spawn_local(reaper::run(Rc::clone(&worker)));
    tokio::task::spawn_local(breaker::run(Rc::clone(&worker)));
    let mut phase = worker.shared.phase.subscribe();
    let mut open = true;
    loop {
        tokio::select! {
            message = inbox.recv(), if open => match message {
                Some(message) => take(&worker, message),
                None => open = false,
            },
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => break,
        }
    }
    worker.drain();
    let patience = tokio::time::sleep(worker.shared.options.drain_time);
    tokio::pin!(patience);
    while !is_done(&worker) {
        tokio::select! {
            message = inbox.recv(), if open => match message {
                Some(message) => take(&worker, message),
                None => open = false,
            },
            () = tokio::time::sleep(DRAIN_POLL) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => break,
            () = &mut patience => break,
        }
    }
}

/// Nothing more can come, and everything that came is closed.
fn is_done(worker: &Worker) -> bool {
    worker.shared.accepting.load(Ordering::Acquire) == 0
        && worker.shared.loads[worker.index].connections() == 0
}

fn take(worker: &Rc<Worker>, message: ToWorker) {
    match message {
        ToWorker::Connection(accepted) => arrival::serve(worker, accepted),
        ToWorker::Listen(listening) => {
            let serving = Rc::clone(worker);
            let deliver = move |accepted, _| arrival::serve(&serving, accepted);
            tokio::task::spawn_local(accept_loop(listening, Acceptor::Worker(worker.index), deliver));
        }
    }
}
