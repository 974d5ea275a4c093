//! The bytes of an HTTP/1.1 message, as what goes on a stream: its head is collected and parsed, its body is unwrapped and sent
//! as far as the peer's windows allow. It sends nothing by itself that was not written to it.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fuseboard_grpc::MessageCount;
use fuseboard_http1::{
    Awaiting, BodyDecoder, BodyFraming, Field, HeadScanner, HeaderName as Id, Headers, Limits, ResponseHead,
    parse_response,
};
use h2::SendStream;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::broken;
use super::values::value;

/// What we write ourselves was bounded where it came in; what we add to it must not make it too large.
pub(super) const LIMITS: Limits =
    Limits { max_head_bytes: 1024 * 1024, max_headers: fuseboard_http1::MAX_HEADERS };

/// Collects a head that may be written in pieces.
#[derive(Debug)]
pub(super) struct HeadCollector {
    scanner: HeadScanner,
    collected: Vec<u8>,
}

impl HeadCollector {
    pub(super) const fn for_responses() -> Self {
        Self { scanner: HeadScanner::for_responses(LIMITS), collected: Vec::new() }
    }

    pub(super) const fn for_requests() -> Self {
        Self { scanner: HeadScanner::for_requests(LIMITS), collected: Vec::new() }
    }

    /// Takes from the front of `bytes`: how much of it belongs to the head, and whether that is whole. `use_head` is given it then.
    pub(super) fn take<T>(
        &mut self,
        bytes: &[u8],
        use_head: impl FnOnce(&[u8]) -> io::Result<T>,
    ) -> io::Result<(usize, Option<T>)> {
        let before = self.collected.len();
        let head = if before == 0 {
            bytes
        } else {
            self.collected.extend_from_slice(bytes);
            &self.collected
        };
        match self.scanner.scan(head).map_err(io::Error::other)? {
            Some(length) => {
                let used = use_head(&head[..length])?;
                self.scanner.reset();
                self.collected.clear();
                Ok((length - before, Some(used)))
            }
            None => {
                if before == 0 {
                    self.collected.extend_from_slice(bytes);
                }
                Ok((bytes.len(), None))
            }
        }
    }
}

/// Parses a head of ours.
pub(super) fn parse<'a>(
    head: &'a [u8],
    headers: &'a mut Headers,
    awaiting: Awaiting,
) -> io::Result<ResponseHead<'a>> {
    parse_response(head, headers, &LIMITS, awaiting).map_err(io::Error::other)
}

/// The fields that HTTP/2 has too.
pub(super) fn fields<'a>(fields: impl Iterator<Item = Field<'a>>) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.size_hint().1.unwrap_or_default());
    for field in fields.filter(|field| !field.hop_by_hop) {
        let value = match field.id {
            // Who calls is nobody else's to keep.
            Id::Authorization | Id::Cookie => HeaderValue::from_bytes(field.value),
            Id::XRequestId => HeaderValue::from_bytes(field.value).map(unindexed),
            _ => value(field.value),
        };
        map.append(name(&field)?, value.map_err(io::Error::other)?);
    }
    Ok(map)
}

/// A value that no other message has: in the table of compression it would only drive out those that come again.
fn unindexed(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// The name of a field, which is not looked up anew where it is one that nearly every head has.
fn name(field: &Field<'_>) -> io::Result<HeaderName> {
    const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
    Ok(match field.id {
        Id::ContentLength => header::CONTENT_LENGTH,
        Id::ContentType => header::CONTENT_TYPE,
        Id::Date => header::DATE,
        Id::Server => header::SERVER,
        Id::UserAgent => header::USER_AGENT,
        Id::XEnvoyUpstreamServiceTime => SERVICE_TIME,
        _ => HeaderName::from_bytes(field.name).map_err(io::Error::other)?,
    })
}

/// A body on its way out.
#[derive(Debug)]
pub(super) struct OutgoingBody {
    decoder: BodyDecoder,
    /// Content at the front of what is to be written that was unwrapped already.
    owed: usize,
    ended: bool,
    /// Of a call of gRPC, where they are counted.
    messages: Option<MessageCount>,
}

impl OutgoingBody {
    pub(super) const fn new(framing: BodyFraming) -> Self {
        let decoder = BodyDecoder::new(framing, LIMITS).keeping_trailers();
        let ended = decoder.is_complete();
        Self { decoder, owed: 0, ended, messages: None }
    }

    /// Its messages are counted from now on.
    pub(super) fn count_messages(&mut self) {
        self.messages = Some(MessageCount::default());
    }

    /// Messages that went since this was last asked; `None`: they are not counted.
    pub(super) fn take_messages(&mut self) -> Option<u64> {
        self.messages.as_mut().map(MessageCount::take)
    }

    /// Whether nothing more is to be sent.
    pub(super) const fn is_over(&self) -> bool {
        self.ended
    }

    /// Sends from the front of `bytes` what the windows allow: how much of them is used up, which is everything once the body is
    /// over. The same bytes in front of more are to come again if it was not all.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut used = 0;
        while !self.ended {
            if self.owed == 0 {
                used += self.unwrap(&bytes[used..])?;
            }
            if self.owed == 0 {
                self.finish(stream)?;
                break;
            }
            if used == bytes.len() {
                break;
            }
            match self.poll_content(cx, stream, &bytes[used..]) {
                Poll::Ready(sent) => used += sent?,
                Poll::Pending if used > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(if self.ended { bytes.len() } else { used }))
    }

    /// Takes framing from the front, up to the next content: how many bytes that was.
    fn unwrap(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let decoded = self.decoder.decode(bytes).map_err(io::Error::other)?;
        let Range { start, end } = decoded.content;
        self.owed = end - start;
        Ok(if self.owed == 0 { decoded.consumed } else { start })
    }

    /// Sends a part of the content that is owed, with the end of the stream if it is the last one.
    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut SendStream<Bytes>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wanted = self.owed.min(bytes.len());
        let room = ready!(poll_room(cx, stream, wanted))?;
        let now = wanted.min(room);
        if let Some(messages) = &mut self.messages {
            messages.pass(&bytes[..now]);
        }
        let mut used = now;
        self.owed -= now;
        if self.owed == 0 {
            used += self.unwrap(&bytes[now..])?;
        }
        self.ended = self.owed == 0 && self.decoder.is_complete() && self.decoder.trailers().is_empty();
        stream.send_data(Bytes::copy_from_slice(&bytes[..now]), self.ended).map_err(broken)?;
        Poll::Ready(Ok(used))
    }

    /// Ends the stream if the body is complete.
    fn finish(&mut self, stream: &mut SendStream<Bytes>) -> io::Result<()> {
        if !self.decoder.is_complete() || self.ended {
            return Ok(());
        }
        self.ended = true;
        let mut trailers = HeaderMap::new();
        for (name, bytes) in self.decoder.trailer_fields() {
            let name = HeaderName::from_bytes(name).map_err(io::Error::other)?;
            trailers.append(name, value(bytes).map_err(io::Error::other)?);
        }
        let sent = if trailers.is_empty() {
            stream.send_data(Bytes::new(), true)
        } else {
            stream.send_trailers(trailers)
        };
        sent.map_err(broken)
    }
}

/// How many of the `wanted` bytes may be sent now.
fn poll_room(cx: &mut Context<'_>, stream: &mut SendStream<Bytes>, wanted: usize) -> Poll<io::Result<usize>> {
    stream.reserve_capacity(wanted);
    loop {
        match stream.capacity() {
            0 => match ready!(stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
            room => return Poll::Ready(Ok(room)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_other_message_has_is_kept_out_of_the_table_of_compression() {
        let text = b"HTTP/1.1 200 OK\r\nServer: shop\r\nX-Request-Id: 7\r\nKeep-Alive: 5\r\n\r\n";
        let mut headers = Headers::new();
        let head = parse(text, &mut headers, Awaiting::to(fuseboard_http1::Method::Get)).unwrap();
        let fields = fields(head.fields()).unwrap();
        let told: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.is_sensitive())).collect();
        assert_eq!(told, [("server", false), ("x-request-id", true)]);
    }
}
