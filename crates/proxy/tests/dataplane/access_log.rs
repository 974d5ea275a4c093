//! The access log of requests that go well, in both formats; those that do not are in `flags`.

use fuseboard_testkit::{Behaviour, Client, Reply, Script, Upstream};

use crate::rig::WORKERS;
use crate::rig::judge::{JUDGED, Stage};
use crate::rig::log::LogLine;

/// The line of one request, and the address of the upstream that answered it with `reply`.
async fn line_of(workers: usize, request: &str, reply: &Reply) -> (LogLine, String) {
    let upstream = Upstream::start(Script::always(Behaviour::answer(reply))).await;
    let stage = Stage::start(workers, &[upstream.address()], |_| {});
    let mut client = stage.rig.client().await;
    client.send(request).await;
    client.response().await;
    stage.rig.until_idle().await;
    (stage.judged_line(), upstream.address().to_string())
}

#[tokio::test]
async fn a_line_says_who_asked_what_of_whom_and_what_came_of_it() {
    for workers in WORKERS {
        let request = format!(
            "POST {JUDGED} HTTP/1.1\r\nHost: shop:80\r\nUser-Agent: cur\"l\r\nX-Forwarded-For: 10.0.0.1\r\n\
             X-Request-Id: mine\r\nContent-Length: 4\r\n\r\nbody"
        );
        let (line, upstream) = line_of(workers, &request, &Reply::status(201).body("answer")).await;
        assert_eq!((line.method.as_str(), line.protocol.as_str(), line.code), ("POST", "HTTP/1.1", 201));
        assert_eq!((line.flags.as_str(), line.details.as_str()), ("-", "via_upstream"));
        assert_eq!((line.bytes_received, line.bytes_sent), (4, 6));
        assert_eq!((line.forwarded_for.as_str(), line.request_id.as_str()), ("10.0.0.1", "mine"));
        assert_eq!(line.user_agent, "cur\"l");
        assert_eq!((line.authority.as_str(), line.upstream_host), ("shop:80", upstream));
        assert_eq!(
            (line.cluster.as_str(), line.route.as_str(), line.reason.as_str()),
            ("rig", "default", "-")
        );
        assert!(line.service_time.parse::<u32>().is_ok(), "{}", line.service_time);
    }
}

#[tokio::test]
async fn bytes_are_those_of_bodies_without_their_chunks() {
    for workers in WORKERS {
        let request = format!(
            "POST {JUDGED} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n"
        );
        let chunked = Reply::ok("0123456789").chunked(1).trailer("x", "y");
        let (line, _) = line_of(workers, &request, &chunked).await;
        assert_eq!((line.bytes_received, line.bytes_sent), (2, 10));
        let until_close = Reply::ok("0123456789").until_close();
        let (line, _) = line_of(workers, &request, &until_close).await;
        assert_eq!((line.bytes_received, line.bytes_sent), (2, 10));
    }
}

#[tokio::test]
async fn bytes_of_an_answer_that_breaks_off_are_those_of_its_body_too() {
    for workers in WORKERS {
        // `5 01234 5 56`, each line ended
        let upstream = Upstream::start(Script::always(Behaviour::close_in_body(
            &Reply::ok("0123456789").chunked(5),
            15,
        )))
        .await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let mut client = stage.rig.client().await;
        client.send(format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client.try_response().await.unwrap_err();
        stage.rig.until_at_rest().await;
        let line = stage.judged_line();
        assert_eq!((line.code, line.flags.as_str(), line.bytes_sent), (200, "UPE", 7));
    }
}

#[tokio::test]
async fn a_tunnels_line_comes_with_its_end_and_counts_what_went_through() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::upgrade_and_echo("x"))).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let mut client: Client = stage.rig.client().await;
        client
            .send(format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"))
            .await;
        assert_eq!(client.head().await.unwrap().status, 101);
        for _ in 0..3 {
            client.send("twelve bytes").await;
            client.received(12).await.unwrap();
        }
        client.close();
        stage.rig.until_at_rest().await;
        let line = stage.judged_line();
        assert_eq!((line.code, line.flags.as_str()), (101, "DC"));
        assert_eq!((line.bytes_received, line.bytes_sent), (36, 36));
    }
}
