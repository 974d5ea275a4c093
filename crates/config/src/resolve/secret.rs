//! `Secret`s as Istio reads them for `credentialName`: `tls.crt`, `tls.key`, `ca.crt` and `ca.crl`, or `cert`, `key` and
//! `cacert`; the authority may be in a secret of its own, whose name ends in `-cacert`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fuseboard_api::kubernetes::Secret;
use fuseboard_tls::policy::Trust;
use fuseboard_tls::{Authorities, Credential, Revocations};
use thiserror::Error;

use crate::set::{Resource, ResourceSet};

/// Why a secret is of no use.
#[derive(Debug, Error)]
pub(super) enum SecretError {
    #[error("there is no Secret {0} in namespace {1}")]
    Missing(String, String),
    #[error("the Secret {0} has no {1}")]
    NoKey(String, &'static str),
    #[error("{1} of the Secret {0} {2}")]
    Bad(String, &'static str, String),
    #[error("{0}: authorities from a ConfigMap are not supported")]
    ConfigMap(String),
}

/// The names of its entries, Kubernetes' first.
const CHAIN: [&str; 2] = ["tls.crt", "cert"];
const KEY: [&str; 2] = ["tls.key", "key"];
const AUTHORITY: [&str; 2] = ["ca.crt", "cacert"];
const REVOCATIONS: [&str; 2] = ["ca.crl", "crl"];

fn find<'a>(resources: &'a ResourceSet, namespaces: &[Arc<str>], name: &str) -> Option<&'a Resource<Secret>> {
    namespaces.iter().find_map(|namespace| {
        let mut secrets = resources.secrets.iter();
        secrets.find(|secret| secret.id.namespace == *namespace && &*secret.id.name == name)
    })
}

fn missing(namespaces: &[Arc<str>], name: &str) -> SecretError {
    if name.starts_with("configmap://") {
        return SecretError::ConfigMap(name.to_owned());
    }
    let mut namespaces: Vec<&str> = namespaces.iter().map(|namespace| &**namespace).collect();
    namespaces.dedup();
    SecretError::Missing(name.to_owned(), namespaces.join(", "))
}

fn entry(secret: &Resource<Secret>, names: [&'static str; 2]) -> Option<(&'static str, Vec<u8>)> {
    names.into_iter().find_map(|name| Some((name, decoded(&secret.spec, name)?)))
}

/// What is under `name`; `None`: nothing, or no base64.
fn decoded(secret: &Secret, name: &str) -> Option<Vec<u8>> {
    let plain = secret.string_data.as_ref().and_then(|entries| entries.value.get(name));
    if let Some(plain) = plain {
        return Some(plain.value.clone().into_bytes());
    }
    let encoded = secret.data.as_ref().and_then(|entries| entries.value.get(name))?;
    let digits: String = encoded.value.chars().filter(|character| !character.is_whitespace()).collect();
    STANDARD.decode(digits).ok()
}

/// Where a value was found, for people.
fn source(secret: &Resource<Secret>) -> String {
    format!("kubernetes://{}", secret.id.name)
}

/// Chain and key of the secret.
pub(super) fn credential(
    resources: &ResourceSet,
    namespaces: &[Arc<str>],
    name: &str,
) -> Result<Arc<Credential>, SecretError> {
    let secret = find(resources, namespaces, name).ok_or_else(|| missing(namespaces, name))?;
    let owned = || name.to_owned();
    let (_, chain) = entry(secret, CHAIN).ok_or_else(|| SecretError::NoKey(owned(), CHAIN[0]))?;
    let (at, key) = entry(secret, KEY).ok_or_else(|| SecretError::NoKey(owned(), KEY[0]))?;
    Credential::from_pem(&source(secret), &chain, &key)
        .map(Arc::new)
        .map_err(|error| SecretError::Bad(owned(), at, error.to_string()))
}

/// Authorities and revocations of the secret.
pub(super) fn trust(
    resources: &ResourceSet,
    namespaces: &[Arc<str>],
    name: &str,
) -> Result<Trust, SecretError> {
    let own = find(resources, namespaces, name);
    let apart = find(resources, namespaces, &format!("{name}-cacert"));
    let Some(first) = own.or(apart) else { return Err(missing(namespaces, name)) };
    let with =
        [own, apart].into_iter().flatten().find_map(|secret| Some((secret, entry(secret, AUTHORITY)?)));
    let Some((secret, (at, text))) = with else {
        return Err(SecretError::NoKey(first.id.name.to_string(), AUTHORITY[0]));
    };
    let bad = |at, error: fuseboard_tls::MaterialError| {
        SecretError::Bad(secret.id.name.to_string(), at, error.to_string())
    };
    let authorities = Authorities::from_pem(&source(secret), &text).map_err(|error| bad(at, error))?;
    let revocations = match entry(secret, REVOCATIONS) {
        Some((at, text)) => Some(Arc::new(Revocations::from_pem(&text).map_err(|error| bad(at, error))?)),
        None => None,
    };
    Ok(Trust { authorities: Arc::new(authorities), revocations })
}
