//! Writing an answer that is there whole: kept from earlier, held back while a chain of fallbacks was tried, or written in a
//! rule. The connection stays usable if the request was complete.

use std::time::Duration;

use fuseboard_http1::{Method, Version, write};

use super::fallback::FALLBACK;
use super::reply::{SERVER, flush};
use super::{Ended, Exchange};
use crate::clock;
use crate::upstream::millis;

/// A whole answer.
pub(super) struct Out<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
    /// Field lines without length, framing and connection.
    pub(super) fields: &'a [u8],
    pub(super) has_date: bool,
    pub(super) body: &'a [u8],
    /// Field lines behind the body.
    pub(super) trailers: Option<&'a [u8]>,
    /// Of an answer to HEAD: the length that its server told.
    pub(super) told_length: Option<u64>,
    /// How old it is, and by how much too old.
    pub(super) cached: Option<(Duration, Option<Duration>)>,
    /// What is said of the fallback.
    pub(super) fallback: Option<&'a str>,
    /// It stands in place of what is counted.
    pub(super) replaces: bool,
    /// No upstream made it.
    pub(super) by_us: bool,
}

impl Exchange<'_> {
    /// Writes it, and counts it as what the client got.
    pub(super) async fn write_out(&mut self, answer: &Out<'_>) -> Ended {
        self.now = clock::now();
        let complete = self.body.decoder.is_complete();
        if !complete {
            self.close = true;
            self.count_early();
        }
        let is_head = self.request.method == Method::Head;
        let has_body = !matches!(answer.status, 204 | 304);
        let mut out = std::mem::take(&mut self.down.output);
        write::status_line(&mut out, Version::Http11, answer.status, answer.reason);
        out.extend_from_slice(answer.fields);
        if answer.trailers.is_some() {
            write::line(&mut out, b"transfer-encoding: chunked\r\n");
        } else if has_body {
            let own = answer.body.len() as u64;
            let length = answer.told_length.filter(|_| is_head && own == 0).unwrap_or(own);
            write::field_number(&mut out, b"content-length", length);
        }
        if !answer.has_date {
            write::field(&mut out, b"date", &self.worker.date(self.now));
        }
        if answer.by_us {
            write::line(&mut out, SERVER);
        }
        if let Some((age, stale_by)) = answer.cached {
            write::field_number(&mut out, b"age", age.as_secs());
            if let Some(stale_by) = stale_by {
                // RFC 9211: a time to live below zero says that it is stale.
                let status = format!("fuseboard; hit; ttl=-{}", stale_by.as_secs().max(1));
                write::field(&mut out, b"cache-status", status.as_bytes());
            } else {
                write::line(&mut out, b"cache-status: fuseboard; hit\r\n");
            }
        } else if !answer.by_us
            && let Some(time) = self.account.service_time()
        {
            write::field_number(&mut out, b"x-envoy-upstream-service-time", millis(time));
        }
        if let Some(fallback) = answer.fallback {
            write::field(&mut out, FALLBACK, fallback.as_bytes());
        }
        self.write_connection(&mut out);
        write::end_head(&mut out);
        if let Some(trailers) = answer.trailers {
            write::chunk(&mut out, answer.body);
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(trailers);
            write::end_head(&mut out);
            self.account.bytes_sent += answer.body.len() as u64;
        } else if has_body && !is_head {
            out.extend_from_slice(answer.body);
            self.account.bytes_sent += answer.body.len() as u64;
        }
        self.down.output = out;
        if let Some(header) = answer.fallback.filter(|_| answer.replaces) {
            self.account.replaced_by(answer.status, header);
        }
        self.down.stats().codes.inc(answer.status);
        if flush(self.down).await { Ended::Answered } else { Ended::Gone }
    }
}
