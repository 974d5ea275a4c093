//! Which path does what: one module per family of endpoints, and the table of paths.

mod bytes;
mod echo;
mod identity;
mod inspect;
mod slow;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{self, MethodRouter};
use http::{Response, StatusCode};

use crate::random::SharedRandom;
use crate::reply::{BadRequest, plain_error};
use crate::server::Options;

/// What every endpoint of one instance may use.
#[derive(Debug)]
pub(crate) struct Instance {
    name: Option<String>,
    random: SharedRandom,
    max_body_bytes: usize,
    max_duration: Duration,
}

impl Instance {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            name: options.name.clone(),
            random: SharedRandom::new(options.seed),
            max_body_bytes: options.max_body_bytes,
            max_duration: options.max_duration,
        }
    }
}

/// The other end of the connection; stands in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

type Shared = Arc<Instance>;
type Answer = Result<Response<Body>, BadRequest>;

pub(crate) fn router(instance: Shared) -> Router {
    Router::new()
        .route("/get", only(routing::get(inspect::without_body)))
        .route("/head", only(routing::head(inspect::without_body)))
        .route("/post", only(routing::post(inspect::with_body)))
        .route("/put", only(routing::put(inspect::with_body)))
        .route("/patch", only(routing::patch(inspect::with_body)))
        .route("/delete", only(routing::delete(inspect::with_body)))
        .route("/anything", routing::any(inspect::with_body))
        .route("/anything/", routing::any(inspect::with_body))
        .route("/anything/{*rest}", routing::any(inspect::with_body))
        .route("/headers", routing::any(identity::headers))
        .route("/ip", routing::any(identity::ip))
        .route("/user-agent", routing::any(identity::user_agent))
        .route("/uuid", routing::any(identity::uuid))
        .route("/hostname", routing::any(identity::hostname))
        .route("/status/{codes}", routing::any(status::status))
        .route("/unstable", routing::any(status::unstable))
        .route("/delay/{duration}", routing::any(slow::delay))
        .route("/drip", routing::any(slow::drip))
        .route("/bytes/{count}", routing::any(bytes::bytes))
        .route("/echo", routing::any(echo::echo))
        .fallback(async || plain_error(StatusCode::NOT_FOUND, "404 page not found\n"))
        .with_state(instance)
}

/// Answers every method that the endpoint does not have with 405; axum adds `Allow`.
fn only(endpoint: MethodRouter<Shared>) -> MethodRouter<Shared> {
    endpoint.fallback(async || plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"))
}

/// A delay as go-httpbin reads it: seconds (`1.5`) or a Go duration (`250ms`), at most `longest`.
fn bounded_duration(text: &str, longest: Duration) -> Result<Duration, BadRequest> {
    let invalid = |why: String| BadRequest(format!("invalid duration: {why}"));
    let (sign, magnitude) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let duration = match magnitude.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) if magnitude.contains(char::is_whitespace) => None,
        Err(_) => humantime::parse_duration(magnitude).ok(),
    };
    let Some(duration) = duration else {
        return Err(invalid(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")));
    };
    let shown = humantime::format_duration(duration);
    if !sign.is_empty() && !duration.is_zero() {
        return Err(invalid(format!("duration -{shown} shorter than 0s")));
    }
    if duration > longest {
        return Err(invalid(format!("duration {shown} longer than {}", humantime::format_duration(longest))));
    }
    Ok(duration)
}

/// A whole number, with the error text of Go's `strconv`.
fn whole_number<T: std::str::FromStr>(what: &str, function: &str, text: &str) -> Result<T, BadRequest> {
    text.parse().map_err(|_| {
        BadRequest(format!("invalid {what}: strconv.{function}: parsing {text:?}: invalid syntax"))
    })
}

/// A status that an answer can end with.
fn final_status(code: u16) -> Result<StatusCode, BadRequest> {
    match StatusCode::from_u16(code) {
        Ok(status) if (200..=599).contains(&code) => Ok(status),
        // The original sends 1xx as if it ended the exchange, which leaves clients waiting for the rest.
        Ok(_) if (100..200).contains(&code) => {
            Err(BadRequest(format!("invalid status code: {code} cannot end an exchange")))
        }
        _ => Err(BadRequest(format!("invalid status code: {code} not in range [100, 599]"))),
    }
}
