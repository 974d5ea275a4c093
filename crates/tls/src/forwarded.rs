//! A client's certificate in the words of Envoy's `x-forwarded-client-cert`, with the details that Istio asks for (subject, URIs, DNS
//! names), quoted so that no certificate can speak for another one.

use std::fmt::Write;

use crate::material::Facts;

/// What a server with the certificate `own` tells of a client: `By=spiffe://…;Hash=…;Subject="…";URI=…;DNS=…`.
pub fn element(own: Option<&Facts>, client: &Facts) -> String {
    let mut text = String::new();
    if let Some(uri) = own.and_then(|own| own.uris.first()) {
        push(&mut text, "By", uri);
    }
    push(&mut text, "Hash", &client.digest);
    // The subject is quoted always, and there even where it is empty; what is in it was escaped as RFC 2253 has it.
    separate(&mut text);
    // Writing to a text cannot fail.
    let _ = write!(text, "Subject=\"{}\"", client.subject);
    if client.uris.is_empty() {
        push(&mut text, "URI", "");
    }
    for uri in &client.uris {
        push(&mut text, "URI", uri);
    }
    for name in &client.dns {
        push(&mut text, "DNS", name);
    }
    text
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push(';');
    }
}

/// A value that would end its element or its field is quoted, so that no certificate can speak for another one. One with
/// bytes that no field may have is left out.
fn push(text: &mut String, key: &str, value: &str) {
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return;
    }
    separate(text);
    text.push_str(key);
    text.push('=');
    if value.contains([',', ';', '=', '"', '\\']) {
        let _ = write!(text, "\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    } else {
        text.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn facts(uris: &[&str], dns: &[&str]) -> Facts {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Facts {
            subject: "CN=a\\,b".into(),
            serial: "1".into(),
            dns: texts(dns),
            uris: texts(uris),
            addresses: Vec::new(),
            emails: Vec::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: SystemTime::UNIX_EPOCH,
            digest: "ab12".into(),
        }
    }

    #[test]
    fn an_element_is_as_envoy_writes_it() {
        let (server, client) =
            (facts(&["spiffe://td/ns/s/sa/x"], &[]), facts(&["spiffe://td/ns/c/sa/y"], &["c.d"]));
        assert_eq!(
            element(Some(&server), &client),
            "By=spiffe://td/ns/s/sa/x;Hash=ab12;Subject=\"CN=a\\,b\";URI=spiffe://td/ns/c/sa/y;DNS=c.d"
        );
        assert_eq!(element(None, &facts(&[], &[])), "Hash=ab12;Subject=\"CN=a\\,b\";URI=");
    }

    #[test]
    fn a_certificate_cannot_speak_for_another() {
        let client = facts(&["x;By=y", "a,Hash=b", "q\"", "new\nline"], &[]);
        assert_eq!(
            element(None, &client),
            "Hash=ab12;Subject=\"CN=a\\,b\";URI=\"x;By=y\";URI=\"a,Hash=b\";URI=\"q\\\"\""
        );
    }
}
