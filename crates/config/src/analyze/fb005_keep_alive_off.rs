//! FB005: one request for each connection. Istio's own circuit-breaking example has it.

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let http = policy.connection_pool.and_then(|pool| pool.http.as_ref());
        let requests = http.and_then(|http| http.max_requests_per_connection);
        let Some(requests) = requests.filter(|requests| requests.value == 1) else { continue };
        let message = "maxRequestsPerConnection 1 turns keep-alive off: every request pays a connect.";
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::KeepAliveOff, requests.span, message)
                .field(format!("{}.connectionPool.http.maxRequestsPerConnection", policy.path))
                .help("delete it, unless the server needs a new connection for each request"),
        );
    }
}
