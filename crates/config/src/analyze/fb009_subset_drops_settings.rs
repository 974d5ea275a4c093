//! FB009: a subset's block replaces the rule's whole block, and so drops settings that it does not repeat.

use fuseboard_api::istio::DestinationRule;
use fuseboard_api::istio::destination_rule::{Subset, TrafficPolicy};

use super::scene::{Rule, Scene};
use super::settings;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for rule in scene.rules {
        let DestinationRule { traffic_policy: Some(parent), subsets: Some(subsets), .. } = &rule.spec else {
            continue;
        };
        for (index, subset) in subsets.iter().enumerate() {
            let Some(own) = &subset.traffic_policy else { continue };
            check_subset(rule, index, subset, (parent, own), diagnostics);
        }
    }
}

fn check_subset(
    rule: &Rule,
    index: usize,
    subset: &Subset,
    (parent, own): (&TrafficPolicy, &TrafficPolicy),
    diagnostics: &mut Diagnostics,
) {
    let mut report = |block: &str, span, kept: &[&str], written: &[&str]| {
        let dropped: Vec<&str> = written.iter().copied().filter(|setting| !kept.contains(setting)).collect();
        if dropped.is_empty() {
            return;
        }
        let message = format!(
            "subset {}: its {block} replaces the rule's whole {block}; {} {} back at the default",
            subset.name.value,
            dropped.join(", "),
            if dropped.len() == 1 { "is" } else { "are" },
        );
        diagnostics.push(
            rule.diagnostic(Code::SubsetDropsSettings, span, message)
                .field(format!("spec.subsets[{index}].trafficPolicy.{block}"))
                .help(format!("repeat in the subset what should hold there: {}", dropped.join(", "))),
        );
    };
    if let (Some(pool), Some(whole)) = (&own.connection_pool, &parent.connection_pool) {
        report("connectionPool", pool.span, &settings::of_pool(pool), &settings::of_pool(whole));
    }
    if let (Some(detection), Some(whole)) = (&own.outlier_detection, &parent.outlier_detection) {
        let (kept, written) = (settings::of_detection(detection), settings::of_detection(whole));
        report("outlierDetection", detection.span, &kept, &written);
    }
}
