//! The one caller and the one origin around a proxy whose work is counted: each message in one piece, nothing at the same
//! time, so that two runs do the same.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};

/// Starts an origin that answers every request with these bytes. It ends with the process.
pub(super) fn origin(answer: Vec<u8>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &answer));
        }
    });
    Ok(address)
}

/// Until the proxy hangs up.
fn serve(mut stream: TcpStream, answer: &[u8]) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    while read_message(&mut stream, &mut input)?.is_some() {
        stream.write_all(answer)?;
    }
    Ok(())
}

/// One connection to the proxy.
pub(super) struct Caller {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Caller {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, input: Vec::new() })
    }

    /// So many calls, one after the other; each must be answered with this status.
    pub(super) fn call(&mut self, request: &[u8], status: u16, times: u64) -> anyhow::Result<()> {
        let expected = format!("HTTP/1.1 {status} ");
        for _ in 0..times {
            self.stream.write_all(request)?;
            let head = read_message(&mut self.stream, &mut self.input)?.context("the proxy hung up")?;
            ensure!(head.starts_with(&expected), "expected {status}, got {head}");
        }
        Ok(())
    }
}

/// The head of the next message, whose body is read to its end; `None` at the end of the connection.
fn read_message(stream: &mut TcpStream, input: &mut Vec<u8>) -> anyhow::Result<Option<String>> {
    let mut chunk = [0; 16_384];
    input.clear();
    let (head, whole) = loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            ensure!(input.is_empty(), "the connection ended within a message");
            return Ok(None);
        }
        input.extend_from_slice(&chunk[..read]);
        if let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&input[..end]).into_owned();
            let length = content_length(&head);
            break (head, end + 4 + length);
        }
    };
    while input.len() < whole {
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "the connection ended within a body");
        input.extend_from_slice(&chunk[..read]);
    }
    Ok(Some(head))
}

fn content_length(head: &str) -> usize {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_by_the_origin_whatever_the_length_of_its_body() {
        let body = "x".repeat(100_000);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut caller = Caller::connect(origin(answer.into_bytes()).unwrap()).unwrap();
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        caller.call(request.as_bytes(), 200, 3).unwrap();
        assert!(caller.call(request.as_bytes(), 503, 1).is_err());
    }
}
