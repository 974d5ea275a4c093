//! Our side of a connection that a client opens: which certificate it is shown, and whether it must show one.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection, SignatureScheme,
    client::danger::HandshakeSignatureValid,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::KeyUsage;

use crate::client::versions;
use crate::material::{Credential, Facts};
use crate::policy::ServerPolicy;
use crate::provider;
use crate::session::Session;
use crate::trust::Judge;

/// What a listener's connections are begun with; made once for each snapshot that changes it.
#[derive(Debug)]
pub struct ServerContext {
    config: Arc<ServerConfig>,
    by_name: Arc<ByName>,
    policy: Arc<ServerPolicy>,
}

impl ServerContext {
    /// Speaks `protocols` (ALPN), the most wanted first.
    pub fn new(policy: &Arc<ServerPolicy>, protocols: &[&[u8]]) -> Result<Self, Error> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(policy.min_version))?;
        let builder = match &policy.clients {
            Some(trust) => builder.with_client_cert_verifier(Arc::new(Verifier {
                judge: Judge::new(trust),
                hints: trust
                    .authorities
                    .certificates()
                    .iter()
                    .filter_map(|certificate| webpki::anchor_from_trusted_cert(certificate.der()).ok())
                    .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
                    .collect(),
            })),
            None => builder.with_no_client_auth(),
        };
        let by_name = Arc::new(ByName::new(&policy.credentials));
        let resolver: Arc<ByName> = Arc::clone(&by_name);
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Tickets hold what is to be resumed: nothing is kept here, and any worker can take it up.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Self { config: Arc::new(config), by_name, policy: Arc::clone(policy) })
    }

    /// Whether these are the protocols that it speaks.
    pub fn speaks(&self, protocols: &[&[u8]]) -> bool {
        self.config.alpn_protocols == protocols
    }

    /// What it was made from.
    pub const fn policy(&self) -> &Arc<ServerPolicy> {
        &self.policy
    }

    /// What connections are begun with, for those who drive rustls themselves.
    pub const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// What the certificate says that who asks for this server is shown.
    pub fn shown_to(&self, server_name: Option<&str>) -> Option<&Facts> {
        let shown = server_name.and_then(|name| self.by_name.find(name)).or(self.by_name.first.as_ref())?;
        let credentials = self.policy.credentials.iter();
        let credential = credentials.into_iter().find(|own| Arc::ptr_eq(own.certified(), shown))?;
        Some(&credential.leaf().facts)
    }

    /// Begins a connection.
    pub fn begin(&self) -> Result<Box<Session>, Error> {
        Ok(Session::boxed(ServerConnection::new(Arc::clone(&self.config))?.into()))
    }
}

/// Certificates by the names in them.
#[derive(Debug)]
struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `*.example.com` as `example.com`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn new(credentials: &[Arc<Credential>]) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for credential in credentials {
            for name in &credential.leaf().facts.dns {
                let name = name.to_ascii_lowercase();
                let (table, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut wildcard, rest.to_owned()),
                    None => (&mut exact, name),
                };
                table.entry(name).or_insert_with(|| Arc::clone(credential.certified()));
            }
        }
        let first = credentials.first().map(|credential| Arc::clone(credential.certified()));
        Self { exact, wildcard, first }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.exact.get(&name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        client_hello.server_name().and_then(|name| self.find(name)).or(self.first.as_ref()).cloned()
    }
}

#[derive(Debug)]
struct Verifier {
    judge: Judge,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge.chain(end_entity, intermediates, KeyUsage::client_auth(), now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
