//! Finds the end of a head in bytes that arrive piece by piece, looking at hardly any byte twice. Decides only where
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
        Self { sender, limits, seen: 0 }
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
        self.check_first_line(buf)?;
        let seen = self.seen.min(buf.len());
        // The last two bytes may have begun what ends the head.
        if let Some(end) = end_of_head(buf, seen.saturating_sub(2))? {
            if end > self.limits.max_head_bytes {
                return Err(HeadError::TooLarge);
            }
            self.reset();
            return Ok(Some(end));
        }
        if buf.len() > self.limits.max_head_bytes {
            return Err(HeadError::TooLarge);
        }
        // A whole head is checked by the parser; half a head should not have to wait for its end to be
        // refused.
        if memchr::memchr(0, &buf[seen..]).is_some() {
            return Err(HeadError::FieldValue);
        }
        self.seen = buf.len();
        Ok(None)
    }

    /// Refuses more than the one empty line that may precede a request, and TLS and other binary protocols on their
    /// first byte, before they keep a connection waiting for a CRLF.
    fn check_first_line(&self, buf: &[u8]) -> Result<(), HeadError> {
        let line = match self.sender {
            Sender::Client => buf.strip_prefix(b"\r\n").unwrap_or(buf),
            Sender::Server => buf,
        };
        match (line, self.sender) {
            ([b'\n', ..] | [b'\r', b'\n', ..], _) => Err(HeadError::LineEnding),
            ([] | [b'\r', ..], _) | ([b'H', ..], Sender::Server) => Ok(()),
            ([first, ..], Sender::Client) if is_token_byte(*first) => Ok(()),
            _ => Err(HeadError::NotHttp),
        }
    }
}

/// Bytes that are compared at a time.
const BLOCK: usize = 32;

/// Where the head ends, if its last line does at `from` or behind it. Up to there no LF stands alone.
#[inline]
fn end_of_head(buf: &[u8], from: usize) -> Result<Option<usize>, HeadError> {
    let mut start = from;
    while let Some(block) = buf.get(start..).and_then(<[u8]>::first_chunk)
        && !tells(block)
    {
        start += BLOCK;
    }
    for (line_feed, _) in buf.iter().enumerate().skip(start).filter(|(_, byte)| **byte == b'\n') {
        if !buf[..line_feed].ends_with(b"\r") {
            return Err(HeadError::LineEnding);
        }
        if buf[line_feed + 1..].starts_with(b"\r\n") {
            return Ok(Some(line_feed + 3));
        }
    }
    Ok(None)
}

/// Whether there is the end of a line before an empty one, or an LF alone. Without a branch, so that all pairs are compared at once.
#[inline]
fn tells(block: &[u8; BLOCK + 1]) -> bool {
    let pairs = block[..BLOCK].iter().zip(&block[1..]);
    let told = pairs.fold(0, |told, (one, next)| {
        let empty = u8::from(*one == b'\n') & u8::from(*next == b'\r');
        let alone = u8::from(*one != b'\r') & u8::from(*next == b'\n');
        told | empty | alone
    });
    told != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_once(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        HeadScanner::for_requests(Limits::default()).scan(bytes)
    }

    /// What the last byte tells that is needed.
    fn byte_by_byte(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let mut scanner = HeadScanner::for_requests(Limits::default());
        let found = (1..=bytes.len()).find_map(|n| scanner.scan(&bytes[..n]).transpose());
        found.transpose()
    }

    /// Heads that end at each place of a block, and each of them with each of its bytes made one that ends lines or half of it.
    #[test]
    fn a_head_that_comes_whole_ends_where_it_ends_byte_by_byte() {
        for length in 0..2 * BLOCK {
            let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(length)).into_bytes();
            let came = [&head[..], b"POST / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(at_once(&came), Ok(Some(head.len())));
            for at in 0..came.len() {
                for byte in [b'\r', b'\n'] {
                    let mut other = came.clone();
                    other[at] = byte;
                    assert_eq!(at_once(&other), byte_by_byte(&other), "{}", other.escape_ascii());
                }
            }
        }
    }
}
