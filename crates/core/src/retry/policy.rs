//! When a try may be made again, as the route says. Parsing `retry_on` is `config`'s.

use std::time::Duration;

/// Envoy's `RetryPolicy` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Conditions under which a try is made again.
    pub retry_on: RetryOn,
    /// Statuses for [`RetryOn::RETRIABLE_STATUS_CODES`].
    pub retriable_status_codes: Vec<u16>,
    /// Tries after the first. Istio's default: 2.
    pub num_retries: u32,
    /// Bound of one try; `None`: only the route's time-out counts.
    pub per_try_timeout: Option<Duration>,
    /// First back-off interval. Envoy's default: 25 ms. Fully jittered, doubling up to `max_interval`.
    pub base_interval: Duration,
    /// Envoy's default: ten times the base.
    pub max_interval: Duration,
    /// Leave out hosts already tried, asking the balancer up to this often (Istio: 5; 0: not at all).
    pub host_selection_attempts: u32,
}

/// A set of Envoy's `retry_on` conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(pub u16);

impl RetryOn {
    /// `5xx`
    pub const FIVE_XX: Self = Self(1);
    /// `gateway-error`
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    /// `reset`
    pub const RESET: Self = Self(1 << 2);
    /// `reset-before-request`
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 3);
    /// `connect-failure`
    pub const CONNECT_FAILURE: Self = Self(1 << 4);
    /// `retriable-4xx`
    pub const RETRIABLE_4XX: Self = Self(1 << 5);
    /// `refused-stream`
    pub const REFUSED_STREAM: Self = Self(1 << 6);
    /// `retriable-status-codes`
    pub const RETRIABLE_STATUS_CODES: Self = Self(1 << 7);
    /// gRPC `unavailable` (trailers-only answers)
    pub const UNAVAILABLE: Self = Self(1 << 8);
    /// gRPC `cancelled` (trailers-only answers)
    pub const CANCELLED: Self = Self(1 << 9);

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every condition of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl RetryPolicy {
    /// Istio's default for outbound HTTP routes: `connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes`,
    /// no status codes, 2 retries, 25 ms back-off, previous hosts left out.
    pub fn istio_default() -> Self {
        Self {
            retry_on: RetryOn::CONNECT_FAILURE
                .union(RetryOn::REFUSED_STREAM)
                .union(RetryOn::UNAVAILABLE)
                .union(RetryOn::CANCELLED)
                .union(RetryOn::RETRIABLE_STATUS_CODES),
            retriable_status_codes: Vec::new(),
            num_retries: 2,
            per_try_timeout: None,
            base_interval: Duration::from_millis(25),
            max_interval: Duration::from_millis(250),
            host_selection_attempts: 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_one_of_its_own() {
        let all = [
            RetryOn::FIVE_XX,
            RetryOn::GATEWAY_ERROR,
            RetryOn::RESET,
            RetryOn::RESET_BEFORE_REQUEST,
            RetryOn::CONNECT_FAILURE,
            RetryOn::RETRIABLE_4XX,
            RetryOn::REFUSED_STREAM,
            RetryOn::RETRIABLE_STATUS_CODES,
            RetryOn::UNAVAILABLE,
            RetryOn::CANCELLED,
        ];
        for (index, one) in all.into_iter().enumerate() {
            for (other_index, other) in all.into_iter().enumerate() {
                assert_eq!(one.contains(other), index == other_index);
                let both = one.union(other);
                assert!(both.contains(one) && both.contains(other));
            }
        }
    }
}
