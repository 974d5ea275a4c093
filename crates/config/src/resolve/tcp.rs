//! TCP ports: which times bound their connections, and which settings of a rule mean nothing there. What port carries TCP is
//! decided by [`super::port_plan`].

use std::time::Duration;

use fuseboard_api::Spanned;
use fuseboard_api::istio::destination_rule::{
    ConnectionPool, H2UpgradePolicy, HttpSettings, ProxyProtocol, ProxyProtocolVersion, TcpSettings,
};
use fuseboard_core::tcp::ProxyVersion;
use fuseboard_snapshot::{BreakerSetting, Cluster, ServiceName, TcpProxy};

use super::destination_policy::Policies;
use super::destination_rule::{BlockAt, PolicyAt};
use super::protocol::Protocol;
use super::registry::{Port, Service};
use super::rule_index::MergedRule;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};

/// What becomes of connections to the cluster of this index. As istiod, which takes both times from the top of the rule.
pub(super) fn proxy(cluster: usize, rule: Option<&MergedRule>) -> TcpProxy {
    let default = TcpProxy::to(cluster);
    let Some(tcp) = top_level(rule) else { return default };
    let idle = tcp.idle_timeout.as_ref().map(|idle| idle.value);
    TcpProxy {
        // A written 0 turns the time-out off, one left out is Envoy's hour.
        idle_timeout: idle.map_or(default.idle_timeout, |idle| (!idle.is_zero()).then_some(idle)),
        max_duration: tcp.max_connection_duration.as_ref().map(|age| age.value),
        ..default
    }
}

/// The version of a block; Istio's first word where none is written.
pub(super) fn proxy_version(proxy: &ProxyProtocol) -> ProxyVersion {
    match proxy.version.as_deref() {
        Some(ProxyProtocolVersion::V2) => ProxyVersion::V2,
        Some(ProxyProtocolVersion::V1) | None => ProxyVersion::V1,
    }
}

/// Says so where a PROXY header is asked for on connections that clients share.
pub(super) fn report_shared(cluster: &Cluster, rule: Option<&MergedRule>, diagnostics: &mut Diagnostics) {
    let Some(rule) = rule.filter(|_| cluster.proxy_protocol.is_some()) else { return };
    let ServiceName { host, port, .. } = &cluster.service;
    let message =
        format!("no PROXY header is sent on HTTP connections to {host}, port {port}: clients share them");
    let block = rule.policy.as_ref().and_then(|policy| policy.general().proxy_protocol);
    let span = block.as_ref().map_or(rule.first.spec.host.span, |block| block.block.span);
    diagnostics.push(
        rule.first
            .diagnostic(Code::ProxyHeaderOnHttp, span, message)
            .help("x-forwarded-for is the way of HTTP; TCP connections have the header"),
    );
}

fn top_level<'a>(rule: Option<&MergedRule<'a>>) -> Option<&'a TcpSettings> {
    let pool = rule?.policy.as_ref()?.top_level_pool()?;
    pool.block.tcp.as_ref().map(|tcp| &tcp.value)
}

/// A connection is judged by what it begins with, and one that nobody uses yet is not slow.
pub(super) fn without_slow_calls(cluster: &mut Cluster, diagnostics: &mut Diagnostics) {
    let Some(breaker) = &mut cluster.breaker else { return };
    if breaker.policy.trip.slow.take().is_none() {
        return;
    }
    let ServiceName { host, port, .. } = &cluster.service;
    let message = format!(
        "slowPercent and slowerThan are about requests: they have no effect on {host}, port {port}, which carries TCP"
    );
    let problem = Diagnostic::new(Code::NoEffectOnTcp, message)
        .help("failed connects, resets and silence trip the breaker of a TCP port: trip.consecutiveFailures or trip.failurePercent");
    diagnostics.push(match breaker.provenance.get(BreakerSetting::SlowerThan) {
        Some(origin) => problem.resource(origin.resource.clone()),
        None => problem,
    });
}

/// Says which settings mean nothing for a port that carries bytes. At the top of a rule they may be for other ports.
pub(super) fn report(
    service: &Service,
    port: &Port,
    rule: Option<&MergedRule>,
    policies: &Policies<'_>,
    diagnostics: &mut Diagnostics,
) {
    let alone = service.ports.iter().all(|port| port.protocol == Protocol::Opaque);
    if let Some(policy) = rule.and_then(|rule| rule.policy.as_ref()) {
        let at_port = policy.port_pool(port.number);
        let general = policy.top_level_pool().filter(|_| alone && !policy.names_port(port.number));
        for pool in at_port.iter().chain(&general) {
            report_http(pool, port, diagnostics);
        }
        if let Some(pool) = &at_port {
            report_times(pool, port, diagnostics);
        }
    }
    for (setting, bound) in [
        ("timeout", policies.timeout()),
        ("maxStreamDuration", policies.max_stream_duration()),
        ("queueTimeout", policies.queue_timeout()),
    ] {
        let Some((_, origin)) = bound.filter(|_| alone) else { continue };
        let message = format!(
            "{setting} of {} is about requests: it has no effect on {}, port {}, which carries TCP",
            origin.resource, service.host, port.number
        );
        diagnostics.push(
            service
                .diagnostic(Code::NoEffectOnTcp, message)
                .help("bounds of a TCP connection are tcp.connectTimeout, tcp.idleTimeout and tcp.maxConnectionDuration"),
        );
    }
}

fn report_http(pool: &BlockAt<ConnectionPool>, port: &Port, diagnostics: &mut Diagnostics) {
    let Some(http) = &pool.block.http else { return };
    let written = names(&http.value);
    if written.is_empty() {
        return;
    }
    let message = format!(
        "settings of HTTP have no effect on port {}, which carries TCP: {}",
        port.number,
        written.join(", ")
    );
    diagnostics.push(
        pool.rule
            .diagnostic(Code::NoEffectOnTcp, http.span, message)
            .field(pool.field("connectionPool.http"))
            .help("tcp.maxConnections is the limit of TCP; if the port speaks HTTP, say so in its name or appProtocol"),
    );
}

/// The fields that are written, as the user writes them.
fn names(http: &HttpSettings) -> Vec<&'static str> {
    let written = [
        (http.http1_max_pending_requests.is_some(), "http1MaxPendingRequests"),
        (http.http2_max_requests.is_some(), "http2MaxRequests"),
        (http.max_requests_per_connection.is_some(), "maxRequestsPerConnection"),
        (http.max_retries.is_some(), "maxRetries"),
        (http.idle_timeout.is_some(), "idleTimeout"),
        (http.h2_upgrade_policy.as_deref() == Some(&H2UpgradePolicy::Upgrade), "h2UpgradePolicy"),
        (http.use_client_protocol.as_ref().is_some_and(|client| client.value), "useClientProtocol"),
        (http.max_concurrent_streams.is_some(), "maxConcurrentStreams"),
        (http.http2_keep_alive.is_some(), "http2KeepAlive"),
    ];
    written.into_iter().filter_map(|(is_written, name)| is_written.then_some(name)).collect()
}

fn report_times(pool: &BlockAt<ConnectionPool>, port: &Port, diagnostics: &mut Diagnostics) {
    let Some(tcp) = pool.block.tcp.as_ref() else { return };
    let times: [(&str, Option<&Spanned<Duration>>); 2] = [
        ("idleTimeout", tcp.idle_timeout.as_ref()),
        ("maxConnectionDuration", tcp.max_connection_duration.as_ref()),
    ];
    for (name, written) in times.into_iter().filter_map(|(name, time)| time.map(|time| (name, time))) {
        let message = format!(
            "{name} has no effect on port {}, which carries TCP: it counts at the top of the rule only",
            port.number
        );
        diagnostics.push(
            pool.rule
                .diagnostic(Code::TcpTimesOfPort, written.span, message)
                .field(pool.field(&format!("connectionPool.tcp.{name}")))
                .help(format!("write it in spec.trafficPolicy.connectionPool.tcp.{name}, for all ports")),
        );
    }
}

impl<'a> PolicyAt<'a> {
    /// The limits for all ports.
    fn top_level_pool(&self) -> Option<BlockAt<'a, ConnectionPool>> {
        self.general().connection_pool
    }

    /// The limits of one port, where it has its own.
    fn port_pool(&self, port: u16) -> Option<BlockAt<'a, ConnectionPool>> {
        self.port_entry(port)?.connection_pool
    }

    /// Whether one port has an entry of its own.
    fn names_port(&self, port: u16) -> bool {
        self.port_entry(port).is_some()
    }
}
