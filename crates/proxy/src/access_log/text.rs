//! Istio's text format (since 1.9), with the refusal reason as one more field at the end.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;

use super::{Entry, Timestamp};

/// Appends the line of `entry`.
pub(super) fn write(entry: &Entry<'_>, line: &mut String) {
    let e = entry;
    let written = write!(
        line,
        "[{}] \"{} {} {}\" {} {} {} - \"{}\" {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} {} {} {} {} {}",
        Timestamp(e.start_time),
        e.method,
        Clean(&e.path),
        e.protocol,
        e.response_code,
        e.response_flags,
        e.response_code_details,
        OrDash(e.transport_failure),
        e.bytes_received,
        e.bytes_sent,
        millis(e.duration),
        OrDash(e.upstream_service_time.map(millis)),
        OrDash(e.x_forwarded_for.as_deref().map(Clean)),
        OrDash(e.user_agent.as_deref().map(Clean)),
        OrDash(e.request_id.as_deref().map(Clean)),
        OrDash(e.authority.as_deref().map(Clean)),
        OrDash(e.upstream_host),
        OrDash(e.upstream_cluster),
        OrDash(e.upstream_local_address),
        e.downstream_local_address,
        e.downstream_remote_address,
        OrDash(e.requested_server_name.map(Clean)),
        OrDash(e.route_name),
        OrDash(e.reason.map(RefusalReason::token)),
    );
    let written = written.and_then(|()| match e.fallback {
        Some(fallback) => write!(line, " \"{}\"", Clean(fallback)),
        None => Ok(()),
    });
    debug_assert!(written.is_ok(), "a string takes everything");
    line.push('\n');
}

struct OrDash<T>(Option<T>);

impl<T: Display> Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

/// A quote inside a quoted field would end it.
struct Clean<'v>(&'v str);

impl Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['\\', '"']) {
            let plain = part.trim_end_matches(['\\', '"']);
            f.write_str(plain)?;
            if plain.len() < part.len() {
                write!(f, "\\{}", &part[plain.len()..])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_reads_as_in_istio_and_ends_with_its_reason() {
        let mut line = String::new();
        write(&super::super::tests::overflow(), &mut line);
        assert_eq!(
            line,
            "[2025-11-22T16:35:35.119Z] \"GET /get HTTP/1.1\" 503 UO \
             upstream_reset_before_response_started{overflow} - \"-\" 0 81 0 - \"-\" \"fortio\" \"4f9c\" \
             \"httpbin:8000\" \"-\" outbound|8000||httpbin.default.svc.cluster.local - 10.96.3.7:8000 \
             10.244.0.9:40000 - default limit.queue_full\n"
        );
    }

    #[test]
    fn what_was_given_in_its_place_follows_the_reason() {
        let entry =
            Entry { fallback: Some("cached; age=42; cause=breaker.open"), ..super::super::tests::overflow() };
        let mut line = String::new();
        write(&entry, &mut line);
        assert!(
            line.ends_with(" default limit.queue_full \"cached; age=42; cause=breaker.open\"\n"),
            "{line}"
        );
    }

    #[test]
    fn a_quote_cannot_end_a_field() {
        let entry = Entry { user_agent: Some("a\" 200".into()), ..super::super::tests::overflow() };
        let mut line = String::new();
        write(&entry, &mut line);
        assert!(line.contains("\"a\\\" 200\""));
        assert_eq!(Clean("\\\\a\"").to_string(), "\\\\\\\\a\\\"");
    }
}
