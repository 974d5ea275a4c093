//! fortio's servers.

use std::net::SocketAddr;

use fuseboard_httpbin::{Fortio, FortioOptions, serve_fortio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::client::{ANY_PORT, PATIENCE, ask_at};

async fn start(change: impl FnOnce(&mut FortioOptions)) -> Fortio {
    let any = Some(ANY_PORT);
    let mut options =
        FortioOptions { http: any, tcp: any, udp: any, redirect: any, ..FortioOptions::default() };
    change(&mut options);
    serve_fortio(options).await.unwrap()
}

fn address(fortio: &Fortio, name: &str) -> SocketAddr {
    fortio.listening().iter().find(|one| one.name == name).unwrap().address
}

#[tokio::test]
async fn every_path_echoes() {
    let fortio = start(|_| {}).await;
    let http = address(&fortio, "http-echo");
    let kind = "Content-Type: text/plain";
    let answer = ask_at(http, "POST /any/path?status=418&header=X-A:b", &[kind], "hello").await;
    assert_eq!((answer.status(), answer.text(), answer.header("x-a")), (418, "hello", Some("b")));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(ask_at(http, "GET /?size=5", &[], "").await.body.len(), 5);
    assert_eq!(ask_at(http, "GET /fortio/", &[], "").await.body.len(), 0);
    let refused = ask_at(http, "GET /?status=abc&close=often", &[], "").await;
    assert_eq!(
        (refused.status(), refused.text()),
        (
            400,
            "status: \"abc\" is not a status between 200 and 999\n\
             close: \"often\" is not a percentage between 0 and 100\n"
        )
    );
}

#[tokio::test]
async fn bounds_and_a_usual_query_hold() {
    let fortio = start(|options| {
        options.max_size = 10;
        options.max_delay = std::time::Duration::from_millis(1);
        options.usual_query = "status=503".into();
    })
    .await;
    let http = address(&fortio, "http-echo");
    assert_eq!(ask_at(http, "GET /x", &[], "").await.status(), 503);
    let answer = ask_at(http, "GET /?size=11&delay=1h", &[], "").await;
    assert_eq!((answer.status(), answer.body.len()), (200, 10));
}

#[tokio::test]
async fn the_debug_page_shows_the_request_and_no_environment() {
    let fortio = start(|_| {}).await;
    let http = address(&fortio, "http-echo");
    let answer = ask_at(http, "POST /debug?env=dump&status=404", &["X-B: 1", "X-A: 2"], "a\"\u{1}").await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/plain; charset=UTF-8")));
    let page = answer.text().split_once("\n\n").unwrap().1;
    assert_eq!(
        page,
        "POST /debug?env=dump&status=404 HTTP/1.1\n\nheaders:\n\n\
         Host: test\nConnection: close\nContent-Length: 3\nX-A: 2\nX-B: 1\n\nbody:\n\na\\\"\\x01\n"
    );
    let without = start(|options| options.debug_path = String::new()).await;
    assert_eq!(ask_at(address(&without, "http-echo"), "GET /debug", &[], "").await.body.len(), 0);
}

#[tokio::test]
async fn the_redirector_changes_the_scheme_only() {
    let fortio = start(|_| {}).await;
    let answer = ask_at(address(&fortio, "https redirector"), "GET /a?b=c&d", &[], "").await;
    assert_eq!((answer.status(), answer.header("location")), (303, Some("https://test/a?b=c&d")));
    assert_eq!(answer.text(), "<a href=\"https://test/a?b=c&amp;d\">See Other</a>.\n\n");
}

#[tokio::test]
async fn bytes_come_back_over_tcp_and_udp() {
    let fortio = start(|_| {}).await;
    let mut stream = TcpStream::connect(address(&fortio, "tcp-echo")).await.unwrap();
    stream.write_all(b"over tcp").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes, b"over tcp");

    let socket = UdpSocket::bind(ANY_PORT).await.unwrap();
    let mut buffer = [0; 16];
    socket.send_to(b"over udp", address(&fortio, "udp-echo")).await.unwrap();
    let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..received], b"over udp");
}

#[tokio::test]
async fn a_stop_ends_them_all() {
    let fortio = start(|_| {}).await;
    let (http, tcp) = (address(&fortio, "http-echo"), address(&fortio, "tcp-echo"));
    let mut open = TcpStream::connect(tcp).await.unwrap();
    open.write_all(b"x").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'x');
    fortio.stop().await;
    assert!(TcpStream::connect(http).await.is_err() && TcpStream::connect(tcp).await.is_err());
    assert_eq!(tokio::time::timeout(PATIENCE, open.read(&mut [0])).await.unwrap().unwrap(), 0);
}
