//! Clients that connect, show that they are served, and say nothing any more.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use fuseboard_testkit::http2::frames::{END_STREAM, Frame, kind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, Stream};

use super::row::Front;

/// What the bench itself needs of open files, and a contender beside its connections.
const SPARE: u64 = 250;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: origin\r\n\r\n";
/// The preface of HTTP/2, settings without a word, and `GET / http://origin` as stream 1: `:method`, `:scheme` and `:path` of
/// the static table, `:authority` as a literal.
const H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x84\x01\x06origin";

/// Lets this process and its children open as many files as they may; how many that is.
pub(super) fn raise_limit_of_files() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections can be held where `wanted` are.
pub(super) fn affordable(front: Front, wanted: usize) -> usize {
    // With TCP each has another one to the host, in the proxy and here.
    let each = if front == Front::Tcp { 2 } else { 1 };
    let files = raise_limit_of_files().saturating_sub(SPARE) / each;
    wanted.min(usize::try_from(files).unwrap_or(wanted))
}

/// So many connections to `address`, each of which was served once.
pub(super) fn connect(
    address: SocketAddr,
    front: Front,
    tls: &Arc<ClientConfig>,
    connections: usize,
) -> anyhow::Result<Vec<TcpStream>> {
    let mut held = Vec::with_capacity(connections);
    for number in 0..connections {
        let one = one(address, front, tls).with_context(|| format!("connection {number}"))?;
        held.push(one);
    }
    Ok(held)
}

fn one(address: SocketAddr, front: Front, tls: &Arc<ClientConfig>) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)?;
    match front {
        Front::Tcp => stream.write_all(GET)?,
        Front::Http1 => answered(&mut stream)?,
        Front::Http2 => {
            stream.write_all(H2)?;
            end_of_first_stream(&mut stream)?;
        }
        Front::Tls | Front::MutualTls => {
            let mut session = ClientConnection::new(Arc::clone(tls), "origin".try_into()?)?;
            answered(&mut Stream::new(&mut session, &mut stream))?;
        }
    }
    Ok(stream)
}

fn answered(stream: &mut (impl std::io::Read + std::io::Write)) -> anyhow::Result<()> {
    stream.write_all(GET)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.ends_with(b"hello\n") {
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "the connection ended");
        answer.extend_from_slice(&chunk[..read]);
    }
    Ok(())
}

/// Reads frames up to the one that ends the answer.
fn end_of_first_stream(stream: &mut TcpStream) -> anyhow::Result<()> {
    loop {
        let frame = Frame::read(stream)?;
        if frame.kind == kind::DATA && frame.flags & END_STREAM != 0 && frame.stream == 1 {
            return Ok(());
        }
    }
}
