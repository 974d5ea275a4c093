//! What carries a request to its host and the answer back: a connection of its own, or a stream of a shared one.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::task::{Context, Poll};

use fuseboard_core::Instant;
use fuseboard_core::pool::Lease;

use super::connection::UpstreamConnection;
use super::pooled::Pooled;
use super::shared::SharedConnection;
use crate::buffer::Buffer;
use crate::http2::{AskedStream, Fate};
use crate::live::ClusterView;

/// The right to one stream of a shared connection.
pub(crate) type StreamLease<'t> = Lease<'t, Pooled, SharedConnection>;

/// What carries one try.
pub(crate) enum Line<'t> {
    /// A connection of its own.
    Socket(Box<UpstreamConnection>),
    /// A stream.
    Stream(Box<HostStream<'t>>),
}

/// A stream at a host. Fields drop in order: the stream ends before its place is another one's.
pub(crate) struct HostStream<'t> {
    stream: AskedStream,
    shared: SharedConnection,
    lease: StreamLease<'t>,
}

impl<'t> HostStream<'t> {
    pub(crate) fn new(shared: SharedConnection, lease: StreamLease<'t>) -> Self {
        Self { stream: AskedStream::new(shared.requests(), shared.is_secure()), shared, lease }
    }

    pub(crate) const fn connection(&self) -> &SharedConnection {
        &self.shared
    }

    /// Why the host ended this stream; `None`: it has not, or the connection is gone.
    pub(crate) const fn fate(&self) -> Option<Fate> {
        self.stream.fate()
    }

    /// The stream is over. `keep`: its connection may take others.
    pub(crate) fn end(self, keep: bool, now: Instant) {
        let Self { stream, shared, lease } = self;
        // What of it is not finished is reset.
        drop(stream);
        drop(shared);
        if !keep {
            lease.retire();
        }
        drop(lease.finish(now));
    }
}

impl Line<'_> {
    /// Reads into the room of `buffer`; `Ok(0)` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        match self {
            Self::Socket(connection) => connection.poll_read(cx, buffer),
            Self::Stream(own) => own.stream.poll_read(cx, buffer.room()).map_ok(|n| {
                buffer.advance(n);
                n
            }),
        }
    }

    /// Whether reading would give something; registers the task otherwise.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(connection) => connection.poll_readable(cx),
            Self::Stream(own) => own.stream.poll_readable(cx),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Socket(connection) => connection.poll_write(cx, bytes),
            Self::Stream(own) => own.stream.poll_write(cx, bytes),
        }
    }

    /// A request begins. True: it is the last one that `max_requests` allows.
    pub(crate) fn begin_request(&mut self, max_requests: Option<NonZeroU32>) -> bool {
        match self {
            Self::Socket(connection) => connection.begin_request(max_requests),
            Self::Stream(own) => own.shared.is_last(max_requests),
        }
    }

    /// Our address, as the access log shows it.
    pub(crate) fn local_address(&mut self) -> Option<SocketAddr> {
        match self {
            Self::Socket(connection) => connection.local_address(),
            Self::Stream(own) => own.shared.local_address(),
        }
    }

    /// The connection, if it is one of its own.
    pub(crate) const fn socket(&mut self) -> Option<&mut UpstreamConnection> {
        match self {
            Self::Socket(connection) => Some(connection),
            Self::Stream(_) => None,
        }
    }

    /// Why a stream failed, if it has for a reason of its own.
    pub(crate) fn fate(&self) -> Option<Fate> {
        match self {
            Self::Socket(_) => None,
            Self::Stream(own) => own.stream.fate(),
        }
    }

    /// Whether it is secured as its cluster is to be now.
    pub(crate) fn is_secured_for(&self, view: &ClusterView) -> bool {
        match self {
            Self::Socket(connection) => connection.is_secured_with(view.tls.own.as_ref()),
            Self::Stream(own) => own.shared.is_secured_with(view.tls.shared.as_ref()),
        }
    }
}
