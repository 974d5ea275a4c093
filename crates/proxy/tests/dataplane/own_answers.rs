//! Where our own answers and headers differ from Envoy's on purpose: rows D23 to D27 of docs/differences.md.

use fuseboard_snapshot::Domain;
use fuseboard_testkit::{Behaviour, Reply, Script, Upstream};

use crate::rig::{Rig, WORKERS};

#[tokio::test]
async fn d23_our_answers_say_fuseboard_and_the_upstreams_keep_their_server() {
    for workers in WORKERS {
        let reply = Reply::ok("hello").field("server", "gunicorn");
        let upstream = Upstream::start(Script::always(Behaviour::answer(&reply))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.domains = vec![Domain::Exact("shop".into())];
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("shop", "/").await.field("server"), Some("gunicorn"));
        assert_eq!(client.get("elsewhere", "/").await.field("server"), Some("fuseboard"));
    }
}

#[tokio::test]
async fn d24_a_host_that_no_service_has_is_not_found() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.domains = vec![Domain::Exact("shop".into())];
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("elsewhere", "/").await.status, 404);
        assert_eq!(client.get("shop", "/").await.status, 200, "the connection goes on");
        assert_eq!(upstream.requests().len(), 1, "the unknown one was sent nowhere");
    }
}

#[tokio::test]
async fn d25_connect_is_answered_with_what_to_do_instead() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("absolute target"), "{}", answer.text());
}

#[tokio::test]
async fn d26_what_cannot_be_parsed_is_told_what_is_wrong() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().to_lowercase().contains("content-length"), "{}", answer.text());
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn d27_an_answer_that_begins_before_the_request_has_ended_says_close() {
    let upstream = Upstream::start(Script::always(Behaviour::answer_early(&Reply::ok("enough")))).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhalf ").await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.text(), answer.field("connection")), (200, "enough", Some("close")));
}
