//! `/bytes/{count}` and `/stream-bytes/{count}`: random bytes, the same for the same `seed`, at once or in chunks.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::StatusCode;

use super::paced::Paced;
use super::{Answer, Instance, Shared};
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};

const CHUNK: i64 = 10 * 1024;

pub(super) async fn bytes(State(instance): State<Shared>, Path(count): Path<String>, args: Args) -> Answer {
    Ok(answer(made(&instance, &count, &args)?, Body::from))
}

pub(super) async fn stream(State(instance): State<Shared>, Path(count): Path<String>, args: Args) -> Answer {
    let bytes = made(&instance, &count, &args)?;
    let size = match args.get("chunk_size") {
        None => CHUNK,
        Some(text) => number::whole("Atoi", text)
            .map_err(|problem| Refusal::bad(format!("invalid chunk_size: {problem}")))?,
    };
    // A size that no chunk can have means one chunk.
    let size = usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(bytes.len().max(1));
    let chunks = bytes.len().div_ceil(size);
    Ok(answer(bytes, |bytes| {
        let chunk = move |index: usize| bytes.slice(index * size..bytes.len().min((index + 1) * size));
        Paced::new(chunks, Duration::ZERO, chunk).into_body()
    }))
}

fn answer(bytes: Bytes, body: impl FnOnce(Bytes) -> Body) -> http::Response<Body> {
    if bytes.is_empty() {
        return reply::bare(StatusCode::OK, Body::empty());
    }
    reply::typed(StatusCode::OK, reply::BINARY, body(bytes))
}

fn made(instance: &Instance, count: &str, args: &Args) -> Result<Bytes, Refusal> {
    let invalid = |problem: String| Refusal::bad(format!("invalid byte count: {problem}"));
    let count = number::whole("Atoi", count).map_err(invalid)?;
    let mut random = instance.seeded(args.get("seed"))?;
    let length = usize::try_from(count).map_err(|_| invalid(format!("{count} must be greater than 0")))?;
    let most = instance.max_body_bytes;
    if length > most {
        return Err(invalid(format!("{count} not in range [1, {most}]")));
    }
    Ok(random.bytes(length).into())
}
