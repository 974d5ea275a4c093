//! HTTP around the pages: accepting, bounds, the guard, response fields.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_admin::{Endpoint, Page, Query, endpoint};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::guard;
use super::pages::Pages;
use super::socket::{AdminSocket, Listener};

/// Connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 64;
/// A request's head, and the pause between requests, take at most this long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection lives at most this long, so that a client that does not read its answer is cut.
const CONNECTION_LIFE: Duration = Duration::from_mins(2);
/// A larger head is refused.
const MAX_HEAD: usize = 16 * 1024;
/// Pause after the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stopped`. `guarded`: browsers can reach the socket.
pub(super) async fn serve(
    socket: AdminSocket,
    pages: Arc<Pages>,
    guarded: bool,
    mut stopped: watch::Receiver<bool>,
) {
    let AdminSocket { listener, file: _removed_at_the_end, .. } = socket;
    let Ok(acceptor) = Acceptor::new(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            Some(_) = connections.join_next() => {}
            accepted = acceptor.accept() => match accepted {
                Ok(stream) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(connection(stream, Arc::clone(&pages), guarded));
                }
                Ok(full) => drop(full),
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

enum Acceptor {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Acceptor {
    fn new(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(listener) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Listener::Unix(listener) => Self::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

async fn connection(stream: Box<dyn Duplex>, pages: Arc<Pages>, guarded: bool) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&pages, guarded, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // How it ended concerns nobody: the client knows, and nothing of ours hangs on it.
    let _ = time::timeout(CONNECTION_LIFE, serving).await;
}

fn answer(pages: &Pages, guarded: bool, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let page = match permitted(request, guarded) {
        Ok((endpoint, query)) => pages.page(endpoint, &query),
        Err(page) => page,
    };
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    let mut set = |name, value| fields.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, page.content_type);
    set(header::CACHE_CONTROL, "no-cache, max-age=0");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if page.status == 405 {
        let posts_only = Endpoint::find(request.uri().path()).is_some_and(Endpoint::changes_state);
        set(header::ALLOW, if posts_only { "POST" } else { "GET, HEAD, POST" });
    }
    response
}

/// The endpoint that `request` may have; else the page that says why not.
fn permitted(request: &Request<Incoming>, guarded: bool) -> Result<(Endpoint, Query), Page> {
    let refuse = |(status, text): guard::Refusal| Page::text_with(status, text);
    if guarded {
        guard::check_host(request).map_err(refuse)?;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let endpoint = Endpoint::find(path).ok_or_else(endpoint::unknown_path)?;
    match request.method() {
        method if endpoint.changes_state() && method != Method::POST => {
            Err(endpoint::method_refused(method.as_str(), "POST"))
        }
        // what only reads answers to POST too, as in Envoy
        &Method::GET | &Method::HEAD | &Method::POST => {
            if endpoint.changes_state() {
                guard::check_origin(request.headers()).map_err(refuse)?;
            }
            Ok((endpoint, Query::parse(query)))
        }
        method => Err(endpoint::method_refused(method.as_str(), "GET")),
    }
}
