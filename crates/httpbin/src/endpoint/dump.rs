//! `/dump/request`: the request as text, in the form in which HTTP/1.1 sends it. The order and case of its headers are
//! not kept: they are sorted, under Go's spelling.

use std::fmt::Write as _;

use axum::extract::{Request, State};
use http::StatusCode;
use http::header::TRANSFER_ENCODING;

use super::{Answer, Shared};
use crate::reply;

pub(super) async fn request(State(instance): State<Shared>, request: Request) -> Answer {
    let picture = instance.picture(&request);
    let (head, body) = request.into_parts();
    let what = "failed to dump request: ";
    let body = instance
        .read(body)
        .await
        .map_err(|unread| unread.refusal(StatusCode::INTERNAL_SERVER_ERROR, what))?;
    let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
    // Writing to a String cannot fail.
    let mut text = format!("{} {target} {:?}\r\n", head.method, head.version);
    let chunked = head.headers.contains_key(TRANSFER_ENCODING);
    let first = ["Host", "Transfer-Encoding", "Connection"];
    let (front, rest): (Vec<_>, Vec<_>) =
        picture.headers.iter().partition(|(name, _)| first.contains(&name.as_str()));
    let mut front = front;
    front.sort_by_key(|(name, _)| first.iter().position(|known| known == name));
    for (name, values) in front.into_iter().chain(rest) {
        for value in values {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    text.push_str("\r\n");
    let mut dump = text.into_bytes();
    if chunked {
        if !body.is_empty() {
            dump.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            dump.extend_from_slice(&body);
            dump.extend_from_slice(b"\r\n");
        }
        dump.extend_from_slice(b"0\r\n\r\n");
    } else {
        dump.extend_from_slice(&body);
    }
    let kind = if body.iter().any(|byte| is_binary(*byte)) { reply::BINARY } else { reply::TEXT };
    Ok(reply::typed(StatusCode::OK, kind, dump))
}

/// Bytes that no text has (WHATWG, MIME Sniffing 3).
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F)
}
