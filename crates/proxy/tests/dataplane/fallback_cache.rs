//! The last good answer through sockets: who gets which, how old, and who never gets one.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_testkit::{Behaviour, Client, Reply, Response, Script, Upstream};

use crate::fallback::{CACHED, chain, fallback, step};
use crate::rig::{Rig, WORKERS};

/// A rig that keeps answers, in front of an upstream that first answers `replies` to `/x` and whatever follows.
struct Kept {
    rig: Rig,
    upstream: Upstream,
}

impl Kept {
    async fn start(workers: usize, headers: &[&str], script: Script) -> Self {
        let upstream = Upstream::start(script).await;
        let headers: Vec<Box<str>> = headers.iter().map(|name| Box::from(*name)).collect();
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            let mut fallback = chain(vec![step(CACHED)]);
            Arc::make_mut(&mut fallback).policy.cache.as_mut().unwrap().headers = headers;
            draft.cluster.fallback = Some(fallback);
        });
        Self { rig, upstream }
    }

    async fn ask(&self, method: &str, fields: &str) -> Response {
        let mut client: Client = self.rig.client().await;
        client.send(format!("{method} /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        if method == "HEAD" { client.response_to_head().await } else { client.response().await }
    }

    /// From now on every request fails.
    fn fail(&self) {
        self.upstream.follow(Script::always(Behaviour::answer(&Reply::status(500).body("broken"))));
    }
}

fn always(reply: &Reply) -> Script {
    Script::always(Behaviour::answer(reply))
}

#[tokio::test]
async fn the_last_good_answer_is_given_with_its_age_and_says_that_it_is_stale() {
    for workers in WORKERS {
        let reply =
            Reply::ok("good").field("etag", "\"1\"").field("age", "7").field("cache-control", "max-age=5");
        let kept = Kept::start(workers, &[], always(&reply)).await;
        kept.ask("GET", "").await;
        kept.fail();
        let answer = kept.ask("GET", "").await;
        assert_eq!((answer.status, answer.text(), answer.field("etag")), (200, "good", Some("\"1\"")));
        assert_eq!(answer.fields("age"), ["7"], "its own, and no other");
        assert_eq!(answer.field("cache-status"), Some("fuseboard; hit; ttl=-2"));
        assert_eq!(fallback(&answer), Some("cached; age=7; cause=500"));
        let head = kept.ask("HEAD", "").await;
        assert_eq!((head.status, head.text(), head.field("content-length")), (200, "", Some("4")));
        assert_eq!(kept.ask("POST", "Content-Length: 0\r\n").await.status, 500, "only GET and HEAD");
    }
}

#[tokio::test]
async fn chunked_and_closing_answers_are_kept_without_their_framing() {
    let closing = Behaviour::raw("HTTP/1.0 200 OK\r\n\r\nuntil the end").then_close();
    let chunked = Behaviour::raw(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nuntil\r\n8\r\n the end\r\n0\r\n\r\n",
    );
    for behaviour in [closing, chunked] {
        let kept = Kept::start(1, &[], Script::always(behaviour)).await;
        assert_eq!(kept.ask("GET", "").await.text(), "until the end");
        kept.fail();
        let answer = kept.ask("GET", "").await;
        assert_eq!((answer.text(), answer.field("content-length")), ("until the end", Some("13")));
        assert_eq!(answer.field("transfer-encoding"), None);
    }
}

/// Two principals never share an answer, however they say who they are.
#[tokio::test]
async fn two_principals_never_share_an_answer() {
    for workers in WORKERS {
        for (alice, bob) in [
            ("Authorization: Bearer alice\r\n", "Authorization: Bearer bob\r\n"),
            ("Cookie: session=alice\r\n", "Cookie: session=bob\r\n"),
            ("X-Forwarded-Client-Cert: By=alice\r\n", "X-Forwarded-Client-Cert: By=bob\r\n"),
            ("Proxy-Authorization: Basic alice\r\n", "Proxy-Authorization: Basic bob\r\n"),
        ] {
            let kept = Kept::start(
                workers,
                &[],
                always(&Reply::ok("for alice").field("cache-control", "max-age=60")),
            )
            .await;
            assert_eq!(kept.ask("GET", alice).await.text(), "for alice");
            kept.fail();
            for fields in [alice, bob, ""] {
                assert_eq!(kept.ask("GET", fields).await.status, 500, "{alice} {fields}");
            }
        }
    }
}

#[tokio::test]
async fn principals_that_the_key_has_get_their_own_answers() {
    let by_name = |request: &fuseboard_testkit::SeenRequest| {
        Behaviour::answer(&Reply::ok(request.field("authorization").unwrap_or("nobody").to_owned()))
    };
    let kept = Kept::start(1, &["authorization"], Script::by(by_name)).await;
    kept.ask("GET", "Authorization: alice\r\n").await;
    kept.ask("GET", "Authorization: bob\r\n").await;
    kept.fail();
    assert_eq!(kept.ask("GET", "Authorization: alice\r\n").await.text(), "alice");
    assert_eq!(kept.ask("GET", "Authorization: bob\r\n").await.text(), "bob");
    assert_eq!(kept.ask("GET", "Authorization: eve\r\n").await.status, 500);
    assert_eq!(kept.ask("GET", "").await.status, 500);
}

#[tokio::test]
async fn what_must_not_be_kept_is_not() {
    for fields in [
        &[("cache-control", "no-store")][..],
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "max-age=60"), ("cache-control", "no-cache")],
        &[("set-cookie", "a=b")],
        &[("vary", "accept, *")],
        &[("cache-control", "must-revalidate")],
    ] {
        let reply = fields.iter().fold(Reply::ok("good"), |reply, (name, value)| reply.field(name, value));
        let kept = Kept::start(1, &[], always(&reply)).await;
        assert_eq!(kept.ask("GET", "").await.text(), "good");
        kept.fail();
        assert_eq!(kept.ask("GET", "").await.status, 500, "{fields:?}");
    }
    let kept = Kept::start(1, &[], always(&Reply::ok("good"))).await;
    kept.ask("GET", "Cache-Control: no-store\r\n").await;
    kept.fail();
    assert_eq!(kept.ask("GET", "").await.status, 500, "the client forbade it");
}

#[tokio::test]
async fn a_client_that_wants_to_be_sure_gets_the_failure() {
    let kept = Kept::start(1, &[], always(&Reply::ok("good").field("age", "30"))).await;
    kept.ask("GET", "").await;
    kept.fail();
    for fields in ["Cache-Control: no-cache\r\n", "Pragma: no-cache\r\n", "Cache-Control: max-age=10\r\n"] {
        assert_eq!(kept.ask("GET", fields).await.status, 500, "{fields}");
    }
    assert_eq!(kept.ask("GET", "Cache-Control: max-age=100\r\n").await.status, 200);
}

#[tokio::test]
async fn answers_are_chosen_by_what_they_vary_by() {
    for workers in WORKERS {
        let by_language = |request: &fuseboard_testkit::SeenRequest| {
            let language = request.field("accept-language").unwrap_or("none").to_owned();
            Behaviour::answer(&Reply::ok(language).field("vary", "Accept-Language"))
        };
        let kept = Kept::start(workers, &[], Script::by(by_language)).await;
        for language in ["de", "fr"] {
            kept.ask("GET", &format!("Accept-Language: {language}\r\n")).await;
        }
        kept.fail();
        for language in ["de", "fr"] {
            let answer = kept.ask("GET", &format!("Accept-Language: {language}\r\n")).await;
            assert_eq!(answer.text(), language);
        }
        assert_eq!(kept.ask("GET", "Accept-Language: it\r\n").await.status, 500);
        assert_eq!(kept.ask("GET", "").await.status, 500);
    }
}

#[tokio::test]
async fn other_authorities_and_targets_have_other_answers() {
    let by_target = |request: &fuseboard_testkit::SeenRequest| {
        Behaviour::answer(&Reply::ok(format!(
            "{} {}",
            request.field("host").unwrap_or_default(),
            request.target
        )))
    };
    let kept = Kept::start(1, &[], Script::by(by_target)).await;
    let mut client = kept.rig.client().await;
    for (host, path) in [("a", "/x"), ("a", "/x?q=1"), ("b", "/x")] {
        client.get(host, path).await;
    }
    kept.fail();
    for (host, path) in [("a", "/x"), ("A", "/x"), ("a", "/x?q=1"), ("b", "/x")] {
        let answer = client.get(host, path).await;
        assert_eq!(answer.text(), format!("{} {path}", host.to_lowercase()));
    }
    assert_eq!(client.get("a", "/x?q=2").await.status, 500);
}

#[tokio::test]
async fn a_change_or_an_end_of_a_thing_forgets_what_is_kept_of_it() {
    for (method, reply) in
        [("POST", Reply::status(204)), ("DELETE", Reply::ok("")), ("GET", Reply::status(410))]
    {
        let kept = Kept::start(1, &[], always(&Reply::ok("good"))).await;
        kept.ask("GET", "").await;
        kept.upstream.follow(always(&reply));
        let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
        kept.ask(method, length).await;
        kept.fail();
        assert_eq!(kept.ask("GET", "").await.status, 500, "{method}");
    }
}

#[tokio::test]
async fn large_answers_pass_and_are_not_kept_and_the_cache_stays_within_its_bytes() {
    let body = |request: &fuseboard_testkit::SeenRequest| {
        let size = if request.target.starts_with("/large") { 100_000 } else { 10_000 };
        Behaviour::answer(&Reply::ok("x".repeat(size)))
    };
    let kept = Kept::start(1, &[], Script::by(body)).await;
    let mut client = kept.rig.client().await;
    for index in 0..200 {
        client.get("a", &format!("/{index}")).await;
    }
    assert_eq!(client.get("a", "/large").await.body.len(), 100_000);
    let numbers = kept.rig.numbers();
    let bytes = numbers.get("fuseboard.fallback.cache.bytes");
    assert!((900_000..=1 << 20).contains(&bytes), "{bytes}");
    assert_eq!(numbers.get("fuseboard.fallback.cache.stored"), 200);
    let entries = numbers.get("fuseboard.fallback.cache.entries");
    assert_eq!(numbers.get("fuseboard.fallback.cache.evicted"), 200 - entries);
    kept.fail();
    assert_eq!(client.get("a", "/199").await.status, 200);
    assert_eq!(client.get("a", "/0").await.status, 500, "not used for longest");
    assert_eq!(client.get("a", "/large").await.status, 500);
}

#[tokio::test]
async fn what_is_kept_outlives_a_push_unless_it_is_chosen_by_other_fields() {
    let mut kept = Kept::start(1, &[], always(&Reply::ok("good"))).await;
    kept.ask("GET", "").await;
    kept.fail();
    kept.rig.apply(|draft| draft.cluster.connect_timeout = Duration::from_secs(3));
    assert_eq!(kept.ask("GET", "").await.text(), "good");
    kept.rig.apply(|draft| {
        let fallback = draft.cluster.fallback.as_mut().unwrap();
        Arc::make_mut(fallback).policy.cache.as_mut().unwrap().headers = vec!["x-tenant".into()];
    });
    assert_eq!(kept.ask("GET", "").await.status, 500);
}

#[tokio::test]
async fn nothing_is_kept_where_no_step_asks_for_it() {
    let upstream = Upstream::start(Script::ok("good")).await;
    let mut rig = Rig::start(1, &[upstream.address()], |draft| {
        draft.cluster.fallback = Some(chain(vec![step(crate::fallback::fixed(200, "calm"))]));
    });
    rig.client().await.get("a", "/x").await;
    rig.apply(|draft| {
        draft.cluster.fallback = Some(chain(vec![step(CACHED)]));
        draft.hosts(&[]);
    });
    assert_eq!(rig.client().await.get("a", "/x").await.status, 503);
}
