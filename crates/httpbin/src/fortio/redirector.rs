//! Sends every request to the same host and path with https.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode};

use crate::listener::{Connection, Handler};
use crate::{reply, request};

pub(super) struct Redirector;

impl Handler for Redirector {
    async fn answer(self: Arc<Self>, request: Request<Body>, _: Connection) -> Response<Body> {
        let host = request::host(request.uri(), request.headers());
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        reply::go_there(StatusCode::SEE_OTHER, &format!("https://{host}{path}"), request.method())
    }
}
