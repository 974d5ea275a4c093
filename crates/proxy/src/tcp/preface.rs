//! The PROXY header that a client's connection begins with: read within a bound of time and bytes, and nothing behind it lost.
//! What the bytes mean is [`fuseboard_core::tcp::ProxyHeader`]'s.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use fuseboard_core::tcp::{MAX_PROXY_HEADER, ProxyHeader};

use super::session::Session;
use crate::clock;
use crate::deadline::Timer;

/// Envoy's bound of everything before a connection's first bytes.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a connection has no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// It begins with something else.
    Malformed,
    /// It did not come in time.
    Late,
    /// The client went away before it was complete.
    Gone,
}

impl Session {
    /// Reads the header, and takes the client to be who it says. What came behind it is given back.
    pub(super) async fn read_proxy_header(&mut self) -> Result<Vec<u8>, NoHeader> {
        let mut bytes = vec![0; MAX_PROXY_HEADER];
        let mut filled = 0;
        self.timers.arm(Timer::RequestHead, clock::now() + PATIENCE);
        let read = poll_fn(|cx| {
            loop {
                match ProxyHeader::parse(&bytes[..filled]) {
                    Ok(ProxyHeader::Whole { length, proxied }) => return Poll::Ready(Ok((length, proxied))),
                    Ok(ProxyHeader::Unfinished) if filled < bytes.len() => {}
                    Ok(ProxyHeader::Unfinished) | Err(_) => return Poll::Ready(Err(NoHeader::Malformed)),
                }
                if self.client.poll_read_ready(cx).is_pending() {
                    return match self.timers.poll_expired(cx) {
                        Some(_) => Poll::Ready(Err(NoHeader::Late)),
                        None => Poll::Pending,
                    };
                }
                match self.client.try_read(&mut bytes[filled..]) {
                    Ok(0) => return Poll::Ready(Err(NoHeader::Gone)),
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => return Poll::Ready(Err(NoHeader::Gone)),
                }
            }
        })
        .await;
        self.timers.disarm(Timer::RequestHead);
        let (length, proxied) = read?;
        if let Some(proxied) = proxied {
            self.notes.called_by(proxied);
        }
        bytes.truncate(filled);
        bytes.drain(..length);
        Ok(bytes)
    }
}
