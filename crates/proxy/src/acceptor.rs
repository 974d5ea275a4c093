//! Accepting: one loop per listening socket, each connection given to the worker with the fewest (difference D22).
//! With one worker, or with `SO_REUSEPORT`, the loops run on the workers themselves and nothing is handed over.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use fuseboard_admin::logging::logger;
use fuseboard_admin::status::RefusalRecord;
use fuseboard_core::refusal::RefusalReason;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::error::StartError;
use crate::listener::{DownstreamPermit, LiveListener};
use crate::shared::{Phase, Seat, Shared};
use crate::stats::{ListenerBlock, ListenerStats};
use crate::worker::ToWorker;

/// Pause after a failed accept: without descriptors, trying again at once would only burn the processor.
const BACK_OFF: Duration = Duration::from_millis(20);

/// A connection with its places in listener and worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: StdStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: DownstreamPermit,
    pub(crate) seat: Seat,
}

/// A bound socket and the listener it belongs to; one that is accepted from, as long as it lives.
#[derive(Debug)]
pub(crate) struct Listening {
    /// `None` once it is accepted from.
    socket: Option<StdListener>,
    /// Which of its listener's sockets it is.
    index: usize,
    listener: Arc<LiveListener>,
    shared: Arc<Shared>,
}

impl Listening {
    pub(crate) fn new(
        socket: StdListener,
        listener: Arc<LiveListener>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let index = listener.listens_on(&socket)?;
        shared.accepting.fetch_add(1, Ordering::AcqRel);
        Ok(Self { socket: Some(socket), index, listener, shared })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listener.listens_no_more_on(self.index);
        self.shared.accepting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who runs an accept loop: it writes that one's stats, and gives connections to the workers it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acceptor {
    /// The acceptor's own thread.
    Thread,
    /// A worker, for itself.
    Worker(usize),
}

/// The thread that accepts for all workers.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    workers: Vec<mpsc::UnboundedSender<ToWorker>>,
) -> Result<(mpsc::UnboundedSender<Listening>, std::thread::JoinHandle<()>), StartError> {
    let failed = |source| StartError::Thread { what: "acceptor".to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (sender, mut added) = mpsc::unbounded_channel::<Listening>();
    let shared = Arc::clone(shared);
    let accept = async move {
        let mut phase = shared.phase.subscribe();
        loop {
            tokio::select! {
                listening = added.recv() => {
                    let Some(listening) = listening else { break };
                    let workers = workers.clone();
                    tokio::spawn(accept_loop(listening, Acceptor::Thread, move |accepted, worker| {
                        // A worker that has ended drops the connection, which closes it.
                        drop(workers[worker].send(ToWorker::Connection(accepted)));
                    }));
                }
                _ = phase.wait_for(|phase| *phase == Phase::Ended) => break,
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("acceptor".to_owned())
        .spawn(move || runtime.block_on(accept))
        .map_err(failed)?;
    Ok((sender, thread))
}

/// Accepts until the listener is stopped or the proxy drains; then accepts what already waits, and closes the socket. Where
/// another process has the socket too, it begins when it is told to, and leaves what waits to the next one.
pub(crate) async fn accept_loop(mut listening: Listening, by: Acceptor, deliver: impl Fn(Accepted, usize)) {
    // Takes no further descriptor, of which there may be none.
    let Some(Ok(socket)) = listening.socket.take().map(TcpListener::from_std) else { return };
    let (listener, shared) = (&listening.listener, &listening.shared);
    let mut phase = shared.phase.subscribe();
    let mut stopped = listener.stopped();
    let mut open = shared.open.subscribe();
    tokio::select! {
        _ = open.wait_for(|open| *open) => {}
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    // So that a shortage that lasts is said once.
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = phase.wait_for(|phase| *phase >= Phase::Draining) => break,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                failing = false;
                listening.seat(stream, peer, by, &deliver);
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(target: logger::CONN_HANDLER, "{}: a connection could not be accepted: {error}", listener.name);
                }
                listening.count(by, |block| block.own.accept_failed.inc());
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    info!(target: logger::CONN_HANDLER, "{} stops listening on {}", listener.name, listener.address);
    if let Ok(socket) = socket.into_std()
        && !shared.is_handed_over()
    {
        listening.accept_rest(&socket, by, &deliver);
    }
}

/// The client gave up between its connect and our accept.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

impl Listening {
    /// Takes what the kernel has queued, so that nobody who was let in is reset.
    fn accept_rest(&self, socket: &StdListener, by: Acceptor, deliver: &impl Fn(Accepted, usize)) {
        while let Ok((stream, peer)) = socket.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.seat(stream, peer, by, deliver);
            }
        }
    }

    fn seat(&self, stream: StdStream, peer: SocketAddr, by: Acceptor, deliver: &impl Fn(Accepted, usize)) {
        let Some(permit) = self.listener.admit() else {
            self.refuse(by, self.listener.usage(), |listener| listener.downstream_cx_overflow.inc());
            return;
        };
        let Some(client) = self.shared.clients.admit() else {
            let clients = &self.shared.clients;
            if clients.is_newly_short() {
                let most = clients.most;
                warn!(target: logger::CONN_HANDLER, "{}: clients are turned away: all {most} connections that may be open are (--max-connections)", self.listener.name);
            }
            let usage = (clients.open(), clients.most);
            self.refuse(by, usage, |listener| listener.downstream_global_cx_overflow.inc());
            return;
        };
        // Answers are written whole, so waiting for more to send would only delay them. A failure only costs time.
        drop(stream.set_nodelay(true));
        let worker = match by {
            Acceptor::Thread => self.shared.least_busy(),
            Acceptor::Worker(own) => own,
        };
        let seat = self.shared.loads[worker].seat(client);
        deliver(Accepted { stream, peer, permit, seat }, worker);
    }

    /// Above the bound of the listener, or of all of them: the connection is closed, counted and remembered.
    fn refuse(&self, by: Acceptor, (value, bound): (usize, usize), overflow: impl Fn(&ListenerStats)) {
        let reason = RefusalReason::LimitDownstreamConnections;
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.count(by, |block| {
            overflow(&block.listener);
            block.refused.inc(reason);
        });
        self.shared.refusals.push(RefusalRecord {
            at: SystemTime::now(),
            cluster: None,
            listener: Arc::clone(&self.listener.name),
            reason,
            status: 0,
            flag: "-",
            setting: None,
            bound: Some(narrow(bound)),
            value: Some(narrow(value)),
            queue: 0,
            rule: None,
            trip: None,
        });
    }

    fn count(&self, by: Acceptor, count: impl FnOnce(&ListenerBlock)) {
        match by {
            Acceptor::Thread => count(self.listener.stats.control()),
            Acceptor::Worker(worker) => count(self.listener.stats.shard(worker)),
        }
    }
}
