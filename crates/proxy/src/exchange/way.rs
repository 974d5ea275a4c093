//! How a body's bytes are taken: through a usual buffer; through a large one, once a read has filled a usual one; or, where both
//! sides are plain and much is still to come that nobody looks at, moved by the system through a pipe.

use std::io;
use std::task::Context;

use fuseboard_http1::BodyDecoder;

use crate::buffer::{BUFFER_SIZE, Buffer, LARGE_SIZE};
use crate::stream::{Moved, Pipe, Wire};
use crate::worker::Worker;

/// Bytes that one exchange may carry before others have their turn.
const TURN: usize = 1 << 20;

/// The way of one body.
#[derive(Debug)]
pub(super) struct Way {
    /// The last read gave so much that more than a message is on its way.
    much: bool,
    pipe: Option<Pipe>,
}

impl Way {
    /// `much`: what was read with the head has filled a buffer.
    pub(super) const fn new(much: bool) -> Self {
        Self { much, pipe: None }
    }

    /// So many bytes were read at once, into `buffer`.
    pub(super) const fn read(&mut self, n: usize, buffer: &Buffer) {
        self.much = n >= BUFFER_SIZE || (n > 0 && !buffer.has_room());
    }

    /// Makes room in `buffer` for what comes.
    pub(super) fn make_room(&self, worker: &Worker, buffer: &mut Buffer, body: &BodyDecoder) {
        if self.much && body.remaining().is_none_or(|left| left > BUFFER_SIZE as u64) {
            worker.buffers.enlarge(buffer);
        } else if !buffer.is_present() {
            *buffer = worker.buffers.take();
        }
        buffer.make_room(BUFFER_SIZE);
    }

    /// Moves bytes of `body` into a pipe, from where they go to `to`; `None`: they are to be read. Nothing is in the pipe.
    pub(super) fn take(
        &mut self,
        worker: &Worker,
        from: &mut Wire<'_>,
        to: &Wire<'_>,
        body: &mut BodyDecoder,
    ) -> io::Result<Option<usize>> {
        if !self.much || body.unframed() < LARGE_SIZE as u64 || !from.is_plain() || !to.is_plain() {
            return Ok(None);
        }
        self.pipe = self.pipe.take().or_else(|| worker.pipes.take());
        let Some(pipe) = &mut self.pipe else { return Ok(None) };
        match from.move_into(pipe, usize::try_from(body.unframed()).unwrap_or(usize::MAX))? {
            // Reading says how it ended.
            Moved::Bytes(0) | Moved::Nothing => Ok(None),
            Moved::Bytes(n) => {
                self.much = n >= BUFFER_SIZE;
                body.take_unseen(n as u64);
                Ok(Some(n))
            }
            Moved::Refused => {
                worker.pipes.refuse();
                Ok(None)
            }
        }
    }

    /// The pipe, while something is in it.
    pub(super) fn moving(&mut self) -> Option<&mut Pipe> {
        self.pipe.as_mut().filter(|pipe| !pipe.is_empty())
    }

    /// Gives the pipe back.
    pub(super) fn leave(&mut self, worker: &Worker) {
        if let Some(pipe) = self.pipe.take() {
            worker.pipes.give(pipe);
        }
    }
}

/// Bytes carried since others had their turn.
#[derive(Debug, Default)]
pub(super) struct Turn(usize);

impl Turn {
    pub(super) const fn took(&mut self, n: usize) {
        self.0 += n;
    }

    /// Whether others are next. The task is woken again then.
    pub(super) fn is_over(&self, cx: &Context<'_>) -> bool {
        let over = self.0 >= TURN;
        if over {
            cx.waker().wake_by_ref();
        }
        over
    }
}
