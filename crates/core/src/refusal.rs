//! The closed list of reasons for which Fuseboard answers in place of the upstream.
//! The same token appears in the access log, metric label, refusal record, `fuseboard why` and the documentation.

use crate::breaker::RefusedBy;

/// Why a request was refused or failed on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RefusalReason {
    /// `maxConnections` reached by traffic that cannot wait in a queue (upgrades, TCP).
    LimitConnections,
    /// All connections busy and `http1MaxPendingRequests` waiting.
    LimitQueueFull,
    /// Waited for a connection longer than the queue time-out allows.
    LimitQueueTimeout,
    /// `http2MaxRequests` reached.
    LimitRequests,
    /// The chosen host has no connection, and `maxConnectionPools` other hosts have some that are busy.
    LimitPools,
    /// A retry was wanted and `maxRetries` was reached; the earlier answer is passed on.
    LimitRetries,
    /// The listener's own bound on downstream connections.
    LimitDownstreamConnections,
    /// Nobody healthy to send to.
    NoHealthy,
    /// The destination's breaker is open.
    BreakerOpen,
    /// The destination's breaker is half-open, and all its probes are out.
    BreakerProbeBusy,
    /// The destination's breaker closed lately, and this request is not in the part of the traffic that is let through.
    BreakerRamp,
    /// The cluster's `tls` settings are not supported yet; plaintext would be wrong.
    TlsUnsupported,
    /// A certificate, key or secret that the cluster's `tls` settings name can't be used; plaintext would be wrong.
    TlsNotReady,
}

impl RefusalReason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::LimitConnections,
        Self::LimitQueueFull,
        Self::LimitQueueTimeout,
        Self::LimitRequests,
        Self::LimitPools,
        Self::LimitRetries,
        Self::LimitDownstreamConnections,
        Self::NoHealthy,
        Self::BreakerOpen,
        Self::BreakerProbeBusy,
        Self::BreakerRamp,
        Self::TlsUnsupported,
        Self::TlsNotReady,
    ];

    /// The stable token.
    pub const fn token(self) -> &'static str {
        match self {
            Self::LimitConnections => "limit.connections",
            Self::LimitQueueFull => "limit.queue_full",
            Self::LimitQueueTimeout => "limit.queue_timeout",
            Self::LimitRequests => "limit.requests",
            Self::LimitPools => "limit.pools",
            Self::LimitRetries => "limit.retries",
            Self::LimitDownstreamConnections => "limit.downstream_connections",
            Self::NoHealthy => "no_healthy",
            Self::BreakerOpen => RefusedBy::Open.token(),
            Self::BreakerProbeBusy => RefusedBy::ProbeBusy.token(),
            Self::BreakerRamp => RefusedBy::Ramp.token(),
            Self::TlsUnsupported => "tls.unsupported",
            Self::TlsNotReady => "tls.not_ready",
        }
    }

    /// What it means, in a few words that fit into a line behind the token.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::LimitConnections => {
                "every connection was busy, and upgrades and TCP connections cannot wait"
            }
            Self::LimitQueueFull => "every connection was busy and the queue was full",
            Self::LimitQueueTimeout => "waited for a connection longer than the rule allows",
            Self::LimitRequests => "as many requests in flight as the rule allows",
            Self::LimitPools => "connections to as many hosts as the policy allows, all of them busy",
            Self::LimitRetries => "as many retries in flight as the rule allows; the earlier answer goes on",
            Self::LimitDownstreamConnections => {
                "the listener, or the proxy, had all the connections it may have"
            }
            Self::NoHealthy => "every host was ejected or not ready, or there is none",
            Self::BreakerOpen => "the breaker is open: the destination failed or hung, and has a rest",
            Self::BreakerProbeBusy => "the breaker is half-open, and its probes are still out",
            Self::BreakerRamp => "the breaker has closed lately, and traffic comes back in steps",
            Self::TlsUnsupported => "the rule asks for TLS that is not there yet; never plaintext instead",
            Self::TlsNotReady => {
                "a certificate, key or secret that the rule names can't be used; never plaintext instead"
            }
        }
    }

    /// Whether a breaker refused, and neither a limit nor the want of a host.
    pub const fn is_of_breaker(self) -> bool {
        matches!(self, Self::BreakerOpen | Self::BreakerProbeBusy | Self::BreakerRamp)
    }

    /// The reason with this token.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.token() == token)
    }
}

impl From<RefusedBy> for RefusalReason {
    fn from(by: RefusedBy) -> Self {
        match by {
            RefusedBy::Open => Self::BreakerOpen,
            RefusedBy::ProbeBusy => Self::BreakerProbeBusy,
            RefusedBy::Ramp => Self::BreakerRamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_unique_and_reads_back() {
        for reason in RefusalReason::ALL {
            assert_eq!(RefusalReason::from_token(reason.token()), Some(reason));
        }
    }
}
