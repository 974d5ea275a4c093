//! `/status/{codes}` (one code, or a weighted choice such as `200:0.9,503:0.1`) and `/unstable`.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use http::header::{HeaderName, LOCATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::{Answer, Shared, final_status, whole_number};
use crate::random::Random;
use crate::reply::{self, BadRequest};

const MORE_INFO: HeaderName = HeaderName::from_static("x-more-info");
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"Fake Realm\"");

pub(super) async fn status(State(instance): State<Shared>, Path(codes): Path<String>) -> Answer {
    let code = if codes.contains(',') {
        choose(&weighted(&codes)?, &mut instance.random.fork())
    } else {
        // A single code may carry a weight too; there is nothing to choose.
        let code = codes.split(':').next().unwrap_or(&codes);
        code.parse().map_err(|_| {
            BadRequest(format!(
                "invalid status code: {code:?}: strconv.Atoi: parsing {code:?}: invalid syntax"
            ))
        })?
    };
    Ok(with_fixture(final_status(code)?))
}

/// 500 with the probability `failure_rate` (default 0.5), else 200.
pub(super) async fn unstable(
    State(instance): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let mut random = match query.get("seed") {
        None => instance.random.fork(),
        Some(seed) => Random::new(whole_number::<i64>("seed", "ParseInt", seed)?.cast_unsigned()),
    };
    let rate = match query.get("failure_rate") {
        None => 0.5,
        Some(text) => text
            .parse::<f64>()
            .ok()
            .filter(|rate| (0.0..=1.0).contains(rate))
            .ok_or_else(|| BadRequest(format!("invalid failure rate: {text} not in range [0, 1]")))?,
    };
    let failed = random.unit() < rate;
    let status = if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    Ok(reply::typed(status, reply::TEXT, Body::empty()))
}

/// `code:weight` pairs; a missing weight is 1, and the weights need not sum to 1.
fn weighted(list: &str) -> Result<Vec<(u16, f64)>, BadRequest> {
    let pair = |part: &str| -> Option<(u16, f64)> {
        let (code, weight) = match part.split_once(':') {
            Some((code, weight)) => (code, weight.parse::<f64>().ok()?),
            None => (part, 1.0),
        };
        (weight.is_finite() && weight >= 0.0).then_some((code.parse().ok()?, weight))
    };
    list.split(',')
        .map(str::trim)
        .map(|part| pair(part).ok_or_else(|| BadRequest(format!("invalid choice value: {part:?}"))))
        .collect()
}

fn choose(choices: &[(u16, f64)], random: &mut Random) -> u16 {
    let sum: f64 = choices.iter().map(|(_, weight)| weight).sum();
    let mut left = random.unit() * sum;
    for (code, weight) in choices {
        if left < *weight {
            return *code;
        }
        left -= weight;
    }
    choices.last().map_or(200, |(code, _)| *code)
}

/// Some codes make no sense without a header or a body.
fn with_fixture(status: StatusCode) -> Response<Body> {
    let (body, header) = match status.as_u16() {
        300 => (MULTIPLE_CHOICES, Some((LOCATION, HeaderValue::from_static("/image/jpeg")))),
        301..=303 | 305 | 307 => ("", Some((LOCATION, HeaderValue::from_static("/redirect/1")))),
        308 => (PERMANENT_REDIRECT, Some((LOCATION, HeaderValue::from_static("/image/jpeg")))),
        401 => ("", Some((WWW_AUTHENTICATE, REALM))),
        402 => ("payment required", None),
        406 => {
            let accept = ["image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/"];
            let message = "Client did not request a supported media type";
            return reply::json(status, &json!({ "message": message, "accept": accept }));
        }
        407 => ("", Some((PROXY_AUTHENTICATE, REALM))),
        418 => {
            let rfc = HeaderValue::from_static("http://tools.ietf.org/html/rfc2324");
            ("I'm a teapot!", Some((MORE_INFO, rfc)))
        }
        _ => ("", None),
    };
    let mut response = reply::typed(status, reply::TEXT, body);
    response.headers_mut().extend(header);
    response
}

const MULTIPLE_CHOICES: &str = "<!doctype html>
<head>
<title>Multiple Choices</title>
</head>
<body>
<ul>
<li><a href=\"/image/jpeg\">/image/jpeg</a></li>
<li><a href=\"/image/png\">/image/png</a></li>
<li><a href=\"/image/svg\">/image/svg</a></li>
</body>
</html>";

const PERMANENT_REDIRECT: &str = "<!doctype html>
<head>
<title>Permanent Redirect</title>
</head>
<body>Permanently redirected to <a href=\"/image/jpeg\">/image/jpeg</a>
</body>
</html>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_relative_and_default_to_one() {
        let choices = weighted("200, 503:3").unwrap();
        assert_eq!(choices, [(200, 1.0), (503, 3.0)]);
        let mut random = Random::new(1);
        let failures = (0..4_000).filter(|_| choose(&choices, &mut random) == 503).count();
        assert!((2_850..3_150).contains(&failures), "{failures}");
    }

    #[test]
    fn a_weight_of_zero_is_never_chosen() {
        let choices = weighted("500:0,200:1,404:0").unwrap();
        let mut random = Random::new(1);
        assert!((0..1_000).all(|_| choose(&choices, &mut random) == 200));
    }

    #[test]
    fn a_broken_choice_is_named() {
        for list in ["200:0.5,x", "200,503:-1", "200,503:NaN"] {
            let bad = list.split(',').next_back().unwrap();
            assert_eq!(weighted(list).unwrap_err().0, format!("invalid choice value: {bad:?}"));
        }
    }
}
