//! A client's connection of HTTP/2: each of its streams is served by a task, as a [`Downstream`] with one request.
//! Whoever drains says so twice (GOAWAY, RFC 9113 section 6.8) and lets running streams end; a client that does not even answer
//! the question between both may open streams for a moment only. A connection without streams is closed when it has been idle
//! for too long.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fuseboard_admin::logging::logger;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tracing::debug;

use super::End;
use super::connection::{Downstream, Place, Spoken};
use super::head::Head;
use super::identity::Identity;
use super::line::Line;
use crate::clock;
use crate::deadline::{Timer, Timers};
use crate::exchange::{self, After, RouteCache};
use crate::http2::{Carrier, Meter, ServedStream, server};
use crate::stream::Stream;
use crate::worker::Worker;

/// So long may a client that was asked to go open further streams, or stay without one: Envoy's default time between its two words
/// of farewell. Who answers the first one hears the second at once.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(5);

/// So long it may take nothing of its last answers once that time is over.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a frame that refuses a stream.
const REFUSAL: u64 = 9 + 4;

/// What all streams of a connection have in common.
#[derive(Debug)]
struct Common {
    worker: Rc<Worker>,
    place: Rc<Place>,
    identity: Option<Rc<Identity>>,
    /// Streams that are being served.
    active: Cell<usize>,
    /// Bytes that the client took.
    sent: Cell<u64>,
}

/// How a connection comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Not yet.
    Open,
    /// We have said that we take no further streams; those that were on their way are served.
    Farewell,
    /// The time for that is over.
    Closing,
}

/// Counts the connection's bytes.
#[derive(Debug)]
struct Traffic(Rc<Common>);

impl Meter for Traffic {
    fn received(&self, n: usize) {
        self.0.http().downstream_cx_rx_bytes_total.add(n as u64);
    }

    fn sent(&self, n: usize) {
        self.0.http().downstream_cx_tx_bytes_total.add(n as u64);
        self.0.sent.set(self.0.sent.get().wrapping_add(n as u64));
    }
}

type Frames<'c> = Connection<Carrier<&'c mut Stream, Traffic>, Bytes>;

/// Serves the connection to its end. What was read of it is in the input.
pub(super) async fn serve(down: &mut Downstream) -> End {
    // Elsewhere: most of its life a connection does something else.
    let mut driver = match Box::pin(begin(down)).await {
        Ok(driver) => driver,
        Err(end) => return end,
    };
    let remote = poll_fn(|cx| driver.poll(cx)).await;
    End { remote, busy: driver.common.active.get() > 0 }
}

/// Exchanges the first frames.
async fn begin(down: &mut Downstream) -> Result<Driver<'_>, End> {
    down.begin(Spoken::Http2);
    let Some(settings) = down.routes.http_settings() else {
        return Err(End { remote: false, busy: false });
    };
    let (head_bytes, patience) = (settings.max_head_bytes, settings.request_headers_timeout);
    let common = Rc::new(Common {
        worker: Rc::clone(&down.worker),
        place: Rc::clone(&down.place),
        identity: down.identity.clone(),
        active: Cell::new(0),
        sent: Cell::new(0),
    });
    let ahead = down.input.filled().to_vec();
    down.input.consume(down.input.len());
    down.release_buffers();
    let Downstream { line, timers, routes, .. } = down;
    let Some(connection) = line.socket() else { return Err(End { remote: false, busy: false }) };
    let carrier = Carrier::new(connection, ahead, Traffic(Rc::clone(&common)));
    let Some(frames) = handshake(head_bytes, patience, carrier, timers, &common).await else {
        return Err(End { remote: true, busy: false });
    };
    Ok(Driver { frames, common, timers, routes, ending: Ending::Open, idle: false, seen: 0 })
}

/// Shakes hands; `None`: what came is not HTTP/2, or did not come in time.
async fn handshake<'c>(
    head_bytes: usize,
    patience: Duration,
    carrier: Carrier<&'c mut Stream, Traffic>,
    timers: &Timers,
    common: &Common,
) -> Option<Frames<'c>> {
    let head_bytes = u32::try_from(head_bytes).unwrap_or(u32::MAX);
    let mut handshake = pin!(server(head_bytes).handshake(carrier));
    timers.arm(Timer::RequestHead, clock::now() + patience);
    let frames = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(frames) => Poll::Ready(Some(frames)),
        Poll::Pending => timers.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(None)),
    })
    .await;
    timers.disarm(Timer::RequestHead);
    match frames {
        Some(Ok(frames)) => Some(frames),
        Some(Err(error)) => {
            common.broke(&error);
            None
        }
        None => None,
    }
}

/// Drives one connection.
struct Driver<'c> {
    frames: Frames<'c>,
    common: Rc<Common>,
    timers: &'c Timers,
    routes: &'c mut RouteCache,
    ending: Ending,
    /// The idle time runs.
    idle: bool,
    /// Bytes that the client had taken when the idle time began, and those that refused streams since.
    seen: u64,
}

impl Driver<'_> {
    /// Ready when the connection is over; true: the client ended it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            self.look_around();
            match self.frames.poll_accept(cx) {
                Poll::Ready(Some(Ok((_, mut respond)))) if self.ending == Ending::Closing => {
                    // As the second GOAWAY would: the client may open it elsewhere.
                    respond.send_reset(Reason::REFUSED_STREAM);
                    self.seen = self.seen.wrapping_add(REFUSAL);
                    continue;
                }
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let active = Active::new(&self.common);
                    self.common.worker.stream_tasks.serve(Opened { active, request, respond });
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.common.broke(&error);
                    return Poll::Ready(error.is_io() || error.is_remote());
                }
                Poll::Ready(None) => return Poll::Ready(self.ending == Ending::Open),
                Poll::Pending => {}
            }
            match (self.timers.poll_expired(cx), self.ending) {
                (None, _) => return Poll::Pending,
                (Some(Timer::Pause), _) => self.ending = Ending::Closing,
                _ if !self.idle => {}
                (_, Ending::Open) => {
                    self.common.http().downstream_cx_idle_timeout.inc();
                    self.say_farewell();
                }
                // It still takes the end of an answer.
                _ if self.common.sent.get() > self.seen => self.idle = false,
                _ => {
                    // The client had nothing to wait for, and did not go. It is told once more, if it takes that at once.
                    self.frames.abrupt_shutdown(Reason::NO_ERROR);
                    let _ = self.frames.poll_accept(cx);
                    return Poll::Ready(false);
                }
            }
        }
    }

    /// Whether it is time to say farewell, and whether the connection is idle.
    fn look_around(&mut self) {
        self.routes.refresh(&self.common.worker);
        let settings = self.routes.http_settings();
        if self.ending == Ending::Open && (settings.is_none() || self.common.worker.says_farewell()) {
            self.common.http().downstream_cx_drain_close.inc();
            self.say_farewell();
        }
        let idle = self.common.active.get() == 0;
        let patience = match self.ending {
            Ending::Open => self.routes.http_settings().map(|settings| settings.idle_timeout),
            Ending::Farewell => Some(FAREWELL_PATIENCE),
            Ending::Closing => Some(CLOSING_PATIENCE),
        };
        if idle
            && !self.idle
            && let Some(patience) = patience
        {
            self.timers.arm(Timer::Idle, clock::now() + patience);
            self.seen = self.common.sent.get();
        } else if self.idle && !idle {
            self.timers.disarm(Timer::Idle);
        }
        self.idle = idle;
    }

    /// Takes no further streams; the connection ends with the last one, and a client without one has its time to go.
    fn say_farewell(&mut self) {
        self.ending = Ending::Farewell;
        self.timers.arm(Timer::Pause, clock::now() + FAREWELL_PATIENCE);
        self.idle = false;
        self.frames.graceful_shutdown();
    }
}

impl Common {
    fn http(&self) -> &crate::stats::HttpStats {
        &self.place.listener().stats.shard(self.worker.index).http
    }

    /// The connection cannot go on.
    fn broke(&self, error: &h2::Error) {
        debug!(target: logger::HTTP, "the connection of {} broke: {error}", self.place.called.source);
        if error.is_library() || error.reason().is_some_and(|reason| reason != Reason::NO_ERROR) {
            self.http().downstream_cx_protocol_error.inc();
        }
    }
}

/// A stream that the client has opened.
#[derive(Debug)]
pub(super) struct Opened {
    active: Active,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Opened {
    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.active.0.worker
    }

    /// Serves it to its end.
    pub(super) async fn serve(self) {
        let Self { active, request, respond } = self;
        let common = &active.0;
        let line = Line::Served(Box::new(ServedStream::new(request, respond)));
        let (place, worker) = (Rc::clone(&common.place), Rc::clone(&common.worker));
        let mut down = Downstream::new(line, place, worker, clock::now());
        down.identity.clone_from(&common.identity);
        down.begin(Spoken::Http2);
        match down.read_head().await {
            Head::Request(request, length) => {
                if exchange::run(&mut down, request, length).await == After::Reset {
                    down.reset_on_close();
                }
            }
            Head::Rejected(rejected) => exchange::reject(&mut down, &rejected).await,
            Head::Http2 | Head::Closed { .. } => {}
        }
    }
}

/// A stream that is being served.
#[derive(Debug)]
struct Active(Rc<Common>);

impl Active {
    fn new(common: &Rc<Common>) -> Self {
        common.active.set(common.active.get() + 1);
        Self(Rc::clone(common))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
    }
}
