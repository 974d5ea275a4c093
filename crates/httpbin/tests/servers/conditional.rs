//! What a client has already, and parts of it.

use crate::client::{ask, get, refused, start};

#[tokio::test]
async fn a_cache_that_has_something_keeps_it() {
    let server = start().await;
    let fresh = get(&server, "/cache").await;
    assert!(fresh.header("etag").unwrap().starts_with('"') && fresh.header("last-modified").is_some());
    assert_eq!(ask(&server, "GET /cache", &["If-None-Match: x"], "").await.status(), 304);
    assert_eq!(get(&server, "/cache/60").await.header("cache-control"), Some("public, max-age=60"));
}

#[tokio::test]
async fn an_entity_tag_decides() {
    let server = start().await;
    let status = async |header: &str| ask(&server, "GET /etag/v1", &[header], "").await.status();
    assert_eq!(get(&server, "/etag/v1").await.header("etag"), Some("\"v1\""));
    assert_eq!(status("If-None-Match: W/\"v1\"").await, 304);
    assert_eq!(status("If-None-Match: \"v2\"").await, 200);
    assert_eq!(status("If-Match: \"v1\"").await, 200);
    assert_eq!(status("If-Match: \"v2\"").await, 412);
    assert_eq!(status("Range: bytes=0-9").await, 206);
}

#[tokio::test]
async fn a_range_is_a_part_and_several_are_parts() {
    let server = start().await;
    let range =
        async |range: &str| ask(&server, "GET /range/26", &[&format!("Range: bytes={range}")], "").await;
    let whole = get(&server, "/range/28").await;
    assert_eq!((whole.status(), whole.text()), (200, "abcdefghijklmnopqrstuvwxyzab"));
    assert_eq!((whole.header("etag"), whole.header("accept-ranges")), (Some("range28"), Some("bytes")));
    let part = range("23-99").await;
    assert_eq!((part.status(), part.text()), (206, "xyz"));
    assert_eq!(part.header("content-range"), Some("bytes 23-25/26"));
    let parts = range("0-1,-1").await;
    let boundary = parts.header("content-type").unwrap().rsplit_once('=').unwrap().1;
    let kind = "Content-Type: text/plain; charset=utf-8";
    assert_eq!(
        parts.text(),
        format!(
            "--{boundary}\r\nContent-Range: bytes 0-1/26\r\n{kind}\r\n\r\nab\r\n\
             --{boundary}\r\nContent-Range: bytes 25-25/26\r\n{kind}\r\n\r\nz\r\n--{boundary}--\r\n"
        )
    );
    let beyond = range("26-").await;
    assert_eq!((beyond.status(), beyond.text()), (416, "invalid range: failed to overlap\n"));
    assert_eq!(beyond.header("content-range"), Some("bytes */26"));
    assert_eq!((range("x").await.status(), range("0-25,1-2").await.status()), (416, 200));
    assert_eq!(refused(&server, "/range/0", 400).await, "invalid count: 0 not in range [1, 1048576]");
}
