//! What `explain` makes of the version of HTTP: how many requests run, and what is told of the version.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod sample;

use std::num::NonZeroU32;

use fuseboard_admin::explain::{self, Explanation};
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_snapshot::{Cluster, UpstreamHttp, UpstreamVersion};

/// Two connections, and a queue of three.
fn explained(
    version: UpstreamVersion,
    streams: Option<u32>,
    in_all: Option<u32>,
    is_http: bool,
) -> Explanation {
    let mut cluster: Cluster = (*sample::httpbin().cluster).clone();
    cluster.thresholds.default = Thresholds {
        max_connections: 2,
        max_pending_requests: 3,
        max_requests: UNLIMITED,
        max_retries: UNLIMITED,
    };
    cluster.http =
        UpstreamHttp { version, max_concurrent_streams: streams.and_then(NonZeroU32::new), ping: None };
    cluster.connection.max_requests = in_all.and_then(NonZeroU32::new);
    explain::of_cluster(&cluster, None, is_http)
}

#[test]
fn the_first_refused_request_is_counted_with_the_streams_of_the_connections() {
    use UpstreamVersion::{Client, Http1, Http2};
    for (version, streams, in_all, run) in [
        (Http1, None, None, 2),
        (Http1, Some(50), None, 2),
        (Http2, Some(50), None, 100),
        (Http2, None, None, 2 * 1024),
        // A connection that may serve 8 requests in its life carries no more at a time.
        (Http2, Some(50), Some(8), 16),
        (Http2, Some(5), Some(8), 10),
        (Client, None, None, 2),
    ] {
        let told = explained(version, streams, in_all, true);
        assert_eq!(told.admission.run, Some(run), "{version:?} {streams:?} {in_all:?}");
        assert_eq!(told.admission.refused, Some(run + 3 + 1));
        assert_eq!(told.admission.reason.as_deref(), Some("limit.queue_full"));
    }
}

#[test]
fn the_version_and_its_bounds_are_told_of_http_only() {
    let value = |told: &Explanation, name: &str| {
        told.settings.iter().find(|one| one.setting == name).map(|one| one.value.clone())
    };
    let http2 = explained(UpstreamVersion::Http2, Some(50), None, true);
    assert_eq!(value(&http2, "protocol").unwrap(), "HTTP/2");
    assert_eq!(value(&http2, "maxConcurrentStreams").unwrap(), "50");
    let client = explained(UpstreamVersion::Client, None, None, true);
    assert_eq!(value(&client, "protocol").unwrap(), "the client's");
    assert_eq!(value(&client, "maxConcurrentStreams"), None);
    let both = "What comes as HTTP/2 goes out as HTTP/2";
    assert!(client.requests.iter().any(|sentence| sentence.contains(both)), "{:?}", client.requests);

    // A connection of TCP is one caller's, whatever version a rule gives to the port.
    let bytes = explained(UpstreamVersion::Http2, Some(50), None, false);
    assert_eq!((value(&bytes, "protocol"), value(&bytes, "maxConcurrentStreams")), (None, None));
    assert_eq!(bytes.admission.run, Some(2));
}
