//! Answers in pieces.

use std::time::{Duration, Instant};

use crate::client::{ask, chunks, get, refused, start};

#[tokio::test]
async fn a_stream_has_a_line_for_each_number() {
    let server = start().await;
    let (lines, _) = chunks(&get(&server, "/stream/3?h=%3C").await);
    let text = lines.concat();
    let ids: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, [0, 1, 2]);
    assert!(text.contains("\"h\":[\"\\u003c\"]"), "{text}");
    assert_eq!(chunks(&get(&server, "/stream/0").await).0.concat().lines().count(), 1);
    assert_eq!(chunks(&get(&server, "/stream/1000").await).0.concat().lines().count(), 100);
}

#[tokio::test]
async fn events_come_over_their_time_and_tell_it_at_the_end() {
    let server = start().await;
    let started = Instant::now();
    let answer = ask(&server, "GET /sse?count=3&duration=40ms&delay=10ms", &["TE: trailers"], "").await;
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let (events, trailers) = chunks(&answer);
    assert_eq!(events.len(), 3);
    assert!(
        events[2].starts_with("event: ping\ndata: {\"id\":2,\"timestamp\":") && events[2].ends_with("}\n\n")
    );
    assert!(trailers.starts_with("Server-Timing: total_duration;dur="), "{trailers}");
    assert_eq!(refused(&server, "/sse?count=0", 400).await, "invalid count: must in range [1, 18724]");
    assert_eq!(
        refused(&server, "/sse?duration=0", 400).await,
        "invalid duration: duration 0s shorter than 1ns"
    );
    assert_eq!(refused(&server, "/sse?jitter=2", 400).await, "invalid jitter: must be a float in [0, 1]");
    assert_eq!(get(&server, "/sse?duration=9s&delay=2s").await.text(), "Too much time\n");
}

#[tokio::test]
async fn json_lines_are_as_many_as_asked_for() {
    let server = start().await;
    let answer = get(&server, "/jsonl?count=4&duration=20ms&jitter=0.5").await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson; charset=utf-8"));
    assert_eq!(chunks(&answer).0.concat().lines().count(), 4);
    assert_eq!(chunks(&get(&server, "/jsonl").await).0.concat().lines().count(), 10);
}

#[tokio::test]
async fn trailers_follow_the_body_for_who_wants_them() {
    let server = start().await;
    let answer = ask(&server, "GET /trailers?x-a=1&x-b=2", &["TE: trailers"], "").await;
    let (body, trailers) = chunks(&answer);
    assert_eq!(answer.header("trailer"), Some("X-A, X-B"));
    assert_eq!(trailers, "X-A: 1\r\nX-B: 2");
    assert!(body.concat().contains("\"x-a\""));
    assert_eq!(chunks(&get(&server, "/trailers?x-a=1").await).1, "");
    assert_eq!(refused(&server, "/trailers?Content-Type=x", 400).await, "forbidden trailer: Content-Type");
}

#[tokio::test]
async fn streamed_bytes_come_in_chunks() {
    let server = start().await;
    let raw = async |path: &str| get(&server, path).await;
    let (whole, streamed) =
        (raw("/bytes/100?seed=1").await, raw("/stream-bytes/100?seed=1&chunk_size=30").await);
    assert_eq!(whole.header("content-length"), Some("100"));
    assert_eq!(streamed.header("transfer-encoding"), Some("chunked"));
    // Three chunks of 30 bytes, one of 10, and the end.
    assert_eq!(streamed.body.len(), 3 * (4 + 30 + 2) + (3 + 10 + 2) + 5);
    assert_eq!(raw("/stream-bytes/0").await.header("content-length"), Some("0"));
    assert!(refused(&server, "/stream-bytes/5?chunk_size=x", 400).await.starts_with("invalid chunk_size: "));
}
