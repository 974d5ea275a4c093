//! A TCP socket that can end with a reset instead of an orderly close, when whoever answers on it decides so.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How a connection will end: in good order, unless somebody resets it.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    reset: AtomicBool,
    told: Notify,
    leaving: Notify,
}

impl Fate {
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.told.notify_one();
    }

    /// Returns once the connection is to be reset.
    pub(crate) async fn decided(&self) {
        self.told.notified().await;
    }

    /// Answers what was asked, and no more.
    pub(crate) fn leave(&self) {
        self.leaving.notify_one();
    }

    /// Returns once nothing more is to be answered.
    pub(crate) async fn left(&self) {
        self.leaving.notified().await;
    }
}

/// The socket of one connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    fate: Arc<Fate>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, fate: Arc<Fate>) -> Self {
        Self { stream, fate }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.fate.reset.load(Ordering::Acquire) {
            // A close with a linger time of zero discards what is unsent and sends RST. If it can't be set, the close is
            // an orderly one, which a client that waits for an answer takes for the same failure.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
