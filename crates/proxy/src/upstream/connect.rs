//! Opening a connection: what can go wrong, and whose fault it is. The time allowed is the exchange's to watch.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use fuseboard_admin::logging::logger;
use fuseboard_snapshot::TcpKeepalive;
use fuseboard_tls::{Failure, ProtocolError, Session};
use socket2::SockRef;
use tokio::net::TcpStream;
use tracing::debug;

use crate::stats::{ClusterStats, HostStats};
use crate::stream::Stream;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The host refused, or is not reachable.
    Remote(io::Error),
    /// We could not even try: out of descriptors, ports or memory.
    Local(io::Error),
    /// It was there, and the two did not come to terms.
    Handshake(Failure),
}

impl ConnectError {
    fn of(error: io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            K::ConnectionRefused
            | K::ConnectionReset
            | K::ConnectionAborted
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::TimedOut => Self::Remote(error),
            _ => Self::Local(error),
        }
    }
}

/// Counts a connection to a host that was not made. `late`: for want of time.
pub(crate) fn count_not_connected(stats: &ClusterStats, at_host: &HostStats, late: bool) {
    stats.upstream_cx_connect_fail.inc();
    stats.upstream_rq_pending_failure_eject.inc();
    at_host.cx_connect_fail.inc();
    // It was counted when it began, so it is counted when it ends: what began and did not end is there.
    stats.upstream_cx_destroy.inc();
    if late {
        stats.upstream_cx_connect_timeout.inc();
        stats.upstream_cx_destroy_local.inc();
    } else {
        stats.upstream_cx_destroy_remote.inc();
    }
}

/// Connects to `address`, sends `preface` as it is, and goes through `session` if there is to be one. One that could not even begin is
/// a handshake that failed.
pub(crate) async fn open(
    address: SocketAddr,
    keepalive: Option<TcpKeepalive>,
    preface: &[u8],
    session: Option<Result<Box<Session>, ProtocolError>>,
) -> Result<Stream, ConnectError> {
    let session = session.transpose().map_err(|error| ConnectError::Handshake(Failure::Protocol(error)))?;
    let mut stream = Stream::plain(connect(address, keepalive).await?);
    let mut sent = 0;
    while sent < preface.len() {
        match poll_fn(|cx| stream.poll_write(cx, &preface[sent..])).await {
            Ok(n) if n > 0 => sent += n,
            Ok(_) => return Err(ConnectError::Remote(io::ErrorKind::ConnectionReset.into())),
            Err(error) => return Err(ConnectError::Remote(error)),
        }
    }
    if let Some(session) = session {
        stream.secure(session);
        if let Err(error) = poll_fn(|cx| stream.poll_handshake(cx)).await {
            let failure = Failure::of(error);
            debug!(target: logger::POOL, "no TLS with {address}: {failure}");
            return Err(ConnectError::Handshake(failure));
        }
    }
    Ok(stream)
}

/// Connects to `address` and sets the socket's options.
async fn connect(address: SocketAddr, keepalive: Option<TcpKeepalive>) -> Result<TcpStream, ConnectError> {
    let stream = TcpStream::connect(address).await.map_err(|error| {
        debug!(target: logger::POOL, "no connection to {address}: {error}");
        ConnectError::of(error)
    })?;
    debug!(target: logger::POOL, "connected to {address}");
    // Requests are written whole. Without the option they are only slower, so a failure is no reason to fail the request.
    drop(stream.set_nodelay(true));
    if let Some(keepalive) = keepalive {
        keep_alive(&stream, keepalive);
    }
    Ok(stream)
}

/// Values that the system does not take are left at its own.
fn keep_alive(stream: &TcpStream, wanted: TcpKeepalive) {
    let mut options = socket2::TcpKeepalive::new();
    if let Some(time) = wanted.time {
        options = options.with_time(time);
    }
    if let Some(interval) = wanted.interval {
        options = options.with_interval(interval);
    }
    if let Some(probes) = wanted.probes {
        options = options.with_retries(probes);
    }
    let socket = SockRef::from(stream);
    drop(socket.set_keepalive(true).and_then(|()| socket.set_tcp_keepalive(&options)));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_connected_socket_has_the_options_that_were_asked_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = |time, interval, probes| {
            let seconds = |value: Option<u64>| value.map(Duration::from_secs);
            Some(TcpKeepalive { time: seconds(time), interval: seconds(interval), probes })
        };
        let options = |stream: &TcpStream| {
            let socket = SockRef::from(stream);
            let read = (
                socket.tcp_keepalive_time(),
                socket.tcp_keepalive_interval(),
                socket.tcp_keepalive_retries(),
            );
            assert!(stream.nodelay().unwrap(), "requests are written whole");
            (
                socket.keepalive().unwrap(),
                read.0.unwrap().as_secs(),
                read.1.unwrap().as_secs(),
                read.2.unwrap(),
            )
        };
        let plain = options(&connect(address, None).await.unwrap());
        let (off, time, interval, probes) = plain;
        assert!(!off, "not unless it is asked for");
        let all = connect(address, asked(Some(77), Some(7), Some(3))).await.unwrap();
        assert_eq!(options(&all), (true, 77, 7, 3));
        let some = connect(address, asked(Some(77), None, None)).await.unwrap();
        assert_eq!(options(&some), (true, 77, interval, probes), "the rest is the system's");
        let none = connect(address, asked(None, None, None)).await.unwrap();
        assert_eq!(options(&none), (true, time, interval, probes));
    }

    #[tokio::test]
    async fn a_session_that_cannot_begin_is_a_failed_handshake_and_nobody_is_called() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let no_session = Some(Err(ProtocolError::FailedToGetRandomBytes));
        let opened = open(listener.local_addr().unwrap(), None, &[], no_session).await;
        assert!(matches!(opened, Err(ConnectError::Handshake(Failure::Protocol(_)))), "{opened:?}");
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn want_of_descriptors_is_our_fault_and_a_refusal_is_the_hosts() {
        let of = |code| ConnectError::of(io::Error::from_raw_os_error(code));
        assert!(matches!(of(24), ConnectError::Local(_)), "EMFILE");
        assert!(matches!(of(111), ConnectError::Remote(_)), "ECONNREFUSED");
        assert!(matches!(of(113), ConnectError::Remote(_)), "EHOSTUNREACH");
    }
}
