//! What comes on a stream, as the bytes of an HTTP/1.1 message. A frame's place in the window is given back when its bytes are
//! taken, and not before: who does not read on stops the sender.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use fuseboard_grpc::MessageCount;
use fuseboard_http1::write;
use h2::RecvStream;
use http::HeaderMap;

use super::broken;
use super::heads::{self, Body};

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: RecvStream,
    body: Body,
    /// Text that was made here, from `taken` on; it comes before the data.
    text: Vec<u8>,
    taken: usize,
    data: Bytes,
    state: State,
    /// Of a call of gRPC, where they are counted.
    messages: Option<MessageCount>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More may come.
    Data,
    /// A chunk's end is to be written when its data was taken.
    Chunk,
    /// The body has ended; trailers may follow.
    Trailers,
    /// Everything was made into bytes.
    Over,
}

impl Incoming {
    /// What follows the head, which is in `text` already.
    pub(super) const fn new(stream: RecvStream, body: Body, text: Vec<u8>) -> Self {
        let state = match body {
            Body::None => State::Over,
            Body::Bare(_) | Body::Chunks => State::Data,
        };
        Self { stream, body, text, taken: 0, data: Bytes::new(), state, messages: None }
    }

    /// The same, and its messages are counted.
    pub(super) fn counting_messages(self) -> Self {
        Self { messages: Some(MessageCount::default()), ..self }
    }

    pub(super) const fn counts_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// Messages that came since this was last asked; `None`: they are not counted.
    pub(super) fn take_messages(&mut self) -> Option<u64> {
        self.messages.as_mut().map(MessageCount::take)
    }

    /// Whether all of the message was read.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over) && self.taken == self.text.len()
    }

    /// Whether there is something to read without asking the stream.
    pub(super) fn has_something(&self) -> bool {
        self.taken < self.text.len() || !self.data.is_empty()
    }

    /// Fills `room` as far as something is there. Ready with 0: the message is over.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        while filled < room.len() {
            filled += self.take(&mut room[filled..])?;
            if self.has_something() {
                continue;
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Err(error)) if filled == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if filled == 0 => return Poll::Pending,
                // An error comes again with the next read.
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(filled))
    }

    /// Takes what is there.
    fn take(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let text = &self.text[self.taken..];
        if !text.is_empty() {
            let n = text.len().min(room.len());
            room[..n].copy_from_slice(&text[..n]);
            self.taken += n;
            if self.taken == self.text.len() {
                self.text.clear();
                self.taken = 0;
            }
            return Ok(n);
        }
        let n = self.data.len().min(room.len());
        self.data.copy_to_slice(&mut room[..n]);
        if n > 0 {
            self.stream.flow_control().release_capacity(n).map_err(broken)?;
        }
        Ok(n)
    }

    /// Asks the stream, with nothing left to take. False: the message is over.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match self.state {
            State::Over => return Poll::Ready(Ok(false)),
            State::Chunk => {
                self.text.extend_from_slice(b"\r\n");
                self.state = State::Data;
                return Poll::Ready(Ok(true));
            }
            State::Data => match self.stream.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(data)) => {
                    return Poll::Ready(data.map_err(broken).and_then(|data| self.data(data)));
                }
                Poll::Ready(None) => self.state = State::Trailers,
            },
            State::Trailers => {}
        }
        let Poll::Ready(trailers) = self.stream.poll_trailers(cx) else { return Poll::Pending };
        let trailers = trailers.map_err(broken)?;
        self.state = State::Over;
        match self.body {
            Body::Bare(1..) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            // A message whose length was announced has no place for trailers in HTTP/1.1.
            Body::Bare(0) | Body::None => Poll::Ready(Ok(true)),
            Body::Chunks => {
                heads::write_trailers(&trailers.unwrap_or_else(HeaderMap::new), &mut self.text);
                Poll::Ready(Ok(true))
            }
        }
    }

    fn data(&mut self, data: Bytes) -> io::Result<bool> {
        // An empty chunk would be the end.
        if data.is_empty() {
            return Ok(true);
        }
        if let Some(messages) = &mut self.messages {
            messages.pass(&data);
        }
        match &mut self.body {
            Body::Chunks => {
                write::chunk_size(&mut self.text, data.len());
                self.state = State::Chunk;
            }
            Body::Bare(left) => {
                let come = data.len() as u64;
                *left = left.checked_sub(come).ok_or(io::ErrorKind::InvalidData)?;
            }
            Body::None => {}
        }
        self.data = data;
        Ok(true)
    }
}
