//! A client's stream: its request as bytes of HTTP/1.1, and our answer, written as such bytes, as its frames.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fuseboard_grpc::{Code, encoded, is_grpc};
use fuseboard_http1::{Awaiting, BodyFraming, HeaderName, Headers, Method};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use super::incoming::Incoming;
use super::outgoing::{self, HeadCollector, OutgoingBody};
use super::{broken, heads};

/// One stream of a client.
#[derive(Debug)]
pub(crate) struct ServedStream {
    request: Incoming,
    awaiting: Awaiting,
    answer: Answer,
}

/// Our answer on its way.
#[derive(Debug)]
enum Answer {
    /// Its head has not been written yet.
    Head(SendResponse<Bytes>, HeadCollector),
    Body(SendStream<Bytes>, OutgoingBody),
}

impl ServedStream {
    pub(crate) fn new(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        let (parts, stream) = request.into_parts();
        let mut text = Vec::with_capacity(512);
        let body = heads::write_request(&parts, stream.is_end_stream(), &mut text);
        let request = Incoming::new(stream, body, text);
        let calls = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| is_grpc(kind.as_bytes()));
        Self {
            request: if calls { request.counting_messages() } else { request },
            awaiting: Awaiting::to(Method::of(parts.method.as_str().as_bytes())),
            answer: Answer::Head(respond, HeadCollector::for_responses()),
        }
    }

    /// The request's bytes. After them nothing comes but the end of the stream before its time, which is an error.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.request.is_over() {
            let n = ready!(self.request.poll_read(cx, room))?;
            if n > 0 {
                return Poll::Ready(Ok(n));
            }
        }
        self.poll_closed(cx).map(|()| Err(io::ErrorKind::ConnectionReset.into()))
    }

    pub(crate) fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked of a connection that waits for its next request: the one that there is is there.
        if self.request.is_over() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Ready when the client has given the stream up, or its connection is gone.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.answer {
            Answer::Head(respond, _) => respond.poll_reset(cx).map(drop),
            // Who has got everything may be gone.
            Answer::Body(_, body) if body.is_over() => Poll::Pending,
            Answer::Body(stream, _) => stream.poll_reset(cx).map(drop),
        }
    }

    /// Takes bytes of the answer.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            match &mut self.answer {
                Answer::Head(respond, collector) => {
                    let head = |head: &[u8]| send_head(head, self.awaiting, respond);
                    let (taken, begun) = collector.take(rest, head)?;
                    used += taken;
                    if let Some(Some((stream, mut body))) = begun {
                        if self.request.counts_messages() {
                            body.count_messages();
                        }
                        self.answer = Answer::Body(stream, body);
                    }
                }
                Answer::Body(stream, body) => match body.poll_send(cx, stream, rest) {
                    Poll::Ready(sent) => used += sent?,
                    Poll::Pending if used > 0 => break,
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        Poll::Ready(Ok(used))
    }

    /// Messages of a call of gRPC, those that came and those that went since this was last asked; `None`: it is none.
    pub(crate) fn take_messages(&mut self) -> Option<(u64, u64)> {
        let came = self.request.take_messages()?;
        let went = match &mut self.answer {
            Answer::Head(..) => None,
            Answer::Body(_, body) => body.take_messages(),
        };
        Some((came, went.unwrap_or_default()))
    }

    /// Ends the answer to a call of gRPC with this status. False: it has not begun, or is over.
    pub(crate) fn end_call(&mut self, code: Code, words: &str) -> bool {
        let Answer::Body(stream, body) = &mut self.answer else { return false };
        let Ok(words) = HeaderValue::from_bytes(&encoded(words.as_bytes())) else { return false };
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(u16::from(code.number())));
        trailers.insert("grpc-message", words);
        !body.is_over() && stream.send_trailers(trailers).is_ok()
    }

    /// The answer cannot be finished: the client must not take what it has for all of it.
    pub(crate) fn reset(&mut self) {
        match &mut self.answer {
            Answer::Head(respond, _) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Body(stream, _) => stream.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// Sends a head; `None`: it was an interim one.
fn send_head(
    head: &[u8],
    awaiting: Awaiting,
    respond: &mut SendResponse<Bytes>,
) -> io::Result<Option<(SendStream<Bytes>, OutgoingBody)>> {
    let mut headers = Headers::new();
    let head = outgoing::parse(head, &mut headers, awaiting)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status()).map_err(io::Error::other)?;
    let mut fields = outgoing::fields(head.fields())?;
    if head.framing().is_empty() && head.field(HeaderName::GrpcStatus).is_some() {
        // An answer of gRPC without messages is its head alone.
        fields.remove(CONTENT_LENGTH);
    }
    *response.headers_mut() = fields;
    if head.is_interim() {
        respond.send_informational(response).map_err(broken)?;
        return Ok(None);
    }
    let framing = if head.is_tunnel() { BodyFraming::None } else { head.framing() };
    let body = OutgoingBody::new(framing);
    let stream = respond.send_response(response, body.is_over()).map_err(broken)?;
    Ok(Some((stream, body)))
}
