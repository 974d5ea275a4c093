//! The flags of `run` about TLS on listeners: which addresses have it, and what files it is made from.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use fuseboard_config::ListenTls;
use fuseboard_snapshot::ForwardClientCert;
use fuseboard_tls::TlsVersion;

use crate::argument;
use crate::exit::{Exit, Failure};

/// Certificates of the addresses that callers reach us at
#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct Flags {
    /// File with the certificate to show and those that lead to its authority; may be repeated, each with its --tls-key.
    /// Callers get the one for the name they ask for, else the first
    #[arg(long, value_name = "FILE")]
    tls_cert: Vec<PathBuf>,
    /// File with the private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Vec<PathBuf>,
    /// File with the authorities whose certificates callers must show; default: callers need none
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Lowest version of TLS for callers
    #[arg(long, value_name = "VERSION", default_value = "1.2", value_parser = version)]
    tls_min_version: TlsVersion,
    /// What becomes of the field x-forwarded-client-cert: sanitize, forward-only, append-forward, sanitize-set or
    /// always-forward-only
    #[arg(long, value_name = "MODE", default_value = "sanitize", value_parser = mode)]
    pub(super) forward_client_cert: ForwardClientCert,
}

/// One `--listen`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen {
    pub(super) address: SocketAddr,
    /// With TLS, in plain text, or as the other flags have it.
    secure: Option<bool>,
}

impl Listen {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (secure, address) = if let Some(rest) = text.strip_prefix("https://") {
            (Some(true), rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Some(false), rest)
        } else {
            (None, text)
        };
        Ok(Self { address: argument::listen(address)?, secure })
    }
}

impl Flags {
    /// Whether there are files to be read.
    pub(super) const fn is_given(&self) -> bool {
        !self.tls_cert.is_empty()
    }

    /// What each flag for itself cannot know.
    pub(super) fn check(&self, listen: &[Listen], bytes: bool) -> Result<(), Failure> {
        if bytes && self.is_given() {
            return Err(Failure::message(Exit::Usage, "--tls-cert with --to tcp://: TLS is for HTTP only")
                .next("leave --tls-cert away; TLS that clients speak passes through as it is"));
        }
        let wanted = listen.iter().any(|listen| listen.secure == Some(true));
        if wanted && !self.is_given() {
            return Err(Failure::message(Exit::Usage, "--listen https:// needs a certificate")
                .next("add --tls-cert FILE --tls-key FILE"));
        }
        if self.tls_cert.len() != self.tls_key.len() {
            let (certificates, keys) = (self.tls_cert.len(), self.tls_key.len());
            let message = format!("{certificates} --tls-cert and {keys} --tls-key: each needs the other");
            return Err(Failure::message(Exit::Usage, message)
                .next("write --tls-key behind each --tls-cert; both may name one file"));
        }
        if self.is_given() && Self::secured(listen).is_empty() {
            return Err(Failure::message(Exit::Usage, "--tls-cert, and no address to use it at")
                .next("write --listen https://ADDR"));
        }
        Ok(())
    }

    /// Those written with `https://`; if nobody wrote that, all that are not written with `http://`.
    fn secured(listen: &[Listen]) -> BTreeSet<usize> {
        let some = listen.iter().any(|listen| listen.secure == Some(true));
        let secure = |(_, listen): &(usize, &Listen)| listen.secure.unwrap_or(!some);
        listen.iter().enumerate().filter(secure).map(|(position, _)| position).collect()
    }

    pub(super) fn plan(&self, listen: &[Listen]) -> Option<ListenTls> {
        self.is_given().then(|| ListenTls {
            listeners: Self::secured(listen),
            pairs: self.tls_cert.iter().cloned().zip(self.tls_key.iter().cloned()).collect(),
            client_ca: self.client_ca.clone(),
            min_version: self.tls_min_version,
        })
    }
}

fn version(text: &str) -> Result<TlsVersion, String> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err("write 1.2 or 1.3".to_owned()),
    }
}

fn mode(text: &str) -> Result<ForwardClientCert, String> {
    let modes = ForwardClientCert::ALL;
    modes
        .into_iter()
        .find(|mode| mode.word() == text)
        .ok_or_else(|| format!("write one of {}", modes.map(ForwardClientCert::word).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(certificates: usize) -> Flags {
        Flags {
            tls_cert: vec!["a".into(); certificates],
            tls_key: vec!["a".into(); certificates],
            client_ca: None,
            tls_min_version: TlsVersion::V1_2,
            forward_client_cert: ForwardClientCert::Sanitize,
        }
    }

    fn secured(listen: &[&str]) -> Vec<usize> {
        let listen: Vec<_> = listen.iter().map(|text| Listen::parse(text).unwrap()).collect();
        flags(1).plan(&listen).unwrap().listeners.into_iter().collect()
    }

    #[test]
    fn a_scheme_says_which_address_is_secured_and_without_any_all_are() {
        assert_eq!(secured(&[":1", ":2"]), [0, 1]);
        assert_eq!(secured(&[":1", "http://:2"]), [0]);
        assert_eq!(secured(&[":1", "https://:2", "http://:3"]), [1]);
    }

    #[test]
    fn certificates_and_addresses_need_each_other() {
        let listen = |text| [Listen::parse(text).unwrap()];
        assert!(flags(0).check(&listen(":1"), false).is_ok());
        assert!(flags(0).check(&listen("https://:1"), false).is_err());
        assert!(flags(1).check(&listen("http://:1"), false).is_err());
        let half = Flags { tls_key: Vec::new(), ..flags(1) };
        assert!(half.check(&listen(":1"), false).is_err());
    }
}
