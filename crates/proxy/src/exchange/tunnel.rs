//! After a switch of protocols: bytes both ways, as on a TCP connection, until both sides have closed or nothing went for too
//! long. Slot and connection stay held for all that time.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use fuseboard_core::tcp::{Ending, Life, Lifetimes};
use fuseboard_http1::{HeaderName, ResponseHead, ResponseSummary, Version, write};

use super::answer::Incoming;
use super::held::Held;
use super::{Ended, Exchange};
use crate::clock;
use crate::deadline::Timer;
use crate::local_reply::Cause;
use crate::tcp::{Broken, Carried, Tunnel};
use crate::upstream::{ClosedBy, Line, UpstreamConnection};

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
        self.count_early();
        self.write_switch(incoming, answer, length);
        self.down.timers.disarm(Timer::Route);
        // What was sent of the request's body is not sent again.
        self.down.input.remove(self.head_length, self.body.sent - self.head_length);
        (self.body.sent, self.body.checked) = (self.head_length, self.head_length);
        let http = &self.down.stats().http;
        http.downstream_cx_upgrades_total.inc();
        http.downstream_cx_upgrades_active.inc();
        let worker = Rc::clone(&self.worker);
        let mut tunnel = Tunnel::new(&worker.buffers, &worker.pipes);
        // The head stays for the access log; what follows it is the tunnel's.
        tunnel.begin_with(self.down.split_input(self.head_length), std::mem::take(&mut incoming.buffer));
        let ending = match held.connection.as_mut().and_then(Line::socket) {
            Some(connection) => self.carry(connection, &mut tunnel).await,
            None => Ending::Closed,
        };
        self.down.timers.disarm(Timer::Idle);
        self.down.stats().http.downstream_cx_upgrades_active.dec();
        self.now = clock::now();
        let by = tunnel.closed_by(ending);
        held.abort(by, self.now);
        match ending {
            Ending::Idle => {
                self.down.stats().http.downstream_rq_idle_timeout.inc();
                Ended::Broken(Cause::TunnelTimeout)
            }
            Ending::Drained => {
                self.down.stats().http.downstream_cx_drain_close.inc();
                Ended::Answered
            }
            _ if by == ClosedBy::Remote => {
                self.account.fail(Cause::TerminatedInBody);
                self.count_broken_off();
                Ended::Answered
            }
            // Its request had no other end.
            _ => Ended::Gone,
        }
    }

    /// Carries bytes until both directions are over, one broke, or the time is up.
    async fn carry(&mut self, up: &mut UpstreamConnection, tunnel: &mut Tunnel<'_>) -> Ending {
        let idle = self.down.routes.http_settings().map(|settings| settings.upgrade_idle_timeout);
        let mut life = Life::new(Lifetimes { idle, age: None }, clock::now());
        self.plan(&life);
        poll_fn(|cx| {
            let before = tunnel.carried();
            let polled = self.poll_both(cx, up, tunnel);
            if before != tunnel.carried() {
                life.moved(clock::now());
            }
            if polled.is_pending() { self.poll_time(cx, &mut life) } else { polled }
        })
        .await
    }

    fn poll_time(&self, cx: &Context<'_>, life: &mut Life) -> Poll<Ending> {
        if self.worker.is_draining() {
            life.drain();
            self.plan(life);
        }
        while self.down.timers.poll_expired(cx).is_some() {
            if let Some(ending) = life.due(clock::now()) {
                return Poll::Ready(ending);
            }
            self.plan(life);
        }
        Poll::Pending
    }

    /// Looks again when something may be due. Bytes that move later only put that off, so nothing is armed for them.
    fn plan(&self, life: &Life) {
        self.down.timers.set(Timer::Idle, life.deadline());
    }

    fn write_switch(&mut self, incoming: &mut Incoming, answer: ResponseSummary, length: usize) {
        let bytes = &incoming.buffer.filled()[..length];
        let head = ResponseHead::restore(bytes, &self.down.response_headers, answer);
        let out = &mut self.down.output;
        write::status_line(out, Version::Http11, answer.status, head.reason());
        for field in head.fields() {
            match field.id {
                HeaderName::Upgrade => {
                    write::line(out, b"connection: upgrade\r\n");
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

    /// Ready when both directions are over, or one broke. The 101 goes before everything else.
    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut UpstreamConnection,
        tunnel: &mut Tunnel<'_>,
    ) -> Poll<Ending> {
        if !self.down.is_flushed() {
            if ready!(self.down.poll_flush(cx)).is_err() {
                return Poll::Ready(Ending::ClientReset);
            }
            self.down.release_buffers();
        }
        let before = tunnel.carried();
        let Some(mut client) = self.down.wire() else { return Poll::Ready(Ending::ClientReset) };
        let polled = tunnel.poll(cx, &mut client, &mut up.wire());
        self.moved(&before, &tunnel.carried());
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(Ending::Closed),
            Poll::Ready(Err(Broken::Client(_))) => Poll::Ready(Ending::ClientReset),
            Poll::Ready(Err(Broken::Host(_))) => Poll::Ready(Ending::HostReset),
            Poll::Pending if tunnel.is_broken() => Poll::Ready(Ending::HostReset),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Counts what was carried.
    fn moved(&mut self, before: &Carried, after: &Carried) {
        let (to_host, to_client) = (after.to_host - before.to_host, after.to_client - before.to_client);
        self.account.bytes_received += to_host;
        self.account.bytes_sent += to_client;
        self.down.have_carried(after.from_client - before.from_client, to_client);
        self.account.cluster_stats(&self.worker, |block| {
            block.stats.upstream_cx_tx_bytes_total.add(to_host);
            block.stats.upstream_cx_rx_bytes_total.add(after.from_host - before.from_host);
        });
    }
}
