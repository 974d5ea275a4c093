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
        let thresholds =
            Thresholds { max_connections: 5, max_pending_requests: 6, max_requests: 7, max_retries: 8 };
        let idle = LimitView::idle(thresholds);
        let at = |more: i32| LimitView {
            connections: 5_u32.saturating_add_signed(more),
            pending: 6_u32.saturating_add_signed(more),
            requests: 7_u32.saturating_add_signed(more),
            retries: 8_u32.saturating_add_signed(more),
            ..idle
        };
        let open =
            |view: LimitView| [view.cx_open(), view.rq_pending_open(), view.rq_open(), view.rq_retry_open()];
        let remaining = |view: LimitView| {
            [view.remaining_cx(), view.remaining_pending(), view.remaining_rq(), view.remaining_retries()]
        };
        assert_eq!((open(idle), remaining(idle)), ([false; 4], [5, 6, 7, 8]));
        assert_eq!((open(at(-2)), remaining(at(-2))), ([false; 4], [2; 4]));
        assert_eq!((open(at(0)), remaining(at(0))), ([true; 4], [0; 4]));
        assert_eq!((open(at(3)), remaining(at(3))), ([true; 4], [0; 4]), "a limit that was lowered");
        // Each by its own count.
        assert_eq!(open(LimitView { connections: 5, ..idle }), [true, false, false, false]);
        assert_eq!(open(LimitView { pending: 6, ..idle }), [false, true, false, false]);
        assert_eq!(open(LimitView { requests: 7, ..idle }), [false, false, true, false]);
        assert_eq!(open(LimitView { retries: 8, ..idle }), [false, false, false, true]);
    }
}
