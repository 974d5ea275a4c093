//! Our side of a connection that we open: what is shown, what is checked.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::KeyUsage;

use crate::policy::{ClientPolicy, Names, TlsVersion};
use crate::session::Session;
use crate::trust::{self, Judge};
use crate::{material, provider};

/// What connections to one destination are begun with; made once for each snapshot that changes it.
#[derive(Debug)]
pub struct ClientContext {
    config: Arc<ClientConfig>,
    policy: Arc<ClientPolicy>,
}

impl ClientContext {
    /// Speaks `protocols` (ALPN), the most wanted first.
    pub fn new(policy: &Arc<ClientPolicy>, protocols: &[&[u8]]) -> Result<Self, Error> {
        let verifier =
            Arc::new(Verifier { judge: policy.trust.as_ref().map(Judge::new), names: policy.names.clone() });
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(policy.min_version))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &policy.credential {
            Some(credential) => builder.with_client_cert_resolver(Arc::new(Shown(Arc::clone(credential)))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(256);
        Ok(Self { config: Arc::new(config), policy: Arc::clone(policy) })
    }

    /// What it was made from.
    pub const fn policy(&self) -> &Arc<ClientPolicy> {
        &self.policy
    }

    /// Whether connections for different hosts differ.
    pub fn depends_on_host(&self) -> bool {
        self.policy.sni.is_none()
    }

    /// What connections are begun with, for those who drive rustls themselves.
    pub const fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Begins a connection for a request to `host` (no port). An address is checked and not sent, as RFC 6066 has it.
    pub fn begin(&self, host: &str) -> Result<Box<Session>, Error> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name(host))?;
        Ok(Session::boxed(connection.into()))
    }

    /// The same for bytes of which nobody knows what they mean: no protocol is named, as whoever does not know it would refuse.
    pub fn begin_unnamed(&self, host: &str) -> Result<Box<Session>, Error> {
        let connection =
            ClientConnection::new_with_alpn(Arc::clone(&self.config), self.name(host), Vec::new())?;
        Ok(Session::boxed(connection.into()))
    }

    fn name(&self, host: &str) -> ServerName<'static> {
        server_name(self.policy.sni.as_deref().unwrap_or(host))
    }
}

/// The name to send. One that is no DNS name cannot be sent: then, as for an address, none is.
fn server_name(host: &str) -> ServerName<'static> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host)
        .map_or_else(|_| ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into()), |name| name.to_owned())
}

pub(crate) fn versions(min: TlsVersion) -> &'static [&'static rustls::SupportedProtocolVersion] {
    const ONLY_1_3: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    match min {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => ONLY_1_3,
    }
}

/// Shows one credential whoever asks.
#[derive(Debug)]
struct Shown(Arc<material::Credential>);

impl rustls::client::ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(self.0.certified()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Verifier {
    /// `None`: everybody.
    judge: Option<Judge>,
    names: Names,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(judge) = &self.judge {
            judge.chain(end_entity, intermediates, KeyUsage::server_auth(), now)?;
            match &self.names {
                Names::Any => {}
                Names::Requested => trust::is_for(end_entity, [&*server_name.to_str()])?,
                Names::OneOf(names) => trust::is_for(end_entity, names.iter().map(String::as_str))?,
            }
        }
        Ok(ServerCertVerified::assertion())
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
