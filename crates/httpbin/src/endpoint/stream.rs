//! Answers that come in pieces: `/stream` and `/jsonl` (JSON lines), `/sse` (server-sent events), `/trailers`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use bytes::Bytes;
use http::header::{HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::inspect::shown_with_body;
use super::paced::{Paced, pause_between};
use super::slow::{SERVER_TIMING, Timing, timings};
use super::{Answer, Instance, Shared};
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};
use crate::request::{Picture, canonical};
use crate::style::{Document, Style};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson; charset=utf-8");
/// Bytes of an event, and of a line, of which the largest count follows.
const EVENT_BYTES: usize = 56;
const LINE_BYTES: usize = 172;
/// RFC 9110 section 6.5.1: fields that no trailer may carry.
const FORBIDDEN_TRAILERS: [&str; 12] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "host",
    "max-forwards",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
];

/// Up to a hundred lines.
pub(super) async fn lines(
    State(instance): State<Shared>,
    Path(count): Path<String>,
    request: Request,
) -> Answer {
    let count =
        number::whole("Atoi", &count).map_err(|problem| Refusal::bad(format!("invalid count: {problem}")))?;
    let count = usize::try_from(count.clamp(1, 100)).unwrap_or(1);
    let line = line_maker(instance.style, &instance.picture(&request));
    let kind = match instance.style {
        Style::Go => reply::TEXT,
        Style::Python => HeaderValue::from_static("application/json"),
    };
    Ok(reply::typed(StatusCode::OK, kind, Paced::new(count, Duration::ZERO, line).into_body()))
}

pub(super) async fn json_lines(State(instance): State<Shared>, args: Args, request: Request) -> Answer {
    let most = instance.max_body_bytes / LINE_BYTES;
    let count = match args.get("count") {
        None => 10,
        Some(text) => {
            let count = number::whole("Atoi", text)
                .map_err(|problem| Refusal::bad(format!("invalid count: {problem}")))?;
            usize::try_from(count).unwrap_or(0).min(most).max(1)
        }
    };
    let pace = match Pace::read(&instance, &args, count, Duration::ZERO) {
        Ok(pace) => pace,
        Err(refused) => return refused.answer(),
    };
    tokio::time::sleep(pace.delay).await;
    let line = line_maker(instance.style, &instance.picture(&request));
    let body = Paced::new(count, pace.pause, line).with_jitter(pace.jitter, instance.random());
    Ok(reply::typed(StatusCode::OK, JSON_LINES, body.into_body()))
}

pub(super) async fn events(State(instance): State<Shared>, args: Args) -> Answer {
    let started = Instant::now();
    let most = instance.max_body_bytes / EVENT_BYTES;
    let count = match args.get("count") {
        None => 10,
        Some(text) => {
            let invalid = |problem: String| Refusal::bad(format!("invalid count: {problem}"));
            let count = number::whole("Atoi", text).map_err(invalid)?;
            usize::try_from(count)
                .ok()
                .filter(|count| (1..=most).contains(count))
                .ok_or_else(|| invalid(format!("must in range [1, {most}]")))?
        }
    };
    let pace = match Pace::read(&instance, &args, count, Duration::from_secs(5)) {
        Ok(pace) => pace,
        Err(refused) => return refused.answer(),
    };
    tokio::time::sleep(pace.delay).await;
    let (delay, writing, pause) = (pace.delay, pace.duration, pace.pause);
    let trailers = move || {
        let timings = timings(&[
            Timing::total(started.elapsed()),
            Timing::initial(delay),
            Timing::writing(writing),
            Timing::pause(pause),
        ]);
        HeaderMap::from_iter(timings.map(|timings| (SERVER_TIMING, timings)))
    };
    let body = Paced::new(count, pace.pause, event)
        .with_jitter(pace.jitter, instance.random())
        .with_trailers(trailers);
    let mut response = reply::typed(StatusCode::OK, EVENT_STREAM, body.into_body());
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("Server-Timing"));
    Ok(response)
}

fn event(id: usize) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("event: ping\ndata: {{\"id\":{id},\"timestamp\":{now}}}\n\n").into()
}

/// The request, with the arguments as fields behind the body.
pub(super) async fn trailers(State(instance): State<Shared>, args: Args, request: Request) -> Answer {
    let mut fields = Vec::new();
    for (name, values) in &args.0 {
        if FORBIDDEN_TRAILERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Refusal::bad(format!("forbidden trailer: {name}")));
        }
        let value = values.last().map_or("", String::as_str);
        let field = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
        fields.push(field.ok_or_else(|| Refusal::bad(format!("invalid trailer: {name:?}: {value:?}")))?);
    }
    let document = shown_with_body(&instance, request).await?;
    let names = fields.iter().map(|(name, _)| canonical(name)).collect::<Vec<_>>().join(", ");
    let bytes = Bytes::from(document.pretty());
    let body = Paced::new(1, Duration::ZERO, move |_| bytes.clone())
        .with_trailers(move || fields.into_iter().collect());
    let mut response: Response<Body> = document.answer(StatusCode::OK).map(|_| body.into_body());
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names)
    {
        response.headers_mut().insert(TRAILER, names);
    }
    Ok(response)
}

/// How pieces follow each other.
struct Pace {
    delay: Duration,
    duration: Duration,
    pause: Duration,
    jitter: f64,
}

/// Why there is no pace: go-httpbin says the one in JSON and the other as text.
enum NoPace {
    Wrong(Refusal),
    TooLong,
}

impl From<Refusal> for NoPace {
    fn from(refusal: Refusal) -> Self {
        Self::Wrong(refusal)
    }
}

impl NoPace {
    fn answer(self) -> Answer {
        match self {
            Self::Wrong(refusal) => Err(refusal),
            Self::TooLong => Ok(reply::plain_error(StatusCode::BAD_REQUEST, "Too much time\n")),
        }
    }
}

impl Pace {
    fn read(instance: &Instance, args: &Args, count: usize, usual: Duration) -> Result<Self, NoPace> {
        let duration = match args.get("duration") {
            None => usual,
            Some(text) => instance.duration("duration", text, Duration::from_nanos(1))?,
        };
        let delay = match args.get("delay") {
            None => Duration::ZERO,
            Some(text) => instance.duration("delay", text, Duration::ZERO)?,
        };
        let jitter = match args.get("jitter") {
            None => 0.0,
            Some(text) => number::fraction(text)
                .ok()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or_else(|| Refusal::bad("invalid jitter: must be a float in [0, 1]"))?,
        };
        if duration.saturating_add(delay) > instance.max_duration {
            return Err(NoPace::TooLong);
        }
        Ok(Self { delay, duration, pause: pause_between(duration, count), jitter })
    }
}

/// Makes line after line about one request.
fn line_maker(style: Style, picture: &Picture) -> impl FnMut(usize) -> Bytes + Send + Unpin + 'static {
    let document = numbered(style, picture);
    move |id| {
        let mut line = document.clone().with("id", json!(id)).line();
        line.push(b'\n');
        line.into()
    }
}

fn numbered(style: Style, picture: &Picture) -> Document {
    style
        .document()
        .with("id", 0)
        .with("args", style.values(&picture.args))
        .with("headers", style.headers(&picture.headers))
        .with("origin", picture.origin.as_str())
        .with("url", picture.url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Values;

    #[test]
    fn the_sizes_that_bound_counts_are_those_of_events_and_lines() {
        assert_eq!(event(999).len(), EVENT_BYTES);
        let picture = Picture {
            args: Values::from([("sample".into(), vec!["value".into()])]),
            headers: Values::from([
                ("Host".into(), vec!["example.com".into()]),
                ("User-Agent".into(), vec!["sample-agent/1.0".into()]),
            ]),
            method: "GET".into(),
            origin: "127.0.0.1".into(),
            url: "http://example.com/jsonl?count=100".into(),
        };
        assert_eq!(line_maker(Style::Go, &picture)(999).len(), LINE_BYTES);
    }
}
