//! Istio's `connectionPool` block to limits and the life of connections: which zero means "unset", which time is the idle
//! time-out, what keep-alive becomes. Follows istiod's translation.

use std::num::NonZeroU32;
use std::time::Duration;

use fuseboard_api::Spanned;
use fuseboard_api::istio::destination_rule::{ConnectionPool, TcpKeepalive as RawKeepalive};
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_snapshot::{ConnectionPolicy, PerPriority, Provenance, Setting, TcpKeepalive};

use super::destination_rule::BlockAt;
use crate::diagnostic::{Code, Diagnostics};

/// Istio's mesh-wide `connectTimeout`.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits of a cluster. Istio writes only priority DEFAULT, so HIGH keeps Envoy's own numbers.
pub(super) fn thresholds(pool: Option<&ConnectionPool>) -> PerPriority<Thresholds> {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let default = Thresholds {
        max_connections: limit(tcp.and_then(|tcp| tcp.max_connections.as_ref())),
        max_pending_requests: limit(http.and_then(|http| http.http1_max_pending_requests.as_ref())),
        max_requests: limit(http.and_then(|http| http.http2_max_requests.as_ref())),
        max_retries: limit(http.and_then(|http| http.max_retries.as_ref())),
    };
    PerPriority { default, high: Thresholds::ENVOY }
}

/// Bound of the TCP connect.
pub(super) fn connect_timeout(pool: Option<&ConnectionPool>) -> Duration {
    pool.and_then(|pool| pool.tcp.as_ref())
        .and_then(|tcp| tcp.connect_timeout.as_ref())
        .map_or(CONNECT_TIMEOUT, |timeout| timeout.value)
}

/// Life of a connection.
pub(crate) fn connection(pool: Option<&ConnectionPool>) -> ConnectionPolicy {
    let default = ConnectionPolicy::default();
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let idle =
        http.and_then(|http| http.idle_timeout.as_ref()).or(tcp.and_then(|tcp| tcp.idle_timeout.as_ref()));
    ConnectionPolicy {
        max_requests: http
            .and_then(|http| http.max_requests_per_connection.as_ref())
            .and_then(|requests| u32::try_from(requests.value).ok())
            .and_then(NonZeroU32::new),
        // A written 0 turns the time-out off, one left out is Envoy's hour.
        idle_timeout: idle.map_or(default.idle_timeout, |idle| (!idle.value.is_zero()).then_some(idle.value)),
        max_duration: tcp.and_then(|tcp| tcp.max_connection_duration.as_ref()).map(|age| age.value),
        keepalive: tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()).and_then(|raw| keepalive(raw)),
    }
}

/// Keep-alive of a rule that has the block, even an empty one. Istio passes whole seconds on, and a time that thereby
/// becomes 0 is written as 0, which turns keep-alive off in Envoy.
fn keepalive(raw: &RawKeepalive) -> Option<TcpKeepalive> {
    let whole_seconds = |time: &Spanned<Duration>| Duration::from_secs(time.value.as_secs());
    let keepalive = TcpKeepalive {
        time: raw.time.as_ref().map(whole_seconds),
        interval: raw.interval.as_ref().map(whole_seconds),
        probes: raw.probes.as_ref().map(|probes| probes.value).filter(|&probes| probes > 0),
    };
    let is_off = [keepalive.time, keepalive.interval].contains(&Some(Duration::ZERO));
    (!is_off).then_some(keepalive)
}

/// Says so where keep-alive was asked for and is off.
pub(super) fn report(pool: &BlockAt<ConnectionPool>, diagnostics: &mut Diagnostics) {
    let written = pool.block.tcp.as_ref().and_then(|tcp| tcp.tcp_keepalive.as_ref());
    let Some(written) = written.filter(|raw| keepalive(raw).is_none()) else { return };
    let message = "keep-alive times are whole seconds: less than 1s becomes 0, which turns keep-alive off";
    diagnostics.push(
        pool.rule
            .diagnostic(Code::KeepaliveTurnedOff, written.span, message)
            .field(pool.field("connectionPool.tcp.tcpKeepalive"))
            .help("use 1s or more"),
    );
}

/// Notes where each setting that has an effect was written.
pub(super) fn remember(pool: &BlockAt<ConnectionPool>, provenance: &mut Provenance) {
    let tcp = pool.block.tcp.as_deref();
    let http = pool.block.http.as_deref();
    let limits = [
        (Setting::MaxConnections, "tcp", tcp.and_then(|tcp| tcp.max_connections.as_ref())),
        (Setting::MaxPendingRequests, "http", http.and_then(|http| http.http1_max_pending_requests.as_ref())),
        (Setting::MaxRequests, "http", http.and_then(|http| http.http2_max_requests.as_ref())),
        (Setting::MaxRetries, "http", http.and_then(|http| http.max_retries.as_ref())),
        (
            Setting::MaxRequestsPerConnection,
            "http",
            http.and_then(|http| http.max_requests_per_connection.as_ref()),
        ),
    ];
    for (setting, group, written) in limits {
        if let Some(written) = written.filter(|written| written.value > 0) {
            let field = format!("connectionPool.{group}.{}", setting.field());
            provenance.insert(setting, pool.origin(&field, written));
        }
    }
    if let Some(timeout) = tcp.and_then(|tcp| tcp.connect_timeout.as_ref()) {
        provenance.insert(Setting::ConnectTimeout, pool.origin("connectionPool.tcp.connectTimeout", timeout));
    }
    let http_idle = http.and_then(|http| http.idle_timeout.as_ref()).map(|idle| ("http", idle));
    let tcp_idle = tcp.and_then(|tcp| tcp.idle_timeout.as_ref()).map(|idle| ("tcp", idle));
    if let Some((group, idle)) = http_idle.or(tcp_idle) {
        let field = format!("connectionPool.{group}.idleTimeout");
        provenance.insert(Setting::IdleTimeout, pool.origin(&field, idle));
    }
}

/// A bound that was written; Istio takes 0 as "unset", and unset is unlimited.
fn limit(written: Option<&Spanned<i32>>) -> u32 {
    written.and_then(|bound| u32::try_from(bound.value).ok()).filter(|&bound| bound > 0).unwrap_or(UNLIMITED)
}
