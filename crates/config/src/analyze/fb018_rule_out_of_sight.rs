//! FB018: a rule in a namespace where no client looks: neither the service's nor the root, and with nothing running in it
//! that could be a client.

use std::collections::BTreeSet;

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    let inhabited: BTreeSet<&str> = scene
        .services
        .iter()
        .map(|service| &*service.namespace)
        .chain(scene.pods.iter().map(|pod| &*pod.id.namespace))
        .chain([&*scene.workload.namespace, &*scene.workload.root_namespace])
        .collect();
    for rule in scene.rules.iter().filter(|rule| !inhabited.contains(&*rule.id.namespace)) {
        // A host that no service has is another problem.
        let Some(service) = scene.services_of(rule).next() else { continue };
        let message = format!(
            "only clients of namespace {} get this rule, and nothing in the files runs there",
            rule.id.namespace
        );
        let help =
            format!("write namespace: {} to have it for all clients of {}", service.namespace, service.host);
        diagnostics.push(
            rule.diagnostic(Code::RuleOutOfSight, rule.span, message).field("metadata.namespace").help(help),
        );
    }
}
