//! Numbers of a `DestinationPolicy` on their own. How they fit the rule and the hosts is looked at when they are put together
//! (`resolve::outlier_sense`).

use std::time::Duration;

use fuseboard_api::field;
use fuseboard_api::tree::Node;

use super::block::{Block, Check, DAY, MILLI, failures};
use super::{name, port_number};
use crate::load::report::{FieldPath, Report};

/// The largest factor of the success rate detector; Envoy's is a thousand times as large.
const MAX_FACTOR: f64 = 100.0;

/// All fields.
pub(super) fn check(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(host) = field::<String>(node, "host") {
        name::host(&host, &path.key("host"), report);
    }
    if let Some(port) = field::<u32>(node, "port") {
        port_number(port, &path.key("port"), report);
    }
    let bound = (1..=u32::MAX, "a number of endpoints, 1 or more");
    Block { node, path, report: &mut *report }.number("maxConnectionPools", &bound);
    if let Some(node) = node.get("outlierDetection") {
        outlier_detection(&mut Block { node, path: &path.key("outlierDetection"), report });
    }
}

fn outlier_detection(outlier: &mut Block<'_, '_>) {
    outlier.time("maxEjectionTime", MILLI..=DAY);
    outlier.time("maxEjectionTimeJitter", Duration::ZERO..=DAY);
    let blocks: [(&str, Check); 4] = [
        ("failureClassifier", failures),
        ("successRate", success_rate),
        ("failurePercentage", failure_percentage),
        ("enforcingPercent", enforcing_percent),
    ];
    for (key, check) in blocks {
        outlier.inner(key, check);
    }
}

fn success_rate(rate: &mut Block<'_, '_>) {
    volumes(rate);
    let factor = field::<f64>(rate.node, "stdevFactor");
    if let Some(factor) = factor.filter(|factor| !(0.0..=MAX_FACTOR).contains(&factor.value)) {
        let wanted = "standard deviations, up to 100 (Envoy's 1900 is 1.9), or 0 for off";
        rate.refuse("stdevFactor", factor.span, &factor.value.to_string(), wanted);
    }
}

fn failure_percentage(share: &mut Block<'_, '_>) {
    volumes(share);
    share.number("threshold", &(0..=100, "a share in percent, 1 to 100, or 0 for off"));
}

fn volumes(detector: &mut Block<'_, '_>) {
    detector.number("minimumHosts", &(1..=u32::MAX, "a number of hosts, 1 or more"));
    detector.number("requestVolume", &(1..=u32::MAX, "a number of calls, 1 or more"));
}

fn enforcing_percent(enforcing: &mut Block<'_, '_>) {
    for entry in enforcing.node.entries() {
        enforcing.number(&entry.key.value, &(0..=100, "a share in percent, 0 to 100"));
    }
}
