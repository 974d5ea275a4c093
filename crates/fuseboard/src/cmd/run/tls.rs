//! The flags of `run` about TLS on listeners: which addresses have it, and what files it is made from.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use fuseboard_config::{Carries, ListenTls, PortListen};
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
    /// Folder with further certificates and keys, as NAME.crt and NAME.key, or in folders of their own as Kubernetes mounts them
    /// (tls.crt, tls.key); pairs may come and go. May be repeated
    #[arg(long, value_name = "FOLDER")]
    tls_folder: Vec<PathBuf>,
    /// File with the authorities whose certificates callers must show; default: callers need none
    #[arg(long, value_name = "FILE")]
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
    scheme: Option<Scheme>,
}

/// One `--listen-tcp`.
#[derive(Clone, Debug)]
pub(super) struct ListenTcp {
    pub(super) listen: PortListen,
    scheme: Option<Scheme>,
}

/// One `--listen-service`.
#[derive(Clone, Debug)]
pub(super) struct ListenService {
    pub(super) listen: PortListen,
}

/// What is written before an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Tcp,
    Tls,
}

impl Scheme {
    const ALL: [(&'static str, Self); 4] =
        [("http://", Self::Http), ("https://", Self::Https), ("tcp://", Self::Tcp), ("tls://", Self::Tls)];

    fn split(text: &str) -> (Option<Self>, &str) {
        let found =
            Self::ALL.iter().find_map(|(word, scheme)| Some((Some(*scheme), text.strip_prefix(word)?)));
        found.unwrap_or((None, text))
    }

    const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    const fn carries_bytes(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

impl Listen {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, address) = Scheme::split(text);
        Ok(Self { address: argument::listen(address)?, scheme })
    }
}

impl ListenTcp {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = Scheme::split(text);
        if scheme.is_some_and(|scheme| !scheme.carries_bytes()) {
            return Err("bytes are carried, and not HTTP; write tls:// or tcp://".to_owned());
        }
        Ok(Self { listen: argument::listen_port(rest, Carries::Bytes)?, scheme })
    }
}

impl ListenService {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = match Scheme::split(text) {
            (None, rest) => (false, rest),
            (Some(Scheme::Tls), rest) => (true, rest),
            (Some(_), _) => {
                return Err("the port says what is spoken; write tls:// for TLS, else nothing".to_owned());
            }
        };
        Ok(Self { listen: PortListen { tls, ..argument::listen_port(rest, Carries::Declared)? } })
    }
}

/// All addresses that clients come to.
#[derive(Clone, Copy)]
pub(super) struct Addresses<'a> {
    pub(super) listen: &'a [Listen],
    pub(super) tcp: &'a [ListenTcp],
    pub(super) services: &'a [ListenService],
    /// What comes to `listen` is bytes, and not HTTP.
    pub(super) bytes: bool,
}

impl Addresses<'_> {
    fn schemes(&self) -> impl Iterator<Item = Option<Scheme>> {
        self.listen.iter().map(|listen| listen.scheme).chain(self.tcp.iter().map(|tcp| tcp.scheme))
    }

    fn some_are_secure(&self) -> bool {
        self.schemes().flatten().any(Scheme::is_secure) || self.services.iter().any(|own| own.listen.tls)
    }

    /// Of the addresses of services only those written with `tls://` have it.
    fn any_is_secure(&self) -> bool {
        let mut schemes = self.schemes();
        self.some_are_secure() || schemes.any(|scheme| self.is_secure(scheme))
    }

    /// Those written with `https://` or `tls://`; if nobody wrote that, all that are not written otherwise.
    fn is_secure(&self, scheme: Option<Scheme>) -> bool {
        scheme.map_or(!self.some_are_secure(), Scheme::is_secure)
    }

    /// The first scheme that is not for what comes there, and the one to write.
    fn misnamed(&self) -> Option<(&'static str, &'static str)> {
        let wrong = self.listen.iter().filter_map(|listen| listen.scheme);
        let wrong = wrong.into_iter().find(|scheme| scheme.carries_bytes() != self.bytes)?;
        Some(match wrong {
            Scheme::Http => ("http://", "tcp://"),
            Scheme::Https => ("https://", "tls://"),
            Scheme::Tcp => ("tcp://", "http://"),
            Scheme::Tls => ("tls://", "https://"),
        })
    }
}

impl Flags {
    /// Whether there are files to be read.
    pub(super) const fn is_given(&self) -> bool {
        !self.tls_cert.is_empty() || !self.tls_folder.is_empty()
    }

    /// What each flag for itself cannot know.
    pub(super) fn check(&self, addresses: Addresses<'_>) -> Result<(), Failure> {
        if let Some((wrong, right)) = addresses.misnamed() {
            let what = if addresses.bytes { "--to tcp:// carries bytes" } else { "HTTP comes there" };
            return Err(Failure::message(Exit::Usage, format_args!("--listen {wrong}, but {what}"))
                .next(format!("write --listen {right}ADDR; for a TCP port of a service --listen-tcp")));
        }
        if addresses.some_are_secure() && !self.is_given() {
            return Err(Failure::message(Exit::Usage, "an address with TLS needs a certificate")
                .next("add --tls-cert FILE --tls-key FILE, or --tls-folder FOLDER"));
        }
        if self.client_ca.is_some() && !self.is_given() {
            return Err(Failure::message(Exit::Usage, "--client-ca, and no certificate of ours")
                .next("add --tls-cert FILE --tls-key FILE, or --tls-folder FOLDER"));
        }
        if self.tls_cert.len() != self.tls_key.len() {
            let (certificates, keys) = (self.tls_cert.len(), self.tls_key.len());
            let message = format!("{certificates} --tls-cert and {keys} --tls-key: each needs the other");
            return Err(Failure::message(Exit::Usage, message)
                .next("write --tls-key behind each --tls-cert; both may name one file"));
        }
        if self.is_given() && !addresses.any_is_secure() {
            let scheme = if addresses.bytes { "tls" } else { "https" };
            return Err(Failure::message(Exit::Usage, "a certificate, and no address to use it at")
                .next(format!("write --listen {scheme}://ADDR")));
        }
        Ok(())
    }

    pub(super) fn plan(&self, addresses: Addresses<'_>) -> Option<ListenTls> {
        let secure =
            |(position, listen): (usize, &Listen)| addresses.is_secure(listen.scheme).then_some(position);
        self.is_given().then(|| ListenTls {
            listeners: addresses.listen.iter().enumerate().filter_map(secure).collect(),
            pairs: self.tls_cert.iter().cloned().zip(self.tls_key.iter().cloned()).collect(),
            folders: self.tls_folder.clone(),
            client_ca: self.client_ca.clone(),
            min_version: self.tls_min_version,
        })
    }

    /// The addresses of single ports, each with what it has of TLS.
    pub(super) fn plan_ports(&self, addresses: Addresses<'_>) -> Vec<PortListen> {
        let tcp = addresses.tcp.iter().map(|tcp| PortListen {
            tls: self.is_given() && addresses.is_secure(tcp.scheme),
            ..tcp.listen.clone()
        });
        tcp.chain(addresses.services.iter().map(|own| own.listen.clone())).collect()
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
            tls_folder: Vec::new(),
            client_ca: None,
            tls_min_version: TlsVersion::V1_2,
            forward_client_cert: ForwardClientCert::Sanitize,
        }
    }

    fn secured(listen: &[&str], tcp: &[&str]) -> (Vec<usize>, Vec<bool>) {
        let listen: Vec<_> = listen.iter().map(|text| Listen::parse(text).unwrap()).collect();
        let tcp: Vec<_> = tcp.iter().map(|text| ListenTcp::parse(text).unwrap()).collect();
        let addresses = Addresses { listen: &listen, tcp: &tcp, services: &[], bytes: false };
        let planned = flags(1).plan(addresses).unwrap().listeners.into_iter().collect();
        (planned, flags(1).plan_ports(addresses).iter().map(|tcp| tcp.tls).collect())
    }

    #[test]
    fn a_scheme_says_which_address_is_secured_and_without_any_all_are() {
        assert_eq!(secured(&[":1", ":2"], &[]), (vec![0, 1], vec![]));
        assert_eq!(secured(&[":1", "http://:2"], &[":3=a:3"]), (vec![0], vec![true]));
        assert_eq!(secured(&[":1", "https://:2", "http://:3"], &[":4=a:4"]), (vec![1], vec![false]));
        assert_eq!(secured(&[":1"], &["tls://:2=a:2", ":3=a:3"]), (vec![], vec![true, false]));
        assert_eq!(secured(&[":1"], &["tcp://:2=a:2"]), (vec![0], vec![false]));
    }

    #[test]
    fn certificates_and_addresses_need_each_other() {
        let check = |flags: Flags, text, bytes| {
            let listen = [Listen::parse(text).unwrap()];
            flags.check(Addresses { listen: &listen, tcp: &[], services: &[], bytes }).is_ok()
        };
        assert!(check(flags(0), ":1", false));
        assert!(!check(flags(0), "https://:1", false));
        assert!(!check(flags(1), "http://:1", false));
        assert!(check(flags(1), "tls://:1", true));
        assert!(!check(flags(1), "tls://:1", false), "HTTP comes there");
        assert!(!check(flags(1), "https://:1", true), "bytes come there");
        assert!(!check(Flags { tls_key: Vec::new(), ..flags(1) }, ":1", false));
        assert!(check(Flags { tls_folder: vec!["a".into()], ..flags(0) }, "https://:1", false));
        assert!(!check(Flags { client_ca: Some("a".into()), ..flags(0) }, ":1", false));
    }

    #[test]
    fn an_address_of_a_service_has_tls_only_where_it_says_so() {
        let services = |text| [ListenService::parse(text).unwrap()];
        let (plain, secure) = (services(":1=a:1"), services("tls://:1=a:1"));
        let with = |services| Addresses { listen: &[], tcp: &[], services, bytes: false };
        assert_eq!([&plain, &secure].map(|own| flags(1).plan_ports(with(own))[0].tls), [false, true]);
        assert!(flags(1).check(with(&plain)).is_err(), "no address to use it at");
        assert!(flags(1).check(with(&secure)).is_ok());
        assert!(flags(0).check(with(&secure)).is_err(), "no certificate");
        let beside = [Listen::parse(":2").unwrap()];
        let beside = Addresses { listen: &beside, ..with(&secure) };
        assert!(flags(1).plan(beside).unwrap().listeners.is_empty(), "one says tls://");
        assert!(ListenService::parse("https://:1=a:1").unwrap_err().contains("tls://"));
    }

    #[test]
    fn an_address_for_bytes_is_none_for_http() {
        assert!(ListenTcp::parse("https://:1=a:1").unwrap_err().contains("tls://"));
    }
}
