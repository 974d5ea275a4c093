//! A client's TLS handshake, within its time.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use fuseboard_tls::{Failure, ServerContext};

use crate::clock;
use crate::deadline::{Timer, Timers};
use crate::stream::Stream;

/// Agrees on TLS; `None`: it took too long.
pub(crate) async fn handshake(
    stream: &mut Stream,
    timers: &Timers,
    context: &ServerContext,
    patience: Duration,
) -> Option<Result<(), Failure>> {
    match context.begin() {
        Ok(session) => stream.secure(session),
        Err(error) => return Some(Err(Failure::Protocol(error))),
    }
    timers.arm(Timer::RequestHead, clock::now() + patience);
    let done = poll_fn(|cx| {
        if let Poll::Ready(done) = stream.poll_handshake(cx) {
            return Poll::Ready(Some(done.map_err(Failure::of)));
        }
        timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(None))
    })
    .await;
    timers.disarm(Timer::RequestHead);
    done
}
