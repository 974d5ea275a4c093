//! gRPC: which method a path names, and what is refused before a method sees it. How messages stand in a body is in
//! `call`, what an end looks like in `status`; what the methods do is in `health`, `ping` and `trouble`.

mod call;
mod health;
mod ping;
mod status;
mod trouble;
mod wish;

use axum::body::Body;
use fuseboard_grpc::Code;
use fuseboard_grpc::message::{HEALTH, PING};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};

use crate::control::Control;
use crate::echo::Bounds;
use crate::listener::Connection;
use crate::random::SharedRandom;
use crate::reply;

use call::{Call, Ended, Headers};
use status::Status;

/// What content types of gRPC begin with.
const KIND: &str = "application/grpc";

/// Whether a request is a call of gRPC; only HTTP/2 carries them.
pub(crate) fn is_call(request: &Request<Body>) -> bool {
    request.version() == Version::HTTP_2 && kind(request.headers()).is_some_and(|kind| kind.starts_with(KIND))
}

fn kind(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// The services of one server.
pub(crate) struct Services {
    bounds: Bounds,
    random: SharedRandom,
    control: Control,
}

impl Services {
    pub(crate) fn new(bounds: &Bounds, seed: Option<u64>, control: Control) -> Self {
        Self { bounds: *bounds, random: SharedRandom::new(seed), control }
    }

    pub(crate) async fn answer(&self, request: Request<Body>, connection: &Connection) -> Response<Body> {
        if request.version() != Version::HTTP_2 {
            let line = "gRPC needs HTTP/2\n";
            return reply::plain_error(StatusCode::HTTP_VERSION_NOT_SUPPORTED, line);
        }
        // Other codecs than protobuf are other types.
        if !matches!(kind(request.headers()), Some(KIND | "application/grpc+proto")) {
            let line = "only application/grpc with protobuf is spoken here\n";
            return reply::plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, line);
        }
        if request.method() != Method::POST {
            return reply::wrong_method("POST");
        }
        let path = request.uri().path().to_owned();
        let (service, method) =
            path.strip_prefix('/').and_then(|path| path.rsplit_once('/')).unwrap_or_default();
        let call = match Call::read(request, self.bounds.body) {
            Ok(call) => call,
            Err(status) => return ended(status),
        };
        match service {
            HEALTH => health::answer(method, call, &self.control, connection.clone()).await,
            PING => ping::answer(method, call).await,
            trouble::ECHO => trouble::echo(method, call, self.bounds, self.random.fork()).await,
            trouble::STATUS => trouble::status(method, call).await,
            _ => ended(Status::new(Code::Unimplemented, format!("unknown service {service}"))),
        }
    }
}

/// Every service, as health knows them.
const SERVICES: [&str; 4] = [HEALTH, PING, trouble::ECHO, trouble::STATUS];

fn unknown_method(service: &str, method: &str) -> Response<Body> {
    ended(Status::new(Code::Unimplemented, format!("unknown method {method} for service {service}")))
}

/// An answer without any message: its status stands in the head.
fn ended(status: Status) -> Response<Body> {
    call::without_messages(Ended::With(status, HeaderMap::new()), Headers::default())
}

/// A head of an answer that succeeds as far as HTTP is concerned.
fn head(headers: Headers) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers.0;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    response
}
