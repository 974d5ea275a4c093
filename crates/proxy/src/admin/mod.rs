//! The admin server: the pages of the admin crate over HTTP, on a thread of its own, for this machine only.
//!
//! It listens on a loopback address or a unix socket and on nothing else; [`guard`] keeps web pages out. What other machines
//! may ask has a server of its own, with two pages that only read ([`AdminServer::start_metrics`]). Nothing here runs
//! on a worker: a slow or hostile admin client costs the request path nothing. Connections are bounded in number, in the
//! size of a head and in time.

mod guard;
mod pages;
mod serve;
mod socket;
mod stream;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuseboard_admin::AdminAddress;
use fuseboard_admin::logging::LogControl;
use fuseboard_admin::orders::{self, Order};
use fuseboard_admin::status::{HistoryRecord, RefusalRecord, ServerInfo};
use tokio::runtime;
use tokio::sync::watch;

use crate::events::EventRing;
use crate::stats::Observation;

pub use socket::{AdminSocket, BindError};

/// What the admin server asks of the proxy. Called on the admin thread, so it may take short locks.
pub trait AdminSource: Send + Sync + 'static {
    /// The proxy at this moment.
    fn observe(&self) -> Observation;

    /// Its state alone, which probes ask for all the time, however many clusters there are.
    fn server(&self) -> ServerInfo;

    /// Refusals of the last `window`, oldest first, and whether older ones of it were already overwritten.
    fn refusals(&self, window: Duration) -> (Vec<RefusalRecord>, bool);

    /// What happened to clusters lately, by name, oldest first; those that nothing happened to are absent.
    fn histories(&self) -> HashMap<Arc<str>, Vec<HistoryRecord>>;

    /// Carries out what somebody ordered of a breaker (POST `/fuseboard/v1/breakers/…`).
    fn order_breaker(&self, order: &Order) -> orders::Outcome;

    /// What happens to clusters (GET `/fuseboard/v1/events`).
    fn events(&self) -> &Arc<EventRing>;

    /// Answers as if a health check failed, or not any more (POST `/healthcheck/fail` and `/healthcheck/ok`): the server's state is draining,
    /// and clients are asked to close their connections.
    fn fail_health_check(&self, fails: bool);

    /// Stops listening, or asks clients to go first (POST `/drain_listeners`).
    fn drain_listeners(&self, drain: ListenerDrain);

    /// The log of this process, if it has one (POST `/logging`).
    fn log(&self) -> Option<&dyn LogControl>;

    /// Drain, then end (POST `/quitquitquit`).
    fn quit(&self);
}

/// How listeners are drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerDrain {
    /// They stop listening at once; connections stay as they are.
    Now,
    /// Clients are asked to close their connections; after the drain time listeners stop.
    Graceful,
    /// Clients are asked to close their connections; listeners go on.
    AskOnly,
}

/// What a server shows, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    /// Everything, to whoever may open the unix socket.
    Whole,
    /// Everything, but to no web page: browsers can reach the address.
    Guarded,
    /// What only reads and tells nothing of rules and requests, to anybody.
    Metrics,
}

/// A running admin server. Dropped, it ends.
#[derive(Debug)]
pub struct AdminServer {
    address: AdminAddress,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    /// Its socket, for the process that comes after this one; `None` once it is left to that one. Whoever connects would otherwise
    /// wait for ever if the other process ended first.
    socket: Mutex<Option<OwnedFd>>,
    left: Arc<AtomicBool>,
}

impl AdminServer {
    /// Serves all pages of `source` on `socket` until dropped.
    pub fn start(socket: AdminSocket, source: Arc<dyn AdminSource>) -> io::Result<Self> {
        let face = match socket.address() {
            AdminAddress::Tcp(_) => Face::Guarded,
            AdminAddress::Unix(_) => Face::Whole,
        };
        Self::spawn("admin", socket, source, face)
    }

    /// Serves `/stats/prometheus` and `/ready` of `source`, for whoever can reach `socket`, until dropped.
    pub fn start_metrics(socket: AdminSocket, source: Arc<dyn AdminSource>) -> io::Result<Self> {
        Self::spawn("metrics", socket, source, Face::Metrics)
    }

    fn spawn(name: &str, socket: AdminSocket, source: Arc<dyn AdminSource>, face: Face) -> io::Result<Self> {
        let (address, left) = (socket.address().clone(), Arc::clone(&socket.left));
        let duplicate = socket.duplicate()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let pages = Arc::new(pages::Pages::new(source));
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(serve::serve(socket, pages, face, stopped)))?;
        Ok(Self { address, stop, thread: Some(thread), socket: Mutex::new(Some(duplicate)), left })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// The same socket, for another process.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match &*self.socket() {
            Some(socket) => socket.try_clone(),
            None => Err(io::Error::other("the socket was left to another process")),
        }
    }

    /// Ends, and leaves the socket and its file to another process.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.stop.send_replace(true);
        self.socket().take();
    }

    fn socket(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It ends at once: open connections are cut. A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
