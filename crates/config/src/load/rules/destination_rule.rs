//! `DestinationRule`: host, subsets, `exportTo` and `workloadSelector`. Policies are checked in `traffic_policy`.

use std::collections::HashSet;

use fuseboard_api::istio::WorkloadSelector;
use fuseboard_api::tree::Node;
use fuseboard_api::{List, Map, Spanned, field};

use super::{invalid, key_span, name, traffic_policy};
use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};

pub(super) fn check(spec: &Node, namespace: &str, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(host) = field::<String>(spec, "host") {
        name::host(&host, &path.key("host"), report);
    }
    if let Some(policy) = spec.get("trafficPolicy") {
        let at = key_span(spec, "trafficPolicy", policy.span);
        traffic_policy::check(policy, at, &path.key("trafficPolicy"), report);
    }
    if let Some(node) = spec.get("subsets") {
        subsets(node, &path.key("subsets"), report);
    }
    let export_to = field::<List<String>>(spec, "exportTo");
    if let Some(entries) = &export_to {
        self::export_to(entries, namespace, &path.key("exportTo"), report);
    }
    if let Some(selector) = field::<WorkloadSelector>(spec, "workloadSelector") {
        let path = path.key("workloadSelector");
        workload_selector(&selector, spec, &path, report);
        if let Some(entries) = &export_to {
            selector_and_export_to(entries, namespace, &path, report);
        }
    }
}

fn subsets(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let mut names = HashSet::new();
    for (index, subset) in node.elements().iter().enumerate() {
        let path = path.index(index);
        if let Some(found) = field::<String>(subset, "name") {
            let path = path.key("name");
            if found.is_empty() {
                invalid(report, found.span, &path, "subset name cannot be empty", "write a name, such as v1");
            } else if !name::is_dns_label(&found) {
                let message = format!("subset name is invalid: {}", found.value);
                invalid(report, found.span, &path, message, "write letters, digits and '-', at most 63");
            } else if !names.insert(found.value.clone()) {
                let message = format!("duplicate subset names: {}", found.value);
                invalid(report, found.span, &path, message, "give each subset its own name");
            }
        }
        if let Some(labels) = field::<Map<String>>(subset, "labels") {
            name::labels(&labels, &path.key("labels"), report);
        }
        if let Some(policy) = subset.get("trafficPolicy") {
            let at = key_span(subset, "trafficPolicy", policy.span);
            traffic_policy::check(policy, at, &path.key("trafficPolicy"), report);
        }
    }
}

/// `exportTo` of any resource.
pub(super) fn export_to(
    entries: &List<String>,
    namespace: &str,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    let mut seen = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let text = entry.value.as_str();
        if !matches!(text, "." | "*" | "~") && !name::is_dns_label(text) {
            let message = "only .,*, or a valid DNS 1123 label is allowed as exportTo entry";
            invalid(report, entry.span, &path, message, "write '.', '*' or the name of a namespace");
        } else if !seen.insert(text) {
            let message = format!("duplicate entries in exportTo for entry {text}");
            invalid(report, entry.span, &path, message, "write each namespace once");
        }
    }
    let Some(first) = entries.first() else { return };
    if seen.contains(".") && seen.contains(namespace) {
        let message = format!("duplicate entries in exportTo: . and current namespace {namespace}");
        invalid(report, first.span, path, message, "keep one of the two");
    }
    if seen.contains("*") && seen.len() > 1 {
        let message = "cannot have both public (*) and non-public exportTo values for a resource";
        invalid(report, first.span, path, message, "keep '*', or the namespaces");
    }
}

fn workload_selector(
    selector: &Spanned<WorkloadSelector>,
    spec: &Node,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    let labels = selector.match_labels.as_ref().filter(|labels| !labels.is_empty());
    let Some(labels) = labels else {
        let at = key_span(spec, "workloadSelector", selector.span);
        let help = "write matchLabels, or delete workloadSelector to mean all workloads";
        report.add(Code::SchemaWarning, at, path, "workload selector specified without labels", help);
        return;
    };
    for (key, value) in &labels.value {
        let path = path.key("matchLabels");
        if key.is_empty() {
            let message =
                format!("empty key is not supported in selector: {:?}", format!("{key}={}", value.value));
            invalid(report, value.span, &path, message, "write the key of a label");
        }
        if key.contains('*') || value.contains('*') {
            let message =
                format!("wildcard is not supported in selector: {:?}", format!("{key}={}", value.value));
            invalid(report, value.span, &path, message, "write the label's whole value");
        }
    }
}

fn selector_and_export_to(
    entries: &List<String>,
    namespace: &str,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    let Some(first) = entries.first() else { return };
    if entries.len() > 1 {
        let message = "destination rule with workload selector cannot have multiple entries in exportTo";
        invalid(report, first.span, path, message, "write exportTo: ['.'] or leave it out");
    } else if first.value != "." && first.value != namespace {
        let message = "destination rule with workload selector cannot have exportTo beyond current namespace";
        invalid(report, first.span, path, message, "write exportTo: ['.'] or leave it out");
    }
}
