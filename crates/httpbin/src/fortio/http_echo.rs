//! Echo over HTTP: every path, and the debug page.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use tokio::time::Instant;

use super::{FortioOptions, debug};
use crate::echo::{self, Bounds, Refused};
use crate::listener::{Connection, Handler};
use crate::random::SharedRandom;
use crate::reply;

pub(super) struct HttpEcho {
    debug_path: String,
    usual_query: Option<String>,
    bounds: Bounds,
    random: SharedRandom,
    started: Instant,
}

impl HttpEcho {
    pub(super) fn new(options: &FortioOptions) -> Self {
        Self {
            debug_path: options.debug_path.clone(),
            usual_query: Some(options.usual_query.clone()).filter(|query| !query.is_empty()),
            bounds: options.bounds(),
            random: SharedRandom::new(options.seed),
            started: Instant::now(),
        }
    }
}

impl Handler for HttpEcho {
    async fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> Response<Body> {
        let random = self.random.fork();
        let answered = if !self.debug_path.is_empty() && request.uri().path() == self.debug_path {
            debug::answer(request, connection.peer, self.started.elapsed(), self.bounds, random).await
        } else {
            echo::answer(request, self.usual_query.as_deref(), self.bounds, random).await
        };
        answered.unwrap_or_else(|refused| refuse(&refused))
    }
}

/// One problem on a line.
fn refuse(refused: &Refused) -> Response<Body> {
    reply::typed(refused.status, reply::TEXT, refused.problems.join("\n") + "\n")
}
