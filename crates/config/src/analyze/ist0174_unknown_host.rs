//! IST0174: a rule's host names no service. Where the files name no service at all, nothing can be said.

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    if scene.services.is_empty() {
        return;
    }
    for rule in scene.rules.iter().filter(|rule| scene.services_of(rule).next().is_none()) {
        let host = &rule.spec.host;
        let message = format!(
            "The host {} defined in the DestinationRule does not match any services in the mesh.",
            host.value
        );
        let full = scene.host(rule);
        // "name.namespace" is the frequent mistake: it looks like a name of Kubernetes, and is not completed.
        let meant = format!("{host}.svc.{}", scene.workload.domain_suffix, host = host.value);
        let help = if scene.services.iter().any(|service| *service.host == *meant) {
            format!("write {meant}: a name with a dot is not completed")
        } else if let Some(near) = nearest(&full, scene) {
            format!("did you mean {near}?")
        } else {
            format!("it stands for {full}; add that service, or correct the name")
        };
        let diagnostic = rule.diagnostic(Code::UnknownDestinationRuleHost, host.span, message);
        diagnostics.push(diagnostic.field("spec.host").help(help));
    }
}

fn nearest<'s>(host: &str, scene: &'s Scene<'_>) -> Option<&'s str> {
    let first = |name: &'s str| name.split('.').next().unwrap_or(name);
    let wanted = host.split('.').next().unwrap_or(host);
    scene
        .services
        .iter()
        .map(|service| &*service.host)
        .filter(|name| strsim::damerau_levenshtein(first(name), wanted) <= (wanted.len() / 3).max(1))
        .min_by_key(|name| strsim::damerau_levenshtein(name, host))
}
