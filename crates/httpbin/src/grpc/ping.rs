//! `fgrpc.PingServer`: fortio's ping, which comes back with the time here, as late as it asks for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use fuseboard_grpc::message::{PING, PingMessage};
use http::Response;

use super::call::{Call, Headers, Messages, Replies, pause};
use super::unknown_method;

pub(super) async fn answer(method: &str, call: Call) -> Response<Body> {
    if method != "Ping" {
        return unknown_method(PING, method);
    }
    let work = |mut messages: Messages, replies: Replies| async move {
        let ping = async {
            let mut ping: PingMessage = messages.only().await?;
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            ping.ts = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
            // As in fortio, no bound but the client's deadline.
            pause(Duration::from_nanos(u64::try_from(ping.delay_nanos).unwrap_or(0))).await;
            replies.send(&ping).await
        };
        ping.await.into()
    };
    call.answer(Headers::default(), work).await
}
