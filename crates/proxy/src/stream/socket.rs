//! The socket below a stream, and how TLS reads and writes through it: as a task that can be woken, or at once.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::half_closed::is_half_closed;

/// A socket, and whether the event loop knows what is in it.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    /// There is something to read that the event loop will not announce, or not yet: its readiness was cleared, so that the
    /// end of the connection could be waited for, or the system was asked directly.
    unread: bool,
}

impl Socket {
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, unread: false }
    }

    pub(super) const fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    pub(super) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.tcp)
    }

    pub(super) fn moved(self) -> io::Result<Self> {
        Ok(Self::new(TcpStream::from_std(self.tcp.into_std()?)?))
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(room);
        let read = self.poll_fill(cx, &mut room);
        let n = room.filled().len();
        read.map_ok(|()| n)
    }

    /// Reads into room of which nothing is touched beyond what came.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread
            && let Some(read) = read_unannounced(&self.tcp, &mut self.unread, room.initialize_unfilled())
        {
            return Poll::Ready(read.map(|n| room.advance(n)));
        }
        Pin::new(&mut self.tcp).poll_read(cx, room)
    }

    /// The socket itself, and whether there is something in it that the event loop will not announce.
    pub(super) const fn parts(&mut self) -> (&TcpStream, &mut bool) {
        (&self.tcp, &mut self.unread)
    }

    /// Looks at the first bytes without taking them. Ready when there are more than `seen`, or nothing more comes: then there
    /// are `seen` again.
    pub(super) fn poll_peek(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
        seen: usize,
    ) -> Poll<io::Result<usize>> {
        let mut cleared = false;
        loop {
            if !self.unread {
                ready!(self.tcp.poll_read_ready(cx))?;
            }
            match peek(&self.tcp, room) {
                Ok(n) if n > seen || n == 0 || cleared => {
                    self.unread = n > 0;
                    return Poll::Ready(Ok(n));
                }
                Ok(_) => self.unread = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unread = false,
                Err(error) => return Poll::Ready(Err(error)),
            }
            seen_all(&self.tcp);
            ready!(self.tcp.poll_read_ready(cx))?;
            // Only an end is still announced then.
            cleared = true;
        }
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread { Poll::Ready(Ok(())) } else { self.tcp.poll_read_ready(cx) }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    /// What is there, without taking it; asked of the system.
    pub(super) fn peek_now(&self, room: &mut [u8]) -> io::Result<usize> {
        peek(&self.tcp, room)
    }

    /// Asks the system, and remembers the answer.
    pub(super) fn look(&mut self) -> bool {
        let seen = self.peek_now(&mut [0]);
        self.unread = !matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.unread
    }

    /// Ready when the other side has closed; leaves the bytes in front of that where they are.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.tcp.poll_read_ready(cx).is_pending() {
                return Poll::Pending;
            }
            if is_half_closed(&self.tcp) {
                return Poll::Ready(());
            }
            seen_all(&self.tcp);
            self.unread = true;
        }
    }
}

/// Reads what the event loop will not announce again; `None`: there is nothing left.
pub(super) fn read_unannounced(
    tcp: &TcpStream,
    unread: &mut bool,
    room: &mut [u8],
) -> Option<io::Result<usize>> {
    let wanted = room.len();
    let read = (&*SockRef::from(tcp)).read(room);
    *unread = matches!(&read, Ok(n) if *n == wanted);
    match read {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        read => Some(read),
    }
}

/// What is there, up to the length of `room`, without taking it.
fn peek(tcp: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    let (n, _) = rustix::net::recv(tcp, room, rustix::net::RecvFlags::PEEK)?;
    Ok(n)
}

/// Tells the event loop that we have seen all bytes that are there: it wakes us for what comes after them, and does not forget
/// their end.
pub(super) fn seen_all(tcp: &TcpStream) {
    let seen: io::Result<()> = tcp.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
    drop(seen);
}

/// As a task: who would block is woken later.
pub(super) struct Polled<'s, 'c, 'w> {
    socket: &'s mut Socket,
    cx: &'c mut Context<'w>,
}

impl<'s, 'c, 'w> Polled<'s, 'c, 'w> {
    pub(super) const fn new(socket: &'s mut Socket, cx: &'c mut Context<'w>) -> Self {
        Self { socket, cx }
    }
}

fn or_would_block<T>(done: Poll<io::Result<T>>) -> io::Result<T> {
    match done {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Polled<'_, '_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.socket.poll_read(self.cx, room))
    }
}

impl Write for Polled<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(self.socket.poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut self.socket.tcp).poll_write_vectored(self.cx, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without a task: who would block goes away.
pub(super) struct AtOnce<'s> {
    tcp: &'s TcpStream,
    announced: bool,
}

impl<'s> AtOnce<'s> {
    /// Reads only what the event loop has heard of.
    pub(super) const fn announced(socket: &'s Socket) -> Self {
        Self { tcp: &socket.tcp, announced: true }
    }

    /// Asks the system.
    pub(super) const fn unannounced(socket: &'s Socket) -> Self {
        Self { tcp: &socket.tcp, announced: false }
    }
}

impl Read for AtOnce<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.announced { self.tcp.try_read(room) } else { (&*SockRef::from(self.tcp)).read(room) }
    }
}

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*SockRef::from(self.tcp)).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
