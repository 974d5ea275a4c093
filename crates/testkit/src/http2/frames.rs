//! Frames of HTTP/2 by hand, for peers that say what no library would: one end of a connection, its frames as they come and go.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::DEADLINE;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kinds of frames (RFC 9113 section 6).
#[allow(missing_docs, reason = "the names are the RFC's")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Bytes that a frame begins with: its length, kind and flags, and its stream.
const HEAD: usize = 9;

/// On DATA and HEADERS.
pub const END_STREAM: u8 = 0x1;
/// On HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;
/// On SETTINGS and PING.
pub const ACK: u8 = 0x1;

/// `SETTINGS_MAX_CONCURRENT_STREAMS`
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
/// `SETTINGS_INITIAL_WINDOW_SIZE`
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Any.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// SETTINGS.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let setting = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        Self::new(kind::SETTINGS, 0, 0, settings.iter().flat_map(setting).collect::<Vec<_>>())
    }

    /// A head that is all of its message; names and values up to 126 bytes.
    pub fn head(stream: u32, fields: &[(&str, &str)]) -> Self {
        Self::new(kind::HEADERS, END_STREAM | END_HEADERS, stream, block(fields))
    }

    /// 200 with a body of 5 bytes, as two frames.
    pub fn hello(stream: u32) -> [Self; 2] {
        let head = block(&[(":status", "200"), ("content-length", "5")]);
        [
            Self::new(kind::HEADERS, END_HEADERS, stream, head),
            Self::new(kind::DATA, END_STREAM, stream, "hello"),
        ]
    }

    /// GET of `path` of `shop`.
    pub fn get(stream: u32, path: &str) -> Self {
        Self::head(
            stream,
            &[(":method", "GET"), (":scheme", "http"), (":authority", "shop"), (":path", path)],
        )
    }

    /// Makes room for so many bytes.
    pub fn window(stream: u32, bytes: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())
    }

    /// The next one, where reading waits.
    pub fn read(from: &mut impl io::Read) -> io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        let (mut frame, length) = Self::of_head(head);
        frame.payload.resize(length, 0);
        from.read_exact(&mut frame.payload)?;
        Ok(frame)
    }

    /// What its head says, and the length of what is to be in it.
    fn of_head([high, middle, low, kind, flags, stream @ ..]: [u8; HEAD]) -> (Self, usize) {
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        (Self::new(kind, flags, stream, []), u32::from_be_bytes([0, high, middle, low]) as usize)
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame").to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }
}

/// Fields that are not compressed (RFC 7541 section 6.2.2), each up to 126 bytes.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
        [&[length], text.as_bytes()].concat()
    };
    let field = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    fields.iter().flat_map(field).collect()
}

/// One end of a connection.
#[derive(Debug)]
pub struct Frames {
    socket: TcpStream,
    came: Vec<u8>,
    sent: usize,
    received: usize,
}

impl Frames {
    /// Connects, and says nothing yet.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(timeout(DEADLINE, TcpStream::connect(address)).await.expect("in time").unwrap())
    }

    /// Over what is connected already.
    pub fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self { socket, came: Vec::new(), sent: 0, received: 0 }
    }

    /// Takes a client's connection, and says which settings this host has.
    pub async fn accept(listener: &TcpListener, settings: &[(u16, u32)]) -> Self {
        let (socket, _) = timeout(DEADLINE, listener.accept()).await.expect("in time").unwrap();
        let mut frames = Self::over(socket);
        assert_eq!(frames.take(PREFACE.len()).await.as_deref(), Some(PREFACE));
        frames.send_all(&[Frame::settings(settings)]).await;
        frames
    }

    /// All bytes that were sent, and all that came.
    pub const fn traffic(&self) -> (usize, usize) {
        (self.sent, self.received)
    }

    /// Sends bytes; the other side must take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("sending");
    }

    /// Sends bytes to a side that may have gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        timeout(DEADLINE, self.socket.write_all(bytes.as_ref())).await??;
        self.sent += bytes.as_ref().len();
        Ok(())
    }

    /// Sends frames.
    pub async fn send_all(&mut self, frames: &[Frame]) {
        self.send(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>()).await;
    }

    /// The next line, without its end: before the first frame.
    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.came.windows(2).position(|two| two == b"\r\n") {
                let line = self.came.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).unwrap();
            }
            assert!(self.fill().await, "no line, but {:?}", self.came);
        }
    }

    /// Takes so many bytes; `None`: there was the end before.
    pub async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.came.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.came.drain(..count).collect())
    }

    /// The next frame; `None`: the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let head = self.take(HEAD).await?;
        let (frame, length) = Frame::of_head(head.try_into().ok()?);
        Some(Frame { payload: self.take(length).await?, ..frame })
    }

    /// The next frame of that kind; others are passed over.
    pub async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("a frame, and not the end");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next frame of that kind and stream; others are passed over.
    pub async fn until(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.expect("a frame, and not the end");
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
        }
    }

    /// Waits for the end of the connection; whatever came before it.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.came)
    }

    /// False: there is nothing more, or the connection was reset.
    async fn fill(&mut self) -> bool {
        let read = timeout(DEADLINE, self.socket.read_buf(&mut self.came)).await.expect("something in time");
        self.received += read.as_ref().unwrap_or(&0);
        matches!(read, Ok(n) if n > 0)
    }
}
