//! How every answer looks: indented JSON, error documents, plain-text errors, CORS headers. What goes into
//! an answer is each endpoint's business.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE,
    ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer with a body and its type.
pub(crate) fn typed(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// JSON as go-httpbin writes it: indented by two spaces, a line feed at the end.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec_pretty(document) {
        Ok(mut body) => {
            body.push(b'\n');
            typed(status, JSON, body)
        }
        Err(error) => typed(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// Go's `http.Error`: one line of text that a browser must not take for anything else.
pub(crate) fn plain_error(status: StatusCode, line: &'static str) -> Response<Body> {
    let mut response = typed(status, TEXT, line);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A request that an endpoint could not make sense of: answered with 400 and a JSON document.
#[derive(Debug)]
pub(crate) struct BadRequest(pub(crate) String);

impl axum::response::IntoResponse for BadRequest {
    fn into_response(self) -> Response<Body> {
        #[derive(Serialize)]
        struct Document {
            status_code: u16,
            error: &'static str,
            detail: String,
        }
        let status = StatusCode::BAD_REQUEST;
        json(status, &Document { status_code: status.as_u16(), error: "Bad Request", detail: self.0 })
    }
}

/// Lets pages of any origin read the answer.
pub(crate) fn allow_origin(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
}

/// The answer to `OPTIONS` on any path.
pub(crate) fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, HEAD, PUT, DELETE, PATCH, QUERY, OPTIONS"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    if request.contains_key(ORIGIN)
        && let Some(wanted) = request.get(ACCESS_CONTROL_REQUEST_HEADERS)
    {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}
