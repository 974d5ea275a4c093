//! Names: hosts, DNS labels, labels of pods. Messages are Istio's.

use fuseboard_api::{Map, Spanned};

use super::invalid;
use crate::load::report::{FieldPath, Report};

/// Letters, digits and `-`, at most 63, with a letter or digit at both ends (RFC 1123; Istio takes upper case too).
pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|&c| inner(c))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// Labels with dots between them, at most 253 characters.
pub(super) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// Checks a host with an optional leading wildcard.
pub(super) fn host(host: &Spanned<String>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(message) = host_mistake(host) {
        let help = "write a service name (reviews), a full name (reviews.prod.svc.cluster.local) or a wildcard (*.prod.svc.cluster.local)";
        invalid(report, host.span, path, message, help);
    }
}

fn host_mistake(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("empty domain name not allowed".to_owned());
    }
    if name.len() > 255 {
        let start: String = name.chars().take(40).collect();
        return Some(format!("domain name {:?} too long (max 255)", format!("{start}...")));
    }
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let without_wildcard = first.strip_prefix("*-").or_else(|| first.strip_prefix('*')).unwrap_or(first);
    if first != "*" && !is_dns_label(without_wildcard) {
        return Some(format!("domain name {name:?} invalid (label {first:?} invalid)"));
    }
    let rest = rest?;
    let labels: Vec<&str> = rest.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    if !top.is_empty() && top.bytes().all(|c| c.is_ascii_digit()) {
        return Some(format!(
            "domain name {rest:?} invalid (top level domain {top:?} cannot be all-numeric)"
        ));
    }
    let last = labels.len() - 1;
    let bad = labels
        .iter()
        .enumerate()
        .find(|(i, label)| !(is_dns_label(label) || (*i == last && *i > 0 && label.is_empty())));
    bad.map(|(_, label)| format!("domain name {rest:?} invalid (label {label:?} invalid)"))
}

/// Checks labels of pods.
pub(super) fn labels(labels: &Map<String>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    for (key, value) in labels {
        if !is_qualified(key) {
            let help = "write a label key as pods carry it, such as app or app.kubernetes.io/name";
            invalid(report, value.span, &path.key(key), format!("invalid tag key: {key:?}"), help);
        }
        if !is_label_value(value) {
            let help =
                "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
            invalid(
                report,
                value.span,
                &path.key(key),
                format!("invalid tag value: {:?}", value.value),
                help,
            );
        }
    }
}

fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_label_value(name) && prefix.is_none_or(is_dns_name)
}

fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|&c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && bytes.first().is_none_or(u8::is_ascii_alphanumeric)
        && bytes.last().is_none_or(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_accepted_and_refused_in_istios_words() {
        for good in
            ["reviews", "a.b", "*", "*.local", "*-canary.prod", "reviews.prod.svc.cluster.local.", "A-1.b"]
        {
            assert_eq!(host_mistake(good), None, "{good}");
        }
        for (bad, message) in [
            ("", "empty domain name not allowed"),
            ("10.0.0.1", "domain name \"0.0.1\" invalid (top level domain \"1\" cannot be all-numeric)"),
            ("a_b", "domain name \"a_b\" invalid (label \"a_b\" invalid)"),
            ("a..b", "domain name \".b\" invalid (label \"\" invalid)"),
            ("a.*.b", "domain name \"*.b\" invalid (label \"*\" invalid)"),
            ("reviews:9080", "domain name \"reviews:9080\" invalid (label \"reviews:9080\" invalid)"),
            ("::1", "domain name \"::1\" invalid (label \"::1\" invalid)"),
        ] {
            assert_eq!(host_mistake(bad).as_deref(), Some(message), "{bad}");
        }
        assert!(
            host_mistake(&"a".repeat(256)).is_some_and(|message| message.ends_with("too long (max 255)"))
        );
    }
}
