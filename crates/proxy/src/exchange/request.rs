//! Sending the request: its head as the upstream is to see it, then its body as it comes, in bounded buffers.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_core::limit::Kind;
use fuseboard_http1::{BodyFraming, HeaderName, write};
use fuseboard_snapshot::ForwardClientCert;

use super::{Ended, Exchange, RequestBody};
use crate::clock;
use crate::deadline::Timer;
use crate::stream::{Turn, Wire};
use crate::upstream::{Line, millis};

/// A body part no larger than this is copied behind the head, so that both go out in one write.
const COPIED: usize = 8 * 1024;

impl Exchange<'_> {
    /// Writes the head for the upstream: order and case kept, hop-by-hop fields left out, Envoy's fields added.
    pub(super) fn write_request_head(&mut self) {
        let mut out = std::mem::take(&mut self.upstream_output);
        out.clear();
        self.sent_output = 0;
        let head = self.head();
        out.extend_from_slice(head.method_bytes());
        out.push(b' ');
        head.write_origin_target(&mut out);
        write::end_request_line(&mut out);
        let certificates = self.down.routes.http_settings().map(|settings| settings.forward_client_cert);
        let certificates = certificates.unwrap_or_default();
        let (mut has_host, mut has_id, mut has_proto) = (false, false, false);
        let mut passage = write::Passage::of(&self.down.input.filled()[..self.head_length]);
        for field in head.fields() {
            match field.id {
                _ if field.hop_by_hop => continue,
                // Towards the client we answer 100 ourselves (as Envoy does).
                HeaderName::Expect => continue,
                // In its place and case, its number in the one usual spelling.
                HeaderName::ContentLength => {
                    if let BodyFraming::Length(length) = head.framing() {
                        passage.flush(&mut out);
                        write::field_number(&mut out, field.name, length);
                    }
                    continue;
                }
                // What is left of it, below.
                HeaderName::GrpcTimeout if self.grpc => continue,
                id if is_consumed(id) => continue,
                // An absolute target has the authority; `Host` says the same.
                HeaderName::Host => has_host = true,
                HeaderName::XRequestId => has_id = true,
                HeaderName::XForwardedProto => has_proto = true,
                HeaderName::XForwardedFor if self.down.proxied_client().is_some() => continue,
                HeaderName::XForwardedClientCert if !self.passes_certificate(certificates) => continue,
                _ => {}
            }
            passage.forward(&mut out, &field);
        }
        passage.flush(&mut out);
        if !has_host {
            write::field(&mut out, b"host", head.authority().unwrap_or_default());
        }
        if head.framing() == BodyFraming::Chunked {
            write::line(&mut out, b"transfer-encoding: chunked\r\n");
        }
        if let Some(protocols) = head.upgrade().filter(|_| self.kind == Kind::Connection) {
            write::line(&mut out, b"connection: upgrade\r\n");
            write::field(&mut out, b"upgrade", protocols);
        }
        if !has_proto {
            let scheme: &[u8] = if self.down.is_secure() { b"https" } else { b"http" };
            write::field(&mut out, b"x-forwarded-proto", scheme);
        }
        self.write_client(&mut out);
        self.write_certificate(certificates, &mut out);
        if !has_id {
            write::field(&mut out, b"x-request-id", &self.account.request_id(&self.worker));
        }
        write::field_number(&mut out, b"x-envoy-attempt-count", u64::from(self.account.sendings()));
        if let Some(left) = self.time_left() {
            write::field_number(&mut out, b"x-envoy-expected-rq-timeout-ms", millis(left));
            self.write_grpc_timeout(left, &mut out);
        }
        write::end_head(&mut out);
        self.upstream_output = out;
        self.append_body();
    }

    /// Adds the client to `x-forwarded-for` where a PROXY header named it, as Envoy at an edge does: whoever sent the header
    /// wrote none.
    fn write_client(&self, out: &mut Vec<u8>) {
        let Some(client) = self.down.proxied_client() else { return };
        let client = client.to_string();
        let head = self.head();
        let earlier = head.fields().filter(|field| field.id == HeaderName::XForwardedFor);
        let all: Vec<&[u8]> = earlier.map(|field| field.value).chain([client.as_bytes()]).collect();
        write::field(out, b"x-forwarded-for", &all.join(&b','));
    }

    /// Whether `x-forwarded-client-cert` goes on as it came.
    fn passes_certificate(&self, mode: ForwardClientCert) -> bool {
        match mode {
            ForwardClientCert::AlwaysForwardOnly => true,
            ForwardClientCert::ForwardOnly => self.down.client_certificate().is_some(),
            ForwardClientCert::Sanitize
            | ForwardClientCert::SanitizeSet
            | ForwardClientCert::AppendForward => false,
        }
    }

    /// Says whose certificate the client showed, where that is asked for: alone, or behind what the client was told itself.
    fn write_certificate(&self, mode: ForwardClientCert, out: &mut Vec<u8>) {
        let Some(own) = self.down.client_certificate() else { return };
        let earlier: Vec<&[u8]> = match mode {
            ForwardClientCert::SanitizeSet => Vec::new(),
            ForwardClientCert::AppendForward => {
                let head = self.head();
                head.fields()
                    .filter(|field| field.id == HeaderName::XForwardedClientCert)
                    .map(|field| field.value)
                    .collect()
            }
            _ => return,
        };
        let elements = [earlier, vec![own.as_bytes()]].concat();
        write::field(out, b"x-forwarded-client-cert", &elements.join(&b','));
    }

    /// What this try may take: its own bound, else what the route's time-out leaves.
    fn time_left(&self) -> Option<Duration> {
        if let Some(timeout) = self.account.try_timeout {
            return Some(timeout);
        }
        let used = self.now.saturating_since(self.account.started);
        Some(self.account.route_timeout?.saturating_sub(used))
    }

    /// Puts a small part of the body that is there already behind the head.
    fn append_body(&mut self) {
        let there = &self.down.input.filled()[self.body.sent..self.body.checked];
        if !there.is_empty() && there.len() <= COPIED {
            self.upstream_output.extend_from_slice(there);
            self.body.sent = self.body.checked;
        }
    }

    /// Sends what there is of the request, and reads more of its body. Ready when all of it was sent.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Line<'_>,
        keep_body: bool,
    ) -> Poll<Result<(), SendError>> {
        let mut turn = Turn::default();
        loop {
            while self.sent_output < self.upstream_output.len() {
                match connection.poll_write(cx, &self.upstream_output[self.sent_output..]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(wrote) => self.sent_output += self.have_sent(&wrote)?,
                }
            }
            while self.body.sent < self.body.checked {
                let part = &self.down.input.filled()[self.body.sent..self.body.checked];
                match connection.poll_write(cx, part) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(wrote) => self.body.sent += self.have_sent(&wrote)?,
                }
            }
            while let Some(pipe) = self.body.way.moving() {
                let Some(to) = connection.socket() else { return Poll::Ready(Err(SendError::Upstream)) };
                let moved = ready!(to.wire().poll_move_from(cx, pipe));
                self.have_sent(&moved)?;
            }
            if self.body.decoder.is_complete() {
                return Poll::Ready(Ok(()));
            }
            if turn.is_over(cx) {
                return Poll::Pending;
            }
            // Read while something else was waited for.
            if self.down.input.len() > self.body.checked {
                self.take_read()?;
                continue;
            }
            let Poll::Ready(n) = self.poll_body(cx, connection, keep_body)? else {
                self.body.way.rest();
                return Poll::Pending;
            };
            turn.took(n);
        }
    }

    /// A write of nothing is a failed one.
    fn have_sent(&mut self, wrote: &io::Result<usize>) -> Result<usize, SendError> {
        let Ok(n @ 1..) = *wrote else { return Err(SendError::Upstream) };
        self.account.sends();
        self.count_sent(n);
        Ok(n)
    }

    /// Takes a part of the body: into the input, or into a pipe if it may be forgotten once it was sent.
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Line<'_>,
        keep: bool,
    ) -> Result<Poll<usize>, SendError> {
        if self.body.awaits_continue {
            self.body.awaits_continue = false;
            self.down.output.extend_from_slice(write::CONTINUE);
            self.down.stats().codes.inc(100);
        }
        if !self.down.is_flushed()
            && let Poll::Ready(Err(_)) = self.down.poll_flush(cx)
        {
            return Err(SendError::Ended(Ended::Gone));
        }
        if !(keep && self.body.replayable)
            && let Some(to) = connection.socket()
            && let Some(n) = self.move_body(cx, &to.wire())?
        {
            return Ok(Poll::Ready(n));
        }
        if !self.make_body_room(keep) {
            return Ok(Poll::Pending);
        }
        match self.down.poll_read(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(n @ 1..)) => {
                self.body.way.read(n, &self.down.input);
                self.take_read()?;
                Ok(Poll::Ready(n))
            }
            Poll::Ready(_) => Err(SendError::Ended(Ended::Gone)),
        }
    }

    /// Moves a part of the body into a pipe; `None`: there is nothing, or it is to be read.
    fn move_body(&mut self, cx: &mut Context<'_>, to: &Wire<'_>) -> Result<Option<usize>, SendError> {
        let RequestBody { way, decoder, .. } = &mut self.body;
        let Some(mut from) = self.down.wire().filter(Wire::is_plain) else { return Ok(None) };
        if from.poll_readable(cx).is_pending() {
            return Ok(None);
        }
        let moved = way.take(&self.worker.pipes, &mut from, to, decoder.unframed());
        let Some(n) = moved.map_err(|_| SendError::Ended(Ended::Gone))? else { return Ok(None) };
        decoder.take_unseen(n as u64);
        self.body.replayable = false;
        self.account.bytes_received = self.body.decoder.content_bytes();
        self.down.have_carried(n as u64, 0);
        self.body_progressed();
        Ok(Some(n))
    }

    /// Takes into account what was read behind the part of the body that is known already.
    fn take_read(&mut self) -> Result<(), SendError> {
        self.check_body().map_err(|cause| SendError::Ended(Ended::Failed(cause)))?;
        self.body_progressed();
        Ok(())
    }

    /// Restarts the client's time for its body, or the route's once the body is complete.
    fn body_progressed(&mut self) {
        let now: Instant = clock::now();
        self.now = now;
        if self.body.decoder.is_complete() {
            self.down.timers.disarm(Timer::RequestBody);
            self.account.complete_at = now;
            if let Some(timeout) = self.account.route_timeout {
                self.down.timers.arm(Timer::Route, now + timeout);
            }
        } else {
            self.arm_body_timeout(now);
        }
    }

    /// The client must go on with its body within this time.
    pub(super) fn arm_body_timeout(&mut self, now: Instant) {
        let timeout = self.down.routes.http_settings().map(|settings| settings.stream_idle_timeout);
        if let Some(timeout) = timeout {
            self.down.timers.arm(Timer::RequestBody, now + timeout);
        }
    }
}

/// Why the request could not be sent to its end.
pub(super) enum SendError {
    /// The upstream takes no more. It may have answered.
    Upstream,
    /// The client, or what it sent.
    Ended(Ended),
}

/// Fields that callers may not set, because a router inside the mesh would act on them: Envoy strips them from requests of
/// external origin, and for a sidecar every request is external. Also what is written anew below.
const fn is_consumed(id: HeaderName) -> bool {
    matches!(
        id,
        HeaderName::XEnvoyRetryOn
            | HeaderName::XEnvoyRetryGrpcOn
            | HeaderName::XEnvoyMaxRetries
            | HeaderName::XEnvoyRetriableStatusCodes
            | HeaderName::XEnvoyRetriableHeaderNames
            | HeaderName::XEnvoyUpstreamRqTimeoutMs
            | HeaderName::XEnvoyUpstreamRqPerTryTimeoutMs
            | HeaderName::XEnvoyUpstreamRqTimeoutAltResponse
            | HeaderName::XEnvoyHedgeOnPerTryTimeout
            | HeaderName::XEnvoyExpectedRqTimeoutMs
            | HeaderName::XEnvoyAttemptCount
            | HeaderName::XEnvoyInternal
    )
}
