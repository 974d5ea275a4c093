//! One-field answers: `/headers`, `/ip`, `/user-agent`, `/uuid`, `/hostname`, `/env`, `/version`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use http::header::USER_AGENT;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::Shared;
use crate::listener::Connection;
use crate::query::Args;
use crate::random::Random;
use crate::reply;
use crate::request::{origin, shown_headers};
use crate::style::Style;

pub(super) async fn headers(State(instance): State<Shared>, request: Request) -> Response<Body> {
    let headers = shown_headers(request.headers(), request.uri(), &instance.hidden_headers);
    one(instance.style, "headers", instance.style.headers(&headers))
}

pub(super) async fn ip(
    State(instance): State<Shared>,
    Extension(connection): Extension<Connection>,
    args: Args,
    headers: HeaderMap,
) -> Response<Body> {
    let origin = origin(Some(&connection), &headers);
    if args.get("format") == Some("text") {
        return reply::typed(StatusCode::OK, reply::TEXT, format!("{origin}\n"));
    }
    one(instance.style, "origin", origin)
}

pub(super) async fn user_agent(State(instance): State<Shared>, headers: HeaderMap) -> Response<Body> {
    let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let shown = match (agent, instance.style) {
        (Some(agent), _) => Value::from(agent),
        (None, Style::Go) => Value::from(""),
        (None, Style::Python) => Value::Null,
    };
    one(instance.style, "user-agent", shown)
}

pub(super) async fn uuid(State(instance): State<Shared>) -> Response<Body> {
    one(instance.style, "uuid", uuid_v4(&mut instance.random()))
}

pub(super) async fn hostname(State(instance): State<Shared>) -> Response<Body> {
    one(instance.style, "hostname", instance.hostname.as_str())
}

pub(super) async fn env(State(instance): State<Shared>) -> Response<Body> {
    one(instance.style, "env", json!(instance.env))
}

pub(super) async fn version(State(instance): State<Shared>) -> Response<Body> {
    let document = instance.style.document().with("service", "fuseboard httpbin");
    document.with("version", env!("CARGO_PKG_VERSION")).answer(StatusCode::OK)
}

fn one(style: Style, name: &'static str, value: impl Into<Value>) -> Response<Body> {
    style.document().with(name, value).answer(StatusCode::OK)
}

/// RFC 9562 section 5.4: random but for version and variant.
fn uuid_v4(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        8 | low >> 62,
        low >> 48 & 0xFFF,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_version_4_and_the_rfc_variant() {
        let mut random = Random::new(3);
        for _ in 0..100 {
            let uuid = uuid_v4(&mut random);
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }
}
