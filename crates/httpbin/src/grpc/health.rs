//! `grpc.health.v1.Health`: what is asked for is served as long as the control door does not say otherwise and the server
//! does not stop.

use axum::body::Body;
use fuseboard_grpc::Code;
use fuseboard_grpc::message::{HEALTH, HealthCheckRequest, HealthCheckResponse};
use http::Response;

use super::call::{Call, Headers, Replies};
use super::status::Status;
use super::{SERVICES, unknown_method};
use crate::control::Control;
use crate::listener::Connection;

/// fortio's name of its service in health checks.
const PING: &str = "ping";

pub(super) async fn answer(
    method: &str,
    call: Call,
    control: &Control,
    connection: Connection,
) -> Response<Body> {
    let control = control.clone();
    match method {
        "Check" => {
            let work = |mut messages: super::call::Messages, replies: Replies| async move {
                let check = async {
                    let HealthCheckRequest { service } = messages.only().await?;
                    if !is_known(&service) {
                        return Err(Status::new(Code::NotFound, "unknown service"));
                    }
                    replies.send(&HealthCheckResponse { status: said(control.knobs().serving) }).await
                };
                check.await.into()
            };
            call.answer(Headers::default(), work).await
        }
        "Watch" => {
            let work = |mut messages: super::call::Messages, replies: Replies| async move {
                let watch = async {
                    let HealthCheckRequest { service } = messages.only().await?;
                    watch(&replies, is_known(&service), &control, connection).await
                };
                watch.await.into()
            };
            call.answer(Headers::default(), work).await
        }
        _ => unknown_method(HEALTH, method),
    }
}

/// Tells the health now and whenever it changes, until the server stops.
async fn watch(
    replies: &Replies,
    is_known: bool,
    control: &Control,
    connection: Connection,
) -> Result<(), Status> {
    let mut serving = control.watch_serving();
    let mut stopped = std::pin::pin!(connection.stopped());
    loop {
        let is_serving = *serving.borrow_and_update();
        let status = if is_known { said(is_serving) } else { HealthCheckResponse::SERVICE_UNKNOWN };
        replies.send(&HealthCheckResponse { status }).await?;
        let changed = async {
            if is_known {
                // The instance lives as long as this does.
                let _ = serving.changed().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            () = stopped.as_mut() => {
                replies.send(&HealthCheckResponse { status: HealthCheckResponse::NOT_SERVING }).await?;
                return Err(Status::new(Code::Unavailable, "the server stops"));
            }
        }
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || service == PING || SERVICES.contains(&service)
}

const fn said(serving: bool) -> i32 {
    if serving { HealthCheckResponse::SERVING } else { HealthCheckResponse::NOT_SERVING }
}
