//! A stream as whoever carries its bytes both ways has it: each direction for itself, no memory while nothing is there to be
//! read, and the socket free to be watched. Plain bytes cost one system call each way.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use fuseboard_tls::Session;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::blocked;
use super::pipe::{Moved, Pipe};
use super::socket::{Socket, read_unannounced, seen_all};

/// One connection.
pub(crate) struct Wire<'s> {
    tcp: &'s TcpStream,
    /// There is something to read that the event loop will not announce.
    unread: &'s mut bool,
    tls: Option<&'s mut Session>,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// The other side has ended what it sends.
    End,
    /// The socket has ended, and TLS had not: something may be missing.
    Cut,
}

impl<'s> Wire<'s> {
    pub(super) fn new(socket: &'s mut Socket, tls: Option<&'s mut Session>) -> Self {
        let (tcp, unread) = socket.parts();
        Self { tcp, unread, tls }
    }

    pub(crate) const fn tcp(&self) -> &'s TcpStream {
        self.tcp
    }

    /// Ready when reading may give something.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let there = *self.unread || self.tls.as_ref().is_some_and(|session| session.is_readable());
        if there { Poll::Ready(()) } else { self.tcp.poll_read_ready(cx).map(drop) }
    }

    /// Reads into `room`, which must have some.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Got>> {
        let mut through = Through { tcp: self.tcp, unread: self.unread, cx };
        let Some(session) = &mut self.tls else {
            let n = ready!(blocked(through.read(room)))?;
            return Poll::Ready(Ok(if n == 0 { Got::End } else { Got::Bytes(n) }));
        };
        loop {
            match session.take(room) {
                Ok(0) => return Poll::Ready(Ok(Got::End)),
                Ok(n) => return Poll::Ready(Ok(Got::Bytes(n))),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(Got::Cut));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // An answer of TLS itself that did not go out before.
            ready!(blocked(session.flush(&mut through)))?;
            ready!(blocked(session.fill(&mut through)))?;
        }
    }

    /// Writes; to be tried again with the same bytes in front when it was not ready.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut through = Through { tcp: self.tcp, unread: self.unread, cx };
        blocked(match &mut self.tls {
            Some(session) => session.write(&mut through, bytes),
            None => through.write(bytes),
        })
    }

    /// Whether its bytes are those of the socket, so that the system can move them to another one.
    pub(crate) const fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Moves what is there into `pipe`, an empty one, but no more than `most` bytes. Where that gives nothing, reading says what
    /// there is.
    pub(crate) fn move_into(&mut self, pipe: &mut Pipe, most: usize) -> io::Result<Moved> {
        // What was seen already is not announced again, which only reading takes into account.
        if *self.unread { Ok(Moved::Nothing) } else { pipe.fill(self.tcp, most) }
    }

    /// Moves what is in `pipe`, which must hold something, to the other side.
    pub(crate) fn poll_move_from(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            match self.tcp.try_io(Interest::WRITABLE, || pipe.empty(self.tcp)) {
                Err(error) if is_not_yet(&error) => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                moved => return Poll::Ready(moved),
            }
        }
    }

    /// Ends what we send, of which everything was written. `said`: with the word of TLS that nothing was cut off. A side that
    /// is gone already has nothing to be told.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, said: bool) -> Poll<()> {
        if let Some(session) = self.tls.as_mut().filter(|_| said) {
            let mut through = Through { tcp: self.tcp, unread: self.unread, cx };
            drop(ready!(blocked(session.end(&mut through))));
        }
        drop(SockRef::from(self.tcp).shutdown(Shutdown::Write));
        Poll::Ready(())
    }
}

/// The socket as a task that is woken when it would block.
struct Through<'t, 'c, 'w> {
    tcp: &'t TcpStream,
    unread: &'t mut bool,
    cx: &'c mut Context<'w>,
}

impl Read for Through<'_, '_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if *self.unread
            && let Some(read) = read_unannounced(self.tcp, self.unread, room)
        {
            return read;
        }
        loop {
            match self.tcp.poll_read_ready(self.cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            }
            match self.tcp.try_read(room) {
                Err(error) if is_not_yet(&error) => {}
                Ok(n) => {
                    if 0 < n && n < room.len() {
                        // Saves the call that would find nothing.
                        seen_all(self.tcp);
                    }
                    return Ok(n);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Through<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writing(|tcp| tcp.try_write(bytes))
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.writing(|tcp| tcp.try_write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Through<'_, '_, '_> {
    fn writing(&mut self, once: impl Fn(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match self.tcp.poll_write_ready(self.cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            }
            match once(self.tcp) {
                Err(error) if is_not_yet(&error) => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                wrote => return wrote,
            }
        }
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
