//! Opening a connection: what can go wrong, and whose fault it is. The time allowed is the exchange's to watch.

use std::io;
use std::net::SocketAddr;

use fuseboard_snapshot::TcpKeepalive;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The host refused, or is not reachable.
    Remote(io::Error),
    /// We could not even try: out of descriptors, ports or memory.
    Local(io::Error),
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

/// Connects to `address` and sets the socket's options.
pub(crate) async fn connect(
    address: SocketAddr,
    keepalive: Option<TcpKeepalive>,
) -> Result<TcpStream, ConnectError> {
    let stream = TcpStream::connect(address).await.map_err(ConnectError::of)?;
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
    use super::*;

    #[test]
    fn want_of_descriptors_is_our_fault_and_a_refusal_is_the_hosts() {
        let of = |code| ConnectError::of(io::Error::from_raw_os_error(code));
        assert!(matches!(of(24), ConnectError::Local(_)), "EMFILE");
        assert!(matches!(of(111), ConnectError::Remote(_)), "ECONNREFUSED");
        assert!(matches!(of(113), ConnectError::Remote(_)), "EHOSTUNREACH");
    }
}
