//! `/gzip` and `/deflate`: the request, compressed.

use std::io::{self, Write as _};

use axum::body::Body;
use axum::extract::{Request, State};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Response, StatusCode};

use super::{Answer, Instance, Shared};
use crate::gzip::gzipped;
use crate::reply::Refusal;
use crate::style::{Document, Style};

pub(super) async fn gzip(State(instance): State<Shared>, request: Request) -> Answer {
    let document = shown(&instance, &request).with("gzipped", true);
    compressed(&document, "gzip", gzipped(&document.pretty()))
}

pub(super) async fn deflate(State(instance): State<Shared>, request: Request) -> Answer {
    let document = shown(&instance, &request).with("deflated", true);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let bytes = encoder.write_all(&document.pretty()).and_then(|()| encoder.finish());
    compressed(&document, "deflate", bytes)
}

/// go-httpbin leaves the URL empty here; Python's httpbin leaves it out.
fn shown(instance: &Instance, request: &Request) -> Document {
    let document = instance.picture(request).document(instance.style);
    match instance.style {
        Style::Go => document.with("url", ""),
        Style::Python => document.without(&["args", "url"]),
    }
}

fn compressed(document: &Document, encoding: &'static str, bytes: io::Result<Vec<u8>>) -> Answer {
    let bytes = bytes.map_err(|_| Refusal::plain(StatusCode::INTERNAL_SERVER_ERROR))?;
    let mut response: Response<Body> = document.answer(StatusCode::OK).map(|_| Body::from(bytes));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    Ok(response)
}
