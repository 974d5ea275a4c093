//! Bytes both ways: all of them, in order, each side's end on its own, and never more in memory than two buffers.

use super::{Host, held, tcp, through, until_over};
use crate::rig::WORKERS;
use fuseboard_testkit::ReadFailure;

/// More than all buffers of both sockets hold.
const MUCH: usize = 24 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index * 31 + index / 251) % 256).unwrap()).collect()
}

#[tokio::test]
async fn bytes_pass_both_ways_whoever_speaks_first() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for host_first in [false, true] {
            let (client, peer) = through(&rig, &host).await;
            let (mut first, mut second) = if host_first { (peer, client) } else { (client, peer) };
            for word in ["hello", "\0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
                first.send(word).await;
                assert_eq!(second.received(word.len()).await.unwrap(), word.as_bytes());
                second.send("and back").await;
                assert_eq!(first.received(8).await.unwrap(), b"and back");
            }
        }
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn megabytes_arrive_whole_and_in_order_both_ways_at_once() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        let (mut client, mut peer) = through(&rig, &host).await;
        let sent = pattern(MUCH);
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
        let numbers = rig.numbers();
        for name in ["tcp.downstream_cx_rx_bytes_total", "tcp.downstream_cx_tx_bytes_total"] {
            assert_eq!(numbers.get(name), MUCH as u64, "{name}");
        }
        for name in ["upstream_cx_rx_bytes_total", "upstream_cx_tx_bytes_total"] {
            assert_eq!(numbers.get(name), MUCH as u64, "{name}");
        }
    }
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open_and_everything_held() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for client_first in [true, false] {
            let (client, peer) = through(&rig, &host).await;
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
    }
}

#[tokio::test]
async fn what_a_client_sends_before_its_host_is_connected_arrives_and_so_does_its_end() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        let mut client = rig.client().await;
        client.send("question").await;
        client.half_close();
        let mut peer = host.accept().await;
        assert_eq!(peer.closed().await, b"question");
        peer.send("answer").await;
        peer.close();
        assert_eq!(client.closed().await, b"answer");
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset_both_ways() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for client_first in [true, false] {
            let (client, peer) = through(&rig, &host).await;
            let (mut first, mut second) = if client_first { (client, peer) } else { (peer, client) };
            first.send("cut").await;
            assert_eq!(second.received(3).await.unwrap(), b"cut");
            first.reset();
            let end = second.received(1).await;
            assert!(matches!(end, Err(ReadFailure::Reset)), "{end:?}");
            until_over(&rig).await;
        }
    }
}

#[tokio::test]
async fn what_a_host_said_before_it_broke_is_still_the_clients() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        let (mut client, mut peer) = through(&rig, &host).await;
        client.send(pattern(100)).await;
        peer.send("no more, thank you").await;
        // With the question unread this is a reset.
        peer.close();
        let mut heard = Vec::new();
        while let Ok(part) = client.received(1).await {
            if part.is_empty() {
                break;
            }
            heard.extend(part);
        }
        assert_eq!(String::from_utf8(heard).unwrap(), "no more, thank you");
        until_over(&rig).await;
    }
}
