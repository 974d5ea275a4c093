//! Limits are exact, counted where it matters: requests in the origin's hands, and connections whose descriptors the proxy
//! holds. Few numbers at one and at several workers here; `cargo xtask prove` tries many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_core::outlier::{Detector, OutlierPolicy};
use fuseboard_testkit::{Answer, Burst, Caller, ClusterSketch, OriginOptions, Rig, Split, burst, settle};

const WORKERS: [usize; 3] = [1, 2, 4];
const PATIENCE: Duration = Duration::from_secs(10);

/// N, P and R.
fn limits(max_connections: u32, max_pending_requests: u32, max_requests: u32) -> Thresholds {
    Thresholds { max_connections, max_pending_requests, max_requests, max_retries: UNLIMITED }
}

fn rig(workers: usize, hosts: usize, thresholds: Thresholds, change: impl FnOnce(&mut ClusterSketch)) -> Rig {
    let options = OriginOptions { hosts, seed: 1, ..OriginOptions::default() };
    let sketch = |hosts: &[_]| {
        let mut sketch = ClusterSketch { thresholds, ..ClusterSketch::new("cluster", hosts) };
        change(&mut sketch);
        sketch
    };
    Rig::start(workers, options, sketch).unwrap()
}

/// Bursts `callers`, and checks that everything was as the limits say.
async fn exact(rig: &Rig, callers: Vec<Caller>) -> Burst {
    let thresholds = rig.sketch().thresholds;
    let expected = Split::of(&thresholds, u32::try_from(callers.len()).unwrap());
    let burst = burst(rig, callers, expected, PATIENCE).await.unwrap();
    assert_eq!(burst.held, expected);
    assert_eq!((burst.ok, burst.refused), (expected.admitted(), expected.refused));
    assert_eq!(burst.other, Vec::<String>::new());
    assert!(burst.count.peak_requests <= Split::running_bound(&thresholds), "{:?}", burst.count);
    assert!(burst.count.peak_connections <= thresholds.max_connections, "{:?}", burst.count);
    assert!(rig.is_quiet(PATIENCE).await, "{:?} {:?}", rig.gauges(), rig.origin.count());
    burst
}

/// One request at a time in the origin's hands, one more waiting; resolves when the proxy says so.
async fn until_waiting(rig: &Rig, waiting: u32) {
    assert!(settle(PATIENCE, || rig.gauges().pending == waiting).await, "{:?}", rig.gauges());
}

async fn get(mut caller: Caller, target: &'static str) -> io::Result<Answer> {
    caller.get(target).await
}

#[tokio::test]
async fn d01_idle_connections_elsewhere_are_reused_or_closed_and_never_added_to() {
    for workers in WORKERS {
        let mut rig = rig(workers, 3, limits(4, 0, UNLIMITED), |_| {});
        let everywhere = rig.sketch().clone();
        let mut first_host = everywhere.clone();
        first_host.hosts.truncate(1);
        rig.apply(first_host).unwrap();
        // These stay, so that the callers after them are on other workers.
        let warm = exact(&rig, rig.callers(4, true)).await;
        assert_eq!(rig.gauges().idle, 4);
        rig.apply(everywhere).unwrap();
        exact(&rig, rig.callers(4, true)).await;
        exact(&rig, rig.callers(6, true)).await;
        drop(warm);
    }
}

#[tokio::test]
async fn d01_one_connection_serves_three_hosts_in_turn() {
    for workers in WORKERS {
        let rig = rig(workers, 3, limits(1, 0, UNLIMITED), |_| {});
        let mut caller = Caller::new(rig.door(), true);
        let mut hosts = Vec::new();
        for _ in 0..9 {
            hosts.push(caller.get("/").await.unwrap().header("x-host").unwrap().to_owned());
        }
        hosts.sort_unstable();
        assert_eq!(hosts.concat(), "000111222");
        assert_eq!(rig.origin.count().peak_connections, 1);
        assert_eq!(rig.origin.count().accepted, 9);
    }
}

#[tokio::test]
async fn d02_connections_and_queue_admit_together_cold_and_warm() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(2, 3, UNLIMITED), |_| {});
        for n in [5, 6, 4, 12] {
            exact(&rig, rig.callers(n, false)).await;
        }
        assert_eq!(rig.counters().pending_overflow, 1 + 7);
    }
}

#[tokio::test]
async fn p26_a_cold_burst_of_all_connections_waits_for_none() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(10, 1, UNLIMITED), |_| {});
        assert_eq!(exact(&rig, rig.callers(10, true)).await.ok, 10);
        assert_eq!((rig.counters().pending_total, rig.counters().pending_overflow), (0, 0));
    }
}

#[tokio::test]
async fn p26_without_a_queue_there_is_still_a_service() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(2, 0, UNLIMITED), |_| {});
        let burst = exact(&rig, rig.callers(3, true)).await;
        assert_eq!((burst.ok, burst.refused), (2, 1));
    }
}

#[tokio::test]
async fn d03_two_eager_callers_of_one_connection_and_one_place_are_never_refused() {
    for workers in WORKERS {
        let rig =
            rig(workers, 1, limits(1, 1, UNLIMITED), |cluster| cluster.max_requests = NonZeroU32::new(1));
        let mut calls = tokio::task::JoinSet::new();
        for mut caller in rig.callers(2, false) {
            calls.spawn(async move {
                for _ in 0..500 {
                    assert_eq!(caller.get("/").await.unwrap().status, 200);
                }
            });
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
        let count = rig.origin.count();
        assert_eq!((count.answered, count.accepted), (1_000, 1_000));
        assert_eq!((count.peak_requests, count.peak_connections), (1, 1));
        assert_eq!(rig.counters().pending_overflow, 0);
        assert!(rig.is_quiet(PATIENCE).await);
    }
}

#[tokio::test]
async fn d04_what_the_request_limit_refuses_opens_no_connection() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(10, 10, 2), |_| {});
        exact(&rig, rig.callers(7, true)).await;
        let (counters, count) = (rig.counters(), rig.origin.count());
        assert_eq!((counters.active_overflow, counters.pending_overflow), (5, 0));
        assert_eq!((counters.pending_total, counters.cx_overflow), (0, 0));
        assert_eq!((counters.cx_total, count.accepted), (2, 2));
    }
}

#[tokio::test]
async fn d05_those_who_wait_are_served_in_their_order_over_all_workers() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(1, 5, UNLIMITED), |_| {});
        rig.origin.hold();
        let mut calls = tokio::task::JoinSet::new();
        calls.spawn(get(Caller::new(rig.door(), true), "/running"));
        assert!(settle(PATIENCE, || rig.origin.count().requests == 1).await);
        for (waiting, target) in ["/1", "/2", "/3", "/4", "/5"].into_iter().enumerate() {
            calls.spawn(get(Caller::new(rig.door(), true), target));
            until_waiting(&rig, u32::try_from(waiting).unwrap() + 1).await;
        }
        for expected in ["/running", "/1", "/2", "/3", "/4", "/5"] {
            rig.origin.pass_one();
            let answer = calls.join_next().await.unwrap().unwrap().unwrap();
            assert_eq!(String::from_utf8(answer.body).unwrap(), expected, "{workers} workers");
        }
    }
}

#[tokio::test]
async fn d05_the_host_is_chosen_when_the_slot_is_there() {
    for workers in WORKERS {
        let mut rig = rig(workers, 2, limits(1, 1, UNLIMITED), |cluster| cluster.hosts.truncate(1));
        let mut second_host = rig.sketch().clone();
        second_host.hosts = rig.origin.addresses()[1..].to_vec();
        rig.origin.hold();
        let mut calls = tokio::task::JoinSet::new();
        calls.spawn(get(Caller::new(rig.door(), true), "/runs"));
        assert!(settle(PATIENCE, || rig.origin.count().requests == 1).await);
        calls.spawn(get(Caller::new(rig.door(), true), "/waits"));
        until_waiting(&rig, 1).await;
        rig.apply(second_host).unwrap();
        rig.origin.open();
        for _ in 0..2 {
            let answer = calls.join_next().await.unwrap().unwrap().unwrap();
            let host = if answer.body == b"/runs" { "0" } else { "1" };
            assert_eq!(answer.header("x-host"), Some(host));
        }
        assert_eq!(rig.origin.count().peak_connections, 1);
    }
}

#[tokio::test]
async fn d17_pending_counts_those_who_waited_and_overflow_those_whom_connections_stopped() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(2, 2, UNLIMITED), |_| {});
        exact(&rig, rig.callers(2, true)).await;
        assert_eq!((rig.counters().pending_total, rig.counters().cx_overflow), (0, 0));
        exact(&rig, rig.callers(7, true)).await;
        let counters = rig.counters();
        assert_eq!((counters.pending_total, counters.pending_overflow), (2, 3));
        assert_eq!(counters.cx_overflow, 2 + 3);
        assert_eq!(counters.cx_total, 2);
    }
}

#[tokio::test]
async fn p02_twice_as_many_as_allowed_get_exactly_what_is_allowed() {
    for (workers, bound) in [(1, 1), (2, 2), (4, 10), (16, 1), (16, 100)] {
        let rig = rig(workers, 3, limits(bound, 0, UNLIMITED), |_| {});
        let mut callers = rig.callers(bound * 2, true);
        for _ in 0..3 {
            rig.forget_peaks();
            let burst = exact(&rig, callers).await;
            assert_eq!(burst.count.peak_requests, bound);
            callers = burst.callers;
        }
    }
}

#[tokio::test]
async fn p02_callers_that_give_up_leave_nothing_behind_and_let_nobody_in_too_early() {
    for workers in WORKERS {
        let rig = rig(workers, 1, limits(2, 2, UNLIMITED), |_| {});
        for round in 0..20 {
            rig.origin.hold();
            let mut callers = rig.callers(4, true);
            for caller in &mut callers {
                caller.send("/given-up").await.unwrap();
            }
            until_waiting(&rig, 2).await;
            for caller in &mut callers {
                caller.abort(round % 2 == 0);
            }
            assert!(settle(PATIENCE, || rig.gauges().requests == 0 && rig.gauges().pending == 0).await);
            rig.origin.open();
            assert!(rig.is_quiet(PATIENCE).await, "{:?} {:?}", rig.gauges(), rig.origin.count());
        }
        assert_eq!(rig.origin.count().peak_connections, 2);
        // The origin may have had abandoned requests beside those that came after them.
        rig.forget_peaks();
        exact(&rig, rig.callers(5, true)).await;
    }
}

#[tokio::test]
async fn p46_refusals_of_our_own_eject_nobody() {
    for workers in WORKERS {
        let touchy = Detector { threshold: 1, enforcing_percent: 100 };
        let outlier = OutlierPolicy {
            consecutive_5xx: touchy,
            consecutive_gateway_failure: touchy,
            consecutive_local_origin_failure: touchy,
            max_ejection_percent: 100,
            ..OutlierPolicy::default()
        };
        let rig = rig(workers, 2, limits(1, 1, UNLIMITED), |cluster| cluster.outlier = Some(outlier));
        for _ in 0..10 {
            exact(&rig, rig.callers(8, true)).await;
        }
        let counters = rig.counters();
        assert_eq!((counters.pending_overflow, counters.ejections), (60, 0));
        let answer = get(Caller::new(rig.door(), true), "/status=503").await.unwrap();
        assert_eq!((answer.status, rig.counters().ejections), (503, 1), "the host's own failure does");
    }
}
