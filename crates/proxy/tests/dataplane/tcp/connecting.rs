//! The way to a host: refused, in vain, in time, after another one; and the client that leaves meanwhile.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Host, listener, tcp, until_counted, until_over};
use crate::rig::{WORKERS, limits};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::Availability;
use fuseboard_testkit::{RefusingPort, UnansweringPort};

#[tokio::test]
async fn a_refused_connect_closes_the_client_and_counts_as_envoy_counts_it() {
    for workers in WORKERS {
        let port = RefusingPort::bind();
        let rig = tcp(workers, &[port.address()], |_| {});
        assert_eq!(rig.client().await.closed().await, b"");
        until_over(&rig).await;
        let numbers = rig.numbers();
        for name in [
            "upstream_cx_total",
            "upstream_cx_connect_fail",
            "upstream_cx_connect_attempts_exceeded",
            "upstream_rq_pending_failure_eject",
            "upstream_rq_total",
        ] {
            assert_eq!(numbers.get(name), 1, "{name}");
        }
        assert_eq!(numbers.get("upstream_cx_connect_timeout"), 0);
        assert_eq!(numbers.get("upstream_cx_http1_total"), 0);
        assert!(rig.refusals().is_empty(), "the host refused, and not we");
    }
}

#[tokio::test]
async fn a_connect_without_an_answer_ends_with_its_time() {
    for workers in WORKERS {
        let port = UnansweringPort::bind().await;
        let rig = tcp(workers, &[port.address()], |draft| {
            draft.cluster.connect_timeout = Duration::from_millis(40);
        });
        assert_eq!(rig.client().await.closed().await, b"");
        until_over(&rig).await;
        assert_eq!(rig.numbers().get("upstream_cx_connect_timeout"), 1);
        assert_eq!(rig.numbers().get("upstream_cx_connect_fail"), 1);
    }
}

#[tokio::test]
async fn with_more_attempts_another_host_takes_the_connection() {
    for workers in WORKERS {
        let (dead, host) = (RefusingPort::bind(), Host::listen().await);
        let rig = tcp(workers, &[dead.address(), host.address()], |draft| {
            listener(draft, |tcp| tcp.max_connect_attempts = NonZeroU32::new(2).unwrap());
        });
        for _ in 0..4 {
            let mut client = rig.client().await;
            let mut peer = host.accept().await;
            client.send("through").await;
            assert_eq!(peer.received(7).await.unwrap(), b"through");
        }
        until_over(&rig).await;
        let numbers = rig.numbers();
        assert_eq!(numbers.get("upstream_cx_connect_attempts_exceeded"), 0);
        assert!(numbers.get("upstream_cx_connect_fail") > 0);
    }
}

#[tokio::test]
async fn a_client_that_resets_while_its_host_is_connected_to_gives_its_place_back_at_once() {
    for workers in WORKERS {
        let port = UnansweringPort::bind().await;
        let rig = tcp(workers, &[port.address()], |draft| {
            draft.cluster.connect_timeout = Duration::from_secs(600);
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let client = rig.client().await;
        until_counted(&rig, "upstream_cx_active", 1).await;
        client.reset();
        until_over(&rig).await;
        let numbers = rig.numbers();
        assert_eq!((numbers.get("upstream_cx_connect_fail"), numbers.get("upstream_rq_cancelled")), (0, 1));
    }
}

#[tokio::test]
async fn without_a_host_and_where_tls_is_asked_for_the_connection_is_refused() {
    for workers in WORKERS {
        let mut rig = tcp(workers, &[], |_| {});
        assert_eq!(rig.client().await.closed().await, b"");
        assert_eq!(rig.numbers().get("upstream_cx_none_healthy"), 1);
        assert_eq!(rig.refused(RefusalReason::NoHealthy), 1);
        let host = Host::listen().await;
        rig.apply(|draft| {
            draft.hosts(&[host.address()]);
            draft.cluster.availability = Availability::Withheld(RefusalReason::TlsUnsupported);
        });
        assert_eq!(rig.client().await.closed().await, b"");
        assert_eq!(rig.refused(RefusalReason::TlsUnsupported), 1);
        assert!(!host.is_called().await);
    }
}
