//! `/bytes/{count}`: random bytes, the same for the same `seed`.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::{Answer, Shared, whole_number};
use crate::random::Random;
use crate::reply::BadRequest;

pub(super) async fn bytes(
    State(instance): State<Shared>,
    Path(count): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let count = whole_number::<i64>("byte count", "Atoi", &count)?;
    let largest = instance.max_body_bytes;
    let length = usize::try_from(count)
        .map_err(|_| BadRequest(format!("invalid byte count: {count} must be greater than 0")))?;
    if length > largest {
        return Err(BadRequest(format!("invalid byte count: {count} not in range [0, {largest}]")));
    }
    let mut random = match query.get("seed") {
        None => instance.random.fork(),
        Some(seed) => Random::new(whole_number::<i64>("seed", "ParseInt", seed)?.cast_unsigned()),
    };
    let mut response = Response::new(Body::from(random.bytes(length)));
    if length > 0 {
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(response)
}
