//! Idle time-out, greatest age, and the end of the proxy.

use std::time::{Duration, Instant};

use super::{Host, listener, tcp, tcp_with, through, until_over};
use crate::rig::{WORKERS, options};
use fuseboard_proxy::ProxyOptions;

const IDLE: Duration = Duration::from_millis(120);

#[tokio::test]
async fn a_connection_through_which_nothing_goes_is_closed_and_bytes_either_way_put_that_off() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            listener(draft, |tcp| tcp.idle_timeout = Some(IDLE));
        });
        let began = Instant::now();
        let (mut client, mut peer) = through(&rig, &host).await;
        let mut last = Instant::now();
        while began.elapsed() < 3 * IDLE {
            last = Instant::now();
            peer.send(".").await;
            assert_eq!(client.received(1).await.unwrap(), b".", "after {:?}", began.elapsed());
            tokio::task::yield_now().await;
        }
        assert_eq!(client.closed().await, b"");
        assert!(last.elapsed() >= IDLE, "closed after {:?}", last.elapsed());
        assert_eq!(peer.closed().await, b"");
        until_over(&rig).await;
        let numbers = rig.numbers();
        assert_eq!((numbers.get("tcp.idle_timeout"), numbers.get("upstream_cx_destroy_local")), (1, 1));
    }
}

#[tokio::test]
async fn a_half_closed_connection_is_not_kept_for_ever() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            listener(draft, |tcp| tcp.idle_timeout = Some(IDLE));
        });
        let (mut client, mut peer) = through(&rig, &host).await;
        client.half_close();
        assert_eq!(peer.closed().await, b"");
        assert_eq!(client.closed().await, b"");
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn at_its_greatest_age_a_connection_is_closed_however_busy_it_is() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            listener(draft, |tcp| tcp.max_duration = Some(IDLE));
        });
        let began = Instant::now();
        let (mut client, mut peer) = through(&rig, &host).await;
        loop {
            if peer.try_send(".").await.is_err() || client.received(1).await.is_ok_and(|read| read.is_empty())
            {
                break;
            }
            if client.received(0).await.is_err() {
                break;
            }
        }
        assert!(began.elapsed() >= IDLE, "closed after {:?}", began.elapsed());
        until_over(&rig).await;
        assert_eq!(rig.numbers().get("tcp.max_downstream_connection_duration"), 1);
    }
}

#[tokio::test]
async fn a_drain_lets_busy_connections_go_on_until_its_time_is_over() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let options = ProxyOptions { drain_time: Duration::from_millis(400), ..options(workers) };
        let rig = tcp_with(options, &[host.address()], |_| {});
        let (mut client, mut peer) = through(&rig, &host).await;
        let address = rig.address;
        rig.proxy.drain();
        client.send("during").await;
        assert_eq!(peer.received(6).await.unwrap(), b"during");
        let began = Instant::now();
        tokio::task::spawn_blocking(move || rig.proxy.join()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "the bound holds");
        assert!(
            client.received(1).await.is_ok_and(|read| read.is_empty()) || client.try_send("x").await.is_err()
        );
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
        drop(peer);
    }
}

#[tokio::test]
async fn a_drain_ends_with_its_last_connection() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        let (client, peer) = through(&rig, &host).await;
        rig.proxy.drain();
        drop((client, peer));
        let began = Instant::now();
        tokio::task::spawn_blocking(move || rig.proxy.join()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(20), "45 s would be the bound");
    }
}
