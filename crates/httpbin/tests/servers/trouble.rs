//! Servers that break off, reset, hang, are full or fail from time to time.

use std::io::ErrorKind;
use std::time::Duration;

use fuseboard_httpbin::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, ask, get, refused, start, until};

async fn send(server: &Server, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.addresses()[0]).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn a_crash_breaks_off_after_so_many_bytes() {
    let server = start().await;
    for after in [0, 3, 5_000] {
        let answer = get(&server, &format!("/crash?after={after}")).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("content-length"), Some((after + 1).to_string().as_str()));
        assert_eq!(answer.body.len(), after);
    }
    assert_eq!(refused(&server, "/crash?after=-1", 400).await, "invalid after: -1 not in range [0, 1048576]");
}

#[tokio::test]
async fn a_reset_comes_before_any_byte() {
    let server = start().await;
    let mut socket = send(&server, "/reset").await;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(bytes, b"");
    let control = server.control();
    until(|| control.counts().requests.active == 0 && control.counts().connections.active == 0).await;
}

#[tokio::test]
async fn who_hangs_is_left_by_going_away() {
    let server = start().await;
    let control = server.control();
    let mut socket = send(&server, "/hang").await;
    until(|| control.counts().requests.active == 1).await;
    let nothing = tokio::time::timeout(Duration::from_millis(50), socket.read_u8()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    drop(socket);
    until(|| control.counts().requests.active == 0).await;
}

#[tokio::test]
async fn a_full_server_runs_some_lets_some_wait_and_refuses_the_others() {
    let server = start().await;
    let path = "/concurrency?max=1&queue=1&duration=200ms";
    let (control, first) = (server.control(), get(&server, path));
    let others = async {
        until(|| control.counts().requests.active == 1).await;
        let second = get(&server, path);
        let third = async {
            until(|| control.counts().requests.active == 2).await;
            get(&server, path).await
        };
        tokio::join!(second, third)
    };
    let (first, (second, third)) = tokio::join!(first, others);
    assert_eq!([first.status(), second.status(), third.status()], [200, 200, 503]);
    assert_eq!(third.json()["error"], "no place");
    assert_ne!(second.json()["waited"], "0s");
    // Places come back, also from who goes away.
    drop(send(&server, path).await);
    until(|| control.counts().connections.active == 0).await;
    assert_eq!(get(&server, "/concurrency?max=1&queue=1&duration=1ms").await.status(), 200);
    assert_eq!(refused(&server, "/concurrency?max=0", 400).await, "invalid max: 0 not in range [1, 10000]");
}

#[tokio::test]
async fn something_flaky_is_bad_in_the_first_part_of_its_cycle() {
    let server = start().await;
    let bad = get(&server, "/flaky?period=1h&bad=1h&status=500").await;
    assert_eq!((bad.status(), bad.json()["healthy"].as_bool()), (500, Some(false)));
    assert_eq!(get(&server, "/flaky?period=1h&bad=0").await.status(), 200);
    assert_eq!(get(&server, "/flaky").await.status(), 503);
    assert_eq!(
        refused(&server, "/flaky?period=1s&bad=2s", 400).await,
        "invalid bad: 2s of every 1s cannot be"
    );
}

#[tokio::test]
async fn an_echo_is_closed_compressed_and_cut_as_asked() {
    let server = start().await;
    let zipped = ask(&server, "POST /echo?gzip=true", &["Accept-Encoding: gzip"], "hello").await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(get(&server, "/echo?gzip=true").await.header("content-encoding"), None);
    assert_eq!(get(&server, "/echo?size=99999999").await.body.len(), 1 << 20);
    let mut kept = send(&server, "/echo?close=true").await;
    let mut bytes = Vec::new();
    // Without the close it would stay open.
    tokio::time::timeout(PATIENCE, kept.read_to_end(&mut bytes)).await.unwrap().unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("\r\nConnection: close\r\n"));
    let all = refused(&server, "/echo?status=abc&delay=x", 400).await;
    assert!(all.contains("status: \"abc\"") && all.contains("delay: \"x\""), "{all}");
}
