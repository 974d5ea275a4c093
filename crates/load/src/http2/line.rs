//! One HTTP/2 connection, and the callers that share it: who connects, when another connection is due, what is counted.
//! What is said over it is the `exchange`'s.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Semaphore;

use crate::connection::{ConnectError, Connection, Route, SocketCounts};
use crate::deadline::Deadline;
use crate::histogram::Histogram;
use crate::http2::words;
use crate::socket::{Address, Socket};

/// What a server may send before we take it, on one stream and on all: enough that a load is never held up by us.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// A way to one destination that callers share; one connection at a time.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    /// One caller connects, and the others wait for it.
    turn: Semaphore,
    keeps_connections: bool,
}

#[derive(Debug)]
struct State {
    live: Option<Live>,
    /// Away while somebody connects.
    connection: Option<Connection>,
    opened: u64,
}

#[derive(Debug)]
struct Live {
    sender: SendRequest<Bytes>,
    number: u64,
    used: bool,
}

/// Leave to make one call.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: SendRequest<Bytes>,
    /// Of the connection.
    number: u64,
    /// Calls were made on it before.
    pub(crate) reused: bool,
}

impl Line {
    pub(crate) fn new(
        route: Route,
        reuse: Option<(u32, u32)>,
        connecting: Histogram,
        keeps_connections: bool,
    ) -> Self {
        let connection = Some(Connection::new(route, reuse, connecting));
        let state = Mutex::new(State { live: None, connection, opened: 0 });
        Self { state, turn: Semaphore::new(1), keeps_connections }
    }

    /// The connection as it is, or a new one; `deadline` bounds connecting, and waiting for whoever does.
    pub(crate) async fn lease(&self, deadline: &mut Deadline) -> Result<Lease, ConnectError> {
        if let Some(lease) = self.leased() {
            return Ok(lease);
        }
        let late = || ConnectError::Waited { error: "i/o timeout".to_owned() };
        // Never closed, so this is the turn.
        let _turn = deadline.bound(self.turn.acquire()).await.ok_or_else(late)?;
        if let Some(lease) = self.leased() {
            return Ok(lease);
        }
        let mut connection = self.with(|state| state.connection.take()).ok_or_else(late)?;
        let begun = begin(&mut connection, deadline).await;
        self.with(|state| {
            state.connection = Some(connection);
            state.opened += 1;
            let number = state.opened;
            state.live = begun.map(|sender| Some(Live { sender, number, used: false }))?;
            Ok(())
        })?;
        self.leased().ok_or_else(late)
    }

    /// Its connection leads nowhere any more.
    pub(crate) fn forget(&self, lease: &Lease) {
        self.with(|state| {
            if state.live.as_ref().is_some_and(|live| live.number == lease.number) {
                state.live = None;
            }
        });
    }

    /// What was counted so far.
    pub(crate) fn sockets(&self) -> Option<SocketCounts> {
        self.with(|state| state.connection.as_ref().map(|connection| connection.sockets.clone()))
    }

    fn leased(&self) -> Option<Lease> {
        self.with(|state| {
            let live = state.live.as_mut()?;
            let reused = std::mem::replace(&mut live.used, true);
            let lease = Lease { sender: live.sender.clone(), number: live.number, reused };
            // What was leased goes on until its calls are over.
            let serves_another = state.connection.as_mut().is_some_and(Connection::serves_another);
            if !(serves_another && self.keeps_connections) {
                state.live = None;
            }
            Some(lease)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // No change stops in the middle, so a poisoned state is whole.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Connects and agrees on HTTP/2; a task of its own then carries the bytes until the last call has ended.
async fn begin(
    connection: &mut Connection,
    deadline: &mut Deadline,
) -> Result<SendRequest<Bytes>, ConnectError> {
    let socket = connection.open(deadline).await?;
    let address = socket.peer().unwrap_or_else(|| Address::Unix("".into()));
    let failed = |error: String| ConnectError::Handshake { address: address.clone(), error };
    if let Socket::Tls(tls) = &socket
        && tls.get_ref().1.alpn_protocol() != Some(b"h2")
    {
        return Err(failed("the server did not agree on HTTP/2 (ALPN h2)".to_owned()));
    }
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(1 << 20);
    let begun = deadline.bound(builder.handshake(socket)).await;
    let begun = begun.ok_or_else(|| failed("i/o timeout".to_owned()))?;
    let (sender, carrier) = begun.map_err(|error| failed(words(&error)))?;
    // What ends it is told to the calls on it.
    tokio::spawn(async { drop(carrier.await) });
    Ok(sender)
}
