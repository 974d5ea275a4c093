//! A client that sees every byte, and a server to ask.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fuseboard_httpbin::{Options, Server, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nothing here takes longer unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) async fn start() -> Server {
    serve(Options::on(ANY_PORT)).await.unwrap()
}

/// An instance with other options than the usual.
pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Server {
    let mut options = Options::on(ANY_PORT);
    change(&mut options);
    serve(options).await.unwrap()
}

/// Sends one request with `Connection: close` and reads to the end.
pub(crate) async fn ask(server: &Server, request_line: &str, headers: &[&str], body: &str) -> Answer {
    ask_at(server.addresses()[0], request_line, headers, body).await
}

/// The same of any server.
pub(crate) async fn ask_at(address: SocketAddr, request_line: &str, headers: &[&str], body: &str) -> Answer {
    let talk = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut lines =
            vec![format!("{request_line} HTTP/1.1"), "Host: test".into(), "Connection: close".into()];
        lines.extend(headers.iter().map(|&header| header.to_owned()));
        if !body.is_empty() && !headers.iter().any(|header| header.starts_with("Transfer-Encoding")) {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let request = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        Answer { head: String::from_utf8(bytes[..end].to_vec()).unwrap(), body: bytes[end..].to_vec() }
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("an answer")
}

pub(crate) async fn get(server: &Server, path: &str) -> Answer {
    ask(server, &format!("GET {path}"), &[], "").await
}

pub(crate) async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("to be reached");
}

/// The pieces of a chunked body, and its trailers.
pub(crate) fn chunks(answer: &Answer) -> (Vec<String>, String) {
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let mut rest = std::str::from_utf8(&answer.body).unwrap();
    let mut chunks = Vec::new();
    loop {
        let (size, tail) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (chunks, tail.trim_end().to_owned());
        }
        chunks.push(tail[..size].to_owned());
        rest = &tail[size + 2..];
    }
}

/// The `detail` of a refusal with this status.
pub(crate) async fn refused(server: &Server, path: &str, status: u16) -> String {
    let answer = get(server, path).await;
    assert_eq!(answer.status(), status, "{path}: {}", answer.text());
    answer.json()["detail"].as_str().unwrap().to_owned()
}
