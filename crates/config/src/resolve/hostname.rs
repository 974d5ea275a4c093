//! Host names of rules and services: expansion of short names, wildcards, and which of two patterns is the closer one.
//! Follows Istio's `DestinationRule.host`; knows no rules and no services.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

/// The full name that `host` means in a rule of `namespace`.
///
/// Only a name without any dot is short, and it belongs to the namespace of the rule that says it. `reviews.prod` is
/// taken as it is, and so names no Kubernetes service (Istio's analyzer says IST0174).
pub(crate) fn expand(host: &str, namespace: &str, domain_suffix: &str) -> Arc<str> {
    let is_short = !host.is_empty() && !host.contains('.') && !is_wildcard(host) && !is_address(host);
    if is_short { kubernetes(host, namespace, domain_suffix) } else { host.into() }
}

/// The full name of a Kubernetes service.
pub(super) fn kubernetes(name: &str, namespace: &str, domain_suffix: &str) -> Arc<str> {
    format!("{name}.{namespace}.svc.{domain_suffix}").into()
}

/// Name and namespace of a Kubernetes service from its full name.
pub(super) fn split_kubernetes<'a>(host: &'a str, domain_suffix: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = host.split_once('.')?;
    let namespace = rest.strip_suffix(domain_suffix)?.strip_suffix(".svc.")?;
    (!namespace.contains('.') && !namespace.is_empty()).then_some((name, namespace))
}

/// Whether `host` stands for several names; only a leading `*` does so.
pub(crate) fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// Whether `host`, a wildcard or a name, covers `name` (which may be a wildcard itself, of a `ServiceEntry`).
pub(crate) fn covers(host: &str, name: &str) -> bool {
    match host.strip_prefix('*') {
        Some(suffix) => name.strip_prefix('*').unwrap_or(name).ends_with(suffix),
        None => host == name,
    }
}

/// Orders wildcards from the closest to the widest: the longer first, of equal length the alphabetically smaller.
pub(super) fn closest_first(a: &str, b: &str) -> Ordering {
    b.len().cmp(&a.len()).then_with(|| a.cmp(b))
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_without_dot_is_expanded() {
        let full = |host| expand(host, "foo", "cluster.local").to_string();
        assert_eq!(full("httpbin"), "httpbin.foo.svc.cluster.local");
        assert_eq!(full("httpbin.foo"), "httpbin.foo");
        assert_eq!(full("httpbin.foo.svc"), "httpbin.foo.svc");
        assert_eq!(full("*"), "*");
        assert_eq!(full("::1"), "::1");
        assert_eq!(full(""), "");
    }

    #[test]
    fn a_wildcard_covers_what_ends_like_it() {
        assert!(covers("*", "a.b"));
        assert!(covers("*.local", "web.ns.svc.cluster.local"));
        assert!(!covers("*.local", "local"));
        assert!(covers("*.example", "*.wild.example"));
        assert!(!covers("*.wild.example", "*.example"));
    }

    #[test]
    fn the_longer_wildcard_is_closer() {
        let mut hosts = vec!["*", "*.b.local", "*.local", "*.a.local"];
        hosts.sort_by(|a, b| closest_first(a, b));
        assert_eq!(hosts, ["*.a.local", "*.b.local", "*.local", "*"]);
    }

    #[test]
    fn a_kubernetes_name_gives_service_and_namespace() {
        assert_eq!(split_kubernetes("web.foo.svc.cluster.local", "cluster.local"), Some(("web", "foo")));
        assert_eq!(split_kubernetes("api.example.com", "cluster.local"), None);
        assert_eq!(split_kubernetes("a.b.c.svc.cluster.local", "cluster.local"), None);
    }
}
