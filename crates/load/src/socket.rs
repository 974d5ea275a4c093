//! A connected socket, over TCP or a Unix domain socket, with TLS or without; whoever reads and writes need not know which.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// Where a socket leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Bytes as they go over the wire.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Plain {
    pub(crate) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).await?;
                // Without it only latency suffers.
                let _ = socket.set_nodelay(true);
                Ok(Self::Tcp(socket))
            }
            Address::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    fn peer(&self) -> Option<Address> {
        match self {
            Self::Tcp(socket) => socket.peer_addr().ok().map(Address::Tcp),
            Self::Unix(socket) => {
                let peer = socket.peer_addr().ok()?;
                peer.as_pathname().map(|path| Address::Unix(path.to_owned()))
            }
        }
    }
}

#[derive(Debug)]
pub(crate) enum Socket {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
}

impl Socket {
    /// The other side, if it has a name that tells something.
    pub(crate) fn peer(&self) -> Option<Address> {
        match self {
            Self::Plain(socket) => socket.peer(),
            Self::Tls(socket) => socket.get_ref().0.peer(),
        }
    }
}

/// Reading and writing are those of whichever variant it is.
macro_rules! passed_on {
    ($socket:ident: $($variant:ident),+) => {
        impl AsyncRead for $socket {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(socket) => Pin::new(socket).poll_read(cx, buffer),)+
                }
            }
        }

        impl AsyncWrite for $socket {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(socket) => Pin::new(socket).poll_write(cx, bytes),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(socket) => Pin::new(socket).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(socket) => Pin::new(socket).poll_shutdown(cx),)+
                }
            }
        }
    };
}

passed_on!(Plain: Tcp, Unix);
passed_on!(Socket: Plain, Tls);
