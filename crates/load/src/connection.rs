//! The sockets of one caller to one destination: opened where the resolver says, kept for as many calls as allowed, and
//! counted as fortio counts them. What is said over them is the `client`'s.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::histogram::Histogram;
use crate::resolver::Resolver;
use crate::security::{Handshake, handshake_words};
use crate::socket::{Address, Plain, Socket};

/// How sockets reach the destination, and what begins on them.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) path: Path,
    /// TLS, if it is spoken.
    pub(crate) handshake: Option<Handshake>,
}

/// How sockets reach the destination.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    /// Over TCP to one of a host's addresses.
    Resolved {
        resolver: Arc<Resolver>,
        /// Stays with the first address.
        once: bool,
    },
    /// Over this Unix domain socket.
    Unix(Address),
}

/// Sockets that one connection used.
#[derive(Debug, Clone)]
pub(crate) struct SocketCounts {
    /// Connects tried.
    pub(crate) used: u64,
    /// How often each address was picked.
    pub(crate) addresses: BTreeMap<SocketAddr, u64>,
    /// How long connecting took, in seconds, failures included.
    pub(crate) connecting: Histogram,
}

impl SocketCounts {
    pub(crate) fn new(connecting: Histogram) -> Self {
        Self { used: 0, addresses: BTreeMap::new(), connecting }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.used += other.used;
        self.connecting.merge(&other.connecting);
        for (address, count) in &other.addresses {
            *self.addresses.entry(*address).or_default() += count;
        }
    }
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The name leads nowhere any more.
    Lookup { host: String, error: io::Error },
    /// Nobody takes the connection.
    Dial { address: Address, secure: bool, error: String },
    /// The two sides come to no terms about TLS or HTTP/2.
    Handshake { address: Address, error: String },
    /// Somebody else was connecting, and did not succeed in time.
    Waited { error: String },
}

impl ConnectError {
    /// What happened, in Go's words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Lookup { host, error } => format!("lookup {host}: {error}"),
            Self::Dial { address, error, .. } => {
                let network = if matches!(address, Address::Unix(_)) { "unix" } else { "tcp" };
                format!("dial {network} {address}: {error}")
            }
            Self::Handshake { error, .. } | Self::Waited { error } => error.clone(),
        }
    }
}

/// For how many calls each socket is used.
#[derive(Debug)]
struct Reuse {
    range: Option<(u32, u32)>,
    /// Calls of the socket in use, and its bound; a bound of 0 is none, as in fortio.
    calls: u32,
    bound: u32,
}

impl Reuse {
    /// `draw` returns a number between its arguments, both included.
    fn opened(&mut self, draw: impl FnOnce(u32, u32) -> u32) {
        self.calls = 0;
        self.bound = self.range.map_or(0, |(least, most)| draw(least, most));
    }

    /// Counts a call; whether the socket may be used for another.
    fn used(&mut self) -> bool {
        self.calls = self.calls.saturating_add(1);
        self.bound == 0 || self.calls < self.bound
    }
}

/// One caller's way to one destination; one socket at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    route: Route,
    chosen: Option<SocketAddr>,
    kept: Option<Socket>,
    reuse: Reuse,
    pub(crate) sockets: SocketCounts,
}

impl Connection {
    pub(crate) fn new(route: Route, reuse: Option<(u32, u32)>, connecting: Histogram) -> Self {
        let reuse = Reuse { range: reuse, calls: 0, bound: 0 };
        Self { route, chosen: None, kept: None, reuse, sockets: SocketCounts::new(connecting) }
    }

    /// The socket of the last call, if it was given back.
    pub(crate) fn take(&mut self) -> Option<Socket> {
        self.kept.take()
    }

    /// Counts a call on a socket that others use too; whether it may be used for another.
    pub(crate) fn serves_another(&mut self) -> bool {
        self.reuse.used()
    }

    /// Keeps the socket for the next call, unless it has served its number of calls.
    pub(crate) fn give_back(&mut self, socket: Socket) {
        if self.reuse.used() {
            self.kept = Some(socket);
        }
    }

    /// A new socket; connecting is bounded by `deadline`.
    pub(crate) async fn open(&mut self, deadline: &mut Deadline) -> Result<Socket, ConnectError> {
        let address = self.address().await?;
        self.sockets.used += 1;
        let started = Instant::now();
        let outcome = deadline.bound(connect(&address, self.route.handshake.as_ref())).await;
        self.sockets.connecting.record(started.elapsed().as_secs_f64());
        match outcome {
            Some(Ok(socket)) => {
                self.reuse.opened(|least, most| fastrand::u32(least..=most));
                Ok(socket)
            }
            Some(Err(error)) => Err(error),
            None => {
                let secure = self.route.handshake.is_some();
                Err(ConnectError::Dial { address, secure, error: "i/o timeout".to_owned() })
            }
        }
    }

    async fn address(&mut self) -> Result<Address, ConnectError> {
        let (resolver, once) = match &self.route.path {
            Path::Unix(address) => return Ok(address.clone()),
            Path::Resolved { resolver, once } => (resolver, *once),
        };
        let address = match self.chosen {
            None => resolver.first(),
            Some(address) if once => return Ok(Address::Tcp(address)),
            Some(_) => resolver.again().await.map_err(|error| {
                let host = resolver.host().to_owned();
                ConnectError::Lookup { host, error }
            })?,
        };
        self.chosen = Some(address);
        *self.sockets.addresses.entry(address).or_default() += 1;
        Ok(Address::Tcp(address))
    }
}

async fn connect(address: &Address, handshake: Option<&Handshake>) -> Result<Socket, ConnectError> {
    let (at, secure) = (|| address.clone(), handshake.is_some());
    let socket = Plain::connect(address).await;
    let socket = socket.map_err(|error| {
        let error = error.to_string();
        ConnectError::Dial { address: at(), secure, error }
    })?;
    let Some(handshake) = handshake else { return Ok(Socket::Plain(socket)) };
    match handshake.on(socket).await {
        Ok(socket) => Ok(Socket::Tls(Box::new(socket))),
        Err(error) => Err(ConnectError::Handshake { address: at(), error: handshake_words(&error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls_per_socket(range: Option<(u32, u32)>, drawn: u32) -> Option<u32> {
        let mut reuse = Reuse { range, calls: 0, bound: 0 };
        reuse.opened(|_, _| drawn);
        (1..=100).find(|_| !reuse.used())
    }

    #[test]
    fn a_socket_serves_as_many_calls_as_were_drawn_for_it() {
        assert_eq!(calls_per_socket(None, 7), None);
        assert_eq!(calls_per_socket(Some((1, 9)), 1), Some(1));
        assert_eq!(calls_per_socket(Some((1, 9)), 7), Some(7));
        assert_eq!(calls_per_socket(Some((0, 0)), 0), None);
    }
}
