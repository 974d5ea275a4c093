//! `/range/{count}`: the alphabet over and over, of which any part may be asked for. With `duration`, the answer comes as
//! late as the part of it that was asked for takes.

use axum::extract::{Path, Request, State};
use axum::response::IntoResponse as _;
use http::header::{ACCEPT_RANGES, ETAG};
use http::{HeaderValue, Method};

use std::time::Duration;

use super::caching::sendable;
use super::serve_content::{Content, serve};
use super::{Answer, Shared};
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};

pub(super) async fn range(
    State(instance): State<Shared>,
    Path(count): Path<String>,
    args: Args,
    request: Request,
) -> Answer {
    let invalid = |problem: String| Refusal::bad(format!("invalid count: {problem}"));
    let count = number::whole("ParseInt", &count).map_err(invalid)?;
    let duration = match args.get("duration") {
        None => Duration::ZERO,
        Some(text) => instance.duration("duration", text, Duration::ZERO)?,
    };
    let etag = format!("range{count}");
    let most = instance.max_body_bytes;
    let Some(length) = usize::try_from(count).ok().filter(|count| (1..=most).contains(count)) else {
        let mut response = invalid(format!("{count} not in range [1, {most}]")).into_response();
        response.headers_mut().insert(ETAG, sendable(&etag)?);
        response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        return Ok(response);
    };
    let content = Content {
        etag: &etag,
        modified: None,
        kind: reply::TEXT,
        length,
        bytes: |from: usize, to: usize| (b'a'..=b'z').cycle().skip(from % 26).take(to - from).collect(),
    };
    let served = serve(&request, content, &mut instance.random())?;
    if request.method() != Method::HEAD {
        tokio::time::sleep(duration.mul_f64(served.carried as f64 / length as f64)).await;
    }
    let mut response = served.response;
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}
