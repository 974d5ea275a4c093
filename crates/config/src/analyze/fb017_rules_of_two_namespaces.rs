//! FB017: a rule for the same host as one of another namespace that comes first for this client. What it says is gone as a
//! whole. FB008 has the case that the other one is wider.

use super::scene::{Rule, Scene};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::rule_index::RuleIndex;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    let index = RuleIndex::new(scene.rules, scene.workload);
    for rule in scene.rules {
        let host = scene.host(rule);
        let rival = scene.services_of(rule).find_map(|service| {
            let other = index.choose(&service.host, &service.namespace, scene.workload)?.first;
            (other.id.namespace != rule.id.namespace
                && scene.host(other) == host
                && is_in_line(rule, service, scene))
            .then_some(other)
        });
        let Some(other) = rival else { continue };
        let whose =
            if other.id.namespace == scene.workload.namespace { "their own" } else { "the service's" };
        let message = format!(
            "clients of namespace {} do not get this rule: {} ({}) is for the same host and of {whose} namespace, which comes first",
            scene.workload.namespace,
            other.id,
            other.location(other.span),
        );
        let help = "rules of two namespaces are not combined: repeat in that rule what should hold, or delete one of them";
        diagnostics.push(
            rule.diagnostic(Code::RulesOfTwoNamespaces, rule.spec.host.span, message)
                .field("spec.host")
                .help(help),
        );
    }
}

/// Whether the rule's namespace is one that this client looks at for the service.
fn is_in_line(rule: &Rule, service: &crate::resolve::registry::Service<'_>, scene: &Scene<'_>) -> bool {
    let own = &rule.id.namespace;
    *own == service.namespace || *own == scene.workload.root_namespace
}
