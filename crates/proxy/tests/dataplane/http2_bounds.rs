//! Clients of HTTP/2 that take more than they may, or do not go when they are asked to: raw frames, because no client does so by
//! itself.

use std::time::{Duration, Instant};

use fuseboard_proxy::ProxyOptions;
use fuseboard_testkit::{Behaviour, Client, DEADLINE, Script, Upstream};

use crate::rig::judge::held;
use crate::rig::{Rig, WORKERS, limits, options};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// What RFC 9113 calls `REFUSED_STREAM`, and `CANCEL`.
const REFUSED: [u8; 4] = [0, 0, 0, 7];
const CANCEL: [u8; 4] = [0, 0, 0, 8];

struct Frame {
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET / HTTP/2`, whole. The first stream of a client is number 0 here.
fn request(number: u32) -> Vec<u8> {
    // Three fields of HPACK's static table, and `:authority: a`.
    frame(HEADERS, 0x4 | 0x1, id(number), &[0x82, 0x86, 0x84, 0x01, 0x01, b'a'])
}

const fn id(number: u32) -> u32 {
    2 * number + 1
}

/// A connection, and what was read of it and not looked at yet.
struct Raw {
    client: Client,
    ahead: Vec<u8>,
}

impl Raw {
    async fn connect(rig: &Rig) -> Self {
        let mut client = rig.client().await;
        client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, &[])].concat()).await;
        Self { client, ahead: Vec::new() }
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        self.client.send(bytes).await;
    }

    /// The next frame of this kind. May be given up and asked for again.
    async fn next(&mut self, kind: u8) -> Frame {
        loop {
            self.fill(9).await;
            let length = u32::from_be_bytes([0, self.ahead[0], self.ahead[1], self.ahead[2]]);
            let whole = 9 + usize::try_from(length).unwrap();
            self.fill(whole).await;
            let rest = self.ahead.split_off(whole);
            let frame = std::mem::replace(&mut self.ahead, rest);
            if frame[3] == kind {
                let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
                return Frame { stream, payload: frame[9..].to_vec() };
            }
        }
    }

    async fn fill(&mut self, count: usize) {
        while self.ahead.len() < count {
            let more = self.client.received(1).await.unwrap();
            assert!(!more.is_empty(), "the end of the connection");
            self.ahead.extend(more);
        }
    }
}

/// Waits for the proxy's end elsewhere, so that the test's upstreams go on.
async fn joined(rig: Rig) {
    let join = tokio::task::spawn_blocking(move || rig.proxy.join());
    tokio::time::timeout(DEADLINE, join).await.expect("the proxy ends").unwrap();
}

#[tokio::test]
async fn a_connection_has_1024_streams_and_only_the_next_one_is_refused() {
    for workers in WORKERS {
        let (_gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, u32::MAX, u32::MAX);
        });
        let mut client = Raw::connect(&rig).await;
        let told = client.next(SETTINGS).await;
        assert!(told.payload.chunks(6).any(|setting| setting == [0, 3, 0, 0, 4, 0]), "{:?}", told.payload);

        client.send((0..1024).flat_map(request).collect::<Vec<u8>>()).await;
        rig.until_pending(1023).await;
        client.send(request(1024)).await;
        let refused = client.next(RST_STREAM).await;
        assert_eq!((refused.stream, &refused.payload[..]), (id(1024), &REFUSED[..]));
        rig.until_pending(1023).await;

        // One that ends makes room for one.
        client.send(frame(RST_STREAM, 0, id(1023), &CANCEL)).await;
        rig.until_pending(1022).await;
        client.send([request(1025), request(1026)].concat()).await;
        assert_eq!(client.next(RST_STREAM).await.stream, id(1026));
        rig.until_pending(1023).await;
        drop(client);
        rig.until_idle().await;
        assert_eq!(upstream.counts().requests, 1, "one had the connection, the others waited");
    }
}

#[tokio::test]
async fn who_ignores_goaway_gets_no_stream_any_more_and_is_cut_off_when_the_drain_time_is_over() {
    for workers in WORKERS {
        let drain_time = Duration::from_millis(500);
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let options = ProxyOptions { drain_time, ..options(workers) };
        let rig = Rig::start_with(options, &[upstream.address()], |_| {});
        let mut client = Raw::connect(&rig).await;
        client.send(request(0)).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        rig.proxy.drain();
        let began = Instant::now();
        client.next(GOAWAY).await;
        let ping = client.next(PING).await;
        client.send(frame(PING, 0x1, 0, &ping.payload)).await;
        client.next(GOAWAY).await;
        for number in 1..10 {
            let _ = client.client.try_send(request(number)).await;
        }
        joined(rig).await;
        assert!(began.elapsed() >= drain_time / 2, "what ran had its time: {:?}", began.elapsed());
        assert_eq!(upstream.counts().requests, 1);
        upstream.until(|counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn who_is_asked_to_go_and_has_nothing_to_wait_for_does_not_hold_the_drain() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = Raw::connect(&rig).await;
    client.send(request(0)).await;
    client.next(HEADERS).await;
    rig.proxy.drain();
    // Not even the question with the farewell is answered.
    client.next(GOAWAY).await;
    let began = Instant::now();
    let join = tokio::task::spawn_blocking(move || rig.proxy.join());
    tokio::time::timeout(Duration::from_secs(30), join).await.expect("45 s would be the bound").unwrap();
    assert!(began.elapsed() >= Duration::from_secs(4), "it had its time: {:?}", began.elapsed());
    client.client.closed().await;
}

#[tokio::test]
async fn who_never_answers_the_farewell_may_open_streams_for_a_moment_and_what_runs_is_finished() {
    let test = async |workers| {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = Raw::connect(&rig).await;
        client.send(request(0)).await;
        upstream.until(|counts| counts.in_flight == 1).await;
        rig.proxy.drain();
        let began = Instant::now();
        client.next(GOAWAY).await;
        client.next(PING).await;
        client.send(request(1)).await;
        upstream.until(|counts| counts.in_flight == 2).await;

        let mut number = 1;
        let refused = loop {
            number += 1;
            client.send(request(number)).await;
            let said = client.next(RST_STREAM);
            if let Ok(refused) = tokio::time::timeout(Duration::from_millis(100), said).await {
                break refused;
            }
        };
        assert_eq!(refused.payload, REFUSED);
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(4), "what was on its way had its time: {waited:?}");
        let served = usize::try_from((refused.stream - 1) / 2).unwrap();
        upstream.until(|counts| counts.requests == served).await;
        for number in number + 1..number + 5 {
            client.send(request(number)).await;
            assert_eq!(client.next(RST_STREAM).await.payload, REFUSED);
        }
        gate.open();
        for _ in 0..served {
            client.next(HEADERS).await;
        }
        let farewell = client.next(GOAWAY).await;
        assert_eq!(farewell.payload[4..8], [0; 4], "no error");
        joined(rig).await;
        assert_eq!(upstream.counts().requests, served);
    };
    let [one, several] = WORKERS;
    tokio::join!(test(one), test(several));
}
