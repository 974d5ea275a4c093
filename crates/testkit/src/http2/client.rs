//! A caller: one connection, any number of streams at a time.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::DEADLINE;

/// A connection.
#[derive(Debug)]
pub struct Client {
    streams: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// What came after that.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// A field, or a trailer of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name).or_else(|| self.trailers.get(name))?;
        Some(value.to_str().expect("text"))
    }
}

/// A stream whose two directions are the test's to use.
#[derive(Debug)]
pub struct Exchange {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Client {
    /// Connects in plain text, by prior knowledge.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &Builder::new()).await
    }

    /// The same with other settings.
    pub async fn connect_with(address: SocketAddr, builder: &Builder) -> Self {
        let socket = timeout(DEADLINE, TcpStream::connect(address)).await.expect("in time").unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket, builder).await
    }

    /// Over what is connected already.
    pub async fn over<T>(bytes: T, builder: &Builder) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaken: (_, Connection<T, Bytes>) =
            timeout(DEADLINE, builder.handshake(bytes)).await.expect("in time").unwrap();
        Self { streams: shaken.0, driver: tokio::spawn(shaken.1) }
    }

    /// Gets `path` of `authority`.
    pub async fn get(&self, authority: &str, path: &str) -> Answer {
        let request = Request::get(format!("http://{authority}{path}")).body(()).unwrap();
        self.ask(request, b"").await.expect("an answer")
    }

    /// Asks, and reads the answer to its end.
    pub async fn ask(&self, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
        let mut exchange = self.begin(request, body.is_empty()).await;
        if !body.is_empty() {
            exchange.send(body, true);
        }
        exchange.answer().await
    }

    /// Opens a stream. `ended`: the request has no body.
    pub async fn begin(&self, request: Request<()>, ended: bool) -> Exchange {
        self.try_begin(request, ended).await.expect("a stream")
    }

    /// The same on a connection that the server may have ended.
    pub async fn try_begin(&self, request: Request<()>, ended: bool) -> Result<Exchange, h2::Error> {
        let mut streams = timeout(DEADLINE, self.streams.clone().ready()).await.expect("in time")?;
        let (answer, body) = streams.send_request(request, ended)?;
        Ok(Exchange { answer, body })
    }

    /// The server's bound on streams, as far as it has told it.
    pub fn room(&self) -> usize {
        self.streams.current_max_send_streams()
    }

    /// Waits until the connection has ended, without opening streams any more.
    pub async fn until_over(self) -> Result<(), h2::Error> {
        let Self { streams, driver } = self;
        let ended = timeout(DEADLINE, driver).await.expect("in time").unwrap();
        drop(streams);
        ended
    }
}

impl Exchange {
    /// Sends a part of the body; the windows are not looked at.
    pub fn send(&mut self, part: &[u8], ended: bool) {
        self.body.send_data(Bytes::copy_from_slice(part), ended).expect("an open stream");
    }

    /// Ends the body with trailers.
    pub fn send_trailers(&mut self, trailers: HeaderMap) {
        self.body.send_trailers(trailers).expect("an open stream");
    }

    /// Gives the stream up.
    pub fn reset(mut self, reason: Reason) {
        self.body.send_reset(reason);
    }

    /// The answer's head, and its body to be read.
    pub async fn head(&mut self) -> Result<(StatusCode, HeaderMap, RecvStream), h2::Error> {
        let (parts, body) = timeout(DEADLINE, &mut self.answer).await.expect("in time")?.into_parts();
        Ok((parts.status, parts.headers, body))
    }

    /// The whole answer.
    pub async fn answer(&mut self) -> Result<Answer, h2::Error> {
        let (status, fields, mut stream) = self.head().await?;
        let mut body = Vec::new();
        while let Some(part) = timeout(DEADLINE, stream.data()).await.expect("in time") {
            let part = part?;
            stream.flow_control().release_capacity(part.len())?;
            body.extend_from_slice(&part);
        }
        let trailers = timeout(DEADLINE, stream.trailers()).await.expect("in time")?;
        Ok(Answer { status, fields, body, trailers: trailers.unwrap_or_default() })
    }
}
