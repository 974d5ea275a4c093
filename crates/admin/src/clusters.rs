//! `/clusters` as text and JSON.

use std::fmt::{self, Write as _};

use fuseboard_core::limit::Thresholds;
use fuseboard_core::outlier::{Rate, SuccessBar};
use serde::Serialize;

use crate::listeners::Address;
use crate::page::Page;
use crate::query::Query;
use crate::status::{ClusterStatus, HostStatus};

/// Text lines, or JSON with `format=json`; `filter` is a regular expression over names.
pub fn page(clusters: &[ClusterStatus], query: &Query) -> Page {
    let filter = match query.regex("filter") {
        Ok(filter) => filter,
        Err(page) => return page,
    };
    let wanted = clusters
        .iter()
        .filter(|status| filter.as_ref().is_none_or(|filter| filter.is_match(&status.cluster.name)));
    if query.get("format") == Some("json") {
        return Page::json(&Clusters { cluster_statuses: wanted.map(ClusterJson::from).collect() });
    }
    let mut out = String::new();
    for status in wanted {
        let _ = cluster_text(&mut out, status);
    }
    Page::text(out)
}

fn cluster_text(out: &mut String, status: &ClusterStatus) -> fmt::Result {
    let name = &status.cluster.name;
    writeln!(out, "{name}::observability_name::{}", status.cluster.stat_name)?;
    if status.cluster.outlier.is_some() {
        for (prefix, bar) in [("", status.success.external), ("local_origin_", status.success.local)] {
            let (average, threshold) = (bar.map(|bar| bar.average), bar.map(|bar| bar.threshold));
            writeln!(out, "{name}::outlier::{prefix}success_rate_average::{}", computed(average))?;
            writeln!(
                out,
                "{name}::outlier::{prefix}success_rate_ejection_threshold::{}",
                computed(threshold)
            )?;
        }
    }
    for (priority, limits) in [("default", &status.limits.default), ("high", &status.limits.high)] {
        let bounds = limits.thresholds;
        writeln!(out, "{name}::{priority}_priority::max_connections::{}", bounds.max_connections)?;
        writeln!(out, "{name}::{priority}_priority::max_pending_requests::{}", bounds.max_pending_requests)?;
        writeln!(out, "{name}::{priority}_priority::max_requests::{}", bounds.max_requests)?;
        writeln!(out, "{name}::{priority}_priority::max_retries::{}", bounds.max_retries)?;
    }
    writeln!(out, "{name}::added_via_api::{}", status.added_via_api)?;
    status.hosts.iter().try_for_each(|host| host_text(out, name, host))
}

fn host_text(out: &mut String, cluster: &str, host: &HostStatus) -> fmt::Result {
    let mut line = |field: &str, value: &dyn fmt::Display| {
        writeln!(out, "{cluster}::{}::{field}::{value}", host.address)
    };
    line("cx_active", &host.cx_active)?;
    line("cx_connect_fail", &host.cx_connect_fail)?;
    line("cx_total", &host.cx_total)?;
    line("rq_active", &host.rq_active)?;
    line("rq_error", &host.rq_error)?;
    // requests wait for the cluster, not for a host (difference D5)
    line("rq_pending_active", &0)?;
    line("rq_success", &host.rq_success)?;
    line("rq_timeout", &host.rq_timeout)?;
    line("rq_total", &host.rq_total)?;
    line("hostname", &host.hostname)?;
    line("health_flags", &health_flags(host))?;
    line("weight", &host.weight)?;
    line("region", &host.locality.region)?;
    line("zone", &host.locality.zone)?;
    line("sub_zone", &host.locality.sub_zone)?;
    line("canary", &false)?;
    line("priority", &0)?;
    line("success_rate", &computed(host.success.external))?;
    line("local_origin_success_rate", &computed(host.success.local))
}

/// In percent; -1 for "not computed", as Envoy prints it.
fn computed(rate: Option<Rate>) -> f64 {
    rate.map_or(-1.0, Rate::percent)
}

fn health_flags(host: &HostStatus) -> &'static str {
    match (host.ejection.is_some() || host.is_shut(), host.unready) {
        (false, false) => "healthy",
        (true, false) => "/failed_outlier_check",
        (false, true) => "/failed_eds_health",
        (true, true) => "/failed_outlier_check/failed_eds_health",
    }
}

#[derive(Serialize)]
struct Clusters<'a> {
    cluster_statuses: Vec<ClusterJson<'a>>,
}

#[derive(Serialize)]
struct ClusterJson<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    added_via_api: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    host_statuses: Vec<HostJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate_ejection_threshold: Option<PercentJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_origin_success_rate_ejection_threshold: Option<PercentJson>,
    circuit_breakers: CircuitBreakers,
    observability_name: &'a str,
}

/// Envoy's `CircuitBreakers` message, as `/clusters` and `/config_dump` print it.
#[derive(Serialize)]
pub(crate) struct CircuitBreakers {
    thresholds: Vec<ThresholdsJson>,
}

#[derive(Serialize)]
struct ThresholdsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'static str>,
    max_connections: u32,
    max_pending_requests: u32,
    max_requests: u32,
    max_retries: u32,
    #[serde(skip_serializing_if = "is_false")]
    track_remaining: bool,
}

#[derive(Serialize)]
struct HostJson<'a> {
    address: Address,
    stats: Vec<StatJson>,
    health_status: HealthJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<PercentJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_origin_success_rate: Option<PercentJson>,
    weight: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: &'a str,
    locality: LocalityJson<'a>,
}

/// Envoy's `Percent` message; absent where nothing was computed.
#[derive(Serialize)]
struct PercentJson {
    value: f64,
}

#[derive(Serialize)]
struct StatJson {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    name: &'static str,
}

#[derive(Serialize)]
struct HealthJson {
    #[serde(skip_serializing_if = "is_false")]
    failed_outlier_check: bool,
    eds_health_status: &'static str,
}

/// Envoy's `Locality` message.
#[derive(Serialize)]
pub(crate) struct LocalityJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    zone: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sub_zone: &'a str,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}

impl CircuitBreakers {
    /// Both priorities, as `/clusters` shows them.
    fn live(default: Thresholds, high: Thresholds) -> Self {
        Self { thresholds: vec![ThresholdsJson::new(None, default), ThresholdsJson::new(Some("HIGH"), high)] }
    }

    /// As istiod would have written it: what remains is tracked for the default priority, and the other one is written only
    /// where it is not at Envoy's defaults.
    pub(crate) fn configured(default: Thresholds, high: Option<Thresholds>) -> Self {
        let default = ThresholdsJson { track_remaining: true, ..ThresholdsJson::new(None, default) };
        let high = high.map(|bounds| ThresholdsJson::new(Some("HIGH"), bounds));
        Self { thresholds: std::iter::once(default).chain(high).collect() }
    }
}

impl ThresholdsJson {
    const fn new(priority: Option<&'static str>, bounds: Thresholds) -> Self {
        Self {
            priority,
            max_connections: bounds.max_connections,
            max_pending_requests: bounds.max_pending_requests,
            max_requests: bounds.max_requests,
            max_retries: bounds.max_retries,
            track_remaining: false,
        }
    }
}

impl<'a> From<&'a fuseboard_snapshot::Locality> for LocalityJson<'a> {
    fn from(locality: &'a fuseboard_snapshot::Locality) -> Self {
        Self { region: &locality.region, zone: &locality.zone, sub_zone: &locality.sub_zone }
    }
}

impl<'a> From<&'a ClusterStatus> for ClusterJson<'a> {
    fn from(status: &'a ClusterStatus) -> Self {
        let limits = &status.limits;
        Self {
            name: &status.cluster.name,
            added_via_api: status.added_via_api,
            host_statuses: status.hosts.iter().map(HostJson::from).collect(),
            success_rate_ejection_threshold: threshold(status.success.external),
            local_origin_success_rate_ejection_threshold: threshold(status.success.local),
            circuit_breakers: CircuitBreakers::live(limits.default.thresholds, limits.high.thresholds),
            observability_name: &status.cluster.stat_name,
        }
    }
}

fn threshold(bar: Option<SuccessBar>) -> Option<PercentJson> {
    bar.map(|bar| bar.threshold.into())
}

impl From<Rate> for PercentJson {
    fn from(rate: Rate) -> Self {
        Self { value: rate.percent() }
    }
}

impl<'a> From<&'a HostStatus> for HostJson<'a> {
    fn from(host: &'a HostStatus) -> Self {
        // protobuf's JSON: zero is left out, 64-bit numbers are strings
        let shown = |value: u64| (value > 0).then(|| value.to_string());
        let counter = |name, value| StatJson { kind: None, value: shown(value), name };
        let gauge = |name, value| StatJson { kind: Some("GAUGE"), value: shown(value), name };
        Self {
            address: host.address.into(),
            stats: vec![
                counter("cx_connect_fail", host.cx_connect_fail),
                counter("cx_total", host.cx_total),
                counter("rq_error", host.rq_error),
                counter("rq_success", host.rq_success),
                counter("rq_timeout", host.rq_timeout),
                counter("rq_total", host.rq_total),
                gauge("cx_active", host.cx_active),
                gauge("rq_active", host.rq_active),
                gauge("rq_pending_active", 0),
            ],
            health_status: HealthJson {
                failed_outlier_check: host.ejection.is_some() || host.is_shut(),
                eds_health_status: if host.unready { "UNHEALTHY" } else { "HEALTHY" },
            },
            success_rate: host.success.external.map(PercentJson::from),
            local_origin_success_rate: host.success.local.map(PercentJson::from),
            weight: host.weight,
            hostname: &host.hostname,
            locality: (&host.locality).into(),
        }
    }
}
