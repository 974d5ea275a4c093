//! Switched protocols: bytes both ways, each side's end passed on alone, slot and connection held for life, and never a place
//! in the queue (difference D15).

use std::time::{Duration, Instant};

use crate::flags::{PLAIN, judged};
use crate::rig::judge::{Connection, Expected, Seen, Stage};
use crate::rig::log::LogFile;
use crate::rig::{Rig, WORKERS, limits, options};
use fuseboard_core::limit::Priority;
use fuseboard_proxy::{AccessLogFormat, ProxyOptions};
use fuseboard_testkit::{Behaviour, Client, DEADLINE, Reply, Script, Upstream, settle};
use tokio::net::TcpListener;
use tokio::time::timeout;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: k\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s\r\n\r\n";

/// An upstream that the test plays itself.
struct Peers(TcpListener);

impl Peers {
    async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Our end of the next connection that the proxy opens, and the head that came on it.
    async fn accept(&self) -> (Client, String) {
        let (stream, _) = timeout(DEADLINE, self.0.accept()).await.unwrap().unwrap();
        let mut peer = Client::over(stream);
        let head = peer.request_head().await.unwrap();
        (peer, head)
    }

    fn rig(&self, workers: usize, pending: u32) -> Rig {
        Rig::start(workers, &[self.0.local_addr().unwrap()], |draft| {
            draft.cluster.thresholds.default = limits(1, pending, u32::MAX);
        })
    }
}

/// Both ends of a tunnel through the rig.
async fn tunnel(rig: &Rig, peers: &Peers) -> (Client, Client) {
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    let (mut peer, _) = peers.accept().await;
    peer.send(SWITCH).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    (client, peer)
}

/// Requests in flight and open connections.
fn held(rig: &Rig) -> (u32, u32) {
    let view = rig.cluster().live.limits(Priority::Default).view();
    (view.requests, view.connections)
}

#[tokio::test]
async fn both_heads_pass_with_their_tokens_and_bytes_behind_them_belong_to_the_tunnel() {
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = peers.rig(workers, 0);
        let mut client = rig.client().await;
        client.send(format!("{UPGRADE}eager")).await;
        let (mut peer, head) = peers.accept().await;
        for field in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "Sec-WebSocket-Key: k\r\n"] {
            assert_eq!(head.matches(field).count(), 1, "{field} in {head}");
        }
        peer.send(format!("{SWITCH}greeting")).await;
        let switch = client.head().await.unwrap();
        assert_eq!(switch.head.to_lowercase(), SWITCH.to_lowercase());
        assert_eq!(client.received(8).await.unwrap(), b"greeting");
        assert_eq!(peer.received(5).await.unwrap(), b"eager");
        let counted = |name, bytes| rig.numbers().get(name) == bytes as u64;
        assert!(settle(DEADLINE, || counted("upstream_cx_rx_bytes_total", SWITCH.len() + 8)).await);
        assert!(settle(DEADLINE, || counted("upstream_cx_tx_bytes_total", head.len() + 5)).await);
    }
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = peers.rig(workers, 0);
        for client_first in [true, false] {
            let (client, peer) = tunnel(&rig, &peers).await;
            let (mut first, mut second) = if client_first { (client, peer) } else { (peer, client) };
            first.send("last words").await;
            first.half_close();
            assert_eq!(second.closed().await, b"last words");
            assert_eq!(held(&rig), (1, 1), "half closed, both are still held");
            for word in ["still", "here"] {
                second.send(word).await;
                assert_eq!(first.received(word.len()).await.unwrap(), word.as_bytes());
            }
            second.close();
            assert_eq!(first.closed().await, b"");
            rig.until_closed().await;
        }
    }
}

#[tokio::test]
async fn d15_a_tunnel_holds_its_slot_and_connection_for_life_and_others_wait_for_it() {
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = peers.rig(workers, 1);
        let (client, peer) = tunnel(&rig, &peers).await;
        let numbers = rig.numbers();
        assert_eq!(held(&rig), (1, 1));
        assert_eq!(numbers.get("http.downstream_cx_upgrades_active"), 1);
        assert_eq!(numbers.get("http.downstream_cx_upgrades_total"), 1);
        assert_eq!(numbers.get("circuit_breakers.default.cx_open"), 1);

        let mut waiting = rig.client().await;
        waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until_pending(1).await;
        let mut refused = rig.client().await;
        refused.send(UPGRADE).await;
        assert_eq!(refused.response().await.field("x-fuseboard-refused"), Some("limit.connections"));

        client.close();
        drop(peer);
        let (mut peer, _) = peers.accept().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nserved").await;
        assert_eq!(waiting.response().await.text(), "served");
        assert_eq!(rig.numbers().get("http.downstream_cx_upgrades_active"), 0);
    }
}

#[tokio::test]
async fn d29_a_tunnel_is_broken_off_when_nothing_goes_for_its_own_time_and_not_before() {
    const IDLE: Duration = Duration::from_millis(700);
    for workers in WORKERS {
        let log = LogFile::new(AccessLogFormat::Text);
        let options = ProxyOptions { access_log: Some(log.option()), ..options(workers) };
        let peers = Peers::listen().await;
        let rig = Rig::start_with(options, &[peers.0.local_addr().unwrap()], |draft| {
            draft.listener.http.upgrade_idle_timeout = IDLE;
            // The streams' own time is not for it.
            draft.listener.http.stream_idle_timeout = Duration::from_millis(10);
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let (mut client, mut peer) = tunnel(&rig, &peers).await;
        let began = Instant::now();
        while began.elapsed() < IDLE * 3 / 2 {
            // One direction is enough.
            peer.send(".").await;
            assert_eq!(client.received(1).await.unwrap(), b".");
        }
        let quiet = Instant::now();
        client.received(1).await.unwrap_err();
        assert!(quiet.elapsed() + Duration::from_millis(50) >= IDLE, "after {:?}", quiet.elapsed());
        peer.closed().await;
        rig.until_closed().await;
        assert_eq!(rig.numbers().get("http.downstream_rq_idle_timeout"), 1);
        assert_eq!(rig.numbers().get("http.downstream_cx_upgrades_active"), 0);
        let errors: u64 = rig.cluster().hosts[0].stats.iter().map(|stats| stats.rq_error.get()).sum();
        assert_eq!(errors, 0, "nobody's failure");
        rig.proxy.drain();
        rig.proxy.join();
        let lines = log.raw();
        assert!(lines.contains("\" 101 SI stream_idle_timeout "), "{lines}");
    }
}

#[tokio::test]
async fn a_tunnel_that_nobody_uses_does_not_hold_a_drain() {
    let peers = Peers::listen().await;
    let rig = peers.rig(1, 0);
    let (mut client, mut peer) = tunnel(&rig, &peers).await;
    rig.proxy.drain();
    client.send("still").await;
    assert_eq!(peer.received(5).await.unwrap(), b"still");
    let join = tokio::task::spawn_blocking(move || rig.proxy.join());
    timeout(Duration::from_secs(30), join).await.expect("45 s would be the bound").unwrap();
    client.closed().await;
    peer.closed().await;
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_a_tunnel() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 200);
        upstream.follow(Script::always(Behaviour::upgrade_and_echo("websocket")));
        let mut client = rig.client().await;
        client.send(UPGRADE).await;
        assert_eq!(client.head().await.unwrap().status, 101);
        client.send("ping").await;
        assert_eq!(client.received(4).await.unwrap(), b"ping");
        assert_eq!(upstream.counts().open_peak, 1);
    }
}

#[tokio::test]
async fn a_reset_of_either_side_ends_the_tunnel() {
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = peers.rig(workers, 0);
        let (client, mut peer) = tunnel(&rig, &peers).await;
        client.reset();
        peer.closed().await;
        rig.until_closed().await;
        let (mut client, peer) = tunnel(&rig, &peers).await;
        peer.reset();
        client.closed().await;
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn d59_a_switch_that_the_upstream_declines_is_an_answer_like_any_other() {
    for workers in WORKERS {
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::status(426).body("no")))).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = rig.client().await;
        client.send(UPGRADE).await;
        let declined = client.response().await;
        assert_eq!((declined.status, declined.text(), declined.field("connection")), (426, "no", None));
        upstream.follow(Script::ok("plain"));
        assert_eq!(client.get("a", "/").await.text(), "plain");
        assert_eq!(upstream.counts().accepted, 1);
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn a_switch_before_the_request_was_written_breaks_the_protocol() {
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = Rig::start(workers, &[peers.0.local_addr().unwrap()], |draft| {
            draft.listener.http.max_head_bytes = 16 << 20;
        });
        let mut client = rig.client().await;
        // More than the system takes while nobody reads.
        let filler = "x".repeat(12 << 20);
        client.send(UPGRADE.replace("Host: a", &format!("Host: a\r\nX: {filler}"))).await;
        let (stream, _) = timeout(DEADLINE, peers.0.accept()).await.unwrap().unwrap();
        let mut peer = Client::over(stream);
        peer.send(SWITCH).await;
        let answer = client.response().await;
        assert_eq!(
            (answer.status, answer.text()),
            (502, "upstream connect error or disconnect/reset before headers. reset reason: protocol error")
        );
        rig.until_closed().await;
    }
}

#[tokio::test]
async fn the_body_of_an_upgrade_request_is_not_sent_again_into_its_tunnel() {
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = peers.rig(workers, 0);
        let mut client = rig.client().await;
        let head = UPGRADE.replace("GET", "POST").replace("Host: a", "Host: a\r\nContent-Length: 4");
        client.send(format!("{head}body")).await;
        let (mut peer, _) = peers.accept().await;
        assert_eq!(peer.received(4).await.unwrap(), b"body");
        peer.send(SWITCH).await;
        assert_eq!(client.head().await.unwrap().status, 101);
        client.send("tunnelled").await;
        assert_eq!(peer.received(9).await.unwrap(), b"tunnelled");
        drop((client, peer));
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn much_goes_both_ways_whole_and_is_counted() {
    const MUCH: usize = 8 << 20;
    let much: Vec<u8> =
        (0..MUCH).map(|index| u8::try_from((index * 131 + index / 509) % 256).unwrap()).collect();
    for workers in WORKERS {
        let peers = Peers::listen().await;
        let rig = peers.rig(workers, 0);
        let (mut client, mut peer) = tunnel(&rig, &peers).await;
        let numbers = || {
            let numbers = rig.numbers();
            ["downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total"]
                .map(|name| numbers.get(&format!("http.{name}")))
        };
        // What was written is counted after it was: the head of the 101.
        assert!(settle(DEADLINE, || numbers()[1] > 0).await);
        let before = numbers();
        let (up, down) = (client.sender(), peer.sender());
        let ((), (), at_host, at_client) = tokio::join!(
            async { up.send(&much).await.unwrap() },
            async { down.send(&much).await.unwrap() },
            async { peer.received(MUCH).await.unwrap() },
            async { client.received(MUCH).await.unwrap() },
        );
        assert!(at_host == much && at_client == much, "it is not what was sent");
        client.send("and words").await;
        assert_eq!(peer.received(9).await.unwrap(), b"and words");
        drop((client, peer, up, down));
        rig.until_closed().await;
        let after = numbers();
        assert_eq!([after[0] - before[0], after[1] - before[1]], [MUCH as u64 + 9, MUCH as u64]);
    }
}

/// The provocation of a row of the table of local answers.
pub(crate) async fn a_tunnel_that_nobody_uses_is_broken_off(workers: usize) -> (Seen, Expected) {
    let upstream = Upstream::start(Script::always(Behaviour::upgrade_and_echo("x"))).await;
    let stage = Stage::start(workers, &[upstream.address()], |draft| {
        draft.listener.http.upgrade_idle_timeout = Duration::from_millis(40);
    });
    let expected = Expected {
        status: 101,
        flags: "SI",
        details: "stream_idle_timeout",
        counters: &[
            "http.downstream_cx_upgrades_total",
            "http.downstream_rq_idle_timeout",
            "http.downstream_rq_response_before_rq_complete",
            "http.downstream_rq_tx_reset",
            "http.downstream_rq_rx_reset",
            "upstream_rq_101",
            "upstream_rq_1xx",
        ],
        body: "",
        connection: Connection::Broken,
        ..PLAIN
    };
    (stage.judge_switched(&judged("Connection: upgrade\r\nUpgrade: x\r\n")).await, expected)
}
