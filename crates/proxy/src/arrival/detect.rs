//! What a client speaks, within a bound of time and bytes; its bytes stay where they are. What they mean is
//! [`fuseboard_core::tcp::Spoken`]'s.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fuseboard_core::tcp::{MAX_SNIFFED, Spoken};

use crate::clock;
use crate::deadline::{Timer, Timers};
use crate::stream::Stream;

/// Enough for most clients' first bytes.
const FIRST_LOOK: usize = 1024;

/// What the client speaks; [`Spoken::Unclear`]: the time is over.
pub(super) async fn detect(stream: &mut Stream, timers: &Timers, patience: Duration) -> Spoken {
    let mut bytes = vec![0; FIRST_LOOK];
    let mut seen = 0;
    timers.arm(Timer::RequestHead, clock::now() + patience);
    let spoken = poll_fn(|cx| match poll_spoken(stream, cx, &mut bytes, &mut seen) {
        Poll::Pending => timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(Spoken::Unclear)),
        spoken @ Poll::Ready(_) => spoken,
    })
    .await;
    timers.disarm(Timer::RequestHead);
    spoken
}

fn poll_spoken(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    bytes: &mut Vec<u8>,
    seen: &mut usize,
) -> Poll<Spoken> {
    loop {
        // Who broke off is let go of by whoever serves the connection.
        let Ok(n) = ready!(stream.poll_peek(cx, bytes, *seen)) else { return Poll::Ready(Spoken::Other) };
        match Spoken::by(&bytes[..n]) {
            // Nothing more comes.
            Spoken::Unclear if n == 0 || n == *seen => return Poll::Ready(Spoken::Other),
            Spoken::Unclear => *seen = n,
            spoken => return Poll::Ready(spoken),
        }
        if n == bytes.len() {
            bytes.resize((4 * n).min(MAX_SNIFFED), 0);
        }
    }
}
