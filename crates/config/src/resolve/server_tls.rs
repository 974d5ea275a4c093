//! TLS of listeners: from the files that flags name. A listener whose files cannot be used, and never could, is left out; it
//! must not take requests in plain text instead.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseboard_tls::policy::Trust;
use fuseboard_tls::{Credential, ServerPolicy};

use super::client_tls::not_in_force;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::listen::ListenTls;
use crate::material::{Materials, Unit};

const UNOPENED: &str = "without it the listener is not opened";
const UNSHOWN: &str = "without it callers that ask for its names are shown another certificate";

/// What the listeners show and ask; `None`: a file is missing.
pub(super) fn policy(
    tls: &ListenTls,
    materials: &Materials,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<ServerPolicy>> {
    let mut credentials = Some(Vec::new());
    for (chain, key) in &tls.pairs {
        let credential = credential((chain, key), UNOPENED, materials, diagnostics);
        match (&mut credentials, credential) {
            (Some(credentials), Some(credential)) => credentials.push(credential),
            _ => credentials = None,
        }
    }
    for folder in &tls.folders {
        let found = of_folder(folder, materials, diagnostics);
        credentials = credentials.map(|named| named.into_iter().chain(found).collect());
    }
    if credentials.as_ref().is_some_and(Vec::is_empty) {
        // What is wrong with the folders was said.
        credentials = None;
    }
    let clients = match &tls.client_ca {
        None => Some(None),
        Some(file) => value(materials.authorities(file), file, UNOPENED, diagnostics)
            .map(|authorities| Some(Trust { authorities, revocations: None })),
    };
    let (credentials, clients) = (credentials?, clients?);
    Some(Arc::new(ServerPolicy { credentials, clients, min_version: tls.min_version }))
}

/// The pairs of a folder that can be used. One that cannot is told, and the others serve.
fn of_folder(folder: &Path, materials: &Materials, diagnostics: &mut Diagnostics) -> Vec<Arc<Credential>> {
    let Some(pairs) = materials.folder(folder) else { return Vec::new() };
    for problem in &pairs.problems {
        let message = format!("{} {}", problem.file.display(), problem.words);
        let help = "the folder has pairs, as NAME.crt and NAME.key or one folder with tls.crt and tls.key for each; pairs that are whole serve";
        diagnostics.push(Diagnostic::new(Code::TlsFileUnusable, message).help(help));
    }
    let used = |(chain, key): &(PathBuf, PathBuf)| credential((chain, key), UNSHOWN, materials, diagnostics);
    pairs.found.iter().filter_map(used).collect()
}

/// A pair; one that is not in force is told, and shown all the same.
fn credential(
    (chain, key): (&Path, &Path),
    without: &str,
    materials: &Materials,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<Credential>> {
    let credential = value(materials.credential(chain, key), chain, without, diagnostics);
    if let Some(message) = credential.as_ref().and_then(|credential| not_in_force(credential.leaf())) {
        let message = format!("{}: {message}", chain.display());
        diagnostics.push(
            Diagnostic::new(Code::CertificateNotInForce, message)
                .help("put a new one into the file; it is taken at once"),
        );
    }
    credential
}

fn value<T>(
    unit: Option<&Unit<T>>,
    file: &Path,
    without: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<T>> {
    let value = unit.and_then(|unit| unit.value.clone());
    let problem = unit.and_then(|unit| unit.problem.as_ref());
    let message = match (problem, unit) {
        (Some(problem), _) => format!("{} {}", problem.file.display(), problem.words),
        (None, Some(_)) => return value,
        (None, None) => format!("{} was not read", file.display()),
    };
    let help = if value.is_some() { "what was in it before stays in use" } else { without };
    diagnostics.push(Diagnostic::new(Code::TlsFileUnusable, message).help(help));
    value
}
