//! Keeps web pages away from the admin server.
//!
//! A page that some site serves runs in a browser on this machine, so "loopback only" does not stop it. Two checks do: the
//! `Host` of a request must be a loopback name or address (a site that rebinds its own name to 127.0.0.1 sends its own
//! name), and what changes state must not come from another origin.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Version};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused: status and text.
pub(super) type Refusal = (u16, &'static str);

const BAD_HOST: Refusal =
    (403, "Host not allowed: the admin server answers to localhost and loopback addresses only.\n");
const NO_HOST: Refusal = (400, "a request needs exactly one Host field.\n");
const CROSS_ORIGIN: Refusal = (403, "refused: the request comes from a page of another origin.\n");

/// Whether the request names this machine as loopback.
pub(super) fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let in_target = request.uri().authority().map(hyper::http::uri::Authority::as_str);
    let mut fields = request.headers().get_all(header::HOST).iter();
    let in_field = match (fields.next(), fields.next()) {
        (Some(value), None) => Some(value.to_str().map_err(|_| BAD_HOST)?),
        // what does not send the field is no browser
        (None, _) if request.version() < Version::HTTP_11 => None,
        _ => return Err(NO_HOST),
    };
    let names = in_target.into_iter().chain(in_field);
    if names.into_iter().all(is_loopback) { Ok(()) } else { Err(BAD_HOST) }
}

/// `localhost`, `127.0.0.1`, `[::1]`, each with or without a port (any: tunnels change it).
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a request that changes state may do so: tools send neither field, our own pages the same origin.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &HeaderName| headers.get(name).map(HeaderValue::to_str);
    let site_allows = match text(&SEC_FETCH_SITE) {
        None => true,
        Some(site) => matches!(site, Ok("same-origin" | "none")),
    };
    let origin_allows = match (text(&header::ORIGIN), text(&header::HOST)) {
        (None, _) => true,
        (Some(Ok(origin)), Some(Ok(host))) => origin.strip_prefix("http://") == Some(host),
        _ => false,
    };
    if site_allows && origin_allows { Ok(()) } else { Err(CROSS_ORIGIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_addresses_are_hosts() {
        for host in
            ["localhost", "LOCALHOST:15000", "localhost.", "127.0.0.1:1", "127.8.8.8", "[::1]:15000", "[::1]"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_name_in_the_target_counts_as_much_as_the_host_field() {
        let request = |uri: &str, host: &[&str]| {
            let mut builder = Request::builder().uri(uri);
            for host in host {
                builder = builder.header("host", *host);
            }
            builder.body(()).unwrap()
        };
        assert_eq!(check_host(&request("/stats", &["localhost"])), Ok(()));
        assert_eq!(check_host(&request("http://localhost/stats", &["localhost"])), Ok(()));
        assert_eq!(check_host(&request("http://evil.example/stats", &["localhost"])), Err(BAD_HOST));
        assert_eq!(check_host(&request("/stats", &["evil.example"])), Err(BAD_HOST));
        assert_eq!(check_host(&request("/stats", &["localhost", "localhost"])), Err(NO_HOST));
        assert_eq!(check_host(&request("/stats", &[])), Err(NO_HOST));
    }

    #[test]
    fn what_changes_state_must_come_from_a_tool_or_from_our_own_page() {
        let check = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("localhost:15000"));
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            check_origin(&headers)
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("origin", "http://localhost:15000"), ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check(&[("sec-fetch-site", "none")]), Ok(()));
        for fields in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "http://localhost:8080")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://localhost:15000"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(check(fields), Err(CROSS_ORIGIN), "{fields:?}");
        }
    }
}
