//! `/fuseboard/v1/endpoints`: every endpoint of every cluster, which pod it is, whether it gets traffic, and if not, why and
//! until when. What `fuseboard endpoints` reads. Version 1; fields are only ever added.

use std::time::SystemTime;

use fuseboard_core::outlier::{DetectionKind, RateEvidence, Volume};
use fuseboard_snapshot::ServiceName;
use serde::{Deserialize, Serialize};

use crate::breakers::{Reason, mode_word};
use crate::page::Page;
use crate::refusals::{millis, timestamp};
use crate::status::{BreakerStatus, ClusterStatus, EjectionStatus, HostStatus};

/// All endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// 1
    pub version: u32,
    /// One entry per cluster, sorted by name.
    pub clusters: Vec<ClusterEndpoints>,
}

/// The endpoints of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEndpoints {
    /// Envoy's name.
    pub cluster: String,
    /// The service it is for.
    pub service: Service,
    /// Whether hosts can be ejected at all.
    pub outlier_detection: bool,
    /// In the order of the source.
    pub endpoints: Vec<EndpointState>,
}

/// What a cluster is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Full host.
    pub host: String,
    /// Short name; the host itself outside Kubernetes.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Port.
    pub port: u16,
    /// Subset; empty for the default cluster.
    pub subset: String,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Its address.
    pub address: String,
    /// Name of its pod or host; empty where unknown.
    pub pod: String,
    /// Node it runs on; empty where unknown.
    pub node: String,
    /// Zone it runs in; empty where unknown.
    pub zone: String,
    /// Whether it gets traffic.
    pub state: State,
    /// Why not and until when, if it is ejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EndpointEjection>,
    /// Its own breaker; absent where endpoints have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<EndpointBreaker>,
    /// How often it was ejected so far.
    pub ejections: u32,
    /// Failures in a row now, for each detector that can eject it.
    pub streaks: Vec<Streak>,
    /// Requests in flight.
    pub requests_active: u64,
    /// Requests sent to it.
    pub requests: u64,
    /// Those that failed: 5xx, resets, time-outs and local failures.
    pub errors: u64,
}

/// Whether an endpoint gets traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Healthy,
    /// Outlier detection keeps it out.
    Ejected,
    /// Its source says that it is not ready.
    Unready,
    /// Its own breaker is open.
    Open,
}

/// How the breaker of an endpoint stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointBreaker {
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// `enforce`, `shadow` or `disabled`.
    pub mode: String,
    /// Milliseconds since the state began.
    pub since_ms: u64,
    /// Why.
    pub cause: Reason,
    /// Milliseconds until a call may be a probe, 0: the next one; null unless it is open.
    pub next_probe_in_ms: Option<u64>,
    /// The share of its traffic that it takes.
    pub traffic_percent: u8,
    /// How often it opened by itself.
    pub trips: u64,
}

/// Why an endpoint is out, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointEjection {
    /// What found it, in Envoy's spelling.
    pub detector: String,
    /// Failures in a row that were enough; 0 where it looks at rates.
    pub threshold: u32,
    /// What it saw, where it looks at rates: `40 of 200 tries failed`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seen: String,
    /// Which in a row; the n-th lasts n times the base ejection time.
    pub number: u32,
    /// Milliseconds since it was ejected.
    pub since_ms: u64,
    /// Milliseconds of ejection time left.
    pub remaining_ms: u64,
    /// Milliseconds until the sweep that will return it, the first one after its ejection time.
    pub returns_in_ms: u64,
    /// When that will be; RFC 3339, UTC, milliseconds.
    pub returns_at: String,
}

/// Failures in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak {
    /// What counts them, in Envoy's spelling.
    pub detector: String,
    /// So many now.
    pub failures: u32,
    /// So many eject.
    pub threshold: u32,
}

impl Service {
    pub(crate) fn of(service: &ServiceName) -> Self {
        Self {
            host: service.host.to_string(),
            name: service.name.to_string(),
            namespace: service.namespace.to_string(),
            port: service.port,
            subset: service.subset.to_string(),
        }
    }
}

/// The page.
pub fn page(clusters: &[ClusterStatus], now: SystemTime) -> Page {
    let clusters = clusters.iter().map(|status| of_cluster(status, now)).collect();
    Page::json(&Endpoints { version: 1, clusters })
}

fn of_cluster(status: &ClusterStatus, now: SystemTime) -> ClusterEndpoints {
    ClusterEndpoints {
        cluster: status.cluster.name.to_string(),
        service: Service::of(&status.cluster.service),
        outlier_detection: status.cluster.outlier.is_some(),
        endpoints: status.hosts.iter().map(|host| of_host(status, host, now)).collect(),
    }
}

/// What a detector of rates saw.
fn evidence(seen: &RateEvidence) -> String {
    let Volume { requests, failures } = seen.volume;
    let own = format!("{failures} of {requests} tries failed");
    match &seen.bar {
        None => own,
        Some(bar) => format!("{own}; mean success {}, threshold {}", bar.average, bar.threshold),
    }
}

fn of_host(status: &ClusterStatus, host: &HostStatus, now: SystemTime) -> EndpointState {
    let threshold = |kind: DetectionKind| {
        let streak = status.cluster.outlier.as_ref().and_then(|policy| policy.streak(kind));
        streak.map_or(0, |streak| streak.threshold)
    };
    let ejection = |ejection: &EjectionStatus| EndpointEjection {
        detector: ejection.detector.event_type().to_owned(),
        threshold: threshold(ejection.detector),
        seen: ejection.evidence.as_ref().map(evidence).unwrap_or_default(),
        number: ejection.number,
        since_ms: millis(ejection.since),
        remaining_ms: millis(ejection.remaining),
        returns_in_ms: millis(ejection.returns_in),
        returns_at: timestamp(now + ejection.returns_in),
    };
    let streak = |&(kind, failures): &(DetectionKind, u32)| Streak {
        detector: kind.event_type().to_owned(),
        failures,
        threshold: threshold(kind),
    };
    EndpointState {
        address: host.address.to_string(),
        pod: host.hostname.to_string(),
        node: host.node.to_string(),
        zone: host.locality.zone.to_string(),
        state: match (&host.ejection, host.unready) {
            (Some(_), _) => State::Ejected,
            (None, true) => State::Unready,
            (None, false) if host.breaker.as_ref().is_some_and(BreakerStatus::is_open) => State::Open,
            (None, false) => State::Healthy,
        },
        ejection: host.ejection.as_ref().map(ejection),
        breaker: host.breaker.as_ref().map(of_breaker),
        ejections: host.ejections,
        streaks: host.streaks.iter().map(streak).collect(),
        requests_active: host.rq_active,
        requests: host.rq_total,
        errors: host.rq_error,
    }
}

fn of_breaker(status: &BreakerStatus) -> EndpointBreaker {
    let BreakerStatus { view, read_at } = status;
    EndpointBreaker {
        state: view.state.token().to_owned(),
        mode: mode_word(view.mode).to_owned(),
        since_ms: millis(read_at.saturating_since(view.since)),
        cause: Reason::of(&view.cause),
        next_probe_in_ms: view.open_until.map(|until| millis(until.saturating_since(*read_at))),
        traffic_percent: view.traffic_percent,
        trips: view.trips,
    }
}
