//! A new snapshot under running traffic: limits and hosts change in place, what runs is finished, nothing is cut.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::retry::RetryOn;
use fuseboard_snapshot::Availability;
use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Response, Script, Upstream, settle};

use crate::rig::judge::held;
use crate::rig::{Rig, WORKERS, limits};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client whose request is the `nth` under way.
async fn one_more(rig: &Rig, upstream: &Upstream, nth: usize) -> Client {
    let mut client = rig.client().await;
    client.send(GET).await;
    upstream.until(|counts| counts.in_flight == nth).await;
    client
}

/// Clients with a request each under way.
async fn busy(rig: &Rig, upstream: &Upstream, many: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for nth in 1..=many {
        clients.push(one_more(rig, upstream, nth).await);
    }
    clients
}

async fn all_answered(clients: &mut [Client]) {
    for client in clients {
        assert_eq!(client.response().await.status, 200);
    }
}

#[tokio::test]
async fn a_raised_limit_lets_those_in_who_wait() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 4, u32::MAX);
        });
        let mut clients = busy(&rig, &upstream, 1).await;
        for pending in 1..=4 {
            let mut client = rig.client().await;
            client.send(GET).await;
            rig.until_pending(pending).await;
            clients.push(client);
        }
        rig.apply(|draft| draft.cluster.thresholds.default = limits(3, 4, u32::MAX));
        upstream.until(|counts| counts.in_flight == 3).await;
        rig.until_pending(2).await;
        rig.apply(|draft| draft.cluster.thresholds.default = limits(u32::MAX, u32::MAX, u32::MAX));
        upstream.until(|counts| counts.in_flight == 5).await;
        gate.open();
        all_answered(&mut clients).await;
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_lowered_limit_cuts_nothing_closes_what_is_idle_above_it_and_holds_from_then_on() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(8, 8, u32::MAX);
        });
        let mut clients = busy(&rig, &upstream, 4).await;
        rig.apply(|draft| draft.cluster.thresholds.default = limits(2, 1, u32::MAX));
        let mut waiting = rig.client().await;
        waiting.send(GET).await;
        rig.until_pending(1).await;
        let refused = rig.client().await.get("a", "/").await;
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        assert_eq!(upstream.counts().in_flight, 4, "nothing that runs is cut");
        gate.open();
        all_answered(&mut clients).await;
        assert_eq!(waiting.response().await.status, 200);
        upstream.until(|counts| counts.open <= 2).await;

        rig.apply(|draft| draft.cluster.thresholds.default = limits(1, 1, u32::MAX));
        upstream.until(|counts| counts.open <= 1).await;
        assert_eq!(upstream.counts().open_peak, 4);
        assert_eq!(rig.client().await.get("a", "/").await.status, 200);
    }
}

#[tokio::test]
async fn an_unlimited_cluster_that_gets_a_limit_keeps_it_with_what_runs_already() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut clients = busy(&rig, &upstream, 3).await;
        rig.apply(|draft| draft.cluster.thresholds.default = limits(4, 0, u32::MAX));
        clients.push(one_more(&rig, &upstream, 4).await);
        let refused = rig.client().await.get("a", "/").await;
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        gate.open();
        all_answered(&mut clients).await;
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_cluster_that_goes_finishes_what_it_runs_refuses_who_waits_and_closes_its_connections() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let gone = rig.cluster();
        let mut running = busy(&rig, &upstream, 1).await;
        let mut waiting = rig.client().await;
        waiting.send(GET).await;
        rig.until_pending(1).await;
        rig.apply(|draft| draft.cluster.name = "successor".into());
        let told = waiting.response().await;
        assert_eq!((told.status, told.text()), (503, "no healthy upstream"));

        // The successor has limits and connections of its own.
        let mut newcomer = one_more(&rig, &upstream, 2).await;
        gate.open();
        all_answered(&mut running).await;
        assert_eq!(newcomer.response().await.status, 200);
        let open = || gone.live.limits(Priority::Default).view().connections;
        assert!(settle(Duration::from_secs(5), || open() == 0).await, "{} stay open", open());
        assert_eq!(running[0].get("a", "/").await.status, 200, "its client goes on, to the successor");
    }
}

/// The rule asks for TLS, which is not there yet.
fn withhold(rig: &mut Rig) {
    rig.apply(|draft| draft.cluster.availability = Availability::Withheld(RefusalReason::TlsUnsupported));
}

fn assert_withheld(answer: &Response) {
    assert_eq!((answer.status, answer.text()), (503, "the upstream's kind of TLS is not supported yet"));
    assert_eq!(answer.field("x-fuseboard-refused"), Some("tls.unsupported"));
}

#[tokio::test]
async fn who_waits_while_the_rule_begins_to_ask_for_tls_is_refused_at_once_and_sent_nowhere() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let mut running = busy(&rig, &upstream, 1).await;
        let mut waiting = rig.client().await;
        waiting.send(GET).await;
        rig.until_pending(1).await;
        withhold(&mut rig);
        assert_withheld(&waiting.response().await);
        assert_eq!(rig.refused(RefusalReason::TlsUnsupported), 1);
        gate.open();
        all_answered(&mut running).await;
        assert_withheld(&waiting.get("a", "/").await);
        assert_eq!(upstream.counts().requests, 1, "nothing more is sent in plain text");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_try_that_ends_after_the_rule_began_to_ask_for_tls_is_not_made_again() {
    for workers in WORKERS {
        for what in ["answered", "closed"] {
            let gate = Gate::new();
            let upstream = Upstream::start(Script::ok("")).await;
            let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
                draft.retries().retry_on = RetryOn::FIVE_XX;
            });
            let mut client = rig.client().await;
            assert_eq!(client.get("a", "/").await.status, 200);
            let behaviour = match what {
                "answered" => Behaviour::answer(&Reply::status(503)),
                _ => Behaviour::close(),
            };
            upstream.follow(Script::always(behaviour.after(&gate)));
            client.send(GET).await;
            upstream.until(|counts| counts.in_flight == 1).await;
            withhold(&mut rig);
            gate.open();
            assert_withheld(&client.response().await);
            assert_eq!(upstream.counts().requests, 2, "{what}: not sent once more");
            rig.until_closed().await;
        }
    }
}

#[tokio::test]
async fn a_host_that_goes_finishes_what_it_runs_and_is_asked_no_more() {
    for workers in WORKERS {
        let (gate, leaving) = held().await;
        let staying = Upstream::start(Script::ok("stays")).await;
        let mut rig = Rig::start(workers, &[leaving.address()], |_| {});
        let mut running = busy(&rig, &leaving, 2).await;
        rig.apply(|draft| draft.hosts(&[staying.address()]));
        for _ in 0..8 {
            assert_eq!(rig.client().await.get("a", "/").await.text(), "stays");
        }
        gate.open();
        all_answered(&mut running).await;
        leaving.until(|counts| counts.open == 0).await;
        assert_eq!(leaving.counts().requests, 2);
        assert_eq!(running[0].get("a", "/").await.text(), "stays", "its clients go on");
    }
}

#[tokio::test]
async fn a_new_route_holds_from_the_next_request_on_the_same_connection() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let mut rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut running = busy(&rig, &upstream, 1).await;
        rig.apply(|draft| draft.route.timeout = Some(Duration::from_millis(50)));
        let timed_out = rig.client().await.get("a", "/").await;
        assert_eq!(timed_out.status, 504);
        gate.pass(1);
        all_answered(&mut running).await;
        assert_eq!(running[0].get("a", "/").await.status, 504, "no timer then, one now");
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_bound_changes_nothing() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("as before")).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |_| {});
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut draft = rig.draft.clone();
        draft.listener.address = taken.local_addr().unwrap();
        draft.hosts(&[]);
        let generation = rig.proxy.live().generation;
        let error = rig.proxy.apply(&Arc::new(draft.snapshot(7))).unwrap_err();
        assert!(error.to_string().contains("cannot listen on"), "{error}");
        assert_eq!(rig.proxy.live().generation, generation);
        assert_eq!(rig.client().await.get("a", "/").await.text(), "as before");
        rig.apply(|_| {});
        assert_eq!(rig.client().await.get("a", "/").await.text(), "as before");
    }
}
