//! TLS towards hosts: what is sent and checked, how limits hold while hands are shaken, which connections may be used again.
//! Who fails is in `tls_failures`.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_snapshot::ClientPolicy;
use fuseboard_testkit::tls::{Authority, Front, client};
use fuseboard_testkit::{
    Behaviour, Client, Gate, OnAccept, Reply, Script, UnansweringPort, Upstream, settle,
};
use fuseboard_tls::Names;

use crate::rig::{Draft, Rig, WORKERS, limits};

/// An upstream behind TLS for these names, and whoever trusts it.
struct Scene {
    authority: Authority,
    upstream: Upstream,
    front: Front,
}

impl Scene {
    async fn new(names: &[&str]) -> Self {
        let authority = Authority::new("theirs");
        let upstream = Upstream::start(Script::ok("served")).await;
        let front = Front::start(authority.issue(names).server(), upstream.address()).await;
        Self { authority, upstream, front }
    }

    /// A rig whose connections are secured so.
    fn rig(&self, workers: usize, policy: ClientPolicy, change: impl FnOnce(&mut Draft)) -> Rig {
        Rig::start(workers, &[self.front.address()], |draft| {
            draft.cluster.tls = Some(Arc::new(policy));
            change(draft);
        })
    }
}

#[tokio::test]
async fn requests_go_out_encrypted_to_whom_they_name_and_the_connection_is_kept() {
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        let rig = scene.rig(workers, client(&scene.authority), |_| {});
        for _ in 0..5 {
            let mut client = rig.client().await;
            let answer = client.get("A.test:8443", "/").await;
            assert_eq!((answer.status, answer.text()), (200, "served"));
        }
        let seen = scene.front.seen();
        assert!(seen.len() <= workers, "{seen:?}");
        assert_eq!(seen[0].server_name.as_deref(), Some("a.test"));
        assert_eq!(seen[0].protocol.as_deref(), Some("http/1.1"));
        let handshakes = rig.count(|block| block.ssl().handshake.get());
        assert_eq!(handshakes, seen.len() as u64);
        assert_eq!(rig.numbers().get("ssl.versions.TLSv1.3"), handshakes);
    }
}

#[tokio::test]
async fn names_are_taken_from_the_rule_where_it_has_some() {
    let cases: [(&[&str], Option<&str>, Names, u16); 9] = [
        (&["b.test"], Some("b.test"), Names::Requested, 200),
        (&["a.test"], Some("b.test"), Names::Requested, 503),
        (&["c.test"], Some("b.test"), Names::OneOf(Arc::new(["x".into(), "c.test".into()])), 200),
        (&["*.c.test"], Some("b.test"), Names::OneOf(Arc::new(["d.c.test".into()])), 200),
        (&["spiffe://td/ns/x/sa/y"], None, Names::OneOf(Arc::new(["spiffe://td/ns/x/sa/y".into()])), 200),
        (&["spiffe://td/ns/x/sa/y"], None, Names::OneOf(Arc::new(["spiffe://td/ns/x/sa".into()])), 503),
        (&["10.0.0.1"], None, Names::OneOf(Arc::new(["10.0.0.1".into()])), 200),
        (&["a.test"], None, Names::OneOf(Arc::new(["b.test".into()])), 503),
        (&["z.test"], None, Names::Any, 200),
    ];
    for (names, sni, wanted, status) in cases {
        let scene = Scene::new(names).await;
        let policy =
            ClientPolicy { sni: sni.map(Into::into), names: wanted.clone(), ..client(&scene.authority) };
        let rig = scene.rig(1, policy, |draft| draft.route.retry = None);
        let answer = rig.client().await.get("a.test", "/").await;
        assert_eq!(answer.status, status, "{names:?} {sni:?} {wanted:?}");
        if status == 200 {
            assert_eq!(scene.front.seen()[0].server_name.as_deref(), Some(sni.unwrap_or("a.test")));
        }
    }
}

#[tokio::test]
async fn an_address_is_checked_and_not_sent() {
    let scene = Scene::new(&["127.0.0.1"]).await;
    let rig = scene.rig(1, client(&scene.authority), |_| {});
    assert_eq!(rig.client().await.get("127.0.0.1:80", "/").await.status, 200);
    assert_eq!(scene.front.seen()[0].server_name, None);
}

#[tokio::test]
async fn a_connection_for_one_name_is_not_used_for_another() {
    for workers in WORKERS {
        let scene = Scene::new(&["a.test", "b.test"]).await;
        let rig = scene.rig(workers, client(&scene.authority), |draft| {
            draft.cluster.thresholds.default = limits(1, 10, 100);
        });
        for name in ["a.test", "a.test", "b.test", "a.test"] {
            assert_eq!(rig.client().await.get(name, "/").await.status, 200);
        }
        let names: Vec<_> = scene.front.seen().into_iter().filter_map(|seen| seen.server_name).collect();
        assert_eq!(names, ["a.test", "b.test", "a.test"]);
    }
}

#[tokio::test]
async fn limits_hold_while_hands_are_shaken() {
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        let rig = scene.rig(workers, client(&scene.authority), |draft| {
            draft.cluster.thresholds.default = limits(3, 1000, 1000);
        });
        let clients = (0..30).map(|_| async {
            let mut client = rig.client().await;
            for _ in 0..4 {
                assert_eq!(client.get("a.test", "/").await.status, 200);
            }
        });
        futures(clients).await;
        assert!(scene.front.peak() <= 3, "{} connections at once", scene.front.peak());
        assert_eq!(scene.upstream.counts().requests, 120);
        rig.until_idle().await;
    }
}

/// All of them, on this thread.
async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_handshake_holds_its_connection_and_its_time_is_the_connects() {
    for workers in WORKERS {
        // It takes the connection and says nothing.
        let silent = Upstream::start_with(OnAccept::Silence, Script::ok("")).await;
        let authority = Authority::new("nobody");
        let rig = Rig::start(workers, &[silent.address()], |draft| {
            draft.cluster.tls = Some(Arc::new(client(&authority)));
            draft.cluster.thresholds.default = limits(1, 0, 100);
            draft.cluster.connect_timeout = Duration::from_millis(300);
            draft.route.retry = None;
        });
        let mut first = rig.client().await;
        first.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        silent.until(|counts| counts.open == 1).await;
        let refused = rig.client().await.get("a.test", "/").await;
        assert_eq!(refused.field("x-fuseboard-refused"), Some("limit.queue_full"));
        let late = first.response().await;
        assert_eq!(late.status, 503);
        assert!(late.text().ends_with("reset reason: connection timeout"), "{}", late.text());
        assert_eq!(rig.count(|block| block.stats.upstream_cx_connect_timeout.get()), 1);
        silent.until(|counts| counts.open == 0 && counts.accepted == 1).await;
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn a_connect_that_hangs_is_given_up_with_tls_too() {
    let port = UnansweringPort::bind().await;
    let authority = Authority::new("nobody");
    let rig = Rig::start(1, &[port.address()], |draft| {
        draft.cluster.tls = Some(Arc::new(client(&authority)));
        draft.cluster.connect_timeout = Duration::from_millis(50);
        draft.route.retry = None;
    });
    assert_eq!(rig.client().await.get("a.test", "/").await.status, 503);
}

#[tokio::test]
async fn d18_a_connection_that_its_host_has_ended_is_not_used_even_for_a_post() {
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        let ends = Behaviour::answer(&Reply::ok("bye")).then_close();
        scene.upstream.follow(Script::always(ends));
        let rig = scene.rig(workers, client(&scene.authority), |_| {});
        for number in 1..=10 {
            let mut client = rig.client().await;
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi").await;
            assert_eq!(client.response().await.status, 200, "request {number}");
            let ended = || scene.upstream.counts().open == 0;
            assert!(settle(Duration::from_secs(5), ended).await);
        }
        assert_eq!(scene.upstream.counts().requests, 10, "none was sent twice");
    }
}

#[tokio::test]
async fn an_idle_connection_that_got_tickets_is_still_good() {
    // A server of TLS 1.3 sends them behind the handshake: something to read, and no reason to close.
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        let rig = scene.rig(workers, client(&scene.authority), |draft| {
            draft.cluster.thresholds.default = limits(1, 10, 100);
        });
        for _ in 0..6 {
            let mut client = rig.client().await;
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(client.response().await.status, 200);
        }
        assert_eq!(scene.front.seen().len(), 1, "one connection, whichever worker asked");
        assert_eq!(rig.cluster().live.limits(Priority::Default).view().connections, 1);
    }
}

#[tokio::test]
async fn a_session_is_taken_up_again() {
    let scene = Scene::new(&["a.test"]).await;
    let rig = scene.rig(1, client(&scene.authority), |draft| {
        draft.cluster.connection.max_requests = std::num::NonZeroU32::new(1);
    });
    for _ in 0..6 {
        assert_eq!(rig.client().await.get("a.test", "/").await.status, 200);
    }
    assert_eq!(scene.front.seen().len(), 6);
    assert!(rig.numbers().get("ssl.session_reused") >= 4);
    assert_eq!(rig.numbers().get("upstream_cx_max_requests"), 6);
}

#[tokio::test]
async fn large_bodies_pass_both_ways_whole() {
    const SIZE: usize = 3 << 20;
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        scene.upstream.follow(Script::always(Behaviour::answer(&Reply::ok(vec![b'y'; SIZE]))));
        let rig = scene.rig(workers, client(&scene.authority), |_| {});
        let mut client = rig.client().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {SIZE}\r\n\r\n")).await;
        client.send(vec![b'x'; SIZE]).await;
        let answer = client.response().await;
        assert!(answer.body == vec![b'y'; SIZE], "{} bytes came back", answer.body.len());
        let seen = scene.upstream.requests();
        assert!(seen[0].body == vec![b'x'; SIZE], "{} bytes went there", seen[0].body.len());
    }
}

#[tokio::test]
async fn once_tls_is_asked_for_no_plain_connection_is_used_any_more() {
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        let plain = Upstream::start(Script::ok("in the clear")).await;
        let mut rig = Rig::start(workers, &[plain.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 10, 100);
            draft.cluster.connect_timeout = Duration::from_millis(300);
            draft.route.retry = None;
        });
        let gate = Gate::new();
        plain.follow(Script::always(Behaviour::answer(&Reply::ok("in the clear")).after(&gate)));
        let mut busy = rig.client().await;
        busy.send("GET /before HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        plain.until(|counts| counts.in_flight == 1).await;
        let mut waiting = rig.client().await;
        waiting.send("GET /after HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        rig.until_pending(1).await;
        rig.apply(|draft| draft.cluster.tls = Some(Arc::new(client(&scene.authority))));
        gate.open();
        assert_eq!(busy.response().await.text(), "in the clear", "what began is not broken off");
        let refused = waiting.response().await;
        assert_eq!(refused.status, 503, "the host speaks no TLS");
        assert_eq!(plain.requests().len(), 1, "nothing more was sent in plain text");
    }
}

#[tokio::test]
async fn a_new_certificate_of_ours_loses_no_request() {
    for workers in WORKERS {
        let scene = Scene::new(&["a.test"]).await;
        let mut rig = scene.rig(workers, client(&scene.authority), |_| {});
        let mut client = rig.client().await;
        for number in 0..6 {
            assert_eq!(client.get("a.test", "/").await.status, 200);
            let pair = scene.authority.issue_with(&["me"], fuseboard_testkit::tls::Validity::Now, number);
            let policy = ClientPolicy {
                credential: Some(pair.credential()),
                ..fuseboard_testkit::tls::client(&scene.authority)
            };
            rig.apply(|draft| draft.cluster.tls = Some(Arc::new(policy)));
        }
        assert_eq!(scene.upstream.counts().requests, 6);
    }
}

#[tokio::test]
async fn d42_an_answer_without_length_that_is_cut_off_is_not_taken_for_whole() {
    for workers in WORKERS {
        let authority = Authority::new("theirs");
        let pair = authority.issue(&["a.test"]);
        let cut = crate::tls_failures::cutting_server(&pair).await;
        let rig = Rig::start(workers, &[cut], |draft| {
            draft.cluster.tls = Some(Arc::new(client(&authority)));
            draft.route.retry = None;
        });
        let mut client: Client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let failure = client.try_response().await;
        assert!(failure.is_err(), "{failure:?}");
    }
}

#[tokio::test]
async fn bursts_through_tls_are_all_answered() {
    let scene = Scene::new(&["a.test"]).await;
    let rig = scene.rig(4, client(&scene.authority), |draft| {
        draft.cluster.thresholds.default = limits(4, 2000, 2000);
    });
    let clients = (0..50).map(|_| async {
        let mut client = rig.client().await;
        for _ in 0..10 {
            assert_eq!(client.get("a.test", "/").await.status, 200);
        }
    });
    futures(clients).await;
    assert!(scene.front.peak() <= 4);
}
