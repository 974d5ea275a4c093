//! Bytes both ways between two sockets, each direction for itself: what one side sends is read only as fast as the other
//! side takes it, and its end is passed on alone. Memory is one buffer for each direction, and none while nothing moves.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use fuseboard_core::tcp::{Ending, Heard};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::buffer::{Buffer, BufferPool};
use crate::upstream::ClosedBy;

/// A side broke: its connection was reset, or what is sent to it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Client,
    Host,
}

/// Which end of a direction broke.
enum End {
    From,
    To,
}

/// Both directions.
pub(super) struct Tunnel<'p> {
    to_host: Flow<'p>,
    to_client: Flow<'p>,
    /// The host had ended what it sends while the client had not.
    host_ended_first: bool,
    /// The host takes nothing more.
    broken: bool,
}

/// Bytes by where they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) from_client: u64,
    pub(super) to_host: u64,
    pub(super) from_host: u64,
    pub(super) to_client: u64,
}

/// One direction.
struct Flow<'p> {
    pool: &'p BufferPool,
    buffer: Buffer,
    /// Bytes that were read.
    read: u64,
    /// Bytes that were taken by the other side.
    written: u64,
    /// The side that is read from has ended.
    ended: bool,
    /// Nothing more goes this way.
    over: bool,
}

impl<'p> Tunnel<'p> {
    /// `preface` goes to the host before anything else, `early` was read from the client already; both are short.
    pub(super) fn new(pool: &'p BufferPool, preface: &[u8], early: &[u8]) -> Self {
        let mut tunnel = Self::empty(pool);
        if !preface.is_empty() || !early.is_empty() {
            let flow = &mut tunnel.to_host;
            flow.buffer = pool.take();
            for bytes in [preface, early] {
                let room = flow.buffer.room();
                let n = bytes.len().min(room.len());
                room[..n].copy_from_slice(&bytes[..n]);
                flow.buffer.advance(n);
            }
            flow.read = early.len() as u64;
        }
        tunnel
    }

    fn empty(pool: &'p BufferPool) -> Self {
        Self { to_host: Flow::new(pool), to_client: Flow::new(pool), host_ended_first: false, broken: false }
    }

    /// What was heard from whom.
    pub(super) const fn heard(&self) -> Heard {
        Heard {
            client: self.to_host.read > 0,
            client_ended: self.to_host.ended,
            host: self.to_client.read > 0,
        }
    }

    /// All bytes so far.
    pub(super) const fn carried(&self) -> Carried {
        Carried {
            from_client: self.to_host.read,
            to_host: self.to_host.written,
            from_host: self.to_client.read,
            to_client: self.to_client.written,
        }
    }

    /// Who closed the connection to the host: it, if it broke, or ended before the client did.
    pub(super) fn closed_by(&self, ending: Ending) -> ClosedBy {
        match ending {
            Ending::HostReset => ClosedBy::Remote,
            Ending::Closed if self.host_ended_first => ClosedBy::Remote,
            _ => ClosedBy::Local,
        }
    }

    /// Ready when both directions are over, or a side broke.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &TcpStream,
        host: &TcpStream,
    ) -> Poll<Result<(), Broken>> {
        match self.to_host.poll(cx, client, host) {
            Poll::Ready(Err(End::From)) => return Poll::Ready(Err(Broken::Client)),
            Poll::Ready(Err(End::To)) => self.host_broke(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        match self.to_client.poll(cx, host, client) {
            Poll::Ready(Err(End::From)) => return Poll::Ready(Err(Broken::Host)),
            Poll::Ready(Err(End::To)) => return Poll::Ready(Err(Broken::Client)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        self.host_ended_first |= self.to_client.over && !self.to_host.over;
        match (self.to_host.over && self.to_client.over, self.broken) {
            (true, true) => Poll::Ready(Err(Broken::Host)),
            (true, false) => Poll::Ready(Ok(())),
            (false, _) => Poll::Pending,
        }
    }

    /// The host takes nothing more. What it said before is still the client's.
    pub(super) fn host_broke(&mut self) {
        self.broken = true;
        self.to_host.stop();
    }

    /// Whether only the client is waited for, because the host broke.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<'p> Flow<'p> {
    fn new(pool: &'p BufferPool) -> Self {
        Self { pool, buffer: Buffer::default(), read: 0, written: 0, ended: false, over: false }
    }

    /// Nothing more goes this way.
    fn stop(&mut self) {
        self.pool.give(&mut self.buffer);
        self.over = true;
    }

    /// Ready when `from` has ended and `to` was told so.
    fn poll(&mut self, cx: &mut Context<'_>, from: &TcpStream, to: &TcpStream) -> Poll<Result<(), End>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        loop {
            while !self.buffer.is_empty() {
                ready!(to.poll_write_ready(cx)).map_err(|_| End::To)?;
                match to.try_write(self.buffer.filled()) {
                    Ok(0) => return Poll::Ready(Err(End::To)),
                    Ok(n) => {
                        self.buffer.consume(n);
                        self.written += n as u64;
                    }
                    Err(error) if is_not_yet(&error) => {}
                    Err(_) => return Poll::Ready(Err(End::To)),
                }
            }
            if from.poll_read_ready(cx).is_pending() {
                self.pool.give(&mut self.buffer);
                return Poll::Pending;
            }
            if !self.buffer.is_present() {
                self.buffer = self.pool.take();
            }
            let room = self.buffer.room();
            let wanted = room.len();
            match from.try_read(room) {
                Ok(0) => {
                    self.ended = true;
                    self.stop();
                    // A side that is gone already has nothing to be told.
                    drop(SockRef::from(to).shutdown(Shutdown::Write));
                    return Poll::Ready(Ok(()));
                }
                Ok(n) => {
                    self.buffer.advance(n);
                    self.read += n as u64;
                    if n < wanted {
                        seen_all(from);
                    }
                }
                Err(error) if is_not_yet(&error) => {}
                Err(_) => return Poll::Ready(Err(End::From)),
            }
        }
    }
}

impl Drop for Flow<'_> {
    fn drop(&mut self) {
        self.pool.give(&mut self.buffer);
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Tells the event loop that there is nothing more to read, which saves the call that would find nothing. It announces what
/// comes later, and a closed side is not forgotten.
fn seen_all(stream: &TcpStream) {
    let seen: io::Result<()> = stream.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
    drop(seen);
}
