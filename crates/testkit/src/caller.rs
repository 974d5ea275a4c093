//! A client of the proxy under test: one request at a time, on a connection of its own or, by HTTP/2, on one that it may share;
//! no retries, no forgiveness.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::door::{Door, Presence};

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The head as it came; empty by HTTP/2.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (candidate, value) = line.split_once(':')?;
            candidate.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A client with at most one connection.
pub struct Caller {
    door: Door,
    keep_alive: bool,
    /// The connection is closed before it is counted as such.
    stream: Option<(TcpStream, Presence)>,
    line: Option<Line>,
}

/// A connection of HTTP/2, made when the first of its callers needs it. Clones are the same one; it ends with the last of them.
#[derive(Clone)]
pub struct Line {
    door: Door,
    opened: Arc<OnceCell<Opened>>,
}

struct Opened {
    streams: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

impl Line {
    /// Will come in by this door.
    pub fn new(door: Door) -> Self {
        Self { door, opened: Arc::default() }
    }

    async fn streams(&self) -> io::Result<SendRequest<Bytes>> {
        let connect = async || {
            let (socket, presence) = self.door.connect().await?;
            let (streams, frames) = h2::client::handshake(socket).await.map_err(io::Error::other)?;
            // Its callers hear of its end.
            let driver = tokio::spawn(async move {
                drop(frames.await);
                drop(presence);
            });
            Ok(Opened { streams, driver })
        };
        self.opened.get_or_try_init(connect).await.map(|opened| opened.streams.clone())
    }

    async fn ask(&self, method: &str, target: &str) -> io::Result<Answer> {
        let request = Request::builder().method(method).uri(format!("http://origin{target}"));
        let request = request.body(()).map_err(io::Error::other)?;
        let mut streams = self.streams().await?.ready().await.map_err(io::Error::other)?;
        let (answer, _) = streams.send_request(request, true).map_err(io::Error::other)?;
        let (head, mut stream) = answer.await.map_err(io::Error::other)?.into_parts();
        let mut body = Vec::new();
        while let Some(part) = stream.data().await {
            let part = part.map_err(io::Error::other)?;
            stream.flow_control().release_capacity(part.len()).map_err(io::Error::other)?;
            body.extend_from_slice(&part);
        }
        Ok(Answer { status: head.status.as_u16(), head: String::new(), body })
    }
}

impl Caller {
    /// Will come in by this door when it has something to say, or before ([`Self::connect`]).
    pub fn new(door: impl Into<Door>, keep_alive: bool) -> Self {
        Self { door: door.into(), keep_alive, stream: None, line: None }
    }

    /// Will ask by HTTP/2 on this line. A call that is dropped resets its stream.
    pub fn on(line: Line) -> Self {
        Self { door: line.door.clone(), keep_alive: true, stream: None, line: Some(line) }
    }

    /// Has a connection, unless there is one.
    pub async fn connect(&mut self) -> io::Result<()> {
        match &self.line {
            Some(line) => line.streams().await.map(drop),
            None => self.socket().await.map(drop),
        }
    }

    async fn socket(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            self.stream = Some(self.door.connect().await?);
        }
        self.stream.as_mut().map(|(stream, _)| stream).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// `GET target`, and the answer to it.
    pub async fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.ask("GET", target).await
    }

    /// A request without a body, and the answer to it.
    pub async fn ask(&mut self, method: &str, target: &str) -> io::Result<Answer> {
        if let Some(line) = &self.line {
            return line.ask(method, target).await;
        }
        self.send_as(method, target).await?;
        self.receive().await
    }

    /// Sends `GET target` by HTTP/1.1, without waiting for the answer.
    pub async fn send(&mut self, target: &str) -> io::Result<()> {
        self.send_as("GET", target).await
    }

    async fn send_as(&mut self, method: &str, target: &str) -> io::Result<()> {
        let length = if method == "GET" { "" } else { "content-length: 0\r\n" };
        let connection = if self.keep_alive { "" } else { "connection: close\r\n" };
        let head = format!("{method} {target} HTTP/1.1\r\nhost: origin\r\n{length}{connection}\r\n");
        self.socket().await?.write_all(head.as_bytes()).await
    }

    /// Reads one answer, which must say its length. Where that says `connection: close` the connection is closed at once: an
    /// eager caller does not wait until the other side has, and a RST leaves no port behind in TIME-WAIT.
    pub async fn receive(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::with_capacity(512);
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more(&mut bytes).await?;
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            head,
            body: bytes.split_off(head_end),
        };
        let length = answer.header("content-length").and_then(|value| value.parse().ok());
        let length: usize = length.ok_or(io::ErrorKind::InvalidData)?;
        while answer.body.len() < length {
            self.read_more(&mut answer.body).await?;
        }
        if answer.body.len() > length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes than announced"));
        }
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.abort(true);
        }
        Ok(answer)
    }

    /// Gives up: closes a connection of its own, with a RST if `reset`.
    pub fn abort(&mut self, reset: bool) {
        let Some(connection) = self.stream.take() else { return };
        if reset {
            // Without the option the close is a FIN, which is as good an abort.
            drop(SockRef::from(&connection.0).set_linger(Some(Duration::ZERO)));
        }
    }

    /// Goes away. The last one on a line waits until that is closed.
    pub async fn end(self) {
        let opened = self.line.and_then(|line| Arc::into_inner(line.opened)?.into_inner());
        if let Some(Opened { streams, driver }) = opened {
            drop(streams);
            drop(driver.await);
        }
    }

    async fn read_more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let (stream, _) = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match stream.read_buf(into).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
