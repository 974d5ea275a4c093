//! A raw client: sends exactly the bytes it is given, reads one response at a time, sees how the connection
//! ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::DEADLINE;
use super::wire::{Framing, ReadFailure, Wire, announced, fields};

/// One connection. Not closed by anything but [`close`](Self::close), [`reset`](Self::reset), or being
/// dropped.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    deadline: Duration,
}

/// Sends on a client's connection while the client itself reads.
#[derive(Debug, Clone)]
pub struct Sender(Arc<TcpStream>);

impl Sender {
    /// Sends these bytes, as slowly as they are taken; an error if the peer has closed.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        Wire::new(Arc::clone(&self.0)).send(bytes.as_ref()).await
    }
}

/// A response as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status of the final response.
    pub status: u16,
    /// Its head, with the status line and the empty line, in original order and case.
    pub head: String,
    /// Its content, without chunk framing.
    pub body: Vec<u8>,
    /// The trailer lines of a chunked body.
    pub trailers: Vec<String>,
    /// The heads of the interim responses before it.
    pub interim: Vec<String>,
}

impl Response {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        fields(&self.head, name).next()
    }

    /// All values of a field, in order.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name).collect()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}

impl Client {
    /// Connects, or panics.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await.expect("a connection in time");
        let stream = stream.unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
        Self::over(stream)
    }

    /// Over a connection that exists: the other end of one that a test has accepted itself, perhaps.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        Self { wire: Wire::new(Arc::new(stream)), deadline: DEADLINE }
    }

    /// Waits so long, instead of [`DEADLINE`], for what is read from now on: for tests that expect nothing to
    /// come.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// For sending and reading at the same time.
    pub fn sender(&self) -> Sender {
        Sender(Arc::clone(&self.wire.stream))
    }

    /// This end of the connection.
    pub fn local_address(&self) -> SocketAddr {
        self.wire.stream.local_addr().expect("a connected socket")
    }

    /// Sends these bytes, or panics.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("sending");
    }

    /// Sends these bytes; an error if the peer has closed or does not read before the deadline.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        timeout(self.deadline, self.wire.send(bytes.as_ref())).await?
    }

    /// Sends `GET path` with `Host: host` and reads the response.
    pub async fn get(&mut self, host: &str, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        self.response().await
    }

    /// Whether the first bytes of a response, or the end of the connection, are there.
    pub fn was_answered(&mut self) -> bool {
        self.wire.has_come()
    }

    /// Reads the response to anything but HEAD, interim ones included, or panics.
    pub async fn response(&mut self) -> Response {
        self.try_response().await.unwrap_or_else(|failure| panic!("no whole response: {failure:?}"))
    }

    /// Reads the response to anything but HEAD.
    pub async fn try_response(&mut self) -> Result<Response, ReadFailure> {
        self.read_response(false).await
    }

    /// Reads the response to HEAD, or panics.
    pub async fn response_to_head(&mut self) -> Response {
        self.read_response(true).await.unwrap_or_else(|failure| panic!("no whole response: {failure:?}"))
    }

    /// Reads the head of a response and leaves its body: [`body`](Self::body) or [`received`](Self::received)
    /// go on.
    pub async fn head(&mut self) -> Result<Response, ReadFailure> {
        let head = self.request_head().await?;
        Ok(Response {
            status: status_of(&head),
            head,
            body: Vec::new(),
            trailers: Vec::new(),
            interim: Vec::new(),
        })
    }

    /// Reads the head of a request: for a test that plays the other end.
    pub async fn request_head(&mut self) -> Result<String, ReadFailure> {
        let read = timeout(self.deadline, self.wire.head()).await;
        read.unwrap_or_else(|_| Err(ReadFailure::Deadline(self.wire.buffer.clone())))
    }

    /// Reads the body that belongs to `response`; what has come of it is in the response even when it is cut
    /// short.
    pub async fn body(&mut self, response: &mut Response) -> Result<(), ReadFailure> {
        let framing = announced(&response.head).unwrap_or(Framing::UntilClose);
        let read = timeout(self.deadline, self.wire.body(framing, &mut response.body)).await;
        response.trailers = read.unwrap_or_else(|_| Err(ReadFailure::Deadline(self.wire.buffer.clone())))?;
        Ok(())
    }

    async fn read_response(&mut self, to_head: bool) -> Result<Response, ReadFailure> {
        let mut interim = Vec::new();
        let mut response = loop {
            let response = self.head().await?;
            // After 101 the connection is no longer HTTP.
            if response.status >= 200 || response.status == 101 {
                break response;
            }
            interim.push(response.head);
        };
        response.interim = interim;
        if !to_head && !matches!(response.status, 101 | 204 | 304) {
            self.body(&mut response).await?;
        }
        Ok(response)
    }

    /// Reads until `count` bytes have come, or the stream ends, and takes all that has come.
    pub async fn received(&mut self, count: usize) -> Result<Vec<u8>, ReadFailure> {
        let wire = &mut self.wire;
        let read = timeout(self.deadline, async {
            while wire.buffer.len() < count && wire.fill().await? {}
            Ok(())
        });
        match read.await {
            Ok(result) => result.map(|()| std::mem::take(&mut self.wire.buffer)),
            Err(_) => Err(ReadFailure::Deadline(std::mem::take(&mut self.wire.buffer))),
        }
    }

    /// Waits until the peer closes and gives what it sent before; panics if it does not close in time.
    pub async fn closed(&mut self) -> Vec<u8> {
        match self.received(usize::MAX).await {
            Ok(rest) => rest,
            Err(ReadFailure::Reset) => std::mem::take(&mut self.wire.buffer),
            Err(failure) => panic!("the connection stays open: {failure:?}"),
        }
    }

    /// Sends FIN and goes on reading.
    pub fn half_close(&self) {
        socket2::SockRef::from(&*self.wire.stream).shutdown(std::net::Shutdown::Write).expect("half-closing");
    }

    /// Closes in order.
    pub fn close(self) {
        drop(self);
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.wire.stream.set_zero_linger().expect("lingering for no time");
    }
}

fn status_of(head: &str) -> u16 {
    let status =
        head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|digits| digits.parse().ok());
    status.unwrap_or_else(|| panic!("a status line: {head:?}"))
}
