//! One httpbin instance: what it is told to be, and what is done for every request that no endpoint does: counting, the
//! control knobs, the path in its plain form, CORS headers, the instance's name. Which path does what is in `endpoint`, what
//! calls of gRPC do in `grpc`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use fuseboard_tls::ServerPolicy;
use http::header::ORIGIN;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Frame, SizeHint};

use crate::control::{Control, Door, Entered};
use crate::echo::Bounds;
use crate::endpoint::{self, Instance};
use crate::grpc::{self, Services};
use crate::listener::{self, Connection, Handler, Listeners, ServeError};
use crate::path;
use crate::reply;
use crate::style::Style;

/// Carries the instance's name, so that a caller behind a balancer sees who answered.
const INSTANCE: HeaderName = HeaderName::from_static("x-httpbin-instance");

/// What to serve and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses to listen on; port 0 chooses a free port (see [`Server::addresses`]).
    pub listen: Vec<SocketAddr>,
    /// What TLS is spoken with, at every address of `listen`; none by default.
    pub tls: Option<Arc<ServerPolicy>>,
    /// Address of the control door (`POST /_ctl`); none by default.
    pub control: Option<SocketAddr>,
    /// Name in the answer header `x-httpbin-instance` and, unless `hostname` is given, in `/hostname`.
    /// `None`: no such header, as the original has it.
    pub name: Option<String>,
    /// What `/hostname` says; `None`: the name, else `go-httpbin`.
    pub hostname: Option<String>,
    /// Seed of everything random. `None` takes one from the operating system.
    pub seed: Option<u64>,
    /// Longest request body read and longest body made, in bytes (default 1 MiB).
    pub max_body_bytes: usize,
    /// Longest delay, drip, stream or WebSocket (default 10 s).
    pub max_duration: Duration,
    /// Whose JSON.
    pub style: Style,
    /// In front of every path; empty, or with a slash at the start and none at the end.
    pub prefix: String,
    /// Hosts that `/redirect-to` may lead to; empty: all.
    pub redirect_hosts: Vec<String>,
    /// Request headers that no answer shows: names, in any case, with `*` for any letters.
    pub hidden_headers: Vec<String>,
    /// What `/env` shows.
    pub env: BTreeMap<String, String>,
    /// Whether bodies made from what the caller sent have their HTML escaped where the caller chooses a type that a
    /// browser might run (default true).
    pub escape_html: bool,
}

impl Options {
    /// The defaults on one address.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen: vec![listen],
            tls: None,
            control: None,
            name: None,
            hostname: None,
            seed: None,
            max_body_bytes: 1 << 20,
            max_duration: Duration::from_secs(10),
            style: Style::Go,
            prefix: String::new(),
            redirect_hosts: Vec::new(),
            hidden_headers: Vec::new(),
            env: BTreeMap::new(),
            escape_html: true,
        }
    }

    /// Gives the instance a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// A running instance. Dropping it stops it at once; [`Server::stop`] lets answers under way finish.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    door: Option<SocketAddr>,
    control: Control,
    listeners: Listeners,
}

impl Server {
    /// Where it listens, in the order of [`Options::listen`], with the ports chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where its control door is, if it has one.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.door
    }

    /// The knobs and counts of this instance.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops accepting, closes idle connections, and waits up to a second for answers under way.
    pub async fn stop(self) {
        self.listeners.stop().await;
    }
}

/// Starts an instance on the runtime this is called from; it is listening when this returns.
pub async fn serve(options: Options) -> Result<Server, ServeError> {
    let name_header = match &options.name {
        None => None,
        Some(name) => Some(HeaderValue::from_str(name).map_err(|_| ServeError::Name { name: name.clone() })?),
    };
    let instance = Arc::new(Instance::new(&options));
    let control = Control::default();
    let front = Arc::new(Front {
        router: endpoint::router(Arc::clone(&instance)),
        calls: Services::new(&Bounds::of(&options), options.seed, control.clone()),
        instance,
        control: control.clone(),
        name_header,
        prefix: options.prefix,
    });
    let tls = listener::acceptor(options.tls.as_ref())?;
    let mut server = Server { addresses: Vec::new(), door: None, control, listeners: Listeners::new() };
    for address in options.listen {
        server.addresses.push(server.listeners.add(address, tls.as_ref(), Arc::clone(&front)).await?);
    }
    if let Some(address) = options.control {
        let door = Arc::new(Door::new(server.control()));
        server.door = Some(server.listeners.add(address, None, door).await?);
    }
    Ok(server)
}

/// What stands before the endpoints of one instance.
struct Front {
    router: Router,
    instance: Arc<Instance>,
    calls: Services,
    control: Control,
    name_header: Option<HeaderValue>,
    prefix: String,
}

impl Handler for Front {
    fn connected(&self) -> Option<Entered> {
        Some(self.control.enter_connection())
    }

    async fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> Response<Body> {
        let entered = self.control.enter_request();
        let origin = request.headers().get(ORIGIN).cloned();
        if self.control.knobs().hang {
            self.control.answers().await;
        }
        let knobs = self.control.knobs();
        if !knobs.delay.is_zero() {
            tokio::time::sleep(knobs.delay).await;
        }
        let fails = knobs.fail > 0.0 && self.instance.random().unit() < knobs.fail;
        let is_call = grpc::is_call(&request);
        let mut response = if fails {
            reply::typed(knobs.status, reply::TEXT, Body::empty())
        } else if is_call {
            self.calls.answer(request, &connection).await
        } else if request.method() == Method::OPTIONS {
            reply::preflight(request.headers())
        } else {
            self.route(request, connection).await
        };
        if !is_call {
            reply::allow_origin(origin, response.headers_mut());
        }
        if let Some(name) = &self.name_header {
            response.headers_mut().insert(INSTANCE, name.clone());
        }
        response.map(|body| Body::new(CountedBody { body, entered: Some(entered) }))
    }
}

impl Front {
    async fn route(&self, mut request: Request<Body>, connection: Connection) -> Response<Body> {
        let Some(path) = request.uri().path().strip_prefix(self.prefix.as_str()) else {
            return reply::not_found();
        };
        if let Some(plain) = path::plain(path) {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            let location = format!("{}{plain}{query}", self.prefix);
            return reply::go_there(StatusCode::TEMPORARY_REDIRECT, &location, request.method());
        }
        if !self.prefix.is_empty() {
            match below_prefix(request.uri(), &self.prefix) {
                Some(uri) => *request.uri_mut() = uri,
                None => return reply::not_found(),
            }
        }
        request.extensions_mut().insert(connection);
        match tower_service::Service::call(&mut self.router.clone(), request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn below_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let path = parts.path_and_query?.as_str().strip_prefix(prefix)?.to_owned();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
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
