//! `/get`, `/post` and the others that show a request back: arguments, headers, origin, URL and, where a
//! body may come, its data as text, form fields and JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, extract::Request};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, Response, StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::{Answer, Peer, Shared};
use crate::reply::{self, BadRequest};

/// Names with all their values; sorted, as Go writes maps.
pub(super) type Values = BTreeMap<String, Vec<String>>;

#[derive(Serialize)]
struct Picture {
    args: Values,
    headers: Values,
    method: String,
    origin: String,
    url: String,
}

#[derive(Serialize)]
struct BodyPicture {
    #[serde(flatten)]
    request: Picture,
    data: String,
    files: Values,
    form: Values,
    json: Value,
}

pub(super) async fn without_body(Extension(peer): Extension<Peer>, request: Request) -> Response<Body> {
    reply::json(StatusCode::OK, &picture(peer, &request))
}

pub(super) async fn with_body(
    State(instance): State<Shared>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    let picture = picture(peer, &request);
    let media_type =
        request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let body = axum::body::to_bytes(request.into_body(), instance.max_body_bytes)
        .await
        .map_err(|_| BadRequest("error parsing request body: http: request body too large".into()))?;
    let mut shown = BodyPicture {
        request: picture,
        data: text_or_data_url(&body, &media_type),
        files: Values::new(),
        form: Values::new(),
        json: Value::Null,
    };
    match media_type.split(';').next().unwrap_or("").trim() {
        "application/x-www-form-urlencoded" => shown.form = pairs(&shown.data),
        "application/json" if !body.is_empty() => {
            shown.json = serde_json::from_slice(&body)
                .map_err(|error| BadRequest(format!("error parsing request body: {error}")))?;
        }
        _ => {}
    }
    Ok(reply::json(StatusCode::OK, &shown))
}

fn picture(peer: Peer, request: &Request) -> Picture {
    Picture {
        args: pairs(request.uri().query().unwrap_or("")),
        headers: header_values(request.headers(), request.uri()),
        method: request.method().to_string(),
        origin: origin(peer, request.headers()),
        url: url(request.uri(), request.headers()),
    }
}

/// Who asked: the first address of `X-Forwarded-For`, else the other end of the connection.
pub(super) fn origin(Peer(address): Peer, headers: &HeaderMap) -> String {
    let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|list| list.split(',').next()).map(str::trim);
    match first {
        Some(first) if !first.is_empty() => first.to_owned(),
        _ => match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(v6.to_string(), |v4| v4.to_string()),
            IpAddr::V4(v4) => v4.to_string(),
        },
    }
}

/// Request headers under Go's spelling of their names, `Host` among them.
pub(super) fn header_values(headers: &HeaderMap, target: &Uri) -> Values {
    let mut values = Values::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        values.entry(canonical(name)).or_default().push(value);
    }
    values.insert("Host".into(), vec![host(target, headers)]);
    values
}

fn host(target: &Uri, headers: &HeaderMap) -> String {
    match target.authority() {
        Some(authority) => authority.to_string(),
        None => headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned(),
    }
}

fn url(target: &Uri, headers: &HeaderMap) -> String {
    let forwarded = headers.get("x-forwarded-proto").or_else(|| headers.get("x-forwarded-protocol"));
    let scheme = match forwarded.and_then(|value| value.to_str().ok()) {
        Some(scheme) => scheme,
        None if headers.get("x-forwarded-ssl").is_some_and(|value| value == "on") => "https",
        None => "http",
    };
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    format!("{scheme}://{}{path}", host(target, headers))
}

/// `x-request-id` as `X-Request-Id`.
fn canonical(name: &HeaderName) -> String {
    let mut start_of_word = true;
    name.as_str()
        .chars()
        .map(|c| {
            let c = if start_of_word { c.to_ascii_uppercase() } else { c };
            start_of_word = c == '-';
            c
        })
        .collect()
}

/// Query or form fields; a pair with a broken escape or a semicolon is left out, as Go does.
pub(super) fn pairs(text: &str) -> Values {
    let mut values = Values::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(name), Some(value)) = (unescape(name), unescape(value)) {
            values.entry(name).or_default().push(value);
        }
    }
    values
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next()?)? * 16 + hex_digit(rest.next()?)?,
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Text as it came; anything else as a data URL.
fn text_or_data_url(body: &[u8], media_type: &str) -> String {
    if let Ok(text) = std::str::from_utf8(body) {
        return text.to_owned();
    }
    let media_type = if media_type.is_empty() { "application/octet-stream" } else { media_type };
    format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_all_values_of_a_name_and_drop_broken_ones() {
        let values = pairs("a=1&b=x+y%21&a=3&c&broken=%zz&semi=1;2");
        assert_eq!(values["a"], ["1", "3"]);
        assert_eq!(values["b"], ["x y!"]);
        assert_eq!(values["c"], [""]);
        assert_eq!(values.len(), 3);
    }

    #[test]
    fn header_names_are_spelled_as_go_spells_them() {
        assert_eq!(canonical(&HeaderName::from_static("x-b3-traceid")), "X-B3-Traceid");
        assert_eq!(canonical(&HeaderName::from_static("te")), "Te");
    }
}
