//! Strategies for streams of messages: mostly well-formed, with the pieces that parsers are known to disagree
//! about mixed in.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Field lines that decide about framing or the connection, good and bad.
const FRAMING_LINES: &[&str] = &[
    "Content-Length: 0\r\n",
    "Content-Length: 3\r\n",
    "content-length:3\r\n",
    "Content-Length: 03 \r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: 99999999999999999999999\r\n",
    "Content-Length : 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:\tCHUNKED\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked,\r\n",
    "Transfer-Encoding:\u{b}chunked\r\n",
    "Transfer-Encoding\r\n",
];

const OTHER_LINES: &[&str] = &[
    "Host: b\r\n",
    "Accept: */*\r\n",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Connection: x-a, Content-Length\r\n",
    "X-A: 1\r\n",
    "X-A: 1\n",
    "X-A: 1\r",
    "X-A: \0\r\n",
    " folded\r\n",
    ": empty\r\n",
    "Expect: 100-continue\r\n",
    "\r\n",
];

const BODIES: &[&str] = &[
    "",
    "abc",
    "abcGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "03;x=y\r\nabc\r\n0;z\r\nX-T: 1\r\n\r\n",
    "3 \r\nabc\r\n0\r\n\r\n",
    "3\nabc\n0\n\n",
    "2\r\nabc\r\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "10000000000000003\r\nabc\r\n0\r\n\r\n",
    "3;\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    "3\r\nabc\r\n0\r\n\n",
    "3\r\nabc",
];

const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /path?query HTTP/1.1\r\n",
    "POST /a%20b HTTP/1.0\r\n",
    "HEAD / HTTP/1.1\r\n",
    "BREW /pot HTTP/1.1\r\n",
    "\r\nGET / HTTP/1.1\r\n",
    "GET  / HTTP/1.1\r\n",
    "GET / HTTP/1.1\n",
    "GET / HTTP/2.0\r\n",
    "GET /\r\n",
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 503\r\n",
    "HTTP/1.1 103 Early Hints\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1  200 OK\r\n",
    "HTTP/1.1 200 OK\n",
];

/// One of `pool`, the first of them more often than others.
fn mostly_first(pool: &'static [&'static str], first: usize) -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => select(&pool[..first]), 1 => select(pool)]
}

fn message(start: impl Strategy<Value = &'static str>, host: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let framing =
        vec(prop_oneof![3 => mostly_first(&FRAMING_LINES[..9], 3), 1 => select(FRAMING_LINES)], 0..3);
    let others =
        vec(prop_oneof![2 => select(&["X-A: 1\r\n", "Accept: */*\r\n"][..]), 1 => select(OTHER_LINES)], 0..3);
    (start, others, framing, prop_oneof![2 => select(&BODIES[1..4]), 1 => select(BODIES)]).prop_map(
        move |(start, others, framing, body)| {
            let mut text = format!("{start}{host}");
            text.extend(others);
            text.extend(framing);
            text.push_str("\r\n");
            text.push_str(body);
            text.into_bytes()
        },
    )
}

/// Up to four requests one after another.
pub(crate) fn requests() -> impl Strategy<Value = Vec<u8>> {
    vec(message(mostly_first(REQUEST_LINES, 2), "Host: a\r\n"), 1..4).prop_map(|messages| messages.concat())
}

/// One response, possibly after interim ones.
pub(crate) fn response() -> impl Strategy<Value = Vec<u8>> {
    message(mostly_first(STATUS_LINES, 3), "")
}

/// A body that is chunked, or nearly so.
pub(crate) fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &[
            "3\r\nabc\r\n",
            "A\r\n0123456789\r\n",
            "0\r\n",
            "\r\n",
            "X: y\r\n",
            ";e=\"1\"",
            "3",
            "0",
            "f",
            "abc",
            " ",
            "\n",
            "\r",
            "\t",
            "+",
            ":",
            "Te: x\r\n",
        ][..],
    );
    vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Bytes with one of them replaced, as often as not.
pub(crate) fn damaged(stream: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (stream, any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
        |(mut stream, at, byte, damage)| {
            if damage && !stream.is_empty() {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            stream
        },
    )
}
