//! Echo over TCP and UDP: bytes come back as they came.

use std::net::SocketAddr;

use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;

use crate::listener::{Listeners, ServeError, accept_each, bind};

/// No datagram is longer.
const LARGEST_DATAGRAM: usize = 65_535;

pub(super) async fn tcp(listeners: &mut Listeners, address: SocketAddr) -> Result<SocketAddr, ServeError> {
    let (listener, bound) = bind(address).await?;
    listeners.spawn(|stopped| {
        let conversation_stopped = stopped.clone();
        accept_each(listener, stopped, move |stream, _| echo_stream(stream, conversation_stopped.clone()))
    });
    Ok(bound)
}

async fn echo_stream(mut stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    // Without it only latency suffers.
    let _ = stream.set_nodelay(true);
    let (mut from, mut to) = stream.split();
    // However it ends, the end is the client's affair.
    tokio::select! {
        _ = tokio::io::copy(&mut from, &mut to) => {}
        _ = stopped.changed() => {}
    }
}

pub(super) async fn udp(listeners: &mut Listeners, address: SocketAddr) -> Result<SocketAddr, ServeError> {
    let refused = |source| ServeError::Listen { address, source };
    let socket = UdpSocket::bind(address).await.map_err(refused)?;
    let bound = socket.local_addr().map_err(refused)?;
    listeners.spawn(|stopped| echo_datagrams(socket, stopped));
    Ok(bound)
}

async fn echo_datagrams(socket: UdpSocket, mut stopped: watch::Receiver<bool>) {
    let mut datagram = vec![0; LARGEST_DATAGRAM];
    loop {
        tokio::select! {
            // An error belongs to an earlier answer (nobody listens there), and the next datagram comes all the same.
            received = socket.recv_from(&mut datagram) => if let Ok((length, from)) = received {
                let _ = socket.send_to(&datagram[..length], from).await;
            },
            _ = stopped.changed() => return,
        }
    }
}
