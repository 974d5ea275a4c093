//! `/delay/{duration}` (the answer comes late) and `/drip` (the answer comes slowly, one byte at a time,
//! which holds a connection). A client that goes away ends the wait: hyper drops the handler or the body.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use bytes::Bytes;
use fuseboard_go::duration::format;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderValue, StatusCode};

use super::inspect::shown_with_body;
use super::paced::{Paced, pause_between};
use super::{Answer, Shared, status_named};
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};
use crate::style::Style;

pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// How long a drip takes, and how late it begins, unless the caller says it.
const USUAL: Duration = Duration::from_secs(2);

pub(super) async fn delay(
    State(instance): State<Shared>,
    Path(duration): Path<String>,
    request: Request,
) -> Answer {
    let duration = instance.duration("duration", &duration, Duration::ZERO)?;
    tokio::time::sleep(duration).await;
    let document = shown_with_body(&instance, request).await?;
    let mut response = match instance.style {
        Style::Go => document,
        Style::Python => document.without(&["json", "method"]),
    }
    .answer(StatusCode::OK);
    response.headers_mut().extend(timings(&[Timing::initial(duration)]).map(|value| (SERVER_TIMING, value)));
    Ok(response)
}

pub(super) async fn drip(State(instance): State<Shared>, args: Args) -> Answer {
    let duration = |name: &str| match args.get(name) {
        None => Ok(USUAL),
        Some(text) => instance.duration(name, text, Duration::ZERO),
    };
    let (writing, initial) = (duration("duration")?, duration("delay")?);
    let invalid = |problem: String| Refusal::bad(format!("invalid numbytes: {problem}"));
    let count =
        args.get("numbytes").map_or(Ok(10), |text| number::whole("ParseInt", text)).map_err(invalid)?;
    let most = instance.max_body_bytes;
    let count = usize::try_from(count)
        .ok()
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| invalid(format!("{count} not in range [1, {most}]")))?;
    let status = args.get("code").map_or(Ok(StatusCode::OK), |code| status_named(code, 100, 599))?;
    let whole = writing.saturating_add(initial);
    if whole > instance.max_duration {
        let (writing, initial, most) = (format(writing), format(initial), format(instance.max_duration));
        return Err(Refusal::bad(format!("too much time: {writing}+{initial} > {most}")));
    }
    tokio::time::sleep(initial).await;

    let pause = pause_between(writing, count);
    let body = if pause.is_zero() {
        Body::from(vec![b'*'; count])
    } else {
        Paced::new(count, pause, |_| Bytes::from_static(b"*")).into_body()
    };
    let mut response = reply::typed(status, reply::TEXT, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(count));
    let timings = timings(&[
        Timing::total(whole),
        Timing::initial(initial),
        Timing::writing(writing),
        Timing::pause(pause),
    ]);
    headers.extend(timings.map(|value| (SERVER_TIMING, value)));
    Ok(response)
}

/// One entry of `Server-Timing`.
pub(super) struct Timing {
    name: &'static str,
    duration: Duration,
    description: &'static str,
}

impl Timing {
    pub(super) fn total(duration: Duration) -> Self {
        Self { name: "total_duration", duration, description: "total request duration" }
    }

    pub(super) fn initial(duration: Duration) -> Self {
        Self { name: "initial_delay", duration, description: "initial delay" }
    }

    pub(super) fn writing(duration: Duration) -> Self {
        Self { name: "write_duration", duration, description: "duration of writes after initial delay" }
    }

    pub(super) fn pause(duration: Duration) -> Self {
        Self { name: "pause_per_write", duration, description: "computed pause between writes" }
    }
}

/// The value of `Server-Timing`.
pub(super) fn timings(timings: &[Timing]) -> Option<HeaderValue> {
    let entry = |Timing { name, duration, description }: &Timing| {
        format!("{name};dur={:.2};desc=\"{description}\"", duration.as_secs_f64() * 1e3)
    };
    HeaderValue::from_str(&timings.iter().map(entry).collect::<Vec<_>>().join(", ")).ok()
}
