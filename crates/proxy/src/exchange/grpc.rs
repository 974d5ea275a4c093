//! What is different for calls of gRPC: the caller's own deadline, answers of ours as statuses of gRPC, and which status the host's
//! health is judged by: the one of gRPC, in the answer's head or in its trailers.

use std::time::Duration;

use fuseboard_grpc::{Code, encoded, is_grpc, parse_timeout, timeout_value};
use fuseboard_http1::{BodyDecoder, HeaderName, Limits, ResponseSummary, Version, write};

use super::Exchange;
use super::reply::SERVER;
use crate::local_reply::Row;

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
    pub(super) fn write_grpc_timeout(&self, left: u64, out: &mut Vec<u8>) {
        if self.grpc {
            write::field(out, b"grpc-timeout", timeout_value(left.max(1)).as_bytes());
        }
    }

    /// The head of an answer of ours: the status and the words go into fields, and there is no body.
    pub(super) fn write_grpc_head(&mut self, row: Row, words: &[u8], out: &mut Vec<u8>) {
        let code = Code::of_http(row.status);
        self.account.shows(200);
        self.account.told_in_grpc(code);
        write::status_line(out, Version::Http11, 200, b"OK");
        write::field(out, b"content-type", b"application/grpc");
        write::field_number(out, b"grpc-status", u64::from(code.number()));
        if !words.is_empty() {
            write::field(out, b"grpc-message", &encoded(words));
        }
        if let Some(time) = self.account.retry_after {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            write::field_number(out, b"grpc-retry-pushback-ms", millis);
        }
        if row.overloaded {
            write::field(out, b"x-envoy-overloaded", b"true");
        }
        write::field_number(out, b"content-length", 0);
        write::field(out, b"date", &self.worker.date(self.now));
        write::field(out, b"server", SERVER);
    }

    /// Follows the body of an answer; of a call of gRPC its trailers are kept.
    pub(super) fn decoder_of(&self, answer: ResponseSummary) -> BodyDecoder {
        let decoder = BodyDecoder::new(answer.framing, Limits::default());
        if self.grpc { decoder.keeping_trailers() } else { decoder }
    }

    /// The status that the host is judged by, by what its answer's head says.
    pub(super) fn judged_status(&mut self, status: u16, in_head: Option<u32>) -> u16 {
        let Some(number) = in_head.filter(|_| self.grpc) else { return status };
        self.judge_grpc(number.to_string().as_bytes()).unwrap_or(status)
    }

    /// The same when all of the answer is there.
    pub(super) fn judged_by_trailers(&mut self, status: u16, decoder: &BodyDecoder) -> u16 {
        if !self.grpc {
            return status;
        }
        let mut trailers = decoder.trailer_fields();
        let value =
            trailers.find(|(name, _)| name.eq_ignore_ascii_case(b"grpc-status")).map(|(_, value)| value);
        value.and_then(|value| self.judge_grpc(value)).unwrap_or(status)
    }

    fn judge_grpc(&mut self, value: &[u8]) -> Option<u16> {
        let code = Code::of_value(value)?;
        self.account.told_in_grpc(code);
        Some(code.to_http())
    }
}
