//! Differences from Envoy that show only where sockets are: each test is named after its row in `docs/differences.md`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fuseboard_core::balance::NoneHealthy;
use fuseboard_proxy::stats::HostStats;
use fuseboard_proxy::{ProxyOptions, StartError};
use fuseboard_testkit::{Behaviour, Gate, Reply, Script, UnansweringPort, Upstream, settle};

use crate::rig::{Rig, WORKERS, limits, options, touchy};

#[tokio::test]
async fn d29_a_client_that_takes_nothing_of_its_answer_gives_its_place_back_in_time() {
    const SHORT: Duration = Duration::from_millis(50);
    for workers in WORKERS {
        let gate = Gate::new();
        let quiet = gate.clone();
        let upstream = Upstream::start(Script::by(move |request| match request.target.as_str() {
            // More than the system takes for a client that does not read.
            "/large" => Behaviour::answer(&Reply::ok(vec![b'x'; 32 << 20])),
            _ => Behaviour::body_after(&quiet, &Reply::ok("late")),
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.listener.http.stream_idle_timeout = SHORT;
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let mut deaf = rig.client().await;
        deaf.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.requests == 1).await;
        let mut waiting = rig.client().await;
        waiting.send("GET /quiet HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut answer = waiting.head().await.unwrap();
        assert_eq!(answer.status, 200, "in the place of the one that took nothing");
        deaf.try_response().await.unwrap_err();

        // Only clients are timed: an upstream may be quiet for as long as its route allows.
        assert!(!settle(4 * SHORT, || rig.numbers().get("upstream_rq_active") == 0).await);
        gate.open();
        waiting.body(&mut answer).await.unwrap();
        assert_eq!(answer.text(), "late");
        rig.until_idle().await;
        let host = &rig.cluster().hosts[0];
        let heard = |of: fn(&HostStats) -> u64| host.stats.iter().map(of).sum::<u64>();
        assert_eq!((heard(|s| s.rq_success.get()), heard(|s| s.rq_error.get())), (2, 0), "one outcome each");
        assert_eq!(rig.numbers().get("http.downstream_rq_idle_timeout"), 1);
    }
}

#[tokio::test]
async fn d06_an_ejected_host_gets_no_request_from_any_worker_from_the_next_one_on() {
    for workers in WORKERS {
        let bad = Upstream::start(Script::ok("fine")).await;
        let good = Upstream::start(Script::ok("fine")).await;
        let rig = Rig::start(workers, &[bad.address(), good.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
        });
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut client = rig.client().await;
            for _ in 0..2 {
                assert_eq!(client.get("a", "/").await.status, 200);
            }
            clients.push(client);
        }
        assert!(bad.counts().requests > 0 && good.counts().requests > 0, "both are in use");
        bad.follow(Script::always(Behaviour::answer(&Reply::status(500))));
        let mut failures = 0;
        for _ in 0..4 {
            for client in &mut clients {
                failures += usize::from(client.get("a", "/").await.status == 500);
            }
        }
        assert_eq!(failures, 1, "the one that ejected it");
        bad.until(|counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn d06_what_an_ejected_host_has_begun_it_may_finish() {
    for workers in WORKERS {
        let (gate, upstream) = crate::rig::judge::held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| draft.cluster.outlier = Some(touchy()));
        let mut running = rig.client().await;
        running.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        upstream.follow(Script::always(Behaviour::answer(&Reply::status(500))));
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        let refused = rig.client().await.get("a", "/").await;
        assert_eq!((refused.status, refused.field("x-fuseboard-refused")), (503, Some("no_healthy")));
        gate.open();
        assert_eq!(running.response().await.text(), "held");
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn in_panic_an_ejected_host_is_better_than_none() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
            draft.cluster.panic_threshold = 50;
        });
        for _ in 0..3 {
            assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        }
        assert_eq!(rig.cluster().live.ejections().unwrap().ejected, 1);
        assert_eq!(rig.count(|block| block.stats.lb_healthy_panic.get()), 2);
        assert_eq!(rig.refusals().len(), 0);
    }
}

#[tokio::test]
async fn in_panic_a_connection_to_an_ejected_host_is_used_again() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::in_order([
            Behaviour::answer(&Reply::status(500)),
            Behaviour::answer(&Reply::ok("better")),
        ]))
        .await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
            draft.cluster.none_healthy = NoneHealthy::Spread;
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.status, 500);
        upstream.until(|counts| counts.open == 0).await;
        for _ in 0..3 {
            assert_eq!(client.get("a", "/").await.text(), "better");
        }
        assert_eq!(upstream.counts().accepted, 2, "the first went with the ejection");
        // No longer asked, it is closed like any other that nobody uses.
        rig.apply(|draft| draft.cluster.connection.idle_timeout = Some(Duration::from_millis(1)));
        upstream.until(|counts| counts.open == 0).await;
    }
}

/// All ejected, and half of them under a percentage that is above a half: the answer, who was contacted, what was counted.
#[tokio::test]
async fn p10_while_nobody_is_healthy_the_policy_says_what_happens() {
    for workers in WORKERS {
        for (answer, percent, spreads) in [
            (NoneHealthy::ByThreshold, 0, false),
            (NoneHealthy::ByThreshold, 100, true),
            (NoneHealthy::Refuse, 0, false),
            (NoneHealthy::Refuse, 100, false),
            (NoneHealthy::Spread, 0, true),
            (NoneHealthy::Spread, 100, true),
        ] {
            let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
            let rig = Rig::start(workers, &[upstream.address()], |draft| {
                draft.cluster.outlier = Some(touchy());
                draft.cluster.panic_threshold = percent;
                draft.cluster.none_healthy = answer;
            });
            let mut client = rig.client().await;
            assert_eq!(client.get("a", "/").await.status, 500);
            assert_eq!(rig.cluster().live.ejections().unwrap().ejected, 1);
            let response = client.get("a", "/").await;
            let what = format!("{answer:?}, {percent} %, {workers} workers");
            let seen = (response.status, response.field("x-fuseboard-refused"), upstream.counts().requests);
            let expected = if spreads { (500, None, 2) } else { (503, Some("no_healthy"), 1) };
            assert_eq!(seen, expected, "{what}");
            assert_eq!(rig.count(|block| block.stats.lb_healthy_panic.get()), u64::from(spreads), "{what}");
            assert_eq!(rig.count(|block| block.stats.upstream_cx_none_healthy.get()), u64::from(!spreads));
        }
    }
}

/// Envoy's `fail_traffic_on_panic`: a healthy host gets nothing either while fewer than the percentage are.
#[tokio::test]
async fn refuse_spares_the_last_healthy_hosts_below_the_percentage() {
    for workers in WORKERS {
        let failing = Upstream::start(Script::always(Behaviour::answer(&Reply::status(500)))).await;
        let good = Upstream::start(Script::ok("good")).await;
        let mut rig = Rig::start(workers, &[failing.address(), good.address()], |draft| {
            draft.cluster.outlier = Some(touchy());
            draft.cluster.panic_threshold = 60;
            draft.cluster.none_healthy = NoneHealthy::Refuse;
        });
        let mut client = rig.client().await;
        while rig.cluster().live.ejections().unwrap().ejected == 0 {
            client.get("a", "/").await;
        }
        let before = good.counts().requests;
        assert_eq!(client.get("a", "/").await.field("x-fuseboard-refused"), Some("no_healthy"));
        assert_eq!(good.counts().requests, before);
        rig.apply(|draft| draft.cluster.none_healthy = NoneHealthy::Spread);
        assert_ne!(client.get("a", "/").await.status, 503);
    }
}

#[tokio::test]
async fn d16_a_failed_connect_fails_nobody_who_waits() {
    let silent = UnansweringPort::bind().await;
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("fine")).await;
        let rig = Rig::start(workers, &[silent.address(), upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 16, u32::MAX);
            draft.cluster.connect_timeout = std::time::Duration::from_millis(30);
        });
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            clients.push(client);
        }
        let mut failed = 0;
        for client in &mut clients {
            failed += u64::from(client.response().await.status == 503);
        }
        // Who chose the silent host failed, one by one; those behind them in the queue chose for themselves.
        assert!((1..8).contains(&failed), "{failed} of 8");
        assert_eq!(rig.count(|block| block.stats.upstream_cx_connect_timeout.get()), failed);
        assert_eq!(rig.count(|block| block.stats.upstream_rq_pending_failure_eject.get()), failed);
        assert_eq!(upstream.counts().requests as u64, 8 - failed);
        assert_eq!(rig.refusals().len(), 0);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn d42_an_answer_without_length_that_is_reset_is_not_taken_for_whole() {
    for workers in WORKERS {
        let gate = Gate::new();
        let reset = Behaviour::reset_in_body(&gate, &Reply::ok("half").until_close(), 2);
        let upstream = Upstream::start(Script::always(reset)).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut answer = client.head().await.unwrap();
        gate.open();
        client.body(&mut answer).await.unwrap_err();
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn d60_a_connection_that_nobody_waits_for_any_more_gives_its_place_back() {
    let silent = UnansweringPort::bind().await;
    for workers in WORKERS {
        let rig = Rig::start(workers, &[silent.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
            draft.cluster.connect_timeout = Duration::from_secs(60);
            draft.route.timeout = Some(Duration::from_millis(30));
        });
        for given_up in 1..=3 {
            let response = rig.client().await.get("a", "/").await;
            assert_eq!(response.status, 504, "not 503: the one before has left the only place");
            let numbers = rig.numbers();
            assert_eq!(numbers.get("upstream_cx_active"), 0);
            assert_eq!(numbers.get("upstream_rq_cancelled"), given_up);
        }
    }
}

#[tokio::test]
async fn d61_of_a_body_that_is_broken_from_the_beginning_no_host_hears() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
        assert_eq!(client.response().await.status, 400);
        assert_eq!((upstream.counts().accepted, rig.numbers().get("upstream_cx_total")), (0, 0));
    }
}

/// Answers once on each connection, and does `then` with every later request on it.
fn once(then: Behaviour) -> Script {
    let last = AtomicUsize::new(0);
    Script::by(move |request| {
        let reused = last.swap(request.connection, Ordering::SeqCst) == request.connection;
        if reused { then.clone() } else { Behaviour::answer(&Reply::ok("fresh")) }
    })
}

#[tokio::test]
async fn d18_an_idempotent_request_is_sent_once_more_when_a_reused_connection_turns_out_dead() {
    for workers in WORKERS {
        for dead in [Behaviour::close(), Behaviour::reset(), Behaviour::close_early()] {
            let upstream = Upstream::start(once(dead)).await;
            let rig = Rig::start(workers, &[upstream.address()], |draft| {
                draft.cluster.outlier = Some(touchy());
            });
            let mut client = rig.client().await;
            assert_eq!(client.get("a", "/").await.text(), "fresh");
            for (resent, method) in (0..).zip(["GET", "PUT", "DELETE", "OPTIONS", "TRACE"]) {
                assert_eq!(rig.count(|block| block.own.upstream_rq_resent.get()), resent);
                let body = if method == "PUT" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
                client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{body}")).await;
                assert_eq!(client.response().await.status, 200, "{method}");
            }
            let put = upstream.requests().into_iter().rfind(|request| request.method == "PUT").unwrap();
            assert_eq!((put.body.as_slice(), put.field("x-envoy-attempt-count")), (&b"body"[..], Some("2")));
            for zero in [
                rig.count(|block| block.stats.upstream_rq_retry.get()),
                rig.count(|block| block.stats.upstream_cx_destroy_remote_with_active_rq.get()),
                rig.cluster().hosts[0].stats.iter().map(|stats| stats.rq_error.get()).sum(),
                u64::from(rig.cluster().live.ejections().unwrap().ejected),
            ] {
                assert_eq!(zero, 0, "neither a retry, nor an error, nor the host's fault");
            }
            rig.until_idle().await;
        }
    }
}

#[tokio::test]
async fn d18_what_is_sent_once_more_goes_out_on_a_new_connection() {
    for workers in WORKERS {
        let gate = fuseboard_testkit::Gate::new();
        let held = Behaviour::answer(&Reply::ok("held")).after(&gate);
        let upstream = Upstream::start(Script::always(held)).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            // Connections of all workers are within reach.
            draft.cluster.thresholds.default = limits(8, 8, u32::MAX);
        });
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            clients.push(client);
        }
        upstream.until(|counts| counts.in_flight == 4).await;
        gate.open();
        for client in &mut clients {
            client.response().await;
        }
        // Four idle connections, each of which dies of its next request.
        upstream.follow(Script::by(|request| match request.connection {
            1..=4 => Behaviour::close(),
            _ => Behaviour::answer(&Reply::ok("fresh")),
        }));
        assert_eq!(rig.client().await.get("a", "/").await.text(), "fresh");
        assert_eq!(rig.count(|block| block.own.upstream_rq_resent.get()), 1);
    }
}

#[tokio::test]
async fn d18_a_request_that_writes_is_never_sent_twice() {
    for workers in WORKERS {
        let upstream = Upstream::start(once(Behaviour::close())).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        client.send(post).await;
        assert_eq!(client.response().await.text(), "fresh");
        client.send(post).await;
        assert_eq!(client.response().await.status, 503, "one honest error");
        assert_eq!(upstream.counts().requests, 2, "sent once, seen once");
        assert_eq!(rig.count(|block| block.own.upstream_rq_resent.get()), 0);

        // Found closed before a byte was written: that is safe.
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("last")).then_close()));
        for _ in 0..3 {
            client.send(post).await;
            assert_eq!(client.response().await.text(), "last");
            upstream.until(|counts| counts.open == 0).await;
        }
    }
}

#[tokio::test]
async fn d18_once_is_enough_and_what_began_to_be_answered_is_not_sent_again() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("warm")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.text(), "warm");
        upstream.follow(Script::always(Behaviour::close()));
        assert_eq!(client.get("a", "/").await.status, 503, "the second connection died too");
        assert_eq!(upstream.counts().requests, 3);

        upstream.follow(Script::ok("warm"));
        assert_eq!(client.get("a", "/").await.text(), "warm");
        upstream.follow(Script::always(Behaviour::raw("HTTP/1.1 2").then_close()));
        assert_eq!(client.get("a", "/").await.status, 502);
        assert_eq!(upstream.counts().requests, 5);
        assert_eq!(rig.count(|block| block.own.upstream_rq_resent.get()), 1);
    }
}

#[tokio::test]
async fn d22_each_connection_goes_to_the_worker_with_the_fewest() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(4, &[upstream.address()], |_| {});
    let requests = || -> Vec<u64> {
        let blocks = rig
            .cluster()
            .live
            .stats
            .iter()
            .map(|block| block.stats.upstream_rq_total.get())
            .collect::<Vec<_>>();
        blocks.into_iter().filter(|requests| *requests > 0).collect()
    };
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.status, 200);
        clients.push(client);
    }
    assert_eq!(requests(), [4, 4, 4, 4]);
    // Only those of one worker stay; the next ones take the places of the others.
    let _stay: Vec<_> = clients.into_iter().step_by(4).collect();
    let four = || rig.numbers().get("listener.downstream_cx_active") == 4;
    assert!(settle(fuseboard_testkit::DEADLINE, four).await);
    let mut clients = Vec::new();
    for _ in 0..12 {
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.status, 200);
        clients.push(client);
    }
    let mut requests = requests();
    requests.sort_unstable();
    assert_eq!(requests, [4, 8, 8, 8]);
}

#[tokio::test]
async fn d22_a_port_in_use_is_noticed_and_says_by_whom_unless_sharing_was_asked_for() {
    let upstream = Upstream::start(Script::ok("")).await;
    for share in [false, true] {
        let with = |workers| ProxyOptions { reuse_port: share, ..options(workers) };
        let rig = Rig::start_with(with(2), &[upstream.address()], |_| {});
        let second =
            Rig::try_start(with(2), &[upstream.address()], |draft| draft.listener.address = rig.address);
        match second {
            Err(StartError::Listen(error)) if !share => {
                let text = error.to_string();
                assert!(
                    text.contains("in use by") && text.contains(&format!("pid {}", std::process::id())),
                    "{text}"
                );
            }
            Err(other) => panic!("{other}"),
            Ok(second) => {
                assert!(share, "nobody asked for sharing");
                assert_eq!(second.client().await.get("a", "/").await.status, 200);
            }
        }
        assert_eq!(rig.client().await.get("a", "/").await.status, 200);
    }
}
