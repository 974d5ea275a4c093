//! Scope `ssl` of clusters and listeners: how handshakes ended, and what was agreed upon.

use fuseboard_stats::{Counter, stats};
use fuseboard_tls::{CipherSuite as Cipher, NamedGroup as Group, ProtocolVersion as Version};
use fuseboard_tls::{FailureKind, Peer};

macro_rules! ssl_stats {
    ($block:ident, $scope:literal, $who:literal) => {
        stats! {
            #[doc = concat!("Envoy's TLS stats of ", $who, "; they exist where it has TLS.")]
            pub struct $block in $scope {
                /// Handshakes that failed for other reasons than certificates and broken connections.
                connection_error: Counter,
                /// Handshakes that succeeded.
                handshake: Counter,
                /// Of those, the ones that took up an earlier session.
                session_reused: Counter,
                /// Handshakes of peers that showed no certificate.
                no_certificate: Counter,
                /// Handshakes that failed because the peer had to show a certificate and showed none.
                fail_verify_no_cert: Counter,
                /// Handshakes that failed because the peer's certificate is not trusted or not in force.
                fail_verify_error: Counter,
                /// Handshakes that failed because the peer's certificate is for another name.
                fail_verify_san: Counter,
                /// Never moves: certificates are not known by their hash.
                fail_verify_cert_hash: Counter,
                /// Handshakes that agreed upon TLS 1.2.
                version_1_2 as "versions.TLSv1.2": Counter,
                /// Handshakes that agreed upon TLS 1.3.
                version_1_3 as "versions.TLSv1.3": Counter,
                /// Handshakes that agreed upon this cipher.
                aes_128 as "ciphers.TLS_AES_128_GCM_SHA256": Counter,
                /// Handshakes that agreed upon this cipher.
                aes_256 as "ciphers.TLS_AES_256_GCM_SHA384": Counter,
                /// Handshakes that agreed upon this cipher.
                chacha as "ciphers.TLS_CHACHA20_POLY1305_SHA256": Counter,
                /// Handshakes that agreed upon this cipher.
                ecdsa_aes_128 as "ciphers.ECDHE-ECDSA-AES128-GCM-SHA256": Counter,
                /// Handshakes that agreed upon this cipher.
                ecdsa_aes_256 as "ciphers.ECDHE-ECDSA-AES256-GCM-SHA384": Counter,
                /// Handshakes that agreed upon this cipher.
                ecdsa_chacha as "ciphers.ECDHE-ECDSA-CHACHA20-POLY1305": Counter,
                /// Handshakes that agreed upon this cipher.
                rsa_aes_128 as "ciphers.ECDHE-RSA-AES128-GCM-SHA256": Counter,
                /// Handshakes that agreed upon this cipher.
                rsa_aes_256 as "ciphers.ECDHE-RSA-AES256-GCM-SHA384": Counter,
                /// Handshakes that agreed upon this cipher.
                rsa_chacha as "ciphers.ECDHE-RSA-CHACHA20-POLY1305": Counter,
                /// Handshakes that agreed upon this group.
                x25519 as "curves.X25519": Counter,
                /// Handshakes that agreed upon this group.
                p256 as "curves.P-256": Counter,
                /// Handshakes that agreed upon this group.
                p384 as "curves.P-384": Counter,
            }
        }

        impl $block {
            /// The two sides came to terms.
            pub(crate) fn count_session(&self, peer: &Peer) {
                self.handshake.inc();
                if peer.resumed {
                    self.session_reused.inc();
                }
                if !peer.has_certificate {
                    self.no_certificate.inc();
                }
                let counters = [
                    peer.version.and_then(|version| self.version(version)),
                    peer.cipher.and_then(|cipher| self.cipher(cipher)),
                    peer.group.and_then(|group| self.group(group)),
                ];
                counters.into_iter().flatten().for_each(Counter::inc);
            }

            /// They did not.
            pub(crate) fn count_failure(&self, kind: FailureKind) {
                match kind {
                    FailureKind::Transport => {}
                    FailureKind::Certificate => self.fail_verify_error.inc(),
                    FailureKind::Name => self.fail_verify_san.inc(),
                    FailureKind::NoCertificate => self.fail_verify_no_cert.inc(),
                    FailureKind::Protocol => self.connection_error.inc(),
                }
            }

            const fn version(&self, version: Version) -> Option<&Counter> {
                match version {
                    Version::TLSv1_2 => Some(&self.version_1_2),
                    Version::TLSv1_3 => Some(&self.version_1_3),
                    _ => None,
                }
            }

            const fn cipher(&self, cipher: Cipher) -> Option<&Counter> {
                Some(match cipher {
                    Cipher::TLS13_AES_128_GCM_SHA256 => &self.aes_128,
                    Cipher::TLS13_AES_256_GCM_SHA384 => &self.aes_256,
                    Cipher::TLS13_CHACHA20_POLY1305_SHA256 => &self.chacha,
                    Cipher::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => &self.ecdsa_aes_128,
                    Cipher::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => &self.ecdsa_aes_256,
                    Cipher::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => &self.ecdsa_chacha,
                    Cipher::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => &self.rsa_aes_128,
                    Cipher::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => &self.rsa_aes_256,
                    Cipher::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => &self.rsa_chacha,
                    _ => return None,
                })
            }

            const fn group(&self, group: Group) -> Option<&Counter> {
                match group {
                    Group::X25519 => Some(&self.x25519),
                    Group::secp256r1 => Some(&self.p256),
                    Group::secp384r1 => Some(&self.p384),
                    _ => None,
                }
            }
        }
    };
}

ssl_stats!(ClusterSslStats, "cluster.<name>.ssl", "a cluster");
ssl_stats!(ListenerSslStats, "listener.<address>.ssl", "a listener");
