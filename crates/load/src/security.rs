//! TLS of the calls: what `-k`, `-cacert`, `-cert` and `-key` ask for becomes what connections are begun with. And why TLS
//! failed, in the words that Go has for it and fortio prints.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseboard_tls::material::CredentialError;
use fuseboard_tls::policy::Trust;
use fuseboard_tls::{
    Authorities, ClientContext, ClientPolicy, Credential, MaterialError, Names, ProtocolError, TlsVersion,
};
use jiff::Timestamp;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::options::TlsOptions;
use crate::socket::Plain;

/// Why no connection can be begun, whoever is called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// A file that cannot be read.
    #[error("-{flag} {}: {source}", path.display())]
    Unreadable {
        /// Which flag named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("-{flag} {}: the file {source}", path.display())]
    Material {
        /// Which flag named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: MaterialError,
    },
    /// What cannot be asked of TLS.
    #[error("tls: {0}")]
    Protocol(#[from] ProtocolError),
}

/// What all connections of a run are begun with.
#[derive(Clone)]
pub(crate) struct Security {
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Security")
    }
}

impl Security {
    /// Reads the files. `protocols` are offered in ALPN.
    pub(crate) fn of(options: &TlsOptions, protocols: &[&[u8]]) -> Result<Self, SecurityError> {
        let trust = (!options.insecure).then(|| trusted(options.ca_cert.as_deref())).transpose()?;
        let names = if trust.is_some() { Names::Requested } else { Names::Any };
        let policy = ClientPolicy {
            sni: None,
            trust,
            names,
            credential: credential(options)?,
            min_version: TlsVersion::V1_2,
        };
        let mut config = (**ClientContext::new(&Arc::new(policy), protocols)?.config()).clone();
        // A new socket is to cost what it costs a caller who comes for the first time, as with fortio.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    /// For connections to `host`; `None`: that cannot be the name of one.
    pub(crate) fn for_host(&self, host: &str) -> Option<Handshake> {
        let name = ServerName::try_from(host.to_owned()).ok()?;
        Some(Handshake { connector: TlsConnector::from(Arc::clone(&self.config)), name })
    }
}

/// How TLS begins on each socket to one host.
#[derive(Clone)]
pub(crate) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handshake").field(&self.name).finish()
    }
}

impl Handshake {
    pub(crate) async fn on(&self, socket: Plain) -> io::Result<TlsStream<Plain>> {
        self.connector.connect(self.name.clone(), socket).await
    }
}

fn trusted(ca_cert: Option<&Path>) -> Result<Trust, SecurityError> {
    let authorities = match ca_cert {
        None => Authorities::of_system(),
        Some(path) => Authorities::from_pem(&path.display().to_string(), &read("cacert", path)?)
            .map_err(|source| SecurityError::Material { flag: "cacert", path: path.to_owned(), source })?,
    };
    Ok(Trust { authorities: Arc::new(authorities), revocations: None })
}

/// One of the two without the other is not used, as by fortio.
fn credential(options: &TlsOptions) -> Result<Option<Arc<Credential>>, SecurityError> {
    let Some((cert, key)) = options.cert.as_deref().zip(options.key.as_deref()) else { return Ok(None) };
    let credential =
        Credential::from_pem(&cert.display().to_string(), &read("cert", cert)?, &read("key", key)?);
    credential.map(Arc::new).map(Some).map_err(|error| {
        let (flag, path, source) = match error {
            CredentialError::Certificate(source) => ("cert", cert, source),
            CredentialError::Key(source) => ("key", key, source),
        };
        SecurityError::Material { flag, path: path.to_owned(), source }
    })
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, SecurityError> {
    std::fs::read(path).map_err(|source| SecurityError::Unreadable { flag, path: path.to_owned(), source })
}

/// What Go says where this is an error of TLS; `None` for others.
pub(crate) fn words(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<ProtocolError>()?;
    Some(match error {
        ProtocolError::InvalidCertificate(error) => {
            format!("tls: failed to verify certificate: x509: {}", certificate_words(error))
        }
        ProtocolError::AlertReceived(alert) => format!("remote error: tls: {}", alert_words(*alert)),
        ProtocolError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "tls: first record does not look like a TLS handshake".to_owned()
        }
        error => format!("tls: {error}"),
    })
}

/// As [`words`], for a handshake that failed.
pub(crate) fn handshake_words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "EOF".to_owned();
    }
    words(error).unwrap_or_else(|| error.to_string())
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let is_address = |name: &str| name.parse::<IpAddr>().is_ok();
            let of_address = is_address(&expected);
            let of_the_kind = presented.iter().filter(|name| is_address(name) == of_address);
            let names = of_the_kind.map(String::as_str).collect::<Vec<_>>().join(", ");
            match (names.is_empty(), of_address) {
                (true, true) => format!(
                    "cannot validate certificate for {expected} because it doesn't contain any IP SANs"
                ),
                (true, false) => {
                    format!("certificate is not valid for any names, but wanted to match {expected}")
                }
                (false, _) => format!("certificate is valid for {names}, not {expected}"),
            }
        }
        CertificateError::ExpiredContext { time, not_after } => out_of_force(*time, "after", *not_after),
        CertificateError::NotValidYetContext { time, not_before } => {
            out_of_force(*time, "before", *not_before)
        }
        CertificateError::Expired | CertificateError::NotValidYet => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".to_owned()
        }
        error => error.to_string(),
    }
}

fn out_of_force(now: UnixTime, side: &str, bound: UnixTime) -> String {
    let shown = |time: UnixTime| {
        let seconds = i64::try_from(time.as_secs()).ok();
        let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        time.map_or_else(String::new, |time| time.to_string())
    };
    let (now, bound) = (shown(now), shown(bound));
    format!("certificate has expired or is not yet valid: current time {now} is {side} {bound}")
}

fn alert_words(alert: AlertDescription) -> String {
    let words = match alert {
        AlertDescription::CloseNotify => "close notify",
        AlertDescription::UnexpectedMessage => "unexpected message",
        AlertDescription::BadRecordMac => "bad record MAC",
        AlertDescription::RecordOverflow => "record overflow",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::IllegalParameter => "illegal parameter",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecodeError => "error decoding message",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InsufficientSecurity => "insufficient security level",
        AlertDescription::InternalError => "internal error",
        AlertDescription::InappropriateFallback => "inappropriate fallback",
        AlertDescription::UserCanceled => "user canceled",
        AlertDescription::NoRenegotiation => "no renegotiation",
        AlertDescription::MissingExtension => "missing extension",
        AlertDescription::UnsupportedExtension => "unsupported extension",
        AlertDescription::UnrecognisedName => "unrecognized name",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(error: ProtocolError) -> String {
        words(&io::Error::new(io::ErrorKind::InvalidData, error)).unwrap()
    }

    fn not_for(expected: &str, presented: &[&str]) -> String {
        let expected = ServerName::try_from(expected.to_owned()).unwrap();
        let presented = presented.iter().map(|&name| name.to_owned()).collect();
        said(CertificateError::NotValidForNameContext { expected, presented }.into())
    }

    #[test]
    fn failures_are_told_in_go_s_words() {
        assert_eq!(
            said(CertificateError::UnknownIssuer.into()),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        );
        assert_eq!(
            not_for("localhost", &["other.test", "10.0.0.1"]),
            "tls: failed to verify certificate: x509: certificate is valid for other.test, not localhost"
        );
        assert_eq!(
            not_for("127.0.0.1", &["other.test"]),
            "tls: failed to verify certificate: x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"
        );
        assert_eq!(
            not_for("127.0.0.1", &["10.0.0.1", "::1"]),
            "tls: failed to verify certificate: x509: certificate is valid for 10.0.0.1, ::1, not 127.0.0.1"
        );
        assert!(not_for("h", &[]).ends_with("certificate is not valid for any names, but wanted to match h"));
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert!(
            said(CertificateError::ExpiredContext { time: at(60), not_after: at(0) }.into())
                .ends_with("current time 1970-01-01T00:01:00Z is after 1970-01-01T00:00:00Z")
        );
        assert_eq!(
            said(ProtocolError::AlertReceived(AlertDescription::CertificateRequired)),
            "remote error: tls: certificate required"
        );
        assert_eq!(words(&io::Error::other("x")), None);
        assert_eq!(handshake_words(&io::ErrorKind::UnexpectedEof.into()), "EOF");
    }
}
