//! From PEM to values that cannot be wrong: a chain with the key that belongs to it, authorities, lists of revoked
//! certificates. Which files they come from is the caller's business, and so is what to do when they are bad.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{
    AttributeTypeAndValue, FromDer, GeneralName, RelativeDistinguishedName, X509Certificate, X509Name,
};

use crate::provider;

/// Why text is not what it should be. The words follow "the file …".
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MaterialError {
    /// No certificate in it.
    #[error("has no certificate (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// No key in it.
    #[error("has no private key (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// The key is encrypted, and nobody can be asked.
    #[error("has an encrypted private key, which cannot be read without its password")]
    EncryptedKey,
    /// No list of revoked certificates in it.
    #[error("has no list of revoked certificates (-----BEGIN X509 CRL-----)")]
    NoRevocations,
    /// It is no PEM.
    #[error("is not PEM: {0}")]
    NotPem(String),
    /// A certificate that is none.
    #[error("has a certificate that cannot be read: number {0}")]
    BadCertificate(usize),
    /// A certificate of a kind that nobody would take: without extensions, for example.
    #[error("has a certificate that cannot be used: {0}")]
    UnusableCertificate(String),
    /// A key of a kind that is not known, or broken.
    #[error("has a private key that cannot be used: {0}")]
    BadKey(String),
    /// A list that is none.
    #[error("has a list of revoked certificates that cannot be read")]
    BadRevocations,
    /// Certificate and key are of different pairs.
    #[error("has a private key that is not the certificate's")]
    Mismatch,
}

/// One certificate, and what it says.
#[derive(Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// What it says.
    pub facts: Arc<Facts>,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its subject, as RFC 2253 writes names.
    pub subject: String,
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// The DNS names that it is for.
    pub dns: Vec<String>,
    /// The URIs that it is for.
    pub uris: Vec<String>,
    /// The addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// The mailboxes that it is for.
    pub emails: Vec<String>,
    /// It counts from here on …
    pub not_before: SystemTime,
    /// … to here.
    pub not_after: SystemTime,
    /// SHA-256 of the certificate in hexadecimal digits.
    pub digest: String,
}

impl Certificate {
    fn new(der: CertificateDer<'static>, number: usize) -> Result<Self, MaterialError> {
        let facts = Facts::read(&der).ok_or(MaterialError::BadCertificate(number))?;
        Ok(Self { der, facts: Arc::new(facts) })
    }

    /// All certificates of a text of PEM, of which there must be one at least.
    pub fn read_all(text: &[u8]) -> Result<Vec<Self>, MaterialError> {
        certificates(text)
    }

    /// Its bytes.
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.facts.subject, self.facts.serial)
    }
}

impl Facts {
    /// What the certificate of these bytes says; `None`: it is none.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut facts = Self {
            subject: rfc2253(certificate.subject()),
            serial: hex(strip_zeroes(certificate.raw_serial())),
            dns: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            emails: Vec::new(),
            not_before: system_time(certificate.validity().not_before.timestamp()),
            not_after: system_time(certificate.validity().not_after.timestamp()),
            digest: hex(&Sha256::digest(der)),
        };
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => facts.dns.push((*name).to_owned()),
                GeneralName::URI(uri) => facts.uris.push((*uri).to_owned()),
                GeneralName::RFC822Name(mailbox) => facts.emails.push((*mailbox).to_owned()),
                GeneralName::IPAddress(bytes) => facts.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Some(facts)
    }

    /// Whether it counts at `now`.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// A name as RFC 2253 writes it: the last part of the certificate first.
fn rfc2253(name: &X509Name<'_>) -> String {
    let part = |set: &RelativeDistinguishedName<'_>| {
        let attributes: Vec<String> = set.iter().map(attribute).collect();
        attributes.join("+")
    };
    let mut parts: Vec<String> = name.iter().map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let name = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
    let value = attribute.as_str().map_or_else(|_| format!("#{}", hex(attribute.as_slice())), escaped);
    format!("{name}={value}")
}

/// What would end a value is preceded by a backslash, and what cannot be seen is written in digits.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.char_indices() {
        let edge = at == 0 || at + character.len_utf8() == value.len();
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', character]),
            ' ' if edge => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            ' '..='~' => text.push(character),
            _ => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    text.push('\\');
                    text.push_str(&hex(&[byte]).to_ascii_uppercase());
                }
            }
        }
    }
    text
}

fn strip_zeroes(bytes: &[u8]) -> &[u8] {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeroes.min(bytes.len().saturating_sub(1))..]
}

fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A certificate with those that lead to its authority, and the key that belongs to it.
pub struct Credential {
    chain: Vec<Certificate>,
    key: PrivateKeyDer<'static>,
    certified: Arc<CertifiedKey>,
    source: Arc<str>,
}

impl Credential {
    /// From PEM; both may be in one text. `source` is where the chain was found, for people.
    pub fn from_pem(source: &str, chain: &[u8], key: &[u8]) -> Result<Self, CredentialError> {
        let chain = certificates(chain).map_err(CredentialError::Certificate)?;
        let key = private_key(key).map_err(CredentialError::Key)?;
        let signing = provider()
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|error| CredentialError::Key(MaterialError::BadKey(error.to_string())))?;
        let ders = chain.iter().map(|certificate| certificate.der.clone()).collect();
        let certified = CertifiedKey::new(ders, signing);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(CredentialError::Key(MaterialError::Mismatch));
            }
            Err(error) => {
                let error = MaterialError::UnusableCertificate(error.to_string());
                return Err(CredentialError::Certificate(error));
            }
        }
        Ok(Self { chain, key, certified: Arc::new(certified), source: source.into() })
    }

    /// The certificate that names its owner.
    pub fn leaf(&self) -> &Certificate {
        &self.chain[0]
    }

    /// All certificates, the owner's first; never empty.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Where the chain was found.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// For those who make rustls' own values.
    pub fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.iter().map(|certificate| certificate.der.clone()).collect(), self.key.clone_key())
    }
}

/// Which of the two is bad.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CredentialError {
    /// The chain.
    #[error("{0}")]
    Certificate(MaterialError),
    /// The key, or that it is another's.
    #[error("{0}")]
    Key(MaterialError),
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key == other.key
    }
}

impl Eq for Credential {}

impl fmt::Debug for Credential {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// The source of the system's authorities; Istio's word.
const SYSTEM: &str = "system";

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    certificates: Vec<Certificate>,
    source: Arc<str>,
}

impl Authorities {
    /// From PEM. `source` is where it was found, for people.
    pub fn from_pem(source: &str, text: &[u8]) -> Result<Self, MaterialError> {
        Ok(Self { certificates: certificates(text)?, source: source.into() })
    }

    /// Those that the system trusts; those of them that cannot be read are left out. There may be none.
    pub fn of_system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let read = found.certs.into_iter().enumerate();
        let certificates: Vec<_> = read.filter_map(|(at, der)| Certificate::new(der, at).ok()).collect();
        Self { certificates, source: SYSTEM.into() }
    }

    /// Their certificates.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Where they were found.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether they are the system's.
    pub fn is_of_system(&self) -> bool {
        &*self.source == SYSTEM
    }
}

/// Certificates that do not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations(Vec<CertificateRevocationListDer<'static>>);

impl Revocations {
    /// From PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, MaterialError> {
        let lists: Vec<_> =
            CertificateRevocationListDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(not_pem)?;
        if lists.is_empty() {
            return Err(MaterialError::NoRevocations);
        }
        if lists.iter().any(|list| webpki::BorrowedCertRevocationList::from_der(list).is_err()) {
            return Err(MaterialError::BadRevocations);
        }
        Ok(Self(lists))
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = &CertificateRevocationListDer<'static>> {
        self.0.iter()
    }
}

fn certificates(text: &[u8]) -> Result<Vec<Certificate>, MaterialError> {
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(text) {
        found.push(Certificate::new(der.map_err(not_pem)?, found.len() + 1)?);
    }
    if found.is_empty() { Err(MaterialError::NoCertificate) } else { Ok(found) }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, MaterialError> {
    const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    let has = |words: &[u8]| text.windows(words.len()).any(|window| window == words);
    match PrivateKeyDer::from_pem_slice(text) {
        _ if ENCRYPTED.into_iter().any(has) => Err(MaterialError::EncryptedKey),
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(MaterialError::NoKey),
        Err(error) => Err(not_pem(error)),
    }
}

/// Never the text itself: it may be a key.
#[expect(clippy::needless_pass_by_value, reason = "it is called by map_err")]
fn not_pem(error: pem::Error) -> MaterialError {
    MaterialError::NotPem(match error {
        pem::Error::MissingSectionEnd { .. } => "an -----END line is missing".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is broken".to_owned(),
        pem::Error::Base64Decode(_) => "what is between BEGIN and END is not base64".to_owned(),
        _ => "it cannot be read".to_owned(),
    })
}
