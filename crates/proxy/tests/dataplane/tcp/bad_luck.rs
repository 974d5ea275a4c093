//! Peers that never read, say nothing, come by the thousand, or leave in every way there is: memory and places stay bounded.

use super::{Host, clients, held, tcp, through, until_over};
use crate::rig::{WORKERS, limits};
use fuseboard_testkit::{Client, DEADLINE, settle};

/// Sends until nothing more is taken; how much that was.
async fn stuff(sender: &fuseboard_testkit::Sender) -> usize {
    let part = vec![7; 64 * 1024];
    let mut taken = 0;
    while tokio::time::timeout(super::SOON * 4, sender.send(&part)).await.is_ok_and(|sent| sent.is_ok()) {
        taken += part.len();
        assert!(taken < 256 << 20, "somebody keeps it all");
    }
    taken
}

#[tokio::test]
async fn a_peer_that_never_reads_stops_the_other_and_a_reset_of_either_is_heard_all_the_same() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |_| {});
        for (client_sends, sender_resets) in [(true, true), (true, false), (false, true), (false, false)] {
            let (client, peer) = through(&rig, &host).await;
            let (sending, deaf) = if client_sends { (client, peer) } else { (peer, client) };
            stuff(&sending.sender()).await;
            assert_eq!(held(&rig), (1, 1));
            let (resets, stays) = if sender_resets { (sending, deaf) } else { (deaf, sending) };
            resets.reset();
            until_over(&rig).await;
            drop(stays);
        }
    }
}

#[tokio::test]
async fn thousands_of_silent_connections_take_only_the_places_that_there_are() {
    const BOUND: u32 = 300;
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(BOUND, 0, u32::MAX);
        });
        let accepting = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                kept.push(host.0.accept().await.unwrap().0);
            }
        });
        let clients = clients(&rig, 2_000).await;
        let refused = || rig.numbers().get("upstream_cx_overflow");
        assert!(settle(DEADLINE, || refused() == 2_000 - u64::from(BOUND)).await, "{} refused", refused());
        assert_eq!(held(&rig), (BOUND, BOUND));
        drop(clients);
        accepting.abort();
        until_over(&rig).await;
    }
}

#[tokio::test]
async fn however_both_sides_leave_the_places_come_back() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let leave: [fn(Client); 3] = [Client::close, Client::reset, drop];
        for first in leave {
            for second in leave {
                for client_first in [true, false] {
                    for spoken in [true, false] {
                        let (mut client, mut peer) = through(&rig, &host).await;
                        if spoken {
                            client.send("unread").await;
                            peer.send("unread").await;
                        }
                        let (a, b) = if client_first { (client, peer) } else { (peer, client) };
                        first(a);
                        second(b);
                        until_over(&rig).await;
                    }
                }
            }
        }
    }
}
