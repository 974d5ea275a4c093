//! PROXY headers on HTTP listeners: who the client then is, in plain text and before TLS; who does not send one is not served.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::tcp::{Proxied, ProxyVersion};
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};
use fuseboard_testkit::tls::{Authority, client};
use fuseboard_testkit::{DEADLINE, Script, Upstream, settle};
use fuseboard_tls::ClientContext;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::rig::log::LogFile;
use crate::rig::{Rig, WORKERS, options};

const VERSIONS: [ProxyVersion; 2] = [ProxyVersion::V1, ProxyVersion::V2];

fn proxied() -> Proxied {
    Proxied { source: "192.0.2.7:4711".parse().unwrap(), destination: "198.51.100.1:80".parse().unwrap() }
}

#[tokio::test]
async fn the_client_is_who_its_header_says_for_all_its_requests() {
    for workers in WORKERS {
        for version in VERSIONS {
            let upstream = Upstream::start(Script::ok("served")).await;
            let log = LogFile::new(AccessLogFormat::Text);
            let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
            let rig =
                Rig::start_with(options, &[upstream.address()], |draft| draft.listener.accept_proxy = true);
            let header = proxied().header(version);
            let mut client = rig.client().await;
            // In parts, of which the last has the first request behind it.
            let (front, back) = header.split_at(9);
            client.send(front).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            let first = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n";
            client.send([back, first].concat()).await;
            assert_eq!(client.response().await.text(), "served");
            assert_eq!(client.response().await.text(), "served");
            assert_eq!(
                client.get("a", "/3").await.text(),
                "served",
                "only the first request is behind a header"
            );
            let seen = upstream.requests();
            let fields: Vec<_> = seen.iter().map(|request| request.fields("x-forwarded-for")).collect();
            assert_eq!(fields, [["192.0.2.7"], ["10.1.1.1,192.0.2.7"], ["192.0.2.7"]]);
            drop(client);
            rig.until_at_rest().await;
            rig.proxy.drain();
            rig.proxy.join();
            let lines = log.raw();
            assert_eq!(lines.matches("198.51.100.1:80 192.0.2.7:4711").count(), 3, "{lines}");
        }
    }
}

#[tokio::test]
async fn a_header_that_names_nobody_leaves_the_peer() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| draft.listener.accept_proxy = true);
        let mut client = rig.client().await;
        client.send("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "served");
        assert_eq!(upstream.requests()[0].field("x-forwarded-for"), None);
    }
}

#[tokio::test]
async fn who_sends_no_header_is_not_served_and_is_counted() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| draft.listener.accept_proxy = true);
        for bytes in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 1.2.3.4\r\n", "\x16\x03\x01"] {
            let mut client = rig.client().await;
            drop(client.try_send(bytes).await);
            let _ = client.received(1).await;
        }
        let counted = || rig.numbers().get("listener.fuseboard.proxy_header_malformed");
        assert!(settle(DEADLINE, || counted() == 3).await, "{}", counted());
        assert_eq!(upstream.counts().requests, 0);
        let mut gone = rig.client().await;
        gone.send("PROXY TCP4 1.").await;
        gone.close();
        rig.until_at_rest().await;
        assert_eq!(counted(), 3, "who went away did nothing wrong");
    }
}

#[tokio::test]
async fn a_header_goes_before_tls() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let authority = Authority::new("ours");
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.listener.accept_proxy = true;
            draft.listener.tls = Some(Arc::new(authority.issue(&["a.test"]).server()));
        });
        let context = ClientContext::new(&Arc::new(client(&authority)), &[]).unwrap();
        let connector = TlsConnector::from(Arc::clone(context.config()));
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(&proxied().header(ProxyVersion::V2)).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("a.test").unwrap(), socket).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        let seen = upstream.requests();
        assert_eq!(seen[0].field("x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(seen[0].field("x-forwarded-proto"), Some("https"));
    }
}
