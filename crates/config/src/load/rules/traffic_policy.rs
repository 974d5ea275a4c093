//! `trafficPolicy` at its three places: top, port, subset.

use std::time::Duration;

use fuseboard_api::istio::destination_rule::{
    ConnectionPool, H2UpgradePolicy, HttpSettings, OutlierDetection, PortSelector, TcpSettings, Tunnel,
};
use fuseboard_api::istio::tls::{ClientTls, TlsMode};
use fuseboard_api::tree::Node;
use fuseboard_api::{Span, Spanned, field};

use super::{invalid, key_span, load_balancer, name, port_number};
use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};

const BLOCKS: [&str; 8] = [
    "loadBalancer",
    "connectionPool",
    "outlierDetection",
    "tls",
    "portLevelSettings",
    "tunnel",
    "proxyProtocol",
    "retryBudget",
];

/// A whole `trafficPolicy`; `at` is its key.
pub(super) fn check(policy: &Node, at: Span, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if policy.entries().is_empty() || !BLOCKS.iter().any(|block| policy.get(block).is_some()) {
        if policy.entries().iter().all(|entry| BLOCKS.contains(&entry.key.value.as_str())) {
            let help = "write connectionPool or outlierDetection below it, or delete it";
            invalid(report, at, path, "traffic policy must have at least one field", help);
        }
        return;
    }
    if policy.get("tunnel").is_some() && policy.get("proxyProtocol").is_some() {
        let at = key_span(policy, "proxyProtocol", at);
        let message = "tunnel and proxyProtocol must not be set together";
        invalid(report, at, path, message, "keep one of the two");
        return;
    }
    blocks(policy, at, path, report);
    if let Some(tunnel) = field::<Tunnel>(policy, "tunnel") {
        self::tunnel(&tunnel, &path.key("tunnel"), report);
    }
    for (index, port) in policy.get("portLevelSettings").map_or(&[][..], Node::elements).iter().enumerate() {
        port_policy(port, &path.item("portLevelSettings", index), report);
    }
}

fn port_policy(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let at = node.entries().first().map_or(node.span, |entry| entry.key.span);
    match field::<PortSelector>(node, "port").and_then(|port| port.number) {
        None => {
            let help = "write port: {number: 8080} with the number of the service port";
            invalid(report, at, path, "portTrafficPolicy must have valid port", help);
        }
        Some(number) => port_number(number, &path.key("port").key("number"), report),
    }
    if !BLOCKS[..4].iter().any(|block| node.get(block).is_some()) {
        let help = "write connectionPool or outlierDetection beside port, or delete the entry";
        invalid(report, at, path, "port traffic policy must have at least one field", help);
    }
    blocks(node, at, path, report);
}

/// The blocks that a policy and an entry of `portLevelSettings` both have.
fn blocks(node: &Node, at: Span, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(pool) = field::<ConnectionPool>(node, "connectionPool") {
        let path = path.key("connectionPool");
        if pool.tcp.is_none()
            && pool.http.is_none()
            && node.get("connectionPool").is_some_and(|n| n.entries().is_empty())
        {
            let at = key_span(node, "connectionPool", at);
            let help = "write tcp or http below it, or delete it";
            invalid(report, at, &path, "connection pool must have at least one field", help);
        }
        if let Some(tcp) = &pool.tcp {
            self::tcp(tcp, &path.key("tcp"), report);
        }
        if let Some(http) = &pool.http {
            self::http(http, &path.key("http"), report);
        }
    }
    if let Some(detection) = field::<OutlierDetection>(node, "outlierDetection") {
        outlier_detection(&detection, &path.key("outlierDetection"), report);
    }
    if let Some(balancer) = node.get("loadBalancer") {
        let ejects = node.get("outlierDetection").is_some();
        load_balancer::check(balancer, ejects, &path.key("loadBalancer"), report);
    }
    if let Some(tls) = field::<ClientTls>(node, "tls") {
        let at = key_span(node, "tls", at);
        self::tls(&tls, at, &path.key("tls"), report);
    }
}

fn tcp(tcp: &TcpSettings, path: &FieldPath<'_>, report: &mut Report<'_>) {
    not_negative(tcp.max_connections, "max connections", &path.key("maxConnections"), report);
    duration(tcp.connect_timeout, &path.key("connectTimeout"), report);
    duration(tcp.max_connection_duration, &path.key("maxConnectionDuration"), report);
    // Istio looks at this one only if it is not 0 in milliseconds: 0s means "never".
    duration(tcp.idle_timeout.filter(|idle| idle.as_millis() != 0), &path.key("idleTimeout"), report);
    if let Some(keepalive) = &tcp.tcp_keepalive {
        let path = path.key("tcpKeepalive");
        duration(keepalive.time, &path.key("time"), report);
        duration(keepalive.interval, &path.key("interval"), report);
    }
}

fn http(http: &HttpSettings, path: &FieldPath<'_>, report: &mut Report<'_>) {
    for (value, words, key) in [
        (http.http1_max_pending_requests, "http1 max pending requests", "http1MaxPendingRequests"),
        (http.http2_max_requests, "http2 max requests", "http2MaxRequests"),
        (http.max_requests_per_connection, "max requests per connection", "maxRequestsPerConnection"),
        (http.max_retries, "max retries", "maxRetries"),
        (http.max_concurrent_streams, "max concurrent streams", "maxConcurrentStreams"),
    ] {
        not_negative(value, words, &path.key(key), report);
    }
    duration(http.idle_timeout, &path.key("idleTimeout"), report);
    let upgrades = http.h2_upgrade_policy.is_some_and(|policy| policy.value == H2UpgradePolicy::Upgrade);
    if let Some(client) = http.use_client_protocol.filter(|client| client.value && upgrades) {
        let message = "use client protocol must not be true when H2UpgradePolicy is UPGRADE";
        invalid(report, client.span, &path.key("useClientProtocol"), message, "keep one of the two");
    }
    if let Some(keepalive) = &http.http2_keep_alive {
        let path = path.key("http2KeepAlive");
        for (value, key) in [(keepalive.interval, "interval"), (keepalive.timeout, "timeout")] {
            duration(value, &path.key(key), report);
            if value.is_none() {
                let message = format!("http2 keepalive {key} is required");
                invalid(report, keepalive.span, &path, message, format!("write {key}: 10s"));
            }
        }
    }
}

fn outlier_detection(detection: &OutlierDetection, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(errors) = detection.consecutive_errors.filter(|errors| errors.value != 0) {
        let message = "outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or \
                       consecutive5xxErrors instead";
        let newer =
            detection.consecutive_5xx_errors.is_some() || detection.consecutive_gateway_errors.is_some();
        let help = if newer {
            "delete it: the newer field beside it is used".to_owned()
        } else {
            format!(
                "write consecutiveGatewayErrors: {0} and consecutive5xxErrors: 0, which is what it does here, or \
                 consecutive5xxErrors: {0} to count every 5xx",
                errors.value
            )
        };
        let path = path.key("consecutiveErrors");
        report.add(Code::ConsecutiveErrorsDeprecated, errors.span, &path, message, help);
        if errors.value < 0 {
            invalid(report, errors.span, &path, "consecutive errors must be non-negative", "write 1 or more");
        }
    }
    let split = detection.split_external_local_origin_errors.is_some_and(|split| split.value);
    if let Some(failures) = detection.consecutive_local_origin_failures.filter(|n| n.value > 0 && !split) {
        let message = "outlier detection consecutive local origin failures is specified, but split external local \
                       origin errors is set to false";
        let path = path.key("consecutiveLocalOriginFailures");
        invalid(
            report,
            failures.span,
            &path,
            message,
            "write splitExternalLocalOriginErrors: true, or delete it",
        );
    }
    duration(detection.interval, &path.key("interval"), report);
    duration(detection.base_ejection_time, &path.key("baseEjectionTime"), report);
    percent(detection.max_ejection_percent, &path.key("maxEjectionPercent"), report);
    percent(detection.min_health_percent, &path.key("minHealthPercent"), report);
    for (index, code) in detection.http_error_codes.iter().flat_map(|codes| codes.iter().enumerate()) {
        if !(100..=599).contains(&code.value) {
            let path = path.item("outlierDetectionHttpErrorCodes", index);
            let message = format!("status code {} is not in range 100..599", code.value);
            invalid(report, code.span, &path, message, "write a status code, such as 503");
        }
    }
}

fn tls(tls: &ClientTls, at: Span, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let mode = tls.mode.map_or(TlsMode::Disable, |mode| mode.value);
    let written = |text: &Option<Spanned<String>>| text.as_ref().is_some_and(|text| !text.is_empty());
    let names = tls.subject_alt_names.as_ref().is_some_and(|names| !names.is_empty());
    let (ca, credential) = (written(&tls.ca_certificates), written(&tls.credential_name));
    let files = written(&tls.client_certificate) || written(&tls.private_key) || ca || written(&tls.ca_crl);
    let remove = "remove the fields that the message names";
    if tls.insecure_skip_verify.is_some_and(|skip| skip.value) {
        if mode == TlsMode::Simple && (ca || credential || names) {
            let message = "cannot specify CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify \
                           is set true";
            invalid(report, at, path, message, remove);
        } else if mode == TlsMode::Mutual && (ca || names) {
            let message =
                "cannot specify CaCertificates or SubjectAltNames when InsecureSkipVerify is set true";
            invalid(report, at, path, message, remove);
        }
    }
    let with_certificate = matches!(mode, TlsMode::Simple | TlsMode::Mutual);
    if with_certificate && credential && files {
        let message =
            "cannot specify client certificates or CA certificate or CA CRL If credentialName is set";
        invalid(report, at, path, message, "keep credentialName, or the files");
    } else if mode == TlsMode::Mutual && !credential {
        for (file, what, key) in [
            (&tls.client_certificate, "client certificate", "clientCertificate"),
            (&tls.private_key, "private key", "privateKey"),
        ] {
            if !written(file) {
                let message = format!("{what} required for mutual tls");
                invalid(
                    report,
                    at,
                    path,
                    message,
                    format!("write {key}: /path/of/the/file, or credentialName"),
                );
            }
        }
    }
}

fn tunnel(tunnel: &Tunnel, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(protocol) =
        tunnel.protocol.as_ref().filter(|p| !matches!(p.as_str(), "" | "CONNECT" | "POST"))
    {
        let message = "tunnel protocol must be \"CONNECT\" or \"POST\"";
        invalid(report, protocol.span, &path.key("protocol"), message, "write it in capitals");
    }
    let host = &tunnel.target_host;
    if host.parse::<std::net::IpAddr>().is_err() && !name::is_dns_name(host) {
        let message = format!("tunnel target host must be valid FQDN or IP address: {}", host.value);
        invalid(report, host.span, &path.key("targetHost"), message, "write a host name or an IP address");
    }
    if !(1..=65535).contains(&tunnel.target_port.value) {
        let number = tunnel.target_port.value;
        let message =
            format!("tunnel target port is invalid: port number {number} must be in the range 1..65535");
        invalid(
            report,
            tunnel.target_port.span,
            &path.key("targetPort"),
            message,
            "write the port of the target",
        );
    }
}

fn not_negative(value: Option<Spanned<i32>>, words: &str, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(value) = value.filter(|value| value.value < 0) {
        let message = format!("{words} must be non-negative");
        invalid(report, value.span, path, message, "write 1 or more, or leave it out for no limit");
    }
}

fn percent(value: Option<Spanned<i32>>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(value) = value.filter(|value| !(0..=100).contains(&value.value)) {
        let message = format!("percentage {} is not in range 0..100", value.value);
        invalid(report, value.span, path, message, "write a share of the endpoints, 0 to 100");
    }
}

/// Durations are at least 1ms, and whole milliseconds.
pub(super) fn duration(value: Option<Spanned<Duration>>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let Some(value) = value else { return };
    if value.value < Duration::from_millis(1) {
        invalid(report, value.span, path, "duration must be greater than 1ms", "write 1ms or more");
    } else if value.subsec_nanos() % 1_000_000 != 0 {
        let message = "only durations to ms precision are supported";
        invalid(report, value.span, path, message, format!("write {}ms", value.as_millis()));
    }
}
