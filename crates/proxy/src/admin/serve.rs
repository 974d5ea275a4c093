//! HTTP around the pages: accepting, bounds, the guard, response fields.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fuseboard_admin::logging::logger;
use fuseboard_admin::{Endpoint, Page, Query, endpoint, events, home};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;
use tracing::{debug, info, warn};

use super::pages::Pages;
use super::socket::{AdminSocket, Listener};
use super::stream::{EventBody, Life};
use super::{Face, guard};

/// Connections at a time; a further one takes the place of the one that has said nothing for longest.
const MAX_CONNECTIONS: usize = 64;
/// The same where anybody may come: each may hold a page of many megabytes.
const MAX_OPEN_CONNECTIONS: usize = 8;
/// A request's head, and the pause between requests, take at most this long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection lives at most this long, so that a client that does not read its answer is cut; a stream as long as it is read.
const CONNECTION_LIFE: Duration = Duration::from_mins(2);
/// The same where anybody may come.
const OPEN_CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// A larger head is refused.
const MAX_HEAD: usize = 16 * 1024;
/// A larger form is refused.
const MAX_FORM: usize = 16 * 1024;
/// What anybody else asks of the address for Prometheus.
const ONLY_METRICS: &str =
    "only /stats/prometheus and /ready are served here; the rest is on the admin address\n";
/// Pause after the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stopped`.
pub(super) async fn serve(
    socket: AdminSocket,
    pages: Arc<Pages>,
    face: Face,
    mut stopped: watch::Receiver<bool>,
) {
    let AdminSocket { listener, file: _removed_at_the_end, .. } = socket;
    let Ok(acceptor) = Acceptor::new(listener) else { return };
    let mut connections = JoinSet::new();
    let mut places = Places::default();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            Some(_) = connections.join_next() => {}
            accepted = acceptor.accept() => match accepted {
                Ok(stream) => {
                    let heard = places.make_room(face.connections());
                    let serving = connection(stream, Arc::clone(&pages), face, heard.clone());
                    places.taken.push(Place { task: connections.spawn(serving), heard });
                }
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

impl Face {
    const fn connections(self) -> usize {
        match self {
            Self::Whole | Self::Guarded => MAX_CONNECTIONS,
            Self::Metrics => MAX_OPEN_CONNECTIONS,
        }
    }

    const fn connection_life(self) -> Duration {
        match self {
            Self::Whole | Self::Guarded => CONNECTION_LIFE,
            Self::Metrics => OPEN_CONNECTION_LIFE,
        }
    }
}

/// When a connection last said something: the number of that word among those of all connections.
#[derive(Clone, Default)]
pub(super) struct Heard {
    last: Arc<AtomicU64>,
    words: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn now(&self) {
        self.last.store(self.words.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One connection of those that are open.
struct Place {
    task: AbortHandle,
    heard: Heard,
}

/// The open connections. Whoever says nothing keeps its place only until others want it.
#[derive(Default)]
struct Places {
    taken: Vec<Place>,
    words: Arc<AtomicU64>,
}

impl Places {
    /// Makes room for one more, which is heard of by coming.
    fn make_room(&mut self, most: usize) -> Heard {
        self.taken.retain(|place| !place.task.is_finished());
        if self.taken.len() >= most {
            let silent = self.taken.iter().enumerate();
            let silent = silent.min_by_key(|(_, place)| place.heard.last.load(Ordering::Relaxed));
            if let Some((index, _)) = silent {
                self.taken.swap_remove(index).task.abort();
            }
        }
        let heard = Heard { last: Arc::default(), words: Arc::clone(&self.words) };
        heard.now();
        heard
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

async fn connection(stream: Box<dyn Duplex>, pages: Arc<Pages>, face: Face, heard: Heard) {
    let life = Life::new(face.connection_life());
    let extended = life.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        heard.now();
        let (pages, heard, life) = (Arc::clone(&pages), heard.clone(), extended.clone());
        async move { Ok::<_, Infallible>(answer(&pages, face, request, (heard, life)).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // How it ended concerns nobody: the client knows, and nothing of ours hangs on it.
    tokio::select! {
        _ = serving => {}
        () = life.over() => {}
    }
}

/// A page, or a stream.
type Answer = Response<Either<Full<Bytes>, EventBody>>;

async fn answer(pages: &Pages, face: Face, request: Request<Incoming>, connection: (Heard, Life)) -> Answer {
    let posts_only = Endpoint::find(request.uri().path()).is_some_and(Endpoint::changes_state);
    let page = match permitted(&request, face) {
        Ok(Endpoint::Events) => {
            let query = Query::parse(request.uri().query().unwrap_or_default());
            match pages.events(&query, request.headers(), connection) {
                Ok(stream) => return streamed(stream),
                Err(page) => page,
            }
        }
        Ok(endpoint) => match parameters(request).await {
            Ok(query) => pages.page(endpoint, &query),
            Err(page) => page,
        },
        Err(page) => page,
    };
    let html = page.is_html();
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(page.body))));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    let mut set = |name, value| fields.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, page.content_type);
    set(header::CACHE_CONTROL, "no-cache, max-age=0");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if html {
        set(header::CONTENT_SECURITY_POLICY, home::CONTENT_SECURITY_POLICY);
    }
    if page.status == 405 {
        set(header::ALLOW, if posts_only { "POST" } else { "GET, HEAD, POST" });
    }
    response
}

fn streamed(stream: EventBody) -> Answer {
    let mut response = Response::new(Either::Right(stream));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(events::CONTENT_TYPE));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The endpoint that `request` may have; else the page that says why not.
fn permitted(request: &Request<Incoming>, face: Face) -> Result<Endpoint, Page> {
    let refuse = |(status, text): guard::Refusal| {
        warn!(target: logger::ADMIN, "{} {} refused: {}", request.method(), request.uri(), text.trim_end());
        Page::text_with(status, text)
    };
    let endpoint = Endpoint::find(request.uri().path());
    match face {
        Face::Whole => {}
        Face::Guarded => guard::check_host(request).map_err(refuse)?,
        Face::Metrics if matches!(endpoint, Some(Endpoint::StatsPrometheus | Endpoint::Ready)) => {}
        Face::Metrics => return Err(Page::text_with(404, ONLY_METRICS)),
    }
    let endpoint = endpoint.ok_or_else(endpoint::unknown_path)?;
    match request.method() {
        method if endpoint.changes_state() && method != Method::POST => {
            Err(endpoint::method_refused(method.as_str(), "POST"))
        }
        // what only reads answers to POST too, as in Envoy
        &Method::GET | &Method::HEAD | &Method::POST => {
            if endpoint.changes_state() {
                guard::check_origin(request.headers()).map_err(refuse)?;
                info!(target: logger::ADMIN, "{} {}", request.method(), request.uri());
            } else {
                debug!(target: logger::ADMIN, "{} {}", request.method(), request.uri());
            }
            Ok(endpoint)
        }
        method => Err(endpoint::method_refused(method.as_str(), "GET")),
    }
}

/// What follows the `?`, and the fields of a form that was sent with POST.
async fn parameters(request: Request<Incoming>) -> Result<Query, Page> {
    let mut text = request.uri().query().unwrap_or_default().to_owned();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if request.method() == Method::POST && is_form {
        let body = Limited::new(request.into_body(), MAX_FORM).collect().await;
        let body = body.map_err(|_| Page::text_with(400, "the form could not be read, or is too large\n"))?;
        text.push('&');
        text.push_str(&String::from_utf8_lossy(&body.to_bytes()));
    }
    Ok(Query::parse(&text))
}
