//! IST0173: a subset has no endpoints.

use super::scene::{Rule, Scene, selects};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::registry::{Backend, Service};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for rule in scene.rules {
        let services: Vec<&Service<'_>> = scene.services_of(rule).collect();
        check_rule(rule, &services, diagnostics);
    }
}

fn check_rule(rule: &Rule, services: &[&Service<'_>], diagnostics: &mut Diagnostics) {
    let backends = || services.iter().flat_map(|service| &service.ports).flat_map(|port| &port.backends);
    if backends().next().is_none() {
        return;
    }
    for (index, subset) in rule.spec.subsets.iter().flat_map(|subsets| subsets.iter().enumerate()) {
        // An endpoint whose labels are not known may belong to it.
        if backends().any(|backend| selects(subset, backend) != Some(false)) {
            continue;
        }
        let message = format!(
            "The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH \
             (NoHealthyUpstream).",
            subset.name.value
        );
        diagnostics.push(
            rule.diagnostic(Code::DestinationRuleSubsetNotSelectPods, subset.name.span, message)
                .field(format!("spec.subsets[{index}].labels"))
                .help(format!("its endpoints carry {}", labels_of(backends()))),
        );
    }
}

/// The labels that endpoints have, for the help.
fn labels_of<'a>(backends: impl Iterator<Item = &'a Backend<'a>>) -> String {
    let mut all: Vec<String> = backends
        .filter_map(|backend| backend.labels.as_ref())
        .flat_map(|labels| labels.iter().map(|(key, value)| format!("{key}: {value}")))
        .collect();
    all.sort();
    all.dedup();
    if all.is_empty() { "no labels".to_owned() } else { all.join(", ") }
}
