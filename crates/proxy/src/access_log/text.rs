//! Istio's text format (since 1.9), with the refusal reason as one more field at the end.

use std::fmt::Display;
use std::time::Duration;

use super::{Entry, timestamp};

/// Appends the line of `entry`.
pub(super) fn write(entry: &Entry, line: &mut String) {
    let e = entry;
    let text = format!(
        "[{}] \"{} {} {}\" {} {} {} - \"{}\" {} {} {} {} \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} {} {} {} {} {}\n",
        timestamp(e.start_time),
        e.method,
        clean(&e.path),
        e.protocol,
        e.response_code,
        e.response_flags,
        e.response_code_details,
        or_dash(e.transport_failure.as_ref()),
        e.bytes_received,
        e.bytes_sent,
        millis(e.duration),
        or_dash(e.upstream_service_time.map(millis)),
        or_dash(e.x_forwarded_for.as_deref().map(clean)),
        or_dash(e.user_agent.as_deref().map(clean)),
        or_dash(e.request_id.as_deref().map(clean)),
        or_dash(e.authority.as_deref().map(clean)),
        or_dash(e.upstream_host),
        or_dash(e.upstream_cluster.as_ref()),
        or_dash(e.upstream_local_address),
        e.downstream_local_address,
        e.downstream_remote_address,
        or_dash(e.requested_server_name.as_deref().map(clean)),
        or_dash(e.route_name.as_ref()),
        or_dash(e.reason.map(fuseboard_core::refusal::RefusalReason::token)),
    );
    line.push_str(&text);
    if let Some(fallback) = &e.fallback {
        line.pop();
        line.extend([" \"", &clean(fallback), "\"\n"]);
    }
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

/// A quote inside a quoted field would end it.
fn clean(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
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
        let entry = Entry {
            fallback: Some("cached; age=42; cause=breaker.open".into()),
            ..super::super::tests::overflow()
        };
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
    }
}
