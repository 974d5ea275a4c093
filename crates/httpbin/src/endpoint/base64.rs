//! `/base64/…`: decodes, or encodes.

use axum::extract::{Path, State};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use http::StatusCode;

use super::caching::sendable;
use super::inspect::is_dangerous;
use super::{Answer, Instance, Shared};
use crate::query::Args;
use crate::reply::{self, Refusal};

pub(super) async fn decode(State(instance): State<Shared>, Path(data): Path<String>, args: Args) -> Answer {
    answer(&instance, "decode", &data, &args)
}

pub(super) async fn transform(
    State(instance): State<Shared>,
    Path((operation, data)): Path<(String, String)>,
    args: Args,
) -> Answer {
    answer(&instance, &operation, &data, &args)
}

fn answer(instance: &Instance, operation: &str, data: &str, args: &Args) -> Answer {
    if data.len() > instance.max_body_bytes {
        let most = instance.max_body_bytes;
        return Err(Refusal::bad(format!("input data exceeds max length of {most}")));
    }
    let mut result = match operation {
        "encode" => BASE64_URL_SAFE.encode(data).into_bytes(),
        "decode" => BASE64_URL_SAFE
            .decode(data)
            .or_else(|_| BASE64_STANDARD.decode(data))
            .map_err(|error| Refusal::bad(format!("base64 decode failed: {error}")))?,
        other => return Err(Refusal::bad(format!("invalid operation: {other}"))),
    };
    let content_type = args.get("content-type").unwrap_or("text/plain; charset=utf-8");
    if instance.escape_html && is_dangerous(content_type) {
        result = reply::escape_html(&String::from_utf8_lossy(&result)).into_bytes();
    }
    Ok(reply::typed(StatusCode::OK, sendable(content_type)?, result))
}
