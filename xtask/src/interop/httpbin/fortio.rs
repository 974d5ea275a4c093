//! Requests for fortio's servers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::case::{Case, Part};
use super::wire;
use crate::process;

/// Requests for each query of [`SHARES`].
pub(super) const ROUNDS: usize = 400;
/// Queries of which a share of answers is not 200, and how many of [`ROUNDS`] may be so: five standard deviations.
pub(super) const SHARES: [(&str, usize, usize); 3] =
    [("status=503:20,429:5", 57, 143), ("status=503:50.5%25", 152, 252), ("status=503:100", 400, 400)];

const PATIENCE: Duration = Duration::from_secs(5);

/// Where a real fortio serves.
pub(super) struct Ports {
    pub(super) http: SocketAddr,
    pub(super) tcp: SocketAddr,
    pub(super) redirect: SocketAddr,
}

impl Ports {
    pub(super) fn free() -> anyhow::Result<Self> {
        Ok(Self {
            http: process::free_address()?,
            tcp: process::free_address()?,
            redirect: process::free_address()?,
        })
    }

    /// UDP echo has the number of TCP echo, as fortio's default has it.
    pub(super) fn arguments(&self) -> Vec<String> {
        let Self { http, tcp, redirect } = self;
        let line = format!(
            "server -http-port {http} -tcp-port {tcp} -udp-port {tcp} -redirect-port {redirect} -grpc-port disabled \
             -loglevel Error"
        );
        line.split_whitespace().map(str::to_owned).collect()
    }
}

pub(super) fn echoes() -> Vec<Case> {
    let text = "Content-Type: text/plain";
    let post = |query: &str| Case::new(format!("POST /any/path{query}")).header(text).body("hello");
    let refused = |query: &str| {
        Case::new(format!("GET /{query}"))
            .but("F1", Part::Status)
            .but("F1", Part::Body)
            .but("F1", Part::Header("content-type"))
    };
    let mut cases: Vec<Case> = [
        "",
        "?status=503",
        "?status=700",
        "?status=418:100",
        "?status=503:0",
        "?delay=10ms",
        "?delay=1ms:100",
        "?delay=-1s",
        "?close=true",
        "?close=100",
        "?close=0",
        "?header=X-A:b&header=x-c:d&header=X-A:e",
        "?header=Content-Type:a/b",
        "?header=",
        "?size=0",
        "?size=-5",
        "?gzip=true",
        "?status=",
        "?unknown=1",
    ]
    .into_iter()
    .map(post)
    .collect();
    for query in ["?size=5", "?size=5:100", "?size=300000", "?size=100&header=Content-Type:a/b&status=404"] {
        cases.push(post(query).random());
    }
    cases.push(post("?gzip=true").header("Accept-Encoding: gzip").packed());
    cases.push(post("?gzip=0").header("Accept-Encoding: gzip"));
    cases.push(Case::new("GET /"));
    cases.push(Case::new("HEAD /x"));
    cases.push(Case::new("OPTIONS /"));
    cases.push(Case::new("POST /").body("x").but("F2", Part::Header("content-type")));
    cases.push(
        Case::new("POST /").header(text).header("Transfer-Encoding: chunked").body("3\r\nabc\r\n0\r\n\r\n"),
    );
    cases.push(Case::new("GET /?status=abc").but("F1", Part::Body).but("F1", Part::Header("content-type")));
    cases.push(
        Case::new("GET /?status=503:60,429:60").but("F1", Part::Body).but("F1", Part::Header("content-type")),
    );
    for query in ["?delay=x", "?size=x", "?close=often", "?gzip=x:10", "?header=x"] {
        cases.push(refused(query));
    }
    cases.push(
        Case::new("GET /debug").header("X-B: 1").header("X-A: 2").header("X-B: 3").but("F3", Part::Body),
    );
    cases.push(
        Case::new("POST /debug?header=X-A:b&status=404").body("a\"b\n\u{1}\u{e9}").but("F3", Part::Body),
    );
    cases
}

pub(super) fn redirects() -> Vec<Case> {
    vec![Case::new("GET /a/b?c=d&e=%3Cf%3E'"), Case::new("POST /a"), Case::new("HEAD /a")]
}

/// What a TCP echo gives back until its end.
pub(super) fn tcp(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"over tcp")?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What a UDP echo gives back.
pub(super) fn udp(address: SocketAddr) -> anyhow::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"over udp", address)?;
    let mut buffer = [0; 64];
    let (length, _) = socket.recv_from(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// How many of [`ROUNDS`] answers are not 200.
pub(super) fn share(address: SocketAddr, query: &str) -> anyhow::Result<usize> {
    let request = format!("GET /?{query} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let mut other = 0;
    for _ in 0..ROUNDS {
        other += usize::from(wire::ask(address, request.as_bytes())?.status != 200);
    }
    Ok(other)
}
