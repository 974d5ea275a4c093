//! What carries a client's messages: a socket, plain or through TLS, or one stream of an HTTP/2 connection, which is read and
//! written as if it were such a socket ([`crate::http2`]). What the bytes mean, and when to give up, is not decided here.

use std::io;
use std::task::{Context, Poll};

use fuseboard_grpc::Code;
use fuseboard_tls::Session;

use crate::http2::ServedStream;
use crate::stream::Stream;

/// What carries a client's messages.
#[derive(Debug)]
pub(crate) enum Line {
    /// A connection of its own, for one message after the other.
    Socket(Stream),
    /// A client's stream, for one exchange.
    Served(Box<ServedStream>),
}

impl Line {
    /// The session of a connection of its own that is encrypted.
    pub(crate) fn tls(&self) -> Option<&Session> {
        match self {
            Self::Socket(socket) => socket.tls(),
            Self::Served(_) => None,
        }
    }

    /// The connection, if it is one of its own.
    pub(crate) const fn socket(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Socket(socket) => Some(socket),
            Self::Served(_) => None,
        }
    }

    /// Reads into `room`, which must have some; `Ok(0)` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Socket(socket) => socket.poll_read(cx, room),
            Self::Served(stream) => stream.poll_read(cx, room),
        }
    }

    /// Whether reading may give something; registers the task otherwise.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(socket) => socket.poll_readable(cx),
            Self::Served(stream) => stream.poll_readable(cx),
        }
    }

    /// Writes; to be tried again with the same bytes in front when it was not ready.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Socket(socket) => socket.poll_write(cx, bytes),
            Self::Served(stream) => stream.poll_write(cx, bytes),
        }
    }

    /// Whether there is something to read now, bytes or their end, be it that the event loop has not heard of it.
    pub(crate) fn is_readable_now(&mut self) -> bool {
        match self {
            Self::Socket(socket) => socket.is_readable_now(),
            // What its connection has not read does not matter to a stream.
            Self::Served(_) => false,
        }
    }

    /// Ready when the other side has closed, or reset; with bytes in front of the end that nobody wants to read yet.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Socket(socket) => socket.poll_closed(cx),
            Self::Served(stream) => stream.poll_closed(cx),
        }
    }

    /// Ends our direction, as far as a socket takes that at once. False: the other side is gone already.
    pub(crate) fn shut_down(&mut self) -> bool {
        match self {
            Self::Socket(socket) => socket.shut_down(),
            Self::Served(_) => false,
        }
    }

    /// With TLS, tells the other side that nothing was cut off. Before closing.
    pub(crate) fn say_end(&mut self) {
        if let Self::Socket(socket) = self {
            socket.say_end();
        }
    }

    /// Ends the answer to a call of gRPC with this status. False: it is no stream, or its answer has not begun, or is over.
    pub(crate) fn end_call(&mut self, code: Code, words: &str) -> bool {
        match self {
            Self::Socket(_) => false,
            Self::Served(stream) => stream.end_call(code, words),
        }
    }

    /// Messages of a call of gRPC, those that came and those that went since this was last asked; `None`: it is none.
    pub(crate) fn take_messages(&mut self) -> Option<(u64, u64)> {
        match self {
            Self::Socket(_) => None,
            Self::Served(stream) => stream.take_messages(),
        }
    }

    /// The close will be a reset.
    pub(crate) fn reset_on_close(&mut self) {
        match self {
            Self::Socket(socket) => socket.reset_on_close(),
            Self::Served(stream) => stream.reset(),
        }
    }
}
