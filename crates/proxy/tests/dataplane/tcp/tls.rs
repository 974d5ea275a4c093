//! TLS of TCP connections, from the client and to the host: bytes, ends, who is let in, and how a failure is told.

use std::sync::Arc;
use std::time::Duration;

use super::{Host, held, tcp, tcp_with, until_counted, until_over};
use crate::rig::log::LogFile;
use crate::rig::{Draft, Rig, WORKERS, limits, options, touchy};
use fuseboard_core::tcp::{Proxied, ProxyVersion};
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};
use fuseboard_snapshot::{ClientPolicy, ServerPolicy};
use fuseboard_testkit::tls::{Authority, Front, Pair, Tunnel, Validity, client};
use fuseboard_testkit::{Client, ReadFailure};
use fuseboard_tls::Names;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// More than all buffers of both sockets hold.
const MUCH: usize = 12 << 20;

/// TLS on both sides of a proxy: a client that asks for `a.test`, and a host that shows a certificate for `b.test`.
struct Scene {
    theirs: Authority,
    ours: Authority,
    host: Host,
    front: Front,
}

impl Scene {
    async fn new() -> Self {
        let (theirs, ours) = (Authority::new("theirs"), Authority::new("ours"));
        let host = Host::listen().await;
        let front = Front::start(theirs.issue(&["b.test"]).server(), host.address()).await;
        Self { theirs, ours, host, front }
    }

    fn rig(&self, workers: usize, change: impl FnOnce(&mut Draft)) -> Rig {
        tcp(workers, &[self.front.address()], |draft| {
            draft.listener.tls = Some(Arc::new(self.ours.issue(&["a.test"]).server()));
            draft.cluster.tls = Some(Arc::new(to_b(&self.theirs)));
            change(draft);
        })
    }

    async fn tunnel(&self, rig: &Rig) -> Tunnel {
        Tunnel::start(client(&self.ours), "a.test", rig.address).await
    }
}

/// Trusts `authority`, and asks for `b.test`.
fn to_b(authority: &Authority) -> ClientPolicy {
    ClientPolicy { sni: Some("b.test".into()), ..client(authority) }
}

/// A TLS connection to the rig that names a protocol which nobody here knows.
async fn with_alpn(authority: &Authority, rig: &Rig) -> tokio_rustls::client::TlsStream<TcpStream> {
    let context = fuseboard_tls::ClientContext::new(&Arc::new(client(authority)), &[b"postgresql"]).unwrap();
    let connector = TlsConnector::from(Arc::clone(context.config()));
    let tcp = TcpStream::connect(rig.address).await.unwrap();
    connector.connect(ServerName::try_from("a.test").unwrap(), tcp).await.unwrap()
}

#[tokio::test]
async fn bytes_pass_through_tls_of_both_sides_whoever_speaks_first() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, |_| {});
        let tunnel = scene.tunnel(&rig).await;
        for host_first in [false, true] {
            let client = Client::connect(tunnel.address()).await;
            let peer = scene.host.accept().await;
            let (mut first, mut second) = if host_first { (peer, client) } else { (client, peer) };
            for word in ["hello", "\0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
                first.send(word).await;
                assert_eq!(second.received(word.len()).await.unwrap(), word.as_bytes());
                second.send("and back").await;
                assert_eq!(first.received(8).await.unwrap(), b"and back");
            }
        }
        until_over(&rig).await;
        let seen = scene.front.seen();
        assert_eq!(seen[0].server_name.as_deref(), Some("b.test"));
        assert_eq!(seen[0].protocol, None, "nobody knows what the bytes are");
        for name in ["listener.ssl.handshake", "ssl.handshake"] {
            assert_eq!(rig.numbers().get(name), 2, "{name}");
        }
        assert_eq!(rig.numbers().get("tcp.downstream_cx_rx_bytes_total"), 5 + 5 + 18 + 3 * 8);
    }
}

#[tokio::test]
async fn megabytes_arrive_whole_both_ways_at_once() {
    let sent: Vec<u8> =
        (0..MUCH).map(|index| u8::try_from((index * 31 + index / 251) % 256).unwrap()).collect();
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, |_| {});
        let tunnel = scene.tunnel(&rig).await;
        let mut client = Client::connect(tunnel.address()).await;
        let mut peer = scene.host.accept().await;
        let (up, down) = (client.sender(), peer.sender());
        let upwards = async { up.send(&sent).await.unwrap() };
        let downwards = async { down.send(&sent).await.unwrap() };
        let at_host = async { peer.received(MUCH).await.unwrap() };
        let at_client = async { client.received(MUCH).await.unwrap() };
        let ((), (), at_host, at_client) = tokio::join!(upwards, downwards, at_host, at_client);
        assert!(at_host == sent, "what the host got is not what the client sent");
        assert!(at_client == sent, "what the client got is not what the host sent");
        drop((client, peer, up, down));
        until_over(&rig).await;
        assert_eq!(rig.numbers().get("upstream_cx_rx_bytes_total"), MUCH as u64);
    }
}

#[tokio::test]
async fn each_direction_ends_alone_and_each_end_is_said() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, |_| {});
        let tunnel = scene.tunnel(&rig).await;
        for client_first in [true, false] {
            let client = Client::connect(tunnel.address()).await;
            let peer = scene.host.accept().await;
            let (mut first, mut second) = if client_first { (client, peer) } else { (peer, client) };
            first.send("last words").await;
            first.half_close();
            assert_eq!(second.closed().await, b"last words");
            assert_eq!(held(&rig), (1, 1), "half closed, both are still held");
            for word in ["still", "here"] {
                second.send(word).await;
                assert_eq!(first.received(word.len()).await.unwrap(), word.as_bytes());
            }
            second.close();
            assert_eq!(first.closed().await, b"");
            until_over(&rig).await;
        }
        assert_eq!(tunnel.failures(), [""; 0]);
    }
}

#[tokio::test]
async fn an_end_that_nobody_said_is_not_made_one_that_was_said() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let cutting = cutting_host(&scene.theirs.issue(&["b.test"])).await;
        let rig = tcp(workers, &[cutting], |draft| {
            draft.listener.tls = Some(Arc::new(scene.ours.issue(&["a.test"]).server()));
            draft.cluster.tls = Some(Arc::new(to_b(&scene.theirs)));
        });
        let mut stream = with_alpn(&scene.ours, &rig).await;
        let mut heard = Vec::new();
        let end = stream.read_to_end(&mut heard).await;
        assert_eq!(heard, b"the first half");
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        drop(stream);
        until_over(&rig).await;
    }
}

/// Says something through TLS, and closes the socket alone.
async fn cutting_host(pair: &Pair) -> std::net::SocketAddr {
    let context = fuseboard_tls::ServerContext::new(&Arc::new(pair.server()), &[]).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(context.config()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            drop(stream.write_all(b"the first half").await);
            drop(stream.flush().await);
            drop(stream.into_inner().0);
        }
    });
    address
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    for workers in WORKERS {
        let (ours, host) = (Authority::new("ours"), Host::listen().await);
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.listener.tls = Some(Arc::new(ours.issue(&["a.test"]).server()));
        });
        let mut stream = with_alpn(&ours, &rig).await;
        stream.write_all(b"cut").await.unwrap();
        let mut peer = host.accept().await;
        assert_eq!(peer.received(3).await.unwrap(), b"cut");
        let socket = stream.into_inner().0.into_std().unwrap();
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop(socket);
        let end = peer.received(1).await;
        assert!(matches!(end, Err(ReadFailure::Reset)), "{end:?}");
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn d48_without_a_name_in_the_rule_the_hosts_certificate_must_be_the_services() {
    for workers in WORKERS {
        for (name, served) in [("svc.test", true), ("other.test", false)] {
            let (theirs, host) = (Authority::new("theirs"), Host::listen().await);
            let front = Front::start(theirs.issue(&[name]).server(), host.address()).await;
            let rig = tcp(workers, &[front.address()], |draft| {
                draft.cluster.service.host = "SVC.test".into();
                draft.cluster.tls = Some(Arc::new(client(&theirs)));
            });
            let mut client = rig.client().await;
            if served {
                let mut peer = host.accept().await;
                peer.send("welcome").await;
                assert_eq!(client.received(7).await.unwrap(), b"welcome");
                assert_eq!(front.seen()[0].server_name.as_deref(), Some("svc.test"));
            } else {
                assert_eq!(client.closed().await, b"");
                assert!(!host.is_called().await);
                until_counted(&rig, "ssl.fail_verify_san", 1).await;
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_fails_at_tls_is_told_as_one_that_refuses_and_ejected_like_one() {
    for workers in WORKERS {
        let (ours, strangers) = (Authority::new("ours"), Authority::new("strangers"));
        let host = Host::listen().await;
        let bad = Front::start(strangers.issue(&["b.test"]).server(), host.address()).await;
        let log = LogFile::new(AccessLogFormat::Text);
        let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
        let rig = tcp_with(options, &[bad.address()], |draft| {
            draft.cluster.tls = Some(Arc::new(to_b(&ours)));
            draft.cluster.outlier = Some(touchy());
        });
        assert_eq!(rig.client().await.closed().await, b"");
        until_over(&rig).await;
        for name in [
            "ssl.fail_verify_error",
            "upstream_cx_connect_fail",
            "upstream_rq_pending_failure_eject",
            "upstream_cx_connect_attempts_exceeded",
        ] {
            assert_eq!(rig.numbers().get(name), 1, "{name}");
        }
        assert!(!host.is_called().await, "nothing was sent");
        assert_eq!(rig.cluster().live.ejections().unwrap().ejected, 1);
        rig.proxy.drain();
        rig.proxy.join();
        let lines = log.raw();
        assert!(lines.contains(" UF,URX "), "{lines}");
        assert!(lines.contains("CERTIFICATE_VERIFY_FAILED"), "{lines}");
    }
}

#[tokio::test]
async fn a_host_without_tls_gets_nothing_and_a_silent_one_has_the_time_of_the_connect() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.tls = Some(Arc::new(to_b(&Authority::new("ours"))));
            draft.cluster.connect_timeout = Duration::from_millis(100);
        });
        let mut client = rig.client().await;
        client.send("a secret").await;
        let mut peer = host.accept().await;
        let heard = peer.closed().await;
        assert_eq!(heard[..3], [0x16, 0x03, 0x01], "a ClientHello: {heard:?}");
        assert!(!heard.windows(8).any(|window| window == b"a secret"));
        assert_eq!(client.closed().await, b"");
        until_counted(&rig, "upstream_cx_connect_timeout", 1).await;
        let mut client = rig.client().await;
        host.accept().await.send("220 mail ready\r\n").await;
        client.closed().await;
        until_counted(&rig, "ssl.connection_error", 1).await;
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn who_has_no_good_certificate_reaches_no_host_and_takes_no_place() {
    for workers in WORKERS {
        let (ours, host) = (Authority::new("ours"), Host::listen().await);
        let rig = tcp(workers, &[host.address()], |draft| {
            let pair = ours.issue(&["a.test"]);
            let policy = ServerPolicy { clients: Some(ours.trust()), ..pair.server() };
            draft.listener.tls = Some(Arc::new(policy));
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let silent = rig.client().await;
        let cases = [
            (None, "fail_verify_no_cert"),
            (Some(ours.issue_with(&["old"], Validity::Over, 2)), "fail_verify_error"),
        ];
        for (pair, counter) in cases {
            let credential = pair.map(|pair| pair.credential());
            let policy = ClientPolicy { credential, ..client(&ours) };
            let tunnel = Tunnel::start(policy, "a.test", rig.address).await;
            Client::connect(tunnel.address()).await.closed().await;
            until_counted(&rig, &format!("listener.ssl.{counter}"), 1).await;
        }
        let mut plain = rig.client().await;
        plain.send("GET / HTTP/1.1\r\n\r\n").await;
        let _ = plain.received(1).await;
        until_counted(&rig, "listener.fuseboard.plain_text_on_tls", 1).await;
        assert!(!host.is_called().await);
        let policy = ClientPolicy { credential: Some(ours.issue(&["me"]).credential()), ..client(&ours) };
        let tunnel = Tunnel::start(policy, "a.test", rig.address).await;
        let mut good = Client::connect(tunnel.address()).await;
        good.send("hello").await;
        assert_eq!(host.accept().await.received(5).await.unwrap(), b"hello", "the silent one holds no place");
        drop((silent, good));
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_an_end_is_given_up() {
    for workers in WORKERS {
        let (ours, host) = (Authority::new("ours"), Host::listen().await);
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.listener.tls = Some(Arc::new(ours.issue(&["a.test"]).server()));
            draft.listener.http.handshake_timeout = Duration::from_millis(50);
        });
        for part in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
            let mut client = rig.client().await;
            client.send(part).await;
            client.closed().await;
        }
        until_counted(&rig, "listener.downstream_cx_transport_socket_connect_timeout", 2).await;
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn a_proxy_header_goes_before_tls_on_either_side() {
    for workers in WORKERS {
        let (ours, host) = (Authority::new("ours"), Host::listen().await);
        let log = LogFile::new(AccessLogFormat::Text);
        let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
        let rig = tcp_with(options, &[host.address()], |draft| {
            draft.listener.tls = Some(Arc::new(ours.issue(&["a.test"]).server()));
            draft.cluster.proxy_protocol = Some(ProxyVersion::V1);
            draft.cluster.tls =
                Some(Arc::new(ClientPolicy { names: Names::Any, ..to_b(&Authority::new("theirs")) }));
            draft.listener.accept_proxy = true;
        });
        let proxied = Proxied {
            source: "192.0.2.7:4711".parse().unwrap(),
            destination: "198.51.100.1:5432".parse().unwrap(),
        };
        let header = proxied.header(ProxyVersion::V1);
        let context = fuseboard_tls::ClientContext::new(&Arc::new(client(&ours)), &[]).unwrap();
        let connector = TlsConnector::from(Arc::clone(context.config()));
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(&proxied.header(ProxyVersion::V2)).await.unwrap();
        let stream = connector.connect(ServerName::try_from("a.test").unwrap(), socket).await.unwrap();
        let mut peer = host.accept().await;
        let heard = peer.received(header.len() + 3).await.unwrap();
        assert_eq!(heard[..header.len()], header[..], "who the client is");
        assert_eq!(heard[header.len()..][..3], [0x16, 0x03, 0x01], "then TLS");
        drop((peer, stream));
        until_over(&rig).await;
        rig.proxy.drain();
        rig.proxy.join();
        let lines = log.raw();
        assert!(lines.contains("198.51.100.1:5432 192.0.2.7:4711 a.test "), "{lines}");
    }
}

#[tokio::test]
async fn a_rule_that_begins_to_ask_for_tls_is_for_new_connections() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let mut rig = tcp(workers, &[scene.front.address()], |draft| {
            draft.cluster.tls =
                Some(Arc::new(ClientPolicy { sni: Some("c.test".into()), ..client(&scene.theirs) }));
        });
        assert_eq!(rig.client().await.closed().await, b"", "the certificate is for somebody else");
        rig.apply(|draft| draft.cluster.tls = Some(Arc::new(to_b(&scene.theirs))));
        let mut client = rig.client().await;
        client.send("hello").await;
        let mut peer = scene.host.accept().await;
        assert_eq!(peer.received(5).await.unwrap(), b"hello");
        let next = Authority::new("the next");
        rig.apply(|draft| draft.cluster.tls = Some(Arc::new(to_b(&next))));
        peer.send("still here").await;
        assert_eq!(client.received(10).await.unwrap(), b"still here", "it stays");
        assert_eq!(rig.client().await.closed().await, b"");
    }
}
