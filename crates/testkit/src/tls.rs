//! TLS around what is plain: certificates made on the spot, a server's front in front of a plain one, and a client's tunnel
//! to a server. Whoever is behind them needs to know nothing of TLS.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fuseboard_tls::policy::Trust;
use fuseboard_tls::{
    Authorities, ClientContext, ClientPolicy, Credential, Names, Revocations, ServerContext, ServerPolicy,
    TlsVersion,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// When a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// Not any more.
    Over,
    /// Not yet.
    Later,
}

impl Authority {
    /// One that nobody knows yet.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names: DNS names, addresses, URIs.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, Validity::Now, 1)
    }

    /// The same, counting at another time, with this serial number.
    pub fn issue_with(&self, names: &[&str], validity: Validity, serial: u64) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nobody"));
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = names.iter().map(|name| name_of(name)).collect();
        (params.not_before, params.not_after) = match validity {
            Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1)),
            Validity::Over => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 1, 2)),
            Validity::Later => (date_time_ymd(2119, 1, 1), date_time_ymd(2120, 1, 1)),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A list that takes these certificates back.
    pub fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Trust in it.
    pub fn trust(&self) -> Trust {
        let authorities = Authorities::from_pem("authority.pem", self.pem.as_bytes()).unwrap();
        Trust { authorities: Arc::new(authorities), revocations: None }
    }

    /// Trust in what it did not take back.
    pub fn trust_but(&self, serials: &[u64]) -> Trust {
        let revocations = Revocations::from_pem(self.revoke(serials).as_bytes()).unwrap();
        Trust { revocations: Some(Arc::new(revocations)), ..self.trust() }
    }
}

fn name_of(name: &str) -> SanType {
    if let Ok(address) = name.parse() {
        SanType::IpAddress(address)
    } else if name.contains("://") {
        SanType::URI(name.try_into().unwrap())
    } else {
        SanType::DnsName(name.try_into().unwrap())
    }
}

impl Pair {
    /// What a side shows.
    pub fn credential(&self) -> Arc<Credential> {
        let (certificate, key) = (self.certificate.as_bytes(), self.key.as_bytes());
        Arc::new(Credential::from_pem("pair.pem", certificate, key).unwrap())
    }

    /// A server that shows it and asks nothing.
    pub fn server(&self) -> ServerPolicy {
        ServerPolicy { credentials: vec![self.credential()], clients: None, min_version: TlsVersion::V1_2 }
    }
}

/// A client that trusts `authority`, and asks for the host of its requests.
pub fn client(authority: &Authority) -> ClientPolicy {
    ClientPolicy {
        sni: None,
        trust: Some(authority.trust()),
        names: Names::Requested,
        credential: None,
        min_version: TlsVersion::V1_2,
    }
}

/// What a front saw of one connection whose handshake succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The server asked for.
    pub server_name: Option<String>,
    /// The protocol agreed upon.
    pub protocol: Option<String>,
    /// How many certificates the client showed.
    pub certificates: usize,
}

/// A port with TLS in front of a plain one. Dropping it closes the port.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<(AtomicUsize, AtomicUsize)>,
    accepting: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Front {
    /// In front of `behind`.
    pub async fn start(policy: ServerPolicy, behind: SocketAddr) -> Self {
        let context = ServerContext::new(&Arc::new(policy), &[b"h2", b"http/1.1"]).unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(context.config()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, open) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<(AtomicUsize, AtomicUsize)>::default());
        let (noting, counting) = (Arc::clone(&seen), Arc::clone(&open));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, noting, open) = (acceptor.clone(), Arc::clone(&noting), Arc::clone(&counting));
                let now = open.0.fetch_add(1, Ordering::SeqCst) + 1;
                open.1.fetch_max(now, Ordering::SeqCst);
                tokio::spawn(async move {
                    serve(acceptor, stream, behind, &noting).await;
                    open.0.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen, open, accepting }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The most connections that were open at once, handshakes included.
    pub fn peak(&self) -> usize {
        self.open.1.load(Ordering::SeqCst)
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, behind: SocketAddr, seen: &Mutex<Vec<Seen>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let (_, session) = stream.get_ref();
    seen.lock().unwrap().push(Seen {
        server_name: session.server_name().map(ToOwned::to_owned),
        protocol: session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
        certificates: session.peer_certificates().map_or(0, <[_]>::len),
    });
    let Ok(mut plain) = TcpStream::connect(behind).await else { return };
    // Either side may go away as it likes.
    drop(copy_bidirectional(&mut stream, &mut plain).await);
}

/// A plain port from which each connection goes on to a server with TLS. Dropping it closes the port.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    failures: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Tunnel {
    /// To `server`, asking for `name`.
    pub async fn start(policy: ClientPolicy, name: &str, server: SocketAddr) -> Self {
        Self::offering(&[b"http/1.1"], policy, name, server).await
    }

    /// The same, with other protocols to agree upon.
    pub async fn offering(protocols: &[&[u8]], policy: ClientPolicy, name: &str, server: SocketAddr) -> Self {
        let context = ClientContext::new(&Arc::new(policy), protocols).unwrap();
        let connector = TlsConnector::from(Arc::clone(context.config()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let failures = Arc::<Mutex<Vec<String>>>::default();
        let noting = Arc::clone(&failures);
        let accepting = tokio::spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                let (connector, name, noting) = (connector.clone(), name.clone(), Arc::clone(&noting));
                tokio::spawn(async move {
                    let Ok(tcp) = TcpStream::connect(server).await else { return };
                    let carried = match connector.connect(name, tcp).await {
                        Ok(mut stream) => copy_bidirectional(&mut plain, &mut stream).await.map(|_| ()),
                        Err(error) => Err(error),
                    };
                    if let Err(error) = carried {
                        noting.lock().unwrap().push(error.to_string());
                    }
                });
            }
        });
        Self { address, failures, accepting }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why connections ended that did not end well.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }
}
