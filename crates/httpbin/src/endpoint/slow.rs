//! `/delay/{duration}` (the answer comes late) and `/drip` (the answer comes slowly, one byte at a time,
//! which holds a connection). A client that goes away ends the wait: hyper drops the handler or the body.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use tokio::time::Interval;

use super::{Answer, Peer, Shared, bounded_duration, final_status, inspect, whole_number};
use crate::reply::{self, BadRequest};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

pub(super) async fn delay(
    State(instance): State<Shared>,
    peer: Extension<Peer>,
    Path(duration): Path<String>,
    request: Request,
) -> Answer {
    let duration = bounded_duration(&duration, instance.max_duration)?;
    tokio::time::sleep(duration).await;
    let mut response = inspect::with_body(State(instance), peer, request).await?;
    let timing = timing("initial_delay", duration, "initial delay");
    insert_timing(&mut response, &[timing]);
    Ok(response)
}

pub(super) async fn drip(
    State(instance): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let seconds = |name: &str| match query.get(name) {
        None => Ok(Duration::from_secs(2).min(instance.max_duration)),
        Some(text) => bounded_duration(text, instance.max_duration),
    };
    let (writing, initial) = (seconds("duration")?, seconds("delay")?);
    let count = match query.get("numbytes") {
        None => 10,
        Some(text) => whole_number::<i64>("numbytes", "ParseInt", text)?,
    };
    let largest = instance.max_body_bytes;
    let count = usize::try_from(count)
        .ok()
        .filter(|count| (1..=largest).contains(count))
        .ok_or_else(|| BadRequest(format!("invalid numbytes: {count} not in range [1, {largest}]")))?;
    let status = match query.get("code") {
        None => StatusCode::OK,
        Some(text) => final_status(whole_number("status code", "Atoi", text)?)?,
    };
    if initial + writing > instance.max_duration {
        let total = humantime::format_duration(initial + writing);
        return Err(BadRequest(format!("too much time: {total} is longer than the allowed duration")));
    }
    tokio::time::sleep(initial).await;

    let gaps = u32::try_from(count - 1).unwrap_or(u32::MAX);
    let pause = if gaps == 0 { writing } else { writing / gaps };
    let body = if pause.is_zero() {
        Body::from(vec![b'*'; count])
    } else {
        Body::new(Drip { left: count, ticks: tokio::time::interval(pause) })
    };
    let mut response = reply::typed(status, reply::TEXT, body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(count));
    let timings = [
        timing("total_duration", initial + writing, "total request duration"),
        timing("initial_delay", initial, "initial delay"),
        timing("write_duration", writing, "duration of writes after initial delay"),
        timing("pause_per_write", pause, "computed pause between writes"),
    ];
    insert_timing(&mut response, &timings);
    Ok(response)
}

fn timing(name: &str, duration: Duration, description: &str) -> String {
    format!("{name};dur={:.2};desc=\"{description}\"", duration.as_secs_f64() * 1e3)
}

fn insert_timing(response: &mut Response<Body>, timings: &[String]) {
    if let Ok(value) = HeaderValue::from_str(&timings.join(", ")) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
}

/// One asterisk at each tick, the first at once.
struct Drip {
    left: usize,
    ticks: Interval,
}

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(cx));
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"*")))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
