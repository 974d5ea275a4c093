//! What an origin has counted: requests in its hands and connections that its clients hold, now and at most.
//!
//! A client that closes one connection and opens another has never held two, though the server may hear of the second
//! first. So before a new connection is counted, those that have a FIN or RST waiting are taken off. Where that is still
//! more than allowed, the kernel is asked which descriptors are really held.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;

use crate::descriptor;

/// What was counted up to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests read and not yet answered.
    pub requests: u32,
    /// The most at one time since the last [`crate::Origin::forget_peaks`].
    pub peak_requests: u32,
    /// Connections that clients hold open.
    pub connections: u32,
    /// The most at one time since the last [`crate::Origin::forget_peaks`].
    pub peak_connections: u32,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Requests answered since the start.
    pub answered: u64,
    /// Requests that were not answered, because their client went away or the origin did wrong, since the start.
    pub abandoned: u64,
}

/// One time that a request was in the hands of an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its `x-envoy-attempt-count`; 0 where it had none.
    pub attempt: u32,
    /// An answer was begun.
    pub answered: bool,
}

/// A connection as the ledger needs it.
pub(crate) struct Connection {
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[derive(Default)]
struct Pages {
    count: Count,
    /// `None`: any number.
    bound: Option<u32>,
    next: u64,
    open: BTreeMap<u64, Connection>,
    /// By connection, the requests on it that are in the origin's hands.
    running: BTreeMap<u64, u32>,
    /// By target, where runs are noted down.
    runs: Option<HashMap<String, Vec<Run>>>,
}

impl Pages {
    /// Forgets connections that their clients have closed.
    fn sweep(&mut self) {
        let gone = descriptor::gone(self.open.values());
        let mut gone = gone.into_iter();
        self.open.retain(|_, _| !gone.next().unwrap_or(false));
    }

    /// Requests whose client holds their connection. One that was abandoned with its connection is still in our hands until we
    /// read so, but nobody's any more.
    fn wanted(&mut self) -> u32 {
        self.sweep();
        self.running.iter().filter(|(connection, _)| self.open.contains_key(connection)).map(|(_, n)| n).sum()
    }
}

/// Shared by the tasks of one origin and its owner.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Pages>);

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn opened(self: &Arc<Self>, connection: Connection) -> OpenConnection {
        let mut pages = self.pages();
        pages.sweep();
        let id = pages.next;
        pages.next += 1;
        pages.open.insert(id, connection);
        if pages.bound.is_some_and(|bound| pages.open.len() > bound as usize) {
            let held = descriptor::Held::at(pages.open.values().map(|open| open.local));
            pages.open.retain(|_, open| held.contains(open.peer, open.local));
        }
        pages.count.accepted += 1;
        pages.count.peak_connections = pages.count.peak_connections.max(size(&pages.open));
        OpenConnection { ledger: Arc::clone(self), id }
    }

    pub(crate) fn begin(self: &Arc<Self>, on: &OpenConnection, target: &str, attempt: u32) -> Request {
        let mut pages = self.pages();
        let noted = pages.runs.as_mut().map(|all| {
            let runs = all.entry(target.to_owned()).or_default();
            runs.push(Run { attempt, answered: false });
            (target.to_owned(), runs.len() - 1)
        });
        *pages.running.entry(on.id).or_default() += 1;
        pages.count.requests += 1;
        if pages.count.requests > pages.count.peak_requests {
            pages.count.peak_requests = pages.wanted().max(pages.count.peak_requests);
        }
        Request { ledger: Arc::clone(self), connection: on.id, answered: false, noted }
    }

    /// From now on every run is noted down, until it is taken.
    pub(crate) fn note_runs(&self) {
        self.pages().runs.get_or_insert_default();
    }

    pub(crate) fn take_runs(&self, target: &str) -> Vec<Run> {
        self.pages().runs.as_mut().and_then(|all| all.remove(target)).unwrap_or_default()
    }

    pub(crate) fn take_all_runs(&self) -> HashMap<String, Vec<Run>> {
        self.pages().runs.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn count(&self) -> Count {
        let mut pages = self.pages();
        pages.sweep();
        Count { connections: size(&pages.open), ..pages.count }
    }

    pub(crate) fn forget_peaks(&self, bound: Option<u32>) {
        let mut pages = self.pages();
        pages.sweep();
        pages.bound = bound;
        pages.count.peak_connections = size(&pages.open);
        pages.count.peak_requests = pages.wanted();
    }
}

fn size(open: &BTreeMap<u64, Connection>) -> u32 {
    u32::try_from(open.len()).unwrap_or(u32::MAX)
}

/// A connection that the origin still serves.
pub(crate) struct OpenConnection {
    ledger: Arc<Ledger>,
    id: u64,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.ledger.pages().open.remove(&self.id);
    }
}

/// A request in the origin's hands. It ends before the first byte of the answer: with that byte the client may send the next.
pub(crate) struct Request {
    ledger: Arc<Ledger>,
    connection: u64,
    answered: bool,
    /// Its target and its place there, where runs are noted down.
    noted: Option<(String, usize)>,
}

impl Request {
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut pages = self.ledger.pages();
        if let (true, Some((target, place))) = (self.answered, &self.noted) {
            let runs = pages.runs.as_mut().and_then(|all| all.get_mut(target));
            if let Some(run) = runs.and_then(|runs| runs.get_mut(*place)) {
                run.answered = true;
            }
        }
        if let Some(running) = pages.running.get_mut(&self.connection) {
            *running -= 1;
            if *running == 0 {
                pages.running.remove(&self.connection);
            }
        }
        let count = &mut pages.count;
        count.requests -= 1;
        if self.answered {
            count.answered += 1;
        } else {
            count.abandoned += 1;
        }
    }
}
