//! The request in HTTP/2: the same method, path, headers and body as in HTTP/1.1, made once for calls that do not differ.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};

use crate::options::{HttpOptions, Style};
use crate::request::{Body, fields, method_of};
use crate::target::{Target, TargetError};
use crate::template::Template;

/// Headers that speak of one connection, which HTTP/2 has no place for (RFC 9113, section 8.2.2).
const OF_A_CONNECTION: [&str; 6] =
    ["connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// One request, ready to be sent as often as calls are made.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    scheme: Scheme,
    authority: Authority,
    path: Template,
    fields: HeaderMap,
    body: Template,
    /// Of calls that do not differ.
    made: Option<(http::Request<()>, Bytes)>,
}

impl Request {
    pub(crate) fn with(
        options: &HttpOptions,
        target: &Target,
        style: Style,
        body: Body,
    ) -> Result<Self, TargetError> {
        let unsayable = |what: &str| TargetError::Http2 { what: what.to_owned() };
        let method = method_of(options, body);
        let host = options.given_header("host").map(str::trim).filter(|host| !host.is_empty());
        let authority = host.unwrap_or(&target.authority);
        let mut request = Self {
            method: Method::from_bytes(method.as_bytes()).map_err(|_| unsayable(method))?,
            scheme: if target.secure { Scheme::HTTPS } else { Scheme::HTTP },
            authority: authority.parse().map_err(|_| unsayable(authority))?,
            path: Template::of(target.path.as_bytes()),
            fields: HeaderMap::new(),
            body: Template::of(if body == Body::Payload { &options.payload } else { &[] }),
            made: None,
        };
        for (name, value) in fields(options, style, body) {
            let value = value.trim();
            let line = || unsayable(&format!("{name}: {value}"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| line())?;
            let is_known = !OF_A_CONNECTION.contains(&name.as_str());
            if is_known && (name.as_str() != "te" || value.eq_ignore_ascii_case("trailers")) {
                let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| line())?;
                request.fields.append(name, value);
            }
        }
        let made = request.build().ok_or_else(|| unsayable(&target.path))?;
        request.made = Some(made).filter(|_| !request.path.has_holes() && !request.body.has_holes());
        Ok(request)
    }

    /// Head and body of the next call; `random` returns random bits for its UUIDs. `None` only if a UUID made the path
    /// impossible, which it does not.
    pub(crate) fn next(&mut self, mut random: impl FnMut() -> u128) -> Option<(http::Request<()>, Bytes)> {
        if let Some(made) = &self.made {
            return Some(made.clone());
        }
        self.path.fill(&mut random);
        self.body.fill(&mut random);
        self.build()
    }

    fn build(&self) -> Option<(http::Request<()>, Bytes)> {
        let path = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(&self.path.bytes)).ok()?;
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        let mut head = http::Request::new(());
        *head.uri_mut() = uri.path_and_query(path).build().ok()?;
        *head.method_mut() = self.method.clone();
        *head.headers_mut() = self.fields.clone();
        Some((head, Bytes::copy_from_slice(&self.body.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut HttpOptions)) -> Result<Request, TargetError> {
        let mut options = HttpOptions::to("http://h:99/p?a=b");
        change(&mut options);
        let target = Target::parse(&options.url).unwrap();
        Request::with(&options, &target, Style::Fortio, Body::Payload)
    }

    #[test]
    fn a_request_says_what_it_says_in_http_1_without_what_is_the_connection_s() {
        let given = [("Host", " x:1"), ("Connection", "close"), ("TE", "gzip"), ("X-A", "b"), ("x-a", "c")];
        let (head, body) = request(|options| {
            options.headers = given.map(|(name, value)| (name.into(), value.into())).into();
            options.payload = b"abc".into();
        })
        .unwrap()
        .next(|| 0)
        .unwrap();
        assert_eq!((head.method().as_str(), &head.uri().to_string()[..]), ("POST", "http://x:1/p?a=b"));
        let mut fields: Vec<_> = head
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        assert_eq!(
            fields,
            [
                "content-length: 3",
                "content-type: application/octet-stream",
                "user-agent: fortio.org/fortio-1.66.5",
                "x-a: b",
                "x-a: c"
            ]
        );
        assert_eq!(body, "abc");
    }

    #[test]
    fn uuids_differ_from_call_to_call() {
        let mut request = request(|options| options.url = "http://h/{uuid}".into()).unwrap();
        let mut path = |random| request.next(|| random).unwrap().0.uri().path().to_owned();
        assert_ne!(path(1), path(2));
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        let error = request(|options| options.headers = vec![("Host".into(), "a b".into())]).unwrap_err();
        assert_eq!(error.to_string(), "HTTP/2 has no way to say \"a b\"");
    }
}
