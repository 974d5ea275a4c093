//! A small blocking client of the admin API, over TCP or a unix socket.
//!
//! One request per connection, bounded in time and size. It speaks to Envoy's admin server as well as to ours.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A larger answer is refused.
const MAX_ANSWER: u64 = 512 * 1024 * 1024;
const MAX_FIELDS: usize = 64;

/// Where an admin server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// An IP address and port. Servers take loopback addresses only; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// An address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an admin address: write 127.0.0.1:15000, localhost:15000 or unix:/path")]
pub struct BadAddress;

impl Default for AdminAddress {
    /// [`crate::instance::DEFAULT_ADDRESS`]
    fn default() -> Self {
        Self::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 15000)))
    }
}

impl FromStr for AdminAddress {
    type Err = BadAddress;

    /// `127.0.0.1:15000`, `[::1]:15000`, `localhost:15000`, `:15000`, `unix:/path`; a leading `http://` is ignored.
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let text = text.strip_prefix("http://").unwrap_or(text);
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(BadAddress) } else { Ok(Self::Unix(PathBuf::from(path))) };
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let full = if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() };
        // Names other than localhost resolve too: a tool may ask a proxy elsewhere through a forwarded port.
        full.to_socket_addrs().ok().and_then(|mut all| all.next()).map(Self::Tcp).ok_or(BadAddress)
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens there, or not in time.
    #[error("no admin server at {address}; is a proxy running? ({source})")]
    Unreachable {
        /// Where.
        address: AdminAddress,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke, or the time was up.
    #[error("admin server at {address} did not answer ({source})")]
    Broken {
        /// Where.
        address: AdminAddress,
        /// What the system said.
        source: io::Error,
    },
    /// What came back is no HTTP.
    #[error("what listens at {address} is no admin server: {problem}")]
    NotHttp {
        /// Where.
        address: AdminAddress,
        /// What is wrong.
        problem: &'static str,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The field `content-type`; empty where there is none.
    pub content_type: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks one admin server.
#[derive(Clone, Debug)]
pub struct AdminClient {
    address: AdminAddress,
    timeout: Duration,
}

impl AdminClient {
    /// A client whose requests take at most a minute, as `pilot-agent request` waits.
    pub fn new(address: AdminAddress) -> Self {
        Self { address, timeout: Duration::from_mins(1) }
    }

    /// The same with another bound on a whole request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Where it asks.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// GET of `target`, for example `/stats?usedonly`.
    pub fn get(&self, target: &str) -> Result<Answer, ClientError> {
        self.request("GET", target, b"")
    }

    /// POST without a body.
    pub fn post(&self, target: &str) -> Result<Answer, ClientError> {
        self.request("POST", target, b"")
    }

    /// Any request. A missing leading `/` is added, as `pilot-agent request GET stats` expects.
    pub fn request(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer, ClientError> {
        let deadline = self.deadline();
        let mut stream = self.connect()?;
        let host = self.host();
        let slash = if target.starts_with('/') { "" } else { "/" };
        let head = format!(
            "{method} {slash}{target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: fuseboard\r\naccept: */*\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let answer = stream
            .send(head.as_bytes(), deadline)
            .and_then(|()| stream.send(body, deadline))
            .and_then(|()| stream.read_to_end(deadline))
            .map_err(|source| ClientError::Broken { address: self.address.clone(), source })?;
        parse(&answer, method).map_err(|problem| self.not_http(problem))
    }

    /// The name in `host`.
    pub(crate) fn host(&self) -> String {
        match &self.address {
            AdminAddress::Tcp(address) => address.to_string(),
            AdminAddress::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Of a request that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(crate) fn not_http(&self, problem: &'static str) -> ClientError {
        ClientError::NotHttp { address: self.address.clone(), problem }
    }

    pub(crate) fn connect(&self) -> Result<Stream, ClientError> {
        let connected = match &self.address {
            AdminAddress::Tcp(address) => TcpStream::connect_timeout(address, self.timeout).map(Stream::Tcp),
            AdminAddress::Unix(path) => connect_unix(path),
        };
        connected.map_err(|source| ClientError::Unreachable { address: self.address.clone(), source })
    }
}

fn connect_unix(path: &Path) -> io::Result<Stream> {
    UnixStream::connect(path).map(Stream::Unix)
}

pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Time left, which bounds the next call.
    fn arm(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
            }
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.arm(deadline)?;
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn read_to_end(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while self.read_some(&mut all, deadline)? > 0 {
            if all.len() as u64 > MAX_ANSWER {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "answer too large"));
            }
        }
        Ok(all)
    }

    /// Adds what there is to `all`; 0: the end.
    pub(crate) fn read_some(&mut self, all: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        loop {
            self.arm(deadline)?;
            let read = match self {
                Self::Tcp(stream) => stream.read(&mut chunk),
                Self::Unix(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(n) => {
                    all.extend_from_slice(&chunk[..n]);
                    return Ok(n);
                }
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) if problem.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(problem) => return Err(problem),
            }
        }
    }
}

/// A whole answer, as received until the server closed.
fn parse(answer: &[u8], method: &str) -> Result<Answer, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(answer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err("the answer ends too early"),
        Err(_) => return Err("the answer is not HTTP/1.1"),
    };
    let status = head.code.unwrap_or(0);
    let field = |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let content_type = field("content-type").map_or(&[][..], |field| field.value);
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    let body = &answer[length..];
    let body = if method.eq_ignore_ascii_case("HEAD") {
        Vec::new()
    } else if field("transfer-encoding").is_some() {
        dechunk(body)?
    } else if let Some(wanted) = field("content-length") {
        let wanted = std::str::from_utf8(wanted.value).ok().and_then(|text| text.parse::<usize>().ok());
        body.get(..wanted.ok_or("bad content-length")?).ok_or("the answer ends too early")?.to_vec()
    } else {
        body.to_vec()
    };
    Ok(Answer { status, content_type, body })
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Err("the answer ends too early"),
            Err(_) => return Err("bad chunk size"),
        };
        if size == 0 {
            return Ok(body);
        }
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
        let end = end.filter(|end| end.checked_add(2).is_some_and(|after| after <= rest.len()));
        let end = end.ok_or("the answer ends too early")?;
        body.extend_from_slice(&rest[start..end]);
        rest = &rest[end + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for text in ["127.0.0.1:15000", "[::1]:9", "unix:/run/x.sock"] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), text);
        }
        assert_eq!(":15000".parse::<AdminAddress>(), Ok(AdminAddress::default()));
        assert_eq!("http://127.0.0.1:15000/".parse::<AdminAddress>(), Ok(AdminAddress::default()));
        for text in ["", "15000", "unix:", "127.0.0.1:70000"] {
            assert_eq!(text.parse::<AdminAddress>(), Err(BadAddress), "{text}");
        }
    }

    #[test]
    fn bodies_are_read_by_length_by_chunks_and_to_the_end() {
        let body = |answer: &[u8]| parse(answer, "GET").map(|answer| answer.text());
        assert_eq!(body(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"), Ok("hi".to_owned()));
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n\r\nhi"), Ok("hi".to_owned()));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(body(chunked), Ok("hi!".to_owned()));
    }

    #[test]
    fn an_answer_that_ends_early_is_an_error_not_a_short_body() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nhi\r\n",
            b"HTTP/1.1 200",
            b"",
        ] {
            assert!(parse(answer, "GET").is_err());
        }
    }
}
