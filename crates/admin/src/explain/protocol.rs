//! Which HTTP is spoken to the hosts, who decided it, and how many requests a connection therefore carries at a time.

use std::num::NonZeroU32;

use fuseboard_snapshot::{Cluster, Setting, UpstreamHttp, UpstreamVersion};

use super::setting::one;
use super::{ExplainedSetting, word};
use crate::refusals::Rule;

/// Requests that one connection carries at a time. Where the client decides, over HTTP/1.1.
pub(super) fn per_connection(cluster: &Cluster) -> u32 {
    cluster.http.at_a_time(cluster.connection.max_requests)
}

/// What a connection carries, for a sentence about connections.
pub(super) fn carries(cluster: &Cluster) -> String {
    let streams = cluster.http.streams(cluster.connection.max_requests);
    match cluster.http.version {
        UpstreamVersion::Http2 if streams == 1 => "each carries one request at a time".to_owned(),
        UpstreamVersion::Http2 => format!("each carries up to {streams} requests at a time"),
        UpstreamVersion::Http1 => "on HTTP/1.1 each carries one request at a time".to_owned(),
        UpstreamVersion::Client => {
            format!("on HTTP/1.1 each carries one request at a time, on HTTP/2 up to {streams}")
        }
    }
}

/// What holds for clients that speak HTTP/2, where connections are limited and the client decides.
pub(super) fn sentence(cluster: &Cluster) -> Option<String> {
    (cluster.http.version == UpstreamVersion::Client).then(|| {
        format!(
            "That is so over HTTP/1.1. What comes as HTTP/2 goes out as HTTP/2, and there a connection carries up to {} requests at a time.",
            cluster.http.streams(cluster.connection.max_requests)
        )
    })
}

/// The version and its bounds.
pub(super) fn settings(cluster: &Cluster) -> Vec<ExplainedSetting> {
    let http = cluster.http;
    let deciding = [Setting::UseClientProtocol, Setting::H2UpgradePolicy];
    let from = deciding.iter().find_map(|setting| cluster.provenance.get(*setting));
    let (value, meaning) = match http.version {
        UpstreamVersion::Http1 => ("HTTP/1.1", "spoken to the hosts, whatever the client speaks"),
        UpstreamVersion::Http2 => ("HTTP/2", "spoken to the hosts, whatever the client speaks"),
        UpstreamVersion::Client => {
            ("the client's", "spoken to the hosts: HTTP/1.1 or HTTP/2, as the request came")
        }
    };
    let mut told = vec![ExplainedSetting {
        setting: "protocol".to_owned(),
        value: value.to_owned(),
        meaning: meaning.to_owned(),
        from: from.map(|origin| Rule::from(&**origin)),
    }];
    if http.version == UpstreamVersion::Http2 {
        let bound = http.max_concurrent_streams.map_or(UpstreamHttp::DEFAULT_STREAMS, NonZeroU32::get);
        told.push(one(
            cluster,
            Setting::MaxConcurrentStreams,
            bound.to_string(),
            "requests at a time on one connection; fewer where the host says so".to_owned(),
        ));
        told.push(one(
            cluster,
            Setting::Http2KeepAlive,
            http.ping.map_or_else(
                || "off".to_owned(),
                |ping| format!("{}, {}", word::time(ping.interval), word::time(ping.timeout)),
            ),
            "time between PINGs, and for the answer to one: without it the connection is closed".to_owned(),
        ));
    }
    told
}
