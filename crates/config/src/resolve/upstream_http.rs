//! Which HTTP is spoken to the hosts of a cluster: what the port declares, and what `connectionPool.http` makes of it. Follows
//! istiod: first the port, then the upgrade, then the bounds of HTTP/2, and last `useClientProtocol`, which takes all of it back.
//!
//! What a TLS connection offers as ALPN follows from the version: `h2` for [`UpstreamVersion::Http2`], `http/1.1` for
//! [`UpstreamVersion::Http1`], and for [`UpstreamVersion::Client`] the one that the request came with. Istio itself writes `h2` for
//! the first only, and Envoy offers the version of the connection where nothing is written; in the mesh's own TLS
//! `istio-peer-exchange` and `istio` come on top.

use std::num::NonZeroU32;

use fuseboard_api::istio::destination_rule::{ConnectionPool, H2UpgradePolicy, HttpSettings};
use fuseboard_snapshot::{Http2Ping, Provenance, Setting, UpstreamHttp, UpstreamVersion};

use super::destination_rule::BlockAt;
use super::protocol::Protocol;

/// What is spoken to a port of this protocol under these limits.
///
/// As in Istio, a port that carries bytes has a version too: it is shown, and nothing is done with it.
pub(crate) fn of_port(protocol: Protocol, pool: Option<&ConnectionPool>) -> UpstreamHttp {
    let http = pool.and_then(|pool| pool.http.as_deref());
    if http.is_some_and(uses_client_protocol) {
        return UpstreamHttp { version: UpstreamVersion::Client, ..UpstreamHttp::default() };
    }
    let version = match protocol {
        Protocol::Http2 => UpstreamVersion::Http2,
        // The choice is made already, so that an upgrade comes too late.
        Protocol::Auto => UpstreamVersion::Client,
        Protocol::Http | Protocol::Opaque | Protocol::Udp if http.is_some_and(upgrades) => {
            UpstreamVersion::Http2
        }
        Protocol::Http | Protocol::Opaque | Protocol::Udp => UpstreamVersion::Http1,
    };
    let bounds = http.filter(|_| version == UpstreamVersion::Http2);
    UpstreamHttp {
        version,
        max_concurrent_streams: bounds.and_then(max_concurrent_streams),
        ping: bounds.and_then(ping),
    }
}

/// Notes where each setting that has an effect was written.
pub(super) fn remember(
    protocol: Protocol,
    http: UpstreamHttp,
    pool: &BlockAt<ConnectionPool>,
    provenance: &mut Provenance,
) {
    let Some(written) = pool.block.http.as_deref() else { return };
    let upgraded = http.version == UpstreamVersion::Http2 && protocol != Protocol::Http2;
    if let Some(client) = written.use_client_protocol.as_ref().filter(|client| client.value) {
        let origin = pool.origin("connectionPool.http.useClientProtocol", client);
        provenance.insert(Setting::UseClientProtocol, origin);
    }
    if let Some(policy) = written.h2_upgrade_policy.as_ref().filter(|_| upgraded) {
        let origin = pool.origin("connectionPool.http.h2UpgradePolicy", policy);
        provenance.insert(Setting::H2UpgradePolicy, origin);
    }
    if let Some(streams) =
        written.max_concurrent_streams.as_ref().filter(|_| http.max_concurrent_streams.is_some())
    {
        let origin = pool.origin("connectionPool.http.maxConcurrentStreams", streams);
        provenance.insert(Setting::MaxConcurrentStreams, origin);
    }
    if let Some(keepalive) = written.http2_keep_alive.as_ref().filter(|_| http.ping.is_some()) {
        let origin = pool.origin("connectionPool.http.http2KeepAlive", keepalive);
        provenance.insert(Setting::Http2KeepAlive, origin);
    }
}

fn uses_client_protocol(http: &HttpSettings) -> bool {
    http.use_client_protocol.as_ref().is_some_and(|client| client.value)
}

fn upgrades(http: &HttpSettings) -> bool {
    http.h2_upgrade_policy.as_deref() == Some(&H2UpgradePolicy::Upgrade)
}

/// Istio takes 0 as "unset", and unset is Envoy's default.
fn max_concurrent_streams(http: &HttpSettings) -> Option<NonZeroU32> {
    let written = http.max_concurrent_streams.as_ref()?;
    u32::try_from(written.value).ok().and_then(NonZeroU32::new)
}

/// Both times are there, or the rule was refused.
fn ping(http: &HttpSettings) -> Option<Http2Ping> {
    let keepalive = http.http2_keep_alive.as_ref()?;
    Some(Http2Ping {
        interval: keepalive.interval.as_ref()?.value,
        timeout: keepalive.timeout.as_ref()?.value,
    })
}
