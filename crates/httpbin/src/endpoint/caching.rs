//! `/cache`, `/cache/{seconds}` and `/etag/{etag}`: answers that a cache may keep, and that a client may already have.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Request, State};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};

use super::inspect::shown_without_body;
use super::serve_content::{Content, serve};
use super::{Answer, Shared};
use crate::number;
use crate::reply::{self, Refusal};

/// 304 to whoever has any version.
pub(super) async fn cache(State(instance): State<Shared>, request: Request) -> Answer {
    let has = |name| request.headers().get(name).is_some_and(|value: &HeaderValue| !value.is_empty());
    if has(IF_MODIFIED_SINCE) || has(IF_NONE_MATCH) {
        return Ok(reply::bare(StatusCode::NOT_MODIFIED, axum::body::Body::empty()));
    }
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut response = shown_without_body(&instance, &request).answer(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(LAST_MODIFIED, sendable(&httpdate::fmt_http_date(now))?);
    headers.insert(ETAG, sendable(&format!("\"{seconds:x}\""))?);
    Ok(response)
}

pub(super) async fn cache_for(
    State(instance): State<Shared>,
    Path(seconds): Path<String>,
    request: Request,
) -> Answer {
    let seconds = number::whole("ParseInt", &seconds)
        .map_err(|problem| Refusal::bad(format!("invalid seconds: {problem}")))?;
    let mut response = shown_without_body(&instance, &request).answer(StatusCode::OK);
    let value = sendable(&format!("public, max-age={seconds}"))?;
    response.headers_mut().insert(CACHE_CONTROL, value);
    Ok(response)
}

/// A document of which the caller chooses the entity tag.
pub(super) async fn etag(
    State(instance): State<Shared>,
    Path(etag): Path<String>,
    request: Request,
) -> Answer {
    let etag = format!("\"{etag}\"");
    let document = shown_without_body(&instance, &request);
    let bytes = document.pretty();
    let content = Content {
        etag: &etag,
        modified: Some(SystemTime::now()),
        kind: reply::TEXT,
        length: bytes.len(),
        bytes: |from, to| bytes.get(from..to).map(<[u8]>::to_vec).unwrap_or_default(),
    };
    let mut response = serve(&request, content, &mut instance.random())?.response;
    if instance.style == crate::style::Style::Python && response.status().is_success() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// A header value, where the text can be one.
pub(super) fn sendable(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|_| Refusal::bad(format!("{text:?} cannot stand in a header")))
}
