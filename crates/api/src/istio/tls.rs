//! TLS towards a host, as a `DestinationRule` has it.

use crate::schema::{Support, choice, object};
use crate::span::List;

/// What happens to a host whose rule asks for TLS.
const WITHHELD: Support =
    Support::Security("requests to the host are answered 503 (tls.unsupported), never sent in plain text");

object! {
    /// TLS towards a host.
    pub struct ClientTls {
        /// Whether and how; absent: `DISABLE`.
        mode: optional TlsMode = "mode", Supported;
        /// File of the client's certificate.
        client_certificate: optional String = "clientCertificate", NotActedUpon("the file is not read");
        /// File of the client's private key.
        private_key: optional String = "privateKey", NotActedUpon("the file is not read");
        /// File of the authorities that the server's certificate is checked against.
        ca_certificates: optional String = "caCertificates", NotActedUpon("the file is not read");
        /// Kubernetes secret with certificate, key and authorities.
        credential_name: optional String = "credentialName", WITHHELD;
        /// Names that the server's certificate may carry.
        subject_alt_names: optional List<String> = "subjectAltNames", NotActedUpon("no certificate is checked");
        /// Server name sent.
        sni: optional String = "sni", NotActedUpon("no server name is sent");
        /// Do not check the server's certificate.
        insecure_skip_verify: optional bool = "insecureSkipVerify", NotActedUpon("no certificate is checked");
        /// File of revoked certificates.
        ca_crl: optional String = "caCrl", NotActedUpon("the file is not read");
    }
}

choice! {
    /// Whether and how TLS is spoken.
    pub enum TlsMode {
        /// Plain text.
        Disable = "DISABLE", Supported;
        /// TLS.
        Simple = "SIMPLE", WITHHELD;
        /// TLS with a client certificate.
        Mutual = "MUTUAL", WITHHELD;
        /// TLS with the mesh's certificates.
        IstioMutual = "ISTIO_MUTUAL", WITHHELD;
    }
}
