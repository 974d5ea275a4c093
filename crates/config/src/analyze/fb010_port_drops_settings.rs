//! FB010: an entry of `portLevelSettings` drops every block of the policy that it does not have itself.

use super::scene::{Scene, Scope, Written};
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    let mut whole: Option<Vec<&str>> = None;
    for policy in scene.policies() {
        // Entries follow the policy that they are part of.
        let Scope::Port(number) = policy.scope else {
            whole = Some(blocks(&policy));
            continue;
        };
        let own = blocks(&policy);
        let dropped: Vec<&str> =
            whole.iter().flatten().copied().filter(|block| !own.contains(block)).collect();
        if dropped.is_empty() {
            continue;
        }
        let message = format!(
            "the entry for port {number} replaces the whole policy there; {} {} back at the default",
            dropped.join(", "),
            if dropped.len() == 1 { "is" } else { "are" },
        );
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::PortDropsSettings, place(&policy), message)
                .field(policy.path.clone())
                .help(format!("repeat in the entry what should hold there: {}", dropped.join(", "))),
        );
    }
}

fn blocks(policy: &Written<'_>) -> Vec<&'static str> {
    [
        (policy.load_balancer.is_some(), "loadBalancer"),
        (policy.connection_pool.is_some(), "connectionPool"),
        (policy.outlier_detection.is_some(), "outlierDetection"),
        (policy.tls.is_some(), "tls"),
    ]
    .into_iter()
    .filter_map(|(written, block)| written.then_some(block))
    .collect()
}

/// The entry itself is a list element without a name; its first block is what one looks for.
fn place(policy: &Written<'_>) -> fuseboard_api::Span {
    [
        policy.connection_pool.map(|block| block.span),
        policy.outlier_detection.map(|block| block.span),
        policy.load_balancer.map(|block| block.span),
        policy.tls.map(|block| block.span),
    ]
    .into_iter()
    .flatten()
    .min()
    .unwrap_or(policy.rule.span)
}
