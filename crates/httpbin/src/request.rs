//! What an answer may show of the request it answers: headers under Go's spelling, who asked, the full URL.

use axum::body::Body;
use http::header::{HOST, TRAILER};
use http::{HeaderMap, HeaderName, Request, Uri};

use crate::listener::Connection;
use crate::query;
use crate::style::{Document, Style, Values};

/// A request as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) args: Values,
    pub(crate) headers: Values,
    pub(crate) method: String,
    pub(crate) origin: String,
    pub(crate) url: String,
}

impl Picture {
    pub(crate) fn of(request: &Request<Body>, hidden: &[Pattern]) -> Self {
        let (headers, uri) = (request.headers(), request.uri());
        Self {
            args: query::pairs(uri.query().unwrap_or("")).0,
            headers: shown_headers(headers, uri, hidden),
            method: request.method().to_string(),
            origin: origin(request.extensions().get(), headers),
            url: url(request.extensions().get(), uri, headers),
        }
    }

    /// The members that most documents begin with.
    pub(crate) fn document(&self, style: Style) -> Document {
        style
            .document()
            .with("args", style.values(&self.args))
            .with("headers", style.headers(&self.headers))
            .with("method", self.method.as_str())
            .with("origin", self.origin.as_str())
            .with("url", self.url.as_str())
    }
}

/// Who asked: what a proxy in front says, else the other end of the connection.
pub(crate) fn origin(connection: Option<&Connection>, headers: &HeaderMap) -> String {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|v| !v.is_empty());
    ["fly-client-ip", "cf-connecting-ip", "fastly-client-ip", "true-client-ip"]
        .into_iter()
        .find_map(said)
        .or_else(|| said("x-forwarded-for").and_then(|list| list.split(',').next()).map(str::trim))
        .map(str::to_owned)
        .or_else(|| connection.map(|connection| connection.ip().to_string()))
        .unwrap_or_default()
}

/// Request headers under Go's spelling of their names, `Host` among them.
pub(crate) fn shown_headers(headers: &HeaderMap, target: &Uri, hidden: &[Pattern]) -> Values {
    let mut values = Values::new();
    // Go takes `Trailer` out of the headers.
    for (name, value) in headers.iter().filter(|(name, _)| *name != TRAILER) {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        values.entry(canonical(name)).or_default().push(value);
    }
    values.insert("Host".into(), vec![host(target, headers)]);
    values.retain(|name, _| !hidden.iter().any(|pattern| pattern.matches(name)));
    values
}

/// The host that was asked for.
pub(crate) fn host(target: &Uri, headers: &HeaderMap) -> String {
    match target.authority() {
        Some(authority) => authority.to_string(),
        None => headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned(),
    }
}

/// `http` or `https`, as a proxy in front says, else as the connection has it.
pub(crate) fn scheme<'a>(connection: Option<&Connection>, headers: &'a HeaderMap) -> &'a str {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|v| !v.is_empty());
    match said("x-forwarded-proto").or_else(|| said("x-forwarded-protocol")) {
        Some(scheme) => scheme,
        None if said("x-forwarded-ssl") == Some("on") => "https",
        None if connection.is_some_and(|connection| connection.is_secure) => "https",
        None => "http",
    }
}

fn url(connection: Option<&Connection>, target: &Uri, headers: &HeaderMap) -> String {
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    format!("{}://{}{path}", scheme(connection, headers), host(target, headers))
}

/// `x-request-id` as `X-Request-Id`.
pub(crate) fn canonical(name: &HeaderName) -> String {
    let mut start_of_word = true;
    name.as_str()
        .chars()
        .map(|c| {
            let c = if start_of_word { c.to_ascii_uppercase() } else { c };
            start_of_word = c == '-';
            c
        })
        .collect()
}

/// A header name, in any case, in which `*` stands for any letters.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<String>);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_ascii_lowercase().split('*').map(str::to_owned).collect())
    }

    fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return false };
        if self.0.len() == 1 {
            return name == *first;
        }
        let Some(rest) = name.strip_prefix(first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
        for part in &self.0[1..self.0.len() - 1] {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_spelled_as_go_spells_them() {
        assert_eq!(canonical(&HeaderName::from_static("x-b3-traceid")), "X-B3-Traceid");
        assert_eq!(canonical(&HeaderName::from_static("te")), "Te");
    }

    #[test]
    fn a_pattern_matches_names_in_any_case_and_its_stars_anything() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(matches("X-Fly-*", "x-fly-region") && matches("*-ip", "True-Client-IP"));
        assert!(matches("x-*-b*d", "X-a-bcd") && matches("host", "Host"));
        assert!(!matches("x-fly", "x-fly-region") && !matches("x*x", "x") && !matches("a*b*c", "acb"));
    }
}
