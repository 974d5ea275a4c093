//! Writing a local answer. What it says is `local_reply`'s table; the connection stays usable if the request was complete.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use fuseboard_admin::logging::logger;
use fuseboard_core::Instant;
use fuseboard_http1::{HeadError, Method, Version, write};
use tracing::debug;

use super::account::Sent;
use super::breaker::retry_after_seconds;
use super::fallback::FALLBACK;
use super::metrics::{self, Measured};
use super::{After, Exchange};
use crate::access_log::Entry;
use crate::clock;
use crate::deadline::Timer;
use crate::downstream::{Downstream, Rejected, Spoken};
use crate::local_reply::{Cause, Row};
use crate::stats::Ending;

/// Says who answered in place of the upstream. Answers of the upstream keep their own `server`.
pub(super) const SERVER: &[u8] = b"server: fuseboard\r\n";

/// Says that one of our limits refused, as Envoy says it.
pub(super) const OVERLOADED: &[u8] = b"x-envoy-overloaded: true\r\n";

/// The name under which an answer tells which of our limits refused.
pub(crate) const REFUSED: &[u8] = b"x-fuseboard-refused";

/// The name under which it tells that no host has seen anything of the request.
pub(super) const NOT_PROCESSED: &[u8] = b"x-fuseboard-not-processed";

impl Exchange<'_> {
    /// Answers the cause.
    pub(super) async fn reply(&mut self, cause: Cause) -> After {
        self.now = clock::now();
        let row = cause.row();
        self.account.fail(cause);
        self.count_reply(cause, row);
        debug!(target: logger::ROUTER, "answered {} to {}: {}", row.status, self.down.peer(), row.details);
        let complete = self.body.decoder.is_complete();
        if !complete {
            self.close = true;
            self.count_early();
        }
        let words = row.body.words(self.account.tries > 1, "malformed request body");
        let mut body = words.as_bytes();
        let mut out = std::mem::take(&mut self.down.output);
        if self.is_grpc() {
            self.write_grpc_head(cause, body, &mut out);
            body = b"";
        } else {
            write_head(&mut out, row, body.len(), &self.worker.date(self.now));
        }
        if self.down.routes.http_settings().is_none_or(|http| http.refusal_headers) {
            if let Some(reason) = self.account.reason() {
                write::field(&mut out, REFUSED, reason.token().as_bytes());
            }
            if row.reason.is_some() && self.account.sent == Sent::Nowhere {
                write::field(&mut out, NOT_PROCESSED, b"1");
            }
        }
        if let Some(time) = self.account.retry_after {
            write::field_number(&mut out, b"retry-after", retry_after_seconds(time));
        }
        if let Some(in_vain) = &self.account.fallback_in_vain {
            write::field(&mut out, FALLBACK, in_vain.as_bytes());
        }
        self.write_connection(&mut out);
        write::end_head(&mut out);
        if self.request.method != Method::Head {
            out.extend_from_slice(body);
            self.account.bytes_sent += body.len() as u64;
        }
        self.down.output = out;
        if !flush(self.down).await {
            return After::Gone;
        }
        match (complete, self.close) {
            (true, false) => After::Next,
            (true, true) if self.down.input.len() == self.body.checked => After::Close,
            _ => After::Linger,
        }
    }

    /// Counts a local answer.
    fn count_reply(&self, cause: Cause, row: Row) {
        // A caller of gRPC is told in fields.
        self.down.stats().codes.inc(if self.is_grpc() { 200 } else { row.status });
        if self.account.settled {
            return;
        }
        if cause.is_of_cluster() {
            self.account.cluster_stats(&self.worker, |block| block.codes.inc(row.status));
        }
        self.count_cause(cause);
    }

    /// What the table's counters say, besides those that were counted where it happened, with more numbers.
    pub(super) fn count_cause(&self, cause: Cause) {
        self.account.cluster_stats(&self.worker, |block| match cause {
            Cause::RouteTimeout | Cause::TimeoutInBody => block.stats.upstream_rq_timeout.inc(),
            Cause::TryTimeout => block.stats.upstream_rq_per_try_timeout.inc(),
            Cause::MaxDuration | Cause::MaxDurationInRequest | Cause::MaxDurationInBody => {
                block.stats.upstream_rq_max_duration_reached.inc();
            }
            Cause::ProtocolError | Cause::CutInHead | Cause::ProtocolErrorInBody | Cause::CutInBody => {
                block.stats.upstream_cx_protocol_error.inc();
            }
            _ => {}
        });
        if cause == Cause::BadBody {
            self.down.stats().http.downstream_cx_protocol_error.inc();
        }
    }
}

/// Answers a head that could not be parsed, or did not come.
pub(super) async fn reject(down: &mut Downstream, rejected: &Rejected) {
    let row = rejected.cause.row();
    let http = &down.stats().http;
    if rejected.cause != Cause::NoHost {
        // As any other request that is answered before its end.
        http.downstream_rq_response_before_rq_complete.inc();
        http.downstream_rq_rx_reset.inc();
    }
    match rejected.cause {
        Cause::HeadTimeout => http.downstream_rq_header_timeout.inc(),
        Cause::NoHost => {}
        _ => http.downstream_cx_protocol_error.inc(),
    }
    down.stats().codes.inc(row.status);
    let details = rejected.error.map_or(row.details, HeadError::details);
    debug!(target: logger::HTTP, "refused a message of {}: {details}", down.peer());
    let problem = rejected.error.as_ref().map(HeadError::to_string).unwrap_or_default();
    let body = row.body.words(false, &problem);
    down.take_buffers();
    let mut out = std::mem::take(&mut down.output);
    let begins_at = out.len();
    write_head(&mut out, row, body.len(), &down.worker.date(down.now));
    if !down.is_stream() {
        write::line(&mut out, b"connection: close\r\n");
    }
    write::end_head(&mut out);
    out.extend_from_slice(body.as_bytes());
    let sent = (out.len() - begins_at) as u64;
    down.output = out;
    let ending = Ending { status: row.status, flags: [Some(row.flag), None, None], reason: None, grpc: None };
    let measured = Measured { millis: 0, received: down.input.len() as u64, sent };
    metrics::count_unrouted(&down.worker, &ending, &measured);
    flush(down).await;
    log_rejected(down, *rejected, row, body.len() as u64);
}

/// What was never parsed has no method, path or authority, as in Envoy.
fn log_rejected(down: &Downstream, rejected: Rejected, row: Row, bytes_sent: u64) {
    down.worker.log(|| Entry {
        start_time: clock::wall(down.now),
        method: "-".into(),
        path: "-".into(),
        protocol: match down.spoken() {
            Spoken::Http1 => "HTTP/1.1",
            Spoken::Http2 => "HTTP/2",
        },
        response_code: row.status,
        response_flags: row.flag.into(),
        response_code_details: rejected.error.map_or(row.details, HeadError::details).into(),
        transport_failure: None,
        bytes_received: 0,
        bytes_sent,
        duration: Duration::ZERO,
        upstream_service_time: None,
        x_forwarded_for: None,
        user_agent: None,
        request_id: None,
        authority: None,
        upstream_host: None,
        upstream_cluster: None,
        upstream_local_address: None,
        downstream_local_address: down.local_address(),
        downstream_remote_address: down.peer(),
        requested_server_name: down.server_name(),
        route_name: None,
        reason: None,
        fallback: None,
    });
}

fn write_head(out: &mut Vec<u8>, row: Row, length: usize, date: &[u8]) {
    write::status_line(out, Version::Http11, row.status, write::reason(row.status).as_bytes());
    write::field_number(out, b"content-length", length as u64);
    if length > 0 {
        write::line(out, b"content-type: text/plain\r\n");
    }
    if row.overloaded {
        write::line(out, OVERLOADED);
    }
    write::field(out, b"date", date);
    write::line(out, SERVER);
}

/// Writes the output; false: the client does not take it.
pub(crate) async fn flush(down: &mut Downstream) -> bool {
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut late: Option<Instant> = None;
    let flushed = poll_fn(|cx| {
        if let Poll::Ready(flushed) = down.poll_flush(cx) {
            return Poll::Ready(flushed.is_ok());
        }
        if late.is_none() {
            let until = clock::now() + PATIENCE;
            late = Some(until);
            down.timers.arm(Timer::Pause, until);
        }
        down.timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(false))
    })
    .await;
    down.timers.disarm(Timer::Pause);
    flushed
}
