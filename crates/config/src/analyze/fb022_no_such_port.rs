//! FB022: an entry of `portLevelSettings` for a port that the service does not have; often its target port.

use std::collections::BTreeSet;

use super::scene::{Scene, Scope, Written};
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Scope::Port(number) = policy.scope else { continue };
        check_entry(scene, &policy, number, diagnostics);
    }
}

fn check_entry(scene: &Scene<'_>, policy: &Written<'_>, number: u32, diagnostics: &mut Diagnostics) {
    let ports = || {
        scene.services_of(policy.rule).flat_map(|service| &service.ports).map(|port| u32::from(port.number))
    };
    if ports().next().is_none() || ports().any(|port| port == number) {
        return;
    }
    let known: BTreeSet<_> = ports().collect();
    let known: Vec<String> = known.into_iter().map(|port| port.to_string()).collect();
    let Some(written) = policy.port else { return };
    let message = format!("no service of this rule has port {number}: the entry has no effect");
    diagnostics.push(
        policy
            .rule
            .diagnostic(Code::NoSuchPort, written, message)
            .field(format!("{}.port.number", policy.path))
            .help(format!("write the port by which clients call, not the pods': {}", known.join(" or "))),
    );
}
