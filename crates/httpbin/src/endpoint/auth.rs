//! Basic, hidden basic, bearer and digest authentication.

use std::collections::HashMap;

use ::base64::Engine as _;
use ::base64::prelude::BASE64_STANDARD;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse as _;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::digest::{Algorithm, Authorization};
use super::{Answer, Instance, Shared};
use crate::reply::{self, Refusal};
use crate::style::{Document, Style};

const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"Fake Realm\"");

pub(super) async fn basic(
    State(instance): State<Shared>,
    Path((user, password)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let given = credentials(&headers).unwrap_or_default();
    if given == (user, password) {
        return Ok(authenticated(&instance, true, &given.0).answer(StatusCode::OK));
    }
    let status = StatusCode::UNAUTHORIZED;
    let mut response = match instance.style {
        Style::Go => authenticated(&instance, false, &given.0).answer(status),
        Style::Python => reply::bare(status, axum::body::Body::empty()),
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, REALM);
    Ok(response)
}

/// As [`basic`], but who does not know better is told that there is nothing.
pub(super) async fn hidden_basic(
    State(instance): State<Shared>,
    Path((user, password)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let given = credentials(&headers).unwrap_or_default();
    if given != (user, password) {
        return Err(Refusal::plain(StatusCode::NOT_FOUND));
    }
    Ok(authenticated(&instance, true, &given.0).answer(StatusCode::OK))
}

pub(super) async fn bearer(State(instance): State<Shared>, headers: HeaderMap) -> Answer {
    let mut words = authorization(&headers).split_whitespace();
    if let (Some("Bearer"), Some(token), None) = (words.next(), words.next(), words.next()) {
        let document = instance.style.document().with("authenticated", true).with("token", token);
        return Ok(document.answer(StatusCode::OK));
    }
    let mut response = Refusal::plain(StatusCode::UNAUTHORIZED).into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Ok(response)
}

pub(super) async fn digest(
    State(instance): State<Shared>,
    Path((qop, user, password)): Path<(String, String, String)>,
    request: Request,
) -> Answer {
    digested(&instance, &qop, (&user, &password), Algorithm::Md5, &request)
}

pub(super) async fn digest_with(
    State(instance): State<Shared>,
    Path(parameters): Path<HashMap<String, String>>,
    request: Request,
) -> Answer {
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    let name = parameter("algorithm").to_ascii_uppercase();
    let qop = parameter("qop");
    checked_qop(qop)?;
    let algorithm = Algorithm::named(&name)
        .ok_or_else(|| Refusal::bad(format!("invalid algorithm: {name} must be one of MD5 or SHA-256")))?;
    digested(&instance, qop, (parameter("user"), parameter("password")), algorithm, &request)
}

fn digested(
    instance: &Instance,
    qop: &str,
    (user, password): (&str, &str),
    algorithm: Algorithm,
    request: &Request,
) -> Answer {
    checked_qop(qop)?;
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let given = Authorization::parse(authorization(request.headers()));
    // The target is the one that was sent, with the prefix.
    let target = format!("{}{target}", instance.prefix);
    if given.is_some_and(|given| given.proves(user, password, request.method().as_str(), &target)) {
        return Ok(authenticated(instance, true, user).answer(StatusCode::OK));
    }
    let mut random = instance.random();
    let challenge = super::digest::challenge("go-httpbin", algorithm, &mut random);
    let mut response = Refusal::plain(StatusCode::UNAUTHORIZED).into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, super::caching::sendable(&challenge)?);
    Ok(response)
}

fn checked_qop(qop: &str) -> Result<(), Refusal> {
    let qop = qop.to_ascii_lowercase();
    if qop == "auth" {
        Ok(())
    } else {
        Err(Refusal::bad(format!("invalid QOP directive: {qop:?} != \"auth\"")))
    }
}

fn authenticated(instance: &Instance, is: bool, user: &str) -> Document {
    let document = instance.style.document().with("authenticated", is).with("user", user);
    match instance.style {
        // The name that go-httpbin had for it once.
        Style::Go => document.with("authorized", is),
        Style::Python => document,
    }
}

fn authorization(headers: &HeaderMap) -> &str {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// User and password of RFC 7617.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = authorization(headers).split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
