//! The bytes of the request, made once and sent as often as calls are made. Order and spelling of the headers are
//! fortio's: `Host`, `Connection`, then the others by name. `{uuid}` in the path or the body leaves a hole that each call
//! fills anew.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::options::{HttpOptions, Style};
use crate::target::Target;
use crate::template::Template;

/// One request, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) text: Template,
    pub(crate) method: fuseboard_http1::Method,
}

/// How the body of a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// The payload, with its length in front.
    Payload,
    /// In chunks that are written later, behind the head.
    Streamed,
    /// None, whatever the options say.
    Dropped,
}

impl Request {
    pub(crate) fn new(options: &HttpOptions, target: &Target, style: Style) -> Self {
        Self::with(options, target, style, Body::Payload)
    }

    pub(crate) fn with(options: &HttpOptions, target: &Target, style: Style, body: Body) -> Self {
        let method = method_of(options, body);
        let mut request =
            Self { text: Template::default(), method: fuseboard_http1::Method::of(method.as_bytes()) };
        request.text.add(method.as_bytes());
        request.text.add(b" ");
        request.text.add_with_holes(target.path.as_bytes());
        request.text.add(if options.http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
        let host = options.given_header("host").map(str::trim).filter(|host| !host.is_empty());
        // HTTP/1.0 has no Host of its own; one that was asked for is sent all the same.
        if let Some(host) = host.or((!options.http10).then_some(target.authority.as_str())) {
            request.add_field("Host", host);
        }
        if !options.keep_alive && !options.http10 {
            request.add_field("Connection", "close");
        }
        for (name, value) in fields(options, style, body) {
            request.add_field(&name, value.trim());
        }
        request.text.add(b"\r\n");
        if body == Body::Payload {
            request.text.add_with_holes(&options.payload);
        }
        request
    }

    fn add_field(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.text.add(part.as_bytes());
        }
    }
}

pub(crate) fn method_of(options: &HttpOptions, body: Body) -> &str {
    let has_body = match body {
        Body::Payload => !options.payload.is_empty() || options.given_content_type().is_some(),
        Body::Streamed => true,
        Body::Dropped => false,
    };
    let default = if has_body { "POST" } else { "GET" };
    options.method.as_deref().filter(|method| !method.is_empty()).unwrap_or(default)
}

/// All headers but `Host` and `Connection`, sorted by name.
pub(crate) fn fields(options: &HttpOptions, style: Style, body: Body) -> Vec<(String, String)> {
    let is_given = |name: &str| options.given_header(name).is_some();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    let content_type = options.given_content_type();
    match body {
        Body::Payload if !options.payload.is_empty() || content_type.is_some() => {
            add("Content-Type", content_type.unwrap_or("application/octet-stream"));
            if !is_given("content-length") {
                let length = Template::of(&options.payload).bytes.len();
                add("Content-Length", &length.to_string());
            }
        }
        Body::Streamed => {
            add("Content-Type", content_type.unwrap_or("application/octet-stream"));
            add("Transfer-Encoding", "chunked");
        }
        Body::Payload | Body::Dropped => {}
    }
    if let Some(user) = &options.user {
        add("Authorization", &format!("Basic {}", BASE64_STANDARD.encode(user)));
    }
    if options.compression && !is_given("accept-encoding") {
        add("Accept-Encoding", "gzip");
    }
    match options.given_header("user-agent") {
        None => add("User-Agent", &style.user_agent()),
        Some("") => {}
        Some(agent) => add("User-Agent", agent),
    }
    for (name, value) in &options.headers {
        let name = canonical(name);
        let is_written_above = match name.as_str() {
            "Host" | "Content-Type" | "User-Agent" => true,
            "Authorization" => options.user.is_some(),
            "Content-Length" => body != Body::Payload,
            _ => false,
        };
        if !is_written_above {
            fields.push((name, value.clone()));
        }
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

/// Go's spelling of a header name: `x-request-id` as `X-Request-Id`.
fn canonical(name: &str) -> String {
    let mut start_of_word = true;
    let spell = |c: char| {
        let c = if start_of_word { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        start_of_word = c == '-';
        c
    };
    name.chars().map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut HttpOptions)) -> Request {
        let mut options = HttpOptions::to("http://127.0.0.1:99/p?a=b#frag");
        change(&mut options);
        let target = Target::parse(&options.url).unwrap();
        Request::new(&options, &target, Style::Fortio)
    }

    fn written(change: impl FnOnce(&mut HttpOptions)) -> String {
        String::from_utf8(request(change).text.bytes).unwrap()
    }

    fn headers(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    const HOST: &str = "Host: 127.0.0.1:99\r\n";
    const AGENT: &str = "User-Agent: fortio.org/fortio-1.66.5\r\n";
    const BINARY: &str = "Content-Type: application/octet-stream\r\n";

    // All of these were read from the wire of a fortio 1.66.5.

    #[test]
    fn requests_are_byte_for_byte_fortio_s() {
        assert_eq!(written(|_| {}), format!("GET /p?a=b HTTP/1.1\r\n{HOST}{AGENT}\r\n"));
        assert_eq!(
            written(|o| o.payload = b"abc".into()),
            format!("POST /p?a=b HTTP/1.1\r\n{HOST}Content-Length: 3\r\n{BINARY}{AGENT}\r\nabc")
        );
        let typed = format!(
            "POST /p?a=b HTTP/1.1\r\n{HOST}Content-Length: 0\r\nContent-Type: foo/bar\r\n{AGENT}\r\n"
        );
        assert_eq!(written(|o| o.content_type = Some("foo/bar".into())), typed);
        assert_eq!(written(|o| o.headers = headers(&[("content-type", " foo/bar")])), typed);
        assert_eq!(
            written(|o| o.method = Some("DELETE".into())),
            format!("DELETE /p?a=b HTTP/1.1\r\n{HOST}{AGENT}\r\n")
        );
        assert_eq!(
            written(|o| {
                (o.user, o.payload) = (Some("u:p".into()), b"abc".into());
                o.headers = headers(&[("X-B", " z"), ("a", "  b "), ("x-b", " 2")]);
            }),
            format!(
                "POST /p?a=b HTTP/1.1\r\n{HOST}A: b\r\nAuthorization: Basic dTpw\r\nContent-Length: 3\r\n{BINARY}{AGENT}X-B: z\r\nX-B: 2\r\n\r\nabc"
            )
        );
        assert_eq!(
            written(|o| (o.keep_alive, o.headers) = (false, headers(&[("A", "b")]))),
            format!("GET /p?a=b HTTP/1.1\r\n{HOST}Connection: close\r\nA: b\r\n{AGENT}\r\n")
        );
        assert_eq!(written(|o| o.http10 = true), format!("GET /p?a=b HTTP/1.0\r\n{AGENT}\r\n"));
        assert_eq!(
            written(|o| (o.http10, o.headers) = (true, headers(&[("Host", " foo"), ("User-Agent", "")]))),
            "GET /p?a=b HTTP/1.0\r\nHost: foo\r\n\r\n"
        );
    }

    #[test]
    fn a_user_agent_is_replaced_emptied_or_removed() {
        let with = |value| written(|o| o.headers = headers(&[("user-agent", value)]));
        assert_eq!(with("me"), format!("GET /p?a=b HTTP/1.1\r\n{HOST}User-Agent: me\r\n\r\n"));
        assert_eq!(with(" "), format!("GET /p?a=b HTTP/1.1\r\n{HOST}User-Agent: \r\n\r\n"));
        assert_eq!(with(""), format!("GET /p?a=b HTTP/1.1\r\n{HOST}\r\n"));
    }

    #[test]
    fn a_wrong_length_is_sent_as_given() {
        let text = written(|o| {
            (o.payload, o.headers) = (b"abc".into(), headers(&[("content-length", "9")]));
        });
        assert!(text.contains("Content-Length: 9\r\n") && !text.contains("Content-Length: 3"), "{text}");
    }

    #[test]
    fn each_uuid_is_another_in_each_call_and_the_length_counts_it() {
        let mut request = request(|o| {
            (o.url, o.payload) = ("http://h/{uuid}?a={uuid}".into(), b"x{uuid}y".into());
            o.headers = headers(&[("a", "{uuid}")]);
        });
        let mut next = 0;
        let mut filled = || {
            request.text.fill(|| {
                next += 1;
                next
            });
            String::from_utf8(request.text.bytes.clone()).unwrap()
        };
        let (first, second) = (filled(), filled());
        let line = |uuids: [&str; 2]| format!("POST /{}?a={} HTTP/1.1\r\n", uuids[0], uuids[1]);
        let uuid = |n: u8| format!("0{n}000000-0000-4000-8000-000000000000");
        assert!(first.starts_with(&line([&uuid(1), &uuid(2)])), "{first}");
        assert!(first.ends_with(&format!("\r\n\r\nx{}y", uuid(3))), "{first}");
        assert!(second.starts_with(&line([&uuid(4), &uuid(5)])), "{second}");
        assert!(first.contains("Content-Length: 38\r\n") && first.contains("A: {uuid}\r\n"), "{first}");
    }

    #[test]
    fn a_streamed_body_comes_in_chunks_and_a_dropped_one_not_at_all() {
        let mut options = HttpOptions::to("http://h/");
        options.payload = b"abc".into();
        let target = Target::parse(&options.url).unwrap();
        let head = |body| {
            String::from_utf8(Request::with(&options, &target, Style::Fortio, body).text.bytes).unwrap()
        };
        let streamed = head(Body::Streamed);
        assert!(streamed.starts_with("POST ") && streamed.ends_with("\r\n\r\n"), "{streamed}");
        assert!(streamed.contains("Transfer-Encoding: chunked\r\n") && !streamed.contains("Length"));
        let dropped = head(Body::Dropped);
        assert_eq!(dropped, format!("GET / HTTP/1.1\r\nHost: h\r\n{AGENT}\r\n"));
    }
}
