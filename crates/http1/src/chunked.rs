//! The chunked coding (RFC 9112 section 7.1) as a state machine over bytes that arrive in any pieces. Strict
//! where decoders are known to differ: size digits, line ends, white space, extensions, trailers. Copies
//! nothing; who keeps what is `body`'s choice.

use crate::error::BodyError;
use crate::limits::{Limits, MAX_CHUNK_EXTENSION, MAX_HEADERS};
use crate::name::{HeaderName, is_token_byte, is_value_byte};

/// Most digits of a chunk size, leading zeros included.
const MAX_SIZE_DIGITS: u8 = 16;

/// Largest chunk: implementations with signed 64-bit numbers disagree above.
const MAX_CHUNK: u64 = i64::MAX as u64;

/// The longest field name that can be a forbidden one; longer ones are recognised by their prefix.
const NAME_PREFIX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk size.
    Size {
        digits: u8,
        size: u64,
    },
    /// After the semicolon.
    Extension {
        size: u64,
        length: u32,
    },
    /// The CR of the size line was seen.
    SizeEnd {
        size: u64,
    },
    /// In chunk data; at 0 its CR is due.
    Data {
        remaining: u64,
    },
    /// The CR after the data was seen.
    DataEnd,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    TrailerName {
        length: u8,
    },
    TrailerValue,
    /// The CR of a trailer line was seen.
    TrailerEnd,
    /// The CR of the empty line was seen.
    LastEnd,
    Done,
}

/// Progress within one chunked body.
#[derive(Debug, Clone)]
pub(crate) struct Chunked {
    state: State,
    limits: Limits,
    trailer_bytes: usize,
    trailer_fields: usize,
    /// The start of the trailer name that is being read.
    name: [u8; NAME_PREFIX],
}

/// What one step took from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes of framing, not necessarily a whole line.
    Framing(usize),
    /// So many bytes of content.
    Content(usize),
    /// So many bytes of the trailer section, without the empty line that ends it.
    Trailer(usize),
}

impl Chunked {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            state: State::Size { digits: 0, size: 0 },
            limits,
            trailer_bytes: 0,
            trailer_fields: 0,
            name: [0; NAME_PREFIX],
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes one stretch from the start of `input`, which is not empty, while the body is not done.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        if let State::Data { remaining: remaining @ 1.. } = self.state {
            let taken = usize::try_from(remaining).map_or(input.len(), |most| most.min(input.len()));
            self.state = State::Data { remaining: remaining - taken as u64 };
            return Ok(Step::Content(taken));
        }
        let in_trailer = input.first().is_some_and(|byte| self.is_trailer_line(*byte));
        let mut taken = 0;
        for &byte in input {
            if taken > 0 && self.is_trailer_line(byte) != in_trailer {
                break;
            }
            self.state = self.next_state(byte)?;
            taken += 1;
            if matches!(self.state, State::Data { remaining: 1.. } | State::Done) {
                break;
            }
        }
        Ok(if in_trailer { Step::Trailer(taken) } else { Step::Framing(taken) })
    }

    /// Whether `byte`, the next one, is part of a trailer line rather than of the empty line after them.
    const fn is_trailer_line(&self, byte: u8) -> bool {
        match self.state {
            State::TrailerStart => byte != b'\r',
            State::TrailerName { .. } | State::TrailerValue | State::TrailerEnd => true,
            _ => false,
        }
    }

    fn next_state(&mut self, byte: u8) -> Result<State, BodyError> {
        match self.state {
            State::TrailerStart | State::TrailerName { .. } | State::TrailerValue | State::TrailerEnd => {
                self.trailer_byte(byte)
            }
            _ => self.framing_byte(byte),
        }
    }

    fn framing_byte(&self, byte: u8) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::Size { digits: 1.., size } | State::Extension { size, .. }, b'\r') => {
                Ok(State::SizeEnd { size })
            }
            // White space before the semicolon is "bad white space" (RFC 9112 section 7.1.1): refused,
            // decoders differ.
            (State::Size { digits: 1.., size }, b';') => Ok(State::Extension { size, length: 1 }),
            (State::Size { digits, size }, _) => add_digit(digits, size, byte),
            (State::Extension { size, length }, _) if is_value_byte(byte) && length < MAX_CHUNK_EXTENSION => {
                Ok(State::Extension { size, length: length + 1 })
            }
            (State::Extension { .. }, _) => Err(BodyError::ChunkExtension),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeEnd { size }, b'\n') => Ok(State::Data { remaining: size }),
            (State::Data { .. }, b'\r') => Ok(State::DataEnd),
            (State::DataEnd, b'\n') => Ok(State::Size { digits: 0, size: 0 }),
            (State::LastEnd, b'\n') => Ok(State::Done),
            _ => Err(BodyError::ChunkEnding),
        }
    }

    /// RFC 9112 section 7.1.2: field lines as in a head, then an empty line.
    fn trailer_byte(&mut self, byte: u8) -> Result<State, BodyError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.limits.max_head_bytes {
            return Err(BodyError::TrailersTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::LastEnd),
            (State::TrailerStart, _) if is_token_byte(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > self.limits.max_headers.min(MAX_HEADERS) {
                    return Err(BodyError::TrailersTooLarge);
                }
                self.name[0] = byte;
                Ok(State::TrailerName { length: 1 })
            }
            (State::TrailerName { length }, b':') => self.check_name(length),
            (State::TrailerName { length }, _) if is_token_byte(byte) => {
                if let Some(slot) = self.name.get_mut(usize::from(length)) {
                    *slot = byte;
                }
                Ok(State::TrailerName { length: length.saturating_add(1) })
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerValue, _) if is_value_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            _ => Err(BodyError::Trailer),
        }
    }

    fn check_name(&self, length: u8) -> Result<State, BodyError> {
        let name = &self.name[..usize::from(length).min(NAME_PREFIX)];
        if HeaderName::of(name).is_forbidden_in_trailers() {
            return Err(BodyError::ForbiddenTrailer);
        }
        Ok(State::TrailerValue)
    }
}

/// One more hexadecimal digit: no sign, no prefix, no separator, no overflow.
fn add_digit(digits: u8, size: u64, byte: u8) -> Result<State, BodyError> {
    let digit = char::from(byte).to_digit(16).ok_or(BodyError::ChunkSize)?;
    // Refused before the shift could lose a bit.
    if digits == MAX_SIZE_DIGITS || size > MAX_CHUNK >> 4 {
        return Err(BodyError::ChunkSize);
    }
    Ok(State::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
}
