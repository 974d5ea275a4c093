//! One-field answers: `/headers`, `/ip`, `/user-agent`, `/uuid`, `/hostname`.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use http::header::USER_AGENT;
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::inspect::{header_values, origin};
use super::{Peer, Shared};
use crate::random::Random;
use crate::reply;

pub(super) async fn headers(request: Request) -> Response<Body> {
    let headers = header_values(request.headers(), request.uri());
    reply::json(StatusCode::OK, &json!({ "headers": headers }))
}

pub(super) async fn ip(Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response<Body> {
    reply::json(StatusCode::OK, &json!({ "origin": origin(peer, &headers) }))
}

pub(super) async fn user_agent(headers: HeaderMap) -> Response<Body> {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    reply::json(StatusCode::OK, &json!({ "user-agent": agent }))
}

pub(super) async fn uuid(State(instance): State<Shared>) -> Response<Body> {
    reply::json(StatusCode::OK, &json!({ "uuid": uuid_v4(&mut instance.random.fork()) }))
}

pub(super) async fn hostname(State(instance): State<Shared>) -> Response<Body> {
    let name = instance.name.as_deref().unwrap_or("go-httpbin");
    reply::json(StatusCode::OK, &json!({ "hostname": name }))
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
