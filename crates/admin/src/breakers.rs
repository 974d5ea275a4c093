//! `/fuseboard/v1/breakers`: the breaker of every cluster or of its endpoints, why it is in its state, what it goes by and where that was written,
//! beside the limits and hosts of the cluster and what happened to it lately. What `fuseboard breaker` reads. Version 1; fields
//! are only ever added.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::SystemTime;

use fuseboard_core::Instant;
use fuseboard_core::breaker::{BreakerView, Mode};
use fuseboard_core::limit::{LimitView, UNLIMITED};
use fuseboard_snapshot::{
    BreakerScope, BreakerSetting, ClusterBreaker, ClusterFallback, FallbackSetting, Origin,
};
use serde::{Deserialize, Serialize};

use crate::happening::force_word;
use crate::hosts::Service;
use crate::page::Page;
use crate::refusals::{Rule, millis, timestamp};
use crate::status::{BreakerStatus, ClusterStatus, HistoryRecord, HostStatus};

pub use crate::happening::{Event, Reason, What, cause_words};

/// The breakers of all clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breakers {
    /// 1
    pub version: u32,
    /// One entry per cluster, with a breaker or without; sorted by name.
    pub clusters: Vec<ClusterState>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Envoy's name.
    pub cluster: String,
    /// The service it is for.
    pub service: Service,
    /// The breaker of all its calls; null where no `CircuitBreaker` is for it, or each endpoint has its own.
    pub breaker: Option<Breaker>,
    /// The breakers of its endpoints; absent unless each has its own, or an override of one is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_breakers: Option<EndpointBreakers>,
    /// What counts against its limits now, at default priority.
    pub limits: Limits,
    /// Its hosts.
    pub hosts: Hosts,
    /// What is answered in place of a failure: settings, then steps; absent where no `Fallback` is for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Setting>,
    /// Changes of the breaker and ejections of hosts, the last 128, oldest first.
    pub history: Vec<Event>,
}

/// A breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// When that began; RFC 3339, UTC, milliseconds.
    pub since: String,
    /// Milliseconds since then.
    pub since_ms: u64,
    /// Why.
    pub cause: Reason,
    /// Until when it is open; null unless it is.
    pub open_until: Option<String>,
    /// Milliseconds until a call may be a probe, 0: the next one; null unless it is open.
    pub next_probe_in_ms: Option<u64>,
    /// The calls that percentages are of.
    pub window: Window,
    /// Failures in a row now; 0 where the policy does not ask for them.
    pub consecutive_failures: u32,
    /// Probes in flight.
    pub probes_out: u32,
    /// Good probes since half-open began.
    pub good_probes: u32,
    /// The share of traffic that is let through.
    pub traffic_percent: u8,
    /// How often it opened by itself.
    pub trips: u64,
    /// Calls that shadow mode let pass and enforce would have refused.
    pub would_have_refused: u64,
    /// `enforce`, `shadow` or `disabled`; the last is that of a breaker that only an override made.
    pub mode: String,
    /// The order in force, if there is one.
    pub r#override: Option<Order>,
    /// The settings in force or written; what is off and was not written is absent. For endpoints they stand beside the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

/// The breakers of the endpoints of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointBreakers {
    /// The settings of each of them, as of one breaker; empty where only overrides by hand are the reason for them.
    pub settings: Vec<Setting>,
    /// In the order of the source; only those with an override where there are no settings.
    pub endpoints: Vec<EndpointBreaker>,
}

/// The breaker of one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointBreaker {
    /// Its address.
    pub address: String,
    /// Name of its pod or host; empty where unknown.
    pub pod: String,
    /// How its breaker stands.
    pub breaker: Breaker,
}

/// The calls of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// How many.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were slow.
    pub slow: u64,
    /// Share of failures; null of no calls.
    pub failure_percent: Option<f64>,
    /// Share of slow calls; null of no calls.
    pub slow_percent: Option<f64>,
}

/// An order that stands above the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// `open` or `closed`.
    pub force: String,
    /// When it runs out.
    pub until: String,
    /// Milliseconds until then.
    pub left_ms: u64,
    /// As given by whoever ordered it.
    pub reason: String,
    /// Who ordered it, as far as they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// A setting and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its field below `spec`.
    pub setting: String,
    /// As one would write it; null: switched off.
    pub value: Option<String>,
    /// The file; absent for a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line; absent for a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The resource; absent for a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}

/// The limits of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open connections.
    pub connections: Limit,
    /// Waiting requests.
    pub pending: Limit,
    /// Requests in flight.
    pub requests: Limit,
    /// Retries in flight.
    pub retries: Limit,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// So many now.
    pub now: u32,
    /// At most so many; null: no limit.
    pub limit: Option<u32>,
}

/// The hosts of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosts {
    /// In rotation.
    pub healthy: usize,
    /// Kept out by outlier detection.
    pub ejected: usize,
    /// Kept out by their own breakers only.
    #[serde(default)]
    pub shut: usize,
    /// All.
    pub total: usize,
}

/// The page. `histories`: what happened, by the name of the cluster.
pub fn page<S: BuildHasher>(
    clusters: &[ClusterStatus],
    histories: &HashMap<Arc<str>, Vec<HistoryRecord>, S>,
    now: SystemTime,
) -> Page {
    let state = |status: &ClusterStatus| {
        let history = histories.get(&status.cluster.name).map(Vec::as_slice).unwrap_or_default();
        of_cluster(status, history, now)
    };
    Page::json(&Breakers { version: 1, clusters: clusters.iter().map(state).collect() })
}

/// One cluster as the page has it.
pub(crate) fn of_cluster(status: &ClusterStatus, history: &[HistoryRecord], now: SystemTime) -> ClusterState {
    let rule = status.cluster.breaker.as_ref();
    ClusterState {
        cluster: status.cluster.name.to_string(),
        service: Service::of(&status.cluster.service),
        breaker: status.breaker.as_ref().map(|breaker| {
            // Without a rule it is there because of an override alone.
            let rule = rule.filter(|rule| rule.scope == BreakerScope::Destination);
            Breaker { settings: rule.map_or_else(Vec::new, settings), ..of_breaker(breaker, now) }
        }),
        endpoint_breakers: of_endpoints(status, now),
        limits: Limits::of(&status.limits.default),
        hosts: Hosts {
            healthy: status.healthy_hosts(),
            ejected: status.ejected_hosts(),
            shut: status.shut_hosts(),
            total: status.hosts.len(),
        },
        fallback: status.cluster.fallback.as_deref().map(of_fallback).unwrap_or_default(),
        history: history.iter().map(Event::of).collect(),
    }
}

fn of_fallback(fallback: &ClusterFallback) -> Vec<Setting> {
    let settings = FallbackSetting::ALL.into_iter().filter_map(|setting| {
        let value = fallback.value(setting)?;
        Some(Setting::new(setting.path(), Some(value), fallback.provenance.get(setting)))
    });
    let steps = fallback.steps.iter().enumerate().map(|(index, step)| {
        Setting::new(&format!("steps[{index}]"), Some(fallback.step(index)), Some(&step.origin))
    });
    settings.chain(steps).collect()
}

fn of_endpoints(status: &ClusterStatus, now: SystemTime) -> Option<EndpointBreakers> {
    let rule = status.cluster.breaker.as_ref().filter(|rule| rule.scope == BreakerScope::Endpoint);
    let of_host = |host: &HostStatus| {
        Some(EndpointBreaker {
            address: host.address.to_string(),
            pod: host.hostname.to_string(),
            breaker: of_breaker(host.breaker.as_ref()?, now),
        })
    };
    let endpoints: Vec<_> = status.hosts.iter().filter_map(of_host).collect();
    if rule.is_none() && endpoints.is_empty() {
        return None;
    }
    Some(EndpointBreakers { settings: rule.map_or_else(Vec::new, settings), endpoints })
}

fn settings(rule: &ClusterBreaker) -> Vec<Setting> {
    BreakerSetting::ALL.iter().filter_map(|setting| Setting::of(rule, *setting)).collect()
}

/// Without the settings.
fn of_breaker(status: &BreakerStatus, now: SystemTime) -> Breaker {
    let BreakerStatus { view, read_at } = status;
    let left = |until: Instant| until.saturating_since(*read_at);
    let since = read_at.saturating_since(view.since);
    let wall = |at: Instant| timestamp(now + left(at) - read_at.saturating_since(at));
    Breaker {
        state: view.state.token().to_owned(),
        since: wall(view.since),
        since_ms: millis(since),
        cause: Reason::of(&view.cause),
        open_until: view.open_until.map(wall),
        next_probe_in_ms: view.open_until.map(|until| millis(left(until))),
        window: Window::of(view),
        consecutive_failures: view.consecutive_failures,
        probes_out: view.probes_out,
        good_probes: view.good_probes,
        traffic_percent: view.traffic_percent,
        trips: view.trips,
        would_have_refused: view.would_have_refused,
        mode: mode_word(view.mode).to_owned(),
        r#override: view.forced.as_ref().map(|order| Order {
            force: force_word(order.force).to_owned(),
            until: wall(order.until),
            left_ms: millis(left(order.until)),
            reason: order.reason.to_string(),
            by: order.by.to_string(),
        }),
        settings: Vec::new(),
    }
}

pub(crate) const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
        Mode::Disabled => "disabled",
    }
}

impl Window {
    fn of(view: &BreakerView) -> Self {
        let tenths = |percent: f64| (percent * 10.0).round() / 10.0;
        Self {
            calls: view.window.calls,
            failures: view.window.failures,
            slow: view.window.slow,
            failure_percent: view.failure_percent().map(tenths),
            slow_percent: view.slow_percent().map(tenths),
        }
    }
}

impl Setting {
    /// `None` for what is off and was not written.
    fn of(rule: &ClusterBreaker, setting: BreakerSetting) -> Option<Self> {
        let (value, place) = (rule.value(setting), rule.provenance.get(setting));
        if value.is_none() && place.is_none() {
            return None;
        }
        Some(Self::new(setting.path(), value, place))
    }

    fn new(setting: &str, value: Option<String>, place: Option<&Arc<Origin>>) -> Self {
        let rule = place.map(|origin| Rule::from(&**origin));
        let text = rule.as_ref().filter(|rule| !rule.file.is_empty());
        Self {
            setting: setting.to_owned(),
            value,
            file: text.map(|rule| rule.file.clone()),
            line: text.map(|rule| rule.line),
            rule,
        }
    }
}

impl Limits {
    fn of(view: &LimitView) -> Self {
        let bounds = &view.thresholds;
        let limit = |now, bound| Limit { now, limit: (bound != UNLIMITED).then_some(bound) };
        Self {
            connections: limit(view.connections, bounds.max_connections),
            pending: limit(view.pending, bounds.max_pending_requests),
            requests: limit(view.requests, bounds.max_requests),
            retries: limit(view.retries, bounds.max_retries),
        }
    }
}

impl Limit {
    /// Whether it is used up.
    pub fn is_full(self) -> bool {
        self.now > 0 && self.limit.is_some_and(|limit| self.now >= limit)
    }
}
