//! Holding back an answer that a chain of fallbacks may replace: it is read whole, so that its connection and slot are free
//! while other answers are looked for, and passed on where there are none. A call of gRPC fails only at its end, so the head of its
//! answer waits until there is a message, or none.

use std::future::poll_fn;
use std::task::{Context, Poll};

use fuseboard_core::Outcome;
use fuseboard_core::fallback::{FallbackPolicy, Trigger};
use fuseboard_core::retry::Answer;
use fuseboard_grpc::Code;
use fuseboard_http1::{BodyDecoder, BodyFraming, Limits, ResponseHead, ResponseSummary, write};

use super::answer::{Incoming, cut_in_body};
use super::answer_out::Out;
use super::attempt::closed_by;
use super::grpc::code_in_trailers;
use super::held::Held;
use super::{Ended, Exchange};
use crate::buffer::BUFFER_SIZE;
use crate::clock;
use crate::fallback::{Content, KeptAnswer};
use crate::http2::Fate;
use crate::local_reply::Cause;
use crate::upstream::{ClosedBy, Line, millis};

/// Most that is kept of a body; what is longer is lost if a step does not replace it.
const BOUND: usize = 64 * 1024;

/// In place of a body that was lost.
const LOST: &[u8] = b"the body of this answer was dropped for a fallback that did not come";

/// How reading ended.
enum Read {
    Whole,
    /// There is more than is kept.
    TooMuch,
    /// It broke off.
    Broken(Cause),
    Gone(Ended),
}

impl Exchange<'_> {
    /// Whether the answer may give way to another one: to one of the cluster's own chain, or, of a stand-in, to the next step. Waits
    /// where that cannot be told by its head.
    pub(super) async fn gives_way(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        answer: ResponseSummary,
        length: usize,
        facts: Answer,
    ) -> Result<Option<Trigger>, Ended> {
        // Most answers have nothing to give way to.
        if self.stand_in.is_none() && held.cluster.view.config.fallback.is_none() {
            return Ok(None);
        }
        let code = match self.code_in_head(facts.grpc_status) {
            None if self.may_fail_later(held, answer.status) => {
                Box::pin(poll_fn(|cx| self.poll_beginning(cx, held, incoming, answer.framing, length)))
                    .await?
            }
            code => code,
        };
        let trigger = match code {
            Some(Code::Ok) => return Ok(None),
            Some(code) => Trigger::Called(code),
            None => Trigger::Status(answer.status),
        };
        Ok(self.is_replaceable(held, trigger).then_some(trigger))
    }

    fn is_replaceable(&self, held: &Held<'_>, trigger: Trigger) -> bool {
        let failed = match trigger {
            Trigger::Status(status) => status >= 500,
            Trigger::Called(code) => code.to_http() >= 500,
            Trigger::Refused(_) | Trigger::Failed(_) => false,
        };
        if self.stand_in.is_some() && failed {
            return true;
        }
        let Some(fallback) = &held.cluster.view.config.fallback else { return false };
        let (policy, request) = (&fallback.policy, self.head());
        policy.applies(trigger, request.method_bytes(), request.path()) && request.upgrade().is_none()
    }

    /// Whether it is a call of gRPC that may still end without a message and with a code that a chain is for. A caller that has not
    /// said all may wait for the head before it goes on.
    fn may_fail_later(&self, held: &Held<'_>, status: u16) -> bool {
        if !self.grpc || status != 200 || !self.body.decoder.is_complete() {
            return false;
        }
        let request = self.head();
        let is_for = |policy: &FallbackPolicy| {
            policy.on.has_calls() && policy.matching.matches(request.method_bytes(), request.path())
        };
        let fallback = held.cluster.view.config.fallback.as_ref();
        self.stand_in.is_some() || fallback.is_some_and(|fallback| is_for(&fallback.policy))
    }

    /// Reads on behind the head until there is a message, which is nothing to wait for, or the end of a call without one.
    fn poll_beginning(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        framing: BodyFraming,
        length: usize,
    ) -> Poll<Result<Option<Code>, Ended>> {
        let Some(connection) = held.connection.as_mut() else { return Poll::Ready(Ok(None)) };
        if let Err(ended) = self.poll_request(cx, connection, incoming, true) {
            return Poll::Ready(Err(ended));
        }
        loop {
            let mut decoder = BodyDecoder::new(framing, Limits::default()).keeping_trailers();
            let began = decoder.decode(&incoming.buffer.filled()[length..]).is_err();
            if began || decoder.content_bytes() > 0 {
                return Poll::Ready(Ok(None));
            }
            if decoder.is_complete() {
                return Poll::Ready(Ok(code_in_trailers(&decoder)));
            }
            if !incoming.buffer.make_room(2 * Limits::default().max_head_bytes) {
                return Poll::Ready(Ok(None));
            }
            match connection.poll_read(cx, &mut incoming.buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(n)) if n > 0 => self.count_received(n),
                Poll::Ready(_) => {
                    let cause = match Line::fate(connection) {
                        Some(Fate::ProtocolError) => Cause::ProtocolError,
                        Some(_) => Cause::RemoteReset,
                        None => Cause::ConnectionTermination,
                    };
                    return Poll::Ready(Err(Ended::Failed(cause)));
                }
            }
        }
        self.poll_wait(cx).map(Err)
    }

    /// Takes the answer, and gives everything back that it came on.
    pub(super) async fn hold_back(
        &mut self,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        answer: ResponseSummary,
        length: usize,
        trigger: Trigger,
    ) -> Ended {
        self.account.answered(&self.worker, answer.status, self.now);
        let bytes = &incoming.buffer.filled()[..length];
        let response = ResponseHead::restore(bytes, &self.down.response_headers, answer);
        let mut kept = Box::new(KeptAnswer::of_head(&response, true));
        incoming.buffer.consume(length);
        let mut content = Content::new(answer.framing, BOUND);
        if self.grpc {
            content = content.map(Content::keeping_trailers);
        }
        let read = match &mut content {
            None => Read::TooMuch,
            Some(content) => poll_fn(|cx| self.poll_content(cx, held, incoming, content)).await,
        };
        self.now = clock::now();
        let outcome = match (&read, &content) {
            (Read::Whole, Some(content)) => self.outcome_of_whole(answer.status, content.decoder()),
            _ => outcome(&read, answer.status),
        };
        held.record(outcome, self.now);
        match read {
            Read::Whole => {
                let took = millis(self.now.saturating_since(self.account.complete_at));
                self.account.cluster_stats(&self.worker, |block| block.stats.upstream_rq_time.record(took));
                self.give_back(held, incoming, answer, incoming.buffer.len());
                if let Trigger::Called(_) = trigger {
                    // Without a message head and trailers are one.
                    for (name, value) in content.iter().flat_map(|content| content.decoder().trailer_fields())
                    {
                        write::field(&mut kept.fields, name, value);
                    }
                }
                kept.body = content.map(Content::into_bytes).unwrap_or_default();
            }
            Read::TooMuch => held.abort(ClosedBy::Local, self.now),
            Read::Broken(cause) => {
                self.count_cause(cause);
                held.abort(closed_by(cause), self.now);
            }
            Read::Gone(ended) => {
                held.abort(ClosedBy::Local, self.now);
                return ended;
            }
        }
        if !matches!(read, Read::Whole) {
            kept.lose_body(LOST);
        }
        if self.stand_in.is_none() {
            self.held_back = Some(kept);
        }
        Ended::Replaceable(trigger)
    }

    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut Held<'_>,
        incoming: &mut Incoming,
        content: &mut Content,
    ) -> Poll<Read> {
        let Some(connection) = held.connection.as_mut() else {
            return Poll::Ready(Read::Broken(Cause::TerminatedInBody));
        };
        loop {
            match content.take(incoming.buffer.filled()) {
                Ok(Some(taken)) => incoming.buffer.consume(taken),
                Ok(None) => return Poll::Ready(Read::TooMuch),
                Err(_) => return Poll::Ready(Read::Broken(Cause::ProtocolErrorInBody)),
            }
            if content.is_complete() {
                return Poll::Ready(Read::Whole);
            }
            incoming.buffer.make_room(BUFFER_SIZE);
            match connection.poll_read(cx, &mut incoming.buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(n)) if n > 0 => self.count_received(n),
                Poll::Ready(end) => {
                    let ends_body = content.on_close().is_ok();
                    if let Some(cause) = cut_in_body(connection, end.is_ok(), ends_body) {
                        return Poll::Ready(Read::Broken(cause));
                    }
                }
            }
        }
        if let Err(ended) = self.poll_request(cx, connection, incoming, true) {
            return Poll::Ready(end(ended));
        }
        self.poll_wait(cx).map(end)
    }

    /// Passes on what was held back.
    pub(super) async fn pass_on(&mut self) -> Ended {
        let Some(kept) = self.held_back.take() else { return Ended::Gone };
        let in_vain = self.account.fallback_in_vain.take();
        let out = Out {
            status: kept.status,
            reason: &kept.reason,
            fields: &kept.fields,
            has_date: kept.has_date,
            body: &kept.body,
            told_length: kept.told_length,
            trailers: None,
            cached: None,
            fallback: in_vain.as_deref(),
            replaces: false,
            by_us: false,
        };
        self.write_out(&out).await
    }
}

/// What the host's health hears.
fn outcome(read: &Read, status: u16) -> Outcome {
    match read {
        Read::Broken(cause) => cause.row().outcome.map_or(Outcome::of_status(status), Outcome::Failure),
        Read::Whole | Read::TooMuch | Read::Gone(_) => Outcome::of_status(status),
    }
}

/// What an interrupt comes to. The route's time may be up: other answers may still be there in time.
const fn end(ended: Ended) -> Read {
    if let Ended::Failed(cause) = ended
        && let Some(late) = cause.inside_answer()
    {
        return Read::Broken(late);
    }
    Read::Gone(ended)
}
