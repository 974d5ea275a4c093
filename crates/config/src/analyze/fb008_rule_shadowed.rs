//! FB008: a rule beside its service that a wider rule of the client's namespace hides. (A rule of the client's namespace for
//! the same host is no accident: that is how a client overrides what the service's owner says.)

use super::scene::{Rule, Scene};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::hostname;
use crate::resolve::registry::Service;
use crate::resolve::rule_index::{MergedRule, RuleIndex};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    let index = RuleIndex::new(scene.rules, scene.workload);
    for rule in scene.rules {
        let mut hiding = scene.services_of(rule).map(|service| {
            let chosen = index.choose(&service.host, &service.namespace, scene.workload)?;
            hides(chosen, rule, service, scene).then_some(chosen.first)
        });
        // If it counts for one service, it is of use.
        let Some(Some(other)) = hiding.next() else { continue };
        if hiding.any(|other| other.is_none()) {
            continue;
        }
        let message = format!(
            "clients of namespace {} do not get this rule: {} ({}) is of their namespace and comes first",
            scene.workload.namespace,
            other.id,
            other.location(other.span),
        );
        diagnostics
            .push(rule.diagnostic(Code::RuleShadowed, rule.spec.host.span, message).field("spec.host").help(
            "rules of two namespaces are not combined: repeat its settings there, or narrow that rule's host",
        ));
    }
}

/// Whether `chosen` takes the place of `rule`, which stands beside `service` and is closer to it.
fn hides(chosen: &MergedRule<'_>, rule: &Rule, service: &Service<'_>, scene: &Scene<'_>) -> bool {
    let other = chosen.first;
    let (wide, close) = (scene.host(other), scene.host(rule));
    other.id.namespace != rule.id.namespace
        && rule.id.namespace == service.namespace
        && wide != close
        && hostname::covers(&wide, &close)
}
