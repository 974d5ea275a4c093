//! FB015: a limit named after a version of HTTP that is not spoken to the service's ports; it applies all the same.

use fuseboard_snapshot::UpstreamVersion;

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(http) = policy.connection_pool.and_then(|pool| pool.http.as_ref()) else { continue };
        // Who writes both knows of both.
        let spoken = scene.spoken(&policy);
        let all = |wanted: UpstreamVersion| {
            !spoken.is_empty() && spoken.iter().all(|port| port.http.version == wanted)
        };
        let (limit, key, message) =
            if all(UpstreamVersion::Http1) && http.http1_max_pending_requests.is_none() {
                (
                    http.http2_max_requests,
                    "http2MaxRequests",
                    "http2MaxRequests bounds HTTP/1.1 requests too, in spite of its name",
                )
            } else if all(UpstreamVersion::Http2) && http.http2_max_requests.is_none() {
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
