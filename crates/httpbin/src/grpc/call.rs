//! One call: its metadata and messages on the way in, and on the way out a body that is made while a method works. The
//! method is dropped with its stream, so that a client which goes away ends it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fuseboard_grpc::frame::{Encoding, Reader, decoded, framed};
use fuseboard_grpc::{Code, parse_timeout};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::head;
use super::status::Status;
use crate::listener::ResetStream;
use crate::reply;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A call that came.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) metadata: HeaderMap,
    pub(super) messages: Messages,
    encoding: Encoding,
    until: Option<Instant>,
}

impl Call {
    /// No message may be longer than `most` bytes.
    pub(super) fn read(request: Request<Body>, most: usize) -> Result<Self, Status> {
        let (head, body) = request.into_parts();
        let encoding = match head.headers.get(ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Encoding::Identity,
            Some(b"gzip") => Encoding::Gzip,
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let problem = format!("grpc-encoding {other:?} is not spoken here; use gzip or identity");
                return Err(Status::new(Code::Unimplemented, problem));
            }
        };
        let until = match head.headers.get(TIMEOUT) {
            None => None,
            Some(text) => {
                let left = parse_timeout(text.as_bytes()).ok_or_else(|| {
                    Status::new(Code::Internal, format!("grpc-timeout {text:?} is not digits and a unit"))
                })?;
                // Further away than clocks go is never.
                Instant::now().checked_add(left)
            }
        };
        let messages = Messages { body, reader: Reader::new(encoding, most), is_over: false };
        Ok(Self { metadata: head.headers, messages, encoding, until })
    }

    /// Lets `work` answer: it gets the messages and a way to send some, and says how the call ends.
    pub(super) async fn answer<F: Future<Output = Ended> + Send + 'static>(
        self,
        headers: Headers,
        work: impl FnOnce(Messages, Replies) -> F,
    ) -> Response<Body> {
        let mut headers = headers;
        if self.encoding != Encoding::Identity {
            headers.0.insert(ENCODING, HeaderValue::from_static(self.encoding.name()));
        }
        headers.0.insert(ACCEPTED, HeaderValue::from_static("identity,gzip"));
        let (sender, replies) = mpsc::channel(1);
        let work = work(self.messages, Replies { sender, encoding: self.encoding });
        let until = self.until;
        let work = Box::pin(async move {
            let Some(until) = until else { return work.await };
            let late =
                |_| Ended::With(Status::new(Code::DeadlineExceeded, "the deadline passed"), HeaderMap::new());
            tokio::time::timeout_at(until, work).await.unwrap_or_else(late)
        });
        let mut answering = Answering { work: Some(work), ended: None, replies, first: None };
        match std::future::poll_fn(|cx| answering.poll_step(cx)).await {
            Step::Message(message) => {
                answering.first = Some(message);
                head(headers).map(|_| Body::new(answering))
            }
            Step::Ended(ended) => without_messages(ended, headers),
        }
    }
}

/// Headers of an answer.
#[derive(Debug, Default)]
pub(super) struct Headers(pub(super) HeaderMap);

impl Headers {
    /// Ends the connection after this answer.
    pub(super) fn close(&mut self) {
        self.0.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The end of a call.
#[derive(Debug)]
pub(super) enum Ended {
    /// With a status, and trailers besides it.
    With(Status, HeaderMap),
    /// With a reset of its stream.
    Reset(h2::Reason),
    /// As if something that knows nothing of gRPC had answered; only where no message went out.
    Http(StatusCode),
}

impl From<Result<(), Status>> for Ended {
    fn from(result: Result<(), Status>) -> Self {
        Self::With(result.err().unwrap_or(Status::OK), HeaderMap::new())
    }
}

/// The answer of a call that ended before any message went out.
pub(super) fn without_messages(ended: Ended, headers: Headers) -> Response<Body> {
    match ended {
        Ended::With(status, trailers) => {
            let mut response = head(headers);
            response.headers_mut().extend(trailers);
            status.write(response.headers_mut());
            response
        }
        Ended::Reset(reason) => {
            let mut response = head(headers);
            response.extensions_mut().insert(ResetStream(reason));
            response
        }
        Ended::Http(status) => {
            let mut response = reply::typed(status, reply::TEXT, Body::empty());
            response.headers_mut().extend(headers.0.into_iter().filter(|(name, _)| {
                // What only gRPC says is left out.
                name.as_ref().is_none_or(|name| *name != CONTENT_TYPE && !name.as_str().starts_with("grpc-"))
            }));
            response
        }
    }
}

/// Messages of the client, one after another.
#[derive(Debug)]
pub(super) struct Messages {
    body: Body,
    reader: Reader,
    is_over: bool,
}

impl Messages {
    /// The next one; `None` after the last.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.reader.message()? {
                return Ok(Some(decoded(message)?));
            }
            if self.is_over {
                let is_whole = self.reader.is_empty();
                return if is_whole {
                    Ok(None)
                } else {
                    Err(Status::new(Code::Internal, "a message broke off"))
                };
            }
            match self.body.frame().await {
                Some(Ok(frame)) => frame.into_data().iter().for_each(|bytes| self.reader.take_in(bytes)),
                Some(Err(_)) => return Err(Status::new(Code::Cancelled, "the client went away")),
                None => self.is_over = true,
            }
        }
    }

    /// The only one.
    pub(super) async fn only<M: Message + Default>(&mut self) -> Result<M, Status> {
        let expected =
            || Status::new(Code::Unimplemented, "the method takes one message, neither none nor more");
        let message = self.next().await?.ok_or_else(expected)?;
        // A second one is not decoded: that it is there is the mistake.
        match self.next::<()>().await? {
            None => Ok(message),
            Some(()) => Err(expected()),
        }
    }
}

/// Where a method puts its messages.
#[derive(Debug)]
pub(super) struct Replies {
    sender: mpsc::Sender<Bytes>,
    encoding: Encoding,
}

impl Replies {
    /// Waits while the client takes nothing.
    pub(super) async fn send(&self, message: &impl Message) -> Result<(), Status> {
        let bytes = framed(message, self.encoding)?;
        self.sender.send(bytes).await.map_err(|_| Status::new(Code::Cancelled, "the client went away"))
    }
}

type Work = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// An answer in the making.
struct Answering {
    work: Option<Work>,
    ended: Option<Ended>,
    replies: mpsc::Receiver<Bytes>,
    first: Option<Bytes>,
}

enum Step {
    Message(Bytes),
    Ended(Ended),
}

impl Answering {
    /// Never asked again after the end.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Poll::Ready(Some(message)) = self.replies.poll_recv(cx) {
                return Poll::Ready(Step::Message(message));
            }
            if let Some(ended) = self.ended.take() {
                return Poll::Ready(Step::Ended(ended));
            }
            let Some(work) = &mut self.work else { return Poll::Pending };
            let ended = match work.as_mut().poll(cx) {
                Poll::Ready(ended) => ended,
                // What it sent just now has woken the receiver.
                Poll::Pending => return Poll::Pending,
            };
            // What it sent last comes before its end.
            self.ended = Some(ended);
            self.work = None;
        }
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(message) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if self.work.is_none() && self.ended.is_none() && self.replies.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.poll_step(cx)) {
            Step::Message(message) => Ok(Frame::data(message)),
            Step::Ended(Ended::With(status, mut trailers)) => {
                status.write(&mut trailers);
                Ok(Frame::trailers(trailers))
            }
            Step::Ended(Ended::Reset(reason)) => Err(reason.into()),
            Step::Ended(Ended::Http(_)) => Err(h2::Reason::INTERNAL_ERROR.into()),
        }))
    }
}

/// Waits, but not where there is nothing to wait for.
pub(super) async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
