//! Waiting for the next request and reading its head: idle without a buffer, then until the head is whole, too large,
//! malformed or too slow.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use fuseboard_core::tcp::HTTP2_PREFACE;
use fuseboard_http1::{HeadError, HeadScanner, Limits, RequestSummary, parse_request};
use fuseboard_snapshot::HttpSettings;

use super::{Downstream, Spoken};
use crate::clock;
use crate::deadline::Timer;
use crate::local_reply::Cause;

/// A connection that was let in just before draining began has this long for its first request.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// Where another process takes new connections, one that was used so lately waits for one more request, whose answer says that
/// it closes: whoever sends just as it is closed would get none.
const ONE_MORE: Duration = Duration::from_secs(5);

/// So much of the preface of HTTP/2 tells it from any head of HTTP/1.1: `PRI * HTTP/2.0`.
const TELLING: usize = 14;

/// What came of waiting for a request.
#[derive(Debug)]
pub(crate) enum Head {
    /// A request, and the length of its head at the front of the input.
    Request(RequestSummary, usize),
    /// The connection begins with the preface of HTTP/2, which is at the front of the input as far as it has come.
    Http2,
    /// Something to be answered and closed.
    Rejected(Rejected),
    /// The connection is over.
    Closed {
        /// The client closed it.
        remote: bool,
    },
}

/// A request that nobody can serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejected {
    pub(crate) cause: Cause,
    /// The parser's own words; empty where it said nothing.
    pub(crate) error: Option<HeadError>,
}

impl Downstream {
    /// The next request's head.
    pub(crate) async fn read_head(&mut self) -> Head {
        let Some(settings) = self.http_settings() else { return Head::Closed { remote: false } };
        let limits = Limits { max_head_bytes: settings.max_head_bytes, max_headers: settings.max_headers };
        let mut scanner = HeadScanner::for_requests(limits);
        let mut armed = false;
        let head = loop {
            if self.input.is_empty() {
                if !self.wait_for_bytes(settings.idle_timeout).await {
                    return Head::Closed { remote: false };
                }
                self.take_buffers();
            } else if self.may_be_http2() {
                if self.input.len() >= TELLING {
                    break Head::Http2;
                }
            } else {
                self.begin(Spoken::Http1);
                match scanner.scan(self.input.filled()) {
                    Ok(Some(length)) => break self.parse(length, limits),
                    Ok(None) => {}
                    Err(error) => break rejected(error),
                }
            }
            if !self.input.make_room(settings.max_head_bytes + 1) {
                break rejected(HeadError::TooLarge);
            }
            if !self.input.is_empty() && !armed {
                armed = true;
                self.timers.arm(Timer::RequestHead, clock::now() + settings.request_headers_timeout);
            }
            match self.read_more().await {
                Read::Some | Read::Nothing => {}
                Read::Late => break Head::Rejected(Rejected { cause: Cause::HeadTimeout, error: None }),
                Read::End => return Head::Closed { remote: true },
            }
        };
        if armed {
            self.timers.disarm(Timer::RequestHead);
        }
        head
    }

    /// Whether the first bytes are those of the preface of HTTP/2, as far as they tell (prior knowledge, RFC 9113 section 3.3).
    fn may_be_http2(&self) -> bool {
        let told = &self.input.filled()[..self.input.len().min(TELLING)];
        self.spoken.is_none() && HTTP2_PREFACE.starts_with(told)
    }

    /// What the listener allows now; `None`: it is gone, and so is what it might serve.
    fn http_settings(&mut self) -> Option<HttpSettings> {
        self.routes.refresh(&self.worker);
        self.routes.http_settings().cloned()
    }

    /// Waits without buffers. False: we close the connection.
    async fn wait_for_bytes(&mut self, idle_timeout: Duration) -> bool {
        self.release_buffers();
        self.timers.arm(Timer::Idle, self.now + idle_timeout);
        let waited = match self.idle().await {
            // To close over a request that the event loop has not announced yet would reset it.
            Waited::TooLong | Waited::Drained if self.is_readable_now() => Waited::Readable,
            waited => waited,
        };
        self.timers.disarm(Timer::Idle);
        let http = &self.stats().http;
        match waited {
            Waited::Readable => return true,
            Waited::TooLong => http.downstream_cx_idle_timeout.inc(),
            Waited::Drained => http.downstream_cx_drain_close.inc(),
            Waited::Over => {}
        }
        false
    }

    async fn idle(&mut self) -> Waited {
        let worker = Rc::clone(&self.worker);
        let mut last_chance = false;
        poll_fn(|cx| {
            if let Poll::Ready(ready) = self.poll_readable(cx) {
                return Poll::Ready(if ready.is_ok() { Waited::Readable } else { Waited::Over });
            }
            if self.timers.poll_expired(cx).is_some() {
                return Poll::Ready(if last_chance { Waited::Drained } else { Waited::TooLong });
            }
            // An idle connection must not keep alive what no longer runs, nor outlive its listener.
            self.routes.refresh(&worker);
            if self.routes.http_settings().is_none() {
                return Poll::Ready(Waited::Over);
            }
            if !worker.is_draining() || last_chance {
                return Poll::Pending;
            }
            let now = clock::now();
            let until = if worker.shared.is_handed_over() { self.now + ONE_MORE } else { now };
            // Whoever was just let in is sending its first request.
            let until = if self.fresh { until.max(now + FIRST_REQUEST) } else { until };
            if until <= now {
                return Poll::Ready(Waited::Drained);
            }
            last_chance = true;
            self.timers.arm(Timer::Idle, until);
            Poll::Pending
        })
        .await
    }

    async fn read_more(&mut self) -> Read {
        poll_fn(|cx| {
            match self.poll_read(cx) {
                Poll::Ready(Ok(n)) if n > 0 => return Poll::Ready(Read::Some),
                Poll::Ready(_) => return Poll::Ready(Read::End),
                // Announced and not there, as after a read that took just all there was: the wait goes on.
                Poll::Pending if self.input.is_empty() => return Poll::Ready(Read::Nothing),
                Poll::Pending => {}
            }
            self.timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(Read::Late))
        })
        .await
    }

    fn parse(&mut self, length: usize, limits: Limits) -> Head {
        match parse_request(&self.input.filled()[..length], &mut self.request_headers, &limits) {
            Ok(request) => {
                self.fresh = false;
                Head::Request(request.summary(), length)
            }
            Err(error) => rejected(error),
        }
    }
}

/// How the wait for a request ended.
enum Waited {
    Readable,
    TooLong,
    Drained,
    /// The listener is gone, or the socket broke.
    Over,
}

enum Read {
    Some,
    Nothing,
    Late,
    End,
}

fn rejected(error: HeadError) -> Head {
    Head::Rejected(Rejected { cause: Cause::of_head(error), error: Some(error) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn a_request_that_came_unseen_before_the_drain_is_served() {
        let (mut client, mut connection, worker) = fixture::connection().unwrap();
        connection.fresh = false;
        let mut head = pin!(connection.read_head());
        let mut look = || head.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(look().is_pending(), "nothing has come");
        // From here to the end the event loop does not run, so only the system knows of the request.
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        worker.drain();
        let read = look();
        assert!(matches!(read, Poll::Ready(Head::Request(..))), "{read:?}");
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_by_the_drain() {
        let (_client, mut connection, worker) = fixture::connection().unwrap();
        connection.fresh = false;
        let mut head = pin!(connection.read_head());
        let mut look = || head.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(look().is_pending());
        worker.drain();
        let read = look();
        assert!(matches!(read, Poll::Ready(Head::Closed { remote: false })), "{read:?}");
    }
}
