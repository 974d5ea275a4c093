//! Passing an answer on: its head with what Envoy adds, its body as it comes, in bounded buffers with back-pressure. Slot and
//! connection are given back when the upstream's message is complete, before its last byte goes to the client (invariant 8).

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use fuseboard_core::Outcome;
use fuseboard_http1::{BodyDecoder, BodyFraming, HeaderName, ResponseHead, ResponseSummary, Version, write};

use super::answer::{Incoming, cut_in_body};
use super::attempt::closed_by;
use super::copy::{self, Copy};
use super::fallback::FALLBACK;
use super::held::Held;
use super::{Ended, Exchange};
use crate::buffer::BUFFER_SIZE;
use crate::clock;
use crate::live::ClusterView;
use crate::local_reply::Cause;
use crate::stream::{Turn, Way};
use crate::upstream::{ClosedBy, Line, millis};

/// How the body reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As it came.
    Same,
    /// In chunks: its end was the end of the connection.
    Chunked,
    /// Without its chunks: HTTP/1.0 knows none.
    Bare,
}

/// The body on its way.
struct Passing {
    decoder: BodyDecoder,
    framing: Framing,
    answer: ResponseSummary,
    /// Bytes at the front of the incoming buffer that may be written as they are.
    passed: usize,
    /// For the cluster's fallbacks.
    copy: Option<Box<Copy>>,
    way: Way,
}

impl Exchange<'_> {
    /// Forwards the answer whose head is at the front of what came.
    pub(super) async fn forward(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        answer: ResponseSummary,
        length: usize,
    ) -> Ended {
        let framing = self.framing(answer);
        if !self.body.decoder.is_complete() {
            // Answered early: what is left of the request could be taken for the next one.
            self.close = true;
            self.count_early();
        }
        self.account.answered(&self.worker, answer.status, self.now);
        self.down.stats().codes.inc(answer.status);
        let way = Way::new(!incoming.buffer.has_room());
        let copy = self.write_response_head(&held.cluster.view, incoming, answer, length, framing);
        let mut passing = Passing { copy, decoder: self.decoder_of(answer), framing, answer, passed: 0, way };
        if answer.says_close {
            self.account.cluster_stats(&self.worker, |block| block.stats.upstream_cx_close_notify.inc());
        }
        let ended = match self.take_body(held, incoming, &mut passing) {
            Ok(()) => poll_fn(|cx| self.poll_forward(cx, held, incoming, &mut passing)).await,
            Err(ended) => ended,
        };
        // As in Envoy: the body's own bytes, those included that were on their way when the answer broke off.
        self.account.bytes_sent = passing.decoder.content_bytes();
        if ended != Ended::Answered {
            self.break_off(held, ended, answer.status);
            // What was good of it, as far as the client takes that at once.
            poll_fn(|cx| Poll::Ready(self.down.poll_flush(cx).is_ready())).await;
        }
        ended
    }

    /// The answer is not finished: tells the host's health why, and closes the connection.
    fn break_off(&mut self, held: &mut Held<'_>, ended: Ended, status: u16) {
        self.now = clock::now();
        let outcome = match ended {
            Ended::Broken(cause) => cause.row().outcome.map(Outcome::Failure),
            _ => None,
        };
        held.record(outcome.unwrap_or(Outcome::of_status(status)), self.now);
        let by = if let Ended::Broken(cause) = ended { closed_by(cause) } else { ClosedBy::Local };
        held.abort(by, self.now);
    }

    const fn framing(&mut self, answer: ResponseSummary) -> Framing {
        match (answer.framing, self.request.version) {
            (BodyFraming::UntilClose, Version::Http11) => Framing::Chunked,
            (BodyFraming::UntilClose, Version::Http10) => {
                self.close = true;
                Framing::Same
            }
            (BodyFraming::Chunked, Version::Http10) => {
                self.close = true;
                Framing::Bare
            }
            _ => Framing::Same,
        }
    }

    fn write_response_head(
        &mut self,
        view: &ClusterView,
        incoming: &mut Incoming,
        answer: ResponseSummary,
        length: usize,
        framing: Framing,
    ) -> Option<Box<Copy>> {
        let mut out = std::mem::take(&mut self.down.output);
        let bytes = &incoming.buffer.filled()[..length];
        let head = ResponseHead::restore(bytes, &self.down.response_headers, answer);
        write::status_line(&mut out, Version::Http11, answer.status, head.reason());
        let mut has_date = false;
        let mut passage = write::Passage::of(bytes);
        for field in head.fields() {
            match field.id {
                _ if field.hop_by_hop => continue,
                // Nobody but us says why we refused.
                HeaderName::XFuseboard | HeaderName::XEnvoyUpstreamServiceTime => continue,
                HeaderName::Date => has_date = true,
                _ => {}
            }
            passage.forward(&mut out, &field);
        }
        passage.flush(&mut out);
        let chunked = framing == Framing::Chunked
            || (framing == Framing::Same && answer.framing == BodyFraming::Chunked);
        if chunked {
            write::line(&mut out, b"transfer-encoding: chunked\r\n");
        }
        if !has_date {
            write::field(&mut out, b"date", &self.worker.date(self.now));
        }
        let service_time = self.now.saturating_since(self.account.complete_at);
        write::field_number(&mut out, b"x-envoy-upstream-service-time", millis(service_time));
        if let Some(stand_in) = &self.stand_in {
            write::field(&mut out, FALLBACK, stand_in.header.as_bytes());
        }
        let copy =
            view.fallback.as_ref().and_then(|_| copy::begin(view, &self.head(), &head, answer, self.now));
        self.write_connection(&mut out);
        write::end_head(&mut out);
        self.down.output = out;
        incoming.buffer.consume(length);
        copy
    }

    /// Says what becomes of the connection, where the version alone does not.
    pub(super) fn write_connection(&mut self, out: &mut Vec<u8>) {
        // A stream ends with its exchange in any case.
        if self.down.is_stream() {
            return;
        }
        if !self.close && self.worker.says_farewell() {
            self.close = true;
            self.down.stats().http.downstream_cx_drain_close.inc();
        }
        if self.close {
            write::line(out, b"connection: close\r\n");
        } else if self.request.version == Version::Http10 {
            write::line(out, b"connection: keep-alive\r\n");
        }
    }

    /// Takes what came of the body; gives everything back if that was all of it.
    fn take_body(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        passing: &mut Passing,
    ) -> Result<(), Ended> {
        self.decode(incoming, passing).map_err(Ended::Broken)?;
        if passing.decoder.is_complete() {
            self.complete(held, incoming, passing);
        }
        Ok(())
    }

    fn decode(&mut self, incoming: &mut Incoming, passing: &mut Passing) -> Result<(), Cause> {
        let malformed = |_| Cause::ProtocolErrorInBody;
        if passing.framing == Framing::Same {
            let fresh = &incoming.buffer.filled()[passing.passed..];
            let passed = passing.decoder.pass(fresh).map_err(malformed)?;
            if let Some(copy) = &mut passing.copy
                && !copy.take(&fresh[..passed])
            {
                passing.copy = None;
            }
            passing.passed += passed;
            // A part that is small enough goes out with what is waiting, in one write.
            if !self.down.is_flushed() && self.down.output.len() + passing.passed <= BUFFER_SIZE {
                self.down.output.extend_from_slice(&incoming.buffer.filled()[..passing.passed]);
                incoming.buffer.consume(passing.passed);
                passing.passed = 0;
            }
            return Ok(());
        }
        while !incoming.buffer.is_empty() && !passing.decoder.is_complete() {
            let decoded = passing.decoder.decode(incoming.buffer.filled()).map_err(malformed)?;
            if let Some(copy) = &mut passing.copy
                && !copy.take(&incoming.buffer.filled()[..decoded.consumed])
            {
                passing.copy = None;
            }
            let content = &incoming.buffer.filled()[decoded.content];
            match passing.framing {
                Framing::Chunked => write::chunk(&mut self.down.output, content),
                Framing::Same | Framing::Bare => self.down.output.extend_from_slice(content),
            }
            incoming.buffer.consume(decoded.consumed);
        }
        Ok(())
    }

    /// The upstream's message is complete.
    fn complete(&mut self, held: &mut Held<'_>, incoming: &Incoming, passing: &mut Passing) {
        if passing.framing == Framing::Chunked {
            self.down.output.extend_from_slice(write::LAST_CHUNK);
        }
        let outcome = self.outcome_of_whole(passing.answer.status, &passing.decoder);
        held.record(outcome, self.now);
        if let Some(copy) = passing.copy.take() {
            copy.finish(&held.cluster.view);
        }
        let took = self.now.saturating_since(self.account.complete_at);
        self.account.cluster_stats(&self.worker, |block| block.stats.upstream_rq_time.record(millis(took)));
        self.give_back(held, incoming, passing.answer, incoming.buffer.len() - passing.passed);
    }

    /// Gives back what a whole answer came on. `behind`: bytes that came after it, which answer nothing that was asked.
    pub(super) fn give_back(
        &self,
        held: &mut Held<'_>,
        incoming: &Incoming,
        answer: ResponseSummary,
        behind: usize,
    ) {
        if answer.framing == BodyFraming::UntilClose {
            return held.complete_by_close(self.now);
        }
        if behind > 0 {
            self.account.cluster_stats(&self.worker, |block| block.stats.upstream_cx_protocol_error.inc());
        }
        if self.body.decoder.is_complete() && incoming.request_over {
            held.complete(answer.keep_alive && behind == 0, self.now);
        } else {
            // Nobody reads what is left of the request.
            held.abort(ClosedBy::Local, self.now);
        }
    }

    fn poll_forward(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        passing: &mut Passing,
    ) -> Poll<Ended> {
        let mut turn = Turn::default();
        loop {
            match self.poll_write_out(cx, incoming, passing) {
                Poll::Pending => break,
                Poll::Ready(Err(ended)) => return Poll::Ready(ended),
                Poll::Ready(Ok(())) => {}
            }
            if passing.decoder.is_complete() {
                return Poll::Ready(Ended::Answered);
            }
            let Some(connection) = held.connection.as_mut() else {
                return Poll::Ready(Ended::Broken(Cause::TerminatedInBody));
            };
            if turn.is_over(cx) {
                break;
            }
            match self.poll_take(cx, connection, incoming, passing) {
                Poll::Pending => {
                    // Who waits for a host that says little needs nothing to put it in.
                    if incoming.buffer.is_empty() {
                        self.worker.buffers.give(&mut incoming.buffer);
                    }
                    passing.way.rest();
                    break;
                }
                Poll::Ready(Ok(n)) if n > 0 => {
                    turn.took(n);
                    self.count_received(n);
                }
                Poll::Ready(end) => {
                    let ends_body = passing.decoder.on_close().is_ok();
                    if let Some(cause) = cut_in_body(connection, end.is_ok(), ends_body) {
                        return Poll::Ready(Ended::Broken(cause));
                    }
                }
            }
            self.now = clock::now();
            if let Err(ended) = self.take_body(held, incoming, passing) {
                return Poll::Ready(ended);
            }
        }
        self.poll_meanwhile(cx, held, incoming)
    }

    /// Takes more of the body: into a pipe, if much comes that nobody looks at, else into the buffer. Everything that was taken
    /// before is written.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Line<'_>,
        incoming: &mut Incoming,
        passing: &mut Passing,
    ) -> Poll<io::Result<usize>> {
        let Passing { decoder, way, .. } = passing;
        if incoming.buffer.is_empty() {
            ready!(connection.poll_readable(cx))?;
            let as_it_came = passing.framing == Framing::Same && passing.copy.is_none();
            if as_it_came
                && let Some(from) = connection.socket()
                && let Some(to) = self.down.wire()
                && let Some(n) = way.take(&self.worker.pipes, &mut from.wire(), &to, decoder.unframed())?
            {
                decoder.take_unseen(n as u64);
                return Poll::Ready(Ok(n));
            }
        }
        way.make_room(&self.worker.buffers, &mut incoming.buffer, decoder.remaining());
        let read = ready!(connection.poll_read(cx, &mut incoming.buffer))?;
        way.read(read, &incoming.buffer);
        Poll::Ready(Ok(read))
    }

    /// Writes the output, then what may be passed on as it is.
    fn poll_write_out(
        &mut self,
        cx: &mut Context<'_>,
        incoming: &mut Incoming,
        passing: &mut Passing,
    ) -> Poll<Result<(), Ended>> {
        if !self.down.is_flushed() {
            match self.down.poll_flush(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::Gone)),
            }
        }
        while passing.passed > 0 {
            match self.down.poll_write(cx, &incoming.buffer.filled()[..passing.passed]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) => {
                    passing.passed -= n;
                    incoming.buffer.consume(n);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::Gone)),
            }
        }
        while let Some(pipe) = passing.way.moving() {
            if ready!(self.down.poll_move_from(cx, pipe)).is_err() {
                return Poll::Ready(Err(Ended::Gone));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// While the answer waits for one of the sides: the rest of the request, timers, the client's end.
    fn poll_meanwhile(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
    ) -> Poll<Ended> {
        if let Some(connection) = held.connection.as_mut()
            && let Err(ended) = self.poll_request(cx, connection, incoming, false)
        {
            return Poll::Ready(after_head(ended));
        }
        self.poll_wait(cx).map(after_head)
    }
}

/// What would have been a local answer can only break the answer off that has begun.
const fn after_head(ended: Ended) -> Ended {
    match ended {
        Ended::Failed(cause) => match cause.inside_answer() {
            Some(late) => Ended::Broken(late),
            None => Ended::Broken(cause),
        },
        other => other,
    }
}
