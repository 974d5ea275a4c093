//! What the words of one cluster and priority say, for gauges: evaluated when read, not when something changes.

use super::Thresholds;

/// Counts and bounds of one moment. The counts come from the words that admit and refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitView {
    /// The bounds in force.
    pub thresholds: Thresholds,
    /// Open connections: connecting, busy, idle and closing. Envoy's `upstream_cx_active`.
    pub connections: u32,
    /// Requests that wait. Envoy's `upstream_rq_pending_active`.
    pub pending: u32,
    /// Slots in use. Envoy's `upstream_rq_active`.
    pub requests: u32,
    /// Retries in flight.
    pub retries: u32,
}

impl LimitView {
    /// Nothing counts against these bounds.
    pub const fn idle(thresholds: Thresholds) -> Self {
        Self { thresholds, connections: 0, pending: 0, requests: 0, retries: 0 }
    }

    /// Envoy's `cx_open`: the connection limit is reached.
    pub const fn cx_open(&self) -> bool {
        self.connections >= self.thresholds.max_connections
    }

    /// Envoy's `rq_pending_open`: the queue is full.
    pub const fn rq_pending_open(&self) -> bool {
        self.pending >= self.thresholds.max_pending_requests
    }

    /// Envoy's `rq_open`: the request limit is reached.
    pub const fn rq_open(&self) -> bool {
        self.requests >= self.thresholds.max_requests
    }

    /// Envoy's `rq_retry_open`: the retry limit is reached.
    pub const fn rq_retry_open(&self) -> bool {
        self.retries >= self.thresholds.max_retries
    }

    /// Envoy's `remaining_cx`.
    pub const fn remaining_cx(&self) -> u32 {
        self.thresholds.max_connections.saturating_sub(self.connections)
    }

    /// Envoy's `remaining_pending`.
    pub const fn remaining_pending(&self) -> u32 {
        self.thresholds.max_pending_requests.saturating_sub(self.pending)
    }

    /// Envoy's `remaining_rq`.
    pub const fn remaining_rq(&self) -> u32 {
        self.thresholds.max_requests.saturating_sub(self.requests)
    }

    /// Envoy's `remaining_retries`.
    pub const fn remaining_retries(&self) -> u32 {
        self.thresholds.max_retries.saturating_sub(self.retries)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn open_means_that_the_limit_is_reached_and_remaining_never_wraps() {
        let view = LimitView {
            thresholds: Thresholds { max_connections: 2, max_retries: 4, ..Thresholds::UNLIMITED },
            connections: 3,
            pending: 0,
            requests: 3,
            retries: 3,
        };
        assert!(view.cx_open() && !view.rq_pending_open() && !view.rq_open() && !view.rq_retry_open());
        assert_eq!((view.remaining_cx(), view.remaining_retries()), (0, 1));
        assert_eq!(view.remaining_rq(), u32::MAX - 3);
    }
}
