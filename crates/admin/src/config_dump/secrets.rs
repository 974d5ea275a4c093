//! Certificates in the shape of Envoy's `Secret` message: what is shown and whom is trusted. A private key is never told: its place is
//! filled as Envoy fills it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fuseboard_snapshot::{Certificate, Snapshot};

use crate::proxy_config::Tree;

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Letters in a line of PEM.
const LINE: usize = 64;

/// The name of the certificates of this source, as Istio's agent names those of a file.
pub(super) fn chain_name(source: &str) -> String {
    format!("file-cert:{source}")
}

/// The name of the authorities of this source.
pub(super) fn root_name(source: &str) -> String {
    format!("file-root:{source}")
}

/// All of them with their names, those of listeners first; the system's authorities are nobody's settings.
pub(super) fn all(snapshot: &Snapshot) -> Vec<(String, Tree)> {
    let servers = snapshot.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let clients = snapshot.clusters.iter().filter_map(|cluster| cluster.tls.as_ref());
    let of_servers =
        servers.map(|policy| (policy.credentials.iter().collect::<Vec<_>>(), policy.clients.as_ref()));
    let of_clients = clients.map(|policy| (policy.credential.iter().collect(), policy.trust.as_ref()));
    let mut found: Vec<(String, Tree)> = Vec::new();
    let mut add = |name: String, what: &'static str, content: Tree| {
        if !found.iter().any(|(known, _)| *known == name) {
            let fields = [("@type", Tree::from(SECRET)), ("name", Tree::from(&*name)), (what, content)];
            found.push((name, Tree::of(fields)));
        }
    };
    for (own, trust) in of_servers.chain(of_clients) {
        for credential in own {
            let content =
                Tree::of([("certificate_chain", pem(credential.chain())), ("private_key", redacted())]);
            add(chain_name(credential.source()), "tls_certificate", content);
        }
        if let Some(trust) = trust.filter(|trust| !trust.authorities.is_of_system()) {
            let content = Tree::of([("trusted_ca", pem(trust.authorities.certificates()))]);
            add(root_name(trust.authorities.source()), "validation_context", content);
        }
    }
    found
}

/// What stands in the place of a key.
pub(crate) fn redacted() -> Tree {
    inline("[redacted]")
}

fn inline(bytes: impl AsRef<[u8]>) -> Tree {
    Tree::of([("inline_bytes", Tree::from(BASE64_STANDARD.encode(bytes)))])
}

fn pem(certificates: &[Certificate]) -> Tree {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for (at, letter) in BASE64_STANDARD.encode(certificate.der()).chars().enumerate() {
            if at > 0 && at % LINE == 0 {
                text.push('\n');
            }
            text.push(letter);
        }
        text.push_str("\n-----END CERTIFICATE-----\n");
    }
    inline(text)
}
