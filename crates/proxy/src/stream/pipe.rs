//! Pipes through which the kernel moves bytes from one socket to another without copying them into our memory. How many a
//! worker may have is decided here, which bytes go through one in `tcp/copy` and `exchange/passage`; without a pipe bytes are
//! copied.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use tokio::net::TcpStream;

use self::system::Ends;
pub(crate) use self::system::Moved;

/// Pipes of one worker at a time. A connection has one only while it carries much: beyond this, bytes are copied.
const PIPES: usize = 256;

/// Pipes kept for reuse, two descriptors each.
const KEPT: usize = 16;

/// The worker's pipes.
#[derive(Debug, Default)]
pub(crate) struct PipePool {
    idle: RefCell<Vec<Ends>>,
    /// Those that are in use.
    taken: Rc<Cell<usize>>,
    /// The system does not move bytes between sockets.
    refused: Cell<bool>,
}

/// A pipe in use. One that is dropped is closed.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Ends,
    _taken: Taken,
}

/// One of the pool's number of pipes.
#[derive(Debug)]
struct Taken(Rc<Cell<usize>>);

impl Taken {
    fn new(taken: &Rc<Cell<usize>>) -> Self {
        taken.set(taken.get() + 1);
        Self(Rc::clone(taken))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl PipePool {
    /// An empty pipe; `None`: there are enough, or no descriptors for one, or the system has no such thing.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if self.refused.get() || self.taken.get() >= PIPES {
            return None;
        }
        let kept = self.idle.borrow_mut().pop();
        let ends = kept.or_else(Ends::open)?;
        Some(Pipe { ends, _taken: Taken::new(&self.taken) })
    }

    /// Takes a pipe back. One in which something is left is closed.
    pub(crate) fn give(&self, pipe: Pipe) {
        let mut idle = self.idle.borrow_mut();
        if pipe.is_empty() && idle.len() < KEPT {
            idle.push(pipe.ends);
        }
    }

    /// The system refused to move bytes: they are copied from now on.
    pub(crate) fn refuse(&self) {
        self.refused.set(true);
    }
}

impl Pipe {
    pub(crate) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Moves what is in `from` into the pipe, but no more than `most` bytes. To be asked of an empty one only: a full one looks
    /// like an empty socket.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<Moved> {
        self.ends.fill(from, most)
    }

    /// Moves what is in the pipe to `to`, as much as it takes now.
    pub(crate) fn empty(&mut self, to: &TcpStream) -> io::Result<usize> {
        self.ends.empty(to)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::net::TcpStream;

    /// Room for as many pieces as packets of a network hold, where the system grants it: a piece is a page of a pipe.
    const SIZE: usize = 256 * 1024;

    /// Bytes moved from one socket to another by the kernel.
    #[derive(Debug)]
    pub(super) struct Ends {
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

    impl Ends {
        /// Those of an empty one.
        pub(super) fn open() -> Option<Self> {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // More than a user may have: it stays as it is.
            let _as_it_was = fcntl_setpipe_size(&into, SIZE);
            Some(Self { out, into, held: 0 })
        }

        pub(super) const fn is_empty(&self) -> bool {
            self.held == 0
        }

        pub(super) fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<Moved> {
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

        pub(super) fn empty(&mut self, to: &TcpStream) -> io::Result<usize> {
            let n = splice(&self.out, None, to, None, self.held, FLAGS)?;
            self.held -= n.min(self.held);
            Ok(n)
        }
    }

    const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::convert::Infallible;
    use std::io;

    use tokio::net::TcpStream;

    /// There is none.
    #[derive(Debug)]
    pub(super) struct Ends(Infallible);

    /// What moving bytes into a pipe gave.
    #[derive(Debug)]
    #[expect(dead_code, reason = "no pipe gives anything")]
    pub(crate) enum Moved {
        Bytes(usize),
        Nothing,
        Refused,
    }

    impl Ends {
        pub(super) const fn open() -> Option<Self> {
            None
        }

        pub(super) const fn is_empty(&self) -> bool {
            match self.0 {}
        }

        pub(super) fn fill(&mut self, _from: &TcpStream, _most: usize) -> io::Result<Moved> {
            match self.0 {}
        }

        pub(super) fn empty(&mut self, _to: &TcpStream) -> io::Result<usize> {
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
        // One that is not given back counts no longer.
        drop(pool.take().unwrap());
        assert_eq!(pool.taken.get(), 0);
    }

    #[test]
    fn there_are_none_where_the_system_refuses_them() {
        let pool = PipePool::default();
        pool.refuse();
        assert!(pool.take().is_none());
    }
}
