//! Bytes both ways between two sockets, each direction for itself: what one side sends is read only as fast as the other
//! side takes it, and its end is passed on alone. Memory is one buffer for each direction, and none while nothing moves. Where
//! both sides are plain and much is sent, the system moves the bytes, through a pipe, and nothing is copied.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use fuseboard_core::tcp::{Ending, Heard};

use crate::buffer::{BUFFER_SIZE, Buffer, BufferPool};
use crate::stream::{Got, PipePool, Turn, Way, Wire};
use crate::upstream::ClosedBy;

/// A side broke: its connection was reset, what is sent to it is refused, or it broke TLS.
#[derive(Debug)]
pub(crate) enum Broken {
    Client(io::Error),
    Host(io::Error),
}

/// Which end of a direction broke.
enum Broke {
    From(io::Error),
    To(io::Error),
}

/// Both directions.
pub(crate) struct Tunnel<'p> {
    to_host: Flow<'p>,
    to_client: Flow<'p>,
    /// The host had ended what it sends while the client had not.
    host_ended_first: bool,
    /// The host takes nothing more, and why.
    broken: Option<io::Error>,
}

/// Bytes by where they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) from_client: u64,
    pub(crate) to_host: u64,
    pub(crate) from_host: u64,
    pub(crate) to_client: u64,
}

/// One direction.
struct Flow<'p> {
    buffers: &'p BufferPool,
    pipes: &'p Rc<PipePool>,
    /// What was read and not yet written is here or in the way's pipe, never in both.
    buffer: Buffer,
    way: Way,
    /// Bytes that were read.
    read: u64,
    /// Bytes that were taken by the other side.
    written: u64,
    /// How the side ended that is read from; `None`: it has not.
    end: Option<Got>,
    /// Nothing more goes this way.
    over: bool,
}

impl<'p> Tunnel<'p> {
    pub(crate) fn new(buffers: &'p BufferPool, pipes: &'p Rc<PipePool>) -> Self {
        let flow = || Flow::new(buffers, pipes);
        Self { to_host: flow(), to_client: flow(), host_ended_first: false, broken: None }
    }

    /// What was read before goes first.
    pub(crate) fn begin_with(&mut self, from_client: Buffer, from_host: Buffer) {
        for (flow, first) in [(&mut self.to_host, from_client), (&mut self.to_client, from_host)] {
            flow.read += first.len() as u64;
            flow.buffer = first;
        }
    }

    /// What was heard from whom.
    pub(crate) const fn heard(&self) -> Heard {
        Heard {
            client: self.to_host.read > 0,
            client_ended: self.to_host.end.is_some(),
            host: self.to_client.read > 0,
        }
    }

    /// All bytes so far.
    pub(crate) const fn carried(&self) -> Carried {
        Carried {
            from_client: self.to_host.read,
            to_host: self.to_host.written,
            from_host: self.to_client.read,
            to_client: self.to_client.written,
        }
    }

    /// Who closed the connection to the host: it, if it broke, or ended before the client did.
    pub(crate) fn closed_by(&self, ending: Ending) -> ClosedBy {
        match ending {
            Ending::HostReset => ClosedBy::Remote,
            Ending::Closed if self.host_ended_first => ClosedBy::Remote,
            _ => ClosedBy::Local,
        }
    }

    /// Ready when both directions are over, or a side broke.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Wire<'_>,
        host: &mut Wire<'_>,
    ) -> Poll<Result<(), Broken>> {
        match self.to_host.poll(cx, client, host) {
            Poll::Ready(Err(Broke::From(error))) => return Poll::Ready(Err(Broken::Client(error))),
            Poll::Ready(Err(Broke::To(error))) => self.host_broke(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match self.to_client.poll(cx, host, client) {
            Poll::Ready(Err(Broke::From(error))) => return Poll::Ready(Err(Broken::Host(error))),
            Poll::Ready(Err(Broke::To(error))) => return Poll::Ready(Err(Broken::Client(error))),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        self.host_ended_first |= self.to_client.over && !self.to_host.over;
        if !(self.to_host.over && self.to_client.over) {
            return Poll::Pending;
        }
        Poll::Ready(self.broken.take().map_or(Ok(()), |error| Err(Broken::Host(error))))
    }

    /// The host takes nothing more. What it said before is still the client's.
    pub(crate) fn host_broke(&mut self, error: io::Error) {
        self.broken.get_or_insert(error);
        self.to_host.stop();
    }

    /// Whether only the client is waited for, because the host broke.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }
}

impl<'p> Flow<'p> {
    fn new(buffers: &'p BufferPool, pipes: &'p Rc<PipePool>) -> Self {
        let (buffer, way) = (Buffer::default(), Way::default());
        Self { buffers, pipes, buffer, way, read: 0, written: 0, end: None, over: false }
    }

    /// Nothing more goes this way.
    fn stop(&mut self) {
        self.rest();
        self.over = true;
    }

    /// Gives back what bytes are kept in.
    fn rest(&mut self) {
        self.buffers.give(&mut self.buffer);
        self.way.rest();
    }

    /// Ready when `from` has ended and `to` was told so.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Wire<'_>,
        to: &mut Wire<'_>,
    ) -> Poll<Result<(), Broke>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        let mut turn = Turn::default();
        loop {
            if let Err(error) = ready!(self.poll_write(cx, to)) {
                return Poll::Ready(Err(Broke::To(error)));
            }
            if let Some(end) = self.end {
                // What was cut off must not look whole where the other side can tell.
                ready!(to.poll_end(cx, end == Got::End));
                self.stop();
                return Poll::Ready(Ok(()));
            }
            if turn.is_over(cx) {
                return Poll::Pending;
            }
            match self.poll_read(cx, from, to) {
                Poll::Ready(Ok(Got::Bytes(n))) => {
                    self.read += n as u64;
                    turn.took(n);
                }
                Poll::Ready(Ok(end)) => self.end = Some(end),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broke::From(error))),
                Poll::Pending => {
                    self.rest();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ready when all that was read is written.
    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut Wire<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let n = ready!(to.poll_write(cx, self.buffer.filled()))?;
            self.buffer.consume(n);
            self.written += n as u64;
        }
        while let Some(pipe) = self.way.moving() {
            self.written += ready!(to.poll_move_from(cx, pipe))? as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into a pipe, if much is sent and both sides are plain, else into a buffer.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Wire<'_>,
        to: &Wire<'_>,
    ) -> Poll<io::Result<Got>> {
        ready!(from.poll_readable(cx));
        if let Some(n) = self.way.take(self.pipes, from, to, u64::MAX)? {
            return Poll::Ready(Ok(Got::Bytes(n)));
        }
        // What came in with a head may have a small one.
        if self.buffer.capacity() < BUFFER_SIZE {
            self.buffer = self.buffers.take();
        }
        let got = ready!(from.poll_read(cx, self.buffer.room()))?;
        if let Got::Bytes(n) = got {
            self.buffer.advance(n);
            self.way.read(n, &self.buffer);
        }
        Poll::Ready(Ok(got))
    }
}

impl Drop for Flow<'_> {
    fn drop(&mut self) {
        self.rest();
    }
}
