//! Sending the request on a connection and waiting for the head of its answer; then the choice between another try, a tunnel
//! and forwarding.

use std::future::poll_fn;
use std::task::{Context, Poll};

use fuseboard_core::Outcome;
use fuseboard_core::retry::Answer;
use fuseboard_http1::{
    BodyDecoder, HeadScanner, HeaderName, Limits, ResponseHead, ResponseSummary, Version, parse_response,
    write,
};

use super::attempt::Served;
use super::held::Held;
use super::reply::NOT_PROCESSED;
use super::request::SendError;
use super::retry::Retries;
use super::{Ended, Exchange};
use crate::buffer::{BUFFER_SIZE, Buffer};
use crate::clock;
use crate::deadline::Timer;
use crate::http2::{Fate, Unprocessed};
use crate::local_reply::Cause;
use crate::upstream::{ClosedBy, Line};

/// What comes from the upstream.
pub(super) struct Incoming {
    /// Read and not yet forwarded. No memory before the first byte is there.
    pub(super) buffer: Buffer,
    scanner: HeadScanner,
    /// Something came, so that the host has seen the request.
    began: bool,
    /// All of the request was sent, or no more of it can be.
    pub(super) request_over: bool,
}

/// Why there is no head.
enum NoHead {
    Ended(Ended),
    Stale,
}

impl Incoming {
    /// What it is that the connection ended before an answer's head did.
    fn cut(&self, connection: Option<&Line<'_>>) -> Cause {
        match connection {
            Some(Line::Socket(_)) if !self.buffer.is_empty() => Cause::CutInHead,
            _ => Cause::ConnectionTermination,
        }
    }
}

impl Exchange<'_> {
    /// Serves the request on the connection in `held`. `reused`: it may turn out to have been closed before.
    pub(super) async fn serve_on(
        &mut self,
        held: &mut Held<'_>,
        retries: &mut Retries<'_>,
        reused: bool,
    ) -> Served {
        self.begin(held);
        let mut incoming = Incoming {
            buffer: Buffer::default(),
            scanner: HeadScanner::for_responses(Limits::default()),
            began: false,
            request_over: false,
        };
        let served = match self.answer_head(held, &mut incoming, retries.may_send_again()).await {
            Ok((answer, length)) => self.judge(held, &mut incoming, retries, answer, length).await,
            Err(NoHead::Ended(ended)) => Served::Ended(ended),
            Err(NoHead::Stale) => match held.connection.as_ref().and_then(Line::fate) {
                // Whatever was sent, the host has not looked at it, and goes away.
                Some(Fate::NotProcessed(Unprocessed::GoingAway)) if self.body.replayable => {
                    self.drop_stale(held);
                    Served::Stale
                }
                Some(Fate::NotProcessed(_)) => {
                    self.account.was_not_processed();
                    Served::Ended(Ended::Failed(Cause::StreamRefused))
                }
                Some(Fate::Reset) => Served::Ended(Ended::Failed(Cause::RemoteReset)),
                Some(Fate::ProtocolError) => Served::Ended(Ended::Failed(Cause::ProtocolError)),
                None if reused && self.may_send_again(&incoming) => {
                    self.drop_stale(held);
                    Served::Stale
                }
                None => Served::Ended(Ended::Failed(incoming.cut(held.connection.as_ref()))),
            },
        };
        self.worker.buffers.give(&mut incoming.buffer);
        served
    }

    /// Counts the try and writes its head.
    fn begin(&mut self, held: &mut Held<'_>) {
        let config = &held.cluster.view.config;
        let stats = &held.cluster.view.live.stats.shard(self.worker.index).stats;
        if !self.account.try_counted {
            self.account.try_counted = true;
            stats.upstream_rq_total.inc();
            held.host.stats.shard(self.worker.index).rq_total.inc();
        }
        if let Some(connection) = &mut held.connection {
            if connection.begin_request(config.connection.max_requests) {
                stats.upstream_cx_max_requests.inc();
            }
            if self.worker.shared.access_log.is_some() {
                self.account.upstream_local_address = connection.local_address();
            }
        }
        self.write_request_head();
        if !self.body.decoder.is_complete() {
            let now = self.now;
            self.arm_body_timeout(now);
        }
    }

    /// D18: nothing of an answer came, the body is still here, and sending twice does no harm or nothing was sent.
    fn may_send_again(&self, incoming: &Incoming) -> bool {
        !incoming.began
            && self.body.replayable
            && (self.request.method.is_idempotent() || self.sent_output == 0)
    }

    fn drop_stale(&mut self, held: &mut Held<'_>) {
        match held.connection.take() {
            Some(Line::Socket(connection)) => {
                let stats = &held.cluster.view.live.stats.shard(self.worker.index).stats;
                connection.close(stats, ClosedBy::Remote, false, self.now);
            }
            Some(Line::Stream(stream)) => stream.end(false, self.now),
            None => {}
        }
    }

    async fn answer_head(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        keep_body: bool,
    ) -> Result<(ResponseSummary, usize), NoHead> {
        let Some(connection) = held.connection.as_mut() else { return Err(NoHead::Stale) };
        let awaited = poll_fn(|cx| self.poll_head(cx, connection, incoming, keep_body)).await;
        // The second reading of the clock: when the answer came.
        self.now = clock::now();
        awaited
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Line<'_>,
        incoming: &mut Incoming,
        keep_body: bool,
    ) -> Poll<Result<(ResponseSummary, usize), NoHead>> {
        if let Err(ended) = self.poll_request(cx, connection, incoming, keep_body) {
            return Poll::Ready(Err(NoHead::Ended(ended)));
        }
        loop {
            // Interim heads go out before more of them are read.
            if self.down.output.len() >= BUFFER_SIZE && self.down.poll_flush(cx).is_pending() {
                break;
            }
            if !incoming.buffer.is_present() {
                if connection.poll_readable(cx).is_pending() {
                    break;
                }
                incoming.buffer = self.worker.buffers.take();
            }
            if !incoming.buffer.make_room(Limits::default().max_head_bytes + 1) {
                return Poll::Ready(Err(NoHead::Ended(Ended::Failed(Cause::ProtocolError))));
            }
            match connection.poll_read(cx, &mut incoming.buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(n)) if n > 0 => {
                    incoming.began = true;
                    self.count_received(n);
                }
                Poll::Ready(end) => {
                    if let Err(error) = end {
                        self.account.broke_off(error);
                    }
                    return Poll::Ready(Err(NoHead::Stale));
                }
            }
            match self.heads(incoming) {
                Ok(Some(found)) => return Poll::Ready(Ok(found)),
                Ok(None) => {}
                Err(ended) => return Poll::Ready(Err(NoHead::Ended(ended))),
            }
        }
        if !self.down.is_flushed()
            && let Poll::Ready(Err(_)) = self.down.poll_flush(cx)
        {
            return Poll::Ready(Err(NoHead::Ended(Ended::Gone)));
        }
        self.poll_wait(cx).map(|ended| Err(NoHead::Ended(ended)))
    }

    /// Goes on with the request, while there is any of it.
    pub(super) fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Line<'_>,
        incoming: &mut Incoming,
        keep_body: bool,
    ) -> Result<(), Ended> {
        if incoming.request_over {
            return Ok(());
        }
        match self.poll_send(cx, connection, keep_body) {
            Poll::Pending => Ok(()),
            // Even an upstream that takes no more may have answered.
            Poll::Ready(Ok(()) | Err(SendError::Upstream)) => {
                incoming.request_over = true;
                Ok(())
            }
            Poll::Ready(Err(SendError::Ended(ended))) => Err(ended),
        }
    }

    /// Timers, and the client's end, which must not hide behind a body that the upstream does not take.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.count_messages();
        self.poll_interrupt(cx).map(|interrupt| self.interrupted(interrupt))
    }

    /// Parses what is there: passes interim heads on, gives the final one.
    fn heads(&mut self, incoming: &mut Incoming) -> Result<Option<(ResponseSummary, usize)>, Ended> {
        let malformed = |_| Ended::Failed(Cause::ProtocolError);
        let mut awaiting = self.head().awaiting();
        awaiting.upgrade &= self.upgrade_offered();
        while !incoming.buffer.is_empty() {
            let Some(length) = incoming.scanner.scan(incoming.buffer.filled()).map_err(malformed)? else {
                return Ok(None);
            };
            let bytes = &incoming.buffer.filled()[..length];
            let limits = Limits::default();
            let head = parse_response(bytes, &mut self.down.response_headers, &limits, awaiting)
                .map_err(malformed)?;
            if !head.is_interim() {
                return Ok(Some((head.summary(), length)));
            }
            let status = head.status();
            self.account.cluster_stats(&self.worker, |block| block.codes.inc(status));
            // RFC 9110 section 15.2: passed on, except to HTTP/1.0; a 100 only to those who wait for one.
            let wanted = status != 100 || self.request.expect_continue;
            if self.request.version == Version::Http11 && wanted {
                write_interim(&mut self.down.output, &head);
                self.down.stats().codes.inc(status);
            }
            incoming.buffer.consume(length);
        }
        Ok(None)
    }

    /// The answer's head is there: another try, a tunnel, or forwarding.
    async fn judge(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        retries: &mut Retries<'_>,
        answer: ResponseSummary,
        length: usize,
    ) -> Served {
        self.down.timers.disarm(Timer::Try);
        if answer.tunnel {
            if self.sent_output < self.upstream_output.len() {
                // It agrees to what it cannot have read.
                return Served::Ended(Ended::Failed(Cause::ProtocolError));
            }
            held.record(Outcome::Success { status: answer.status }, self.now);
            return Served::Ended(self.tunnel(held, incoming, answer, length).await);
        }
        let facts = self.facts(held.cluster.view.config.trust_refusals, incoming, answer, length);
        let outcome = if facts.not_processed {
            self.account.cluster_stats(&self.worker, |block| block.own.upstream_rq_refused_by_peer.inc());
            self.account.was_not_processed();
            Outcome::Abandoned
        } else {
            self.outcome_of_head(answer.status, self.code_in_head(facts.grpc_status))
        };
        // What the answer's body does says no more of a host that has failed, or has done nothing. A code in the head is all there is.
        if !matches!(outcome, Outcome::Success { .. }) {
            held.record(outcome, self.now);
        }
        if let Some(after) = self.retry_after_answer(retries, facts) {
            held.record(outcome, self.now);
            self.account.cluster_stats(&self.worker, |block| block.retried_codes.inc(answer.status));
            self.drop_answer(held, incoming, answer, length);
            return Served::Retry(after);
        }
        match self.gives_way(held, incoming, answer, length, facts).await {
            Ok(None) => {}
            Ok(Some(trigger)) => {
                return Served::Ended(self.hold_back(held, incoming, answer, length, trigger).await);
            }
            Err(ended) => return Served::Ended(ended),
        }
        Served::Ended(self.forward(held, incoming, answer, length).await)
    }

    /// The answer gives way to another try: the connection is kept if all of it is there, as reading on would only delay the try.
    fn drop_answer(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        answer: ResponseSummary,
        length: usize,
    ) {
        incoming.buffer.consume(length);
        let mut decoder = BodyDecoder::new(answer.framing, Limits::default());
        let passed = decoder.pass(incoming.buffer.filled());
        let whole = decoder.is_complete() && passed.is_ok_and(|passed| passed == incoming.buffer.len());
        if whole && self.body.decoder.is_complete() && incoming.request_over {
            held.complete(answer.keep_alive, self.now);
        } else {
            held.abort(ClosedBy::Local, self.now);
        }
    }

    /// What a retry decision looks at.
    fn facts(&self, trusts: bool, incoming: &Incoming, answer: ResponseSummary, length: usize) -> Answer {
        let bytes = &incoming.buffer.filled()[..length];
        let head = ResponseHead::restore(bytes, &self.down.response_headers, answer);
        let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
        let mut facts =
            Answer { status: answer.status, grpc_status: None, rate_limited: false, not_processed: false };
        let believed = trusts && answer.status == 503;
        for field in head.fields() {
            match field.id {
                HeaderName::GrpcStatus => facts.grpc_status = number(field.value),
                HeaderName::XEnvoyRateLimited => facts.rate_limited = true,
                HeaderName::XFuseboard if believed && field.name.eq_ignore_ascii_case(NOT_PROCESSED) => {
                    facts.not_processed = true;
                }
                _ => {}
            }
        }
        facts
    }
}

/// What the end of a connection inside an answer's body comes to; `None`: the body may end so, and does.
pub(super) fn cut_in_body(line: &Line<'_>, in_order: bool, ends_body: bool) -> Option<Cause> {
    match line {
        Line::Socket(_) if !ends_body => Some(Cause::CutInBody),
        _ if in_order && ends_body => None,
        _ => Some(match line.fate() {
            Some(Fate::Reset | Fate::NotProcessed(_)) => Cause::RemoteResetInBody,
            Some(Fate::ProtocolError) => Cause::ProtocolErrorInBody,
            None => Cause::TerminatedInBody,
        }),
    }
}

fn write_interim(out: &mut Vec<u8>, head: &ResponseHead<'_>) {
    write::status_line(out, Version::Http11, head.status(), head.reason());
    for field in head.fields().filter(|field| !field.hop_by_hop && field.id != HeaderName::XFuseboard) {
        write::forward(out, &field);
    }
    write::end_head(out);
}
