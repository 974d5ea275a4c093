//! `/get`, `/post`, `/anything` and the others that show a request back, with its body where one may come; `/upload`,
//! which only counts it; `/response-headers`, whose answer has the headers that were asked for.

use axum::body::Body;
use axum::extract::{Request, State};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;

use super::form::Sent;
use super::{Answer, Instance, Shared, Unread};
use crate::query::Args;
use crate::reply::{self, Refusal};
use crate::style::{Document, Style, Values};

pub(super) async fn without_body(State(instance): State<Shared>, request: Request) -> Response<Body> {
    shown_without_body(&instance, &request).answer(StatusCode::OK)
}

/// The document of `/get`.
pub(super) fn shown_without_body(instance: &Instance, request: &Request) -> Document {
    let document = instance.picture(request).document(instance.style);
    match instance.style {
        Style::Go => document,
        Style::Python => document.without(&["method"]),
    }
}

pub(super) async fn with_body(State(instance): State<Shared>, request: Request) -> Answer {
    let document = shown_with_body(&instance, request).await?;
    Ok(match instance.style {
        Style::Go => document,
        Style::Python => document.without(&["method"]),
    }
    .answer(StatusCode::OK))
}

/// Any path and method; a `HEAD` has no body to show.
pub(super) async fn anything(State(instance): State<Shared>, request: Request) -> Answer {
    if request.method() == Method::HEAD {
        return Ok(shown_without_body(&instance, &request).answer(StatusCode::OK));
    }
    Ok(shown_with_body(&instance, request).await?.answer(StatusCode::OK))
}

/// The document of `/anything`.
pub(super) async fn shown_with_body(instance: &Instance, request: Request) -> Result<Document, Refusal> {
    const WHAT: &str = "error parsing request body: ";
    let style = instance.style;
    let document = instance.picture(&request).document(style);
    let (head, body) = request.into_parts();
    let body = instance.read(body).await.map_err(|unread| unread.refusal(StatusCode::BAD_REQUEST, WHAT))?;
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let sent = Sent::read(content_type, body, style)
        .await
        .map_err(|problem| Refusal::bad(format!("{WHAT}{problem}")))?;
    Ok(document
        .with("data", sent.data)
        .with("files", style.values(&sent.files))
        .with("form", style.values(&sent.form))
        .with("json", sent.json))
}

/// Counts the bytes of the body and keeps none.
pub(super) async fn upload(State(instance): State<Shared>, request: Request) -> Answer {
    let document = instance.picture(&request).document(instance.style);
    let mut body = request.into_body();
    let mut received = 0;
    let refused = |unread: Unread| unread.refusal(StatusCode::INTERNAL_SERVER_ERROR, "");
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| refused(Unread::BrokenOff))?;
        received += frame.data_ref().map_or(0, bytes::Bytes::len);
        if received > instance.max_body_bytes {
            return Err(refused(Unread::TooLarge));
        }
    }
    Ok(document.with("bytes_received", received).answer(StatusCode::OK))
}

/// Every argument becomes a header of the answer; the body shows them.
pub(super) async fn response_headers(State(instance): State<Shared>, Args(mut wanted): Args) -> Answer {
    let content_type = wanted.get("Content-Type").and_then(|values| values.first()).cloned();
    let content_type = match content_type.filter(|value| !value.is_empty()) {
        Some(given) => given,
        None => {
            let json = match instance.style {
                Style::Go => "application/json; charset=utf-8",
                Style::Python => "application/json",
            };
            wanted.insert("Content-Type".into(), vec![json.into()]);
            json.into()
        }
    };
    let body = match instance.style {
        Style::Go if instance.escape_html && is_dangerous(&content_type) => reply::pretty(&escaped(&wanted)),
        Style::Go => reply::pretty(&wanted),
        Style::Python => with_own_length(&wanted),
    };
    let mut response = reply::bare(StatusCode::OK, body);
    for (name, values) in &wanted {
        for value in values {
            let header = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
            let (name, value) = header
                .ok_or_else(|| Refusal::bad(format!("invalid header: {name:?}: {value:?} cannot be sent")))?;
            // How long the answer is, and where it ends, is not the caller's to choose.
            if name != CONTENT_LENGTH && name != http::header::TRANSFER_ENCODING {
                response.headers_mut().append(name, value);
            }
        }
    }
    Ok(response)
}

/// Python's document tells the length of itself.
fn with_own_length(wanted: &Values) -> Vec<u8> {
    let mut length = 0;
    loop {
        let mut shown = wanted.clone();
        shown.insert("Content-Length".into(), vec![length.to_string()]);
        let body = reply::pretty(&Style::Python.values(&shown));
        if body.len() == length {
            return body;
        }
        length = body.len();
    }
}

fn escaped(values: &Values) -> Values {
    let mut escaped = Values::new();
    for (name, values) in values {
        let name = reply::escape_html(name);
        let values = values.iter().map(|value| reply::escape_html(value));
        escaped.entry(name).or_default().extend(values);
    }
    escaped
}

/// Whether a browser might run a body of this type.
pub(super) fn is_dangerous(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    !matches!(media_type.as_str(), "text/plain" | "application/json" | "application/octet-string")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_s_document_tells_its_own_length() {
        let body = with_own_length(&Values::from([("a".into(), vec!["b".into()])]));
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains(&format!("\"Content-Length\": \"{}\"", text.len())), "{text}");
    }

    #[test]
    fn only_plain_text_and_json_are_harmless() {
        assert!(!is_dangerous("text/plain; charset=utf-8") && !is_dangerous("Application/JSON"));
        assert!(is_dangerous("text/html") && is_dangerous("image/svg+xml") && is_dangerous(""));
    }
}
