//! One request over a connection of its own, and its answer taken apart.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// An answer as it came, with chunks put together.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in small letters, in the order sent.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends `bytes` and reads until the other side closes.
pub(super) fn ask(address: SocketAddr, bytes: &[u8]) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    // A server that has enough before the end is heard all the same.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return Err(error).context("no answer");
    }
    let is_head = bytes.starts_with(b"HEAD ");
    parse(&answer, is_head)
}

fn parse(bytes: &[u8], is_head: bool) -> anyhow::Result<Answer> {
    if bytes.is_empty() {
        return Ok(Answer::default());
    }
    let end = find(bytes, b"\r\n\r\n").context("no end of the head")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    let rest = &bytes[end + 4..];
    if status == 100 {
        return parse(rest, is_head);
    }
    let mut answer = Answer { status, headers: fields(lines), ..Answer::default() };
    if is_head {
        answer.body = rest.to_vec();
    } else if answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        let mut rest = rest;
        loop {
            let end = find(rest, b"\r\n").context("no end of a chunk's size")?;
            let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16)?;
            rest = &rest[end + 2..];
            if size == 0 {
                break;
            }
            if rest.len() < size + 2 {
                bail!("a chunk broke off");
            }
            answer.body.extend_from_slice(&rest[..size]);
            rest = &rest[size + 2..];
        }
        answer.trailers = fields(String::from_utf8_lossy(rest).split("\r\n"));
    } else {
        answer.body = rest.to_vec();
    }
    Ok(answer)
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.filter_map(field).collect()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// The frames that a WebSocket server sent, each in a word or two: what it carries, or the code it closes with.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match (*second & 0x7F, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (short, rest) => (usize::from(short), rest),
        };
        let payload = &rest[..length.min(rest.len())];
        bytes = &rest[length.min(rest.len())..];
        frames.push(match (first & 0x0F, payload) {
            (8, [a, b, ..]) => format!("close {}", u16::from_be_bytes([*a, *b])),
            (kind, payload) => {
                format!(
                    "{}{kind} {}",
                    if first & 0x80 == 0 { "part of " } else { "" },
                    String::from_utf8_lossy(payload)
                )
            }
        });
    }
    frames
}

/// A frame as a client sends it; masked with zeros, which leaves its bytes as they are.
pub(super) fn frame(kind: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or(125).min(125);
    let mut frame = vec![kind | if is_last { 0x80 } else { 0 }, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(&payload[..usize::from(length)]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_and_trailers_read() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-A: 1\r\n\r\n";
        let answer = parse(bytes, false).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"abc"[..]));
        assert_eq!(answer.trailers, [("x-a".to_owned(), "1".to_owned())]);
        assert!(parse(&bytes[..60], false).is_err());
    }

    #[test]
    fn frames_are_told_in_words() {
        assert_eq!(frames(b"\x81\x02hi\x88\x04\x03\xe8no"), ["1 hi", "close 1000"]);
        assert_eq!(frame(1, true, b"hi"), b"\x81\x82\0\0\0\0hi");
    }
}
