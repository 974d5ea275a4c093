//! FB015: a limit named after a protocol that the service's ports do not speak; it applies all the same.

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::protocol::Protocol;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(http) = policy.connection_pool.and_then(|pool| pool.http.as_ref()) else { continue };
        let services = scene.services_of(policy.rule);
        let ports: Vec<Protocol> = services
            .flat_map(|service| &service.ports)
            .filter(|port| policy.scope.includes(port))
            .map(|port| port.protocol)
            .collect();
        let all = |wanted: Protocol| !ports.is_empty() && ports.iter().all(|protocol| *protocol == wanted);
        let (limit, key, message) = if all(Protocol::Http) && http.http1_max_pending_requests.is_none() {
            (
                http.http2_max_requests,
                "http2MaxRequests",
                "http2MaxRequests bounds HTTP/1.1 requests too, in spite of its name",
            )
        } else if all(Protocol::Http2) {
            let message = "http1MaxPendingRequests bounds HTTP/2 requests too, in spite of its name";
            (http.http1_max_pending_requests, "http1MaxPendingRequests", message)
        } else {
            continue;
        };
        let Some(limit) = limit else { continue };
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::MisleadingNames, limit.span, message)
                .field(format!("{}.connectionPool.http.{key}", policy.path))
                .help("http1MaxPendingRequests bounds waiting requests, http2MaxRequests those under way; of any version"),
        );
    }
}
