//! Where the calls go: the parts of a URL, and the addresses behind its host.

use std::net::{IpAddr, SocketAddr};

use crate::options::HttpOptions;

/// Why there is nothing to call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A scheme that is not plain HTTP.
    #[error("{url}: only http:// is supported")]
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
    /// The host exists and has no address.
    #[error("lookup {host}: no address")]
    NoAddress {
        /// The host of the URL.
        host: String,
    },
}

/// The parts of an `http` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// With `http://` in front, as shown in reports.
    pub(crate) url: String,
    /// Host and port as they stand in the URL; the `Host` header.
    pub(crate) authority: String,
    /// Path and query; at least `/`. What follows `#` is the browser's.
    pub(crate) path: String,
    /// Host without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `http://` was added.
    pub(crate) scheme_was_missing: bool,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed { url: url.to_owned() };
        let lower = url.to_ascii_lowercase();
        let scheme_was_missing = !lower.starts_with("http://");
        if scheme_was_missing && lower.contains("://") {
            return Err(TargetError::Scheme { url: url.to_owned() });
        }
        let rest = if scheme_was_missing { url } else { &url["http://".len()..] };
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
            None if port.is_empty() => 80,
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
            scheme_was_missing,
        })
    }

    /// The addresses to connect to, in the resolver's order with IPv4 first, as fortio prefers it.
    pub(crate) async fn addresses(&self, options: &HttpOptions) -> Result<Vec<SocketAddr>, TargetError> {
        let fixed = options.resolve.or_else(|| self.host.parse::<IpAddr>().ok());
        if let Some(address) = fixed {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|source| TargetError::Lookup { host: self.host.clone(), source })?;
        let (v4, v6): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(SocketAddr::is_ipv4);
        let mut addresses = if v4.is_empty() { v6 } else { v4 };
        addresses.dedup();
        if addresses.is_empty() {
            return Err(TargetError::NoAddress { host: self.host.clone() });
        }
        Ok(addresses)
    }
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
        ] {
            assert_eq!(parts(url), (host.to_owned(), port, path.to_owned(), authority.to_owned()), "{url}");
        }
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
        assert!(matches!(Target::parse("https://h/"), Err(TargetError::Scheme { .. })));
        assert!(matches!(Target::parse("tcp://h:1"), Err(TargetError::Scheme { .. })));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(url in "\\PC{0,30}") {
            let _ = Target::parse(&url);
        }
    }
}
