//! Scopes `listener.<address>` and `http.<prefix>`: what one worker counts for one listener.

use fuseboard_stats::{Codes, stats};

use super::refused::Refused;
use super::ssl::ListenerSslStats;

/// All that one worker counts for one listener.
#[derive(Debug, Default)]
pub struct ListenerBlock {
    /// Envoy's listener stats.
    pub listener: ListenerStats,
    /// Envoy's HTTP connection manager stats.
    pub http: HttpStats,
    /// Responses by status; shown by class and in total, as Envoy does.
    pub codes: Codes,
    /// TLS.
    pub ssl: ListenerSslStats,
    /// What Envoy does not count.
    pub own: OwnListenerStats,
    /// Refusals by reason.
    pub refused: Refused,
}

stats! {
    /// Envoy's listener stats.
    pub struct ListenerStats in "listener.<address>" {
        /// Connections taken.
        downstream_cx_total: Counter,
        /// Connections open now.
        downstream_cx_active: Gauge,
        /// Connections closed.
        downstream_cx_destroy: Counter,
        /// Connections refused because the listener's bound was reached.
        downstream_cx_overflow: Counter,
        /// Connections refused because all that may be open at all listeners together were.
        downstream_global_cx_overflow: Counter,
        /// Connections closed because the TLS handshake took too long.
        downstream_cx_transport_socket_connect_timeout: Counter,
        /// Life of a connection, in milliseconds.
        downstream_cx_length_ms: Histogram,
    }
}

stats! {
    /// What Envoy does not count.
    pub struct OwnListenerStats in "listener.<address>.fuseboard" {
        /// Connections that the system could not give us (out of file descriptors or memory).
        accept_failed: Counter,
        /// Connections that did not begin with the PROXY header that they must begin with.
        proxy_header_malformed: Counter,
        /// Connections whose PROXY header did not come in time.
        proxy_header_timeout: Counter,
        /// Connections of which it was not found out in time what they carry; they were served as TCP.
        detection_timeout: Counter,
        /// Connections on which a caller spoke plain HTTP where TLS was expected.
        plain_text_on_tls: Counter,
    }
}

stats! {
    /// Envoy's HTTP connection manager stats, as far as we can move them. The classes of
    /// `downstream_rq_<n>xx` and `downstream_rq_completed` are made from the counts by status.
    pub struct HttpStats in "http.<prefix>" {
        /// Connections taken.
        downstream_cx_total: Counter,
        /// HTTP/1.1 connections taken.
        downstream_cx_http1_total: Counter,
        /// HTTP/2 connections taken.
        downstream_cx_http2_total: Counter,
        /// Connections with TLS taken.
        downstream_cx_ssl_total: Counter,
        /// Connections open now.
        downstream_cx_active: Gauge,
        /// Connections with TLS open now.
        downstream_cx_ssl_active: Gauge,
        /// HTTP/1.1 connections open now.
        downstream_cx_http1_active: Gauge,
        /// HTTP/2 connections open now.
        downstream_cx_http2_active: Gauge,
        /// Connections closed.
        downstream_cx_destroy: Counter,
        /// Connections closed by us.
        downstream_cx_destroy_local: Counter,
        /// Connections closed by the caller.
        downstream_cx_destroy_remote: Counter,
        /// Connections closed during a request.
        downstream_cx_destroy_active_rq: Counter,
        /// Connections closed by us during a request.
        downstream_cx_destroy_local_active_rq: Counter,
        /// Connections closed by the caller during a request.
        downstream_cx_destroy_remote_active_rq: Counter,
        /// Connections closed because they were idle for too long.
        downstream_cx_idle_timeout: Counter,
        /// Connections closed because we are draining.
        downstream_cx_drain_close: Counter,
        /// Connections on which the caller broke HTTP.
        downstream_cx_protocol_error: Counter,
        /// Connections that were upgraded (WebSocket).
        downstream_cx_upgrades_total: Counter,
        /// Upgraded connections open now.
        downstream_cx_upgrades_active: Gauge,
        /// Bytes received.
        downstream_cx_rx_bytes_total: Counter,
        /// Bytes sent.
        downstream_cx_tx_bytes_total: Counter,
        /// Life of a connection, in milliseconds.
        downstream_cx_length_ms: Histogram,
        /// Requests received.
        downstream_rq_total: Counter,
        /// HTTP/1.1 requests received.
        downstream_rq_http1_total: Counter,
        /// HTTP/2 requests received.
        downstream_rq_http2_total: Counter,
        /// Requests being served now.
        downstream_rq_active: Gauge,
        /// Requests whose head did not arrive in time.
        downstream_rq_header_timeout: Counter,
        /// Requests whose client stalled for too long: it sent no more of the body, or took no more of the answer.
        downstream_rq_idle_timeout: Counter,
        /// Requests that ended before their end: given up by the caller, malformed, answered early, or broken off.
        downstream_rq_rx_reset: Counter,
        /// Requests that we reset.
        downstream_rq_tx_reset: Counter,
        /// Never moves: no body is kept whole.
        downstream_rq_too_large: Counter,
        /// Requests that were answered before they were complete.
        downstream_rq_response_before_rq_complete: Counter,
        /// Time from a request's first byte to the last byte of its answer, in milliseconds.
        downstream_rq_time: Histogram,
        /// Requests that were routed, or refused for want of a route.
        rq_total: Counter,
        /// Requests without a matching route.
        no_route: Counter,
        /// Calls of gRPC whose host broke their answer off.
        rq_reset_after_downstream_response_started: Counter,
    }
}
