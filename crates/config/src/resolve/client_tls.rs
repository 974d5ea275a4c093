//! `tls` of a `DestinationRule` into what a cluster's connections are begun with, as istiod does it; or into the reason why
//! the cluster must not be used. Never plain text in place of TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use fuseboard_api::Spanned;
use fuseboard_api::istio::tls::{ClientTls, TlsMode};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_tls::policy::Trust;
use fuseboard_tls::{Authorities, Certificate, ClientPolicy, Credential, Names, Revocations, TlsVersion};

use super::destination_rule::BlockAt;
use super::secret::{self, SecretError};
use crate::diagnostic::{Code, Diagnostics};
use crate::material::{self, Unit};
use crate::set::ResourceSet;
use crate::workload::Workload;

/// What connections of a cluster are to be.
pub(super) enum Security {
    Plain,
    Tls(Arc<ClientPolicy>),
    Withheld(RefusalReason),
}

/// Where files and secrets are found, and whom the cluster is.
#[derive(Clone, Copy)]
pub(super) struct TlsSource<'a> {
    pub(super) resources: &'a ResourceSet,
    pub(super) workload: &'a Workload,
    /// The server's name where requests say nothing of it: with `--to`.
    pub(super) host: Option<&'a str>,
}

type Block<'a> = BlockAt<'a, ClientTls>;

/// What the block asks for. In Istio one without `mode` means DISABLE; one that names certificates all the same is not
/// taken at that word.
pub(super) fn security(tls: &Block<'_>, source: TlsSource<'_>, diagnostics: &mut Diagnostics) -> Security {
    let raw = &tls.block.value;
    let mode = match raw.mode.as_deref() {
        Some(TlsMode::Disable) => {
            without_effect(tls, diagnostics);
            return Security::Plain;
        }
        None if names_certificates(raw) => {
            let message =
                "tls without mode means DISABLE, but the block names certificates: requests are answered 503";
            diagnostics.push(
                tls.rule
                    .diagnostic(Code::TlsModeMissing, tls.block.span, message)
                    .field(tls.field("tls"))
                    .help("write mode: SIMPLE, MUTUAL or ISTIO_MUTUAL; or mode: DISABLE and nothing else"),
            );
            return Security::Withheld(RefusalReason::TlsUnsupported);
        }
        None => return Security::Plain,
        Some(TlsMode::IstioMutual) => return Security::Withheld(RefusalReason::TlsUnsupported),
        Some(mode) => *mode,
    };
    without_effect(tls, diagnostics);
    let policy = Making { tls, source, mode, diagnostics }.policy();
    policy.map_or(Security::Withheld(RefusalReason::TlsNotReady), |policy| Security::Tls(Arc::new(policy)))
}

fn names_certificates(raw: &ClientTls) -> bool {
    raw.client_certificate.is_some()
        || raw.private_key.is_some()
        || raw.ca_certificates.is_some()
        || raw.credential_name.is_some()
        || raw.subject_alt_names.is_some()
        || raw.sni.is_some()
        || raw.ca_crl.is_some()
        || raw.insecure_skip_verify.as_ref().is_some_and(|skip| skip.value)
}

fn text(field: Option<&Spanned<String>>) -> Option<&Spanned<String>> {
    field.filter(|text| !text.is_empty())
}

/// Says which fields say nothing in this mode.
fn without_effect(tls: &Block<'_>, diagnostics: &mut Diagnostics) {
    let raw = &tls.block.value;
    let mode = raw.mode.as_deref().copied().unwrap_or(TlsMode::Disable);
    let disabled = mode == TlsMode::Disable;
    let own = disabled || mode == TlsMode::Simple;
    let skips = raw.insecure_skip_verify.as_ref().filter(|skip| skip.value);
    let unchecked = disabled || skips.is_some();
    let names = raw.subject_alt_names.as_ref().map(|names| names.span);
    let span = |field: &Option<Spanned<String>>| text(field.as_ref()).map(|text| text.span);
    let fields = [
        (own, span(&raw.client_certificate), "clientCertificate"),
        (own, span(&raw.private_key), "privateKey"),
        (disabled, span(&raw.credential_name), "credentialName"),
        (disabled, span(&raw.sni), "sni"),
        (disabled, skips.map(|skip| skip.span), "insecureSkipVerify"),
        (unchecked, span(&raw.ca_certificates), "caCertificates"),
        (unchecked, span(&raw.ca_crl), "caCrl"),
        (unchecked, names, "subjectAltNames"),
    ];
    let because = if disabled {
        "mode DISABLE means plain text"
    } else if skips.is_some() {
        "insecureSkipVerify checks nothing"
    } else {
        "mode SIMPLE shows no certificate"
    };
    for (useless, at, name) in fields {
        let Some(at) = at.filter(|_| useless) else { continue };
        diagnostics.push(
            tls.rule
                .diagnostic(Code::TlsSettingWithoutEffect, at, format!("{name} has no effect: {because}"))
                .field(tls.field(&format!("tls.{name}")))
                .help(format!("delete {name}, or write another mode")),
        );
    }
}

struct Making<'m, 'a> {
    tls: &'m Block<'a>,
    source: TlsSource<'m>,
    mode: TlsMode,
    diagnostics: &'m mut Diagnostics,
}

impl Making<'_, '_> {
    fn policy(mut self) -> Option<ClientPolicy> {
        let raw = &self.tls.block.value;
        let skips = raw.insecure_skip_verify.as_ref().is_some_and(|skip| skip.value);
        let secret = text(raw.credential_name.as_ref());
        // Both are looked at, so that all that is wrong is said.
        let credential = match (self.mode, secret) {
            (TlsMode::Mutual, Some(name)) => self.secret_credential(name).map(Some),
            (TlsMode::Mutual, None) => self.file_credential().map(Some),
            _ => Some(None),
        };
        let trust = match (skips, secret) {
            (true, _) => Some(None),
            (false, Some(name)) => self.secret_trust(name).map(Some),
            (false, None) => self.file_trust().map(Some),
        };
        let (credential, trust) = (credential?, trust?);
        let names = raw.subject_alt_names.iter().flat_map(|names| &names.value);
        let names: Vec<String> =
            names.map(|name| name.value.clone()).filter(|name| !name.is_empty()).collect();
        let names = if skips {
            Names::Any
        } else if names.is_empty() {
            Names::Requested
        } else {
            Names::OneOf(names.into())
        };
        let sni = text(raw.sni.as_ref()).map(|sni| sni.value.as_str()).or(self.source.host);
        Some(ClientPolicy {
            sni: sni.map(Into::into),
            trust,
            names,
            credential,
            min_version: TlsVersion::V1_2,
        })
    }

    fn file_credential(&mut self) -> Option<Arc<Credential>> {
        let raw = &self.tls.block.value;
        let (chain, key) = (text(raw.client_certificate.as_ref())?, text(raw.private_key.as_ref())?);
        let (chain_file, key_file) = (self.file(chain), self.file(key));
        let unit = self.source.resources.materials.credential(&chain_file, &key_file);
        let of_key =
            unit.and_then(|unit| unit.problem.as_ref()).is_some_and(|problem| problem.file == key_file);
        let at = if of_key { (key, "privateKey") } else { (chain, "clientCertificate") };
        let credential = self.value(unit, at)?;
        self.report_validity(credential.leaf(), (chain, "clientCertificate"));
        Some(credential)
    }

    fn file_trust(&mut self) -> Option<Trust> {
        let raw = &self.tls.block.value;
        let materials = &self.source.resources.materials;
        let authorities: Option<Arc<Authorities>> = match text(raw.ca_certificates.as_ref()) {
            Some(written) => {
                let unit = materials.authorities(&self.file(written));
                self.value(unit, (written, "caCertificates"))
            }
            None => materials.system().cloned(),
        };
        let revocations: Option<Option<Arc<Revocations>>> = match text(raw.ca_crl.as_ref()) {
            Some(written) => {
                let unit = materials.revocations(&self.file(written));
                self.value(unit, (written, "caCrl")).map(Some)
            }
            None => Some(None),
        };
        let (authorities, revocations) = (authorities?, revocations?);
        if let Some(written) = text(raw.ca_certificates.as_ref()) {
            for certificate in authorities.certificates() {
                self.report_validity(certificate, (written, "caCertificates"));
            }
        }
        Some(Trust { authorities, revocations })
    }

    fn file(&self, written: &Spanned<String>) -> PathBuf {
        material::file_of(self.tls.rule, written)
    }

    /// The value of a unit; says so where it is not what is in the files now.
    fn value<T>(&mut self, unit: Option<&Unit<T>>, (at, field): (&Spanned<String>, &str)) -> Option<Arc<T>> {
        let value = unit.and_then(|unit| unit.value.clone());
        let problem = unit.and_then(|unit| unit.problem.as_ref());
        let message = match (problem, unit) {
            (Some(problem), _) => format!("{} {}", problem.file.display(), problem.words),
            (None, Some(_)) => return value,
            (None, None) => format!("{} was not read", at.value),
        };
        let help = if value.is_some() {
            "what was in it before stays in use"
        } else {
            "requests are answered 503 until it is there; paths count from the folder of the rule's file"
        };
        self.diagnostics.push(
            self.tls
                .rule
                .diagnostic(Code::TlsFileUnusable, at.span, message)
                .field(self.tls.field(&format!("tls.{field}")))
                .help(help),
        );
        value
    }

    fn secret_credential(&mut self, name: &Spanned<String>) -> Option<Arc<Credential>> {
        let found = secret::credential(self.source.resources, &self.namespaces(), name);
        let credential = self.of_secret(found, name)?;
        self.report_validity(credential.leaf(), (name, "credentialName"));
        Some(credential)
    }

    fn secret_trust(&mut self, name: &Spanned<String>) -> Option<Trust> {
        let found = secret::trust(self.source.resources, &self.namespaces(), name);
        self.of_secret(found, name)
    }

    /// Where secrets are looked for: the client's namespace, then the rule's.
    fn namespaces(&self) -> [Arc<str>; 2] {
        [self.source.workload.namespace.clone(), self.tls.rule.id.namespace.clone()]
    }

    fn of_secret<T>(&mut self, found: Result<T, SecretError>, name: &Spanned<String>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                self.diagnostics.push(
                    self.tls
                        .rule
                        .diagnostic(Code::SecretMissing, name.span, error.to_string())
                        .field(self.tls.field("tls.credentialName"))
                        .help("requests are answered 503; put the Secret among the files, or name files"),
                );
                None
            }
        }
    }

    fn report_validity(&mut self, certificate: &Certificate, (at, field): (&Spanned<String>, &str)) {
        let Some(message) = not_in_force(certificate) else { return };
        self.diagnostics.push(
            self.tls
                .rule
                .diagnostic(Code::CertificateNotInForce, at.span, message)
                .field(self.tls.field(&format!("tls.{field}")))
                .help("put a new one into the file; it is taken at once"),
        );
    }
}

/// Words for a certificate that does not count now.
pub(super) fn not_in_force(certificate: &Certificate) -> Option<String> {
    let facts = &certificate.facts;
    if facts.is_valid_at(SystemTime::now()) {
        return None;
    }
    let over = facts.not_after < SystemTime::now();
    let what = if over { "has expired" } else { "is not valid yet" };
    Some(format!("the certificate of {} {what}", facts.subject))
}
