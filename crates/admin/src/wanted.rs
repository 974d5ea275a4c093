//! The service that somebody means on the command line: by its short name, with its namespace, or in full, with a port or
//! without.

use std::fmt;

/// `httpbin`, `httpbin.default`, `httpbin.default.svc.cluster.local`, each also with `:8000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    host: String,
    port: Option<u16>,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Wanted {
    /// Reads one; fails with what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let number = port.parse().ok().filter(|&number| number > 0);
                (host, Some(number.ok_or_else(|| format!("`{port}` is no port; write HOST or HOST:PORT"))?))
            }
            None => (text, None),
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() {
            return Err("the name of the service is missing; write HOST or HOST:PORT".to_owned());
        }
        Ok(Self { host, port })
    }

    /// The name as it was written, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the service of this full host and port is meant; `name` and `namespace` as in Kubernetes.
    pub fn is(&self, host: &str, name: &str, namespace: &str, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port) && self.is_at_any_port(host, name, namespace)
    }

    /// The same without looking at the port.
    pub fn is_at_any_port(&self, host: &str, name: &str, namespace: &str) -> bool {
        let rest = self.host.strip_prefix(&name.to_ascii_lowercase());
        let in_namespace =
            rest.is_some_and(|rest| matches!(rest.strip_prefix('.'), Some(rest) if rest == namespace || rest == format!("{namespace}.svc")));
        self.host.eq_ignore_ascii_case(host) || rest == Some("") || in_namespace || self.is_short_for(host)
    }

    /// Whether a full host of the cluster's form is meant by its beginning; a `ServiceEntry` has no other name for it.
    fn is_short_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let Some((service, _)) = host.split_once(".svc.") else { return false };
        let wanted = self.host.strip_suffix(".svc").unwrap_or(&self.host);
        wanted == service || service.split('.').next() == Some(&*self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(wanted: &str) -> bool {
        let wanted = Wanted::parse(wanted).unwrap();
        wanted.is("web.shop.svc.cluster.local", "web", "shop", 80)
    }

    #[test]
    fn every_name_that_a_client_may_use_is_understood() {
        for name in
            ["web", "WEB.shop", "web.shop.svc", "web.shop.svc.cluster.local", "web.shop.svc.cluster.local."]
        {
            assert!(is(name), "{name}");
            assert!(is(&format!("{name}:80")), "{name}:80");
        }
        for name in ["we", "web.other", "web.shop.svc.other", "webshop", "web:81"] {
            assert!(!is(name), "{name}");
        }
    }

    #[test]
    fn a_host_of_a_service_entry_is_found_by_its_short_forms() {
        let is = |wanted: &str, host| Wanted::parse(wanted).unwrap().is(host, host, "other", 80);
        for name in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
            assert!(is(name, "web.shop.svc.cluster.local"), "{name}");
        }
        assert!(!is("web.svc", "web.shop.svc.cluster.local") && !is("shop", "web.shop.svc.cluster.local"));
        assert!(is("api.example.com", "api.example.com") && !is("api", "api.example.com"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ":80", "web:", "web:0", "web:http"] {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
    }
}
