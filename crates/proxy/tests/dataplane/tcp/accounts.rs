//! What the access log, Istio's metrics and the listener's numbers say of TCP connections.

use super::{Host, tcp_with, through, until_over};
use crate::rig::log::{LogFile, LogLine};
use crate::rig::{Rig, WORKERS, limits, options};
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};
use fuseboard_testkit::{DEADLINE, settle};

fn logging(workers: usize) -> (LogFile, ProxyOptions) {
    let format = if workers == 1 { AccessLogFormat::Text } else { AccessLogFormat::Json };
    let log = LogFile::new(format);
    let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
    (log, options)
}

fn lines(rig: Rig, log: &LogFile) -> Vec<LogLine> {
    rig.proxy.drain();
    rig.proxy.join();
    log.lines()
}

#[tokio::test]
async fn a_connection_has_one_line_and_one_refused_says_why() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let (log, options) = logging(workers);
        let rig = tcp_with(options, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let (mut client, mut peer) = through(&rig, &host).await;
        assert_eq!(rig.client().await.closed().await, b"");
        client.send("four").await;
        assert_eq!(peer.received(4).await.unwrap(), b"four");
        peer.send("answer").await;
        assert_eq!(client.received(6).await.unwrap(), b"answer");
        drop((client, peer));
        until_over(&rig).await;
        let mut lines = lines(rig, &log);
        lines.sort_by_key(|line| line.upstream_host.clone());
        let [refused, served] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((refused.flags.as_str(), refused.reason.as_str()), ("UO", "limit.connections"));
        assert_eq!((refused.upstream_host.as_str(), refused.cluster.as_str()), ("-", "rig"));
        assert_eq!((served.code, served.flags.as_str(), served.reason.as_str()), (0, "-", "-"));
        assert_eq!((served.bytes_received, served.bytes_sent), (4, 6));
        assert_eq!(served.upstream_host, host.address().to_string());
        for absent in [&served.method, &served.path, &served.protocol, &served.authority, &served.request_id]
        {
            assert_eq!(absent, "-");
        }
    }
}

#[tokio::test]
async fn the_flags_say_who_ended_it() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let (log, options) = logging(workers);
        let mut rig = tcp_with(options, &[host.address()], |_| {});
        let (client, peer) = through(&rig, &host).await;
        client.reset();
        until_over(&rig).await;
        drop(peer);
        let (mut client, mut peer) = through(&rig, &host).await;
        client.send("made").await;
        assert_eq!(peer.received(4).await.unwrap(), b"made");
        peer.reset();
        until_over(&rig).await;
        drop(client);
        let refusing = fuseboard_testkit::RefusingPort::bind();
        rig.apply(|draft| draft.hosts(&[refusing.address()]));
        assert_eq!(rig.client().await.closed().await, b"");
        until_over(&rig).await;
        let flags: Vec<_> = lines(rig, &log).into_iter().map(|line| line.flags).collect();
        assert_eq!(flags, ["DC", "UC", "UF,URX"]);
    }
}

#[tokio::test]
async fn istios_metrics_count_connections_and_their_bytes_while_they_are_open() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp_with(options(workers), &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let sum = |name: &str| rig.series().samples(name).map(|sample| sample.value).sum::<f64>();
        let is = |name: &str, expected: f64| (sum(name) - expected).abs() < 0.5;
        let (mut client, mut peer) = through(&rig, &host).await;
        client.send("four").await;
        assert_eq!(peer.received(4).await.unwrap(), b"four");
        assert!(is("istio_tcp_connections_opened_total", 1.0));
        // The host may have them before they are counted.
        let counted = || is("istio_tcp_received_bytes_total", 4.0);
        assert!(settle(DEADLINE, counted).await, "bytes are counted before the end");
        assert!(is("istio_tcp_connections_closed_total", 0.0));
        assert_eq!(rig.client().await.closed().await, b"");
        drop((client, peer));
        until_over(&rig).await;
        assert!(is("istio_tcp_connections_opened_total", 2.0));
        let series = rig.series();
        let closed: Vec<_> = series
            .samples("istio_tcp_connections_closed_total")
            .filter(|sample| sample.value > 0.5)
            .map(|sample| {
                let label = |name: &str| sample.labels[name].clone();
                (label("response_flags"), label("fuseboard_refused"), label("request_protocol"))
            })
            .collect();
        let tcp = || "tcp".to_owned();
        assert_eq!(closed.len(), 2, "{closed:?}");
        assert!(closed.contains(&("-".to_owned(), String::new(), tcp())), "{closed:?}");
        assert!(closed.contains(&("UO".to_owned(), "limit.connections".to_owned(), tcp())), "{closed:?}");
    }
}
