//! One connection's bytes, plain or through TLS, on either side of the proxy. Who drives it sees no difference but one: a
//! write that had to wait is to be tried again with bytes that begin the same way, as all of a record is written or none.
//! What the bytes mean, and when to give up, is not decided here.

mod half_closed;
mod pipe;
mod socket;
mod way;
mod wire;

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fuseboard_tls::Session;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

pub(crate) use self::pipe::{Pipe, PipePool};
use self::socket::{AtOnce, Polled, Socket};
pub(crate) use self::way::{Turn, Way};
pub(crate) use self::wire::{Got, Wire};

/// An idle connection on which more than so many messages came is of no use.
const UNASKED: usize = 8;

/// Why an idle connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// The other side has closed or reset it.
    Ended,
    /// The other side said something unasked: how that begins, with zeros behind it.
    Unasked(Beginning),
}

/// Of what came unasked, as much as tells a status.
pub(crate) type Beginning = [u8; 12];

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    /// `None`: plain text.
    tls: Option<Box<Session>>,
}

impl Stream {
    pub(crate) const fn plain(tcp: TcpStream) -> Self {
        Self { socket: Socket::new(tcp), tls: None }
    }

    /// What is written goes through `session` from now on, beginning with its handshake.
    pub(crate) fn secure(&mut self, session: Box<Session>) {
        self.tls = Some(session);
    }

    pub(crate) fn tls(&self) -> Option<&Session> {
        self.tls.as_deref()
    }

    /// Goes back to plain text, for a word to somebody who speaks no TLS.
    pub(crate) fn give_up_tls(&mut self) {
        self.tls = None;
    }

    pub(crate) const fn tcp(&self) -> &TcpStream {
        self.socket.tcp()
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// The socket, registered with the event loop of the thread that this runs on.
    pub(crate) fn moved(self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.moved()?, ..self })
    }

    /// Looks at the first bytes of a connection in plain text without taking them. Ready when there are more than `seen`, or
    /// nothing more comes: then there are `seen` again, or none.
    pub(crate) fn poll_peek(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
        seen: usize,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_peek(cx, room, seen)
    }

    /// The stream for somebody who carries its bytes, and watches its socket meanwhile.
    pub(crate) fn wire(&mut self) -> Wire<'_> {
        Wire::new(&mut self.socket, self.tls.as_deref_mut())
    }

    /// Ready when the two sides have come to terms.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(session) = &mut self.tls else { return Poll::Ready(Ok(())) };
        let mut io = Polled::new(&mut self.socket, cx);
        loop {
            ready!(blocked(session.flush(&mut io)))?;
            if !session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(blocked(session.fill(&mut io)))?;
        }
    }

    /// Reads into `room`, which must have some; `Ok(0)` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(session) = &mut self.tls else { return self.socket.poll_read(cx, room) };
        let mut io = Polled::new(&mut self.socket, cx);
        loop {
            if let Poll::Ready(taken) = blocked(session.take(room)) {
                return Poll::Ready(taken);
            }
            ready!(blocked(session.fill(&mut io)))?;
        }
    }

    /// The same with room that was never written, which plain text does not touch beyond what came: most of a buffer that is
    /// seldom full stays without memory behind it.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.tls.is_none() {
            return self.socket.poll_fill(cx, room);
        }
        let read = self.poll_read(cx, room.initialize_unfilled());
        read.map_ok(|n| room.advance(n))
    }

    /// Whether reading may give something; registers the task otherwise.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            Some(session) if session.is_readable() => Poll::Ready(Ok(())),
            _ => self.socket.poll_readable(cx),
        }
    }

    /// Writes; to be tried again with the same bytes in front when it was not ready.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.tls {
            Some(session) => blocked(session.write(&mut Polled::new(&mut self.socket, cx), bytes)),
            None => self.socket.poll_write(cx, bytes),
        }
    }

    /// Whether an idle connection was closed by the other side, or something came on it unasked; sessions to be taken up later
    /// are no such thing. Costs no system call while the event loop has seen nothing. Takes what it finds: to be closed then.
    pub(crate) fn spent(&mut self) -> Option<Spent> {
        match &mut self.tls {
            Some(session) => spent(session, &mut AtOnce::announced(&self.socket)),
            None => told(|beginning| self.socket.tcp().try_read(beginning)),
        }
    }

    /// The same, asked of the system: the event loop may not have heard of it yet.
    pub(crate) fn spent_now(&mut self) -> Option<Spent> {
        match &mut self.tls {
            Some(session) => spent(session, &mut AtOnce::unannounced(&self.socket)),
            None => told(|beginning| self.socket.peek_now(beginning)),
        }
    }

    /// Whether there is something to read now, bytes or their end, be it that the event loop has not heard of it.
    pub(crate) fn is_readable_now(&mut self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.is_readable()) || self.socket.look()
    }

    /// Ready when the other side has closed, or reset; with bytes in front of the end that nobody wants to read yet.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_closed(cx)
    }

    /// Ends our direction, as far as the socket takes that at once. False: the other side is gone already.
    pub(crate) fn shut_down(&mut self) -> bool {
        self.say_end();
        self.socket.options().shutdown(Shutdown::Write).is_ok()
    }

    /// With TLS, tells the other side that nothing was cut off. Before closing.
    pub(crate) fn say_end(&mut self) {
        if let Some(session) = &mut self.tls {
            session.say_end(&mut AtOnce::unannounced(&self.socket));
        }
    }

    /// The close will be a reset.
    pub(crate) fn reset_on_close(&self) {
        // Where this fails the other side still sees that the announced length is missing.
        drop(self.socket.options().set_linger(Some(Duration::ZERO)));
    }
}

/// "Would block" as the event loop has it.
fn blocked<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

/// What reading gave on a connection on which nothing is to be read.
fn told(read: impl FnOnce(&mut Beginning) -> io::Result<usize>) -> Option<Spent> {
    let mut beginning = Beginning::default();
    match read(&mut beginning) {
        Ok(0) => Some(Spent::Ended),
        Ok(_) => Some(Spent::Unasked(beginning)),
        Err(error) => (error.kind() != io::ErrorKind::WouldBlock).then_some(Spent::Ended),
    }
}

fn spent(session: &mut Session, io: &mut AtOnce<'_>) -> Option<Spent> {
    for _ in 0..UNASKED {
        let told = told(|beginning| session.take(beginning));
        if told.is_some() {
            return told;
        }
        match session.fill(io) {
            Ok(()) => {}
            Err(error) => return (error.kind() != io::ErrorKind::WouldBlock).then_some(Spent::Ended),
        }
    }
    Some(Spent::Unasked(Beginning::default()))
}
