//! Why a handshake failed, in the words that Envoy has for it (`BoringSSL`'s), and which of its counters grows.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Why there is no session.
#[derive(Debug)]
pub enum Failure {
    /// The other side broke off, or could not be reached any more.
    Transport(io::Error),
    /// The two did not come to terms.
    Protocol(Error),
}

/// Which counter a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Envoy counts those with the connection only.
    Transport,
    /// The other side's certificate is not trusted, or not in force.
    Certificate,
    /// The other side's certificate is for somebody else.
    Name,
    /// The other side showed none.
    NoCertificate,
    /// Everything else.
    Protocol,
}

/// `BoringSSL`'s library number, from which the numbers of its reasons count.
const LIBRARY: u32 = 16 << 24;

impl Failure {
    /// Of reading or writing: what rustls said, where it said something.
    pub fn of(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => Self::Protocol(error),
            Err(error) => Self::Transport(error),
        }
    }

    /// Which counter it belongs to.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Transport(_) => FailureKind::Transport,
            Self::Protocol(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => FailureKind::Name,
            Self::Protocol(Error::InvalidCertificate(_)) => FailureKind::Certificate,
            Self::Protocol(Error::NoCertificatesPresented) => FailureKind::NoCertificate,
            Self::Protocol(_) => FailureKind::Protocol,
        }
    }

    /// Whether the other side does not speak TLS at all.
    pub const fn is_no_tls(&self) -> bool {
        matches!(self, Self::Protocol(Error::InvalidMessage(InvalidMessage::InvalidContentType)))
    }

    /// Envoy's transport failure reason, blanks and all.
    pub fn reason(&self) -> String {
        let error = match self {
            Self::Transport(error) => {
                let text = error.to_string();
                return format!("TLS handshake: {}", text.split(" (os error").next().unwrap_or_default());
            }
            Self::Protocol(error) => error,
        };
        let Some((number, words)) = boring(error) else {
            return format!("TLS_error:|SSL routines:{error}:TLS_error_end");
        };
        let detail = verification(error).map_or_else(String::new, |why| format!(":{why}"));
        format!("TLS_error:|{}:SSL routines:OPENSSL_internal:{words}{detail}:TLS_error_end", LIBRARY + number)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// Number and name of `BoringSSL`'s reason.
fn boring(error: &Error) -> Option<(u32, String)> {
    let (number, words) = match error {
        Error::InvalidCertificate(_) => (125, "CERTIFICATE_VERIFY_FAILED"),
        Error::NoCertificatesPresented => (192, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => (247, "WRONG_VERSION_NUMBER"),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => (240, "UNSUPPORTED_PROTOCOL"),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => (184, "NO_SHARED_CIPHER"),
        Error::NoApplicationProtocol => (307, "NO_APPLICATION_PROTOCOL"),
        Error::AlertReceived(alert) => {
            let (number, words) = alert_words(*alert);
            return Some((1000 + u32::from(number), words));
        }
        _ => return None,
    };
    Some((number, words.to_owned()))
}

/// `SSLV3_ALERT_BAD_CERTIFICATE`, `TLSV1_ALERT_UNKNOWN_CA`.
fn alert_words(alert: AlertDescription) -> (u8, String) {
    let number = u8::from(alert);
    let name = match alert {
        AlertDescription::UnexpectedMessage => "SSLV3_ALERT_UNEXPECTED_MESSAGE",
        AlertDescription::BadRecordMac => "SSLV3_ALERT_BAD_RECORD_MAC",
        AlertDescription::HandshakeFailure => "SSLV3_ALERT_HANDSHAKE_FAILURE",
        AlertDescription::BadCertificate => "SSLV3_ALERT_BAD_CERTIFICATE",
        AlertDescription::UnsupportedCertificate => "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        AlertDescription::CertificateRevoked => "SSLV3_ALERT_CERTIFICATE_REVOKED",
        AlertDescription::CertificateExpired => "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        AlertDescription::CertificateUnknown => "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        AlertDescription::IllegalParameter => "SSLV3_ALERT_ILLEGAL_PARAMETER",
        AlertDescription::UnknownCA => "TLSV1_ALERT_UNKNOWN_CA",
        AlertDescription::AccessDenied => "TLSV1_ALERT_ACCESS_DENIED",
        AlertDescription::DecodeError => "TLSV1_ALERT_DECODE_ERROR",
        AlertDescription::DecryptError => "TLSV1_ALERT_DECRYPT_ERROR",
        AlertDescription::ProtocolVersion => "TLSV1_ALERT_PROTOCOL_VERSION",
        AlertDescription::InsufficientSecurity => "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        AlertDescription::InternalError => "TLSV1_ALERT_INTERNAL_ERROR",
        AlertDescription::UnrecognisedName => "TLSV1_ALERT_UNRECOGNIZED_NAME",
        AlertDescription::CertificateRequired => "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        AlertDescription::NoApplicationProtocol => "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        _ => return (number, format!("TLSV1_ALERT_{number}")),
    };
    (number, name.to_owned())
}

/// What Envoy adds to a certificate that it does not take.
fn verification(error: &Error) -> Option<String> {
    let Error::InvalidCertificate(error) = error else { return None };
    let why = match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            return Some("verify cert failed: verify SAN list".to_owned());
        }
        CertificateError::UnknownIssuer => "unable to get local issuer certificate",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not yet valid"
        }
        CertificateError::Revoked => "certificate revoked",
        CertificateError::BadSignature => "certificate signature failure",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "unsuitable certificate purpose"
        }
        other => return Some(format!("verify cert failed: {other}")),
    };
    Some(format!("verify cert failed: X509_verify_cert: certificate verification error at depth 0: {why}"))
}
