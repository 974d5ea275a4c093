//! FB019: a rule with a wildcard whose every service has a closer rule of the same namespace. Rules are not combined, so it
//! counts for nothing.

use super::scene::{Rule, Scene};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::hostname;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for rule in scene.rules {
        let host = scene.host(rule);
        if !hostname::is_wildcard(&host) {
            continue;
        }
        let closer = |service: &crate::resolve::registry::Service<'_>| {
            scene.rules.iter().find(|other| {
                is_closer(scene, other, rule) && hostname::covers(&scene.host(other), &service.host)
            })
        };
        let mut closest = scene.services_of(rule).map(|service| (service, closer(service)));
        let Some((service, Some(other))) = closest.next() else { continue };
        if closest.any(|(_, other)| other.is_none()) {
            continue;
        }
        let message = format!(
            "no service gets this rule: {} ({}) is closer to {}, and rules are not combined",
            other.id,
            other.location(other.span),
            service.host,
        );
        diagnostics.push(
            rule.diagnostic(Code::WiderRuleUnused, rule.spec.host.span, message)
                .field("spec.host")
                .help("repeat its settings in the closer rules, or delete it"),
        );
    }
}

fn is_closer(scene: &Scene<'_>, other: &Rule, rule: &Rule) -> bool {
    let (wide, close) = (scene.host(rule), scene.host(other));
    other.id.namespace == rule.id.namespace
        && wide != close
        && hostname::covers(&wide, &close)
        && other.spec.workload_selector.is_none()
}
