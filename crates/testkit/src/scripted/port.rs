//! Addresses that no connection succeeds to: one refuses, one never answers.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A port on 127.0.0.1 that is bound, so that nobody else gets it, and not listening: connecting is refused.
#[derive(Debug)]
pub struct RefusingPort {
    socket: TcpSocket,
}

impl RefusingPort {
    /// Takes a port.
    pub fn bind() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        Self { socket }
    }

    /// Where it refuses.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket")
    }

    /// Listens from now on, without accepting: hand the listener to
    /// [`Upstream::serve`](crate::Upstream::serve).
    pub fn listen(self) -> TcpListener {
        self.socket.listen(1024).expect("listening")
    }
}

/// A port on 127.0.0.1 whose queue of connections is full and stays so: connecting neither succeeds nor
/// fails. On Linux; other systems answer a full queue in other ways.
#[derive(Debug)]
pub struct UnansweringPort {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl UnansweringPort {
    /// Takes a port and fills its queue.
    pub async fn bind() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        // Linux queues one connection more than it is asked to.
        let listener = socket.listen(0).expect("listening");
        let address = listener.local_addr().expect("a bound socket");
        let queued = TcpStream::connect(address).await.expect("the one that is queued");
        Self { listener, _queued: vec![queued] }
    }

    /// Where nobody answers.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket")
    }
}
