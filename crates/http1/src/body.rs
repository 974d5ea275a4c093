//! Body decoding: which bytes of the input are content, where the message ends, and what its trailers were.
//! Two ways to use one decoder: `decode` strips the framing, `pass` validates it and leaves it in place for a
//! peer that speaks the same framing.

use std::ops::Range;

use crate::chunked::{Chunked, Step};
use crate::error::BodyError;
use crate::limits::Limits;
use crate::message::BodyFraming;

#[derive(Debug, Clone)]
enum State {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Complete,
}

/// Progress within one body. Not reusable: every message gets a new one.
#[derive(Debug, Clone)]
pub struct BodyDecoder {
    state: State,
    content: u64,
    keep_trailers: bool,
    trailers: Vec<u8>,
}

/// What [`BodyDecoder::decode`] took from the front of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes were taken. Bytes beyond belong to the next call, or to the next message once the body
    /// is complete.
    pub consumed: usize,
    /// Which of these are content: the last ones, possibly none.
    pub content: Range<usize>,
}

impl BodyDecoder {
    /// A decoder at the start of a body.
    pub const fn new(framing: BodyFraming, limits: Limits) -> Self {
        let state = match framing {
            BodyFraming::None | BodyFraming::Length(0) => State::Complete,
            BodyFraming::Length(length) => State::Length(length),
            BodyFraming::Chunked => State::Chunked(Chunked::new(limits)),
            BodyFraming::UntilClose => State::UntilClose,
        };
        Self { state, content: 0, keep_trailers: false, trailers: Vec::new() }
    }

    /// Keeps the trailers for [`trailers`](Self::trailers). Otherwise they are checked and forgotten, as a
    /// recipient that removes the chunking may (RFC 9112 section 7.1.2).
    #[must_use]
    pub const fn keeping_trailers(mut self) -> Self {
        self.keep_trailers = true;
        self
    }

    /// Whether the whole message was taken.
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Bytes of content taken so far, without framing and trailers.
    pub const fn content_bytes(&self) -> u64 {
        self.content
    }

    /// Bytes of content still to come, where that is known.
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Complete => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// How many of the bytes that come next are content, whatever they are: none where framing may come first.
    pub const fn unframed(&self) -> u64 {
        match self.state {
            State::Length(left) => left,
            State::UntilClose => u64::MAX,
            State::Chunked(_) | State::Complete => 0,
        }
    }

    /// `n` bytes of content went by without being looked at; as many of them count as [`unframed`](Self::unframed) allows.
    pub fn take_unseen(&mut self, n: u64) {
        let taken = n.min(self.unframed());
        self.content += taken;
        if let State::Length(left) = &mut self.state {
            *left -= taken;
            if *left == 0 {
                self.state = State::Complete;
            }
        }
    }

    /// Takes framing and at most one stretch of content from the front of `input`. Call again with the rest
    /// until the body is complete or the input is used up; takes nothing once it is complete.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        let mut consumed = 0;
        while consumed < input.len() && !self.is_complete() {
            let rest = &input[consumed..];
            let (taken, is_content) = self.step(rest)?;
            consumed += taken;
            if is_content {
                self.content += taken as u64;
                return Ok(Decoded { consumed, content: consumed - taken..consumed });
            }
        }
        Ok(Decoded { consumed, content: consumed..consumed })
    }

    /// Validates the front of `input` and says how many of its bytes, framing and trailers included, belong
    /// to this message: they can be forwarded as they are to a peer to whom the message was announced with
    /// the same framing. 0 once complete.
    ///
    /// A byte is vouched for when everything before it was valid: after an error close the forwarding side
    /// without ending the message.
    pub fn pass(&mut self, input: &[u8]) -> Result<usize, BodyError> {
        let mut consumed = 0;
        while consumed < input.len() && !self.is_complete() {
            let (taken, is_content) = self.step(&input[consumed..])?;
            consumed += taken;
            if is_content {
                self.content += taken as u64;
            }
        }
        Ok(consumed)
    }

    /// The connection was closed by the peer: completes a body that ends so, and is an error inside any
    /// other.
    pub fn on_close(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Complete => Ok(()),
            State::UntilClose => {
                self.state = State::Complete;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => Err(BodyError::Truncated),
        }
    }

    /// The trailer lines as they came, each with its CRLF; empty unless they were to be kept. Whole once the
    /// body is complete.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// The trailers as name and value, in order.
    pub fn trailer_fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.trailers.split(|b| *b == b'\n').filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }

    /// One stretch: how many bytes, and whether they are content.
    #[inline]
    fn step(&mut self, input: &[u8]) -> Result<(usize, bool), BodyError> {
        match &mut self.state {
            State::Length(left) => {
                let taken = usize::try_from(*left).map_or(input.len(), |most| most.min(input.len()));
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::Complete;
                }
                Ok((taken, true))
            }
            State::Chunked(chunked) => {
                let step = chunked.step(input)?;
                if chunked.is_done() {
                    self.state = State::Complete;
                }
                Ok(match step {
                    Step::Framing(taken) => (taken, false),
                    Step::Content(taken) => (taken, true),
                    Step::Trailer(taken) => {
                        if self.keep_trailers {
                            self.trailers.extend_from_slice(&input[..taken]);
                        }
                        (taken, false)
                    }
                })
            }
            State::UntilClose => Ok((input.len(), true)),
            State::Complete => Ok((0, false)),
        }
    }
}
