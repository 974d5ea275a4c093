//! The debug page: the request as text. The environment of the server is not shown, whoever asks for it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fuseboard_go::duration::format;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};

use crate::echo::{self, Bounds, Refused, takes_gzip};
use crate::gzip::gzipped;
use crate::random::Random;
use crate::request::shown_headers;

const KIND: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
/// Longest part of a body that is shown.
const SHOWN: usize = 512;

pub(super) async fn answer(
    request: Request<Body>,
    peer: SocketAddr,
    up: Duration,
    bounds: Bounds,
    mut random: Random,
) -> Result<Response<Body>, Refused> {
    // Delay, close and headers work here as they do for an echo; status and size do not.
    let wishes = echo::wishes(&request, None, bounds)?;
    let wanted = wishes.roll(&mut random);
    let (head, body) = request.into_parts();
    let body = echo::read(body, bounds.body).await?;
    let up = Duration::from_millis(u64::try_from(up.as_millis() / 100 * 100).unwrap_or(u64::MAX));
    let mut page = format!(
        "Fuseboard version {} echo debug server up for {} - request from {peer}\n\n{} {} {:?}\n\nheaders:\n\n",
        env!("CARGO_PKG_VERSION"),
        format(up),
        head.method,
        head.uri.path_and_query().map_or("/", |path| path.as_str()),
        head.version,
    );
    let mut headers = shown_headers(&head.headers, &head.uri, &[]);
    let host = headers.remove("Host").unwrap_or_default().concat();
    // Go takes it out of the headers.
    headers.remove("Transfer-Encoding");
    // Writing to a String cannot fail.
    let _ = write!(page, "Host: {host}");
    for (name, values) in headers {
        let _ = write!(page, "\n{name}: {}", values.join(","));
    }
    let _ = writeln!(page, "\n\nbody:\n\n{}", summary(&body));
    tokio::time::sleep(wanted.delay).await;
    let zip = if takes_gzip(&head.headers) { gzipped(page.as_bytes()).ok() } else { None };
    let is_zipped = zip.is_some();
    let mut response = Response::new(Body::from(zip.map_or(Bytes::from(page), Bytes::from)));
    let headers = response.headers_mut();
    headers.extend(wishes.into_headers());
    headers.entry(CONTENT_TYPE).or_insert(KIND);
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if wanted.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Bytes with what is not printed escaped; of many, the first and the last.
fn summary(body: &[u8]) -> String {
    // Room for the dots would be saved by nothing.
    if body.len() <= SHOWN + 3 {
        return escaped(body);
    }
    let (first, last) = (&body[..SHOWN / 2], &body[body.len() - SHOWN / 2..]);
    format!("{}: {}...{}", body.len(), escaped(first), escaped(last))
}

/// As in a string literal of Go.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{b}' => text.push_str("\\v"),
                '\u{c}' => text.push_str("\\f"),
                c if c.is_ascii_control() => {
                    let _ = write!(text, "\\x{:02x}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_shown_in_part() {
        assert_eq!(summary(b"a\"\n\x00\xff\xc3\xa9"), "a\\\"\\n\\x00\\xff\u{e9}");
        assert_eq!(summary(&[b'x'; SHOWN + 3]).len(), SHOWN + 3);
        let long = summary(&[b'x'; SHOWN + 4]);
        assert!(long.starts_with("516: xxx") && long.len() == SHOWN + 8, "{long}");
    }
}
