//! Reading and writing messages on a raw socket, for both ends. Written apart from the codec under test on
//! purpose: it believes what a head says and checks little, so that a mistake in the codec does not hide
//! behind the same mistake here.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFailure {
    /// The peer closed; with what had come of the message.
    Closed(Vec<u8>),
    /// The connection was reset.
    Reset,
    /// Nothing more came before the deadline; with what had come.
    Deadline(Vec<u8>),
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Arc<TcpStream>,
    /// Read and not yet taken.
    pub(crate) buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads what is there; false at the end of the stream.
    pub(crate) async fn fill(&mut self) -> Result<bool, ReadFailure> {
        loop {
            if self.stream.readable().await.is_err() {
                return Err(ReadFailure::Reset);
            }
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(ReadFailure::Reset),
            }
        }
    }

    /// Whether there is something to take, or an end to see.
    pub(crate) fn has_come(&mut self) -> bool {
        let read = self.stream.try_read_buf(&mut self.buffer);
        !self.buffer.is_empty() || !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn fill_or_fail(&mut self) -> Result<(), ReadFailure> {
        if self.fill().await? { Ok(()) } else { Err(ReadFailure::Closed(self.buffer.clone())) }
    }

    pub(crate) async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes a head with its empty line.
    pub(crate) async fn head(&mut self) -> Result<String, ReadFailure> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            self.fill_or_fail().await?;
        }
    }

    async fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), ReadFailure> {
        while self.buffer.len() < count {
            self.fill_or_fail().await?;
        }
        into.extend(self.buffer.drain(..count));
        Ok(())
    }

    async fn line(&mut self) -> Result<String, ReadFailure> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill_or_fail().await?;
        }
    }

    /// Takes a body into `body`, which keeps what came when the body is cut short, and its trailer lines.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        body: &mut Vec<u8>,
    ) -> Result<Vec<String>, ReadFailure> {
        match framing {
            Framing::Length(length) => {
                let taken = self.take(length, body).await;
                if taken.is_err() {
                    body.append(&mut self.buffer);
                }
                taken.map(|()| Vec::new())
            }
            Framing::UntilClose => {
                while self.fill().await? {}
                body.append(&mut self.buffer);
                Ok(Vec::new())
            }
            Framing::Chunked => self.chunks(body).await,
        }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<Vec<String>, ReadFailure> {
        loop {
            let line = self.line().await?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("a chunk size: {line:?}"));
            if size == 0 {
                break;
            }
            self.take(size, body).await?;
            assert_eq!(self.line().await?, "", "a chunk's data is followed by CRLF");
        }
        let mut trailers = Vec::new();
        loop {
            match self.line().await? {
                end if end.is_empty() => return Ok(trailers),
                line => trailers.push(line),
            }
        }
    }
}

/// The values of a field in a head, in order.
pub(crate) fn fields<'h, 'n>(head: &'h str, name: &'n str) -> impl Iterator<Item = &'h str> + use<'h, 'n> {
    head.split("\r\n").skip(1).filter_map(move |line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The framing that the fields of a head announce.
pub(crate) fn announced(head: &str) -> Option<Framing> {
    if fields(head, "transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked")) {
        return Some(Framing::Chunked);
    }
    let length = fields(head, "content-length").next()?;
    Some(Framing::Length(length.parse().unwrap_or_else(|_| panic!("a content-length: {length:?}"))))
}

/// Whether the `Connection` fields of a head name this option.
pub(crate) fn has_option(head: &str, option: &str) -> bool {
    fields(head, "connection")
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(option))
}
