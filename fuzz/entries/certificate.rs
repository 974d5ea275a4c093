//! What holds for any bytes that a peer shows as its certificate, whose words go into logs and into `x-forwarded-client-cert`.

use fuseboard_tls::material::Facts;
use rustls_pki_types::CertificateDer;

/// The subject is visible ASCII, and no quotation mark in it stands without a backslash: it is put between quotation marks.
pub(crate) fn certificate(data: &[u8]) {
    let Some(facts) = Facts::read(&CertificateDer::from(data)) else { return };
    let mut is_escaped = false;
    for byte in facts.subject.bytes() {
        assert!((b' '..=b'~').contains(&byte), "{:?}", facts.subject);
        assert!(byte != b'"' || is_escaped, "{:?}", facts.subject);
        is_escaped = byte == b'\\' && !is_escaped;
    }
    assert!(!is_escaped, "{:?}", facts.subject);
    assert!(facts.serial.bytes().chain(facts.digest.bytes()).all(|byte| byte.is_ascii_hexdigit()));
}
