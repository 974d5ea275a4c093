//! TLS of the test servers, from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseboard_tls::material::CredentialError;
use fuseboard_tls::policy::Trust;
use fuseboard_tls::{Authorities, Credential, ServerPolicy, TlsVersion};

/// What a server of ours speaks TLS with.
#[derive(Debug)]
pub(crate) struct Files {
    /// Its certificate, with those that lead to its authority.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// With them, only clients that show a certificate of theirs are let in.
    pub(crate) authorities: Option<PathBuf>,
}

impl Files {
    /// What they hold; the file and what is wrong with it, where something is.
    pub(crate) fn policy(&self) -> Result<Arc<ServerPolicy>, String> {
        let (chain, secret) = (read(&self.certificate)?, read(&self.key)?);
        let source = self.certificate.display().to_string();
        let credential = Credential::from_pem(&source, &chain, &secret).map_err(|error| match error {
            CredentialError::Certificate(problem) => format!("{source} {problem}"),
            CredentialError::Key(problem) => format!("{} {problem}", self.key.display()),
        })?;
        let clients = match &self.authorities {
            None => None,
            Some(file) => {
                let source = file.display().to_string();
                let authorities = Authorities::from_pem(&source, &read(file)?)
                    .map_err(|problem| format!("{source} {problem}"))?;
                Some(Trust { authorities: Arc::new(authorities), revocations: None })
            }
        };
        let credentials = vec![Arc::new(credential)];
        Ok(Arc::new(ServerPolicy { credentials, clients, min_version: TlsVersion::V1_2 }))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}
