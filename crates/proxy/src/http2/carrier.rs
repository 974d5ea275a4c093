//! The connection below HTTP/2, as the `h2` crate wants it: with the bytes in front that were read to find out what is spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// Who counts bytes.
pub(crate) trait Meter {
    /// So many came.
    fn received(&self, n: usize);
    /// So many were sent.
    fn sent(&self, n: usize);
}

/// A connection, read and written by frames.
#[derive(Debug)]
pub(crate) struct Carrier<C, M> {
    connection: C,
    /// Read already, and counted.
    ahead: Vec<u8>,
    meter: M,
}

impl<C: AsMut<Stream>, M: Meter> Carrier<C, M> {
    pub(crate) const fn new(connection: C, ahead: Vec<u8>, meter: M) -> Self {
        Self { connection, ahead, meter }
    }
}

impl AsMut<Self> for Stream {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl<C: AsMut<Stream> + Unpin, M: Meter + Unpin> AsyncRead for Carrier<C, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = &mut *self;
        if !own.ahead.is_empty() {
            let n = own.ahead.len().min(room.remaining());
            room.put_slice(&own.ahead[..n]);
            own.ahead.drain(..n);
            return Poll::Ready(Ok(()));
        }
        let read = own.connection.as_mut().poll_read(cx, room.initialize_unfilled());
        read.map_ok(|n| {
            room.advance(n);
            own.meter.received(n);
        })
    }
}

impl<C: AsMut<Stream> + Unpin, M: Meter + Unpin> AsyncWrite for Carrier<C, M> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = &mut *self;
        let wrote = own.connection.as_mut().poll_write(cx, bytes);
        wrote.map_ok(|n| {
            own.meter.sent(n);
            n
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.as_mut().shut_down();
        Poll::Ready(Ok(()))
    }
}
