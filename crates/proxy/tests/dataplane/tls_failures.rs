//! TLS towards hosts that fails: each way with its flag, its details, its counter, and its outcome for the host.

use std::net::SocketAddr;
use std::sync::Arc;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::Cause;
use fuseboard_snapshot::{Availability, ClientPolicy};
use fuseboard_testkit::tls::{Authority, Front, Pair, Validity, client};
use fuseboard_testkit::{OnAccept, Script, Upstream};
use fuseboard_tls::{ServerContext, ServerPolicy, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::rig::judge::{Connection, Expected, JUDGED, Seen, Stage};
use crate::rig::{Rig, WORKERS, touchy};

/// Answers without a length, and goes away without a word of ending.
pub(crate) async fn cutting_server(pair: &Pair) -> SocketAddr {
    let context = ServerContext::new(&Arc::new(pair.server()), &[b"http/1.1"]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::clone(context.config()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            drop(stream.read(&mut [0; 1000]).await);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nthe first half").await);
            drop(stream.flush().await);
            // The socket alone is closed.
            drop(stream.into_inner().0);
        }
    });
    address
}

/// Every request that is refused or fails with a connection.
const FAILED: Expected = Expected {
    status: 503,
    flags: "UF",
    details: "",
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    reason: None,
    overloaded: false,
    counters: &[],
    host: true,
    connection: Connection::Usable,
};

/// Two rows of the table in `flags`.
pub(crate) async fn p04_a_rule_without_its_certificates_is_not_served_in_plaintext(
    workers: usize,
) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::ok("in the clear")).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.cluster.availability = Availability::Withheld(RefusalReason::TlsNotReady);
    });
    let seen = stage.judge_get().await;
    assert_eq!(upstream.counts().accepted, 0, "nothing was sent");
    let expected = Expected {
        details: "tls_not_ready",
        body: "a certificate, key or secret for upstream TLS cannot be used",
        reason: Some(RefusalReason::TlsNotReady),
        host: false,
        ..FAILED
    };
    (seen, expected)
}

/// The other.
pub(crate) async fn a_host_without_tls_is_a_failed_connection(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start_with(OnAccept::Speak(b"HTTP/1.1 400\r\n".into()), Script::ok("")).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.cluster.tls = Some(Arc::new(client(&Authority::new("ours"))));
        draft.route.retry = None;
    });
    let expected = Expected {
        details: "upstream_reset_before_response_started{remote_connection_failure|TLS_error:|268435703:\
                  SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end}",
        counters: &["ssl.connection_error", "upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"],
        ..FAILED
    };
    (stage.judge_get().await, expected)
}

/// One way to fail.
struct Case {
    server: SocketAddr,
    policy: ClientPolicy,
    /// What the log says of it.
    reason: String,
    counter: Option<&'static str>,
}

fn verification(why: &str) -> String {
    format!(
        "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_{why}:TLS_error_end"
    )
}

fn chain(why: &str) -> String {
    verification(&format!("X509_verify_cert:_certificate_verification_error_at_depth_0:_{why}"))
}

impl Case {
    async fn judge(self, workers: usize) {
        let stage = Stage::start(workers, &[self.server], |draft| {
            draft.cluster.tls = Some(Arc::new(self.policy));
            draft.route.retry = None;
        });
        let seen = stage.judge_get().await;
        let details =
            format!("upstream_reset_before_response_started{{remote_connection_failure|{}}}", self.reason);
        let counters = ["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"];
        let counters: Vec<_> = counters.into_iter().chain(self.counter).collect();
        let expected = Expected { details: details.leak(), counters: counters.leak(), ..FAILED };
        seen.expect(Cause::HandshakeFailed, &expected);
    }
}

/// Judges a host that shows this, against trust in `authority`.
async fn judge(pair: Pair, policy: ClientPolicy, reason: String, counter: &'static str) {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("secret")).await;
        let front = Front::start(pair.server(), upstream.address()).await;
        let case = Case {
            server: front.address(),
            policy: policy.clone(),
            reason: reason.clone(),
            counter: Some(counter),
        };
        case.judge(workers).await;
        assert_eq!(upstream.counts().requests, 0, "nothing was sent");
    }
}

#[tokio::test]
async fn a_host_that_nobody_vouches_for() {
    let pair = Authority::new("strangers").issue(&["a"]);
    let why = chain("unable_to_get_local_issuer_certificate");
    judge(pair, client(&Authority::new("ours")), why, "ssl.fail_verify_error").await;
}

#[tokio::test]
async fn a_host_whose_certificate_has_expired() {
    let authority = Authority::new("ours");
    let pair = authority.issue_with(&["a"], Validity::Over, 1);
    judge(pair, client(&authority), chain("certificate_has_expired"), "ssl.fail_verify_error").await;
}

#[tokio::test]
async fn a_host_whose_certificate_is_not_valid_yet() {
    let authority = Authority::new("ours");
    let pair = authority.issue_with(&["a"], Validity::Later, 1);
    judge(pair, client(&authority), chain("certificate_is_not_yet_valid"), "ssl.fail_verify_error").await;
}

#[tokio::test]
async fn a_host_whose_certificate_was_taken_back() {
    let authority = Authority::new("ours");
    let pair = authority.issue_with(&["a"], Validity::Now, 9);
    let policy = ClientPolicy { trust: Some(authority.trust_but(&[9])), ..client(&authority) };
    judge(pair, policy, chain("certificate_revoked"), "ssl.fail_verify_error").await;
}

#[tokio::test]
async fn a_host_of_another_name() {
    let authority = Authority::new("ours");
    let pair = authority.issue(&["b"]);
    judge(pair, client(&authority), verification("verify_SAN_list"), "ssl.fail_verify_san").await;
}

#[tokio::test]
async fn a_host_that_speaks_no_tls() {
    for workers in WORKERS {
        for greeting in ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail ready\r\n"] {
            let greeting = OnAccept::Speak(greeting.into());
            let upstream = Upstream::start_with(greeting, Script::ok("")).await;
            let case = Case {
                server: upstream.address(),
                policy: client(&Authority::new("ours")),
                reason:
                    "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
                        .into(),
                counter: Some("ssl.connection_error"),
            };
            case.judge(workers).await;
        }
    }
}

#[tokio::test]
async fn a_host_that_hangs_up() {
    for workers in WORKERS {
        let upstream = Upstream::start_with(OnAccept::Close, Script::ok("")).await;
        let case = Case {
            server: upstream.address(),
            policy: client(&Authority::new("ours")),
            reason: "TLS_handshake:_unexpected_end_of_file".into(),
            counter: None,
        };
        case.judge(workers).await;
    }
}

#[tokio::test]
async fn a_host_with_older_versions_only() {
    let authority = Authority::new("ours");
    for workers in WORKERS {
        let old = only_1_2(&authority.issue(&["a"])).await;
        let case = Case {
            server: old,
            policy: ClientPolicy { min_version: TlsVersion::V1_3, ..client(&authority) },
            reason: "TLS_error:|268436526:SSL_routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION:TLS_error_end".into(),
            counter: Some("ssl.connection_error"),
        };
        case.judge(workers).await;
    }
}

/// A server of TLS 1.2.
async fn only_1_2(pair: &Pair) -> SocketAddr {
    let (chain, key) = pair.credential().parts();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                drop(stream.read(&mut [0; 1000]).await);
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold").await);
                drop(stream.shutdown().await);
            });
        }
    });
    address
}

#[tokio::test]
async fn a_host_of_tls_1_2_is_spoken_to_in_it() {
    let authority = Authority::new("ours");
    let old = only_1_2(&authority.issue(&["a"])).await;
    let rig = Rig::start(1, &[old], |draft| draft.cluster.tls = Some(Arc::new(client(&authority))));
    assert_eq!(rig.client().await.get("a", "/").await.text(), "old");
    assert_eq!(rig.numbers().get("ssl.versions.TLSv1.2"), 1);
}

#[tokio::test]
async fn a_host_that_wants_to_know_who_we_are() {
    for workers in WORKERS {
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        let upstream = Upstream::start(Script::ok("served")).await;
        let policy = ServerPolicy { clients: Some(ours.trust()), ..theirs.issue(&["a"]).server() };
        let front = Front::start(policy, upstream.address()).await;
        let with = |pair: Option<Pair>| ClientPolicy {
            credential: pair.map(|pair| pair.credential()),
            ..client(&theirs)
        };
        let good = Rig::start(workers, &[front.address()], |draft| {
            draft.cluster.tls = Some(Arc::new(with(Some(ours.issue(&["me"])))));
        });
        assert_eq!(good.client().await.get("a", "/").await.text(), "served");
        assert_eq!(front.seen()[0].certificates, 1);
        // With TLS 1.3 the host says so behind the handshake: the request is lost with its connection.
        let cases = [
            (None, "TLSV1_ALERT_CERTIFICATE_REQUIRED"),
            (Some(theirs.issue(&["me"])), "TLSV1_ALERT_UNKNOWN_CA"),
        ];
        for (pair, alert) in cases {
            let stage = Stage::start(workers, &[front.address()], |draft| {
                draft.cluster.tls = Some(Arc::new(with(pair)));
                draft.route.retry = None;
            });
            let mut client = stage.rig.client().await;
            assert_eq!(client.get("a", JUDGED).await.status, 503);
            let line = stage.judged_line();
            assert_eq!(line.flags, "UC");
            assert!(line.details.contains(alert), "{line:?}");
        }
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test]
async fn a_host_that_fails_at_tls_is_ejected_like_one_that_refuses() {
    for workers in WORKERS {
        let authority = Authority::new("ours");
        let upstream = Upstream::start(Script::ok("good")).await;
        let good = Front::start(authority.issue(&["a"]).server(), upstream.address()).await;
        let bad = Front::start(Authority::new("strangers").issue(&["a"]).server(), upstream.address()).await;
        let rig = Rig::start(workers, &[bad.address(), good.address()], |draft| {
            draft.cluster.tls = Some(Arc::new(client(&authority)));
            draft.cluster.outlier = Some(touchy());
            draft.retries();
        });
        for _ in 0..10 {
            assert_eq!(rig.client().await.get("a", "/").await.text(), "good", "tried again elsewhere");
        }
        assert_eq!(rig.cluster().live.ejections().unwrap().ejected, 1);
    }
}
