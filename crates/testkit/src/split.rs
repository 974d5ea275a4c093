//! The arithmetic of a burst: how many requests run, wait and are refused when all have come before the first is answered.

use fuseboard_core::limit::Thresholds;

/// Where the requests of a burst are while the origin holds its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// In the origin's hands.
    pub running: u32,
    /// In the proxy's queue.
    pub waiting: u32,
    /// Answered 503.
    pub refused: u32,
}

impl Split {
    /// `thresholds` as they are where each connection carries `streams` requests at a time: every stream is a slot, as a
    /// connection of HTTP/1.1 is one.
    #[must_use]
    pub const fn slots(thresholds: &Thresholds, streams: u32) -> Thresholds {
        Thresholds { max_connections: thresholds.max_connections.saturating_mul(streams), ..*thresholds }
    }

    /// What `thresholds` make of `n` requests: connections and queue together admit, unless fewer requests are allowed than
    /// connections; then nobody waits.
    pub const fn of(thresholds: &Thresholds, n: u32) -> Self {
        let admitted = if thresholds.max_requests < thresholds.max_connections {
            thresholds.max_requests
        } else {
            thresholds.max_connections.saturating_add(thresholds.max_pending_requests)
        };
        let running = Self::running_bound(thresholds);
        let admitted = if admitted < n { admitted } else { n };
        let running = if running < admitted { running } else { admitted };
        Self { running, waiting: admitted - running, refused: n - admitted }
    }

    /// Requests that the origin may see at a time.
    pub const fn running_bound(thresholds: &Thresholds) -> u32 {
        if thresholds.max_requests < thresholds.max_connections {
            thresholds.max_requests
        } else {
            thresholds.max_connections
        }
    }

    /// Those that run and those that wait.
    pub const fn admitted(self) -> u32 {
        self.running + self.waiting
    }
}

#[cfg(test)]
mod tests {
    use fuseboard_core::limit::UNLIMITED;

    use super::*;

    fn of(connections: u32, pending: u32, requests: u32, n: u32) -> (u32, u32, u32) {
        let thresholds = Thresholds {
            max_connections: connections,
            max_pending_requests: pending,
            max_requests: requests,
            max_retries: UNLIMITED,
        };
        told(Split::of(&thresholds, n))
    }

    fn told(split: Split) -> (u32, u32, u32) {
        (split.running, split.waiting, split.refused)
    }

    #[test]
    fn streams_multiply_connections_and_nothing_else() {
        let limits = |requests| Thresholds {
            max_connections: 2,
            max_pending_requests: 1,
            max_requests: requests,
            max_retries: UNLIMITED,
        };
        let of = |requests, n| told(Split::of(&Split::slots(&limits(requests), 3), n));
        assert_eq!(of(UNLIMITED, 9), (6, 1, 2));
        assert_eq!(of(6, 9), (6, 1, 2));
        assert_eq!(of(5, 9), (5, 0, 4));
        assert_eq!(Split::slots(&Thresholds::UNLIMITED, 3), Thresholds::UNLIMITED);
    }

    #[test]
    fn connections_and_queue_admit_together_unless_fewer_requests_are_allowed() {
        assert_eq!(of(2, 1, UNLIMITED, 6), (2, 1, 3));
        assert_eq!(of(2, 1, 2, 6), (2, 1, 3));
        assert_eq!(of(2, 1, 1, 6), (1, 0, 5));
        assert_eq!(of(1, 0, UNLIMITED, 1), (1, 0, 0));
        assert_eq!(of(UNLIMITED, 1, 3, 4), (3, 0, 1));
        assert_eq!(of(UNLIMITED, UNLIMITED, UNLIMITED, 9), (9, 0, 0));
    }
}
