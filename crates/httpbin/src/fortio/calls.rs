//! Calls of gRPC on a port of their own.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};

use super::FortioOptions;
use crate::control::Control;
use crate::grpc::Services;
use crate::listener::{Connection, Handler};

pub(super) struct Calls {
    services: Services,
}

impl Calls {
    pub(super) fn new(options: &FortioOptions) -> Self {
        Self { services: Services::new(&options.bounds(), options.seed, Control::default()) }
    }
}

impl Handler for Calls {
    async fn answer(self: Arc<Self>, request: Request<Body>, connection: Connection) -> Response<Body> {
        self.services.answer(request, &connection).await
    }
}
