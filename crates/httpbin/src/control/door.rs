//! The control door: `POST /_ctl {"fail": 0.5, "status": 500, "delay": "200ms"}` on an address of its own turns the knobs
//! of an instance while it runs, `GET /_ctl` shows them and what the instance counted. What is not named stays.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Control, Peak};
use crate::duration;
use crate::listener::{Connection, Handler};
use crate::reply::{self, Refusal};

const MEMBERS: &str = "fail, status, delay, hang, serving";
/// Nothing said at the door is longer.
const LONGEST: usize = 4096;

/// Answers at the door of one instance.
pub(crate) struct Door {
    control: Control,
}

impl Door {
    pub(crate) fn new(control: Control) -> Self {
        Self { control }
    }

    async fn turn(&self, request: Request<Body>) -> Result<(), Refusal> {
        let body = axum::body::to_bytes(request.into_body(), LONGEST)
            .await
            .map_err(|_| Refusal::bad(format!("the body is longer than {LONGEST} bytes or broke off")))?;
        let wanted: Map<String, Value> = serde_json::from_slice(&body).map_err(|error| {
            let example = r#"{"fail": 0.5, "status": 500, "delay": "200ms"}"#;
            Refusal::bad(format!("not a JSON object: {error}; write for example {example}"))
        })?;
        let turn = Turn::read(&wanted).map_err(|problems| Refusal::bad(problems.join("; ")))?;
        turn.fail.into_iter().for_each(|share| self.control.fail_share(share));
        turn.status.into_iter().for_each(|status| self.control.fail_with(status));
        turn.delay.into_iter().for_each(|delay| self.control.set_delay(delay));
        turn.hang.into_iter().for_each(|hang| self.control.hang_all(hang));
        turn.serving.into_iter().for_each(|serving| self.control.set_serving(serving));
        Ok(())
    }

    fn show(&self) -> Response<Body> {
        let (knobs, counts) = (self.control.knobs(), self.control.counts());
        let peak = |peak: Peak| json!({ "active": peak.active, "peak": peak.peak, "total": peak.total });
        reply::json(
            StatusCode::OK,
            &json!({
                "fail": knobs.fail,
                "status": knobs.status.as_u16(),
                "delay": fuseboard_go::duration::format(knobs.delay),
                "hang": knobs.hang,
                "serving": knobs.serving,
                "requests": peak(counts.requests),
                "connections": peak(counts.connections),
            }),
        )
    }
}

impl Handler for Door {
    async fn answer(self: Arc<Self>, request: Request<Body>, _: Connection) -> Response<Body> {
        match (request.uri().path(), request.method()) {
            ("/_ctl", &Method::POST) => match self.turn(request).await {
                Ok(()) => self.show(),
                Err(refusal) => refusal.into_response(),
            },
            ("/_ctl", &Method::GET | &Method::HEAD) => self.show(),
            ("/_ctl", _) => reply::wrong_method("GET, HEAD, POST"),
            _ => reply::not_found(),
        }
    }
}

/// What somebody wants changed.
#[derive(Debug, PartialEq)]
struct Turn {
    fail: Option<f64>,
    status: Option<StatusCode>,
    delay: Option<Duration>,
    hang: Option<bool>,
    serving: Option<bool>,
}

impl Turn {
    /// Every problem, where there is one.
    fn read(wanted: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut turn = Self { fail: None, status: None, delay: None, hang: None, serving: None };
        let mut problems = Vec::new();
        for (name, value) in wanted {
            let good = match name.as_str() {
                "fail" => {
                    turn.fail = share(value);
                    turn.fail.is_some()
                }
                "status" => {
                    turn.status = value
                        .as_u64()
                        .and_then(|code| u16::try_from(code).ok())
                        .filter(|code| (200..=599).contains(code))
                        .and_then(|code| StatusCode::from_u16(code).ok());
                    turn.status.is_some()
                }
                "delay" => {
                    turn.delay = delay(value);
                    turn.delay.is_some()
                }
                "hang" => {
                    turn.hang = value.as_bool();
                    turn.hang.is_some()
                }
                "serving" => {
                    turn.serving = value.as_bool();
                    turn.serving.is_some()
                }
                _ => {
                    problems.push(format!("{name}: not known here; there are {MEMBERS}"));
                    true
                }
            };
            if !good {
                let expected = match name.as_str() {
                    "fail" => "a share between 0 and 1, or true or false",
                    "status" => "a status between 200 and 599",
                    "hang" | "serving" => "true or false",
                    _ => "seconds, or a duration such as \"200ms\"",
                };
                problems.push(format!("{name}: {value} is not {expected}"));
            }
        }
        if problems.is_empty() { Ok(turn) } else { Err(problems) }
    }
}

fn share(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(all) => Some(f64::from(u8::from(*all))),
        value => value.as_f64().filter(|share| (0.0..=1.0).contains(share)),
    }
}

fn delay(value: &Value) -> Option<Duration> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    duration::bounded(&text, Duration::ZERO, Duration::MAX).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Turn, Vec<String>> {
        Turn::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_is_not_named_stays() {
        let turn = read(r#"{"delay": "200ms"}"#).unwrap();
        let delay = Some(Duration::from_millis(200));
        assert_eq!(turn, Turn { fail: None, status: None, delay, hang: None, serving: None });
        assert_eq!(read(r#"{"fail": true, "delay": 0.5, "status": 500}"#).unwrap().fail, Some(1.0));
        assert_eq!(read(r#"{"hang": true}"#).unwrap().hang, Some(true));
        assert_eq!(read(r#"{"serving": false}"#).unwrap().serving, Some(false));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = read(r#"{"fail": 2, "delay": "x", "status": 99, "speed": 1, "hang": 1}"#).unwrap_err();
        assert_eq!(problems.len(), 5);
        assert!(problems.contains(&"fail: 2 is not a share between 0 and 1, or true or false".to_owned()));
        assert!(
            problems
                .contains(&"speed: not known here; there are fail, status, delay, hang, serving".to_owned())
        );
    }
}
