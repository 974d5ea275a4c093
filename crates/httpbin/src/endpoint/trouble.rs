//! Trouble of every kind that a client must survive: `/crash` breaks off, `/reset` resets a connection or a stream, `/hang` never answers,
//! `/concurrency` has room for so many, `/flaky` is bad from time to time.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use fuseboard_go::duration::format;
use h2::Reason;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, StatusCode, Version};
use hyper::body::Frame;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Answer, Shared, status_named};
use crate::listener::{Connection, ResetStream};
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};

/// Most places that a gate may have, running or waiting.
const MOST_PLACES: i64 = 10_000;
/// Most gates, of different sizes, of one instance.
const MOST_GATES: usize = 100;

/// Promises more bytes than come: after the first `after` of them, the connection is closed.
pub(super) async fn crash(State(instance): State<Shared>, args: Args) -> Answer {
    let after = count(&args, "after", 0, 0, as_most(instance.max_body_bytes))?;
    let mut response = reply::typed(StatusCode::OK, reply::BINARY, Body::new(Broken::after(after)));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(after + 1));
    Ok(response)
}

/// Resets instead of an answer: the connection of HTTP/1.1, the stream of HTTP/2 (for the reason `code`), or with
/// `connection=true` the connection of either.
pub(super) async fn reset(
    Extension(connection): Extension<Connection>,
    version: Version,
    args: Args,
) -> Answer {
    let code = args.get("code").map_or(Ok(Reason::INTERNAL_ERROR), reason)?;
    let is_whole = match args.get("connection") {
        None | Some("false") => version != Version::HTTP_2,
        Some("true") => true,
        Some(other) => {
            return Err(Refusal::bad(format!("invalid connection: {other:?} is not true or false")));
        }
    };
    if is_whole {
        connection.reset();
        return std::future::pending().await;
    }
    let mut response = reply::bare(StatusCode::OK, Body::empty());
    response.extensions_mut().insert(ResetStream(code));
    Ok(response)
}

/// An error code of HTTP/2 (RFC 9113, section 7), by its name in any case or its number.
fn reason(text: &str) -> Result<Reason, Refusal> {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let named = (0..).zip(NAMES).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(code, _)| code);
    named.or_else(|| text.parse::<u32>().ok()).map(Reason::from).ok_or_else(|| {
        Refusal::bad(format!("invalid code: {text:?} is not one of {}, or a number", NAMES.join(", ")))
    })
}

/// Never answers. The connection stays until the client has enough, or the server stops.
pub(super) async fn hang() -> Answer {
    std::future::pending().await
}

/// Runs `max` requests at a time, each for `duration`, and lets `queue` more wait; whoever comes then gets 503.
pub(super) async fn concurrency(State(instance): State<Shared>, args: Args) -> Answer {
    let max = count(&args, "max", 1, 1, MOST_PLACES)?;
    let queue = count(&args, "queue", 0, 0, MOST_PLACES)?;
    let duration = match args.get("duration") {
        None => Duration::from_millis(100).min(instance.max_duration),
        Some(text) => instance.duration("duration", text, Duration::ZERO)?,
    };
    let gate = instance.gates.of(max, queue).ok_or_else(|| {
        Refusal::bad(format!("this instance has {MOST_GATES} gates of other sizes already: use one of them"))
    })?;
    let arrived = Instant::now();
    let document = instance.style.document().with("max", max).with("queue", queue);
    let Some(_place) = gate.enter() else {
        return Ok(document.with("error", "no place").answer(StatusCode::SERVICE_UNAVAILABLE));
    };
    // The semaphore of a gate is never closed.
    let _running = gate.running.acquire().await;
    let waited = arrived.elapsed();
    tokio::time::sleep(duration).await;
    Ok(document.with("waited", format(waited)).with("ran", format(duration)).answer(StatusCode::OK))
}

/// Fails (503, or `status`) during the first `bad` of every `period` since the instance started.
pub(super) async fn flaky(State(instance): State<Shared>, args: Args) -> Answer {
    let read = |name: &str, usual: u64| match args.get(name) {
        None => Ok(Duration::from_secs(usual)),
        // A cycle may be longer than an answer may take.
        Some(text) => crate::duration::bounded(text, Duration::ZERO, Duration::from_secs(86_400))
            .map_err(|problem| Refusal::bad(format!("invalid {name}: {problem}"))),
    };
    let (period, bad) = (read("period", 30)?, read("bad", 10)?);
    if period.is_zero() || bad > period {
        let (period, bad) = (format(period), format(bad));
        return Err(Refusal::bad(format!("invalid bad: {bad} of every {period} cannot be")));
    }
    let failure = args
        .get("status")
        .map_or(Ok(StatusCode::SERVICE_UNAVAILABLE), |code| status_named(code, 100, 599))?;
    let phase = Phase::at(instance.started.elapsed(), period, bad);
    let status = if phase.is_bad { failure } else { StatusCode::OK };
    let document = instance.style.document().with("healthy", !phase.is_bad);
    Ok(document.with("changes_in", format(phase.left)).answer(status))
}

/// Where in its cycle something flaky is.
#[derive(Debug, PartialEq, Eq)]
struct Phase {
    is_bad: bool,
    left: Duration,
}

impl Phase {
    /// `period` is not zero.
    fn at(elapsed: Duration, period: Duration, bad: Duration) -> Self {
        let nanoseconds = elapsed.as_nanos() % period.as_nanos();
        let within = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let is_bad = within < bad;
        let end = if is_bad { bad } else { period };
        Self { is_bad, left: end.saturating_sub(within) }
    }
}

fn as_most(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn count(args: &Args, name: &str, usual: i64, least: i64, most: i64) -> Result<usize, Refusal> {
    let invalid = |problem: String| Refusal::bad(format!("invalid {name}: {problem}"));
    let count = args.get(name).map_or(Ok(usual), |text| number::whole("Atoi", text)).map_err(invalid)?;
    usize::try_from(count)
        .ok()
        .filter(|_| (least..=most).contains(&count))
        .ok_or_else(|| invalid(format!("{count} not in range [{least}, {most}]")))
}

/// The gates of an instance, by how many run and how many wait.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<(usize, usize), Arc<Gate>>>);

impl Gates {
    /// The gate of this size; `None` where there are too many others.
    fn of(&self, max: usize, queue: usize) -> Option<Arc<Gate>> {
        // No code that holds it can panic.
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = gates.len() >= MOST_GATES;
        if let Some(gate) = gates.get(&(max, queue)) {
            return Some(Arc::clone(gate));
        }
        if is_full {
            return None;
        }
        let gate =
            Arc::new(Gate { running: Semaphore::new(max), places: max + queue, inside: AtomicUsize::new(0) });
        gates.insert((max, queue), Arc::clone(&gate));
        Some(gate)
    }
}

#[derive(Debug)]
struct Gate {
    running: Semaphore,
    places: usize,
    inside: AtomicUsize,
}

/// A place in a gate, running or waiting; given back when dropped.
struct Place<'a>(&'a Gate);

impl Gate {
    fn enter(&self) -> Option<Place<'_>> {
        let taken = self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |inside| {
            (inside < self.places).then_some(inside + 1)
        });
        taken.is_ok().then(|| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// So many bytes, then an error.
struct Broken {
    left: usize,
    flushed: bool,
}

impl Broken {
    fn after(bytes: usize) -> Self {
        Self { left: bytes, flushed: false }
    }
}

/// Ends a body, and with it the connection of HTTP/1.1 or the stream of HTTP/2.
#[derive(Debug, thiserror::Error)]
#[error("broken off on purpose")]
struct BrokenOff;

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.left > 0 {
            let bytes = vec![b'*'; std::mem::take(&mut self.left)];
            return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
        }
        if !self.flushed {
            // Whoever has nothing to send now sends what came before.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_begins_badly() {
        let s = Duration::from_secs;
        let at = |elapsed| Phase::at(s(elapsed), s(30), s(10));
        assert_eq!(at(0), Phase { is_bad: true, left: s(10) });
        assert_eq!(at(9), Phase { is_bad: true, left: s(1) });
        assert_eq!(at(10), Phase { is_bad: false, left: s(20) });
        assert_eq!(at(31), Phase { is_bad: true, left: s(9) });
        assert_eq!(Phase::at(s(5), s(30), s(0)), Phase { is_bad: false, left: s(25) });
    }

    #[test]
    fn a_gate_has_as_many_places_as_run_and_wait() {
        let gates = Gates::default();
        let gate = gates.of(1, 1).unwrap();
        let first = gate.enter();
        let second = gate.enter();
        assert!(first.is_some() && second.is_some() && gate.enter().is_none());
        assert!(gates.of(1, 1).unwrap().enter().is_none());
        assert!(gates.of(2, 1).unwrap().enter().is_some());
        drop(first);
        assert!(gate.enter().is_some());
    }

    #[test]
    fn there_is_an_end_to_gates() {
        let gates = Gates::default();
        for max in 1..=MOST_GATES {
            assert!(gates.of(max, 0).is_some());
        }
        assert!(gates.of(1, 1).is_none() && gates.of(1, 0).is_some());
    }
}
