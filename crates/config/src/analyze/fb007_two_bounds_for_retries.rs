//! FB007: two bounds for the same retries, of which Istio takes one and we the other.

use fuseboard_api::istio::destination_rule::TrafficPolicy;

use super::scene::{Rule, Scene};
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for rule in scene.rules {
        if let Some(policy) = &rule.spec.traffic_policy {
            check_policy(rule, "spec.trafficPolicy", policy, diagnostics);
        }
        for (index, subset) in rule.spec.subsets.iter().flat_map(|subsets| subsets.iter().enumerate()) {
            if let Some(policy) = &subset.traffic_policy {
                check_policy(rule, &format!("spec.subsets[{index}].trafficPolicy"), policy, diagnostics);
            }
        }
    }
}

fn check_policy(rule: &Rule, path: &str, policy: &TrafficPolicy, diagnostics: &mut Diagnostics) {
    let http = policy.connection_pool.as_ref().and_then(|pool| pool.http.as_ref());
    let bound = http.and_then(|http| http.max_retries).filter(|bound| bound.value > 0);
    let (Some(bound), Some(_)) = (bound, &policy.retry_budget) else { return };
    let message =
        format!("maxRetries {} and retryBudget both bound retries: only one of them can count", bound.value);
    diagnostics.push(
        rule.diagnostic(Code::TwoBoundsForRetries, bound.span, message)
            .field(format!("{path}.connectionPool.http.maxRetries"))
            .help("delete one of them; Istio takes retryBudget, Fuseboard maxRetries"),
    );
}
