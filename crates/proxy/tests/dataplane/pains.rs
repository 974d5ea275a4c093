//! What people suffer from elsewhere, as tests: each is named after the pain that it shows to be cured.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_core::outlier::EjectionView;
use fuseboard_snapshot::EndpointId;
use fuseboard_testkit::{Behaviour, Client, Reply, Script, SeenRequest, Upstream, settle};

use crate::rig::judge::held;
use crate::rig::{Rig, WORKERS, limits, touchy};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Switches protocols for who asks for it, and answers everybody else.
fn echo_or_answer(request: &SeenRequest) -> Behaviour {
    match request.field("upgrade") {
        Some(protocol) => Behaviour::upgrade_and_echo(protocol),
        None => Behaviour::answer(&Reply::ok("served")),
    }
}

/// Gauges of limits that say "reached", and ejections.
fn tripped(rig: &Rig) -> Vec<&'static str> {
    let numbers = rig.numbers();
    let gauges = [
        "circuit_breakers.default.cx_open",
        "circuit_breakers.default.rq_pending_open",
        "circuit_breakers.default.rq_open",
        "circuit_breakers.default.rq_retry_open",
        "circuit_breakers.high.cx_open",
        "outlier_detection.ejections_active",
    ];
    gauges.into_iter().filter(|name| numbers.get(name) == 1).collect()
}

#[tokio::test]
async fn p01_each_limit_and_the_detector_move_their_own_gauge_and_no_other() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
            draft.cluster.thresholds.default = limits(9, 9, 9);
        });
        assert_eq!(tripped(&rig), [""; 0], "all there before any traffic, at 0");
        let mut first = rig.client().await;
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        assert_eq!(tripped(&rig), [""; 0], "one of nine");
        rig.apply(|draft| draft.cluster.thresholds.default = limits(9, 9, 1));
        assert_eq!(tripped(&rig), ["circuit_breakers.default.rq_open"]);
        rig.apply(|draft| draft.cluster.thresholds.default = limits(1, 1, 9));
        assert_eq!(tripped(&rig), ["circuit_breakers.default.cx_open"]);
        let mut second = rig.client().await;
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until_pending(1).await;
        assert_eq!(
            tripped(&rig),
            ["circuit_breakers.default.cx_open", "circuit_breakers.default.rq_pending_open"],
            "the queue is full only where the connections are"
        );
        gate.open();
        assert_eq!((first.response().await.status, second.response().await.status), (200, 200));
        assert_eq!(tripped(&rig), ["circuit_breakers.default.cx_open"], "an idle connection still is one");
        rig.apply(|draft| draft.cluster.thresholds.default = limits(9, 9, 9));
        assert_eq!(tripped(&rig), [""; 0], "and back");

        upstream.follow(Script::always(Behaviour::answer(&Reply::status(500))));
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        assert_eq!(tripped(&rig), ["outlier_detection.ejections_active"]);
        rig.apply(|draft| draft.cluster.outlier = None);
        rig.apply(|draft| draft.cluster.outlier = Some(touchy()));
        assert_eq!(tripped(&rig), [""; 0]);
    }
}

/// Closes connections whenever it likes: behind an answer, or when the next request is on its way already. Remembers which
/// requests it read and left unanswered.
fn moody(unanswered: &Arc<Mutex<usize>>) -> Script {
    let state = Mutex::new((fuseboard_core::Rng::new(38), HashSet::new()));
    let unanswered = Arc::clone(unanswered);
    Script::by(move |request| {
        let (rng, served) = &mut *state.lock().unwrap();
        let reused = !served.insert(request.connection);
        match rng.below(4) {
            0 => Behaviour::answer(&Reply::ok("ok")).then_close(),
            1 if reused => {
                *unanswered.lock().unwrap() += 1;
                Behaviour::close()
            }
            _ => Behaviour::answer(&Reply::ok("ok")),
        }
    })
}

async fn call(mut client: Client, method: &'static str, times: usize) -> usize {
    let mut failed = 0;
    for _ in 0..times {
        let body = if method == "POST" { "Content-Length: 2\r\n\r\nhi" } else { "\r\n" };
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{body}")).await;
        let response = client.response().await;
        failed += usize::from(response.status != 200);
        assert!([200, 503].contains(&response.status));
    }
    failed
}

#[tokio::test]
async fn p38_a_backend_that_closes_when_it_likes_costs_no_read_and_no_write_twice() {
    const CALLERS: usize = 6;
    const TIMES: usize = 100;
    for workers in WORKERS {
        for thresholds in [limits(u32::MAX, u32::MAX, u32::MAX), limits(3, 16, u32::MAX)] {
            let unanswered = Arc::default();
            let upstream = Upstream::start(moody(&unanswered)).await;
            let rig = Rig::start(workers, &[upstream.address()], |draft| {
                draft.cluster.thresholds.default = thresholds;
            });
            let calls = async |method| {
                let mut calls = tokio::task::JoinSet::new();
                for _ in 0..CALLERS {
                    calls.spawn(call(rig.client().await, method, TIMES));
                }
                calls.join_all().await.into_iter().sum::<usize>()
            };
            assert_eq!(calls("GET").await, 0, "no read fails");
            assert!(rig.count(|block| block.own.upstream_rq_resent.get()) > 0, "there were races");
            let errors: u64 = rig.cluster().hosts[0].stats.iter().map(|stats| stats.rq_error.get()).sum();
            assert_eq!(errors, 0, "a lost race is not the host's failure");

            let (seen, lost) = (upstream.counts().requests, *unanswered.lock().unwrap());
            let failed = calls("POST").await;
            let (seen, lost) = (upstream.counts().requests - seen, *unanswered.lock().unwrap() - lost);
            // One whose connection closed while it was written may or may not have been read: the proxy cannot know.
            assert_eq!(
                CALLERS * TIMES - failed,
                seen - lost,
                "what was answered was seen once, and nothing more often"
            );
            assert!(
                failed < CALLERS * TIMES / 3,
                "{failed} failed: those whose connection was known to be dead did not"
            );
        }
    }
}

/// The ejection of the first host.
fn ejection(rig: &Rig) -> Option<EjectionView> {
    rig.cluster().live.ejections().unwrap().hosts.first().and_then(|host| host.ejection)
}

#[tokio::test]
async fn d07_p45_an_ejection_survives_every_push_and_ends_with_its_pod() {
    for workers in WORKERS {
        let bad = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
        let good = Upstream::start(Script::ok("good")).await;
        let mut rig = Rig::start(workers, &[bad.address(), good.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
        });
        while bad.counts().requests == 0 {
            rig.client().await.get("a", "/").await;
        }
        let before = ejection(&rig).map(|ejection| (ejection.since, ejection.due));
        assert!(before.is_some());
        for _ in 0..100 {
            rig.apply(|_| {});
        }
        rig.apply(|draft| {
            draft.cluster.thresholds.default = limits(7, 7, 7);
            draft.cluster.connection.max_requests = NonZeroU32::new(1000);
            draft.cluster.connect_timeout = Duration::from_secs(1);
            draft.cluster.outlier.as_mut().unwrap().consecutive_5xx.threshold = 2;
        });
        let third = Upstream::start(Script::ok("good")).await;
        rig.apply(|draft| draft.hosts(&[bad.address(), good.address(), third.address()]));
        assert_eq!(ejection(&rig).map(|ejection| (ejection.since, ejection.due)), before, "its time runs on");
        for _ in 0..20 {
            assert_eq!(rig.client().await.get("a", "/").await.text(), "good");
        }
        assert_eq!(bad.counts().requests, 1, "still ejected");

        // Another pod on the same address has done nothing wrong.
        bad.follow(Script::ok("good"));
        rig.apply(|draft| draft.cluster.endpoints[0].id = EndpointId::new("another pod", bad.address()));
        assert!(ejection(&rig).is_none());
        for _ in 0..20 {
            assert_eq!(rig.client().await.get("a", "/").await.text(), "good");
        }
        assert!(bad.counts().requests > 1, "it gets its share");
    }
}

#[tokio::test]
async fn p44_a_hundred_ejections_take_the_same_number_of_failures_each() {
    const CYCLES: u64 = 100;
    const FAILURES: u32 = 3;
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let mut policy = touchy();
            policy.consecutive_5xx.threshold = FAILURES;
            policy.interval = Duration::from_millis(1);
            policy.base_ejection_time = Duration::from_millis(1);
            policy.max_ejection_time = Duration::from_millis(1);
            draft.cluster.outlier = Some(policy);
        });
        let ejections = || rig.count(|block| block.outlier.ejections_enforced_total.get());
        let mut clients = Vec::new();
        for _ in 0..FAILURES {
            clients.push(rig.client().await);
        }
        for cycle in 0..CYCLES {
            for (failure, client) in clients.iter_mut().enumerate() {
                assert_eq!(ejections(), cycle, "after {failure} failures of cycle {cycle}");
                assert_eq!(client.get("a", "/").await.status, 500);
            }
            assert_eq!(ejections(), cycle + 1);
            assert!(settle(Duration::from_secs(5), || ejection(&rig).is_none()).await, "it never returned");
        }
        assert_eq!(upstream.counts().requests as u64, CYCLES * u64::from(FAILURES), "one client by client");
    }
}

/// A tunnel through the rig.
async fn tunnel(rig: &Rig) -> Client {
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    client
}

#[tokio::test]
async fn p47_without_a_limit_1500_tunnels_and_requests_do_not_starve_each_other() {
    const TUNNELS: u64 = 1_500;
    // With several workers only: it takes seconds, and one worker has nothing more to starve.
    let upstream = Upstream::start(Script::by(echo_or_answer)).await;
    let rig = Rig::start(WORKERS[1], &[upstream.address()], |_| {});
    let mut tunnels = Vec::new();
    let mut caller = rig.client().await;
    for nth in 0..TUNNELS {
        tunnels.push(tunnel(&rig).await);
        if nth % 50 == 0 {
            assert_eq!(caller.get("a", "/").await.text(), "served", "beside {nth} tunnels");
        }
    }
    assert_eq!(rig.numbers().get("http.downstream_cx_upgrades_active"), TUNNELS);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        callers.spawn(call(rig.client().await, "GET", 25));
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<usize>(), 0, "requests that failed");
    for tunnel in &mut tunnels {
        tunnel.send("alive?").await;
    }
    for tunnel in &mut tunnels {
        assert_eq!(tunnel.received(6).await.unwrap(), b"alive?");
    }
    assert!(rig.refusals().is_empty(), "no limit, no refusal");
    drop((tunnels, caller));
    rig.until_at_rest().await;
}

#[tokio::test]
async fn p47_a_tunnel_counts_in_max_connections_for_its_whole_life_and_gives_its_place_back() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::by(echo_or_answer)).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(3, 1, u32::MAX);
        });
        let open = || rig.cluster().live.limits(Priority::Default).view().connections;
        let (first, mut second) = (tunnel(&rig).await, tunnel(&rig).await);
        let mut caller = rig.client().await;
        assert_eq!(caller.get("a", "/").await.text(), "served", "one place is left for requests");
        let third = tunnel(&rig).await;
        assert_eq!(open(), 3, "the idle connection made room");
        let mut late = rig.client().await;
        late.send(UPGRADE).await;
        assert_eq!(late.response().await.field("x-fuseboard-refused"), Some("limit.connections"));
        caller.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until_pending(1).await;
        second.send("alive?").await;
        assert_eq!(second.received(6).await.unwrap(), b"alive?");
        first.close();
        assert_eq!(caller.response().await.text(), "served", "in the place of a tunnel that ended");
        drop((second, third));
        assert!(settle(Duration::from_secs(5), || open() == 1).await, "the connection of the requests");
        let again = [tunnel(&rig).await, tunnel(&rig).await, tunnel(&rig).await];
        assert_eq!((open(), upstream.counts().open_peak), (3, 3));
        drop(again);
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn p54_edits_of_limits_cut_no_connection_and_hold_at_once() {
    const TUNNELS: u32 = 48;
    const EDITS: u32 = 300;
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::upgrade_and_echo("websocket"))).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(TUNNELS, 4, u32::MAX);
        });
        let mut tunnels = Vec::new();
        for _ in 0..TUNNELS {
            tunnels.push(tunnel(&rig).await);
        }
        for edit in 0..EDITS {
            let connections = if edit % 50 == 49 { u32::MAX } else { 1 + edit % (2 * TUNNELS) };
            rig.apply(|draft| {
                draft.cluster.thresholds.default = limits(connections, 1 + edit % 7, 1000 + edit);
                draft.cluster.connect_timeout = Duration::from_secs(u64::from(1 + edit % 5));
                draft.route.timeout = Some(Duration::from_secs(u64::from(30 + edit % 5)));
            });
            if edit % 10 == 0 {
                let mut newcomer = rig.client().await;
                newcomer.send(UPGRADE).await;
                let expected = if connections > TUNNELS { 101 } else { 503 };
                assert_eq!(
                    newcomer.head().await.unwrap().status,
                    expected,
                    "{connections} connections allowed"
                );
                drop(newcomer);
                let open = || rig.cluster().live.limits(Priority::Default).view().connections;
                assert!(settle(Duration::from_secs(5), || open() == TUNNELS).await);
            }
        }
        for tunnel in &mut tunnels {
            tunnel.send("alive?").await;
            assert_eq!(tunnel.received(6).await.unwrap(), b"alive?");
        }
    }
}
