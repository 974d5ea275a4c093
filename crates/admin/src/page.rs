//! An answer of the admin API, before it becomes HTTP.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Envoy's content type of texts, Prometheus included.
const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=UTF-8";

/// Status, content type and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// Body, complete.
    pub body: String,
}

impl Page {
    /// A text with status 200.
    pub fn text(body: impl Into<String>) -> Self {
        Self::text_with(200, body)
    }

    /// A text with another status.
    pub fn text_with(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: TEXT, body: body.into() }
    }

    /// A page for a browser.
    pub fn html(body: String) -> Self {
        Self { status: 200, content_type: HTML, body }
    }

    /// Whether a browser renders it.
    pub fn is_html(&self) -> bool {
        self.content_type == HTML
    }

    /// JSON that is already written.
    pub fn json_text(body: String) -> Self {
        Self { status: 200, content_type: JSON, body }
    }

    /// JSON as Envoy lays it out: one blank per level, a newline at the end.
    pub fn json(value: &impl Serialize) -> Self {
        let mut body = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut body, PrettyFormatter::with_indent(b" "));
        match value.serialize(&mut serializer) {
            Ok(()) => {
                body.push(b'\n');
                Self::json_text(String::from_utf8_lossy(&body).into_owned())
            }
            Err(problem) => Self::text_with(500, format!("cannot write this as JSON: {problem}\n")),
        }
    }
}
