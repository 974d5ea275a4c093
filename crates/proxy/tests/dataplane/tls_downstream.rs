//! TLS on listeners: who is let in, who is not and what is counted, which certificate is shown, what is told of the client.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_snapshot::{ForwardClientCert, ServerPolicy};
use fuseboard_testkit::tls::{Authority, Pair, Tunnel, Validity, client};
use fuseboard_testkit::{Behaviour, Client, DEADLINE, Reply, Response, Script, Upstream, settle};
use fuseboard_tls::{ClientPolicy, TlsVersion};

use crate::rig::{Draft, Rig, WORKERS};

/// An authority, a server's certificate of it, and a plain upstream.
struct Scene {
    authority: Authority,
    pair: Pair,
    upstream: Upstream,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::new("us");
        let pair = authority.issue(&["a.test", "spiffe://td/ns/s/sa/server"]);
        Self { authority, pair, upstream: Upstream::start(Script::ok("served")).await }
    }

    fn rig(&self, workers: usize, policy: ServerPolicy, change: impl FnOnce(&mut Draft)) -> Rig {
        Rig::start(workers, &[self.upstream.address()], |draft| {
            draft.listener.tls = Some(Arc::new(policy));
            change(draft);
        })
    }

    async fn tunnel(&self, rig: &Rig, name: &str) -> Tunnel {
        Tunnel::start(client(&self.authority), name, rig.address).await
    }
}

/// A listener that asks clients for a certificate of `authority`.
fn mutual(pair: &Pair, authority: &Authority) -> ServerPolicy {
    ServerPolicy { clients: Some(authority.trust()), ..pair.server() }
}

fn with_certificate(authority: &Authority, pair: &Pair) -> ClientPolicy {
    ClientPolicy { credential: Some(pair.credential()), ..client(authority) }
}

async fn until_counted(rig: &Rig, name: &str, count: u64) {
    let counted = || rig.numbers().get(name) == count;
    assert!(settle(DEADLINE, counted).await, "{name}: {} and not {count}", rig.numbers().get(name));
}

async fn get(tunnel: &Tunnel, fields: &str) -> Response {
    let mut client = Client::connect(tunnel.address()).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n")).await;
    client.response().await
}

#[tokio::test]
async fn requests_come_decrypted_with_their_scheme_and_the_connection_is_kept() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, scene.pair.server(), |_| {});
        let tunnel = scene.tunnel(&rig, "a.test").await;
        let mut client = Client::connect(tunnel.address()).await;
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "served");
        assert_eq!(client.response().await.text(), "served");
        for request in scene.upstream.requests() {
            assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        }
        let numbers = rig.numbers();
        assert_eq!(numbers.get("http.downstream_cx_ssl_active"), 1);
        client.close();
        until_counted(&rig, "http.downstream_cx_ssl_active", 0).await;
        for name in ["handshake", "versions.TLSv1.3", "no_certificate", "ciphers.TLS_AES_256_GCM_SHA384"] {
            assert_eq!(rig.numbers().get(&format!("listener.ssl.{name}")), 1, "{name}");
        }
        assert_eq!(tunnel.failures(), [""; 0], "each side said that it ended");
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways_whole() {
    const SIZE: usize = 3 << 20;
    for workers in WORKERS {
        let scene = Scene::new().await;
        scene.upstream.follow(Script::always(Behaviour::answer(&Reply::ok(vec![b'y'; SIZE]))));
        let rig = scene.rig(workers, scene.pair.server(), |_| {});
        let tunnel = scene.tunnel(&rig, "a.test").await;
        let mut client = Client::connect(tunnel.address()).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n")).await;
        client.send(vec![b'x'; SIZE]).await;
        let answer = client.response().await;
        assert!(answer.body == vec![b'y'; SIZE], "{} bytes came back", answer.body.len());
        let seen = scene.upstream.requests();
        assert!(seen[0].body == vec![b'x'; SIZE], "{} bytes went there", seen[0].body.len());
    }
}

#[tokio::test]
async fn a_tunnel_passes_through_tls_and_each_end_is_passed_on_alone() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        scene.upstream.follow(Script::always(Behaviour::upgrade_and_echo("echo")));
        let rig = scene.rig(workers, scene.pair.server(), |_| {});
        let tunnel = scene.tunnel(&rig, "a.test").await;
        let mut client = Client::connect(tunnel.address()).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().status, 101);
        client.send("to and fro").await;
        assert_eq!(client.received(10).await.unwrap(), b"to and fro");
        client.half_close();
        assert_eq!(client.closed().await, b"");
        assert_eq!(tunnel.failures(), [""; 0]);
    }
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_a_stranger_the_first() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let credentials = [scene.pair.clone(), scene.authority.issue(&["b.test", "*.c.test"])];
        let credentials = credentials.iter().map(Pair::credential).collect();
        let rig = scene.rig(workers, ServerPolicy { credentials, ..scene.pair.server() }, |_| {});
        for name in ["a.test", "b.test", "B.test", "x.c.test"] {
            let tunnel = scene.tunnel(&rig, name).await;
            assert_eq!(get(&tunnel, "").await.status, 200, "{name}: {:?}", tunnel.failures());
        }
        let tunnel = scene.tunnel(&rig, "d.test").await;
        let mut client = Client::connect(tunnel.address()).await;
        client.closed().await;
        assert!(tunnel.failures()[0].contains("not valid for name"), "{:?}", tunnel.failures());
    }
}

#[tokio::test]
async fn who_has_no_good_certificate_is_not_let_in_and_is_counted() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, mutual(&scene.pair, &scene.authority), |_| {});
        let cases = [
            (None, "fail_verify_no_cert"),
            (Some(Authority::new("others").issue(&["eve"])), "fail_verify_error"),
            (Some(scene.authority.issue_with(&["old"], Validity::Over, 2)), "fail_verify_error"),
            (Some(scene.authority.issue_with(&["new"], Validity::Later, 3)), "fail_verify_error"),
        ];
        for (pair, counter) in cases {
            let before = rig.numbers();
            let policy = match &pair {
                Some(pair) => with_certificate(&scene.authority, pair),
                None => client(&scene.authority),
            };
            let tunnel = Tunnel::start(policy, "a.test", rig.address).await;
            let mut client = Client::connect(tunnel.address()).await;
            // With TLS 1.3 the client only hears of it when it reads.
            drop(client.try_send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await);
            client.closed().await;
            let name = format!("listener.ssl.{counter}");
            until_counted(&rig, &name, before.get(&name) + 1).await;
        }
        assert_eq!(rig.numbers().get("listener.ssl.handshake"), 0);
        assert_eq!(scene.upstream.counts().requests, 0);
        let pair = scene.authority.issue(&["me"]);
        let tunnel = Tunnel::start(with_certificate(&scene.authority, &pair), "a.test", rig.address).await;
        assert_eq!(get(&tunnel, "").await.status, 200);
    }
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_does_not_count() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let policy = ServerPolicy { clients: Some(scene.authority.trust_but(&[7])), ..scene.pair.server() };
        let rig = scene.rig(workers, policy, |_| {});
        for (serial, welcome) in [(6, true), (7, false)] {
            let pair = scene.authority.issue_with(&["me"], Validity::Now, serial);
            let tunnel =
                Tunnel::start(with_certificate(&scene.authority, &pair), "a.test", rig.address).await;
            let mut client = Client::connect(tunnel.address()).await;
            drop(client.try_send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await);
            assert_eq!(client.try_response().await.is_ok(), welcome, "{serial}");
        }
    }
}

#[tokio::test]
async fn what_is_said_of_clients_certificates_is_removed_passed_on_or_written_as_the_mode_says() {
    use ForwardClientCert as F;
    const THEIRS: &str = "Hash=theirs";
    let scene = Scene::new().await;
    let pair = scene.authority.issue(&["spiffe://td/ns/c/sa/caller", "me.test"]);
    let digest = pair.credential().leaf().facts.digest.clone();
    let own = format!(
        "By=spiffe://td/ns/s/sa/server;Hash={digest};Subject=\"CN=spiffe://td/ns/c/sa/caller\";\
         URI=spiffe://td/ns/c/sa/caller;DNS=me.test"
    );
    let both = format!("{THEIRS},{own}");
    // Mode, then what comes of a client without a certificate, and of one with it.
    let cases: [(F, Option<&str>, Option<&str>); 5] = [
        (F::Sanitize, None, None),
        (F::ForwardOnly, None, Some(THEIRS)),
        (F::AppendForward, None, Some(&both)),
        (F::SanitizeSet, None, Some(&own)),
        (F::AlwaysForwardOnly, Some(THEIRS), Some(THEIRS)),
    ];
    for workers in WORKERS {
        for (mode, without, with) in cases {
            for (mutually, expected) in [(false, without), (true, with)] {
                let policy =
                    if mutually { mutual(&scene.pair, &scene.authority) } else { scene.pair.server() };
                let rig = scene.rig(workers, policy, |draft| draft.listener.http.forward_client_cert = mode);
                let policy = with_certificate(&scene.authority, &pair);
                let tunnel = Tunnel::start(policy, "a.test", rig.address).await;
                let answer = get(&tunnel, &format!("X-Forwarded-Client-Cert: {THEIRS}\r\n")).await;
                assert_eq!(answer.status, 200);
                let seen = scene.upstream.requests();
                let seen = seen.last().unwrap();
                let fields = seen.fields("x-forwarded-client-cert");
                assert_eq!(fields, Vec::from_iter(expected), "{mode:?}, mutual: {mutually}");
            }
        }
    }
}

#[tokio::test]
async fn in_plain_text_nobody_can_speak_for_a_certificate() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = Rig::start(workers, &[scene.upstream.address()], |draft| {
            draft.listener.http.forward_client_cert = ForwardClientCert::AppendForward;
        });
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-client-cert: Hash=1\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        assert_eq!(scene.upstream.requests()[0].field("x-forwarded-client-cert"), None);
        assert_eq!(scene.upstream.requests()[0].field("x-forwarded-proto"), Some("http"));
    }
}

#[tokio::test]
async fn d43_plain_http_on_a_tls_port_is_told_so() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, scene.pair.server(), |_| {});
        let answer = rig.client().await.get("a", "/").await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("HTTPS port"), "{}", answer.text());
        until_counted(&rig, "listener.fuseboard.plain_text_on_tls", 1).await;
        assert_eq!(rig.numbers().get("listener.ssl.connection_error"), 1);
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let mut noise: u64 = 7;
    for workers in WORKERS {
        let scene = Scene::new().await;
        // Some of it looks like the beginning of something.
        let rig = scene.rig(workers, scene.pair.server(), |draft| {
            draft.listener.http.handshake_timeout = Duration::from_millis(100);
        });
        for length in [1, 5, 6, 100, 5000, 70_000] {
            for first in [0x16, 0x14, 0x17, 0x00, 0x80] {
                let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
                    noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    noise.to_be_bytes()[0]
                })
                .take(length)
                .collect();
                bytes[0] = first;
                let mut client = rig.client().await;
                drop(client.try_send(&bytes).await);
                client.closed().await;
            }
        }
        rig.until_at_rest().await;
        let tunnel = scene.tunnel(&rig, "a.test").await;
        assert_eq!(get(&tunnel, "").await.status, 200);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_an_end_is_given_up() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, scene.pair.server(), |draft| {
            draft.listener.http.handshake_timeout = Duration::from_millis(50);
        });
        for part in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
            let mut client = rig.client().await;
            client.send(part).await;
            client.closed().await;
        }
        until_counted(&rig, "listener.downstream_cx_transport_socket_connect_timeout", 3).await;
        rig.until_at_rest().await;
    }
}

#[tokio::test]
async fn below_the_lowest_version_nobody_is_served() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let policy = ServerPolicy { min_version: TlsVersion::V1_3, ..scene.pair.server() };
        let rig = scene.rig(workers, policy, |_| {});
        // A ClientHello of TLS 1.2 without extensions.
        let mut hello = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03".to_vec();
        hello.extend_from_slice(&[7; 32]);
        hello.extend_from_slice(b"\x00\x00\x02\xc0\x2f\x01\x00\x00\x00");
        let mut client = rig.client().await;
        client.send(&hello).await;
        let answer = client.closed().await;
        assert_eq!(answer[..2], [0x15, 0x03], "an alert: {answer:?}");
        until_counted(&rig, "listener.ssl.connection_error", 1).await;
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_the_old_ones_go_on() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let mut rig = scene.rig(workers, scene.pair.server(), |_| {});
        let tunnel = scene.tunnel(&rig, "a.test").await;
        let mut old = Client::connect(tunnel.address()).await;
        assert_eq!(old.get("a.test", "/").await.status, 200);
        let other = Authority::new("the next");
        let next = other.issue(&["a.test"]);
        rig.apply(|draft| draft.listener.tls = Some(Arc::new(next.server())));
        assert_eq!(old.get("a.test", "/").await.status, 200, "it stays");
        let tunnel = Tunnel::start(client(&other), "a.test", rig.address).await;
        assert_eq!(get(&tunnel, "").await.status, 200, "{:?}", tunnel.failures());
        assert_eq!(rig.numbers().get("listener.downstream_cx_total"), 2);
    }
}

#[tokio::test]
async fn a_session_is_taken_up_again_on_whichever_worker() {
    for workers in WORKERS {
        let scene = Scene::new().await;
        let rig = scene.rig(workers, scene.pair.server(), |_| {});
        let tunnel = scene.tunnel(&rig, "a.test").await;
        for _ in 0..8 {
            assert_eq!(get(&tunnel, "").await.status, 200);
        }
        assert!(rig.numbers().get("listener.ssl.session_reused") >= 5);
        assert_eq!(rig.numbers().get("listener.ssl.handshake"), 8);
    }
}
