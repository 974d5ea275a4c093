//! Calls over TLS: what the server's side saw of them, what is checked, and what is said when it fails.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuseboard_httpbin::{Options as ServerOptions, Server, serve};
use fuseboard_load::{
    Cancel, CommandLine, Event, Fetched, Observer, Options, Report, RunError, Style, TargetError, curl,
    run_observed,
};
use fuseboard_testkit::tls::{Authority, Front, Pair, Seen, Validity};
use fuseboard_tls::ServerPolicy;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server behind TLS, and files for its clients.
struct Place {
    authority: Authority,
    server: Server,
    front: Front,
    files: TempDir,
}

impl Place {
    async fn new(policy: impl FnOnce(&Authority) -> ServerPolicy) -> Self {
        let authority = Authority::new("the test's");
        let server = serve(ServerOptions::on("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let front = Front::start(policy(&authority), server.addresses()[0]).await;
        let files = tempfile::tempdir().unwrap();
        let place = Self { authority, server, front, files };
        place.file("ca.pem", place.authority.pem());
        place
    }

    /// With a certificate for these names.
    async fn of(names: &[&str]) -> Self {
        Self::new(|authority| authority.issue(names).server()).await
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn pair(&self, pair: &Pair) -> String {
        let (cert, key) = (self.file("own.pem", &pair.certificate), self.file("own.key", &pair.key));
        format!("-cert {} -key {}", cert.display(), key.display())
    }

    /// What flags ask for; `CA` in them stands for the authority's file.
    fn asked(&self, flags: &str, host: &str, path: &str) -> Options {
        let url = format!("https://{host}:{}{path}", self.front.address().port());
        asked(flags, &self.files.path().join("ca.pem"), &url)
    }
}

fn asked(flags: &str, ca: &Path, url: &str) -> Options {
    let words = flags.split_whitespace().map(|word| word.replace("CA", &ca.display().to_string()));
    let words: Vec<String> = words.chain([url.to_owned()]).collect();
    CommandLine::parse(&words, Style::Fortio).unwrap().options
}

/// The report, and what was logged.
async fn made(options: Options) -> (Report, String) {
    let (log, observer) = listening();
    let run = run_observed(options, Cancel::new(), observer);
    let report = tokio::time::timeout(PATIENCE, run).await.expect("an end").unwrap();
    let log = log.lock().unwrap().clone();
    (report, log)
}

fn listening() -> (Arc<Mutex<String>>, Observer) {
    let log = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&log);
    let observer = Observer::new(move |event| {
        if let Event::Log(line) = event {
            *told.lock().unwrap() += &(line.to_text(None) + "\n");
        }
    });
    (log, observer)
}

async fn fetched(options: &Options) -> Fetched {
    let silent = Observer::silent();
    tokio::time::timeout(PATIENCE, curl(options, &silent)).await.expect("an end").unwrap()
}

/// What one call that must fail logs.
async fn complaint(options: Options) -> String {
    let (report, log) = made(options).await;
    assert_eq!((report.count_of(-1), report.sockets_used()), (1, 1), "{log}");
    log
}

#[tokio::test]
async fn calls_over_tls_keep_their_sockets_and_are_counted_as_plain_ones() {
    let place = Place::of(&["httpbin.test"]).await;
    let flags = "-c 3 -n 30 -qps 0 -cacert CA -resolve 127.0.0.1";
    let (report, _) = made(place.asked(flags, "httpbin.test", "/get")).await;
    assert_eq!((report.count_of(200), report.sockets_used()), (30, 3));
    assert_eq!(place.server.control().counts().requests.total, 30);
    let seen = place.front.seen();
    let expected = Seen { server_name: Some("httpbin.test".into()), protocol: None, certificates: 0 };
    assert_eq!(seen, vec![expected; 3]);

    // What costs a plain socket costs this one too.
    let flags = "-c 1 -n 4 -qps 0 -cacert CA -resolve 127.0.0.1 -connection-reuse 2:2";
    assert_eq!(made(place.asked(flags, "httpbin.test", "/get")).await.0.sockets_used(), 2);
    let flags = "-c 1 -n 4 -qps 0 -cacert CA -resolve 127.0.0.1 -log-errors=false";
    assert_eq!(made(place.asked(flags, "httpbin.test", "/status/503")).await.0.sockets_used(), 4);
    let flags = "-c 1 -n 4 -qps 0 -cacert CA -resolve 127.0.0.1 -keepalive=false";
    assert_eq!(made(place.asked(flags, "httpbin.test", "/get")).await.0.sockets_used(), 4);
}

#[tokio::test]
async fn long_bodies_pass_in_both_directions() {
    let place = Place::of(&["127.0.0.1"]).await;
    let fetched_bytes = fetched(&place.asked("-cacert CA", "127.0.0.1", "/bytes/100000")).await;
    assert_eq!((fetched_bytes.code, fetched_bytes.body.len()), (200, 100_000));
    let mut options = place.asked("-cacert CA", "127.0.0.1", "/post");
    options.http.payload = b"x".repeat(200_000);
    let posted = fetched(&options).await;
    assert_eq!(posted.code, 200);
    assert!(posted.body.len() > 200_000);
}

#[tokio::test]
async fn a_certificate_is_for_the_host_of_the_url() {
    let place = Place::of(&["other.test", "10.9.8.7"]).await;
    let log = complaint(place.asked("-c 1 -n 1 -cacert CA", "localhost", "/get")).await;
    assert!(log.contains("[ERR] Unable to TLS connect, dest=\"127.0.0.1:"), "{log}");
    assert!(log.contains("x509: certificate is valid for other.test, not localhost\""), "{log}");
    let log = complaint(place.asked("-c 1 -n 1 -cacert CA", "127.0.0.1", "/get")).await;
    assert!(log.contains("x509: certificate is valid for 10.9.8.7, not 127.0.0.1\""), "{log}");
    // Who checks nothing gets through.
    let (report, log) = made(place.asked("-c 1 -n 1 -k", "localhost", "/get")).await;
    assert_eq!(report.count_of(200), 1);
    assert!(log.contains("TLS certificates will not be verified, per flag request"), "{log}");
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_unknown_and_an_old_certificate_has_expired() {
    let place = Place::of(&["localhost"]).await;
    let log = complaint(place.asked("-c 1 -n 1", "localhost", "/get")).await;
    assert!(
        log.contains("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{log}"
    );
    let old = |authority: &Authority| authority.issue_with(&["localhost"], Validity::Over, 1).server();
    let place = Place::new(old).await;
    let log = complaint(place.asked("-c 1 -n 1 -cacert CA", "localhost", "/get")).await;
    assert!(log.contains("x509: certificate has expired or is not yet valid: current time 20"), "{log}");
    assert!(log.contains("is after 2020-01-02T00:00:00Z"), "{log}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let asking = |authority: &Authority| {
        let clients = Some(authority.trust());
        ServerPolicy { clients, ..authority.issue(&["localhost"]).server() }
    };
    let place = Place::new(asking).await;
    let log = complaint(place.asked("-c 1 -n 1 -cacert CA", "localhost", "/get")).await;
    assert!(log.contains("remote error: tls: certificate required"), "{log}");
    let own = place.pair(&place.authority.issue(&["a client"]));
    let (report, _) = made(place.asked(&format!("-c 1 -n 2 -cacert CA {own}"), "localhost", "/get")).await;
    assert_eq!((report.count_of(200), place.front.seen()[0].certificates), (2, 1));
}

#[tokio::test]
async fn a_port_without_tls_is_told_apart_and_a_silent_one_times_out() {
    let place = Place::of(&["localhost"]).await;
    let plain = place.server.addresses()[0];
    let log = complaint(asked("-c 1 -n 1 -k", Path::new(""), &format!("https://{plain}/"))).await;
    assert!(log.contains("tls: first record does not look like a TLS handshake"), "{log}");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let log = complaint(asked("-c 1 -n 1 -k -timeout 50ms", Path::new(""), &url)).await;
    assert!(log.contains("Unable to TLS connect") && log.contains("i/o timeout"), "{log}");
}

#[tokio::test]
async fn a_redirect_may_lead_to_tls() {
    let place = Place::of(&["localhost"]).await;
    let plain = place.server.addresses()[0];
    let there = format!("https://localhost:{}/get", place.front.address().port());
    let url = format!("http://{plain}/redirect-to?url={there}");
    let options = asked("-L -cacert CA", &place.files.path().join("ca.pem"), &url);
    assert_eq!(fetched(&options).await.code, 200);
    assert_eq!(place.front.seen().len(), 1);
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_told_before_anything_is_called() {
    let place = Place::of(&["localhost"]).await;
    let foreign = place.file("foreign.key", &place.authority.issue(&["x"]).key);
    let own = place.pair(&place.authority.issue(&["y"]));
    let nowhere: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for (flags, said) in [
        ("-cacert CA.not".to_owned(), "ca.pem.not: No such file or directory"),
        (format!("-cacert {}", foreign.display()), "foreign.key: the file has no certificate"),
        (
            format!("{own} -key {}", foreign.display()),
            "the file has a private key that is not the certificate's",
        ),
    ] {
        let options = asked(&flags, &place.files.path().join("ca.pem"), &format!("https://{nowhere}/"));
        let error = run_observed(options, Cancel::new(), Observer::silent()).await.unwrap_err();
        assert!(matches!(error, RunError::Target(TargetError::Security(_))), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}
