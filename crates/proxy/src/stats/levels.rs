//! Gauges that follow from limits and hosts, computed when read (difference D13: Envoy refreshes them only on change).

use fuseboard_admin::status::{BreakerStatus, ClusterStatus};
use fuseboard_core::breaker::{BreakerView, Force, Mode, State};
use fuseboard_core::limit::Priority;
use fuseboard_stats::stats;

stats! {
    /// What a cluster does now.
    pub struct ClusterLevels in "cluster.<name>" {
        /// Connections open now: connecting, busy, idle and closing.
        upstream_cx_active: Level,
        /// Requests in flight.
        upstream_rq_active: Level,
        /// Requests that wait for a connection.
        upstream_rq_pending_active: Level,
        /// Hosts.
        membership_total: Level,
        /// Hosts that are neither ejected, nor reported as not ready, nor kept out by breakers of their own.
        membership_healthy: Level,
    }
}

stats! {
    /// Whether a limit is reached. Reached is no fault: with `maxConnections: 1` one idle connection shows `cx_open: 1`.
    pub struct BreakerLevels in "cluster.<name>.circuit_breakers.<priority>" {
        /// `maxConnections` are open.
        cx_open: Level,
        /// Connections to `maxConnectionPools` hosts are open.
        cx_pool_open: Level,
        /// `http1MaxPendingRequests` wait.
        rq_pending_open: Level,
        /// `http2MaxRequests` are in flight.
        rq_open: Level,
        /// `maxRetries` are in flight.
        rq_retry_open: Level,
    }
}

stats! {
    /// What is left until a limit is reached. For the default priority, as with Istio.
    pub struct RemainingLevels in "cluster.<name>.circuit_breakers.default" {
        /// Connections that may still be opened.
        remaining_cx: Level,
        /// Requests that may still begin to wait.
        remaining_pending: Level,
        /// Requests that may still be sent.
        remaining_rq: Level,
        /// Retries that may still be made.
        remaining_retries: Level,
        /// Hosts to which a first connection may still be opened.
        remaining_cx_pools: Level,
    }
}

stats! {
    /// Ejections in force.
    pub struct OutlierLevels in "cluster.<name>.outlier_detection" {
        /// Hosts ejected now.
        ejections_active: Level,
    }
}

stats! {
    /// The limits of the default priority; 4294967295 where none is set.
    pub struct LimitLevels in "cluster.<name>.fuseboard.limit" {
        /// `maxConnections`
        connections: Level,
        /// `http1MaxPendingRequests`
        queue: Level,
        /// `http2MaxRequests`
        requests: Level,
        /// `maxRetries`
        retries: Level,
        /// `maxConnectionPools`
        pools: Level,
    }
}

stats! {
    /// How the breaker stands.
    pub struct StateLevels in "cluster.<name>.fuseboard.breaker" {
        /// 0 closed, 1 open, 2 half-open.
        state: Level,
        /// Share of the traffic that is let through, in percent; below 100 on the way back after closing, 0 while open or half-open.
        traffic_percent: Level,
        /// Probes in flight.
        probes_active: Level,
        /// 1 while an override is in force.
        overridden: Level,
        /// 1 while somebody has opened it by hand.
        forced_open: Level,
        /// 1 while somebody holds it closed by hand.
        forced_closed: Level,
        /// 1 if its decisions are not carried out (mode `shadow`).
        shadow: Level,
    }
}

stats! {
    /// How the breakers of the endpoints stand; exists where each endpoint has its own, or somebody holds one by hand.
    pub struct EndpointStateLevels in "cluster.<name>.fuseboard.breaker" {
        /// Endpoints whose breaker is open.
        endpoints_open: Level,
        /// Endpoints whose breaker is half-open.
        endpoints_half_open: Level,
    }
}

impl From<&ClusterStatus> for StateLevels {
    /// Of several endpoints' breakers: closed while one of them is, then half-open while one of them is; the largest share of traffic.
    /// The breaker of the whole cluster stands above them. An endpoint without one takes everything.
    fn from(status: &ClusterStatus) -> Self {
        let speaking = breakers(status).take(status.breaker.as_ref().map_or(usize::MAX, |_| 1));
        let views: Vec<&BreakerView> = speaking.map(|breaker| &breaker.view).collect();
        let calmest_first = [State::Closed, State::HalfOpen, State::Open];
        let is_forced = |force| {
            let mut orders = breakers(status).filter_map(|breaker| breaker.view.forced.as_ref());
            orders.any(|order| order.force == force)
        };
        let all_have = status.breaker.is_some() || status.hosts.iter().all(|host| host.breaker.is_some());
        let views = if all_have { views } else { Vec::new() };
        let state = calmest_first.into_iter().find(|state| views.iter().any(|view| view.state == *state));
        let number = State::ALL.iter().position(|one| Some(*one) == state).unwrap_or(0);
        Self {
            state: (number as u64).into(),
            traffic_percent: views
                .iter()
                .map(|view| u64::from(view.traffic_percent))
                .max()
                .unwrap_or(100)
                .into(),
            probes_active: views.iter().map(|view| u64::from(view.probes_out)).sum::<u64>().into(),
            overridden: breakers(status).any(|breaker| breaker.view.forced.is_some()).into(),
            forced_open: is_forced(Force::Open).into(),
            forced_closed: is_forced(Force::Closed).into(),
            shadow: views.iter().any(|view| view.mode == Mode::Shadow).into(),
        }
    }
}

impl From<&ClusterStatus> for EndpointStateLevels {
    fn from(status: &ClusterStatus) -> Self {
        let count = |state| breakers(status).filter(|breaker| breaker.view.state == state).count() as u64;
        Self { endpoints_open: count(State::Open).into(), endpoints_half_open: count(State::HalfOpen).into() }
    }
}

/// The breaker of all calls, or those of the endpoints.
pub(super) fn breakers(status: &ClusterStatus) -> impl Iterator<Item = &BreakerStatus> {
    status.breaker.iter().chain(status.hosts.iter().filter_map(|host| host.breaker.as_ref()))
}

impl From<&ClusterStatus> for ClusterLevels {
    fn from(status: &ClusterStatus) -> Self {
        Self {
            upstream_cx_active: status.connections().into(),
            upstream_rq_active: status.requests().into(),
            upstream_rq_pending_active: status.pending().into(),
            membership_total: (status.hosts.len() as u64).into(),
            membership_healthy: (status.healthy_hosts() as u64).into(),
        }
    }
}

impl BreakerLevels {
    /// The limit of pools is one for both priorities, and shown at the first.
    pub(super) fn of(status: &ClusterStatus, priority: Priority) -> Self {
        let limits = status.limits.get(priority);
        let pools_full = priority == Priority::Default && status.pools() >= status.max_pools();
        Self {
            cx_open: limits.cx_open().into(),
            cx_pool_open: pools_full.into(),
            rq_pending_open: limits.rq_pending_open().into(),
            rq_open: limits.rq_open().into(),
            rq_retry_open: limits.rq_retry_open().into(),
        }
    }
}

impl From<&ClusterStatus> for RemainingLevels {
    fn from(status: &ClusterStatus) -> Self {
        let limits = &status.limits.default;
        Self {
            remaining_cx_pools: status.max_pools().saturating_sub(status.pools()).into(),
            remaining_cx: limits.remaining_cx().into(),
            remaining_pending: limits.remaining_pending().into(),
            remaining_rq: limits.remaining_rq().into(),
            remaining_retries: limits.remaining_retries().into(),
        }
    }
}

impl From<&ClusterStatus> for OutlierLevels {
    fn from(status: &ClusterStatus) -> Self {
        Self { ejections_active: (status.ejected_hosts() as u64).into() }
    }
}

impl From<&ClusterStatus> for LimitLevels {
    fn from(status: &ClusterStatus) -> Self {
        let bounds = status.limits.default.thresholds;
        Self {
            pools: status.max_pools().into(),
            connections: bounds.max_connections.into(),
            queue: bounds.max_pending_requests.into(),
            requests: bounds.max_requests.into(),
            retries: bounds.max_retries.into(),
        }
    }
}
