//! The PROXY header that a client's connection begins with: looked for within a bound of time and bytes. What the bytes mean is
//! [`fuseboard_core::tcp::ProxyHeader`]'s.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fuseboard_core::tcp::{MAX_PROXY_HEADER, Proxied, ProxyHeader};

use crate::clock;
use crate::deadline::{Timer, Timers};
use crate::stream::Stream;

/// Envoy's bound of everything before a connection's first bytes.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a connection has no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// It begins with something else.
    Malformed,
    /// It did not come in time.
    Late,
    /// The client went away before it was complete.
    Gone,
}

/// Takes the header off `stream`, which is in plain text, and says what it says.
pub(super) async fn read(stream: &mut Stream, timers: &Timers) -> Result<Option<Proxied>, NoHeader> {
    let mut bytes = vec![0; MAX_PROXY_HEADER];
    let mut seen = 0;
    timers.arm(Timer::RequestHead, clock::now() + PATIENCE);
    let found = poll_fn(|cx| match poll_header(stream, cx, &mut bytes, &mut seen) {
        Poll::Pending => timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(Err(NoHeader::Late))),
        found @ Poll::Ready(_) => found,
    })
    .await;
    timers.disarm(Timer::RequestHead);
    let (length, proxied) = found?;
    take(stream, &mut bytes[..length]).await.map_err(|_| NoHeader::Gone)?;
    Ok(proxied)
}

fn poll_header(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    bytes: &mut [u8],
    seen: &mut usize,
) -> Poll<Result<(usize, Option<Proxied>), NoHeader>> {
    loop {
        let Ok(n) = ready!(stream.poll_peek(cx, bytes, *seen)) else {
            return Poll::Ready(Err(NoHeader::Gone));
        };
        match ProxyHeader::parse(&bytes[..n]) {
            Ok(ProxyHeader::Whole { length, proxied }) => return Poll::Ready(Ok((length, proxied))),
            Ok(ProxyHeader::Unfinished) if n == 0 || n == *seen => return Poll::Ready(Err(NoHeader::Gone)),
            Ok(ProxyHeader::Unfinished) if n < bytes.len() => *seen = n,
            Ok(ProxyHeader::Unfinished) | Err(_) => return Poll::Ready(Err(NoHeader::Malformed)),
        }
    }
}

/// Takes bytes that have been seen.
async fn take(stream: &mut Stream, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| stream.poll_read(cx, bytes)).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => bytes = &mut bytes[n..],
        }
    }
    Ok(())
}
