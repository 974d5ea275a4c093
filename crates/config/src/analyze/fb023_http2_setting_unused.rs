//! FB023: a setting of HTTP/2 where HTTP/2 is not what the port or the rule asks for, so that Istio drops it without a word.

use fuseboard_api::Span;
use fuseboard_api::istio::destination_rule::{H2UpgradePolicy, HttpSettings};
use fuseboard_snapshot::UpstreamVersion;

use super::scene::{Scene, Spoken, Written};
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(http) = policy.connection_pool.and_then(|pool| pool.http.as_ref()) else { continue };
        let spoken = scene.spoken(&policy);
        // One port that uses them is enough: the rule may be for several.
        if spoken.is_empty() || spoken.iter().any(|port| port.http.version == UpstreamVersion::Http2) {
            continue;
        }
        let (because, help) = why(http, &spoken);
        for (key, span) in written(http) {
            let message = format!("{key} has no effect: {because}");
            diagnostics.push(
                policy
                    .rule
                    .diagnostic(Code::Http2SettingUnused, span, message)
                    .field(field(&policy, key))
                    .help(help),
            );
        }
    }
}

/// What is written and not used, and where.
fn written(http: &HttpSettings) -> impl Iterator<Item = (&'static str, Span)> {
    let upgrade = http.h2_upgrade_policy.filter(|policy| policy.value == H2UpgradePolicy::Upgrade);
    let streams = http.max_concurrent_streams.filter(|streams| streams.value > 0);
    let keepalive = http.http2_keep_alive.as_ref();
    [
        upgrade.map(|policy| ("h2UpgradePolicy", policy.span)),
        streams.map(|streams| ("maxConcurrentStreams", streams.span)),
        keepalive.map(|keepalive| ("http2KeepAlive", keepalive.span)),
    ]
    .into_iter()
    .flatten()
}

fn why(http: &HttpSettings, spoken: &[Spoken<'_>]) -> (String, &'static str) {
    if http.use_client_protocol.is_some_and(|client| client.value) {
        let because = "with useClientProtocol the bounds of HTTP/2 are Envoy's defaults";
        let help = "delete useClientProtocol, and write h2UpgradePolicy: UPGRADE if the servers speak HTTP/2";
        return (because.to_owned(), help);
    }
    let undeclared = spoken.iter().find(|port| port.http.version == UpstreamVersion::Client);
    if let Some(Spoken { service, port, .. }) = undeclared {
        let because = format!(
            "{}, port {}, declares no protocol, so that the client chooses",
            service.host, port.number
        );
        return (because, "declare what the servers speak: http2 or grpc, in the port's name or appProtocol");
    }
    let ports: Vec<String> = spoken
        .iter()
        .map(|Spoken { service, port, .. }| format!("{}:{}", service.host, port.number))
        .collect();
    let help = "if the servers speak HTTP/2, call the port http2 or grpc, or write h2UpgradePolicy: UPGRADE";
    (format!("HTTP/1.1 is spoken to {}", ports.join(", ")), help)
}

fn field(policy: &Written<'_>, key: &str) -> String {
    format!("{}.connectionPool.http.{key}", policy.path)
}
