//! Calls of gRPC that fail, where a chain of fallbacks is for them: which ends are failures, and answers that a caller of gRPC
//! understands.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::breaker::StatusSet;
use fuseboard_core::fallback::{CallAnswer, StaticAnswer, Step, StepKind, Template, Triggers};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_grpc::{Code, CodeSet};
use fuseboard_snapshot::UpstreamVersion;
use fuseboard_testkit::http2::{Answer, Client, Reply, Upstream};
use fuseboard_testkit::{DEADLINE, Gate};

use crate::breaker::trips_at_once;
use crate::fallback::{CACHED, chain, fixed, service, step};
use crate::grpc::{MESSAGE, call, echo, http2, replying, status};
use crate::rig::{Draft, Rig, WORKERS};

fn text(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// A written answer for calls.
fn written(code: Code, words: &str, message: &[u8]) -> StepKind {
    let StepKind::Static(answer) = fixed(200, "for HTTP") else { unreachable!() };
    let fields = vec![("x-from".into(), text("${host}")), ("content-type".into(), text("text/html"))];
    let call = Some(CallAnswer { code, text: text(words), message: message.into() });
    StepKind::Static(StaticAnswer { fields, call, ..answer })
}

/// These steps for these failures.
fn falls_back(draft: &mut Draft, words: &[&str], steps: Vec<Step>) {
    let mut chain = Arc::unwrap_or_clone(chain(steps));
    let sets = words.iter().map(|word| Triggers::of_word(word).unwrap());
    chain.policy.on = sets.fold(Triggers::NONE, Triggers::or);
    draft.cluster.fallback = Some(Arc::new(chain));
}

/// An error as servers of several languages send it: in the only head, or in trailers behind a head without messages.
fn failing(path: &str) -> Reply {
    let (shape, code) = path.trim_start_matches("/shop.Cart/").split_once('-').unwrap();
    let head = |reply: Reply| reply.field("content-type", "application/grpc");
    match shape {
        "Bare" => head(Reply::status(200)).field("grpc-status", code).field("grpc-message", "own words"),
        "Late" => head(Reply::status(200)).trailer("grpc-status", code).trailer("grpc-message", "own words"),
        "Spoken" => head(Reply::ok(MESSAGE)).trailer("grpc-status", code),
        _ => unreachable!(),
    }
}

fn said(answer: &Answer) -> Option<&str> {
    answer.field("x-fuseboard-fallback")
}

#[tokio::test]
async fn p06_p48_a_call_that_failed_gets_a_message_and_a_good_end() {
    for workers in WORKERS {
        let upstream = Upstream::start(|seen, _| failing(&seen.path)).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            falls_back(draft, &["any"], vec![step(written(Code::Ok, "", b"\x0a\x02hi"))]);
        });
        let client = Client::connect(rig.address).await;
        for shape in ["Bare", "Late"] {
            let answer = client.ask(call(&format!("{shape}-14")), MESSAGE).await.unwrap();
            assert_eq!(status(&answer), (200, Some("0"), None), "{shape}");
            assert_eq!(&answer.body[..], b"\0\0\0\0\x04\x0a\x02hi", "{shape}");
            assert_eq!(answer.field("content-type"), Some("application/grpc"));
            assert_eq!(answer.field("x-from"), Some("rig"), "fields are metadata");
            assert_eq!(said(&answer), Some("static; cause=UNAVAILABLE"));
            let other = client.ask(call(&format!("{shape}-7")), MESSAGE).await.unwrap();
            assert_eq!(status(&other), (200, Some("7"), Some("own words")), "the caller's fault: as it came");
            assert_eq!((said(&other), other.body.is_empty()), (None, true));
        }
        let begun = client.ask(call("Spoken-14"), MESSAGE).await.unwrap();
        assert_eq!((status(&begun), &begun.body[..]), ((200, Some("14"), None), MESSAGE), "it had begun");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_named_code_is_one_failure_and_without_help_the_call_ends_as_it_did() {
    for workers in WORKERS {
        let upstream = Upstream::start(|seen, _| failing(&seen.path)).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            let gone = draft.other("gone", &[]);
            let mut late = step(service(gone, None));
            late.on = Triggers::of_word("RESOURCE_EXHAUSTED");
            let steps = vec![step(CACHED), step(fixed(200, "{}")), late];
            falls_back(draft, &["RESOURCE_EXHAUSTED", "INTERNAL"], steps);
        });
        let client = Client::connect(rig.address).await;
        for shape in ["Bare", "Late"] {
            let after = "after=\"cached:unsafe_method, static:not_grpc";
            for (code, expected) in [
                ("8", Some(format!("none; cause=RESOURCE_EXHAUSTED; {after}, service:no_healthy\""))),
                ("13", Some(format!("none; cause=INTERNAL; {after}\""))),
                ("14", None),
            ] {
                let answer = client.ask(call(&format!("{shape}-{code}")), MESSAGE).await.unwrap();
                assert_eq!(status(&answer), (200, Some(code), Some("own words")), "{shape}");
                assert_eq!(said(&answer).map(str::to_owned), expected, "{shape} {code}");
            }
        }
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_refused_call_is_told_an_error_of_the_rule_or_what_an_http_error_means_in_grpc() {
    for (kind, expected) in [
        (
            written(Code::FailedPrecondition, "${reason} of ${host}", b""),
            ("9", "breaker.open of rig".to_owned()),
        ),
        (fixed(503, "back at 9\n${host}"), ("14", "back at 9%0Arig".to_owned())),
        (fixed(404, &"x".repeat(5000)), ("12", "x".repeat(1024))),
    ] {
        let upstream = Upstream::start(|_, _| replying("14")).await;
        let rig = Rig::start(1, &[upstream.address()], |draft| {
            http2(draft);
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
            falls_back(draft, &["breaker"], vec![step(kind)]);
        });
        let client = Client::connect(rig.address).await;
        let failed = client.ask(call("Add"), MESSAGE).await.unwrap();
        assert_eq!((status(&failed), &failed.body[..]), ((200, Some("14"), None), MESSAGE));
        rig.until_idle().await;
        let answer = client.ask(call("Add"), MESSAGE).await.unwrap();
        assert_eq!(status(&answer), (200, Some(expected.0), Some(expected.1.as_str())));
        assert_eq!(answer.field("content-type"), Some("application/grpc"));
        assert_eq!(said(&answer), Some("static; cause=breaker.open"));
        assert!(answer.body.is_empty());
        rig.until_idle().await;
        assert_eq!(rig.refused(RefusalReason::BreakerOpen), 1);
        let series = rig.series();
        let mut told: Vec<_> = series
            .samples("istio_requests_total")
            .map(|sample| {
                (sample.labels["response_code"].clone(), sample.labels["grpc_response_status"].clone())
            })
            .collect();
        told.dedup();
        assert!(
            told.iter().all(|told| *told == ("200".to_owned(), "14".to_owned())),
            "as it failed: {told:?}"
        );
    }
}

#[tokio::test]
async fn another_service_answers_a_call_unless_it_fails_too() {
    for workers in WORKERS {
        let upstream = Upstream::start(|_, _| Reply::reset(h2::Reason::INTERNAL_ERROR)).await;
        let stand_in = Upstream::start(|seen, _| match seen.path.as_str() {
            "/shop.Cart/Good" => replying("0"),
            "/shop.Cart/Theirs" => failing("/shop.Cart/Late-5"),
            _ => failing("/shop.Cart/Late-14"),
        })
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            http2(draft);
            let target = draft.other("stand-in", &[stand_in.address()]);
            draft.others[0].http.version = UpstreamVersion::Http2;
            let asked = step(service(target, Some(Duration::from_secs(5))));
            let last = step(written(Code::Unavailable, "both are down", b""));
            falls_back(draft, &["any"], vec![asked, last]);
        });
        let client = Client::connect(rig.address).await;
        let good = client.ask(call("Good"), MESSAGE).await.unwrap();
        assert_eq!((status(&good), &good.body[..]), ((200, Some("0"), None), MESSAGE));
        assert_eq!(said(&good), Some("service; cause=reset"));
        let theirs = client.ask(call("Theirs"), MESSAGE).await.unwrap();
        assert_eq!(status(&theirs), (200, Some("5"), Some("own words")), "the caller's own fault");
        let bad = client.ask(call("Bad"), MESSAGE).await.unwrap();
        assert_eq!(status(&bad), (200, Some("14"), Some("both are down")));
        assert_eq!(said(&bad), Some("static; cause=reset; after=\"service:UNAVAILABLE\""));
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_head_waits_for_nobody_who_still_talks() {
    for workers in WORKERS {
        let rig = Rig::start(workers, &[echo().await], |draft| {
            http2(draft);
            falls_back(draft, &["any"], vec![step(written(Code::Ok, "", b""))]);
        });
        let client = Client::connect(rig.address).await;
        let mut talking = client.begin(call("Chat"), false).await;
        let (code, _, mut body) = talking.head().await.unwrap();
        assert_eq!(code, 200);
        talking.send(MESSAGE, true);
        let part = tokio::time::timeout(DEADLINE, body.data()).await.unwrap().unwrap().unwrap();
        assert_eq!(&part[..], MESSAGE);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_before_a_message_is_replaced_and_an_empty_message_is_one() {
    let gate = Gate::new();
    let own = gate.clone();
    let upstream = Upstream::start(move |_, _| failing("/shop.Cart/Spoken-0").cut_after(0).after(&own)).await;
    let rig = Rig::start(1, &[upstream.address()], |draft| {
        http2(draft);
        falls_back(draft, &["any"], vec![step(written(Code::Ok, "", b""))]);
    });
    let client = Client::connect(rig.address).await;
    let mut slow = client.begin(call("Slow"), true).await;
    upstream.until(|counts| counts.running == 1).await;
    gate.open();
    let answer = slow.answer().await.unwrap();
    assert_eq!((status(&answer), &answer.body[..]), ((200, Some("0"), None), &b"\0\0\0\0\0"[..]));
    assert_eq!(said(&answer), Some("static; cause=reset"));
    rig.until_idle().await;
}

/// What opens a breaker: a code by its name, or by the status that stands for it.
#[tokio::test]
async fn p11_a_breaker_opens_by_named_codes_and_by_no_other() {
    let codes = |codes: &[Code]| codes.iter().copied().collect::<CodeSet>();
    for (statuses, failing_codes, ignored_codes, opening) in [
        (StatusSet::class(5), codes(&[]), codes(&[]), ["2", "4", "12", "13", "14", "15"].as_slice()),
        (StatusSet::EMPTY, codes(&[Code::ResourceExhausted]), codes(&[]), &["8"]),
        (StatusSet::of(&[503]), codes(&[Code::Aborted]), codes(&[Code::Unavailable]), &["10"]),
    ] {
        for number in 0..=16 {
            let (shape, number) = (["Bare", "Late", "Spoken"][number % 3], number.to_string());
            let upstream = Upstream::start(|seen, _| failing(&seen.path)).await;
            let rig = Rig::start(1, &[upstream.address()], |draft: &mut Draft| {
                http2(draft);
                let mut breaker = trips_at_once(Duration::from_secs(60));
                breaker.policy.classifier.failures = statuses;
                breaker.policy.classifier.failing_codes = failing_codes;
                breaker.policy.classifier.ignored_codes = ignored_codes;
                draft.cluster.breaker = Some(breaker);
            });
            let client = Client::connect(rig.address).await;
            let path = format!("{shape}-{number}");
            let answer = client.ask(call(&path), MESSAGE).await.unwrap();
            assert_eq!(status(&answer).1, Some(&*number));
            rig.until_idle().await;
            let open = rig.numbers().get("fuseboard.breaker.state") == 1;
            assert_eq!(open, opening.contains(&&*number), "{path}");
        }
    }
}
