//! FB014: `tls` with mode DISABLE, which in a mesh takes the place of automatic mTLS.

use fuseboard_api::istio::tls::TlsMode;

use super::scene::Scene;
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::registry::Registry;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        let Some(tls) = policy.tls else { continue };
        let Some(mode) = tls.mode.as_ref().filter(|mode| mode.value == TlsMode::Disable) else { continue };
        // Servers outside the mesh may well want plain text.
        let mut services = scene.services_of(policy.rule);
        if !services.any(|service| service.registry == Registry::Kubernetes) {
            continue;
        }
        let message = "tls DISABLE takes the place of automatic mTLS: in a mesh, servers that ask for mTLS refuse these requests with 503";
        diagnostics.push(
            policy
                .rule
                .diagnostic(Code::PlainTextForced, mode.span, message)
                .field(format!("{}.tls.mode", policy.path))
                .help("delete the tls block, unless the server has no sidecar"),
        );
    }
}
