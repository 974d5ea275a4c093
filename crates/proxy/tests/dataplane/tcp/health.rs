//! What a host's connections say of it: P49, and the breaker.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Host, listener, tcp, through, until_counted, until_over};
use crate::rig::{Rig, WORKERS, touchy};
use fuseboard_core::breaker::{BreakerPolicy, TripPolicy};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{BreakerScope, ClusterBreaker, Provenance};
use fuseboard_testkit::{Client, RefusingPort};
use tokio::task::JoinHandle;

/// Ends of connections that are kept.
type Kept = Vec<Client>;

/// What a host does with each connection.
#[derive(Clone, Copy)]
enum Habit {
    Resets,
    SaysNothing,
    Greets,
}

fn living(host: Host, habit: Habit) -> (SocketAddr, JoinHandle<()>) {
    let address = host.address();
    let task = tokio::spawn(async move {
        let mut kept = Kept::new();
        loop {
            let mut peer = Client::over(host.0.accept().await.unwrap().0);
            match habit {
                Habit::Resets => peer.reset(),
                Habit::SaysNothing => kept.push(peer),
                Habit::Greets => {
                    let _ = peer.try_send("220 ready\r\n").await;
                    kept.push(peer);
                }
            }
        }
    });
    (address, task)
}

fn three_in_a_row() -> OutlierPolicy {
    let mut policy = touchy();
    policy.consecutive_5xx.threshold = 3;
    policy
}

fn ejected(rig: &Rig) -> Vec<SocketAddr> {
    let cluster = rig.cluster();
    cluster.hosts.iter().filter(|host| host.monitor.is_ejected()).map(|host| host.endpoint.address).collect()
}

/// Asks something and reads until the connection ends, or an answer comes.
async fn ask(rig: &Rig) {
    let mut client = rig.client().await;
    let _ = client.try_send("question").await;
    let _ = client.received(1).await;
}

#[tokio::test]
async fn p49_a_host_that_refuses_one_that_resets_and_one_that_is_silent_are_each_caught() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let (resetting, first) = living(Host::listen().await, Habit::Resets);
        let (silent, second) = living(Host::listen().await, Habit::SaysNothing);
        for bad in [refusing.address(), resetting, silent] {
            let (good, serving) = living(Host::listen().await, Habit::Greets);
            let rig = tcp(workers, &[bad, good], |draft| {
                draft.cluster.outlier = Some(three_in_a_row());
                listener(draft, |tcp| tcp.idle_timeout = Some(Duration::from_millis(60)));
            });
            // Round robin: at most this many until three have met the bad one.
            for _ in 0..12 {
                ask(&rig).await;
            }
            until_over(&rig).await;
            assert_eq!(ejected(&rig), [bad], "the good one stays");
            let numbers = rig.numbers();
            assert_eq!(numbers.get("outlier_detection.ejections_enforced_consecutive_5xx"), 1);
            assert_eq!(numbers.get("outlier_detection.ejections_active"), 1);
            let before = numbers.get("upstream_cx_connect_fail");
            for _ in 0..4 {
                ask(&rig).await;
            }
            assert_eq!(rig.numbers().get("upstream_cx_connect_fail"), before, "it gets nothing more");
            serving.abort();
        }
        first.abort();
        second.abort();
    }
}

#[tokio::test]
async fn the_only_host_ejected_refuses_the_next_connection_at_once() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let rig = tcp(workers, &[refusing.address()], |draft| draft.cluster.outlier = Some(three_in_a_row()));
        for _ in 0..3 {
            assert_eq!(rig.client().await.closed().await, b"");
        }
        assert_eq!(ejected(&rig), [refusing.address()]);
        assert_eq!(rig.client().await.closed().await, b"");
        assert_eq!(rig.refused(RefusalReason::NoHealthy), 1);
        assert_eq!(rig.numbers().get("upstream_cx_none_healthy"), 1);
    }
}

#[tokio::test]
async fn what_is_no_fault_of_the_host_ejects_nobody() {
    for workers in WORKERS {
        let host = Host::listen().await;
        let rig = tcp(workers, &[host.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
            listener(draft, |tcp| tcp.idle_timeout = Some(Duration::from_millis(60)));
        });
        // A client that resets, one that says nothing until its time is up, one that only looks whether somebody is there.
        let (client, peer) = through(&rig, &host).await;
        client.reset();
        until_over(&rig).await;
        drop(peer);
        let (mut client, peer) = through(&rig, &host).await;
        assert_eq!(client.closed().await, b"");
        until_over(&rig).await;
        drop(peer);
        let (client, peer) = through(&rig, &host).await;
        client.close();
        drop(peer);
        until_over(&rig).await;
        // A host that resets after it has spoken, and one that ends in order without a word.
        let (mut client, mut peer) = through(&rig, &host).await;
        peer.send("bye").await;
        assert_eq!(client.received(3).await.unwrap(), b"bye");
        peer.reset();
        until_over(&rig).await;
        let (mut client, peer) = through(&rig, &host).await;
        peer.close();
        assert_eq!(client.closed().await, b"");
        drop(client);
        until_over(&rig).await;
        assert!(ejected(&rig).is_empty());
    }
}

#[tokio::test]
async fn with_split_errors_only_connects_in_a_row_count() {
    for workers in WORKERS {
        let (resetting, serving) = living(Host::listen().await, Habit::Resets);
        let refusing = RefusingPort::bind();
        for (host, caught) in [(resetting, false), (refusing.address(), true)] {
            let rig = tcp(workers, &[host], |draft| {
                let mut policy = three_in_a_row();
                policy.split_external_local_origin_errors = true;
                policy.consecutive_local_origin_failure.threshold = 3;
                draft.cluster.outlier = Some(policy);
            });
            for _ in 0..6 {
                ask(&rig).await;
            }
            until_over(&rig).await;
            assert_eq!(!ejected(&rig).is_empty(), caught);
        }
        serving.abort();
    }
}

fn breaker(failures: u32) -> ClusterBreaker {
    let trip =
        TripPolicy { consecutive_failures: std::num::NonZeroU32::new(failures), ..TripPolicy::default() };
    let policy = BreakerPolicy { trip, ..BreakerPolicy::default() };
    ClusterBreaker {
        scope: BreakerScope::Destination,
        policy,
        rules: Vec::new(),
        provenance: Provenance::default(),
    }
}

#[tokio::test]
async fn failed_connects_and_resets_open_the_breaker_and_what_it_refuses_is_closed_at_once() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let (resetting, serving) = living(Host::listen().await, Habit::Resets);
        for host in [refusing.address(), resetting] {
            let rig = tcp(workers, &[host], |draft| draft.cluster.breaker = Some(breaker(3)));
            for _ in 0..3 {
                ask(&rig).await;
            }
            until_counted(&rig, "fuseboard.breaker.state", 1).await;
            let total = rig.numbers().get("upstream_cx_total");
            assert_eq!(rig.client().await.closed().await, b"");
            assert_eq!(rig.refused(RefusalReason::BreakerOpen), 1);
            assert_eq!(rig.numbers().get("upstream_cx_total"), total, "nobody was called");
            until_over(&rig).await;
        }
        serving.abort();
    }
}
