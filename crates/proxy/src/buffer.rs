//! Buffers of one worker: taken when bytes come, given back when a connection is idle, so that idle connections hold none and
//! the few that are in use stay in the processor's cache.

use std::cell::RefCell;

use crate::free_list::FreeList;

/// Larger than a usual message with its head, so that one read takes it whole and shows that the socket is empty.
pub(crate) const BUFFER_SIZE: usize = 16 * 1024;

/// For a body of which one read has filled a usual buffer: each system call moves four times as much.
pub(crate) const LARGE_SIZE: usize = 64 * 1024;

/// What an output has room for at first: a usual head.
const OUTPUT_SIZE: usize = 1024;

/// Bytes read and not yet used: `data[start..end]`.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// These bytes, and no room.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.into(), start: 0, end: bytes.len() }
    }

    /// What was read and not yet consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Bytes read and not yet consumed.
    pub(crate) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether it has memory at all.
    pub(crate) const fn is_present(&self) -> bool {
        !self.data.is_empty()
    }

    /// Bytes that it can hold at all.
    pub(crate) const fn capacity(&self) -> usize {
        self.data.len()
    }

    /// Room after what is filled.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.data[self.end..]
    }

    pub(crate) const fn has_room(&self) -> bool {
        self.end < self.data.len()
    }

    /// `n` bytes of the room were filled.
    pub(crate) fn advance(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// The first `n` bytes were used.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Removes `n` bytes after the first `keep`; what follows moves up.
    pub(crate) fn remove(&mut self, keep: usize, n: usize) {
        let (to, from) = (self.start + keep, self.start + keep + n);
        if from <= self.end {
            self.data.copy_within(from..self.end, to);
            self.end -= n;
        }
    }

    /// Makes room at the end: moves what is filled to the front, then grows up to `limit` bytes. False: there is none.
    pub(crate) fn make_room(&mut self, limit: usize) -> bool {
        if self.has_room() {
            return true;
        }
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            return true;
        }
        let size = (self.data.len() * 2).clamp(BUFFER_SIZE, limit.max(BUFFER_SIZE));
        if size <= self.data.len() {
            return false;
        }
        let mut grown = vec![0; size].into_boxed_slice();
        grown[..self.end].copy_from_slice(&self.data[..self.end]);
        self.data = grown;
        true
    }
}

/// The worker's free lists.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    buffers: RefCell<FreeList<Box<[u8]>>>,
    large: RefCell<FreeList<Box<[u8]>>>,
    /// Each running exchange has two, and most are small.
    outputs: RefCell<FreeList<Vec<u8>>>,
}

impl BufferPool {
    /// An empty buffer with memory.
    pub(crate) fn take(&self) -> Buffer {
        let kept = self.buffers.borrow_mut().take();
        Buffer { data: kept.unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice()), start: 0, end: 0 }
    }

    /// Takes the memory of `buffer` back; what it held is lost.
    pub(crate) fn give(&self, buffer: &mut Buffer) {
        let data = std::mem::take(buffer).data;
        match data.len() {
            BUFFER_SIZE => self.buffers.borrow_mut().give(data),
            LARGE_SIZE => self.large.borrow_mut().give(data),
            _ => {}
        }
    }

    /// Moves what `buffer` holds into a large one, unless it is large already.
    pub(crate) fn enlarge(&self, buffer: &mut Buffer) {
        if buffer.capacity() >= LARGE_SIZE {
            return;
        }
        let kept = self.large.borrow_mut().take();
        let mut data = kept.unwrap_or_else(|| vec![0; LARGE_SIZE].into_boxed_slice());
        let held = buffer.filled();
        data[..held.len()].copy_from_slice(held);
        let large = Buffer { data, start: 0, end: held.len() };
        self.give(&mut std::mem::replace(buffer, large));
    }

    /// An empty vector for what is to be written.
    pub(crate) fn take_output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().take().unwrap_or_else(|| Vec::with_capacity(OUTPUT_SIZE))
    }

    /// Takes the memory of `output` back.
    pub(crate) fn give_output(&self, output: &mut Vec<u8>) {
        let mut output = std::mem::take(output);
        if output.capacity() > 0 && output.capacity() <= 2 * BUFFER_SIZE {
            output.clear();
            self.outputs.borrow_mut().give(output);
        }
    }

    /// Frees half of what nobody has needed since the last time. To be called a few times a second.
    pub(crate) fn thin(&self) {
        self.buffers.borrow_mut().thin();
        self.large.borrow_mut().thin();
        self.outputs.borrow_mut().thin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pool: &BufferPool, bytes: &[u8]) -> Buffer {
        let mut buffer = pool.take();
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.advance(bytes.len());
        buffer
    }

    #[test]
    fn removing_from_the_middle_keeps_what_is_before_and_after() {
        let pool = BufferPool::default();
        let mut buffer = filled(&pool, b"headBODYnext");
        buffer.remove(4, 4);
        assert_eq!(buffer.filled(), b"headnext");
    }

    #[test]
    fn a_full_buffer_moves_up_before_it_grows_and_stops_at_the_limit() {
        let pool = BufferPool::default();
        let mut buffer = filled(&pool, &[7; BUFFER_SIZE]);
        buffer.consume(10);
        assert!(buffer.make_room(BUFFER_SIZE));
        assert_eq!((buffer.len(), buffer.room().len()), (BUFFER_SIZE - 10, 10));
        buffer.advance(10);
        assert!(!buffer.make_room(BUFFER_SIZE), "the limit is reached");
        assert!(buffer.make_room(2 * BUFFER_SIZE));
        assert_eq!(buffer.room().len(), BUFFER_SIZE);
    }

    #[test]
    fn a_buffer_that_is_enlarged_keeps_what_it_holds_and_its_memory_is_used_again() {
        let pool = BufferPool::default();
        let mut buffer = filled(&pool, b"usedkept");
        buffer.consume(4);
        pool.enlarge(&mut buffer);
        assert_eq!(buffer.filled(), b"kept");
        assert_eq!(buffer.room().len(), LARGE_SIZE - 4);
        assert_eq!(pool.buffers.borrow().len(), 1);
        pool.give(&mut buffer);
        assert_eq!(pool.large.borrow().len(), 1);
        pool.enlarge(&mut buffer);
        assert!(buffer.is_empty() && buffer.capacity() == LARGE_SIZE && pool.large.borrow().len() == 0);
    }

    #[test]
    fn an_emptied_buffer_is_used_again() {
        let pool = BufferPool::default();
        let mut buffer = filled(&pool, b"abc");
        pool.give(&mut buffer);
        assert!(!buffer.is_present());
        assert!(pool.take().is_empty());
        assert_eq!(pool.buffers.borrow().len(), 0);
    }
}
