//! What is different for calls of gRPC: the caller's own deadline, answers of ours as statuses of gRPC, and which status the host's
//! health is judged by: the one of gRPC, in the answer's head or in its trailers.

use std::time::Duration;

use fuseboard_core::Outcome;
use fuseboard_core::fallback::{StaticAnswer, Values};
use fuseboard_grpc::{Code, encoded, is_grpc, parse_timeout, prefix, timeout_value};
use fuseboard_http1::{BodyDecoder, HeaderName, Limits, ResponseSummary, Version, write};

use super::answer_out::Out;
use super::fallback::write_field;
use super::reply::{OVERLOADED, SERVER};
use super::{Ended, Exchange};
use crate::clock;
use crate::local_reply::{Cause, LASTED_TOO_LONG};

/// Bytes of a text in `grpc-message`: callers bound what they take of fields.
const LONGEST_WORDS: usize = 1024;

impl Exchange<'_> {
    /// Whether the request says that it is gRPC.
    pub(super) fn is_grpc(&self) -> bool {
        self.grpc || self.head().field(HeaderName::ContentType).is_some_and(is_grpc)
    }

    /// How long the caller waits, if it says so.
    pub(super) fn grpc_timeout(&self) -> Option<Duration> {
        if !self.grpc {
            return None;
        }
        parse_timeout(self.head().field(HeaderName::GrpcTimeout)?)
    }

    /// Tells the host what is left of the caller's time.
    pub(super) fn write_grpc_timeout(&self, left: Duration, out: &mut Vec<u8>) {
        if self.grpc {
            write::field(out, b"grpc-timeout", timeout_value(left).as_bytes());
        }
    }

    /// Whether the caller waits no longer. A host that was told so gives up at that moment too, and mostly before our timer, which
    /// is coarser.
    pub(super) fn caller_is_late(&self) -> bool {
        self.grpc_timeout().is_some_and(|timeout| self.account.started + timeout <= clock::now())
    }

    /// How a call ends for a cause of ours. The caller's own deadline is called so (difference D46): its clock and ours race.
    pub(super) fn code_of(&self, cause: Cause) -> Code {
        let timeout = self.account.route_timeout;
        if cause == Cause::RouteTimeout && timeout.is_some() && timeout == self.grpc_timeout() {
            return Code::DeadlineExceeded;
        }
        cause.row().code()
    }

    /// The head of an answer of ours: the status and the words go into fields, and there is no body.
    pub(super) fn write_grpc_head(&mut self, cause: Cause, words: &[u8], out: &mut Vec<u8>) {
        let (row, code) = (cause.row(), self.code_of(cause));
        self.account.shows(200);
        self.account.told_in_grpc(code);
        write::status_line(out, Version::Http11, 200, b"OK");
        write::line(out, b"content-type: application/grpc\r\n");
        write::field_number(out, b"grpc-status", u64::from(code.number()));
        if !words.is_empty() {
            write::field(out, b"grpc-message", &encoded(words));
        }
        if let Some(time) = self.account.retry_after {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            write::field_number(out, b"grpc-retry-pushback-ms", millis);
        }
        if row.overloaded {
            write::line(out, OVERLOADED);
        }
        write::field_number(out, b"content-length", 0);
        write::field(out, b"date", &self.worker.date(self.now));
        write::line(out, SERVER);
    }

    /// Whether a written answer must be one of gRPC. One with a message needs trailers.
    pub(super) fn may_be_answered_in_grpc(&self) -> bool {
        self.is_grpc() && self.request.version == Version::Http11
    }

    /// A written answer: a message and its good end, or an end alone. What is written for HTTP only ends the call as it would have
    /// ended by a host that knows nothing of gRPC, with the beginning of its body for words.
    pub(super) async fn write_call(
        &mut self,
        answer: &StaticAnswer,
        values: &Values<'_>,
        header: &str,
    ) -> Ended {
        let mut fields = b"content-type: application/grpc\r\n".to_vec();
        for field in answer.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
            write_field(field, values, &mut fields);
        }
        let (code, template) = match &answer.call {
            Some(call) => (call.code, &call.text),
            None => (Code::of_http(answer.status), &answer.body),
        };
        let (mut words, mut end) = (Vec::new(), Vec::new());
        template.render(values, &mut words);
        words.truncate(LONGEST_WORDS);
        write::field_number(&mut end, b"grpc-status", u64::from(code.number()));
        if !words.is_empty() {
            write::field(&mut end, b"grpc-message", &encoded(&words));
        }
        let message = answer.call.as_ref().filter(|_| code == Code::Ok).and_then(|call| {
            let prefix = prefix(false, call.message.len())?;
            Some([&prefix, &*call.message].concat())
        });
        if message.is_none() {
            fields.append(&mut end);
        }
        let out = Out {
            status: 200,
            reason: b"OK",
            fields: &fields,
            has_date: false,
            body: message.as_deref().unwrap_or_default(),
            told_length: None,
            trailers: message.as_ref().map(|_| &*end),
            cached: None,
            fallback: Some(header),
            replaces: true,
            by_us: true,
        };
        self.write_out(&out).await
    }

    /// Ends the answer to a call of gRPC, which has begun, with a status of ours in place of the host's. False: it cannot be.
    pub(super) fn end_call(&mut self, cause: Cause) -> bool {
        let ours = matches!(cause, Cause::MaxDurationInBody) && self.grpc && self.down.is_flushed();
        let code = cause.row().code();
        let ended = ours && self.down.end_call(code, LASTED_TOO_LONG);
        if ended {
            self.account.told_in_grpc(code);
        }
        ended
    }

    /// Follows the body of an answer; of a call of gRPC its trailers are kept.
    pub(super) fn decoder_of(&self, answer: ResponseSummary) -> BodyDecoder {
        let decoder = BodyDecoder::new(answer.framing, Limits::default());
        if self.grpc { decoder.keeping_trailers() } else { decoder }
    }

    /// The code in an answer's head, if the request is a call of gRPC, be it one in HTTP/1.1.
    pub(super) fn code_in_head(&self, number: Option<u32>) -> Option<Code> {
        let number = number.filter(|_| self.is_grpc())?;
        Some(Code::of_number(number).unwrap_or(Code::Unknown))
    }

    /// What the host is judged by, by what its answer's head says.
    pub(super) fn outcome_of_head(&mut self, status: u16, code: Option<Code>) -> Outcome {
        let Some(code) = code else { return Outcome::of_status(status) };
        self.account.told_in_grpc(code);
        Outcome::Called(code)
    }

    /// The same when all of the answer is there.
    pub(super) fn outcome_of_whole(&mut self, status: u16, decoder: &BodyDecoder) -> Outcome {
        let code = if self.grpc { code_in_trailers(decoder) } else { None };
        self.outcome_of_head(status, code)
    }
}

/// The code that a call ended with, once its trailers are there.
pub(super) fn code_in_trailers(decoder: &BodyDecoder) -> Option<Code> {
    let mut trailers = decoder.trailer_fields();
    let (_, value) = trailers.find(|(name, _)| name.eq_ignore_ascii_case(b"grpc-status"))?;
    Code::of_value(value)
}
