//! FB019: a rule with a wildcard whose every service has a closer rule of the same namespace. Rules are not combined, so it
//! counts for nothing.

use std::collections::HashMap;
use std::sync::Arc;

use super::scene::{Rule, Scene};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::hostname;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for rule in scene.rules {
        let host = scene.host(rule);
        if !hostname::is_wildcard(&host) {
            continue;
        }
        let closer = Closer::than(rule, &host, scene);
        let mut closest = scene.services_of(rule).map(|service| (service, closer.first(&service.host)));
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

/// Rules of one namespace with closer hosts, each with its place among all rules.
#[derive(Default)]
struct Closer<'a> {
    /// By the one host that they are for.
    named: HashMap<Arc<str>, (usize, &'a Rule)>,
    wildcards: Vec<(Arc<str>, (usize, &'a Rule))>,
}

impl<'a> Closer<'a> {
    fn than(wide: &Rule, wide_host: &str, scene: &Scene<'a>) -> Self {
        let mut closer = Self::default();
        for (place, rule) in scene.rules.iter().enumerate() {
            let host = scene.host(rule);
            let is_closer = rule.id.namespace == wide.id.namespace
                && *host != *wide_host
                && hostname::covers(wide_host, &host)
                && rule.spec.workload_selector.is_none();
            if is_closer && hostname::is_wildcard(&host) {
                closer.wildcards.push((host, (place, rule)));
            } else if is_closer {
                closer.named.entry(host).or_insert((place, rule));
            }
        }
        closer
    }

    /// The first of them that covers the service `host`.
    fn first(&self, host: &str) -> Option<&'a Rule> {
        let wild = self.wildcards.iter().find(|(wild, _)| hostname::covers(wild, host)).map(|(_, rule)| rule);
        let named = self.named.get(host);
        named.into_iter().chain(wild).min_by_key(|(place, _)| *place).map(|(_, rule)| *rule)
    }
}
