//! Istio's JSON encoding of the access log, with `refusal_reason`. Absent values are `null`.

use std::fmt::{self, Display, Write};

use super::{Entry, Timestamp};

/// Appends the line of `entry`.
pub(super) fn write(entry: &Entry<'_>, line: &mut String) {
    let e = entry;
    line.push('{');
    text(line, "start_time", Some(Timestamp(e.start_time)));
    text(line, "route_name", e.route_name);
    text(line, "method", Some(&e.method));
    text(line, "path", Some(&e.path));
    text(line, "protocol", Some(e.protocol));
    number(line, "response_code", Some(e.response_code));
    text(line, "response_flags", Some(&e.response_flags));
    text(line, "response_code_details", Some(&e.response_code_details));
    text(line, "connection_termination_details", None::<&str>);
    text(line, "upstream_transport_failure_reason", e.transport_failure);
    number(line, "bytes_received", Some(e.bytes_received));
    number(line, "bytes_sent", Some(e.bytes_sent));
    number(line, "duration", Some(e.duration.as_millis()));
    number(line, "upstream_service_time", e.upstream_service_time.map(|time| time.as_millis()));
    text(line, "x_forwarded_for", e.x_forwarded_for.as_ref());
    text(line, "user_agent", e.user_agent.as_ref());
    text(line, "request_id", e.request_id.as_ref());
    text(line, "authority", e.authority.as_ref());
    text(line, "upstream_host", e.upstream_host);
    text(line, "upstream_cluster", e.upstream_cluster);
    text(line, "upstream_local_address", e.upstream_local_address);
    text(line, "downstream_local_address", Some(e.downstream_local_address));
    text(line, "downstream_remote_address", Some(e.downstream_remote_address));
    text(line, "requested_server_name", e.requested_server_name);
    text(line, "refusal_reason", e.reason.map(fuseboard_core::refusal::RefusalReason::token));
    if let Some(fallback) = e.fallback {
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
    let written = match value {
        Some(value) => write!(line, "{value}"),
        None => line.write_str("null"),
    };
    debug_assert!(written.is_ok(), "a string takes everything");
}

fn text(line: &mut String, name: &str, value: Option<impl Display>) {
    key(line, name);
    let written = match value {
        Some(value) => {
            line.push('"');
            write!(Quoted(line), "{value}").map(|()| line.push('"'))
        }
        None => line.write_str("null"),
    };
    debug_assert!(written.is_ok(), "a string takes everything");
}

/// What is inside a JSON string (RFC 8259 section 7).
struct Quoted<'l>(&'l mut String);

impl Write for Quoted<'_> {
    fn write_str(&mut self, value: &str) -> fmt::Result {
        for part in value.split_inclusive(|c| matches!(c, '"' | '\\' | '\0'..'\x20')) {
            let mut characters = part.chars();
            match characters.next_back() {
                Some('"') => self.0.extend([characters.as_str(), "\\\""]),
                Some('\\') => self.0.extend([characters.as_str(), "\\\\"]),
                Some(c @ '\0'..'\x20') => {
                    self.0.push_str(characters.as_str());
                    write!(self.0, "\\u{:04x}", u32::from(c))?;
                }
                _ => self.0.push_str(part),
            }
        }
        Ok(())
    }
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
