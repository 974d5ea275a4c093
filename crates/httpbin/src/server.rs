//! Listens, accepts and stops one instance, and does for every request what no endpoint does: counting,
//! the control knobs, CORS headers, the instance's name. Which path does what is in `endpoint`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::ORIGIN;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::control::{Control, Entered};
use crate::endpoint::{self, Instance, Peer};
use crate::reply;

/// Carries the instance's name, so that a caller behind a balancer sees who answered.
const INSTANCE: HeaderName = HeaderName::from_static("x-httpbin-instance");
/// A client that sends no whole head for so long is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long [`Server::stop`] waits for answers under way.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Pause after a failed `accept` (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What to serve and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses to listen on; port 0 chooses a free port (see [`Server::addresses`]).
    pub listen: Vec<SocketAddr>,
    /// Name in `/hostname` and in the answer header `x-httpbin-instance`. `None`: `/hostname` says
    /// `go-httpbin` and there is no such header, as the original has it.
    pub name: Option<String>,
    /// Seed of everything random. `None` takes one from the operating system.
    pub seed: Option<u64>,
    /// Longest request body read and longest body made, in bytes (default 1 MiB).
    pub max_body_bytes: usize,
    /// Longest delay or drip (default 10 s).
    pub max_duration: Duration,
}

impl Options {
    /// The defaults on one address.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen: vec![listen],
            name: None,
            seed: None,
            max_body_bytes: 1 << 20,
            max_duration: Duration::from_secs(10),
        }
    }

    /// Gives the instance a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// Why an instance could not start.
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

/// A running instance. Dropping it stops it at once; [`Server::stop`] lets answers under way finish.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    control: Control,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
}

impl Server {
    /// Where it listens, in the order of [`Options::listen`], with the ports chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The knobs and counts of this instance.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops accepting, closes idle connections, and waits up to a second for answers under way.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for listener in std::mem::take(&mut self.listeners) {
            // An error means that the task was cancelled with its runtime: nothing is left to wait for.
            let _ = listener.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

/// Starts an instance on the runtime this is called from; it is listening when this returns.
pub async fn serve(options: Options) -> Result<Server, ServeError> {
    let name_header = match &options.name {
        None => None,
        Some(name) => Some(HeaderValue::from_str(name).map_err(|_| ServeError::Name { name: name.clone() })?),
    };
    let control = Control::default();
    let instance = Arc::new(Instance::new(&options));
    let front = Arc::new(Front { router: endpoint::router(instance), control: control.clone(), name_header });
    let (stop, stopped) = watch::channel(false);
    let mut server = Server { addresses: Vec::new(), control, stop, listeners: Vec::new() };
    for address in options.listen {
        let refused = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        server.addresses.push(listener.local_addr().map_err(refused)?);
        server.listeners.push(tokio::spawn(accept(listener, Arc::clone(&front), stopped.clone())));
    }
    Ok(server)
}

async fn accept(listener: TcpListener, front: Arc<Front>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, peer, Arc::clone(&front), stopped.clone()));
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
    front: Arc<Front>,
    mut stopped: watch::Receiver<bool>,
) {
    let _counted = front.control.enter_connection();
    // Without it only latency suffers.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request.map(Body::new), peer).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    // How a conversation ends (reset, garbage, time-out) is the client's affair, and nobody is told.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// What stands before the endpoints of one instance.
struct Front {
    router: Router,
    control: Control,
    name_header: Option<HeaderValue>,
}

impl Front {
    async fn answer(&self, mut request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let entered = self.control.enter_request();
        let origin = request.headers().get(ORIGIN).cloned();
        request.extensions_mut().insert(Peer(peer.ip()));
        let delay = self.control.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut response = if self.control.is_failing() {
            reply::typed(StatusCode::SERVICE_UNAVAILABLE, reply::TEXT, Body::empty())
        } else if request.method() == Method::OPTIONS {
            reply::preflight(request.headers())
        } else {
            match tower_service::Service::call(&mut self.router.clone(), request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        reply::allow_origin(origin, response.headers_mut());
        if let Some(name) = &self.name_header {
            response.headers_mut().insert(INSTANCE, name.clone());
        }
        response.map(|body| Body::new(CountedBody { body, entered: Some(entered) }))
    }
}

/// Keeps the request counted until the last byte of its answer was taken. A client that has read the whole
/// answer must never still be counted, else its next request would look like a second one at the same time.
struct CountedBody {
    body: Body,
    entered: Option<Entered>,
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.entered = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
