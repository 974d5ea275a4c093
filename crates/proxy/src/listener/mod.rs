//! Listening sockets: how they are made, and who holds a port that is taken. Accepting is the acceptor's business.

mod holder;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use fuseboard_snapshot::{Listener, ListenerTarget};
use fuseboard_stats::Sharded;
use fuseboard_tls::ServerContext;
use socket2::{Domain, Protocol, Socket, Type};

use tokio::sync::watch;

use crate::error::ListenError;
use crate::stats::ListenerBlock;

pub use holder::{Holder, holder_of};

/// The kernel's queue of connections not yet accepted; capped by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listener as it runs; its identity is the name and the address asked for.
#[derive(Debug)]
pub(crate) struct LiveListener {
    /// Never used twice in a process.
    pub(crate) id: u64,
    /// The snapshot's name.
    pub(crate) name: Arc<str>,
    /// The address asked for.
    pub(crate) wanted: SocketAddr,
    /// The address bound.
    pub(crate) address: SocketAddr,
    /// Numbers, by worker; the acceptor's thread writes the control block.
    pub(crate) stats: Arc<Sharded<ListenerBlock>>,
    /// Duplicates of what it listens on, to be handed over; `None`: it does not any more.
    sockets: Mutex<Vec<Option<TcpListener>>>,
    tls: ArcSwapOption<ServerContext>,
    connections: AtomicUsize,
    bound: AtomicUsize,
    carries_bytes: AtomicBool,
    accepts_proxy: AtomicBool,
    detects: AtomicBool,
    stop: watch::Sender<bool>,
}

pub(crate) fn unusable(listener: &Listener, source: io::Error) -> ListenError {
    ListenError { name: Arc::clone(&listener.name), address: listener.address, holder: String::new(), source }
}

impl LiveListener {
    pub(crate) fn new(id: u64, listener: &Listener, address: SocketAddr, workers: usize) -> Self {
        let live = Self {
            id,
            name: Arc::clone(&listener.name),
            wanted: listener.address,
            address,
            stats: Arc::new(Sharded::new(workers)),
            sockets: Mutex::default(),
            tls: ArcSwapOption::empty(),
            connections: AtomicUsize::new(0),
            bound: AtomicUsize::new(0),
            carries_bytes: AtomicBool::new(false),
            accepts_proxy: AtomicBool::new(false),
            detects: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        };
        live.configure(listener);
        live
    }

    /// Whether `listener` of a new snapshot is this one.
    pub(crate) fn is(&self, listener: &Listener) -> bool {
        self.name == listener.name && self.wanted == listener.address
    }

    /// One more of its sockets; which one.
    pub(crate) fn listens_on(&self, socket: &TcpListener) -> io::Result<usize> {
        let duplicate = socket.try_clone()?;
        let mut sockets = self.of_sockets();
        sockets.push(Some(duplicate));
        Ok(sockets.len() - 1)
    }

    /// That one is closed.
    pub(crate) fn listens_no_more_on(&self, index: usize) {
        self.of_sockets()[index] = None;
    }

    /// Duplicates of the sockets that it still listens on.
    pub(crate) fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        self.of_sockets().iter().flatten().map(TcpListener::try_clone).collect()
    }

    fn of_sockets(&self) -> MutexGuard<'_, Vec<Option<TcpListener>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the bound on connections, and what further connections carry, in place.
    pub(crate) fn configure(&self, listener: &Listener) {
        self.bound.store(listener.http.max_connections, Ordering::Relaxed);
        self.carries_bytes.store(matches!(listener.target, ListenerTarget::Tcp(_)), Ordering::Relaxed);
        self.accepts_proxy.store(listener.accept_proxy, Ordering::Relaxed);
        self.detects.store(matches!(listener.target, ListenerTarget::Detect(_)), Ordering::Relaxed);
    }

    /// Whether it is to be found out what a connection carries.
    pub(crate) fn detects(&self) -> bool {
        self.detects.load(Ordering::Relaxed)
    }

    /// Whether its connections must begin with a PROXY header.
    pub(crate) fn accepts_proxy(&self) -> bool {
        self.accepts_proxy.load(Ordering::Relaxed)
    }

    /// Whether its connections carry bytes, and not HTTP.
    pub(crate) fn carries_bytes(&self) -> bool {
        self.carries_bytes.load(Ordering::Relaxed)
    }

    /// What connections are begun with from now on; `None`: plain text. Those that are there stay as they are.
    pub(crate) fn secure(&self, context: Option<Arc<ServerContext>>) {
        self.tls.store(context);
    }

    /// What connections are begun with now.
    pub(crate) fn tls(&self) -> Option<Arc<ServerContext>> {
        self.tls.load_full()
    }

    /// What connections are to be begun with under these settings: the same as now while they are, so that sessions can be
    /// taken up again.
    pub(crate) fn security(&self, listener: &Listener) -> Result<Option<Arc<ServerContext>>, ListenError> {
        let Some(policy) = &listener.tls else { return Ok(None) };
        let protocols: &[&[u8]] = match listener.target {
            ListenerTarget::Routes(_) => &[fuseboard_tls::HTTP_2, fuseboard_tls::HTTP_1_1],
            // Whatever clients offer is between them and the host.
            ListenerTarget::Tcp(_) => &[],
            // Nobody makes such a listener; plain text must not come of it.
            ListenerTarget::Detect(_) => {
                let error = io::Error::other("what a connection carries is not found out behind TLS of ours");
                return Err(unusable(listener, error));
            }
        };
        let is_as_wanted =
            |running: &Arc<ServerContext>| running.policy() == policy && running.speaks(protocols);
        if let Some(running) = self.tls().filter(is_as_wanted) {
            return Ok(Some(running));
        }
        let context = ServerContext::new(policy, protocols);
        context
            .map(|context| Some(Arc::new(context)))
            .map_err(|error| unusable(listener, io::Error::other(error)))
    }

    /// Ends its accept loops; its connections finish what they do.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Turns true when the listener is stopped.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// A place for one more connection; `None` at the bound.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<DownstreamPermit> {
        let bound = self.bound.load(Ordering::Relaxed);
        self.connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < bound).then_some(open + 1))
            .ok()
            .map(|_| DownstreamPermit(Arc::clone(self)))
    }

    /// Open connections and their bound.
    pub(crate) fn usage(&self) -> (usize, usize) {
        (self.connections.load(Ordering::Relaxed), self.bound.load(Ordering::Relaxed))
    }
}

/// The place of one downstream connection in its listener; given back by drop.
#[derive(Debug)]
pub(crate) struct DownstreamPermit(Arc<LiveListener>);

impl DownstreamPermit {
    pub(crate) fn listener(&self) -> &LiveListener {
        &self.0
    }
}

impl Drop for DownstreamPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Binds and listens; non-blocking. An IPv6 wildcard address accepts IPv4 as well, as Envoy's `ipv4_compat` does.
pub(crate) fn bind(listener: &Listener, reuse_port: bool) -> Result<TcpListener, ListenError> {
    socket(listener.address, reuse_port).map_err(|source| ListenError {
        name: Arc::clone(&listener.name),
        address: listener.address,
        holder: holder_text(&source, listener.address),
        source,
    })
}

/// `: in use by nginx (pid 17)` for a port that is taken, else empty.
pub(crate) fn holder_text(error: &io::Error, address: SocketAddr) -> String {
    if error.kind() != io::ErrorKind::AddrInUse {
        return String::new();
    }
    holder_of(address).map_or_else(|| ": in use".to_owned(), |holder| format!(": in use by {holder}"))
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
