//! A head of HTTP/2 as a head of HTTP/1.1: pseudo fields become the first line, what HTTP/2 leaves unsaid about the body is said
//! (RFC 9113 section 8.3; RFC 9112 section 6). Nothing is trusted for having come in frames: the text goes through the parser of
//! HTTP/1.1 like any other.

use fuseboard_http1::{Version, write};
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode, request, response};

/// How the body of such a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none.
    None,
    /// As it comes; so many bytes are announced.
    Bare(u64),
    /// In chunks.
    Chunks,
}

/// Writes a request's head. `ended`: nothing follows it.
pub(super) fn write_request(parts: &request::Parts, ended: bool, out: &mut Vec<u8>) -> Body {
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (&parts.method, authority) {
        (&Method::CONNECT, Some(authority)) => out.extend_from_slice(authority),
        _ => {
            let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            out.extend_from_slice(target.as_bytes());
        }
    }
    write::end_request_line(out);
    if let Some(authority) = authority {
        write::unchecked_field(out, b"host", authority);
    }
    let mut cookies = false;
    for (name, value) in &parts.headers {
        match *name {
            // Said already; one that says something else is a second one, which no parser takes.
            HOST if authority == Some(value.as_bytes()) => {}
            // Crumbs are one field in HTTP/1.1 (RFC 9113 section 8.2.3).
            COOKIE if !cookies => {
                cookies = true;
                write_cookies(&parts.headers, out);
            }
            COOKIE => {}
            _ => write::unchecked_field(out, name.as_str().as_bytes(), value.as_bytes()),
        }
    }
    let body = match announced(&parts.headers) {
        Some(0) if ended => Body::None,
        // With nothing to follow, what is announced cannot come any more.
        Some(length) => Body::Bare(length),
        None if ended => {
            // RFC 9110 section 8.6: where a body is expected, its absence is said.
            if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
                write::line(out, b"content-length: 0\r\n");
            }
            Body::None
        }
        None => {
            write::line(out, b"transfer-encoding: chunked\r\n");
            Body::Chunks
        }
    };
    write::end_head(out);
    body
}

/// Writes an answer's head. `to_head`: it answers HEAD.
pub(super) fn write_response(parts: &response::Parts, ended: bool, to_head: bool, out: &mut Vec<u8>) -> Body {
    write_status(parts.status, out);
    write_fields(&parts.headers, out);
    let bodiless = to_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match (ended, announced(&parts.headers)) {
        _ if bodiless => Body::None,
        (_, Some(length)) => Body::Bare(length),
        (true, None) => {
            write::line(out, b"content-length: 0\r\n");
            Body::None
        }
        (false, None) => {
            write::line(out, b"transfer-encoding: chunked\r\n");
            Body::Chunks
        }
    };
    write::end_head(out);
    body
}

/// Writes an interim answer's head.
pub(super) fn write_interim(parts: &response::Parts, out: &mut Vec<u8>) {
    write_status(parts.status, out);
    write_fields(&parts.headers, out);
    write::end_head(out);
}

/// Writes the end of a body in chunks.
pub(super) fn write_trailers(trailers: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    write_fields(trailers, out);
    write::end_head(out);
}

fn write_status(status: StatusCode, out: &mut Vec<u8>) {
    let status = status.as_u16();
    write::status_line(out, Version::Http11, status, write::reason(status).as_bytes());
}

fn write_fields(fields: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in fields {
        write::unchecked_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
}

fn write_cookies(fields: &HeaderMap, out: &mut Vec<u8>) {
    let crumbs: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    write::unchecked_field(out, b"cookie", &crumbs.join(&b"; "[..]));
}

/// The announced length, where there is one that makes sense; others are the parser's to refuse.
fn announced(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    fn request(build: http::request::Builder, ended: bool) -> (String, Body) {
        let mut out = Vec::new();
        let body = write_request(&build.body(()).unwrap().into_parts().0, ended, &mut out);
        (String::from_utf8(out).unwrap(), body)
    }

    #[test]
    fn pseudo_fields_become_the_first_line_and_crumbs_one_cookie() {
        let build = Request::get("http://shop:80/a?b=c")
            .header("cookie", "a=1")
            .header("x", "y")
            .header("cookie", "b=2");
        let (text, body) = request(build, true);
        assert_eq!(text, "GET /a?b=c HTTP/1.1\r\nhost: shop:80\r\ncookie: a=1; b=2\r\nx: y\r\n\r\n");
        assert_eq!(body, Body::None);
    }

    #[test]
    fn a_body_without_a_length_comes_in_chunks_and_its_absence_is_said() {
        let post = || Request::post("http://shop/");
        assert_eq!(request(post(), false).1, Body::Chunks);
        assert!(request(post(), false).0.contains("\r\ntransfer-encoding: chunked\r\n"));
        assert!(request(post(), true).0.contains("\r\ncontent-length: 0\r\n"));
        assert_eq!(request(post().header("content-length", "3"), false).1, Body::Bare(3));
    }

    #[test]
    fn another_host_beside_the_authority_is_left_for_the_parser_to_refuse() {
        let (same, _) = request(Request::get("http://shop/").header("host", "shop"), true);
        assert_eq!(same.matches("host:").count(), 1);
        let (other, _) = request(Request::get("http://shop/").header("host", "else"), true);
        assert_eq!(other.matches("host:").count(), 2);
    }

    #[test]
    fn an_answer_without_a_body_says_so_but_to_head() {
        let write = |build: http::response::Builder, ended, to_head| {
            let mut out = Vec::new();
            let body = write_response(&build.body(()).unwrap().into_parts().0, ended, to_head, &mut out);
            (String::from_utf8(out).unwrap(), body)
        };
        let (text, body) = write(Response::builder().status(200), true, false);
        assert_eq!((text.as_str(), body), ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Body::None));
        let (text, body) = write(Response::builder().status(200).header("content-length", "9"), true, true);
        assert_eq!((text.as_str(), body), ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", Body::None));
        assert_eq!(write(Response::builder().status(204), false, false).1, Body::None);
        assert_eq!(write(Response::builder().status(200), false, false).1, Body::Chunks);
    }
}
