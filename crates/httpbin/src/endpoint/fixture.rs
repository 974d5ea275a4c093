//! Content of our own: pages, documents, images.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::{Answer, Shared};
use crate::reply::{self, HTML, JSON, Refusal, TEXT};
use crate::style::Style;

const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'");
/// Stands in pages for the prefix of all paths.
const PREFIX: &str = "{prefix}";

const IMAGES: [(&str, &str, &[u8]); 5] = [
    ("png", "image/png", include_bytes!("../../fixtures/image.png")),
    ("webp", "image/webp", include_bytes!("../../fixtures/image.webp")),
    ("svg", "image/svg+xml", include_bytes!("../../fixtures/image.svg")),
    ("jpeg", "image/jpeg", include_bytes!("../../fixtures/image.jpeg")),
    ("avif", "image/avif", include_bytes!("../../fixtures/image.avif")),
];

pub(super) async fn index(State(instance): State<Shared>) -> Response<Body> {
    let mut response = page(include_str!("../../fixtures/index.html"), &instance.prefix);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

pub(super) async fn form(State(instance): State<Shared>) -> Response<Body> {
    page(include_str!("../../fixtures/form.html"), &instance.prefix)
}

pub(super) async fn html() -> Response<Body> {
    page(include_str!("../../fixtures/page.html"), "")
}

pub(super) async fn utf8() -> Response<Body> {
    page(include_str!("../../fixtures/utf8.html"), "")
}

pub(super) async fn json(State(instance): State<Shared>) -> Response<Body> {
    let kind = match instance.style {
        Style::Go => JSON,
        Style::Python => HeaderValue::from_static("application/json"),
    };
    reply::typed(StatusCode::OK, kind, include_str!("../../fixtures/sample.json"))
}

pub(super) async fn xml() -> Response<Body> {
    let kind = HeaderValue::from_static("application/xml");
    reply::typed(StatusCode::OK, kind, include_str!("../../fixtures/sample.xml"))
}

pub(super) async fn robots() -> Response<Body> {
    reply::typed(StatusCode::OK, TEXT, "User-agent: *\nDisallow: /deny\n")
}

pub(super) async fn deny() -> Response<Body> {
    reply::typed(StatusCode::OK, TEXT, "Robots are asked to stay away from here.\n")
}

/// The image that the caller likes best.
pub(super) async fn image_wanted(headers: HeaderMap) -> Answer {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accept.is_empty() || accept.contains("image/*") {
        return Ok(shown(&IMAGES[0]));
    }
    let image = IMAGES.iter().find(|(_, media_type, _)| accept.contains(media_type));
    image.map(shown).ok_or_else(|| Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

pub(super) async fn image(Path(kind): Path<String>) -> Response<Body> {
    match IMAGES.iter().find(|(name, ..)| *name == kind) {
        Some(image) => shown(image),
        None => Refusal::plain(StatusCode::NOT_FOUND).into_response(),
    }
}

fn shown((_, media_type, bytes): &(&str, &'static str, &'static [u8])) -> Response<Body> {
    reply::typed(StatusCode::OK, HeaderValue::from_static(media_type), *bytes)
}

fn page(text: &'static str, prefix: &str) -> Response<Body> {
    reply::typed(StatusCode::OK, HTML, text.replace(PREFIX, prefix))
}
