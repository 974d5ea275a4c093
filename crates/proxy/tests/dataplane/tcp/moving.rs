//! Much at once, which the system moves from socket to socket: nothing is lost, doubled or held back by it, whoever is slow,
//! ends, or breaks off.

use std::time::Duration;

use super::{Host, listener, tcp, through, until_over};
use crate::rig::WORKERS;
use fuseboard_testkit::{Client, ReadFailure};
use rustix::net::{SendFlags, send};
use tokio::net::TcpStream;

/// More than one read takes, and than all buffers of both sockets hold.
const MUCH: usize = 24 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index * 131 + index / 509) % 256).unwrap()).collect()
}

/// Client and host, the client first if it is to be.
fn ordered(client_first: bool, (client, peer): (Client, Client)) -> (Client, Client) {
    if client_first { (client, peer) } else { (peer, client) }
}

/// One sends it and ends what it sends; the other hears all of it, and then the end.
async fn goes_whole(from: &mut Client, to: &mut Client, much: &[u8]) {
    let sender = from.sender();
    let ((), heard) = tokio::join!(
        async {
            sender.send(much).await.unwrap();
            from.half_close();
        },
        to.closed()
    );
    assert!(heard == much, "{} of {} bytes came", heard.len(), much.len());
}

#[tokio::test]
async fn all_of_it_comes_before_the_end_and_the_other_direction_goes_on() {
    let much = pattern(MUCH);
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for client_first in [true, false] {
            let (mut first, mut second) = ordered(client_first, through(&rig, &host).await);
            goes_whole(&mut first, &mut second, &much).await;
            goes_whole(&mut second, &mut first, &much).await;
            drop((first, second));
            until_over(&rig).await;
        }
    }
}

#[tokio::test]
async fn who_reads_slowly_gets_it_whole_and_words_pass_at_once_afterwards() {
    let much = pattern(MUCH);
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for client_first in [true, false] {
            let (mut first, mut second) = ordered(client_first, through(&rig, &host).await);
            let sender = first.sender();
            let slowly = async {
                let mut heard = Vec::with_capacity(MUCH);
                while heard.len() < MUCH {
                    let part = second.received(1.max((MUCH - heard.len()).min(100_003))).await.unwrap();
                    heard.extend(part);
                    tokio::task::yield_now().await;
                }
                heard
            };
            let (sent, heard) = tokio::join!(sender.send(&much), slowly);
            sent.unwrap();
            assert!(heard == much, "it is not what was sent");
            for word in ["a", "few", "words"] {
                first.send(word).await;
                assert_eq!(second.received(word.len()).await.unwrap(), word.as_bytes());
                second.send(word).await;
                assert_eq!(first.received(word.len()).await.unwrap(), word.as_bytes());
            }
            drop((first, second, sender));
            until_over(&rig).await;
        }
    }
}

#[tokio::test]
async fn a_reset_in_the_midst_of_it_is_passed_on_as_a_reset() {
    let much = pattern(MUCH);
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for client_first in [true, false] {
            for sender_resets in [true, false] {
                let (first, mut second) = ordered(client_first, through(&rig, &host).await);
                let sender = first.sender();
                let mut heard = Vec::new();
                {
                    // Without end: the buffers on the way may hold all of `much`.
                    let mut sending = std::pin::pin!(async {
                        loop {
                            if let Err(failure) = sender.send(&much).await {
                                return failure;
                            }
                        }
                    });
                    while heard.len() < MUCH / 4 {
                        tokio::select! {
                            failure = &mut sending => panic!("nobody has broken it off: {failure:?}"),
                            part = second.received(64 * 1024) => heard.extend(part.unwrap()),
                        }
                    }
                }
                assert!(much.starts_with(&heard), "it is not what was sent");
                if sender_resets {
                    drop(sender);
                    first.reset();
                    let end = loop {
                        match second.received(1).await {
                            Ok(part) if part.is_empty() => break None,
                            Ok(_) => {}
                            Err(failure) => break Some(failure),
                        }
                    };
                    assert!(matches!(end, Some(ReadFailure::Reset)), "{end:?}");
                } else {
                    second.reset();
                    while sender.send(&much).await.is_ok() {}
                    drop(first);
                }
                until_over(&rig).await;
            }
        }
    }
}

#[tokio::test]
async fn bytes_that_are_urgent_hold_nothing_up() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        let mut client = rig.client().await;
        let (peer, _) = host.0.accept().await.unwrap();
        let much = pattern(1 << 20);
        let send = async {
            all(&peer, &much).await;
            peer.writable().await.unwrap();
            // The mark stands at this byte, which is not among the others.
            while send(&peer, b"!", SendFlags::OOB).is_err() {
                tokio::task::yield_now().await;
            }
            all(&peer, &much).await;
        };
        let ((), heard) = tokio::join!(send, client.received(2 * much.len()));
        assert!(heard.unwrap() == much.repeat(2), "it is not what was sent");
        drop((client, peer));
        until_over(&rig).await;
    }
}

async fn all(to: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        to.writable().await.unwrap();
        if let Ok(n) = to.try_write(bytes) {
            bytes = &bytes[n..];
        }
    }
}

#[tokio::test]
async fn the_greatest_age_ends_it_however_much_is_on_its_way() {
    const AGE: Duration = Duration::from_millis(200);
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            listener(draft, |tcp| tcp.max_duration = Some(AGE));
        });
        let (client, mut peer) = through(&rig, &host).await;
        let sender = client.sender();
        let part = pattern(1 << 20);
        let sending = async { while sender.send(&part).await.is_ok() {} };
        let reading = async { while peer.received(1).await.is_ok_and(|part| !part.is_empty()) {} };
        tokio::join!(sending, reading);
        drop(client);
        until_over(&rig).await;
        assert_eq!(rig.numbers().get("tcp.max_downstream_connection_duration"), 1);
    }
}

#[tokio::test]
async fn one_who_sends_without_end_leaves_others_their_turn() {
    let host = Host::listen().await;
    let rig = tcp(1, &[host.address()], |_| {});
    let (busy, mut sink) = through(&rig, &host).await;
    let (mut client, mut peer) = through(&rig, &host).await;
    let sender = busy.sender();
    let part = pattern(1 << 20);
    let endless = async { while sender.send(&part).await.is_ok() {} };
    let reading = async { while sink.received(1).await.is_ok_and(|part| !part.is_empty()) {} };
    let words = async {
        for _ in 0..200 {
            client.send("ping").await;
            assert_eq!(peer.received(4).await.unwrap(), b"ping");
            peer.send("pong").await;
            assert_eq!(client.received(4).await.unwrap(), b"pong");
        }
    };
    tokio::select! {
        () = endless => panic!("the endless one ended"),
        () = reading => panic!("nothing came"),
        () = words => {}
    }
}
