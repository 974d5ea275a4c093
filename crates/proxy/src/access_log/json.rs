//! Istio's JSON encoding of the access log, with `refusal_reason`. Absent values are `null`.

use std::fmt::Display;

use super::{Entry, timestamp};

/// Appends the line of `entry`.
pub(super) fn write(entry: &Entry, line: &mut String) {
    let e = entry;
    line.push('{');
    text(line, "start_time", Some(timestamp(e.start_time)));
    text(line, "route_name", e.route_name.as_ref());
    text(line, "method", Some(&e.method));
    text(line, "path", Some(&e.path));
    text(line, "protocol", Some(e.protocol));
    number(line, "response_code", Some(e.response_code));
    text(line, "response_flags", Some(&e.response_flags));
    text(line, "response_code_details", Some(&e.response_code_details));
    text(line, "connection_termination_details", None::<&str>);
    text(line, "upstream_transport_failure_reason", e.transport_failure.as_ref());
    number(line, "bytes_received", Some(e.bytes_received));
    number(line, "bytes_sent", Some(e.bytes_sent));
    number(line, "duration", Some(e.duration.as_millis()));
    number(line, "upstream_service_time", e.upstream_service_time.map(|time| time.as_millis()));
    text(line, "x_forwarded_for", e.x_forwarded_for.as_ref());
    text(line, "user_agent", e.user_agent.as_ref());
    text(line, "request_id", e.request_id.as_ref());
    text(line, "authority", e.authority.as_ref());
    text(line, "upstream_host", e.upstream_host);
    text(line, "upstream_cluster", e.upstream_cluster.as_ref());
    text(line, "upstream_local_address", e.upstream_local_address);
    text(line, "downstream_local_address", Some(e.downstream_local_address));
    text(line, "downstream_remote_address", Some(e.downstream_remote_address));
    text(line, "requested_server_name", e.requested_server_name.as_deref());
    text(line, "refusal_reason", e.reason.map(fuseboard_core::refusal::RefusalReason::token));
    if let Some(fallback) = &e.fallback {
        text(line, "fallback", Some(fallback));
    }
    line.push_str("}\n");
}

fn key(line: &mut String, key: &str) {
    if !line.ends_with('{') {
        line.push(',');
    }
    line.push('"');
    line.push_str(key);
    line.push_str("\":");
}

fn number(line: &mut String, name: &str, value: Option<impl Display>) {
    key(line, name);
    match value {
        Some(value) => line.push_str(&value.to_string()),
        None => line.push_str("null"),
    }
}

fn text(line: &mut String, name: &str, value: Option<impl Display>) {
    key(line, name);
    match value {
        Some(value) => quoted(line, &value.to_string()),
        None => line.push_str("null"),
    }
}

/// A JSON string (RFC 8259 section 7).
fn quoted(line: &mut String, value: &str) {
    line.push('"');
    for character in value.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                line.push_str("\\u00");
                line.extend(
                    [16, 1].map(|unit| char::from_digit(u32::from(c) / unit % 16, 16).unwrap_or('0')),
                );
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_absent_ones_are_null() {
        let entry = Entry { user_agent: Some("a\"\u{1}".into()), ..super::super::tests::overflow() };
        let mut line = String::new();
        write(&entry, &mut line);
        assert!(line.starts_with("{\"start_time\":\"2025-11-22T16:35:35.119Z\",\"route_name\":\"default\","));
        assert!(line.contains("\"user_agent\":\"a\\\"\\u0001\""));
        assert!(line.contains("\"upstream_host\":null"));
        assert!(line.ends_with("\"refusal_reason\":\"limit.queue_full\"}\n"));
    }
}
