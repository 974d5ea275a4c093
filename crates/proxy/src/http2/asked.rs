//! Our stream at a host: a request, written as bytes of HTTP/1.1, as its frames, and the answer as such bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fuseboard_http1::{HeaderName, Headers, RequestHead, parse_request};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};

use super::incoming::Incoming;
use super::outgoing::{self, HeadCollector, OutgoingBody};
use super::{broken, heads};

/// Why a stream failed, as far as it matters to whether it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The host says that it has not looked at the request, and will not (RFC 9113 sections 6.8 and 8.7).
    NotProcessed(Unprocessed),
    /// The host gave the stream up.
    Reset,
    /// What came was not HTTP/2, or not a message of HTTP.
    ProtocolError,
}

/// How the host said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unprocessed {
    /// It refused this stream: `RST_STREAM` with `REFUSED_STREAM`.
    Refused,
    /// It takes no more streams on this connection: GOAWAY.
    GoingAway,
}

/// One stream at a host.
pub(crate) struct AskedStream {
    request: RequestOut,
    answer: AnswerIn,
    secure: bool,
    to_head: bool,
    fate: Option<Fate>,
}

enum RequestOut {
    /// The head has not been written yet.
    Head(SendRequest<Bytes>, HeadCollector),
    Body(SendStream<Bytes>, OutgoingBody),
}

enum AnswerIn {
    /// Nothing was asked.
    None,
    /// Nothing could be asked: there will be no answer.
    Failed,
    /// What came of interim heads, from `.1` on, while the answer is waited for.
    Head(ResponseFuture, Vec<u8>),
    Body(Incoming),
}

impl AskedStream {
    /// On a connection that has room for it. `secure`: with TLS.
    pub(crate) const fn new(connection: SendRequest<Bytes>, secure: bool) -> Self {
        Self {
            request: RequestOut::Head(connection, HeadCollector::for_requests()),
            answer: AnswerIn::None,
            secure,
            to_head: false,
            fate: None,
        }
    }

    /// Why it failed, once it has.
    pub(crate) const fn fate(&self) -> Option<Fate> {
        self.fate
    }

    /// Takes bytes of the request.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let step = match &mut self.request {
                RequestOut::Head(connection, _) => match connection.poll_ready(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed(error))),
                    Poll::Ready(Ok(())) => Poll::Ready(self.take_head(rest)),
                },
                RequestOut::Body(stream, body) => body.poll_send(cx, stream, rest),
            };
            match step {
                Poll::Ready(Err(error)) => {
                    // Whoever can't write on looks for an answer that came earlier, and must not wait for one.
                    if matches!(self.answer, AnswerIn::None) {
                        self.answer = AnswerIn::Failed;
                    }
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(taken)) => used += taken,
                Poll::Pending if used > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(used))
    }

    fn take_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let RequestOut::Head(connection, collector) = &mut self.request else { return Ok(0) };
        let secure = self.secure;
        let (taken, sent) = collector.take(bytes, |head| {
            let mut headers = Headers::new();
            let head = parse_request(head, &mut headers, &outgoing::LIMITS).map_err(io::Error::other)?;
            let body = OutgoingBody::new(head.framing());
            let request = request(&head, secure)?;
            Ok((
                connection.send_request(request, body.is_over()),
                body,
                head.method() == fuseboard_http1::Method::Head,
            ))
        })?;
        if let Some((sent, body, to_head)) = sent {
            let (answer, stream) = sent.map_err(|error| self.failed(error))?;
            self.to_head = to_head;
            self.answer = AnswerIn::Head(answer, Vec::new());
            self.request = RequestOut::Body(stream, body);
        }
        Ok(taken)
    }

    /// The answer's bytes; `Ok(0)`: all of it was read.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(cx))?;
        match &mut self.answer {
            AnswerIn::None | AnswerIn::Failed => Poll::Pending,
            AnswerIn::Head(_, interim) => {
                let n = interim.len().min(room.len());
                room[..n].copy_from_slice(&interim[..n]);
                interim.drain(..n);
                Poll::Ready(Ok(n))
            }
            AnswerIn::Body(incoming) => {
                let read = incoming.poll_read(cx, room);
                if let Poll::Ready(Err(error)) = &read {
                    self.fate = fate_of_body(error);
                }
                read
            }
        }
    }

    /// Whether there is something to read.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (answer, interim) = match &mut self.answer {
            AnswerIn::Head(answer, interim) => (answer, interim),
            AnswerIn::None => return Poll::Pending,
            AnswerIn::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            AnswerIn::Body(_) => return Poll::Ready(Ok(())),
        };
        while let Poll::Ready(Some(Ok(interim_head))) = answer.poll_informational(cx) {
            heads::write_interim(&interim_head.into_parts().0, interim);
        }
        if !interim.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(answer).poll(cx)) {
            Ok(response) => {
                let (parts, stream) = response.into_parts();
                let mut text = Vec::with_capacity(512);
                let body = heads::write_response(&parts, stream.is_end_stream(), self.to_head, &mut text);
                self.answer = AnswerIn::Body(Incoming::new(stream, body, text));
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(self.failed(error))),
        }
    }

    fn failed(&mut self, error: h2::Error) -> io::Error {
        self.fate = fate(&error);
        broken(error)
    }
}

/// The same of an error that came with the body.
fn fate_of_body(error: &io::Error) -> Option<Fate> {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => fate(error),
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => {
            Some(Fate::ProtocolError)
        }
        None => None,
    }
}

/// `None`: the connection below is gone.
fn fate(error: &h2::Error) -> Option<Fate> {
    if error.is_io() {
        return None;
    }
    Some(if error.is_go_away() && error.is_remote() {
        Fate::NotProcessed(Unprocessed::GoingAway)
    } else if error.is_reset() && error.is_remote() {
        match error.reason() {
            Some(Reason::REFUSED_STREAM) => Fate::NotProcessed(Unprocessed::Refused),
            _ => Fate::Reset,
        }
    } else {
        Fate::ProtocolError
    })
}

/// A request's head with the pseudo fields of HTTP/2.
fn request(head: &RequestHead<'_>, secure: bool) -> io::Result<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method_bytes()).map_err(io::Error::other)?;
    let mut target = Vec::new();
    head.write_origin_target(&mut target);
    let authority = head.authority().unwrap_or_default();
    let uri = Uri::builder()
        .scheme(if secure { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(Authority::try_from(authority).map_err(io::Error::other)?)
        .path_and_query(PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(io::Error::other)?);
    *request.uri_mut() = uri.build().map_err(io::Error::other)?;
    let mut fields = outgoing::fields(head.fields().filter(|field| field.id != HeaderName::Host))?;
    // Who speaks gRPC says that it takes trailers; the field itself goes from hop to hop only.
    if fields.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    *request.headers_mut() = fields;
    Ok(request)
}

impl std::fmt::Debug for AskedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AskedStream").field("fate", &self.fate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn who_could_not_ask_is_told_that_there_is_no_answer() {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (requests, frames) = h2::client::handshake(client).await.unwrap();
        // Lost between the lease and the first byte.
        drop((frames, server));
        let mut stream = AskedStream::new(requests, false);
        let head = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
        assert!(poll_fn(|cx| stream.poll_write(cx, head)).await.is_err());
        let read = poll_fn(|cx| Poll::Ready(stream.poll_read(cx, &mut [0; 64]))).await;
        assert!(matches!(read, Poll::Ready(Err(_))), "{read:?}");
        assert_eq!(stream.fate(), None, "the connection is gone");
    }
}
