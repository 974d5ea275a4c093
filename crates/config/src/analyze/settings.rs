//! Which settings a block writes, by name; for saying what another block drops.

use fuseboard_api::istio::destination_rule::{ConnectionPool, OutlierDetection};

/// The settings of a `connectionPool`.
pub(super) fn of_pool(pool: &ConnectionPool) -> Vec<&'static str> {
    let tcp = pool.tcp.as_ref();
    let http = pool.http.as_ref();
    written([
        (tcp.is_some_and(|tcp| tcp.max_connections.is_some()), "tcp.maxConnections"),
        (tcp.is_some_and(|tcp| tcp.connect_timeout.is_some()), "tcp.connectTimeout"),
        (tcp.is_some_and(|tcp| tcp.tcp_keepalive.is_some()), "tcp.tcpKeepalive"),
        (tcp.is_some_and(|tcp| tcp.max_connection_duration.is_some()), "tcp.maxConnectionDuration"),
        (tcp.is_some_and(|tcp| tcp.idle_timeout.is_some()), "tcp.idleTimeout"),
        (http.is_some_and(|http| http.http1_max_pending_requests.is_some()), "http.http1MaxPendingRequests"),
        (http.is_some_and(|http| http.http2_max_requests.is_some()), "http.http2MaxRequests"),
        (
            http.is_some_and(|http| http.max_requests_per_connection.is_some()),
            "http.maxRequestsPerConnection",
        ),
        (http.is_some_and(|http| http.max_retries.is_some()), "http.maxRetries"),
        (http.is_some_and(|http| http.idle_timeout.is_some()), "http.idleTimeout"),
        (http.is_some_and(|http| http.h2_upgrade_policy.is_some()), "http.h2UpgradePolicy"),
        (http.is_some_and(|http| http.use_client_protocol.is_some()), "http.useClientProtocol"),
        (http.is_some_and(|http| http.max_concurrent_streams.is_some()), "http.maxConcurrentStreams"),
        (http.is_some_and(|http| http.http2_keep_alive.is_some()), "http.http2KeepAlive"),
    ])
}

/// The settings of an `outlierDetection`.
pub(super) fn of_detection(detection: &OutlierDetection) -> Vec<&'static str> {
    written([
        (detection.consecutive_errors.is_some(), "consecutiveErrors"),
        (detection.consecutive_5xx_errors.is_some(), "consecutive5xxErrors"),
        (detection.consecutive_gateway_errors.is_some(), "consecutiveGatewayErrors"),
        (detection.split_external_local_origin_errors.is_some(), "splitExternalLocalOriginErrors"),
        (detection.consecutive_local_origin_failures.is_some(), "consecutiveLocalOriginFailures"),
        (detection.interval.is_some(), "interval"),
        (detection.base_ejection_time.is_some(), "baseEjectionTime"),
        (detection.max_ejection_percent.is_some(), "maxEjectionPercent"),
        (detection.min_health_percent.is_some(), "minHealthPercent"),
        (detection.http_error_codes.is_some(), "outlierDetectionHttpErrorCodes"),
    ])
}

fn written<const N: usize>(settings: [(bool, &'static str); N]) -> Vec<&'static str> {
    settings.into_iter().filter_map(|(written, name)| written.then_some(name)).collect()
}
