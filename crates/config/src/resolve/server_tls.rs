//! TLS of listeners: from the files that flags name. A listener whose files cannot be used, and never could, is left out; it
//! must not take requests in plain text instead.

use std::path::Path;
use std::sync::Arc;

use fuseboard_tls::ServerPolicy;
use fuseboard_tls::policy::Trust;

use super::client_tls::not_in_force;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::listen::ListenTls;
use crate::material::{Materials, Unit};

/// What the listeners show and ask; `None`: a file is missing.
pub(super) fn policy(
    tls: &ListenTls,
    materials: &Materials,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<ServerPolicy>> {
    let mut credentials = Some(Vec::new());
    for (chain, key) in &tls.pairs {
        let credential = value(materials.credential(chain, key), chain, diagnostics);
        if let Some(message) = credential.as_ref().and_then(|credential| not_in_force(credential.leaf())) {
            let message = format!("{}: {message}", chain.display());
            diagnostics.push(
                Diagnostic::new(Code::CertificateNotInForce, message)
                    .help("put a new one into the file; it is taken at once"),
            );
        }
        match (&mut credentials, credential) {
            (Some(credentials), Some(credential)) => credentials.push(credential),
            _ => credentials = None,
        }
    }
    let clients = match &tls.client_ca {
        None => Some(None),
        Some(file) => value(materials.authorities(file), file, diagnostics)
            .map(|authorities| Some(Trust { authorities, revocations: None })),
    };
    let (credentials, clients) = (credentials?, clients?);
    Some(Arc::new(ServerPolicy { credentials, clients, min_version: tls.min_version }))
}

fn value<T>(unit: Option<&Unit<T>>, file: &Path, diagnostics: &mut Diagnostics) -> Option<Arc<T>> {
    let value = unit.and_then(|unit| unit.value.clone());
    let problem = unit.and_then(|unit| unit.problem.as_ref());
    let message = match (problem, unit) {
        (Some(problem), _) => format!("{} {}", problem.file.display(), problem.words),
        (None, Some(_)) => return value,
        (None, None) => format!("{} was not read", file.display()),
    };
    let help = if value.is_some() {
        "what was in it before stays in use"
    } else {
        "without it the listener is not opened"
    };
    diagnostics.push(Diagnostic::new(Code::TlsFileUnusable, message).help(help));
    value
}
