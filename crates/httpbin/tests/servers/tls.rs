//! TLS in front of both versions of HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use fuseboard_httpbin::{FortioOptions, serve_fortio};
use fuseboard_tls::policy::Trust;
use fuseboard_tls::{Authorities, ClientContext, ClientPolicy, Credential, Names, ServerPolicy, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{ANY_PORT, PATIENCE, start_with};
use crate::http2::Client;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str) -> Arc<Credential> {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        Arc::new(Credential::from_pem("test", certificate.as_bytes(), key.as_bytes()).unwrap())
    }

    fn trust(&self) -> Trust {
        let authorities = Authorities::from_pem("test", self.pem.as_bytes()).unwrap();
        Trust { authorities: Arc::new(authorities), revocations: None }
    }

    fn server(&self, clients: Option<Trust>) -> Arc<ServerPolicy> {
        let credentials = vec![self.issue("localhost")];
        Arc::new(ServerPolicy { credentials, clients, min_version: TlsVersion::V1_2 })
    }

    /// A connection that offers `protocols`.
    async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&[u8]],
        credential: Option<Arc<Credential>>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let policy = ClientPolicy {
            sni: None,
            trust: Some(self.trust()),
            names: Names::Any,
            credential,
            min_version: TlsVersion::V1_2,
        };
        let context = ClientContext::new(&Arc::new(policy), protocols).unwrap();
        let connector = TlsConnector::from(Arc::clone(context.config()));
        let stream = TcpStream::connect(address).await.unwrap();
        connector.connect("localhost".try_into().unwrap(), stream).await
    }
}

async fn ask(mut stream: TlsStream<TcpStream>, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap()?;
    Ok(text)
}

#[tokio::test]
async fn the_version_is_agreed_upon_and_links_say_https() {
    let authority = Authority::new();
    let server = start_with(|options| options.tls = Some(authority.server(None))).await;
    let address = server.addresses()[0];
    let agreed = async |offered: &[&[u8]]| {
        let stream = authority.connect(address, offered, None).await.unwrap();
        stream.get_ref().1.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned())
    };
    assert_eq!(agreed(&[b"http/1.1", b"h2"]).await.as_deref(), Some("h2"));
    assert_eq!(agreed(&[b"http/1.1"]).await.as_deref(), Some("http/1.1"));
    assert_eq!(agreed(&[]).await, None);

    let client = Client::over(authority.connect(address, &[b"h2"], None).await.unwrap()).await;
    assert_eq!(client.get("/get").await.unwrap().json()["url"], "https://test/get");
    let stream = authority.connect(address, &[b"http/1.1"], None).await.unwrap();
    let answer = ask(stream, "/absolute-redirect/1").await.unwrap();
    assert!(answer.contains("\r\nLocation: https://test/get\r\n"), "{answer}");
    // Without ALPN, the first bytes say what it is.
    let client = Client::over(authority.connect(address, &[], None).await.unwrap()).await;
    assert_eq!(client.get("/status/204").await.unwrap().status, 204);
    // A reset goes through TLS to the socket.
    let stream = authority.connect(address, &[b"http/1.1"], None).await.unwrap();
    let error = ask(stream, "/reset").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn only_clients_of_the_authority_are_let_in_where_there_is_one() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = start_with(|options| options.tls = Some(authority.server(Some(authority.trust())))).await;
    let address = server.addresses()[0];
    let asked = async |credential: Option<Arc<Credential>>| {
        // Under TLS 1.3 a client learns of the refusal when it reads.
        ask(authority.connect(address, &[b"http/1.1"], credential).await?, "/get").await
    };
    assert!(asked(Some(authority.issue("client"))).await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(asked(Some(stranger.issue("client"))).await.is_err());
    assert!(asked(None).await.is_err());
}

#[tokio::test]
async fn fortio_s_echo_and_grpc_have_tls_and_the_others_do_not() {
    let authority = Authority::new();
    let any = Some(ANY_PORT);
    let options = FortioOptions {
        http: any,
        tcp: any,
        grpc: any,
        redirect: any,
        tls: Some(authority.server(None)),
        ..FortioOptions::default()
    };
    let fortio = serve_fortio(options).await.unwrap();
    for listening in fortio.listening() {
        let stream = authority.connect(listening.address, &[b"h2"], None);
        let is_secure = matches!(tokio::time::timeout(PATIENCE, stream).await, Ok(Ok(_)));
        assert_eq!(is_secure, listening.is_secure, "{listening:?}");
        assert_eq!(is_secure, matches!(listening.name, "http-echo" | "grpc 'ping'"), "{listening:?}");
    }
}
