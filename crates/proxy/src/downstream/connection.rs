//! One client's socket with what was read and what is to be written. It knows no HTTP besides the storage of its parser.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_core::tcp::Proxied;
use fuseboard_grpc::Code;
use fuseboard_http1::Headers;

use super::End;
use super::identity::Identity;
use super::line::Line;
use crate::buffer::{BUFFER_SIZE, Buffer};
use crate::clock;
use crate::deadline::{Timer, Timers};
use crate::exchange::RouteCache;
use crate::listener::{DownstreamPermit, LiveListener};
use crate::shared::Seat;
use crate::stats::ListenerBlock;
use crate::stream::{Pipe, Stream, Wire};
use crate::worker::Worker;

/// How long a client may go on sending after our last word, so that it reads our answer before it sees a reset.
const LINGER: Duration = Duration::from_secs(1);

/// What it may send in that time.
const LINGER_BYTES: usize = 256 * 1024;

/// What a connection is while it or one of its streams lives: its place in the listener, and in the worker's load, and who calls whom.
#[derive(Debug)]
pub(crate) struct Place {
    permit: DownstreamPermit,
    _seat: Option<Seat>,
    pub(super) called: Proxied,
    /// A PROXY header says who calls.
    is_proxied: bool,
}

impl Place {
    pub(crate) fn new(
        permit: DownstreamPermit,
        seat: Option<Seat>,
        called: Proxied,
        is_proxied: bool,
    ) -> Rc<Self> {
        Rc::new(Self { permit, _seat: seat, called, is_proxied })
    }

    pub(super) fn listener(&self) -> &LiveListener {
        self.permit.listener()
    }
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A client's connection, or one of the streams of its connection: what carries its requests.
#[derive(Debug)]
pub(crate) struct Downstream {
    pub(super) line: Line,
    pub(super) place: Rc<Place>,
    pub(crate) worker: Rc<Worker>,
    pub(crate) timers: Timers,
    /// Read and not yet used; the head of the running exchange stays at its front.
    pub(crate) input: Buffer,
    /// To be written, from `written` on.
    pub(crate) output: Vec<u8>,
    written: usize,
    pub(crate) request_headers: Headers,
    pub(crate) response_headers: Headers,
    pub(crate) routes: RouteCache,
    /// The latest reading of the clock; good enough for idle time-outs.
    pub(crate) now: Instant,
    /// What TLS told of the client; `None`: plain text.
    pub(super) identity: Option<Rc<Identity>>,
    /// `None`: it has not said anything yet.
    pub(super) spoken: Option<Spoken>,
    /// No request has come yet.
    pub(super) fresh: bool,
    received: u64,
    sent: u64,
}

impl Downstream {
    pub(crate) fn new(line: Line, place: Rc<Place>, worker: Rc<Worker>, now: Instant) -> Self {
        Self {
            timers: worker.deadlines.register(),
            routes: RouteCache::new(worker.view(), place.listener().id),
            line,
            place,
            worker,
            input: Buffer::default(),
            output: Vec::new(),
            written: 0,
            request_headers: Headers::new(),
            response_headers: Headers::new(),
            now,
            identity: None,
            spoken: None,
            fresh: true,
            received: 0,
            sent: 0,
        }
    }

    pub(crate) fn listener(&self) -> &LiveListener {
        self.place.listener()
    }

    /// The worker's numbers of this listener.
    pub(crate) fn stats(&self) -> &ListenerBlock {
        self.listener().stats.shard(self.worker.index)
    }

    /// The address that the client connected to.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.place.called.destination
    }

    /// Who calls.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.place.called.source
    }

    /// Who calls, where only a PROXY header told us, and nobody behind us could know.
    pub(crate) fn proxied_client(&self) -> Option<IpAddr> {
        self.place.is_proxied.then(|| self.place.called.source.ip())
    }

    /// Whether it is one of several on its connection.
    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self.line, Line::Served(_))
    }

    /// Bytes that were read and are used up: those of all exchanges so far.
    pub(crate) const fn taken(&self) -> u64 {
        self.received - self.input.len() as u64
    }

    /// Bytes that were written.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Reads into the room of the input; `Ok(0)` is the end. The input must have room.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = self.line.poll_read(cx, self.input.room());
        read.map_ok(|n| self.have_read(n))
    }

    fn have_read(&mut self, n: usize) -> usize {
        self.input.advance(n);
        self.received += n as u64;
        if !self.is_stream() {
            self.stats().http.downstream_cx_rx_bytes_total.add(n as u64);
        }
        n
    }

    /// Waits for bytes without a buffer to put them in.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.poll_readable(cx)
    }

    /// Whether the system has something to read, bytes or their end; the event loop may not have heard of it yet.
    pub(super) fn is_readable_now(&mut self) -> bool {
        self.line.is_readable_now()
    }

    /// Ready when the client has closed its side, or reset the connection. What it sent before is read into the input, as far
    /// as there is room, and stays there; what does not fit is left with the system and does not hide the end.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Seldom anything has come, and this is the cheap way to ask.
            if let Line::Socket(socket) = &self.line
                && socket.poll_readable(cx).is_pending()
            {
                return Poll::Pending;
            }
            if self.input.is_present() && self.input.make_room(BUFFER_SIZE) {
                match self.poll_read(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            } else {
                return self.line.poll_closed(cx);
            }
        }
    }

    /// Whether everything was written.
    pub(crate) const fn is_flushed(&self) -> bool {
        self.written == self.output.len()
    }

    /// Writes the output.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let wrote = self.line.poll_write(cx, &self.output[self.written..]);
            let Poll::Ready(n) = self.have_written(wrote)? else { return Poll::Pending };
            self.written += n;
        }
        self.output.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes bytes that are not in the output; the output must be flushed.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = self.line.poll_write(cx, bytes);
        self.have_written(wrote)
    }

    /// Moves what is in `pipe`, which must hold something; the output must be flushed.
    pub(crate) fn poll_move_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        let Some(wire) = self.wire() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        let moved = wire.poll_move_from(cx, pipe);
        self.have_written(moved)
    }

    /// Watches how long the client takes nothing; no clock is read while it does.
    fn have_written(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let watched = self.timers.is_armed(Timer::Answer);
        let Poll::Ready(wrote) = wrote else {
            if !watched && let Some(settings) = self.routes.http_settings() {
                self.timers.arm(Timer::Answer, clock::now() + settings.stream_idle_timeout);
            }
            return Poll::Pending;
        };
        let n = wrote?;
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if watched {
            self.timers.disarm(Timer::Answer);
        }
        self.sent += n as u64;
        if !self.is_stream() {
            self.stats().http.downstream_cx_tx_bytes_total.add(n as u64);
        }
        Poll::Ready(Ok(n))
    }

    /// Keeps the first `length` bytes of the input, in no more memory than they take, and gives the others away.
    pub(crate) fn split_input(&mut self, length: usize) -> Buffer {
        let (kept, rest) = self.input.filled().split_at(length);
        let (kept, rest) = (Buffer::of(kept), Buffer::of(rest));
        self.worker.buffers.give(&mut self.input);
        self.input = kept;
        rest
    }

    /// The connection, for bytes that are carried as they are; `None`: it is one of several on its connection.
    pub(crate) fn wire(&mut self) -> Option<Wire<'_>> {
        self.line.socket().map(Stream::wire)
    }

    /// Bytes were carried so.
    pub(crate) fn have_carried(&mut self, received: u64, sent: u64) {
        self.received += received;
        self.sent += sent;
        let http = &self.stats().http;
        http.downstream_cx_rx_bytes_total.add(received);
        http.downstream_cx_tx_bytes_total.add(sent);
    }

    /// Gives buffers back; nothing is to be read or written.
    pub(crate) fn release_buffers(&mut self) {
        if self.input.is_empty() && self.input.is_present() {
            self.worker.buffers.give(&mut self.input);
        }
        if self.output.is_empty() && self.output.capacity() > 0 {
            self.worker.buffers.give_output(&mut self.output);
        }
    }

    /// Memory to read into and to write from.
    pub(crate) fn take_buffers(&mut self) {
        if !self.input.is_present() {
            self.input = self.worker.buffers.take();
        }
        if self.output.capacity() == 0 {
            self.output = self.worker.buffers.take_output();
        }
    }

    /// Ends our side, and reads on for a moment: a client that still sends would otherwise get a reset in place of the answer.
    pub(crate) async fn linger(&mut self) {
        if !self.line.shut_down() {
            return;
        }
        self.timers.arm(Timer::Pause, clock::now() + LINGER);
        self.take_buffers();
        let mut left = LINGER_BYTES;
        std::future::poll_fn(|cx| {
            loop {
                if self.timers.poll_expired(cx).is_some() || left == 0 {
                    return Poll::Ready(());
                }
                self.input.consume(self.input.len());
                match self.poll_read(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(n)) if n > 0 => left = left.saturating_sub(n),
                    Poll::Ready(_) => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    /// The close will be a reset: the answer was broken off, and its end must not look like one.
    pub(crate) fn reset_on_close(&mut self) {
        self.line.reset_on_close();
    }

    /// Ends the answer to a call of gRPC with this status. False: it is no stream, or its answer has not begun, or is over.
    pub(crate) fn end_call(&mut self, code: Code, words: &str) -> bool {
        self.line.end_call(code, words)
    }

    /// Messages of a call of gRPC, those that came and those that went since this was last asked; `None`: it is none.
    pub(crate) fn take_messages(&mut self) -> Option<(u64, u64)> {
        self.line.take_messages()
    }

    /// Tells the client that nothing was cut off. Before closing.
    pub(super) fn say_end(&mut self) {
        self.line.say_end();
    }

    /// Whether the client's connection is encrypted.
    pub(crate) const fn is_secure(&self) -> bool {
        self.identity.is_some()
    }

    /// The server that the client asked TLS for.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.identity.as_ref()?.server_name.as_deref()
    }

    /// The client's certificate as `x-forwarded-client-cert` tells it; `None`: it showed none.
    pub(crate) fn client_certificate(&self) -> Option<&str> {
        self.identity.as_ref()?.client.as_deref()
    }

    pub(super) fn count_opened(&self) {
        let block = self.stats();
        block.listener.downstream_cx_total.inc();
        block.listener.downstream_cx_active.inc();
        let http = &block.http;
        http.downstream_cx_total.inc();
        http.downstream_cx_active.inc();
    }

    /// The connection's first bytes tell what is spoken on it.
    pub(super) fn begin(&mut self, spoken: Spoken) {
        if self.spoken.is_some() {
            return;
        }
        self.spoken = Some(spoken);
        let http = &self.stats().http;
        match spoken {
            _ if self.is_stream() => {}
            Spoken::Http1 => {
                http.downstream_cx_http1_total.inc();
                http.downstream_cx_http1_active.inc();
            }
            Spoken::Http2 => {
                http.downstream_cx_http2_total.inc();
                http.downstream_cx_http2_active.inc();
            }
        }
    }

    /// What the client speaks.
    pub(crate) fn spoken(&self) -> Spoken {
        self.spoken.unwrap_or(Spoken::Http1)
    }

    pub(super) fn count_closed(&self, end: End, millis: u64) {
        let block = self.stats();
        block.listener.downstream_cx_active.dec();
        block.listener.downstream_cx_destroy.inc();
        block.listener.downstream_cx_length_ms.record(millis);
        let http = &block.http;
        http.downstream_cx_active.dec();
        match self.spoken {
            None => {}
            Some(Spoken::Http1) => http.downstream_cx_http1_active.dec(),
            Some(Spoken::Http2) => http.downstream_cx_http2_active.dec(),
        }
        http.downstream_cx_destroy.inc();
        http.downstream_cx_length_ms.record(millis);
        if end.remote {
            http.downstream_cx_destroy_remote.inc();
        } else {
            http.downstream_cx_destroy_local.inc();
        }
        if end.busy {
            http.downstream_cx_destroy_active_rq.inc();
            if end.remote {
                http.downstream_cx_destroy_remote_active_rq.inc();
            } else {
                http.downstream_cx_destroy_local_active_rq.inc();
            }
        }
    }
}

impl Drop for Downstream {
    fn drop(&mut self) {
        self.worker.buffers.give(&mut self.input);
        self.worker.buffers.give_output(&mut self.output);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::task::Waker;

    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn a_client_is_timed_only_while_it_takes_nothing() {
        const ALL: usize = 32 << 20;
        let (mut client, mut connection, _worker) = fixture::connection().unwrap();
        connection.output = vec![b'x'; ALL];
        let mut nobody = Context::from_waker(Waker::noop());
        while connection.poll_flush(&mut nobody).is_ready() {}
        assert!(connection.timers.is_armed(Timer::Answer), "nobody reads");
        let reading = std::thread::spawn(move || client.read_exact(&mut vec![0; ALL]));
        std::future::poll_fn(|cx| connection.poll_flush(cx)).await.unwrap();
        assert!(!connection.timers.is_armed(Timer::Answer), "all was taken");
        reading.join().unwrap().unwrap();
    }
}
