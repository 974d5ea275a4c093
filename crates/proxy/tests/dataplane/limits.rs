//! Limits through real sockets, at one and four workers: who is admitted, who is refused and why, and what is remembered.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::rig::{Rig, WORKERS, limits, options, touchy};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_testkit::{Behaviour, Client, DEADLINE, Gate, RefusingPort, Reply, Script, Upstream, settle};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OVERFLOW: &str = "upstream connect error or disconnect/reset before headers. reset reason: overflow";

async fn held() -> (Gate, Upstream) {
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("ok")).after(&gate))).await;
    (gate, upstream)
}

async fn burst(rig: &Rig, clients: usize) -> Vec<Client> {
    let mut all = Vec::new();
    for _ in 0..clients {
        let mut client = rig.client().await;
        client.send(GET).await;
        all.push(client);
    }
    all
}

/// Statuses of all answers, sorted.
async fn statuses(clients: Vec<Client>) -> Vec<u16> {
    let mut all = Vec::new();
    for mut client in clients {
        all.push(client.response().await.status);
    }
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_burst_of_connections_plus_queue_is_admitted_whole_and_the_next_is_refused() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(2, 3, u32::MAX);
        });
        let clients = burst(&rig, 5).await;
        rig.until_pending(3).await;
        let mut sixth = rig.client().await;
        sixth.send(GET).await;
        let refused = sixth.response().await;
        assert_eq!((refused.status, refused.text()), (503, OVERFLOW));
        assert_eq!(refused.field("x-envoy-overloaded"), Some("true"));
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        assert_eq!(upstream.counts().in_flight_peak, 2);
        gate.open();
        assert_eq!(statuses(clients).await, [200; 5]);
        assert_eq!(sixth.get("a", "/").await.status, 200, "the refused client's connection is usable");
        rig.until_idle().await;
        assert_eq!(upstream.counts().open_peak, 2);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_pending_overflow.get()), 1);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_pending_total.get()), 3);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_overflow.get()), 4);
        let record = &rig.refusals()[0];
        assert_eq!(record.reason, RefusalReason::LimitQueueFull);
        assert_eq!((record.bound, record.value, record.queue), (Some(3), Some(3), 3));
        assert_eq!(
            (record.status, record.flag, record.setting),
            (503, "UO", Some("http1MaxPendingRequests"))
        );
    }
}

#[tokio::test]
async fn the_request_limit_refuses_at_once_and_opens_nothing() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(9, 9, 2);
        });
        let clients = burst(&rig, 2).await;
        upstream.until(|counts| counts.in_flight == 2).await;
        let refused = rig.client().await.get("a", "/").await;
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.requests"));
        assert_eq!(upstream.counts().accepted, 2);
        gate.open();
        assert_eq!(statuses(clients).await, [200; 2]);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_active_overflow.get()), 1);
    }
}

#[tokio::test]
async fn two_callers_of_one_connection_and_one_place_are_never_refused() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("ok")).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
            d.cluster.connection.max_requests = NonZeroU32::new(1);
        });
        let caller = |mut client: Client| async move {
            let mut good = 0;
            for _ in 0..200 {
                good += u32::from(client.get("a", "/").await.status == 200);
            }
            good
        };
        let (one, two) = (rig.client().await, rig.client().await);
        let (one, two) = tokio::join!(tokio::spawn(caller(one)), tokio::spawn(caller(two)));
        assert_eq!((one.unwrap(), two.unwrap()), (200, 200), "{workers} workers");
        assert_eq!(upstream.counts().open_peak, 1);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_max_requests.get()), 400);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_waiter_that_leaves_frees_its_place_and_one_that_waits_too_long_is_told() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let first = burst(&rig, 1).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        let second = burst(&rig, 1).await;
        rig.until_pending(1).await;
        drop(second);
        rig.until_pending(0).await;
        // Only now: the one that leaves shall not be told before it goes.
        rig.apply(|d| {
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
            d.cluster.queue_timeout = Some(Duration::from_millis(50));
        });
        let third = rig.client().await.get("a", "/").await;
        assert_eq!((third.status, third.field("x-fuseboard-refused")), (503, Some("limit.queue_timeout")));
        assert_eq!(rig.refused(RefusalReason::LimitQueueTimeout), 1);
        gate.open();
        assert_eq!(statuses(first).await, [200]);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn limits_change_in_place_while_requests_wait() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 5, u32::MAX);
        });
        let clients = burst(&rig, 4).await;
        rig.until_pending(3).await;
        rig.apply(|d| {
            d.cluster.thresholds.default = limits(4, 5, u32::MAX);
        });
        upstream.until(|counts| counts.in_flight == 4).await;
        gate.open();
        assert_eq!(statuses(clients).await, [200; 4]);
        rig.until_idle().await;
        rig.apply(|d| {
            d.cluster.thresholds.default = limits(1, 5, u32::MAX);
        });
        upstream.until(|counts| counts.open <= 1).await;
    }
}

#[tokio::test]
async fn those_who_wait_are_told_when_the_last_host_goes() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 5, u32::MAX);
        });
        let mut clients = burst(&rig, 3).await;
        rig.until_pending(2).await;
        rig.apply(|d| d.hosts(&[]));
        let mut refused = 0;
        gate.open();
        for client in &mut clients {
            let response = client.response().await;
            refused += u32::from(response.status == 503 && response.text() == "no healthy upstream");
        }
        assert_eq!(refused, 2);
        let late = rig.client().await.get("a", "/").await;
        assert_eq!((late.status, late.field("x-fuseboard-refused")), (503, Some("no_healthy")));
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn connections_to_one_host_are_given_up_for_another_within_the_limit() {
    for workers in WORKERS {
        let (one, two) = (Upstream::start(Script::ok("1")).await, Upstream::start(Script::ok("2")).await);
        let rig = Rig::start(workers, &[one.address(), two.address()], |d| {
            d.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let mut client = rig.client().await;
        for _ in 0..10 {
            assert_eq!(client.get("a", "/").await.status, 200);
            assert!(
                rig.cluster().live.limits(fuseboard_core::limit::Priority::Default).view().connections <= 1
            );
        }
        assert_eq!((one.counts().requests, two.counts().requests), (5, 5), "round robin");
    }
}

#[tokio::test]
async fn a_failed_connect_fails_only_its_own_request() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address(), refusing.address()], |d| {
            d.cluster.thresholds.default = limits(1, 10, u32::MAX);
        });
        let clients = burst(&rig, 6).await;
        gate.open();
        let good = statuses(clients).await.into_iter().filter(|status| *status == 200).count() as u64;
        assert_eq!(upstream.counts().requests as u64, good);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_connect_fail.get()), 6 - good);
        assert!(rig.refusals().is_empty());
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_listener_above_its_bound_closes_at_once_and_says_so() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("ok")).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.listener.http.max_connections = 1;
        });
        let mut first = rig.client().await;
        assert_eq!(first.get("a", "/").await.status, 200);
        assert!(rig.client().await.closed().await.is_empty());
        assert_eq!(rig.refused(RefusalReason::LimitDownstreamConnections), 1);
        assert_eq!(first.get("a", "/").await.status, 200);
    }
}

#[tokio::test]
async fn all_connections_together_have_a_bound_and_who_goes_makes_room() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("ok")).await;
        let options = fuseboard_proxy::ProxyOptions { max_connections: Some(2), ..options(workers) };
        let rig = Rig::start_with(options, &[upstream.address()], |_| {});
        let (mut first, mut second) = (rig.client().await, rig.client().await);
        for client in [&mut first, &mut second] {
            assert_eq!(client.get("a", "/").await.status, 200);
        }
        assert!(rig.client().await.closed().await.is_empty());
        assert_eq!(rig.refused(RefusalReason::LimitDownstreamConnections), 1);
        assert_eq!(rig.numbers().get("listener.downstream_global_cx_overflow"), 1);
        assert_eq!(rig.numbers().get("listener.downstream_cx_overflow"), 0, "its own bound is another one");
        drop(first);
        let in_its_place = async {
            loop {
                let mut next = rig.client().await;
                if next.try_send(GET).await.is_ok() && next.try_response().await.is_ok() {
                    break;
                }
            }
        };
        tokio::time::timeout(DEADLINE, in_its_place).await.expect("a place for another one");
        assert_eq!(second.get("a", "/").await.status, 200);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_who_holds_it() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sketch = fuseboard_testkit::ClusterSketch::new("rig", &[]).snapshot(1).unwrap();
    let mut snapshot = sketch;
    snapshot.listeners[0].address = holder.local_addr().unwrap();
    let options = fuseboard_proxy::ProxyOptions { concurrency: 1, ..Default::default() };
    let error = fuseboard_proxy::start(options, std::sync::Arc::new(snapshot)).unwrap_err().to_string();
    assert!(error.contains("in use by") && error.contains(&format!("pid {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn with_reuse_port_every_worker_accepts_for_itself() {
    let upstream = Upstream::start(Script::ok("ok")).await;
    let options = fuseboard_proxy::ProxyOptions { concurrency: 4, reuse_port: true, ..Default::default() };
    let rig = Rig::start_with(options, &[upstream.address()], |d| {
        d.cluster.thresholds.default = limits(2, 20, u32::MAX);
    });
    let clients = burst(&rig, 16).await;
    assert_eq!(statuses(clients).await, [200; 16]);
    assert!(upstream.counts().open_peak <= 2);
}

#[tokio::test]
async fn a_listener_that_a_snapshot_drops_closes_and_its_connections_end() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut idle = rig.client().await;
        let busy = burst(&rig, 1).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        rig.apply(|d| d.listener.name = "another".into());
        idle.closed().await;
        gate.open();
        assert_eq!(statuses(busy).await, [200]);
        let moved = rig.proxy.listeners()[0].address;
        assert_ne!(moved, rig.address);
        assert_eq!(Client::connect(moved).await.get("a", "/").await.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_holds_no_slot() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok(vec![b'x'; 15_000])).await;
        let rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let mut stubborn = rig.client().await;
        stubborn.send(GET.repeat(2_000)).await;
        // Until nothing moves: the answers fill every buffer on the way.
        let (mut answered, mut still) = (0, 0);
        while still < 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = upstream.counts().requests;
            still = if now > 0 && now == answered { still + 1 } else { 0 };
            answered = now;
        }
        assert!(answered < 2_000, "the buffers took everything");
        let view = rig.cluster().live.limits(fuseboard_core::limit::Priority::Default).view();
        assert_eq!(view.requests, 0, "the upstream's message is complete");
        assert_eq!(rig.client().await.get("a", "/").await.status, 200);
    }
}

#[tokio::test]
async fn those_who_wait_are_not_told_so_while_a_host_that_came_meanwhile_can_serve() {
    for workers in WORKERS {
        let (gate, never) = (Gate::new(), Gate::new());
        let failing = |gate| Behaviour::answer(&Reply::status(500)).after(gate);
        let old = Upstream::start(Script::in_order([failing(&gate), failing(&never)])).await;
        let new = Upstream::start(Script::ok("new")).await;
        let mut rig = Rig::start(workers, &[old.address()], |d| {
            d.cluster.thresholds.default = limits(2, 5, u32::MAX);
            d.cluster.outlier = Some(touchy());
        });
        let first = burst(&rig, 1).await;
        old.until(|counts| counts.in_flight == 1).await;
        let second = burst(&rig, 1).await;
        old.until(|counts| counts.in_flight == 2).await;
        let waiting = burst(&rig, 2).await;
        rig.until_pending(2).await;
        rig.apply(|d| d.hosts(&[old.address(), new.address()]));
        gate.open();
        assert_eq!(statuses(first).await, [500]);
        assert_eq!(statuses(waiting).await, [200; 2], "the old host is ejected, the new one serves");
        never.open();
        assert_eq!(statuses(second).await, [500]);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn each_priority_has_limits_of_its_own() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |d| {
            d.cluster.thresholds.default = limits(1, 0, u32::MAX);
            d.cluster.thresholds.high = limits(2, 0, u32::MAX);
        });
        let mut running = burst(&rig, 1).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        rig.apply(|d| d.route.priority = fuseboard_core::limit::Priority::High);
        running.extend(burst(&rig, 2).await);
        upstream.until(|counts| counts.in_flight == 3).await;
        assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        gate.open();
        assert_eq!(statuses(running).await, [200; 3]);
    }
}

#[tokio::test]
async fn no_more_hosts_have_connections_than_the_limit_of_pools_allows() {
    for workers in WORKERS {
        let gate = Gate::new();
        let mut upstreams = Vec::new();
        for _ in 0..5 {
            upstreams.push(
                Upstream::start(Script::always(Behaviour::answer(&Reply::ok("ok")).after(&gate))).await,
            );
        }
        let hosts: Vec<_> = upstreams.iter().map(Upstream::address).collect();
        let rig = Rig::start_with(options(workers), &hosts, |draft| {
            draft.cluster.max_connection_pools = NonZeroU32::new(2);
        });
        let mut clients = Vec::new();
        for _ in 0..40 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            clients.push(client);
        }
        let settled = || {
            let refused = rig.count(|block| block.stats.upstream_cx_pool_overflow.get());
            let held: usize = upstreams.iter().map(|upstream| upstream.counts().in_flight).sum();
            refused + held as u64 == 40
        };
        assert!(settle(Duration::from_secs(5), settled).await);
        let asked = upstreams.iter().filter(|upstream| upstream.counts().requests > 0).count();
        assert_eq!(asked, 2, "{workers} workers");
        let numbers = rig.numbers();
        assert_eq!(numbers.get("circuit_breakers.default.cx_pool_open"), 1);
        assert_eq!(numbers.get("circuit_breakers.default.remaining_cx_pools"), 0);
        let refused = usize::try_from(numbers.get("upstream_cx_pool_overflow")).unwrap();
        assert_eq!(rig.refused(RefusalReason::LimitPools), refused);
        gate.open();
        let mut answered = [0, 0];
        for client in &mut clients {
            let response = client.response().await;
            let refused = response.field("x-fuseboard-refused") == Some("limit.pools");
            assert_eq!(response.status, if refused { 503 } else { 200 });
            answered[usize::from(refused)] += 1;
        }
        assert_eq!(answered, [40 - refused, refused]);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn an_idle_pool_makes_room_for_another_host() {
    for workers in WORKERS {
        let (one, other) =
            (Upstream::start(Script::ok("one")).await, Upstream::start(Script::ok("other")).await);
        let rig = Rig::start(workers, &[one.address(), other.address()], |draft| {
            draft.cluster.max_connection_pools = NonZeroU32::MIN.into();
            draft.cluster.lb = fuseboard_core::balance::LbPolicy::Random;
        });
        let mut client = rig.client().await;
        for _ in 0..40 {
            assert_eq!(client.get("a", "/").await.status, 200);
            let open = rig.cluster().hosts.iter().filter(|host| host.connections() > 0).count();
            assert!(open <= 1, "{workers} workers");
        }
        assert!(one.counts().requests > 0 && other.counts().requests > 0);
        assert_eq!(rig.count(|block| block.stats.upstream_cx_pool_overflow.get()), 0);
    }
}
