//! `/status/{codes}` (one code, or a weighted choice such as `200:0.9,503:0.1`) and `/unstable`.

use axum::body::Body;
use axum::extract::{Path, State};
use http::header::{CONTENT_TYPE, HeaderName, LOCATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::{Answer, Shared, final_status, status_named};
use crate::number;
use crate::query::Args;
use crate::random::Random;
use crate::reply::{self, Refusal};
use crate::style::Style;

const MORE_INFO: HeaderName = HeaderName::from_static("x-more-info");
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"Fake Realm\"");

pub(super) async fn status(State(instance): State<Shared>, Path(codes): Path<String>) -> Answer {
    let status = if codes.contains(',') {
        final_status(choose(&weighted(&codes)?, &mut instance.random()), 100, 599)?
    } else {
        status_named(&codes, 100, 599)?
    };
    Ok(with_fixture(status, &instance.prefix))
}

/// 500 with the probability `failure_rate` (default 0.5), else 200.
pub(super) async fn unstable(State(instance): State<Shared>, args: Args) -> Answer {
    let mut random = instance.seeded(args.get("seed"))?;
    let invalid = |problem: String| Refusal::bad(format!("invalid failure rate: {problem}"));
    let rate = args.get("failure_rate").map_or(Ok(0.5), number::fraction).map_err(invalid)?;
    if !(0.0..=1.0).contains(&rate) {
        return Err(invalid(format!("{rate} not in range [0, 1]")));
    }
    let failed = random.unit() < rate;
    let status = if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    Ok(reply::typed(status, reply::TEXT, Body::empty()))
}

/// `code:weight` pairs; a missing weight is 1, and the weights need not sum to 1.
fn weighted(list: &str) -> Result<Vec<(i64, f64)>, Refusal> {
    let pair = |pair: &str| {
        let (code, weight) = pair.split_once(':').unwrap_or((pair, "1"));
        let weight = number::fraction(weight)
            .ok()
            .filter(|weight| weight.is_finite() && *weight >= 0.0)
            .ok_or_else(|| Refusal::bad(format!("invalid weight value: {weight:?}")))?;
        let code = number::whole("Atoi", code)
            .map_err(|_| Refusal::bad(format!("invalid choice value: {code:?}")))?;
        Ok((code, weight))
    };
    list.split(',').map(pair).collect()
}

fn choose(choices: &[(i64, f64)], random: &mut Random) -> i64 {
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
fn with_fixture(status: StatusCode, prefix: &str) -> Response<Body> {
    let at = |path: &str| HeaderValue::from_str(&format!("{prefix}{path}")).ok().map(|at| (LOCATION, at));
    let (body, header) = match status.as_u16() {
        300 => (choices(prefix), at("/image/jpeg")),
        301..=303 | 305 | 307 => (String::new(), at("/redirect/1")),
        308 => (moved(prefix), at("/image/jpeg")),
        401 => (String::new(), Some((WWW_AUTHENTICATE, REALM))),
        402 => ("payment required".into(), None),
        406 => {
            let accept = ["image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/"];
            let message = "Client did not request a supported media type";
            let document = Style::Go.document().with("message", message).with("accept", json!(accept));
            return document.answer(status);
        }
        407 => (String::new(), Some((PROXY_AUTHENTICATE, REALM))),
        418 => {
            let rfc = HeaderValue::from_static("http://tools.ietf.org/html/rfc2324");
            ("I'm a teapot!".into(), Some((MORE_INFO, rfc)))
        }
        _ => (String::new(), None),
    };
    let mut response = reply::typed(status, reply::TEXT, body);
    if status == StatusCode::NOT_MODIFIED {
        // It has no content, and no type of it.
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response.headers_mut().extend(header);
    response
}

/// The images that there are to choose from.
fn choices(prefix: &str) -> String {
    let item = |kind| format!("<li><a href=\"{prefix}/image/{kind}\">/image/{kind}</a></li>\n");
    let items: String = ["jpeg", "png", "svg"].into_iter().map(item).collect();
    format!("<!doctype html>\n<title>Several of it</title>\n<ul>\n{items}</ul>\n")
}

fn moved(prefix: &str) -> String {
    let link = format!("<a href=\"{prefix}/image/jpeg\">{prefix}/image/jpeg</a>");
    format!("<!doctype html>\n<title>Moved for good</title>\n<p>Moved for good to {link}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_relative_and_default_to_one() {
        let choices = weighted("200,503:3").unwrap();
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
        for (list, problem) in [
            ("200:0.5,x", "invalid choice value: \"x\""),
            ("200, 503", "invalid choice value: \" 503\""),
            ("200,503:-1", "invalid weight value: \"-1\""),
            ("200,503:NaN", "invalid weight value: \"NaN\""),
        ] {
            assert_eq!(weighted(list).unwrap_err().detail(), problem);
        }
    }
}
