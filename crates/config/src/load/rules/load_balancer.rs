//! `loadBalancer`: exclusive choices, consistent hashing, warm-up, localities.

use std::collections::HashSet;

use fuseboard_api::istio::destination_rule::{HttpCookie, Maglev, Warmup};
use fuseboard_api::istio::locality::LocalityLbSetting;
use fuseboard_api::tree::Node;
use fuseboard_api::{Spanned, field};

use super::{invalid, key_span, traffic_policy};
use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};

/// Sizes of Maglev tables end here.
const MAGLEV_END: u32 = 5_000_011;

/// A whole `loadBalancer`; `ejects`: the policy has outlier detection beside it.
pub(super) fn check(node: &Node, ejects: bool, path: &FieldPath<'_>, report: &mut Report<'_>) {
    exclusive(node, &["simple", "consistentHash"], path, report);
    if let Some(hash) = node.get("consistentHash") {
        consistent_hash(hash, &path.key("consistentHash"), report);
    }
    if let Some(warmup) = field::<Warmup>(node, "warmup") {
        self::warmup(&warmup, &path.key("warmup"), report);
    }
    traffic_policy::duration(field(node, "warmupDurationSecs"), &path.key("warmupDurationSecs"), report);
    if node.get("localityLbSetting").is_some() && node.get("zoneAwareLbSetting").is_some() {
        let at = key_span(node, "zoneAwareLbSetting", node.span);
        let message = "only one of localityLbSetting and zoneAwareLbSetting can be set";
        invalid(report, at, path, message, "keep one of the two");
    }
    if let Some(locality) = field::<LocalityLbSetting>(node, "localityLbSetting") {
        self::locality(&locality, node, ejects, &path.key("localityLbSetting"), report);
    }
}

/// At most one of `keys` may be written.
fn exclusive(node: &Node, keys: &[&str], path: &FieldPath<'_>, report: &mut Report<'_>) {
    let written: Vec<&str> = keys.iter().copied().filter(|key| node.get(key).is_some()).collect();
    if let [first, second, ..] = written[..] {
        let at = key_span(node, second, node.span);
        let message = format!("only one of {} can be set", keys.join(", "));
        invalid(report, at, &path.key(second), message, format!("keep {first} or {second}"));
    }
}

fn consistent_hash(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    exclusive(node, &["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"], path, report);
    exclusive(node, &["ringHash", "maglev"], path, report);
    if let Some(cookie) = field::<HttpCookie>(node, "httpCookie") {
        self::cookie(&cookie, &path.key("httpCookie"), report);
    }
    if let Some(size) = field::<u32>(node, "minimumRingSize") {
        let path = path.key("minimumRingSize");
        if node.get("ringHash").is_some() || node.get("maglev").is_some() {
            let message = "only one of MinimumRingSize or Maglev/Ringhash can be specified";
            invalid(report, size.span, &path, message, "write it inside ringHash");
        } else {
            let message = "consistent hash MinimumRingSize is deprecated, use ConsistentHashLB's RingHash configuration instead";
            let help = format!("write ringHash: {{minimumRingSize: {}}}", size.value);
            report.add(Code::SchemaWarning, size.span, &path, message, help);
        }
    }
    if let Some(maglev) = field::<Maglev>(node, "maglev") {
        self::maglev(&maglev, &path.key("maglev"), report);
    }
}

fn cookie(cookie: &Spanned<HttpCookie>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if cookie.name.is_empty() {
        invalid(
            report,
            cookie.name.span,
            &path.key("name"),
            "name required for HttpCookie",
            "write the cookie's name",
        );
    }
    let mut seen = HashSet::new();
    for (index, attribute) in cookie.attributes.iter().flat_map(|attributes| attributes.iter().enumerate()) {
        let path = path.item("attributes", index);
        if attribute.name.is_empty() {
            let message = "cookie attribute name cannot be empty";
            invalid(report, attribute.name.span, &path, message, "write a name, such as SameSite");
        } else if !seen.insert(attribute.name.value.as_str()) {
            let message = format!("duplicate cookie attribute name: {}", attribute.name.value);
            invalid(report, attribute.name.span, &path, message, "write each attribute once");
        }
    }
}

fn maglev(maglev: &Spanned<Maglev>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let size = maglev.table_size.unwrap_or(Spanned::new(0, maglev.span));
    let mut mistake = |message: &str| {
        invalid(report, size.span, &path.key("tableSize"), message, "write a prime number, such as 65537");
    };
    if size.value == 0 {
        mistake("tableSize must be set for maglev");
    }
    if size.value >= MAGLEV_END {
        mistake("tableSize must be less than 5000011 for maglev");
    }
    if !is_prime(size.value) {
        mistake("tableSize must be a prime number for maglev");
    }
}

fn is_prime(number: u32) -> bool {
    number >= 2 && !(2..=number.isqrt()).any(|divisor| number.is_multiple_of(divisor))
}

fn warmup(warmup: &Spanned<Warmup>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    traffic_policy::duration(Some(warmup.duration), &path.key("duration"), report);
    if let Some(percent) = warmup.minimum_percent.filter(|percent| percent.value > 100.0) {
        let message = "minimumPercent value should be less than or equal to 100";
        invalid(report, percent.span, &path.key("minimumPercent"), message, "write a share, 0 to 100");
    }
    if let Some(aggression) = warmup.aggression.filter(|aggression| aggression.value <= 0.0) {
        let message = "aggression should be greater than 0";
        invalid(report, aggression.span, &path.key("aggression"), message, "write 1.0 for a straight line");
    }
}

fn locality(
    locality: &Spanned<LocalityLbSetting>,
    node: &Node,
    ejects: bool,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    let at = key_span(node, "localityLbSetting", locality.span);
    let failover = locality.failover.as_ref().is_some_and(|list| !list.is_empty());
    let priority = locality.failover_priority.as_ref().is_some_and(|list| !list.is_empty());
    if failover && locality.distribute.as_ref().is_some_and(|list| !list.is_empty()) {
        let message = "can not simultaneously specify 'distribute' and 'failover'";
        invalid(report, at, path, message, "keep one of the two");
        return;
    }
    if (failover || priority) && !ejects {
        let message = "outlier detection policy must be provided for failover";
        report.add(Code::SchemaWarning, at, path, message, "write outlierDetection beside loadBalancer");
    }
    for (index, rule) in locality.distribute.iter().flat_map(|rules| rules.iter().enumerate()) {
        let path = path.item("distribute", index);
        let weights = rule.to.iter().flat_map(|to| to.values());
        let total: u64 = weights.clone().map(|weight| u64::from(weight.value)).sum();
        for weight in weights.filter(|weight| !(1..=100).contains(&weight.value)) {
            let message = "locality weight must be in range [1, 100]";
            invalid(report, weight.span, &path, message, "write a share in percent");
        }
        if total != 100 {
            let message = format!("total locality weight {total} != 100");
            invalid(report, at, &path, message, "let the shares of one entry sum up to 100");
        }
    }
}
