//! Fallbacks through sockets: which cause leads to which step, what stays counted where it failed, and what becomes of bodies,
//! time and clients meanwhile.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::fallback::{
    CachePolicy, FallbackPolicy, Match, StaticAnswer, Step, StepKind, Template, Triggers,
};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::stats::FallbackStepStats;
use fuseboard_snapshot::{ClusterFallback, Provenance};
use fuseboard_testkit::{Behaviour, Client, Gate, RefusingPort, Reply, Response, Script, Upstream, settle};

use crate::breaker::{failing, trips_at_once};
use crate::rig::judge::{JUDGED, Stage};
use crate::rig::{Draft, Rig, WORKERS, limits};

const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) const CACHED: StepKind = StepKind::Cached { max_age: Duration::from_secs(600) };

pub(crate) fn step(kind: StepKind) -> Step {
    Step { matching: Match::default(), on: None, max_concurrent: 100, kind }
}

pub(crate) fn fixed(status: u16, body: &str) -> StepKind {
    StepKind::Static(StaticAnswer {
        status,
        fields: vec![("content-type".into(), Template::parse("text/x-stand-in").unwrap())],
        body: Template::parse(body).unwrap(),
        call: None,
    })
}

pub(crate) fn service(target: usize, timeout: Option<Duration>) -> StepKind {
    StepKind::Service { target, timeout }
}

/// A chain of these steps for every failure of every request.
pub(crate) fn chain(steps: Vec<Step>) -> Arc<ClusterFallback> {
    let cache = CachePolicy {
        max_age: Duration::from_secs(600),
        max_bytes: 1 << 20,
        max_answer_bytes: 64 << 10,
        headers: Vec::new(),
    };
    let cached = steps.iter().any(|step| matches!(step.kind, StepKind::Cached { .. }));
    Arc::new(ClusterFallback {
        policy: FallbackPolicy {
            matching: Match::default(),
            on: Triggers::any(),
            cache: cached.then_some(cache),
            max_concurrent: 100,
            steps,
        },
        rules: Vec::new(),
        provenance: Provenance::default(),
        steps: Vec::new(),
    })
}

pub(crate) fn fallback(response: &Response) -> Option<&str> {
    response.field("x-fuseboard-fallback")
}

/// What steps of a kind counted: attempt, success, failure, refused.
fn counted(rig: &Rig, of: impl Fn(&fuseboard_proxy::stats::FallbackBlock) -> &FallbackStepStats) -> [u64; 4] {
    let count = |which: fn(&FallbackStepStats) -> u64| rig.count(|block| which(of(&block.fallback)));
    [
        count(|step| step.attempt.get()),
        count(|step| step.success.get()),
        count(|step| step.failure.get()),
        count(|step| step.refused.get()),
    ]
}

/// The ways to fail, by the word of their trigger.
const CAUSES: [&str; 7] =
    ["breaker.open", "limit.queue_full", "no_healthy", "timeout", "connect_failure", "reset", "503"];

/// A rig whose next request of `/x` fails so. The first one went well.
struct Failing {
    rig: Rig,
    _upstream: Upstream,
    _busy: Option<Client>,
    _refusing: Option<RefusingPort>,
}

async fn fail_by(workers: usize, cause: &str, change: impl FnOnce(&mut Draft)) -> Failing {
    let upstream = Upstream::start(Script::by(|request| match request.target.as_str() {
        "/busy" => Behaviour::silent(),
        _ => Behaviour::answer(&Reply::ok("good")),
    }))
    .await;
    let mut rig = Rig::start(workers, &[upstream.address()], change);
    assert_eq!(rig.client().await.get("a", "/x").await.text(), "good");
    let (mut busy, mut refusing) = (None, None);
    match cause {
        "breaker.open" => {
            upstream.follow(Script::always(failing()));
            rig.apply(|draft| draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60))));
            rig.client().await.get("a", "/trip").await;
            rig.until_at_rest().await;
        }
        "limit.queue_full" => {
            rig.apply(|draft| draft.cluster.thresholds.default = limits(1, 0, 1));
            let mut client = rig.client().await;
            client.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n").await;
            upstream.until(|counts| counts.in_flight == 1).await;
            busy = Some(client);
        }
        "no_healthy" => rig.apply(|draft| draft.hosts(&[])),
        "timeout" => {
            upstream.follow(Script::always(Behaviour::silent()));
            rig.apply(|draft| draft.route.timeout = Some(Duration::from_millis(30)));
        }
        "connect_failure" => {
            let port = RefusingPort::bind();
            rig.apply(|draft| draft.hosts(&[port.address()]));
            refusing = Some(port);
        }
        "reset" => upstream.follow(Script::always(Behaviour::reset())),
        _ => upstream.follow(Script::always(Behaviour::answer(&Reply::status(503).body("broken")))),
    }
    Failing { rig, _upstream: upstream, _busy: busy, _refusing: refusing }
}

/// P6: whatever kept the answer away, the first step that works gives another one; what failed stays counted where it did.
#[tokio::test]
async fn p06_whatever_fails_the_first_step_that_works_answers() {
    for workers in WORKERS {
        for cause in CAUSES {
            let stand_in = Upstream::start(Script::ok("stood in")).await;
            for kind in ["cached", "service", "static"] {
                let kind_of = |draft: &mut Draft| match kind {
                    "cached" => CACHED,
                    "service" => {
                        let target = draft.other("stand-in", &[stand_in.address()]);
                        service(target, Some(Duration::from_secs(5)))
                    }
                    _ => fixed(200, "${host} ${reason}"),
                };
                let failing = fail_by(workers, cause, |draft| {
                    let step = step(kind_of(draft));
                    draft.cluster.fallback = Some(chain(vec![step]));
                })
                .await;
                let rig = &failing.rig;
                let before = rig.count(|block| block.fallback.chain.answered.get());
                let answer = rig.client().await.get("a", "/x").await;
                let word = if cause == "503" && kind == "never" { "" } else { cause };
                let body = match kind {
                    "cached" => "good".to_owned(),
                    "service" => "stood in".to_owned(),
                    _ => format!("rig {word}"),
                };
                assert_eq!((answer.status, answer.text()), (200, body.as_str()), "{cause} {kind}");
                let said = fallback(&answer).unwrap().to_owned();
                assert!(said.starts_with(kind) && said.contains(&format!("cause={word}")), "{said}");
                assert_eq!(answer.field("age"), (kind == "cached").then_some("0"));
                assert_eq!(answer.field("x-fuseboard-refused"), None);
                // A counter may follow the answer's last byte.
                let answered = || rig.count(|block| block.fallback.chain.answered.get()) == before + 1;
                assert!(settle(PATIENCE, answered).await, "{cause} {kind}");
                if let Some(reason) = RefusalReason::from_token(cause) {
                    assert!(rig.refused(reason) >= 1, "{cause} {kind}");
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_step_that_helps_the_failure_itself_is_answered_and_says_what_was_tried() {
    for workers in WORKERS {
        for cause in CAUSES {
            let failing = fail_by(workers, cause, |draft| {
                let gone = draft.other("gone", &[]);
                let mut never = step(fixed(200, "never"));
                never.on = Some(Triggers::of_word("429").unwrap());
                draft.cluster.fallback =
                    Some(chain(vec![never, step(service(gone, Some(Duration::from_secs(1))))]));
            })
            .await;
            let before = counted(&failing.rig, |block| &block.service);
            let answer = failing.rig.client().await.get("a", "/x").await;
            let status = if cause == "timeout" { 504 } else { 503 };
            assert_eq!(answer.status, status, "{cause}");
            if cause == "503" {
                assert_eq!(answer.text(), "broken", "the upstream's own answer");
            }
            let said = format!("none; cause={cause}; after=\"service:no_healthy\"");
            assert_eq!(fallback(&answer), Some(said.as_str()));
            let refused = RefusalReason::from_token(cause).map(RefusalReason::token);
            assert_eq!(answer.field("x-fuseboard-refused"), refused);
            let after = counted(&failing.rig, |block| &block.service);
            let grew: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
            assert_eq!(grew, [1, 0, 1, 0], "{cause}");
        }
    }
}

/// P6, P58: the original failure is what the primary's statistics, its health, Istio's metrics and the access log count.
#[tokio::test]
async fn p58_a_good_fallback_is_never_a_success_of_its_primary() {
    for workers in WORKERS {
        let primary =
            Upstream::start(Script::always(Behaviour::answer(&Reply::status(503).body("broken")))).await;
        let stand_in = Upstream::start(Script::ok("stood in")).await;
        let stage = Stage::start(workers, &[primary.address()], |draft| {
            let target = draft.other("stand-in", &[stand_in.address()]);
            draft.cluster.fallback = Some(chain(vec![step(service(target, None))]));
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
        });
        let series = stage.rig.series();
        let answer = stage.rig.client().await.get("a", JUDGED).await;
        assert_eq!((answer.status, answer.text()), (200, "stood in"));
        stage.rig.until_at_rest().await;
        let numbers = stage.numbers();
        assert_eq!(
            (numbers.get("upstream_rq_503"), numbers.get("upstream_rq_5xx")),
            (1, 1),
            "the primary's status"
        );
        assert_eq!(numbers.get("http.downstream_rq_2xx"), 1, "the client's");
        let host = &stage.rig.cluster().hosts[0];
        assert_eq!(host.stats.iter().map(|stats| stats.rq_error.get()).sum::<u64>(), 1);
        let ended = stage.rig.series().since(&series);
        let failure = ("503".to_owned(), "-".to_owned(), String::new());
        let success = ("200".to_owned(), "-".to_owned(), String::new());
        assert_eq!(ended, [(failure, 1), (success, 1)].into(), "one of the primary, one of the stand-in");
        // The breaker opened for it, and a fallback keeps nobody from seeing why.
        let refused = stage.rig.client().await.get("a", "/next").await;
        assert_eq!((refused.status, fallback(&refused)), (200, Some("service; cause=breaker.open")));
        stage.rig.until_at_rest().await;
        let numbers = stage.numbers();
        assert_eq!(numbers.get("fuseboard.breaker.opened"), 1);
        assert_eq!(numbers.get("fuseboard.fallback.service.success"), 2);
        assert_eq!(numbers.get("fuseboard.refused.breaker.open"), 1);
        let line = stage.judged_line();
        assert_eq!((line.code, line.flags.as_str(), line.cluster.as_str()), (200, "-", "rig"));
        assert_eq!(line.fallback.as_deref(), Some("service; cause=503"));
    }
}

/// P52: each reason may have an answer of its own, with what is known of it filled in.
#[tokio::test]
async fn p52_each_reason_may_have_an_answer_of_its_own() {
    for workers in WORKERS {
        for (cause, status, body) in [
            ("breaker.open", 503, r#"{"error": "rig is resting", "id": "abc-1"}"#),
            ("limit.queue_full", 429, "too many"),
            ("no_healthy", 502, "nobody: no_healthy"),
        ] {
            let failing = fail_by(workers, cause, |draft| {
                let on = |word: &str, kind| Step { on: Triggers::of_word(word), ..step(kind) };
                draft.cluster.fallback = Some(chain(vec![
                    on("breaker", fixed(503, r#"{"error": "${host} is resting", "id": "${requestId}"}"#)),
                    on("limit", fixed(429, "too many")),
                    step(fixed(502, "nobody: ${reason}")),
                ]));
            })
            .await;
            let mut client = failing.rig.client().await;
            client.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc-1\r\n\r\n").await;
            let answer = client.response().await;
            assert_eq!((answer.status, answer.text()), (status, body), "{cause}");
            assert_eq!(answer.field("content-type"), Some("text/x-stand-in"));
            assert_eq!(answer.field("server"), Some("fuseboard"));
            assert_eq!(client.get("a", "/x").await.status, status, "the connection stays");
        }
    }
}

#[tokio::test]
async fn an_id_that_could_end_a_text_is_not_put_into_one() {
    let failing = fail_by(1, "no_healthy", |draft| {
        draft.cluster.fallback = Some(chain(vec![step(fixed(200, "${requestId}"))]));
    })
    .await;
    let mut client = failing.rig.client().await;
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: \"><script>\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!(answer.text().len(), 36, "one of ours: {}", answer.text());
}

#[tokio::test]
async fn a_step_that_is_full_goes_on_to_the_next_one() {
    for workers in WORKERS {
        let gate = Gate::new();
        let slow = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("slow")).after(&gate))).await;
        let rig = Rig::start(workers, &[], |draft| {
            let target = draft.other("slow", &[slow.address()]);
            let one = Step { max_concurrent: 1, ..step(service(target, None)) };
            draft.cluster.fallback = Some(chain(vec![one, step(fixed(200, "at once"))]));
        });
        let mut first = rig.client().await;
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        slow.until(|counts| counts.in_flight == 1).await;
        for _ in 0..5 {
            let answer = rig.client().await.get("a", "/").await;
            assert_eq!(answer.text(), "at once");
            assert_eq!(fallback(&answer), Some("static; cause=no_healthy; after=\"service:full\""));
        }
        gate.open();
        assert_eq!(first.response().await.text(), "slow");
        first.close();
        rig.until_at_rest().await;
        assert_eq!(counted(&rig, |block| &block.service), [1, 1, 0, 5]);
        assert_eq!(rig.client().await.get("a", "/").await.text(), "slow", "the place is free again");
    }
}

#[tokio::test]
async fn from_a_to_b_and_back_is_not_gone() {
    for workers in WORKERS {
        let rig = Rig::start(workers, &[], |draft| {
            let b = draft.other("b", &[]);
            draft.cluster.fallback = Some(chain(vec![step(service(b, None))]));
            draft.others[0].fallback = Some(chain(vec![step(service(0, None))]));
        });
        let answer = rig.client().await.get("a", "/").await;
        assert_eq!((answer.status, answer.field("x-fuseboard-refused")), (503, Some("no_healthy")));
        assert_eq!(fallback(&answer), Some("none; cause=no_healthy; after=\"service:no_healthy\""));
        let b = Arc::clone(rig.proxy.live().cluster("b").unwrap());
        let loops: u64 = b.live.stats.iter().map(|block| block.fallback.chain.loop_refused.get()).sum();
        assert_eq!(loops, 1);
    }
}

#[tokio::test]
async fn a_stand_in_falls_back_by_its_own_rules() {
    let rig = Rig::start(1, &[], |draft| {
        let b = draft.other("b", &[]);
        draft.cluster.fallback = Some(chain(vec![step(service(b, None))]));
        draft.others[0].fallback = Some(chain(vec![step(fixed(200, "from b"))]));
    });
    let answer = rig.client().await.get("a", "/").await;
    assert_eq!(answer.text(), "from b");
    rig.until_at_rest().await;
    assert_eq!(counted(&rig, |block| &block.service), [1, 1, 0, 0]);
}

#[tokio::test]
async fn a_stand_in_that_fails_as_well_is_not_what_the_client_gets() {
    for workers in WORKERS {
        let broken =
            Upstream::start(Script::always(Behaviour::answer(&Reply::status(500).body("worse")))).await;
        let rig = Rig::start(workers, &[], |draft| {
            let target = draft.other("broken", &[broken.address()]);
            draft.cluster.fallback = Some(chain(vec![step(service(target, None)), step(fixed(200, "calm"))]));
        });
        let answer = rig.client().await.get("a", "/").await;
        assert_eq!(answer.text(), "calm");
        assert_eq!(fallback(&answer), Some("static; cause=no_healthy; after=\"service:500\""));
    }
}

#[tokio::test]
async fn a_body_is_sent_again_as_long_as_it_was_kept() {
    for workers in WORKERS {
        let primary = Upstream::start(Script::always(Behaviour::answer(&Reply::status(503)))).await;
        let stand_in = Upstream::start(Script::ok("took it")).await;
        let rig = Rig::start(workers, &[primary.address()], |draft| {
            let target = draft.other("stand-in", &[stand_in.address()]);
            draft.cluster.fallback =
                Some(chain(vec![step(service(target, None)), step(fixed(202, "later"))]));
        });
        for (size, text, said) in [
            (10, "took it", "service; cause=503"),
            (40_000, "took it", "service; cause=503"),
            (300_000, "later", "static; cause=503; after=\"service:body_too_large\""),
        ] {
            let body = "x".repeat(size);
            let mut client = rig.client().await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}")).await;
            let answer = client.response().await;
            assert_eq!((answer.text(), fallback(&answer)), (text, Some(said)), "{size}");
        }
        let bodies: Vec<usize> = stand_in.requests().iter().map(|request| request.body.len()).collect();
        assert_eq!(bodies, [10, 40_000]);
        assert_eq!(rig.count(|block| block.fallback.chain.body_too_large.get()), 1);
    }
}

#[tokio::test]
async fn a_time_that_is_up_leaves_a_service_none_but_what_is_its_own() {
    for workers in WORKERS {
        let hung = Upstream::start(Script::always(Behaviour::silent())).await;
        let stand_in = Upstream::start(Script::ok("stood in")).await;
        for (own, text, said) in [
            (None, "calm", "static; cause=timeout; after=\"service:no_time\""),
            (Some(Duration::from_secs(5)), "stood in", "service; cause=timeout"),
        ] {
            let rig = Rig::start(workers, &[hung.address()], |draft| {
                let target = draft.other("stand-in", &[stand_in.address()]);
                draft.route.timeout = Some(Duration::from_millis(20));
                draft.cluster.fallback =
                    Some(chain(vec![step(service(target, own)), step(fixed(200, "calm"))]));
            });
            let answer = rig.client().await.get("a", "/").await;
            assert_eq!((answer.text(), fallback(&answer)), (text, Some(said)));
            assert_eq!(rig.count(|block| block.stats.upstream_rq_timeout.get()), 1);
        }
    }
}

#[tokio::test]
async fn a_stand_in_that_hangs_is_given_up_in_its_own_time() {
    for workers in WORKERS {
        let hung = Upstream::start(Script::always(Behaviour::silent())).await;
        let rig = Rig::start(workers, &[], |draft| {
            let target = draft.other("hung", &[hung.address()]);
            let step_time = Some(Duration::from_millis(20));
            draft.cluster.fallback =
                Some(chain(vec![step(service(target, step_time)), step(fixed(200, "calm"))]));
        });
        let answer = rig.client().await.get("a", "/").await;
        assert_eq!(fallback(&answer), Some("static; cause=no_healthy; after=\"service:timeout\""));
        hung.until(|counts| counts.in_flight == 0).await;
    }
}

#[tokio::test]
async fn who_goes_away_during_a_fallback_leaves_nothing_behind() {
    for workers in WORKERS {
        let hung = Upstream::start(Script::always(Behaviour::silent())).await;
        let rig = Rig::start(workers, &[], |draft| {
            let target = draft.other("hung", &[hung.address()]);
            let one = Step { max_concurrent: 1, ..step(service(target, None)) };
            draft.cluster.fallback = Some(chain(vec![one]));
        });
        for _ in 0..3 {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            hung.until(|counts| counts.in_flight == 1).await;
            client.close();
            hung.until(|counts| counts.in_flight == 0).await;
            rig.until_at_rest().await;
        }
        assert_eq!(counted(&rig, |block| &block.service), [3, 0, 0, 0], "nobody is blamed");
    }
}

#[tokio::test]
async fn only_what_the_chain_is_for_is_replaced() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::by(|request| match request.target.as_str() {
            "/gone" => Behaviour::answer(&Reply::status(404).body("gone")),
            _ => Behaviour::answer(&Reply::status(500).body("broken")),
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let mut fallback = chain(vec![step(fixed(200, "calm"))]);
            Arc::make_mut(&mut fallback).policy.matching.methods = vec!["GET".into()];
            draft.cluster.fallback = Some(fallback);
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/gone").await.text(), "gone");
        assert_eq!(client.get("a", "/").await.text(), "calm");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
        assert_eq!(client.response().await.text(), "broken");
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_replaced() {
    let reply = Reply::ok("a body that never ends well");
    let upstream = Upstream::start(Script::always(Behaviour::close_in_body(&reply, 3))).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        draft.cluster.fallback = Some(chain(vec![step(fixed(200, "calm"))]));
    });
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answer = client.head().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(client.body(&mut answer).await.is_err(), "broken off");
    assert_eq!(rig.count(|block| block.fallback.chain.triggered.get()), 0);
}

#[tokio::test]
async fn an_error_that_is_too_large_or_breaks_off_is_replaced_all_the_same() {
    let large = Reply::status(500).body("x".repeat(100_000));
    for behaviour in [Behaviour::answer(&large), Behaviour::close_in_body(&large, 10)] {
        let upstream = Upstream::start(Script::always(behaviour)).await;
        let rig = Rig::start(1, &[upstream.address()], |draft| {
            let mut calm = step(fixed(200, "calm"));
            calm.matching.paths = vec![fuseboard_core::fallback::Path::Prefix("/calm".into())];
            draft.cluster.fallback = Some(chain(vec![calm]));
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/calm").await.text(), "calm");
        let lost = client.get("a", "/other").await;
        assert_eq!(lost.status, 500);
        assert!(lost.text().contains("dropped"), "{}", lost.text());
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn what_an_upstream_says_of_fallbacks_is_not_passed_on() {
    let reply = Reply::ok("good").field("x-fuseboard-fallback", "cached");
    let upstream = Upstream::start(Script::always(Behaviour::answer(&reply))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    assert_eq!(fallback(&rig.client().await.get("a", "/").await), None);
}
