//! Where the calls go: the parts of a URL, and where a redirect leads from there. Addresses are the `resolver`'s.

use crate::options::AddressFamily;
use crate::security::SecurityError;

/// Why there is nothing to call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A scheme that is not HTTP.
    #[error("{url}: {}", not_http(.url))]
    Scheme {
        /// As given.
        url: String,
    },
    /// No host, or a port that is no number.
    #[error("{url}: not a URL of the form http://host:port/path")]
    Malformed {
        /// As given.
        url: String,
    },
    /// The name service does not know the host.
    #[error("lookup {host}: {source}")]
    Lookup {
        /// The host of the URL.
        host: String,
        /// What the resolver said.
        #[source]
        source: std::io::Error,
    },
    /// The host exists and has no address that may be used.
    #[error("lookup {host}: no address{}", within(*.family))]
    NoAddress {
        /// The host of the URL.
        host: String,
        /// Which addresses may be used.
        family: AddressFamily,
    },
    /// A header, a host or a path that only HTTP/1.1 can carry.
    #[error("HTTP/2 has no way to say {what:?}")]
    Http2 {
        /// As given.
        what: String,
    },
    /// TLS cannot even begin.
    #[error(transparent)]
    Security(#[from] SecurityError),
}

fn not_http(url: &str) -> &'static str {
    match url.split("://").next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "tcp" | "udp" => {
            "only http:// and https:// are called over and over; `fuseboard nc` talks to it once"
        }
        "grpc" | "grpcs" => "write host:port beside -grpc, or https://host:port for TLS",
        _ => "only http:// and https:// are supported",
    }
}

fn within(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ip4 => " of IPv4; -resolve-ip-type ip takes any",
        AddressFamily::Ip6 => " of IPv6; -resolve-ip-type ip takes any",
        AddressFamily::Any => "",
    }
}

/// The parts of an `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// With `http://` or `https://` in front, as shown in reports.
    pub(crate) url: String,
    /// Host and port as they stand in the URL; the `Host` header.
    pub(crate) authority: String,
    /// Path and query; at least `/`. What follows `#` is the browser's.
    pub(crate) path: String,
    /// Host without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `https`: over TLS.
    pub(crate) secure: bool,
    /// `http://` was added.
    pub(crate) scheme_was_missing: bool,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed { url: url.to_owned() };
        let lower = url.to_ascii_lowercase();
        let scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme));
        let (scheme_was_missing, secure) = (scheme.is_none(), scheme == Some("https://"));
        if scheme_was_missing && lower.contains("://") {
            return Err(TargetError::Scheme { url: url.to_owned() });
        }
        let rest = &url[scheme.map_or(0, str::len)..];
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if authority.contains('@') || rest.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(malformed());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or_else(malformed)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| malformed())?,
            None if port.is_empty() => {
                if secure {
                    443
                } else {
                    80
                }
            }
            None => return Err(malformed()),
        };
        if host.is_empty() {
            return Err(malformed());
        }
        let url = if scheme_was_missing { format!("http://{url}") } else { url.to_owned() };
        Ok(Self {
            url,
            authority: authority.to_owned(),
            path,
            host: host.to_owned(),
            port,
            secure,
            scheme_was_missing,
        })
    }

    /// `http` or `https`.
    const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// What connections belong to: the scheme, and host and port.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority)
    }

    /// `host:port`, as fortio reads it for gRPC: 8079 is the port unless `http://` or `https://` stands in front, which means
    /// TLS, as `over_tls` does.
    pub(crate) fn of_grpc(given: &str, over_tls: bool) -> Result<Self, TargetError> {
        let lower = given.to_ascii_lowercase();
        let scheme =
            [("http://", 80), ("https://", 443)].into_iter().find(|(scheme, _)| lower.starts_with(scheme));
        let (prefix, default_port) = scheme.unwrap_or(("", 8079));
        if prefix.is_empty() && given.contains("://") {
            return Err(TargetError::Scheme { url: given.to_owned() });
        }
        let rest = given[prefix.len()..].trim_end_matches('/');
        let secure = over_tls || prefix == "https://";
        let mut target = Self::parse(&format!("{}://{rest}", if secure { "https" } else { "http" }))?;
        if target.path != "/" {
            return Err(TargetError::Malformed { url: given.to_owned() });
        }
        if !target.authority.ends_with(&format!(":{}", target.port)) {
            target.port = default_port;
            target.authority = format!("{}:{default_port}", target.authority);
        }
        Ok(Self { url: given.to_owned(), ..target })
    }

    /// Where a redirect leads: `reference` may be a URL, or relative to this one (RFC 3986, section 5.2).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, TargetError> {
        let reference = reference.trim();
        let scheme_end = reference.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        if scheme_end.is_some_and(|end| end > 0 && reference[end..].starts_with("://")) {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        let reference = reference.split('#').next().unwrap_or_default();
        let (own_path, own_query) = self.path.split_at(self.path.find('?').unwrap_or(self.path.len()));
        let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
        let joined = match path {
            "" if query.is_empty() => format!("{own_path}{own_query}"),
            "" => format!("{own_path}{query}"),
            _ if path.starts_with('/') => format!("{}{query}", without_dots(path)),
            _ => {
                let folder = &own_path[..=own_path.rfind('/').unwrap_or(0)];
                format!("{}{query}", without_dots(&format!("{folder}{path}")))
            }
        };
        Self::parse(&format!("{}{joined}", self.origin()))
    }
}

/// The path without its `.` and `..` segments.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // What ends in dots is a folder.
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(url: &str) -> (String, u16, String, String) {
        let target = Target::parse(url).unwrap();
        (target.host, target.port, target.path, target.authority)
    }

    #[test]
    fn a_url_falls_into_host_port_and_path() {
        for (url, host, port, path, authority) in [
            ("http://127.0.0.1:8080/get", "127.0.0.1", 8080, "/get", "127.0.0.1:8080"),
            ("http://httpbin", "httpbin", 80, "/", "httpbin"),
            ("httpbin:8000/a?b=c#d", "httpbin", 8000, "/a?b=c", "httpbin:8000"),
            ("http://h?x", "h", 80, "/?x", "h"),
            ("HTTP://[::1]:99/", "::1", 99, "/", "[::1]:99"),
            ("https://h/x", "h", 443, "/x", "h"),
            ("https://h:80", "h", 80, "/", "h:80"),
        ] {
            assert_eq!(parts(url), (host.to_owned(), port, path.to_owned(), authority.to_owned()), "{url}");
        }
    }

    #[test]
    fn a_place_of_grpc_has_a_port_of_its_own() {
        let place = |given, over_tls| {
            let target = Target::of_grpc(given, over_tls).unwrap();
            assert_eq!(target.url, given);
            (target.origin(), target.port)
        };
        for (given, over_tls, origin, port) in [
            ("h", false, "http://h:8079", 8079),
            ("h:80", false, "http://h:80", 80),
            ("[::1]", true, "https://[::1]:8079", 8079),
            ("http://h/", false, "http://h:80", 80),
            ("https://h", false, "https://h:443", 443),
            ("https://h:1/", false, "https://h:1", 1),
        ] {
            assert_eq!(place(given, over_tls), (origin.to_owned(), port), "{given}");
        }
        assert!(matches!(Target::of_grpc("grpc://h", false), Err(TargetError::Scheme { .. })));
        assert!(matches!(Target::of_grpc("h:1/x", false), Err(TargetError::Malformed { .. })));
    }

    #[test]
    fn a_missing_scheme_is_added() {
        let target = Target::parse("h:1/x").unwrap();
        assert!(target.scheme_was_missing);
        assert_eq!(target.url, "http://h:1/x");
        assert!(!Target::parse("http://h/").unwrap().scheme_was_missing);
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for url in [
            "",
            "http://",
            "http://:80/",
            "http://h:x/",
            "http://[::1/",
            "http://h:70000/",
            "http://u:p@h/",
            "http://h/a b",
        ] {
            assert!(matches!(Target::parse(url), Err(TargetError::Malformed { .. })), "{url}");
        }
        assert!(matches!(Target::parse("ftp://h/"), Err(TargetError::Scheme { .. })));
        assert!(matches!(Target::parse("tcp://h:1"), Err(TargetError::Scheme { .. })));
    }

    #[test]
    fn a_redirect_leads_where_the_rfc_says() {
        let from = Target::parse("http://h:1/a/b/c?q=1").unwrap();
        for (reference, url) in [
            ("http://x/y", "http://x/y"),
            ("//x:2/y", "http://x:2/y"),
            ("/y?z#f", "http://h:1/y?z"),
            ("y", "http://h:1/a/b/y"),
            ("./y/.", "http://h:1/a/b/y/"),
            ("../y", "http://h:1/a/y"),
            ("../../../y", "http://h:1/y"),
            ("..", "http://h:1/a/"),
            ("?z=2", "http://h:1/a/b/c?z=2"),
            ("#f", "http://h:1/a/b/c?q=1"),
            ("y:z", "http://h:1/a/b/y:z"),
        ] {
            assert_eq!(from.join(reference).unwrap().url, url, "{reference}");
        }
        assert!(matches!(from.join("ftp://h/"), Err(TargetError::Scheme { .. })));
        assert!(from.join("https://h/").unwrap().secure && !from.join("//h").unwrap().secure);
        let from = Target::parse("https://h:1/a").unwrap();
        assert_eq!(from.join("b").unwrap().url, "https://h:1/b");
        assert!(from.join("//x/").unwrap().secure && !from.join("http://h:1/a").unwrap().secure);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(url in "\\PC{0,30}") {
            let _ = Target::parse(&url);
            let _ = Target::parse("http://h/a/b").unwrap().join(&url);
        }
    }
}
