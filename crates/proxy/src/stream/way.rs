//! How bytes are taken that go from one connection to another: through a usual buffer; through a large one, once a read has
//! filled a usual one; or, where both sides are plain and much is still to come that nobody looks at, moved by the system through
//! a pipe.

use std::io;
use std::rc::Rc;
use std::task::Context;

use super::pipe::{Moved, Pipe, PipePool};
use super::wire::Wire;
use crate::buffer::{BUFFER_SIZE, Buffer, BufferPool, LARGE_SIZE};

/// Bytes that one direction may carry before others have their turn.
const TURN: usize = 1 << 20;

/// The way of one body, or of one direction of a tunnel.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// The last read gave so much that more than a message is on its way.
    much: bool,
    /// A pipe, and whose it is.
    lent: Option<(Pipe, Rc<PipePool>)>,
}

impl Way {
    /// `much`: what was read before has filled a buffer.
    pub(crate) const fn new(much: bool) -> Self {
        Self { much, lent: None }
    }

    /// So many bytes were read at once, into `buffer`.
    pub(crate) const fn read(&mut self, n: usize, buffer: &Buffer) {
        self.much = n >= BUFFER_SIZE || (n > 0 && !buffer.has_room());
    }

    /// Makes room in `buffer` for what comes: so many bytes, where that is known.
    pub(crate) fn make_room(&self, buffers: &BufferPool, buffer: &mut Buffer, left: Option<u64>) {
        if self.much && left.is_none_or(|left| left > BUFFER_SIZE as u64) {
            buffers.enlarge(buffer);
        } else if !buffer.is_present() {
            *buffer = buffers.take();
        }
        buffer.make_room(BUFFER_SIZE);
    }

    /// Moves bytes into a pipe, from where they go to `to`: as many as there are of the next `most`, at which nobody looks. `None`:
    /// they are to be read, be it to learn how they ended. Nothing is in the pipe.
    pub(crate) fn take(
        &mut self,
        pipes: &Rc<PipePool>,
        from: &mut Wire<'_>,
        to: &Wire<'_>,
        most: u64,
    ) -> io::Result<Option<usize>> {
        if !self.much || most < LARGE_SIZE as u64 || !from.is_plain() || !to.is_plain() {
            return Ok(None);
        }
        self.lent = self.lent.take().or_else(|| Some((pipes.take()?, Rc::clone(pipes))));
        let Some((pipe, _)) = &mut self.lent else { return Ok(None) };
        match from.move_into(pipe, usize::try_from(most).unwrap_or(usize::MAX))? {
            Moved::Bytes(0) | Moved::Nothing => Ok(None),
            Moved::Bytes(n) => {
                self.much = n >= BUFFER_SIZE;
                Ok(Some(n))
            }
            Moved::Refused => {
                pipes.refuse();
                Ok(None)
            }
        }
    }

    /// The pipe, while something is in it.
    pub(crate) fn moving(&mut self) -> Option<&mut Pipe> {
        self.lent.as_mut().map(|(pipe, _)| pipe).filter(|pipe| !pipe.is_empty())
    }

    /// Gives the pipe back, while nothing comes.
    pub(crate) fn rest(&mut self) {
        if let Some((pipe, pipes)) = self.lent.take() {
            pipes.give(pipe);
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.rest();
    }
}

/// Bytes carried since others had their turn.
#[derive(Debug, Default)]
pub(crate) struct Turn(usize);

impl Turn {
    pub(crate) const fn took(&mut self, n: usize) {
        self.0 += n;
    }

    /// Whether others are next. The task is woken again then.
    pub(crate) fn is_over(&self, cx: &Context<'_>) -> bool {
        let over = self.0 >= TURN;
        if over {
            cx.waker().wake_by_ref();
        }
        over
    }
}
