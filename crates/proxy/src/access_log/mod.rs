//! The access log: one line per exchange. Whoever serves the request puts the line into words and leaves it behind those that
//! wait; a thread of its own writes them, many at a time. Requests never wait for a disk, nor does the proxy's end for one that
//! takes nothing.

mod json;
mod queue;
mod text;

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use fuseboard_core::refusal::RefusalReason;

pub(crate) use self::queue::{AccessLogHandle, start};
use crate::options::AccessLogFormat;

/// What one line says; names are those of Envoy's command operators.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'e> {
    pub(crate) start_time: SystemTime,
    pub(crate) method: Cow<'e, str>,
    pub(crate) path: Cow<'e, str>,
    pub(crate) protocol: &'static str,
    pub(crate) response_code: u16,
    pub(crate) response_flags: Cow<'static, str>,
    pub(crate) response_code_details: Cow<'e, str>,
    pub(crate) transport_failure: Option<&'e str>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) duration: Duration,
    pub(crate) upstream_service_time: Option<Duration>,
    pub(crate) x_forwarded_for: Option<Cow<'e, str>>,
    pub(crate) user_agent: Option<Cow<'e, str>>,
    pub(crate) request_id: Option<Cow<'e, str>>,
    pub(crate) authority: Option<Cow<'e, str>>,
    pub(crate) upstream_host: Option<SocketAddr>,
    pub(crate) upstream_cluster: Option<&'e str>,
    pub(crate) upstream_local_address: Option<SocketAddr>,
    pub(crate) downstream_local_address: SocketAddr,
    pub(crate) downstream_remote_address: SocketAddr,
    pub(crate) requested_server_name: Option<&'e str>,
    pub(crate) route_name: Option<&'e str>,
    pub(crate) reason: Option<RefusalReason>,
    /// What the client was given in place of the failure.
    pub(crate) fallback: Option<&'e str>,
}

impl Entry<'_> {
    /// Appends the line, its end included.
    fn write(&self, format: AccessLogFormat, line: &mut String) {
        match format {
            AccessLogFormat::Text => text::write(self, line),
            AccessLogFormat::Json => json::write(self, line),
        }
    }
}

/// `2026-11-22T16:35:35.119Z`
struct Timestamp(SystemTime);

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let date = fuseboard_http1::write::http_date(since.as_secs());
        // `Sun, 06 Nov 1994 08:49:37 GMT`
        let part = |range: std::ops::Range<usize>| std::str::from_utf8(&date[range]).unwrap_or_default();
        let month = MONTHS.find(part(8..11)).map_or(0, |index| index / 3 + 1);
        write!(f, "{}-{month:02}-{}T{}.{:03}Z", part(12..16), part(5..7), part(17..25), since.subsec_millis())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::access_log) fn overflow() -> Entry<'static> {
        Entry {
            start_time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_829_335_119),
            method: "GET".into(),
            path: "/get".into(),
            protocol: "HTTP/1.1",
            response_code: 503,
            response_flags: "UO".into(),
            response_code_details: "upstream_reset_before_response_started{overflow}".into(),
            transport_failure: None,
            bytes_received: 0,
            bytes_sent: 81,
            duration: Duration::ZERO,
            upstream_service_time: None,
            x_forwarded_for: None,
            user_agent: Some("fortio".into()),
            request_id: Some("4f9c".into()),
            authority: Some("httpbin:8000".into()),
            upstream_host: None,
            upstream_cluster: Some("outbound|8000||httpbin.default.svc.cluster.local"),
            upstream_local_address: None,
            downstream_local_address: "10.96.3.7:8000".parse().unwrap(),
            downstream_remote_address: "10.244.0.9:40000".parse().unwrap(),
            requested_server_name: None,
            route_name: Some("default"),
            reason: Some(RefusalReason::LimitQueueFull),
            fallback: None,
        }
    }

    #[test]
    fn the_timestamp_has_milliseconds() {
        assert_eq!(Timestamp(overflow().start_time).to_string(), "2025-11-22T16:35:35.119Z");
    }
}
