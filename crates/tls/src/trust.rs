//! Whether a certificate was signed by somebody who is trusted, is in force, and is for one of some names. Both sides ask
//! here, so that a certificate is judged the same whoever shows it.

use std::net::IpAddr;

use rustls::{CertificateError, Error, OtherError};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::material::Facts;
use crate::policy::Trust;
use crate::provider;

/// Who is trusted, ready to be asked.
#[derive(Debug)]
pub(crate) struct Judge {
    anchors: Vec<TrustAnchor<'static>>,
    /// The authorities as they are: one that shows its own certificate is trusted too, as by OpenSSL.
    pinned: Vec<CertificateDer<'static>>,
    revocations: Vec<CertRevocationList<'static>>,
}

impl Judge {
    pub(crate) fn new(trust: &Trust) -> Self {
        let pinned: Vec<_> =
            trust.authorities.certificates().iter().map(|certificate| certificate.der().clone()).collect();
        // One that can sign nothing can still be shown itself.
        let anchors = pinned.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok());
        let anchors = anchors.map(|anchor| anchor.to_owned()).collect();
        let lists = trust.revocations.iter().flat_map(|revocations| revocations.lists());
        let revocations = lists
            .filter_map(|list| BorrowedCertRevocationList::from_der(list).ok()?.to_owned().ok())
            .map(CertRevocationList::Owned)
            .collect();
        Self { anchors, pinned, revocations }
    }

    /// Whether `leaf` leads to somebody who is trusted.
    pub(crate) fn chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.pinned.iter().any(|known| known == leaf) {
            return in_force(leaf, now);
        }
        let certificate = EndEntityCert::try_from(leaf).map_err(error_of)?;
        let lists: Vec<&CertRevocationList<'_>> = self.revocations.iter().collect();
        let revocation = match RevocationOptionsBuilder::new(&lists) {
            Ok(builder) => Some(
                builder
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Allow)
                    .build(),
            ),
            // There are no lists.
            Err(_) => None,
        };
        let algorithms = provider().signature_verification_algorithms.all;
        certificate
            .verify_for_usage(algorithms, &self.anchors, intermediates, now, usage, revocation, None)
            .map(|_| ())
            .map_err(error_of)
    }
}

/// Whether `leaf` is for one of `names`. DNS names may be those of a wildcard.
pub(crate) fn is_for<'n>(
    leaf: &CertificateDer<'_>,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<(), Error> {
    let certificate = EndEntityCert::try_from(leaf).map_err(error_of)?;
    let facts = Facts::read(leaf).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let mut wanted = None;
    let found = names.into_iter().any(|name| {
        wanted = wanted.or(Some(name));
        let exactly = facts.uris.iter().chain(&facts.emails).any(|own| own == name);
        exactly
            || name.parse::<IpAddr>().is_ok_and(|address| facts.addresses.contains(&address))
            || ServerName::try_from(name).is_ok_and(|name| {
                matches!(name, ServerName::DnsName(_))
                    && certificate.verify_is_valid_for_subject_name(&name).is_ok()
            })
    });
    if found { Ok(()) } else { Err(Error::InvalidCertificate(not_for(wanted, facts))) }
}

/// With the names, where the one that was looked for is one that can be shown.
fn not_for(wanted: Option<&str>, facts: Facts) -> CertificateError {
    let wanted = wanted.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    wanted.map_or(CertificateError::NotValidForName, |expected| {
        let addresses = facts.addresses.iter().map(ToString::to_string);
        let presented = facts.dns.into_iter().chain(addresses).collect();
        CertificateError::NotValidForNameContext { expected, presented }
    })
}

fn in_force(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let facts = Facts::read(leaf).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now.as_secs());
    Err(Error::InvalidCertificate(if now > facts.not_after {
        CertificateError::Expired
    } else if now < facts.not_before {
        CertificateError::NotValidYet
    } else {
        return Ok(());
    }))
}

/// In the words that the other side is told in.
fn error_of(error: webpki::Error) -> Error {
    use webpki::Error as W;
    Error::InvalidCertificate(match error {
        W::BadDer | W::BadDerTime | W::TrailingData(_) => CertificateError::BadEncoding,
        W::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        W::InvalidCertValidity => CertificateError::Expired,
        W::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        W::CertRevoked => CertificateError::Revoked,
        W::UnknownIssuer => CertificateError::UnknownIssuer,
        W::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        W::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        error => CertificateError::Other(OtherError(std::sync::Arc::new(error))),
    })
}
