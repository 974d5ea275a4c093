//! Finds the end of a head in bytes that arrive piece by piece, looking at each byte once. Decides only where
//! the head ends and refuses early what could never become one; what the head says is for `parse_request` and
//! `parse_response`.

use crate::error::HeadError;
use crate::limits::Limits;
use crate::name::is_token_byte;

/// Which end of a connection sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// Resumable search for the end of a head. One per connection and direction; ready for the next head after
/// each hit.
#[derive(Debug, Clone)]
pub struct HeadScanner {
    sender: Sender,
    limits: Limits,
    /// Bytes already looked at.
    seen: usize,
    /// Where the line that is being read starts.
    line_start: usize,
    /// The one empty line that may precede a request was seen.
    led_by_empty_line: bool,
}

impl HeadScanner {
    /// For heads sent by clients. One empty line before the request line is tolerated (RFC 9112 section 2.2).
    pub const fn for_requests(limits: Limits) -> Self {
        Self::new(Sender::Client, limits)
    }

    /// For heads sent by servers.
    pub const fn for_responses(limits: Limits) -> Self {
        Self::new(Sender::Server, limits)
    }

    const fn new(sender: Sender, limits: Limits) -> Self {
        Self { sender, limits, seen: 0, line_start: 0, led_by_empty_line: false }
    }

    /// Forgets a head that was begun.
    pub const fn reset(&mut self) {
        *self = Self::new(self.sender, self.limits);
    }

    /// Looks at the bytes that were added since the last call. `buf` starts where the head starts and only
    /// ever grows between calls; it may go on beyond the head.
    ///
    /// `Some(n)`: the head is `buf[..n]`, and the scanner is ready for the next one. `None`: read more.
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, HeadError> {
        // Also where the tolerated empty line came alone, and its line begins only now.
        if self.at_first_line() {
            self.check_first_byte(buf)?;
        }
        let start = self.seen.min(buf.len());
        for offset in memchr::memchr_iter(b'\n', &buf[start..]) {
            let line_feed = start + offset;
            if line_feed == 0 || buf[line_feed - 1] != b'\r' || line_feed == self.line_start {
                return Err(HeadError::LineEnding);
            }
            let empty = line_feed - self.line_start == 1;
            if empty && !self.at_first_line() {
                let end = line_feed + 1;
                if end > self.limits.max_head_bytes {
                    return Err(HeadError::TooLarge);
                }
                self.reset();
                return Ok(Some(end));
            }
            if empty {
                if self.led_by_empty_line || self.sender == Sender::Server {
                    return Err(HeadError::LineEnding);
                }
                self.led_by_empty_line = true;
            }
            self.line_start = line_feed + 1;
            if empty {
                self.check_first_byte(buf)?;
            }
        }
        if buf.len() > self.limits.max_head_bytes {
            return Err(HeadError::TooLarge);
        }
        // A whole head is checked by the parser; half a head should not have to wait for its end to be
        // refused.
        if memchr::memchr(0, &buf[start..]).is_some() {
            return Err(HeadError::FieldValue);
        }
        self.seen = buf.len();
        Ok(None)
    }

    /// No line but the tolerated empty one has ended yet.
    const fn at_first_line(&self) -> bool {
        self.line_start == if self.led_by_empty_line { 2 } else { 0 }
    }

    /// Refuses TLS and other binary protocols on their first byte, before they keep a connection waiting for
    /// a CRLF.
    fn check_first_byte(&self, buf: &[u8]) -> Result<(), HeadError> {
        let Some(&first) = buf.get(self.line_start) else { return Ok(()) };
        let valid = match self.sender {
            Sender::Client => is_token_byte(first) || matches!(first, b'\r' | b'\n'),
            Sender::Server => matches!(first, b'H' | b'\r' | b'\n'),
        };
        if valid { Ok(()) } else { Err(HeadError::NotHttp) }
    }
}
