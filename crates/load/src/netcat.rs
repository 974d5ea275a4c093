//! One connection from hand to hand: what comes in goes to a TCP or UDP server, what the server sends goes out. Blocking
//! and on two threads, because standard input can be read in no other way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long answers of a UDP server are waited for after the input has ended; as in fortio.
const LAST_ANSWERS: Duration = Duration::from_millis(400);
/// How often a UDP server's silence is interrupted to see whether the input has ended.
const GLANCE: Duration = Duration::from_millis(20);

/// A server to talk to: `host:port`, with `tcp://` or `udp://` in front if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    udp: bool,
    host_and_port: String,
}

/// Why there was no talk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetcatError {
    /// The server has no port.
    #[error("{0}: not of the form host:port, with tcp:// or udp:// in front if need be")]
    Malformed(String),
    /// Nobody is there.
    #[error("no connection to {peer}: {source}")]
    Connect {
        /// The server.
        peer: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It broke off.
    #[error("the connection to {peer} broke off: {source}")]
    Broken {
        /// The server.
        peer: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Peer {
    /// Reads `host:port`.
    pub fn parse(text: &str) -> Result<Self, NetcatError> {
        let (udp, rest) = match text.strip_prefix("udp://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("tcp://").unwrap_or(text)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let is_whole =
            rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if is_whole && !rest.contains("://") {
            return Ok(Self { udp, host_and_port: rest.to_owned() });
        }
        Err(NetcatError::Malformed(text.to_owned()))
    }

    /// Talks until the server ends the connection; with `wait_for_input` also until the input has ended. A UDP server,
    /// which cannot end anything, is listened to for 0.4 s after the input has ended.
    pub fn talk(
        &self,
        input: impl Read + Send + 'static,
        output: &mut dyn Write,
        wait_for_input: bool,
    ) -> Result<(), NetcatError> {
        let peer = || self.host_and_port.clone();
        let connect = |source| NetcatError::Connect { peer: peer(), source };
        let addresses = self.addresses().map_err(connect)?;
        if self.udp {
            let socket = over_udp(&addresses).map_err(connect)?;
            return talk_udp(&socket, input, output)
                .map_err(|source| NetcatError::Broken { peer: peer(), source });
        }
        let socket = TcpStream::connect(addresses.as_slice()).map_err(connect)?;
        talk_tcp(&socket, input, output, wait_for_input)
            .map_err(|source| NetcatError::Broken { peer: peer(), source })
    }

    /// IPv4 first, as everywhere here.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<SocketAddr> = self.host_and_port.to_socket_addrs()?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    }
}

fn talk_tcp(
    socket: &TcpStream,
    mut input: impl Read + Send + 'static,
    output: &mut dyn Write,
    wait_for_input: bool,
) -> io::Result<()> {
    let mut to = socket.try_clone()?;
    let ended = in_background(move || {
        let copied = copy(&mut input, &mut to);
        // A server that is gone has nothing left to be told.
        let _ = to.shutdown(Shutdown::Write);
        copied
    })?;
    copy(&mut &*socket, output)?;
    if wait_for_input {
        // Whoever is gone has sent all that it could.
        let _ = ended.recv();
    }
    Ok(())
}

fn over_udp(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let socket = UdpSocket::bind(if v6 { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.connect(addresses)?;
    socket.set_read_timeout(Some(GLANCE))?;
    Ok(socket)
}

fn talk_udp(
    socket: &UdpSocket,
    mut input: impl Read + Send + 'static,
    output: &mut dyn Write,
) -> io::Result<()> {
    struct Datagrams(UdpSocket);
    impl Write for Datagrams {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut to = Datagrams(socket.try_clone()?);
    let ended = in_background(move || copy(&mut input, &mut to))?;
    let mut until = None;
    let mut buffer = vec![0; 64 * 1024];
    while until.is_none_or(|until| Instant::now() < until) {
        match socket.recv(&mut buffer) {
            Ok(count) => {
                output.write_all(&buffer[..count])?;
                output.flush()?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if until.is_none()
            && let Ok(sent) = ended.try_recv()
        {
            sent?;
            until = Some(Instant::now() + LAST_ANSWERS);
        }
    }
    Ok(())
}

/// Runs on a thread that nobody has to wait for.
fn in_background(
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<Receiver<io::Result<()>>> {
    let (ended, told) = mpsc::sync_channel(1);
    let run = move || {
        // The other side may have stopped listening.
        let _ = ended.send(work());
    };
    thread::Builder::new().name("input".into()).spawn(run)?;
    Ok(told)
}

/// As it comes: nothing waits in a buffer for more.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        for text in ["h:1", "tcp://h:1", "tcp://h:1/", "[::1]:1"] {
            assert!(Peer::parse(text).is_ok_and(|peer| !peer.udp), "{text}");
        }
        assert!(Peer::parse("udp://h:1").is_ok_and(|peer| peer.udp));
        for text in ["h", ":1", "h:x", "http://h:1", "h:70000", ""] {
            assert!(matches!(Peer::parse(text), Err(NetcatError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn what_is_said_over_tcp_comes_back_and_the_end_is_passed_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut heard = String::new();
            // Ends because the input ended.
            socket.read_to_string(&mut heard).unwrap();
            write!(socket, "heard {heard}").unwrap();
        });
        let mut said = Vec::new();
        peer.talk(&b"hello"[..], &mut said, false).unwrap();
        server.join().unwrap();
        assert_eq!(said, b"heard hello");
    }

    #[test]
    fn a_server_that_ends_ends_the_talk_though_the_input_goes_on() {
        struct Endless(Receiver<()>);
        impl Read for Endless {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(0)
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"bye").unwrap();
        });
        let (_keep_open, input) = mpsc::channel();
        let mut said = Vec::new();
        peer.talk(Endless(input), &mut said, false).unwrap();
        server.join().unwrap();
        assert_eq!(said, b"bye");
    }

    #[test]
    fn what_is_said_over_udp_comes_back() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = Peer::parse(&format!("udp://{}", server.local_addr().unwrap())).unwrap();
        let server = thread::spawn(move || {
            let mut buffer = [0; 100];
            let (count, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..count], from).unwrap();
        });
        let mut said = Vec::new();
        peer.talk(&b"hello"[..], &mut said, false).unwrap();
        server.join().unwrap();
        assert_eq!(said, b"hello");
    }

    #[test]
    fn nobody_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Peer::parse(&address).unwrap().talk(io::empty(), &mut io::sink(), false).unwrap_err();
        assert!(error.to_string().starts_with(&format!("no connection to {address}: ")), "{error}");
    }
}
