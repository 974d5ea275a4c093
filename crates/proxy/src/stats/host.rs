//! Stats of one host, as `/clusters` shows them.

fuseboard_stats::stats! {
    /// Numbers of one host of one cluster.
    pub struct HostStats in "cluster.<name>.host.<address>" {
        /// Connections made.
        cx_total: Counter,
        /// Connections that could not be made.
        cx_connect_fail: Counter,
        /// Tries sent.
        rq_total: Counter,
        /// Tries that were answered below 500.
        rq_success: Counter,
        /// Tries that were answered 5xx, reset, or answered and made again.
        rq_error: Counter,
        /// Tries that ran out of time.
        rq_timeout: Counter,
    }
}
