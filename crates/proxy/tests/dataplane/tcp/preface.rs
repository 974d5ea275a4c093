//! PROXY headers: the one that a client begins with, and the one that a host is given.

use super::{Host, tcp, tcp_with, until_over};
use crate::rig::log::LogFile;
use crate::rig::{WORKERS, limits, options};
use fuseboard_core::tcp::{Proxied, ProxyVersion};
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};

const VERSIONS: [ProxyVersion; 2] = [ProxyVersion::V1, ProxyVersion::V2];

#[tokio::test]
async fn a_host_is_told_who_the_client_is_before_anything_else() {
    for workers in WORKERS {
        for version in VERSIONS {
            let host = Host::listen().await;
            let rig = tcp(workers, &[host.address()], |draft| draft.cluster.proxy_protocol = Some(version));
            let mut client = rig.client().await;
            client.send("hello").await;
            let mut peer = host.accept().await;
            let proxied = Proxied { source: client.local_address(), destination: rig.address };
            let expected = [&proxied.header(version)[..], b"hello"].concat();
            assert_eq!(peer.received(expected.len()).await.unwrap(), expected);
            peer.send("answer").await;
            assert_eq!(client.received(6).await.unwrap(), b"answer");
            drop((client, peer));
            until_over(&rig).await;
            let numbers = rig.numbers();
            assert_eq!(numbers.get("tcp.downstream_cx_rx_bytes_total"), 5, "the header is not the client's");
        }
    }
}

#[tokio::test]
async fn a_client_is_who_its_header_says_in_however_many_parts_it_comes() {
    for workers in WORKERS {
        for version in VERSIONS {
            let host = Host::listen().await;
            let log = LogFile::new(AccessLogFormat::Text);
            let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
            let rig = tcp_with(options, &[host.address()], |draft| {
                draft.cluster.proxy_protocol = Some(version);
                draft.listener.accept_proxy = true;
            });
            let proxied = Proxied {
                source: "192.0.2.7:4711".parse().unwrap(),
                destination: "198.51.100.1:5432".parse().unwrap(),
            };
            let header = proxied.header(version);
            let mut client = rig.client().await;
            for part in header.chunks(7) {
                client.send(part).await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            client.send("query").await;
            let mut peer = host.accept().await;
            let expected = [&header[..], b"query"].concat();
            assert_eq!(peer.received(expected.len()).await.unwrap(), expected, "it is passed on");
            drop((client, peer));
            // All at once, with an end behind it.
            let mut client = rig.client().await;
            client.send([&header[..], b"at once"].concat()).await;
            client.half_close();
            let mut peer = host.accept().await;
            assert_eq!(peer.closed().await, [&header[..], b"at once"].concat());
            drop((client, peer));
            until_over(&rig).await;
            rig.proxy.drain();
            rig.proxy.join();
            let lines = log.raw();
            assert_eq!(lines.matches("198.51.100.1:5432 192.0.2.7:4711").count(), 2, "{lines}");
        }
    }
}

#[tokio::test]
async fn without_a_header_nobody_reaches_the_host_or_takes_a_place() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
            draft.listener.accept_proxy = true;
        });
        let silent = [rig.client().await, rig.client().await];
        for bytes in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "PROXY TCP4 1.2.3.4\r\n".to_owned(),
            "PROXY ".to_owned() + &"x".repeat(200),
        ] {
            let mut client = rig.client().await;
            client.send(bytes).await;
            let _ = client.received(1).await;
        }
        super::until_counted(&rig, "listener.fuseboard.proxy_header_malformed", 3).await;
        assert!(!host.is_called().await);
        let mut client = rig.client().await;
        client.send("PROXY UNKNOWN\r\nhello").await;
        let mut peer = host.accept().await;
        assert_eq!(peer.received(5).await.unwrap(), b"hello", "the silent ones hold no place");
        drop((silent, client, peer));
        until_over(&rig).await;
    }
}
