//! Listens, accepts, speaks TLS, HTTP/1.1 and HTTP/2 for one handler, and stops. Which of the two a connection has is what
//! its first bytes say, with TLS and without. What is answered is the handler's business.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use fuseboard_tls::{ProtocolError, ServerContext, ServerPolicy};
use http::header::{CONNECTION, COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::control::Entered;
use crate::socket::{Fate, Socket};

/// A client that sends no whole head, or ends no handshake, for so long is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A client of HTTP/2 is asked so often whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Most streams of one connection at a time.
const MOST_STREAMS: u32 = 1_000;
/// Longest head that HTTP/2 may bring, in bytes of names and values.
const LONGEST_HEAD: u32 = 64 << 10;
/// In the order in which we like them.
const PROTOCOLS: &[&[u8]] = &[b"h2", fuseboard_tls::HTTP_1_1];
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
    /// TLS cannot be spoken as it was asked for.
    #[error("cannot speak TLS with this certificate and these versions")]
    Tls(#[source] ProtocolError),
}

/// What TLS is spoken with, from what was asked for.
pub(crate) fn acceptor(policy: Option<&Arc<ServerPolicy>>) -> Result<Option<TlsAcceptor>, ServeError> {
    let acceptor = |policy| {
        let context = ServerContext::new(policy, PROTOCOLS).map_err(ServeError::Tls)?;
        Ok(TlsAcceptor::from(Arc::clone(context.config())))
    };
    policy.map(acceptor).transpose()
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
    /// Whether it has TLS.
    pub(crate) is_secure: bool,
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

/// In the extensions of an answer: the stream of HTTP/2 is reset for this reason, and nothing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResetStream(pub(crate) h2::Reason);

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
        tls: Option<&TlsAcceptor>,
        handler: Arc<impl Handler>,
    ) -> Result<SocketAddr, ServeError> {
        let (listener, bound) = bind(address).await?;
        let tls = tls.cloned();
        self.spawn(|stopped| accept(listener, tls, handler, stopped));
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

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Arc<impl Handler>,
    stopped: watch::Receiver<bool>,
) {
    let converse = |stream, peer| converse(stream, peer, tls.clone(), Arc::clone(&handler), stopped.clone());
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
    tls: Option<TlsAcceptor>,
    handler: Arc<impl Handler>,
    stopped: watch::Receiver<bool>,
) {
    let _counted = handler.connected();
    // Without it only latency suffers.
    let _ = stream.set_nodelay(true);
    let fate = Arc::new(Fate::default());
    let socket = Socket::new(stream, Arc::clone(&fate));
    let connection = Connection { peer, is_secure: tls.is_some(), fate, stopped };
    let Some(tls) = tls else { return speak(socket, connection, handler).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(socket)) => shaken,
        () = connection.clone().stopped() => return,
    };
    // Why a handshake fails is told to the client by an alert of TLS, and to nobody else.
    if let Ok(Ok(stream)) = shaken {
        speak(stream, connection, handler).await;
    }
}

/// HTTP of either version, until the end of the connection.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    handler: Arc<impl Handler>,
) {
    let fate = Arc::clone(&connection.fate);
    let stopped = connection.clone().stopped();
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let service = service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        answer(request, connection.clone(), Arc::clone(&handler))
    });
    let builder = builder();
    let mut conversation =
        std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let silence = async {
        tokio::time::sleep(HEAD_TIMEOUT).await;
        if is_asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    // How a conversation ends (reset, garbage, time-out) is the client's affair, and nobody is told.
    tokio::select! {
        _ = conversation.as_mut() => return,
        () = fate.decided() => return,
        () = silence => return,
        () = fate.left() => conversation.as_mut().graceful_shutdown(),
        () = stopped => conversation.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = conversation => {}
        () = fate.decided() => {}
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(false)
        // Names of headers go out as Go spells them.
        .title_case_headers(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LONGEST_HEAD);
    builder
}

/// The handler's answer; an error resets the stream that it would have gone out on.
async fn answer(
    request: Request<Incoming>,
    connection: Connection,
    handler: Arc<impl Handler>,
) -> Result<Response<Body>, h2::Error> {
    let is_stream = request.version() == Version::HTTP_2;
    let mut request = request.map(Body::new);
    if is_stream {
        join_cookies(request.headers_mut());
    }
    let fate = Arc::clone(&connection.fate);
    let response = handler.answer(request, connection).await;
    if let Some(ResetStream(reason)) = response.extensions().get() {
        return Err((*reason).into());
    }
    if is_stream && response.headers().get(CONNECTION).is_some_and(|value| value == "close") {
        fate.leave();
    }
    Ok(response)
}

/// HTTP/2 may bring cookies in pieces; whoever reads them expects them in one (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_in_pieces_become_one() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        headers.append(COOKIE, HeaderValue::from_static("b=2; c=3"));
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }
}
