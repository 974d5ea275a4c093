//! TLS towards a host, as a `DestinationRule` has it.

use crate::schema::{Support, choice, object};
use crate::span::List;

/// What happens to a host whose rule asks for the mesh's own TLS.
const WITHHELD: Support =
    Support::Security("requests to the host are answered 503 (tls.unsupported), never sent in plain text");

object! {
    /// TLS towards a host.
    pub struct ClientTls {
        /// Whether and how; absent: `DISABLE`.
        mode: optional TlsMode = "mode", Supported;
        /// File of the client's certificate.
        client_certificate: optional String = "clientCertificate", Supported;
        /// File of the client's private key.
        private_key: optional String = "privateKey", Supported;
        /// File of the authorities that the server's certificate is checked against.
        ca_certificates: optional String = "caCertificates", Supported;
        /// Kubernetes secret with certificate, key and authorities.
        credential_name: optional String = "credentialName", Supported;
        /// Names that the server's certificate may carry.
        subject_alt_names: optional List<String> = "subjectAltNames", Supported;
        /// Server name sent.
        sni: optional String = "sni", Supported;
        /// Do not check the server's certificate.
        insecure_skip_verify: optional bool = "insecureSkipVerify", Supported;
        /// File of revoked certificates.
        ca_crl: optional String = "caCrl", Supported;
    }
}

choice! {
    /// Whether and how TLS is spoken.
    pub enum TlsMode {
        /// Plain text.
        Disable = "DISABLE", Supported;
        /// TLS.
        Simple = "SIMPLE", Supported;
        /// TLS with a client certificate.
        Mutual = "MUTUAL", Supported;
        /// TLS with the mesh's certificates.
        IstioMutual = "ISTIO_MUTUAL", WITHHELD;
    }
}
