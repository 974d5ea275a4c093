//! Redirects: chains of a given length, relative or absolute, and to a URL of the caller's choice, which a list of hosts
//! may bound.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};

use super::{Answer, Instance, Shared, status_named};
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};
use crate::request::{host, scheme};

pub(super) async fn either(
    State(instance): State<Shared>,
    Path(count): Path<String>,
    args: Args,
    request: Request,
) -> Answer {
    let is_absolute = args.get("absolute").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    chain(&instance, &count, &request, is_absolute)
}

pub(super) async fn relative(
    State(instance): State<Shared>,
    Path(count): Path<String>,
    request: Request,
) -> Answer {
    chain(&instance, &count, &request, false)
}

pub(super) async fn absolute(
    State(instance): State<Shared>,
    Path(count): Path<String>,
    request: Request,
) -> Answer {
    chain(&instance, &count, &request, true)
}

fn chain(instance: &Instance, count: &str, request: &Request, is_absolute: bool) -> Answer {
    let count = number::whole("Atoi", count)
        .map_err(|problem| Refusal::bad(format!("invalid redirect count: {problem}")))?;
    let kind = if is_absolute { "absolute" } else { "relative" };
    let path = match count {
        ..1 => return Err(Refusal::bad("redirect count must be > 0")),
        1 => format!("{}/get", instance.prefix),
        count => format!("{}/{kind}-redirect/{}", instance.prefix, count - 1),
    };
    let location = if is_absolute {
        let headers = request.headers();
        let scheme = scheme(request.extensions().get(), headers);
        format!("{scheme}://{}{path}", host(request.uri(), headers))
    } else {
        path
    };
    found(StatusCode::FOUND, &location)
}

pub(super) async fn to(State(instance): State<Shared>, args: Args) -> Answer {
    let url = args.get("url").ok_or_else(|| Refusal::bad("missing required query parameter: url"))?;
    let target = Target::read(url).ok_or_else(|| {
        Refusal::bad(format!("invalid url: {url:?} has a blank, a backslash or a control character"))
    })?;
    if !target.is_allowed(&instance.redirect_hosts) {
        // Meant for people who followed a link, not for programs.
        return Ok(reply::typed(
            StatusCode::FORBIDDEN,
            HeaderValue::from_static("text/plain"),
            forbidden(&instance.redirect_hosts),
        ));
    }
    let status = match args.get("status_code") {
        None => StatusCode::FOUND,
        Some(code) => status_named(code, 300, 399)?,
    };
    let is_ours = url.starts_with('/') && !url.starts_with("//");
    let prefix = if is_ours { instance.prefix.as_str() } else { "" };
    found(status, &format!("{prefix}{url}"))
}

/// An answer that leads to `location`, without a body.
pub(super) fn found(status: StatusCode, location: &str) -> Answer {
    let location = HeaderValue::from_str(location)
        .map_err(|_| Refusal::bad(format!("invalid url: {location:?} cannot stand in a header")))?;
    let mut response: Response<Body> = reply::bare(status, Body::empty());
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

fn forbidden(hosts: &[String]) -> String {
    let mut hosts: Vec<String> = hosts.iter().map(|host| format!("- {host}")).collect();
    hosts.sort();
    let list = if hosts.is_empty() {
        "any absolute URL, or a path that begins with /".to_owned()
    } else {
        hosts.join("\n")
    };
    format!(
        "That URL is not one to be redirected to: the link may mean harm.\n\nAllowed destinations:\n{list}\n"
    )
}

/// Where a URL leads, as far as it matters for who may be led there.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    /// Another host.
    Host(&'a str),
    /// A scheme without a host, such as `mailto:`.
    Scheme,
    /// A path of this server.
    Rooted,
    /// A path relative to the caller's.
    Relative,
}

impl<'a> Target<'a> {
    /// Characters that browsers read differently from servers make a URL unfit for a check.
    fn read(url: &'a str) -> Option<Self> {
        if url.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return None;
        }
        let scheme_end = url.find([':', '/', '?', '#']).filter(|at| url[*at..].starts_with(':'));
        let (has_scheme, rest) = match scheme_end {
            Some(at) if is_scheme(&url[..at]) => (true, &url[at + 1..]),
            Some(_) => return None,
            None => (false, url),
        };
        Some(match rest.strip_prefix("//") {
            Some(authority) => {
                let authority = authority.split(['/', '?', '#']).next().unwrap_or("");
                Self::Host(host_of(authority))
            }
            None if has_scheme => Self::Scheme,
            None if rest.starts_with('/') => Self::Rooted,
            None => Self::Relative,
        })
    }

    fn is_allowed(&self, hosts: &[String]) -> bool {
        match self {
            Self::Host(host) => {
                hosts.is_empty() || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            }
            // A browser may find a host in `http:example.org`, and none is on the list.
            Self::Scheme => hosts.is_empty(),
            Self::Rooted => true,
            Self::Relative => false,
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The host of `user@host:port`.
fn host_of(authority: &str) -> &str {
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    if let Some(rest) = address.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    address.split(':').next().unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_where_a_browser_would_go() {
        for (url, target) in [
            ("http://example.org/x", Target::Host("example.org")),
            ("https://a@example.org:80?x", Target::Host("example.org")),
            ("//example.org/x", Target::Host("example.org")),
            ("http://[::1]:80/", Target::Host("::1")),
            ("http://good@evil", Target::Host("evil")),
            ("mailto:x", Target::Scheme),
            ("http:evil", Target::Scheme),
            ("/get", Target::Rooted),
            ("get", Target::Relative),
            ("?x=a:b", Target::Relative),
        ] {
            assert_eq!(Target::read(url), Some(target), "{url}");
        }
        for url in ["/\\evil", "http://a b", "/a\nb", "1x:y"] {
            assert_eq!(Target::read(url), None, "{url}");
        }
    }

    #[test]
    fn a_list_of_hosts_lets_nothing_else_through() {
        let hosts = vec!["example.org".to_owned()];
        let allowed = |url: &str| Target::read(url).unwrap().is_allowed(&hosts);
        assert!(allowed("http://EXAMPLE.org/") && allowed("/get"));
        assert!(!allowed("http://example.org.evil/") && !allowed("http://example.org@evil/"));
        assert!(!allowed("http:evil") && !allowed("get"));
        assert!(Target::read("http://anywhere").unwrap().is_allowed(&[]));
    }
}
