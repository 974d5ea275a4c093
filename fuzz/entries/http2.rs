//! What holds for any bytes that a client of HTTP/2 sends: nothing panics, a request that comes out of frames is one of HTTP/1.1 or is
//! refused by its parser, its body is framed as its head says, and what it takes is bounded by what was sent and by our limits.
//! For the proxy's crate, inside which the reading is.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use fuseboard_core::tcp::HTTP2_PREFACE;
use fuseboard_http1::{BodyDecoder, HeadScanner, Headers, Limits, parse_request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http2::{ServedStream, server};

const HEAD_BYTES: u32 = 60 * 1024;

/// Rounds after which a connection must be over, each of which reads something or ends it.
const ROUNDS: usize = 100_000;

/// The first byte says in which parts the others come; its lowest bit, whether they come after a preface and SETTINGS.
pub fn frames(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let front: &[&[u8]] = if how & 1 == 1 { &[HTTP2_PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]] } else { &[] };
    let came = [&front.concat(), bytes].concat();
    let most = came.len();
    let wire = Wire { came: came.into(), part: usize::from(how >> 1) + 1, is_there: true };
    let mut cx = Context::from_waker(Waker::noop());
    let mut handshake = pin!(server(HEAD_BYTES).handshake(wire));
    let mut connection = loop {
        match handshake.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(connection)) => break connection,
            Poll::Ready(Err(_)) => return,
            Poll::Pending => {}
        }
    };
    let mut streams = Vec::new();
    for _ in 0..ROUNDS {
        match connection.poll_accept(&mut cx) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                streams.push(Stream::new(ServedStream::new(request, respond)));
            }
            Poll::Ready(_) => return,
            Poll::Pending => {}
        }
        streams.retain_mut(|stream| stream.go_on(&mut cx, most));
    }
    panic!("it never ends");
}

/// Bytes that come in parts, between which streams are looked at, and then the end; what is sent is taken and forgotten.
struct Wire {
    came: VecDeque<u8>,
    part: usize,
    is_there: bool,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_there = !self.is_there;
        if self.is_there {
            return Poll::Pending;
        }
        let n = self.part.min(self.came.len()).min(room.remaining());
        let part: Vec<u8> = self.came.drain(..n).collect();
        room.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream, read as an exchange reads it.
struct Stream {
    served: ServedStream,
    text: Vec<u8>,
    /// Follows the body once the head is there, and how much of the text it has seen.
    body: Option<(BodyDecoder, usize)>,
}

impl Stream {
    const fn new(served: ServedStream) -> Self {
        Self { served, text: Vec::new(), body: None }
    }

    /// False: it is over.
    fn go_on(&mut self, cx: &mut Context<'_>, most: usize) -> bool {
        let mut room = [0; 1000];
        loop {
            match self.served.poll_read(cx, &mut room) {
                Poll::Pending => break,
                Poll::Ready(Ok(n)) if n > 0 => self.text.extend_from_slice(&room[..n]),
                Poll::Ready(_) => return false,
            }
        }
        // Two heads; and a frame of one byte becomes a chunk of fewer bytes than the frame's head has.
        let bound = 2 * HEAD_BYTES as usize + 1024 + 2 * most;
        assert!(self.text.len() <= bound, "{} bytes of {most}", self.text.len());
        if self.body.is_none() && !self.begin() {
            return false;
        }
        let Some((decoder, seen)) = &mut self.body else { return true };
        let Ok(passed) = decoder.pass(&self.text[*seen..]) else {
            assert!(self.text.windows(3).any(|end| end == b"0\r\n"), "only trailers may be refused");
            return false;
        };
        *seen += passed;
        if !decoder.is_complete() {
            return true;
        }
        assert_eq!(*seen, self.text.len(), "something follows the request");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let taken = self.served.poll_write(cx, answer);
        // All, as far as the window goes, or nothing of a stream that was given up.
        assert!(matches!(taken, Poll::Pending | Poll::Ready(Ok(1..) | Err(_))));
        false
    }

    /// False: it is refused.
    fn begin(&mut self) -> bool {
        let limits = Limits::default();
        match HeadScanner::for_requests(limits).scan(&self.text) {
            Ok(Some(length)) => match parse_request(&self.text[..length], &mut Headers::new(), &limits) {
                Ok(head) => {
                    self.body = Some((BodyDecoder::new(head.framing(), limits), length));
                    true
                }
                Err(_) => false,
            },
            Ok(None) => true,
            Err(_) => false,
        }
    }
}
