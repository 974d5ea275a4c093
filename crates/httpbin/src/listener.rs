//! Listens, accepts, speaks HTTP/1.1 for one handler, and stops. What is answered is the handler's business.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::control::Entered;
use crate::socket::{Fate, Socket};

/// A client that sends no whole head for so long is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long [`Listeners::stop`] waits for answers under way.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Pause after a failed `accept` (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is in use, not of this machine, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The name does not fit into a header.
    #[error("instance name {name:?} cannot stand in a header")]
    Name {
        /// The name asked for.
        name: String,
    },
}

/// What answers the requests of all connections of one or more addresses.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Called for each connection; what it returns lives as long as the connection.
    fn connected(&self) -> Option<Entered> {
        None
    }

    /// The answer to one request.
    fn answer(
        self: Arc<Self>,
        request: Request<Body>,
        connection: Connection,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// The connection that a request came on; stands in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer: SocketAddr,
    fate: Arc<Fate>,
    stopped: watch::Receiver<bool>,
}

impl Connection {
    /// The other end's address; IPv4 behind an IPv6 socket is shown as IPv4.
    pub(crate) fn ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Ends the connection with a TCP reset, now.
    pub(crate) fn reset(&self) {
        self.fate.reset();
    }

    /// Returns when the server stops or is dropped.
    pub(crate) async fn stopped(mut self) {
        // An error means that the server is gone.
        let _ = self.stopped.wait_for(|stopped| *stopped).await;
    }
}

/// Tasks that serve addresses. Dropping ends them at once; [`Listeners::stop`] lets answers under way finish.
#[derive(Debug)]
pub(crate) struct Listeners {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self { stop: watch::Sender::new(false), tasks: Vec::new() }
    }

    /// Listens on `address` when this returns; the address that it became.
    pub(crate) async fn add(
        &mut self,
        address: SocketAddr,
        handler: Arc<impl Handler>,
    ) -> Result<SocketAddr, ServeError> {
        let (listener, bound) = bind(address).await?;
        self.spawn(|stopped| accept(listener, handler, stopped));
        Ok(bound)
    }

    /// Runs a server of another kind until the stop, which it hears of.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        serve: impl FnOnce(watch::Receiver<bool>) -> F,
    ) {
        self.tasks.push(tokio::spawn(serve(self.stop.subscribe())));
    }

    /// Stops accepting, closes idle connections, and waits up to a second for answers under way.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            // An error means that the task was cancelled with its runtime: nothing is left to wait for.
            let _ = task.await;
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A listening socket and its address, with the port chosen where port 0 was asked for.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let refused = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

async fn accept(listener: TcpListener, handler: Arc<impl Handler>, stopped: watch::Receiver<bool>) {
    let converse = |stream, peer| converse(stream, peer, Arc::clone(&handler), stopped.clone());
    accept_each(listener, stopped.clone(), converse).await;
}

/// Gives each connection a task, until the stop; then waits a grace for them to end.
pub(crate) async fn accept_each<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    converse: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, peer));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    // Whoever is still talking after the grace is cut off when the set is dropped.
    let _ = tokio::time::timeout(STOP_GRACE, all_closed).await;
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<impl Handler>,
    stopped: watch::Receiver<bool>,
) {
    let _counted = handler.connected();
    // Without it only latency suffers.
    let _ = stream.set_nodelay(true);
    let fate = Arc::new(Fate::default());
    let connection = Connection { peer, fate: Arc::clone(&fate), stopped: stopped.clone() };
    let service = service_fn(|request: Request<Incoming>| {
        let (handler, connection) = (Arc::clone(&handler), connection.clone());
        async move { Ok::<_, Infallible>(handler.answer(request.map(Body::new), connection).await) }
    });
    let mut conversation = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .half_close(false)
            // Names of headers go out as Go spells them.
            .title_case_headers(true)
            .serve_connection(TokioIo::new(Socket::new(stream, Arc::clone(&fate))), service)
            .with_upgrades()
    );
    // How a conversation ends (reset, garbage, time-out) is the client's affair, and nobody is told.
    tokio::select! {
        _ = conversation.as_mut() => return,
        () = fate.decided() => return,
        () = connection.clone().stopped() => conversation.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = conversation => {}
        () = fate.decided() => {}
    }
}
