//! What a request's body says: data as text or data URL, form fields, files, JSON.

use std::convert::Infallible;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use bytes::Bytes;
use multer::Multipart;
use serde::Deserialize as _;
use serde_json::Value;

use crate::query;
use crate::style::{Style, Values};

/// A body, read.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) data: String,
    pub(super) files: Values,
    pub(super) form: Values,
    pub(super) json: Value,
}

impl Sent {
    /// Reads a body of this `Content-Type`; what is wrong with it, where it is not what it says it is.
    pub(super) async fn read(content_type: &str, body: Bytes, style: Style) -> Result<Self, String> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match style {
            Style::Go => Self::read_as_go(content_type, body).await,
            Style::Python => Self::read_as_python(content_type, body).await,
        }
    }

    /// go-httpbin: the type decides what is parsed; `data` is the body as it came, or a data URL for any other type.
    async fn read_as_go(content_type: &str, body: Bytes) -> Result<Self, String> {
        let media_type = content_type.split(';').next().unwrap_or("");
        let mut sent = Self { data: String::from_utf8_lossy(&body).into_owned(), ..Self::default() };
        match media_type {
            "text/html" | "text/plain" => {}
            "application/x-www-form-urlencoded" => match query::pairs(&sent.data) {
                (form, None) => sent.form = form,
                (_, Some(problem)) => return Err(problem),
            },
            "multipart/form-data" => {
                let text = |_: Option<&str>, bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (sent.form, sent.files) = multipart(content_type, body, text).await?;
            }
            "application/json" => sent.json = first_json(&body)?,
            other => {
                let media_type = if other.is_empty() { "application/octet-stream" } else { other };
                sent.data = format!("data:{media_type};base64,{}", BASE64_URL_SAFE.encode(&body));
            }
        }
        Ok(sent)
    }

    /// Python's httpbin: a form leaves no data; data that is JSON is shown as JSON whatever its type.
    async fn read_as_python(content_type: &str, body: Bytes) -> Result<Self, String> {
        let mut sent = Self::default();
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/x-www-form-urlencoded" => {
                sent.form = query::pairs(&String::from_utf8_lossy(&body)).0;
            }
            "multipart/form-data" => {
                (sent.form, sent.files) = multipart(content_type, body, text_or_data_url).await?;
            }
            _ => {
                sent.json = serde_json::from_slice(&body).unwrap_or_default();
                sent.data = text_or_data_url(None, &body);
            }
        }
        Ok(sent)
    }
}

/// The first JSON value of a body; what follows it is not looked at.
fn first_json(body: &[u8]) -> Result<Value, String> {
    Value::deserialize(&mut serde_json::Deserializer::from_slice(body)).map_err(|error| error.to_string())
}

/// Text as it came; anything else as a data URL.
fn text_or_data_url(content_type: Option<&str>, bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let content_type = content_type.unwrap_or("application/octet-stream");
            format!("data:{content_type};base64,{}", BASE64_STANDARD.encode(bytes))
        }
    }
}

/// Fields and files.
async fn multipart(
    content_type: &str,
    body: Bytes,
    file: impl Fn(Option<&str>, &[u8]) -> String,
) -> Result<(Values, Values), String> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| "no multipart boundary param in Content-Type".to_owned())?;
    let broken = |error: multer::Error| format!("multipart: {error}");
    let (mut form, mut files) = (Values::new(), Values::new());
    let body = futures_util::stream::once(async { Ok::<_, Infallible>(body) });
    let mut parts = Multipart::new(body, boundary);
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let Some(name) = part.name().map(str::to_owned) else { continue };
        let is_file = part.file_name().is_some();
        let kind = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await.map_err(broken)?;
        if is_file {
            files.entry(name).or_default().push(file(kind.as_deref(), &bytes));
        } else {
            form.entry(name).or_default().push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok((form, files))
}
