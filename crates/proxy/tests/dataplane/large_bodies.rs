//! Bodies of any size around the bounds between a usual buffer, a large one and a pipe: whole, unchanged, and no byte more.

use std::time::Duration;

use crate::rig::{Rig, WORKERS};
use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream, settle};

const KIB: usize = 1024;

/// A byte more and less than what fills something, alone and with a head in front of it.
const SIZES: [usize; 11] = [
    16 * KIB - 100,
    16 * KIB,
    16 * KIB + 1,
    32 * KIB + 7,
    64 * KIB - 100,
    64 * KIB,
    64 * KIB + 1,
    80 * KIB + 3,
    256 * KIB + 1,
    1024 * KIB + 11,
    3 * 1024 * KIB,
];

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 4096 + seed) % 251).unwrap()).collect()
}

/// Answers `GET /N` with so many bytes, and in chunks of odd sizes where the path says so.
fn sized() -> Script {
    Script::by(|seen| {
        let (size, chunked) = seen.target[1..].split_once('?').unwrap_or((&seen.target[1..], ""));
        let reply = Reply::ok(pattern(size.parse().unwrap(), seen.target.len()));
        Behaviour::answer(&if chunked.is_empty() { reply } else { reply.chunked(37_123) })
    })
}

#[tokio::test]
async fn every_byte_passes_down_in_its_place_and_the_connection_goes_on() {
    for workers in WORKERS {
        let upstream = Upstream::start(sized()).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        for (size, suffix) in SIZES.into_iter().flat_map(|size| [(size, ""), (size, "?chunked")]) {
            let response = client.get("a", &format!("/{size}{suffix}")).await;
            let wanted = pattern(size, format!("/{size}{suffix}").len());
            assert!(response.body == wanted, "{size} {suffix}: {} came", response.body.len());
        }
        assert_eq!(upstream.counts().accepted, 1, "the connection to the host goes on too");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn every_byte_passes_up_in_its_place_and_what_follows_it_is_the_next_request() {
    for workers in WORKERS {
        for keeps in [false, true] {
            let upstream = Upstream::start(Script::ok("taken")).await;
            let rig = Rig::start(workers, &[upstream.address()], |draft| {
                if keeps {
                    draft.retries();
                }
            });
            let mut client = rig.client().await;
            let mut wanted = Vec::new();
            for size in SIZES {
                let body = pattern(size, size);
                // Both in one stretch, so that what is behind the first body is there while that is moved.
                let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
                let one = [head.as_bytes(), &body].concat();
                let sender = client.sender();
                let sending = tokio::spawn(async move { sender.send([one.clone(), one].concat()).await });
                for _ in 0..2 {
                    assert_eq!(client.response().await.text(), "taken", "{size}");
                    wanted.push(body.clone());
                }
                sending.await.unwrap().unwrap();
            }
            let came: Vec<_> = upstream.requests().into_iter().map(|seen| seen.body).collect();
            assert!(came == wanted, "{:?}", came.iter().map(Vec::len).collect::<Vec<_>>());
            rig.until_idle().await;
        }
    }
}

#[tokio::test]
async fn what_a_host_says_behind_a_large_answer_reaches_nobody() {
    for (workers, size) in WORKERS.into_iter().flat_map(|workers| SIZES.map(|size| (workers, size))) {
        let body = pattern(size, 0);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
        let evil = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
        let talkative = Behaviour::raw([head.as_bytes(), &body, evil].concat());
        let good = Behaviour::answer(&Reply::ok("good"));
        let upstream = Upstream::start(Script::in_order([talkative, good])).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        assert!(client.get("a", "/").await.body == body, "{size}");
        assert_eq!(client.get("a", "/").await.text(), "good", "{size}");
        assert_eq!(upstream.counts().accepted, 2, "its connection is of no further use");
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_large_answer_that_is_cut_short_does_not_look_whole() {
    for workers in WORKERS {
        for cut in [100_000, 600_000, 999_999] {
            let reply = Reply::ok(pattern(1_000_000, 0));
            let upstream = Upstream::start(Script::always(Behaviour::close_in_body(&reply, cut))).await;
            let rig = Rig::start(workers, &[upstream.address()], |_| {});
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(client.try_response().await.is_err(), "cut at {cut}");
            rig.until_closed().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_much_is_under_way_leaves_nothing_behind() {
    for workers in WORKERS {
        let gate = Gate::new();
        let unread = Behaviour::read_body_after(&gate, &Reply::ok("late"));
        let upstream = Upstream::start(Script::by(move |seen| match &*seen.method {
            "GET" => Behaviour::answer(&Reply::ok(pattern(16 << 20, 0))),
            _ => unread.clone(),
        }))
        .await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let taken = || rig.count(|block| block.stats.upstream_cx_rx_bytes_total.get());
        let mut reader = rig.client().await;
        reader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(settle(Duration::from_secs(5), || taken() > 300_000).await);
        reader.reset();
        rig.until_closed().await;
        let sent = || rig.count(|block| block.stats.upstream_cx_tx_bytes_total.get());
        let before = sent();
        let mut writer = rig.client().await;
        writer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n").await;
        writer.send(pattern(1 << 20, 0)).await;
        assert!(settle(Duration::from_secs(5), || sent() > before + 300_000).await);
        writer.reset();
        rig.until_closed().await;
    }
}
