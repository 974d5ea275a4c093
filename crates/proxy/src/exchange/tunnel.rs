//! After a switch of protocols: bytes both ways until both sides have closed. Slot and connection stay held for all that time.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use fuseboard_http1::{HeaderName, ResponseHead, ResponseSummary, Version, write};

use super::answer::Incoming;
use super::held::Held;
use super::{Ended, Exchange};
use crate::buffer::{BUFFER_SIZE, Buffer};
use crate::clock;
use crate::upstream::{ClosedBy, Line, UpstreamConnection};

/// Which directions are over.
#[derive(Clone, Copy, Debug, Default)]
struct Over {
    to_upstream: bool,
    to_client: bool,
}

impl Exchange<'_> {
    /// Passes the 101 on, then everything else.
    pub(super) async fn tunnel(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        answer: ResponseSummary,
        length: usize,
    ) -> Ended {
        self.close = true;
        self.account.answered(&self.worker, answer.status, self.now);
        self.down.stats().codes.inc(answer.status);
        self.write_switch(incoming, answer, length);
        self.down.timers.disarm(crate::deadline::Timer::Route);
        // What was sent of the request's body is not sent again.
        self.down.input.remove(self.head_length, self.body.sent - self.head_length);
        (self.body.sent, self.body.checked) = (self.head_length, self.head_length);
        let http = &self.down.stats().http;
        http.downstream_cx_upgrades_total.inc();
        http.downstream_cx_upgrades_active.inc();
        let mut over = Over::default();
        let carried = match held.connection.as_mut().and_then(Line::socket) {
            Some(connection) => {
                poll_fn(|cx| self.poll_both(cx, connection, &mut incoming.buffer, &mut over)).await
            }
            None => Ok(()),
        };
        self.down.stats().http.downstream_cx_upgrades_active.dec();
        self.now = clock::now();
        match carried {
            Ok(()) => held.complete(false, self.now),
            Err(_) => held.abort(ClosedBy::Local, self.now),
        }
        Ended::Answered
    }

    fn write_switch(&mut self, incoming: &mut Incoming, answer: ResponseSummary, length: usize) {
        let bytes = &incoming.buffer.filled()[..length];
        let head = ResponseHead::restore(bytes, &self.down.response_headers, answer);
        let out = &mut self.down.output;
        write::status_line(out, Version::Http11, answer.status, head.reason());
        for field in head.fields() {
            match field.id {
                HeaderName::Upgrade => {
                    write::field(out, b"connection", b"upgrade");
                    write::forward(out, &field);
                }
                _ if field.hop_by_hop => {}
                HeaderName::XFuseboard => {}
                _ => write::forward(out, &field),
            }
        }
        write::end_head(out);
        incoming.buffer.consume(length);
    }

    /// Ready when both directions are over, or one broke.
    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut UpstreamConnection,
        incoming: &mut Buffer,
        over: &mut Over,
    ) -> Poll<io::Result<()>> {
        if !over.to_upstream && self.poll_to_upstream(cx, up)?.is_ready() {
            over.to_upstream = true;
            up.shut_down();
        }
        if !over.to_client && self.poll_to_client(cx, up, incoming)?.is_ready() {
            over.to_client = true;
            self.down.shut_down();
        }
        if over.to_upstream && over.to_client { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// What follows the head in the input is the tunnel's; the head stays for the access log.
    fn poll_to_upstream(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut UpstreamConnection,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.down.input.len() > self.head_length {
                let n = ready!(up.poll_write(cx, &self.down.input.filled()[self.head_length..]))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.count_sent(n);
                self.down.input.remove(self.head_length, n);
                self.account.bytes_received += n as u64;
            }
            self.down.input.make_room(self.head_length + BUFFER_SIZE);
            if ready!(self.down.poll_read(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_to_client(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut UpstreamConnection,
        incoming: &mut Buffer,
    ) -> Poll<io::Result<()>> {
        if !self.down.is_flushed() {
            ready!(self.down.poll_flush(cx))?;
        }
        loop {
            while !incoming.is_empty() {
                let n = ready!(self.down.poll_write(cx, incoming.filled()))?;
                incoming.consume(n);
                self.account.bytes_sent += n as u64;
            }
            incoming.make_room(BUFFER_SIZE);
            match ready!(up.poll_read(cx, incoming))? {
                0 => return Poll::Ready(Ok(())),
                n => self.count_received(n),
            }
        }
    }
}
