//! Starting, changing and ending a proxy: snapshots in, threads out. The handle is the only thing callers hold.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use fuseboard_admin::AdminAddress;
use fuseboard_admin::logging::logger;
use fuseboard_admin::status::RefusalRecord;
use fuseboard_snapshot::{Listener, Snapshot};
use tokio::sync::mpsc;
use tracing::debug;

use crate::acceptor::{self, Listening};
use crate::access_log;
use crate::admin::{AdminServer, AdminSocket, BindError};
use crate::clock;
use crate::control;
use crate::descriptors;
use crate::error::{ApplyError, ListenError, StartError};
use crate::inherited::{Handed, Inherited, Place};
use crate::listener::{self, LiveListener};
use crate::live::LiveSnapshot;
use crate::log_writer::{self, Writer};
use crate::options::ProxyOptions;
use crate::outlier_log::OutlierLog;
use crate::shared::{Phase, Shared};
use crate::worker::{self, ToWorker};

/// A running proxy. Dropping it ends it at once; [`Proxy::drain`] and [`Proxy::join`] end it gently.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    state: Mutex<State>,
    workers: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    log_writers: Vec<Writer>,
    admin: Option<AdminServer>,
    metrics: Option<AdminServer>,
}

/// Threads share the handle.
const _: fn() = || {
    const fn shared<T: Send + Sync>() {}
    shared::<Proxy>();
};

/// What changes with snapshots; who holds the lock is the only one to apply.
#[derive(Debug)]
struct State {
    accept: Accept,
    next_listener: u64,
    inherited: Arc<Inherited>,
}

/// Where listening sockets are accepted from.
#[derive(Debug)]
enum Accept {
    /// On one thread, for all workers.
    Thread(mpsc::UnboundedSender<Listening>),
    /// On each worker, for itself.
    Workers(Vec<mpsc::UnboundedSender<ToWorker>>),
}

/// A listener with the address that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// The snapshot's name.
    pub name: Arc<str>,
    /// With the port that the system chose, where 0 was asked for.
    pub address: SocketAddr,
    /// It carries bytes, and not HTTP.
    pub tcp: bool,
    /// Whether it is found out what a connection carries.
    pub detects: bool,
    /// Whether its connections have TLS.
    pub tls: bool,
}

/// Binds the listeners of `initial`, starts the threads, and returns when requests are served; with inherited sockets, when
/// they can be.
pub fn start(options: ProxyOptions, initial: Arc<Snapshot>) -> Result<Proxy, StartError> {
    descriptors::raise_limit();
    let workers = options.workers();
    let inherited = options.inherited.clone().unwrap_or_default();
    let admin = options.admin.as_ref().map(|address| bind_admin(address, &inherited)).transpose()?;
    let metrics = options.metrics.map(|address| bind_metrics(address, &inherited)).transpose()?;
    let (access_log, log_writer) = match &options.access_log {
        Some(log) => access_log::start(log).map(|(handle, writer)| (Some(handle), Some(writer)))?,
        None => (None, None),
    };
    let (outlier_log, outlier_writer) = match &options.outlier_log {
        Some(sink) => {
            OutlierLog::start(sink, &options.node_id).map(|(log, writer)| (Some(log), Some(writer)))?
        }
        None => (None, None),
    };
    let on_workers = options.reuse_port || workers == 1;
    let shared = Arc::new(Shared::new(options, access_log, outlier_log));
    let mut others = Vec::new();
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
    let accept = if on_workers {
        Accept::Workers(senders)
    } else {
        let (sender, thread) = acceptor::spawn(&shared, senders)?;
        others.push(thread);
        Accept::Thread(sender)
    };
    let mut proxy = Proxy {
        shared: Arc::clone(&shared),
        state: Mutex::new(State { accept, next_listener: 0, inherited: Arc::clone(&inherited) }),
        workers: Vec::with_capacity(workers),
        others,
        log_writers: log_writer.into_iter().chain(outlier_writer).collect(),
        admin: None,
        metrics: None,
    };
    for (index, inbox) in inboxes.into_iter().enumerate() {
        proxy.workers.push(worker::spawn(index, &shared, inbox)?);
    }
    proxy.put_in_force(initial)?;
    inherited.close_rest();
    proxy.others.push(control::spawn(&shared)?);
    let failed = |what: &str| {
        let what = what.to_owned();
        |source| StartError::Thread { what, source }
    };
    if let Some(socket) = metrics {
        let source = Arc::clone(&shared);
        let server = AdminServer::start_metrics(socket, source).map_err(failed("metrics server"))?;
        proxy.metrics = Some(server);
    }
    if let Some(socket) = admin {
        proxy.admin = Some(AdminServer::start(socket, shared).map_err(failed("admin server"))?);
    }
    Ok(proxy)
}

fn bind_admin(address: &AdminAddress, inherited: &Inherited) -> Result<AdminSocket, StartError> {
    AdminSocket::inherit_or_bind(address, inherited).map_err(|source| {
        let holder = match (&source, address) {
            (BindError::System { source, .. }, AdminAddress::Tcp(address)) => {
                listener::holder_text(source, *address)
            }
            _ => String::new(),
        };
        StartError::Admin { holder, source }
    })
}

fn bind_metrics(address: SocketAddr, inherited: &Inherited) -> Result<AdminSocket, StartError> {
    AdminSocket::inherit_or_bind_open(address, inherited).map_err(|source| {
        let holder = listener::holder_text(&source, address);
        StartError::Metrics { address, holder, source }
    })
}

impl Proxy {
    /// Makes `snapshot` what runs. Listeners are kept by name and address; no connection is dropped, no ejection forgotten.
    /// If a new address can't be bound nothing changes.
    pub fn apply(&self, snapshot: &Arc<Snapshot>) -> Result<(), ApplyError> {
        if self.shared.phase() == Phase::Ended {
            return Err(ApplyError::Ended);
        }
        Ok(self.put_in_force(Arc::clone(snapshot))?)
    }

    /// Notes whether something that was read is not in force because of errors in it, for `server.fuseboard.rules_held_back`.
    pub fn note_rules_held_back(&self, held_back: bool) {
        self.shared.rules_held_back.store(held_back, Ordering::Relaxed);
    }

    fn put_in_force(&self, snapshot: Arc<Snapshot>) -> Result<(), ListenError> {
        let mut state = self.state();
        let before = self.shared.registry.current();
        let mut bound = Vec::new();
        let mut listeners = Vec::with_capacity(snapshot.listeners.len());
        for wanted in &snapshot.listeners {
            let running = before.listeners.iter().find(|running| running.is(wanted));
            let live = match running {
                Some(running) => Arc::clone(running),
                None => state.bind(wanted, &self.shared, &mut bound)?,
            };
            listeners.push(live);
        }
        let securities =
            listeners.iter().zip(&snapshot.listeners).map(|(live, wanted)| live.security(wanted));
        let securities = securities.collect::<Result<Vec<_>, _>>()?;
        // From here on nothing can fail.
        for ((live, wanted), security) in listeners.iter().zip(&snapshot.listeners).zip(securities) {
            live.secure(security);
            live.configure(wanted);
        }
        let gone = before.listeners.iter().filter(|old| !listeners.iter().any(|kept| Arc::ptr_eq(kept, old)));
        let gone: Vec<_> = gone.cloned().collect();
        self.shared.registry.apply(snapshot, listeners, clock::now());
        for (worker, listening) in bound {
            state.accept_from(worker, listening);
        }
        for listener in gone {
            listener.stop();
        }
        self.shared.applied.notify_one();
        self.shared.snapshots.send_replace(());
        Ok(())
    }

    /// The listeners that run, in the snapshot's order.
    pub fn listeners(&self) -> Vec<BoundListener> {
        let live = self.shared.registry.current();
        let bound = |listener: &Arc<LiveListener>| BoundListener {
            name: Arc::clone(&listener.name),
            address: listener.address,
            tcp: listener.carries_bytes(),
            detects: listener.detects(),
            tls: listener.tls().is_some(),
        };
        live.listeners.iter().map(bound).collect()
    }

    /// Where the admin server listens, with the port that the system chose.
    pub fn admin_address(&self) -> Option<&AdminAddress> {
        self.admin.as_ref().map(AdminServer::address)
    }

    /// Where Prometheus asks besides, with the port that the system chose.
    pub fn metrics_address(&self) -> Option<&AdminAddress> {
        self.metrics.as_ref().map(AdminServer::address)
    }

    /// What runs, with its live state.
    pub fn live(&self) -> Arc<LiveSnapshot> {
        self.shared.registry.current()
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.shared.phase()
    }

    /// Refusals since a moment, oldest first; the ring keeps the last few thousand.
    pub fn refusals(&self, since: SystemTime) -> Vec<RefusalRecord> {
        self.shared.refusals.since(since)
    }

    /// Access log lines that were dropped because the log was too slow.
    pub fn dropped_log_lines(&self) -> u64 {
        self.shared.access_log.as_ref().map_or(0, access_log::AccessLogHandle::dropped)
    }

    /// Begins to accept from inherited sockets. Where there are none it has begun already.
    pub fn begin(&self) {
        self.shared.open.send_replace(true);
    }

    /// Duplicates of all sockets that are listened on, for a process that is to go on with them.
    pub fn sockets(&self) -> io::Result<Vec<Handed>> {
        let mut sockets = Vec::new();
        for listener in &self.shared.registry.current().listeners {
            for socket in listener.sockets()? {
                sockets.push(Handed { place: Place::Listener(listener.wanted), socket: socket.into() });
            }
        }
        let options = &self.shared.options;
        if let (Some(server), Some(wanted)) = (&self.admin, &options.admin) {
            sockets.push(Handed { place: Place::Admin(wanted.clone()), socket: server.duplicate()? });
        }
        if let (Some(server), Some(wanted)) = (&self.metrics, options.metrics) {
            sockets.push(Handed { place: Place::Metrics(wanted), socket: server.duplicate()? });
        }
        Ok(sockets)
    }

    /// Another process goes on with [`Proxy::sockets`]: as [`Proxy::drain`], but what waits to be accepted is the other one's, the admin
    /// server ends at once, and connections that clients have just used get the time to be told that they close.
    pub fn hand_over(&self) {
        self.shared.hand_over();
        for server in self.admin.iter().chain(&self.metrics) {
            server.leave();
        }
    }

    /// Begins the end: not ready any more, what waits to be accepted is accepted, answers say `connection: close`, idle connections are
    /// closed, running exchanges finish within the drain time. Returns at once; see [`Proxy::join`].
    pub fn drain(&self) {
        self.shared.enter(Phase::Draining);
    }

    /// Returns when draining has begun, by [`Proxy::drain`] or by the admin server's `/quitquitquit`.
    pub async fn draining(&self) {
        // The sender lives as long as the proxy, so waiting cannot fail.
        let _ = self.shared.phase.subscribe().wait_for(|phase| *phase != Phase::Serving).await;
    }

    /// Waits until the proxy has drained and all its threads have ended; for an access log that takes nothing, two seconds.
    pub fn join(mut self) {
        self.end();
    }

    fn end(&mut self) {
        for worker in self.workers.drain(..) {
            // A worker that panicked has ended; its connections are closed.
            drop(worker.join());
        }
        self.shared.enter(Phase::Ended);
        self.admin = None;
        self.metrics = None;
        for thread in self.others.drain(..) {
            drop(thread.join());
        }
        if let Some(log) = &self.shared.access_log {
            log.finish();
        }
        if let Some(log) = &self.shared.outlier_log {
            log.finish();
        }
        // One patience for all of them.
        let end = std::time::Instant::now() + log_writer::PATIENCE;
        for writer in self.log_writers.drain(..) {
            writer.join(end.saturating_duration_since(std::time::Instant::now()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.enter(Phase::Ended);
        self.end();
    }
}

impl State {
    /// Binds a new listener: once, or once per worker with `SO_REUSEPORT`; or takes what the process before this one left.
    fn bind(
        &mut self,
        wanted: &Listener,
        shared: &Arc<Shared>,
        bound: &mut Vec<(usize, Listening)>,
    ) -> Result<Arc<LiveListener>, ListenError> {
        let sockets = self.sockets(wanted, shared)?;
        let address = sockets[0].local_addr().unwrap_or(wanted.address);
        let workers = shared.loads.len();
        let live = Arc::new(LiveListener::new(self.next_listener, wanted, address, workers));
        self.next_listener += 1;
        debug!(target: logger::CONN_HANDLER, "{} listens on {address}", wanted.name);
        for (index, socket) in sockets.into_iter().enumerate() {
            let listening = Listening::new(socket, Arc::clone(&live), Arc::clone(shared));
            bound.push((index % workers, listening.map_err(|source| listener::unusable(wanted, source))?));
        }
        Ok(live)
    }

    /// What a listener is to listen on: inherited sockets, all of them, as each has a queue of its own; else one, or one for each
    /// worker.
    fn sockets(&self, wanted: &Listener, shared: &Shared) -> Result<Vec<TcpListener>, ListenError> {
        let reuse_port = shared.options.reuse_port;
        let mut sockets = self.inherited.listener(wanted.address);
        if sockets.is_empty() {
            sockets.push(listener::bind(wanted, reuse_port)?);
        }
        if reuse_port {
            let same =
                Listener { address: sockets[0].local_addr().unwrap_or(wanted.address), ..wanted.clone() };
            for _ in sockets.len()..shared.loads.len() {
                sockets.push(listener::bind(&same, true)?);
            }
        }
        Ok(sockets)
    }

    /// A thread that has ended drops the socket, which closes it.
    fn accept_from(&self, worker: usize, listening: Listening) {
        match &self.accept {
            Accept::Thread(sender) => drop(sender.send(listening)),
            Accept::Workers(senders) => drop(senders[worker].send(ToWorker::Listen(listening))),
        }
    }
}
