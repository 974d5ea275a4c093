//! Scope `tcp.<prefix>` and Istio's metrics of TCP connections: what one worker counts for the TCP connections to one cluster.

use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::Cluster;
use fuseboard_stats::{Keyed, Reading, Scope, stats};

use super::requests::{Ending, From, flags_text};

stats! {
    /// Envoy's TCP proxy stats; the prefix is the cluster's name. They exist where a listener leads to the cluster.
    pub struct TcpStats in "tcp.<prefix>" {
        /// Connections taken.
        downstream_cx_total: Counter,
        /// Bytes received from clients.
        downstream_cx_rx_bytes_total: Counter,
        /// Bytes sent to clients.
        downstream_cx_tx_bytes_total: Counter,
        /// Connections closed because nothing went through them for too long.
        idle_timeout: Counter,
        /// Connections closed because of their age (`maxConnectionDuration`).
        max_downstream_connection_duration: Counter,
    }
}

stats! {
    /// What one worker counts for one of Istio's series.
    pub struct TcpConnectionStats in "istiocustom" {
        /// Connections taken.
        istio_tcp_connections_opened_total: Counter,
        /// Connections closed.
        istio_tcp_connections_closed_total: Counter,
        /// Bytes sent to clients.
        istio_tcp_sent_bytes_total: Counter,
        /// Bytes received from clients.
        istio_tcp_received_bytes_total: Counter,
    }
}

/// The TCP series of one cluster. Connections are opened, and bytes counted, before it is known how a connection ends: under
/// no flag. They are closed under theirs.
pub type TcpSeries = Keyed<TcpConnectionStats>;

/// How a connection stands that has not ended.
pub(crate) const OPEN: Ending = Ending { status: 0, flags: [None; 3], reason: None, grpc: None };

/// Adds the series of one cluster to a reading.
pub(super) fn collect(reading: &mut Reading, from: &From, to: &Cluster, series: &TcpSeries) {
    for (key, blocks) in series.iter() {
        let ending = key.map(Ending::of_key);
        let flags = ending.map_or_else(|| "other".into(), |ending| flags_text(&ending.flags));
        let refused = ending.and_then(|ending| ending.reason).map_or("", RefusalReason::token);
        let labels = from.tcp_labels(to, flags, refused);
        let scope = reading.scope(Scope::labelled("istiocustom", labels));
        reading.block(scope, blocks.iter().copied());
    }
}
