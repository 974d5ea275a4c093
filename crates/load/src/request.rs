//! The bytes of the request, made once and sent as often as calls are made. Header order is fortio's: `Host`,
//! length, type, then the others by name.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::options::{HttpOptions, Style};
use crate::target::Target;

/// One request, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) method: fuseboard_http1::Method,
}

impl Request {
    pub(crate) fn new(options: &HttpOptions, target: &Target, style: Style) -> Self {
        let has_body = !options.payload.is_empty() || options.content_type.is_some();
        let default_method = if has_body { "POST" } else { "GET" };
        let method = options.method.as_deref().filter(|method| !method.is_empty()).unwrap_or(default_method);
        let version = if options.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut head = format!("{method} {} {version}\r\n", target.path);
        let mut add = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };

        let given = |wanted: &str| {
            let found = options.headers.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.as_str())
        };
        // HTTP/1.0 has no Host of its own; one that was asked for is sent all the same.
        if let Some(host) = given("host").or((!options.http10).then_some(target.authority.as_str())) {
            add("Host", host);
        }
        let mut fields: Vec<(String, String)> = Vec::new();
        let sends_body = !options.payload.is_empty() || (has_body && method != "GET");
        if sends_body {
            add("Content-Length", &options.payload.len().to_string());
            let chosen = options.content_type.as_deref().or_else(|| given("content-type"));
            add("Content-Type", chosen.unwrap_or("application/octet-stream"));
        }
        if !options.keep_alive {
            fields.push(("Connection".into(), "close".into()));
        }
        if let Some(user) = &options.user {
            fields.push(("Authorization".into(), format!("Basic {}", BASE64_STANDARD.encode(user))));
        }
        if given("user-agent").is_none() {
            fields.push(("User-Agent".into(), style.user_agent()));
        }
        for (name, value) in &options.headers {
            let written_above = name.eq_ignore_ascii_case("host")
                || (sends_body
                    && (name.eq_ignore_ascii_case("content-type")
                        || name.eq_ignore_ascii_case("content-length")));
            let removed = name.eq_ignore_ascii_case("user-agent") && value.is_empty();
            if !written_above && !removed {
                fields.push((canonical(name), value.clone()));
            }
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in &fields {
            add(name, value);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&options.payload);
        Self { bytes, method: fuseboard_http1::Method::of(method.as_bytes()) }
    }
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

    fn written(change: impl FnOnce(&mut HttpOptions)) -> String {
        let mut options = HttpOptions::to("http://127.0.0.1:99/p?a=b#frag");
        change(&mut options);
        let target = Target::parse(&options.url).unwrap();
        String::from_utf8(Request::new(&options, &target, Style::Fortio).bytes).unwrap()
    }

    fn header(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    const AGENT: &str = "User-Agent: fortio.org/fortio-1.66.5\r\n";

    #[test]
    fn requests_are_byte_for_byte_fortio_s() {
        let host = "Host: 127.0.0.1:99\r\n";
        assert_eq!(written(|_| {}), format!("GET /p?a=b HTTP/1.1\r\n{host}{AGENT}\r\n"));
        assert_eq!(
            written(|o| o.headers = vec![header("a", "b"), header("Host", "foo.com"), header("X-Y", "z z")]),
            format!("GET /p?a=b HTTP/1.1\r\nHost: foo.com\r\nA: b\r\n{AGENT}X-Y: z z\r\n\r\n")
        );
        assert_eq!(
            written(|o| o.headers = vec![header("User-Agent", "")]),
            format!("GET /p?a=b HTTP/1.1\r\n{host}\r\n")
        );
        assert_eq!(
            written(|o| o.headers = vec![header("user-agent", "me")]),
            format!("GET /p?a=b HTTP/1.1\r\n{host}User-Agent: me\r\n\r\n")
        );
        assert_eq!(
            written(|o| o.payload = b"abc".into()),
            format!(
                "POST /p?a=b HTTP/1.1\r\n{host}Content-Length: 3\r\nContent-Type: application/octet-stream\r\n{AGENT}\r\nabc"
            )
        );
        assert_eq!(
            written(|o| o.content_type = Some("foo/bar".into())),
            format!(
                "POST /p?a=b HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Type: foo/bar\r\n{AGENT}\r\n"
            )
        );
        assert_eq!(
            written(|o| (o.method, o.user) = (Some("PUT".into()), Some("u:p".into()))),
            format!("PUT /p?a=b HTTP/1.1\r\n{host}Authorization: Basic dTpw\r\n{AGENT}\r\n")
        );
        assert_eq!(
            written(|o| o.keep_alive = false),
            format!("GET /p?a=b HTTP/1.1\r\n{host}Connection: close\r\n{AGENT}\r\n")
        );
        assert_eq!(written(|o| o.http10 = true), format!("GET /p?a=b HTTP/1.0\r\n{AGENT}\r\n"));
    }
}
