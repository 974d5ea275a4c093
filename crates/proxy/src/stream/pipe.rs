//! Pipes through which the kernel moves bytes from one socket to another without copying them into our memory. How many a
//! worker may have is decided here, which bytes go through one in `way`; without a pipe bytes are copied.

use std::cell::{Cell, RefCell};

/// Pipes of one worker at a time. A connection has one only while it carries much: beyond this, bytes are copied.
const PIPES: usize = 256;

/// Pipes kept for reuse, two descriptors each.
const KEPT: usize = 16;

/// The worker's pipes.
#[derive(Debug, Default)]
pub(crate) struct PipePool {
    idle: RefCell<Vec<Pipe>>,
    /// Those that are in use.
    taken: Cell<usize>,
    /// The system does not move bytes between sockets.
    refused: Cell<bool>,
}

impl PipePool {
    /// An empty pipe; `None`: there are enough, or no descriptors for one, or the system has no such thing.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if self.refused.get() || self.taken.get() >= PIPES {
            return None;
        }
        let kept = self.idle.borrow_mut().pop();
        let pipe = kept.or_else(Pipe::open)?;
        self.taken.set(self.taken.get() + 1);
        Some(pipe)
    }

    /// Takes a pipe back. One in which something is left is closed.
    pub(crate) fn give(&self, pipe: Pipe) {
        self.taken.set(self.taken.get().saturating_sub(1));
        let mut idle = self.idle.borrow_mut();
        if pipe.is_empty() && idle.len() < KEPT {
            idle.push(pipe);
        }
    }

    /// The system refused to move bytes: they are copied from now on.
    pub(crate) fn refuse(&self) {
        self.refused.set(true);
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{Moved, Pipe};
#[cfg(not(target_os = "linux"))]
pub(crate) use nowhere::{Moved, Pipe};

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::net::TcpStream;

    /// Room for as many pieces as packets of a network hold, where the system grants it: a piece is a page of a pipe.
    const SIZE: usize = 256 * 1024;

    /// Bytes moved from one socket to another by the kernel.
    #[derive(Debug)]
    pub(crate) struct Pipe {
        out: OwnedFd,
        into: OwnedFd,
        /// Bytes that are in it.
        held: usize,
    }

    /// What moving bytes into a pipe gave.
    #[derive(Debug)]
    pub(crate) enum Moved {
        /// So many; 0 is the end.
        Bytes(usize),
        /// Nothing: there is nothing, or something that only reading takes (urgent data).
        Nothing,
        /// The system does not do this, be it for this socket.
        Refused,
    }

    impl Pipe {
        /// An empty one.
        pub(super) fn open() -> Option<Self> {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // More than a user may have: it stays as it is.
            let _as_it_was = fcntl_setpipe_size(&into, SIZE);
            Some(Self { out, into, held: 0 })
        }

        pub(crate) const fn is_empty(&self) -> bool {
            self.held == 0
        }

        /// Moves what is in `from` into the pipe, but no more than `most` bytes. To be asked of an empty one only: a full one
        /// looks like an empty socket.
        pub(crate) fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<Moved> {
            match splice(from, None, &self.into, None, most.min(SIZE), FLAGS) {
                Ok(n) => {
                    self.held += n;
                    Ok(Moved::Bytes(n))
                }
                Err(Errno::AGAIN | Errno::INTR) => Ok(Moved::Nothing),
                Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => Ok(Moved::Refused),
                Err(error) => Err(error.into()),
            }
        }

        /// Moves what is in the pipe to `to`, as much as it takes now.
        pub(crate) fn empty(&mut self, to: &TcpStream) -> io::Result<usize> {
            let n = splice(&self.out, None, to, None, self.held, FLAGS)?;
            self.held -= n.min(self.held);
            Ok(n)
        }
    }

    const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::convert::Infallible;
    use std::io;

    use tokio::net::TcpStream;

    /// There is none.
    #[derive(Debug)]
    pub(crate) struct Pipe(Infallible);

    /// What moving bytes into a pipe gave.
    #[derive(Debug)]
    #[expect(dead_code, reason = "no pipe gives anything")]
    pub(crate) enum Moved {
        Bytes(usize),
        Nothing,
        Refused,
    }

    impl Pipe {
        pub(super) const fn open() -> Option<Self> {
            None
        }

        pub(crate) const fn is_empty(&self) -> bool {
            match self.0 {}
        }

        pub(crate) fn fill(&mut self, _from: &TcpStream, _most: usize) -> io::Result<Moved> {
            match self.0 {}
        }

        pub(crate) fn empty(&mut self, _to: &TcpStream) -> io::Result<usize> {
            match self.0 {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_so_many_pipes_and_keeps_a_few() {
        let pool = PipePool::default();
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), PIPES);
        for pipe in taken {
            pool.give(pipe);
        }
        assert_eq!(pool.idle.borrow().len(), KEPT);
        assert!(pool.take().is_some());
    }

    #[test]
    fn there_are_none_where_the_system_refuses_them() {
        let pool = PipePool::default();
        pool.refuse();
        assert!(pool.take().is_none());
    }
}
