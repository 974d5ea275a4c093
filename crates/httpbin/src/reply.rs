//! How every answer looks: JSON as Go writes it, error documents, plain-text errors, redirects, CORS headers. What goes
//! into an answer is each endpoint's business.

use std::io;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, CONNECTION,
    CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(crate) const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An answer with a body and its type.
pub(crate) fn typed(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = bare(status, body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An answer without a type.
pub(crate) fn bare(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

/// JSON as go-httpbin writes it: indented by two spaces, a line feed at the end.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    typed(status, JSON, pretty(document))
}

/// The bytes of [`json`].
pub(crate) fn pretty(document: &impl Serialize) -> Vec<u8> {
    let mut text = written(document, PrettyFormatter::new());
    text.push('\n');
    escape_separators(text).into_bytes()
}

/// JSON on one line as Go's `json.Marshal` writes it: safe to stand in HTML.
pub(crate) fn compact(document: &impl Serialize) -> Vec<u8> {
    let text = escape_separators(written(document, serde_json::ser::CompactFormatter));
    // Outside strings, JSON has none of these.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").into_bytes()
}

/// JSON on one line as Python writes it.
pub(crate) fn spaced(document: &impl Serialize) -> Vec<u8> {
    written(document, Spaced).into_bytes()
}

fn written(document: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    match document.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)) {
        // Strings that are serialized are UTF-8.
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(error) => format!("{:?}", error.to_string()),
    }
}

/// Go escapes the two line separators that JavaScript once did not allow in strings.
fn escape_separators(text: String) -> String {
    if text.contains(['\u{2028}', '\u{2029}']) {
        text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
    } else {
        text
    }
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Go's `http.Error`: one line of text that a browser must not take for anything else.
pub(crate) fn plain_error(status: StatusCode, line: &'static str) -> Response<Body> {
    let mut response = typed(status, TEXT, line);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// No such path.
pub(crate) fn not_found() -> Response<Body> {
    plain_error(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A path that does not have this method, and those that it has.
pub(crate) fn wrong_method(allowed: &'static str) -> Response<Body> {
    let mut response = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Go's `http.Redirect`: a line of HTML for who reads, nothing for other methods.
pub(crate) fn go_there(status: StatusCode, location: &str, method: &Method) -> Response<Body> {
    let Ok(value) = HeaderValue::from_str(location) else {
        return plain_error(StatusCode::BAD_REQUEST, "that cannot be redirected to\n");
    };
    let reason = status.canonical_reason().unwrap_or("See there");
    let page = format!("<a href=\"{}\">{reason}</a>.\n\n", escape_html(location));
    let mut response = match *method {
        Method::GET => typed(status, HTML, page),
        Method::HEAD => typed(status, HTML, Body::empty()),
        _ => bare(status, Body::empty()),
    };
    response.headers_mut().insert(LOCATION, value);
    response
}

/// Text that HTML shows and does not run.
pub(crate) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// An answer that an endpoint refuses with: a JSON document with status, its name, and what is wrong.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    detail: Option<String>,
    close: bool,
}

impl Refusal {
    /// 400: the request makes no sense, and why.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: Some(detail.into()), close: false }
    }

    /// A status that says it all.
    pub(crate) fn plain(status: StatusCode) -> Self {
        Self { status, detail: None, close: false }
    }

    /// A status with its reason.
    pub(crate) fn with(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: Some(detail.into()), close: false }
    }

    /// Ends the connection after the answer, because the rest of the request is not read.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        self.detail.as_deref().unwrap_or("")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        #[derive(Serialize)]
        struct Document {
            status_code: u16,
            error: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<String>,
        }
        let error = self.status.canonical_reason().unwrap_or("");
        let document = Document { status_code: self.status.as_u16(), error, detail: self.detail };
        let mut response = json(self.status, &document);
        if self.close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Lets pages of any origin read the answer.
pub(crate) fn allow_origin(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.entry(ACCESS_CONTROL_ALLOW_CREDENTIALS).or_insert(HeaderValue::from_static("true"));
    headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(origin.unwrap_or(HeaderValue::from_static("*")));
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
    if let Some(wanted) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_safe_in_html_and_pages_are_readable() {
        assert_eq!(compact(&"<a>&\u{2028}"), br#""\u003ca\u003e\u0026\u2028""#);
        assert_eq!(pretty(&"<a>&\u{2028}"), b"\"<a>&\\u2028\"\n");
    }
}
