//! `/echo`: the request's body comes back, with a status, delay, size, headers and connection close chosen
//! by fortio's grammar of percentages: `status=503:20,429:1&delay=150us:10,2ms:5&size=100:50&close=5`.
//! What the percentages leave over gets the default (200, no delay, the body as it came, keep-alive).

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::inspect::{Values, pairs};
use super::{Answer, Instance, Shared, final_status};
use crate::random::Random;
use crate::reply::BadRequest;

/// What one echo will do, after the dice were thrown.
#[derive(Debug)]
struct Plan {
    status: StatusCode,
    delay: Duration,
    size: Option<usize>,
    close: bool,
    headers: HeaderMap,
}

pub(super) async fn echo(State(instance): State<Shared>, request: Request) -> Answer {
    let query = pairs(request.uri().query().unwrap_or(""));
    let mut random = instance.random.fork();
    let plan = plan(&query, &instance, &mut random)?;
    let (head, body) = request.into_parts();
    tokio::time::sleep(plan.delay).await;
    let (kind, body) = match plan.size {
        Some(size) => (Some(HeaderValue::from_static("application/octet-stream")), random.bytes(size).into()),
        None => {
            let body = axum::body::to_bytes(body, instance.max_body_bytes)
                .await
                .map_err(|_| BadRequest("error reading request body: too large".into()))?;
            (head.headers.get(CONTENT_TYPE).cloned(), body)
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = plan.status;
    let headers = response.headers_mut();
    headers.extend(kind.map(|kind| (CONTENT_TYPE, kind)));
    headers.extend(plan.headers);
    if plan.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn plan(query: &Values, instance: &Instance, random: &mut Random) -> Result<Plan, BadRequest> {
    let first = |name: &str| query.get(name).and_then(|values| values.first()).map(String::as_str);
    let status = match first("status") {
        None | Some("") => StatusCode::OK,
        Some(text) => draw("status", text, random, |code| final_status(code.parse().ok()?).ok())?
            .unwrap_or(StatusCode::OK),
    };
    let delay = match first("delay") {
        None | Some("") => Duration::ZERO,
        Some(text) => draw("delay", text, random, |delay| match delay {
            "0" => Some(Duration::ZERO),
            delay => humantime::parse_duration(delay).ok(),
        })?
        .unwrap_or(Duration::ZERO),
    };
    let size = match first("size") {
        None | Some("") => None,
        Some(text) => draw("size", text, random, |size| {
            size.parse().ok().filter(|size| *size <= instance.max_body_bytes)
        })?,
    };
    let close = match first("close") {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(percent) => random.unit() * 100.0 < percentage("close", percent)?,
    };
    let mut headers = HeaderMap::new();
    for header in query.get("header").into_iter().flatten() {
        let (name, value) = header
            .split_once(':')
            .and_then(|(name, value)| {
                Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
            })
            .ok_or_else(|| BadRequest(format!("invalid header: {header:?} is not Name:value")))?;
        headers.append(name, value);
    }
    Ok(Plan { status, delay: delay.min(instance.max_duration), size, close, headers })
}

/// One value always, or `value:percent` pairs of which at most one is drawn.
fn draw<T>(
    what: &str,
    text: &str,
    random: &mut Random,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BadRequest> {
    let parse = |value: &str| {
        parse(value)
            .ok_or_else(|| BadRequest(format!("invalid {what}: {value:?} is not a {what} we can give")))
    };
    let dice = random.unit() * 100.0;
    let mut sum = 0.0;
    let mut drawn = None;
    for part in text.split(',').map(str::trim) {
        let (value, percent) = match part.split_once(':') {
            Some((value, percent)) => (value, percentage(what, percent)?),
            None => (part, 100.0 - sum),
        };
        let value = parse(value)?;
        let before = sum;
        sum += percent;
        if sum > 100.0 {
            return Err(BadRequest(format!(
                "invalid {what}: percentages in {text:?} sum to {sum}, above 100"
            )));
        }
        if (before..sum).contains(&dice) {
            drawn = Some(value);
        }
    }
    Ok(drawn)
}

fn percentage(what: &str, text: &str) -> Result<f64, BadRequest> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok();
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| BadRequest(format!("invalid {what}: {text:?} is not a percentage between 0 and 100")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of(text: &str, wanted: Option<u16>) -> f64 {
        let mut random = Random::new(5);
        let rounds = 10_000;
        let hits = (0..rounds)
            .filter(|_| draw("status", text, &mut random, |code| code.parse().ok()).unwrap() == wanted)
            .count();
        hits as f64 / f64::from(rounds) * 100.0
    }

    #[test]
    fn percentages_are_shares_of_all_requests() {
        assert!((share_of("503:20,429:5.5", Some(503)) - 20.0).abs() < 1.5);
        assert!((share_of("503:20,429:5.5", Some(429)) - 5.5).abs() < 1.0);
        assert!((share_of("503:20,429:5.5", None) - 74.5).abs() < 1.5);
    }

    #[test]
    fn a_value_without_percentage_takes_what_is_left() {
        assert!((share_of("503", Some(503)) - 100.0).abs() < f64::EPSILON);
        assert!((share_of("503:30,200", Some(200)) - 70.0).abs() < 1.5);
        assert!((share_of("503:100", Some(503)) - 100.0).abs() < f64::EPSILON);
        assert!(share_of("503:0", Some(503)).abs() < f64::EPSILON);
    }

    #[test]
    fn more_than_everything_is_refused() {
        let mut random = Random::new(5);
        let refusal =
            draw("status", "503:60,429:60", &mut random, |code| code.parse::<u16>().ok()).unwrap_err();
        assert_eq!(refusal.0, "invalid status: percentages in \"503:60,429:60\" sum to 120, above 100");
        assert!(draw("status", "503:x", &mut random, |code| code.parse::<u16>().ok()).is_err());
        assert!(draw("status", "abc", &mut random, |code| code.parse::<u16>().ok()).is_err());
    }
}
