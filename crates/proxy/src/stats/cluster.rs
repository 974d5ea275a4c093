//! Scope `cluster.<name>`: what one worker counts for one cluster.

use std::sync::OnceLock;

use fuseboard_admin::status::ClusterStatus;
use fuseboard_core::breaker::{State, Transition};
use fuseboard_core::outlier::{DetectionKind, OutlierAction, OutlierCounter, OutlierEvent};
use fuseboard_stats::{Codes, Counter, stats};

use super::fallback::FallbackBlock;
use super::levels::breakers;
use super::refused::Refused;
use super::ssl::ClusterSslStats;
use super::tcp::TcpStats;

/// All that one worker counts for one cluster, in one allocation that is made when the worker first uses the cluster.
#[derive(Debug, Default)]
pub struct ClusterBlock {
    /// Envoy's cluster stats.
    pub stats: ClusterStats,
    /// Final responses by status, local replies included.
    pub codes: Codes,
    /// Responses that were not passed on because the request was tried again.
    pub retried_codes: Codes,
    /// Ejections.
    pub outlier: OutlierStats,
    /// TLS; made with the first handshake.
    pub ssl: OnceLock<Box<ClusterSslStats>>,
    /// What Envoy does not count.
    pub own: OwnClusterStats,
    /// Envoy's TCP proxy stats.
    pub tcp: TcpStats,
    /// What the breaker did.
    pub breaker: BreakerStats,
    /// What its fallbacks did.
    pub fallback: FallbackBlock,
    /// Refusals by reason.
    pub refused: Refused,
}

stats! {
    /// Envoy's cluster stats, as far as HTTP/1.1 and TCP upstreams can move them.
    pub struct ClusterStats in "cluster.<name>" {
        /// Connections begun.
        upstream_cx_total: Counter,
        /// HTTP/1.1 connections begun.
        upstream_cx_http1_total: Counter,
        /// HTTP/2 connections opened.
        upstream_cx_http2_total: Counter,
        /// Connections that could not be established.
        upstream_cx_connect_fail: Counter,
        /// TCP connections that no host took, in as many connects as are allowed.
        upstream_cx_connect_attempts_exceeded: Counter,
        /// Connections not established within the connect timeout.
        upstream_cx_connect_timeout: Counter,
        /// Connections closed because they were idle for too long.
        upstream_cx_idle_timeout: Counter,
        /// Connections closed because of their age (`maxConnectionDuration`).
        upstream_cx_max_duration_reached: Counter,
        /// Connections closed because they served as many requests as `maxRequestsPerConnection` allows.
        upstream_cx_max_requests: Counter,
        /// Requests that found no healthy host.
        upstream_cx_none_healthy: Counter,
        /// Requests that the connection limit made wait or refused (difference D17).
        upstream_cx_overflow: Counter,
        /// Requests refused because connections to `maxConnectionPools` other hosts were open, and busy.
        upstream_cx_pool_overflow: Counter,
        /// Connections on which the upstream broke HTTP, ended inside an answer, or sent more than one.
        upstream_cx_protocol_error: Counter,
        /// Connections that the upstream asked to close (`Connection: close`, HTTP/1.0, GOAWAY).
        upstream_cx_close_notify: Counter,
        /// Connections closed.
        upstream_cx_destroy: Counter,
        /// Connections closed by us.
        upstream_cx_destroy_local: Counter,
        /// Connections closed by the upstream.
        upstream_cx_destroy_remote: Counter,
        /// Connections closed during a request.
        upstream_cx_destroy_with_active_rq: Counter,
        /// Connections closed by us during a request.
        upstream_cx_destroy_local_with_active_rq: Counter,
        /// Connections closed by the upstream during a request.
        upstream_cx_destroy_remote_with_active_rq: Counter,
        /// Bytes received.
        upstream_cx_rx_bytes_total: Counter,
        /// Bytes sent.
        upstream_cx_tx_bytes_total: Counter,
        /// Time to establish a connection, in milliseconds.
        upstream_cx_connect_ms: Histogram,
        /// Life of a connection, in milliseconds.
        upstream_cx_length_ms: Histogram,
        /// Requests per connection, counted when it closes.
        upstream_rq_per_cx: Histogram,
        /// Requests sent, retries included.
        upstream_rq_total: Counter,
        /// Requests that had to wait for a connection (difference D17).
        upstream_rq_pending_total: Counter,
        /// Requests refused because the queue was full.
        upstream_rq_pending_overflow: Counter,
        /// Requests refused because `maxRequests` were in flight.
        upstream_rq_active_overflow: Counter,
        /// Requests that failed because their connection could not be established, or was lost under their stream of HTTP/2.
        upstream_rq_pending_failure_eject: Counter,
        /// Requests given up before they had a connection.
        upstream_rq_cancelled: Counter,
        /// Requests whose time was up.
        upstream_rq_timeout: Counter,
        /// Requests whose stream lasted longer than `maxStreamDuration`.
        upstream_rq_max_duration_reached: Counter,
        /// Tries whose own time was up.
        upstream_rq_per_try_timeout: Counter,
        /// Streams of HTTP/2 reset by the upstream.
        upstream_rq_rx_reset: Counter,
        /// Streams of HTTP/2 reset by us.
        upstream_rq_tx_reset: Counter,
        /// Retries made.
        upstream_rq_retry: Counter,
        /// Retries that brought a good answer.
        upstream_rq_retry_success: Counter,
        /// Retries not made because `maxRetries` were in flight.
        upstream_rq_retry_overflow: Counter,
        /// Requests that failed with no retry left.
        upstream_rq_retry_limit_exceeded: Counter,
        /// Retries made after an exponential back-off.
        upstream_rq_retry_backoff_exponential: Counter,
        /// Time from the request's last byte to the end of the answer, in milliseconds; local replies are not in it.
        upstream_rq_time: Histogram,
        /// Requests sent to a host that is not healthy, because too few are.
        lb_healthy_panic: Counter,
    }
}

stats! {
    /// What is counted once for all workers, by whoever applies snapshots.
    pub struct MembershipStats in "cluster.<name>" {
        /// Changes of the set of hosts.
        membership_change: Counter,
    }
}

stats! {
    /// Envoy's outlier detection stats; they exist where the cluster has outlier detection. Those of success rate and failure
    /// percentage move only where a `DestinationPolicy` turns the detectors on, and that of degradation never does.
    pub struct OutlierStats in "cluster.<name>.outlier_detection" {
        /// Deprecated by Envoy: detections by consecutive 5xx, carried out or not.
        ejections_consecutive_5xx: Counter,
        /// Deprecated by Envoy: detections by success rate, carried out or not.
        ejections_success_rate: Counter,
        /// Deprecated by Envoy: detections by consecutive 5xx or success rate that the percentage allowed.
        ejections_total: Counter,
        /// Ejections not carried out because of `maxEjectionPercent`.
        ejections_overflow: Counter,
        /// Ejections carried out.
        ejections_enforced_total: Counter,
        /// Detections: 5xx answers in a row.
        ejections_detected_consecutive_5xx: Counter,
        /// Detections: 502, 503 and 504 in a row.
        ejections_detected_consecutive_gateway_failure: Counter,
        /// Detections: local failures in a row.
        ejections_detected_consecutive_local_origin_failure: Counter,
        /// Detections: success rates below the others'.
        ejections_detected_success_rate: Counter,
        /// Detections: success rates of connections below the others'.
        ejections_detected_local_origin_success_rate: Counter,
        /// Detections: too many failures.
        ejections_detected_failure_percentage: Counter,
        /// Detections: too many local failures.
        ejections_detected_local_origin_failure_percentage: Counter,
        /// Never moves: no such detector.
        ejections_detected_degradation: Counter,
        /// Ejections for 5xx answers in a row.
        ejections_enforced_consecutive_5xx: Counter,
        /// Ejections for 502, 503 and 504 in a row.
        ejections_enforced_consecutive_gateway_failure: Counter,
        /// Ejections for local failures in a row.
        ejections_enforced_consecutive_local_origin_failure: Counter,
        /// Ejections for success rates below the others'.
        ejections_enforced_success_rate: Counter,
        /// Ejections for success rates of connections below the others'.
        ejections_enforced_local_origin_success_rate: Counter,
        /// Ejections for too many failures.
        ejections_enforced_failure_percentage: Counter,
        /// Ejections for too many local failures.
        ejections_enforced_local_origin_failure_percentage: Counter,
    }
}

stats! {
    /// What Envoy does not count.
    pub struct OwnClusterStats in "cluster.<name>.fuseboard" {
        /// Requests sent once more because the pooled connection turned out to be closed (difference D18).
        upstream_rq_resent: Counter,
        /// Ejected hosts that returned.
        unejections_total: Counter,
        /// Requests that waited longer than the queue time-out allows.
        upstream_rq_queue_timeout: Counter,
        /// Answers of hosts that have not processed the request and are believed (`trustRefusals`).
        upstream_rq_refused_by_peer: Counter,
        /// Requests whose body was too large to be kept for a retry.
        retry_body_too_large: Counter,
        /// Requests that `istio_requests_total` counts under `response_code="other"`, because the cluster has as many series as it may.
        request_series_overflow_total: Counter,
    }
}

stats! {
    /// What the breaker did; exists where the cluster has one.
    pub struct BreakerStats in "cluster.<name>.fuseboard.breaker" {
        /// Times it opened, by itself or by order.
        opened: Counter,
        /// Times it went half-open.
        half_opened: Counter,
        /// Times it closed.
        closed: Counter,
        /// Requests that it refused, retries that were not made included.
        refused: Counter,
        /// Requests that were sent to see how the destination is.
        probes: Counter,
    }
}

stats! {
    /// What a breaker in shadow mode would have done.
    pub struct ShadowStats in "cluster.<name>.fuseboard.breaker" {
        /// Requests that were let pass and that `enforce` would have refused.
        refused_shadow: Counter,
    }
}

impl BreakerStats {
    /// Adds a change of state.
    pub(crate) fn count(&self, transition: &Transition) {
        if transition.from == transition.to {
            return;
        }
        match transition.to {
            State::Open => self.opened.inc(),
            State::HalfOpen => self.half_opened.inc(),
            State::Closed => self.closed.inc(),
        }
    }
}

impl From<&ClusterStatus> for ShadowStats {
    fn from(status: &ClusterStatus) -> Self {
        let block = Self::default();
        let let_pass = breakers(status).map(|breaker| breaker.view.would_have_refused).sum::<u64>();
        block.refused_shadow.add(let_pass + status.let_pass_by_gone);
        block
    }
}

impl From<&ClusterStatus> for MembershipStats {
    fn from(status: &ClusterStatus) -> Self {
        let block = Self::default();
        block.membership_change.add(status.membership_changes);
        block
    }
}

impl ClusterBlock {
    /// TLS.
    pub fn ssl(&self) -> &ClusterSslStats {
        self.ssl.get_or_init(Box::default)
    }

    /// Adds what an event of the outlier detector counts.
    pub(crate) fn count_event(&self, event: &OutlierEvent) {
        for counter in event.counters() {
            self.outlier.cell(counter).inc();
        }
        if matches!(event.action, OutlierAction::Returned { .. }) {
            self.own.unejections_total.inc();
        }
    }
}

impl OutlierStats {
    const fn cell(&self, counter: OutlierCounter) -> &Counter {
        use DetectionKind as D;
        use OutlierCounter as C;
        match counter {
            C::Consecutive5xx => &self.ejections_consecutive_5xx,
            C::Total => &self.ejections_total,
            C::Overflow => &self.ejections_overflow,
            C::EnforcedTotal => &self.ejections_enforced_total,
            C::SuccessRate => &self.ejections_success_rate,
            C::Detected(by) => match by {
                D::Consecutive5xx => &self.ejections_detected_consecutive_5xx,
                D::ConsecutiveGatewayFailure => &self.ejections_detected_consecutive_gateway_failure,
                D::ConsecutiveLocalOriginFailure => &self.ejections_detected_consecutive_local_origin_failure,
                D::SuccessRate => &self.ejections_detected_success_rate,
                D::LocalOriginSuccessRate => &self.ejections_detected_local_origin_success_rate,
                D::FailurePercentage => &self.ejections_detected_failure_percentage,
                D::LocalOriginFailurePercentage => &self.ejections_detected_local_origin_failure_percentage,
            },
            C::Enforced(by) => match by {
                D::Consecutive5xx => &self.ejections_enforced_consecutive_5xx,
                D::ConsecutiveGatewayFailure => &self.ejections_enforced_consecutive_gateway_failure,
                D::ConsecutiveLocalOriginFailure => &self.ejections_enforced_consecutive_local_origin_failure,
                D::SuccessRate => &self.ejections_enforced_success_rate,
                D::LocalOriginSuccessRate => &self.ejections_enforced_local_origin_success_rate,
                D::FailurePercentage => &self.ejections_enforced_failure_percentage,
                D::LocalOriginFailurePercentage => &self.ejections_enforced_local_origin_failure_percentage,
            },
        }
    }
}
