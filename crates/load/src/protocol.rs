//! In which protocol a caller makes its calls. Each is a module of its own: `client` is HTTP/1.1.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::answer::Receiver;
use crate::client::{self, Destination, Reply};
use crate::connection::SocketCounts;
use crate::event::Observer;
use crate::grpc;
use crate::histogram::Histogram;
use crate::http2::{self, Line};

/// One caller; makes one call at a time.
#[derive(Debug)]
pub(crate) enum Client {
    Http1(Box<client::Client>),
    Http2(Box<http2::Client>),
    Grpc(Box<grpc::Client>),
}

impl Client {
    /// Within a runtime. `line` is what callers share who share a connection.
    pub(crate) fn new(
        destination: &Arc<Destination>,
        line: Option<&Arc<Line>>,
        connecting: Histogram,
        observer: Observer,
        id: usize,
    ) -> Self {
        let to = Arc::clone(destination);
        match (line, &destination.grpc, &destination.http2) {
            (Some(line), Some(call), _) => {
                let line = Arc::clone(line);
                Self::Grpc(Box::new(grpc::Client::new(to, call.clone(), line, connecting, observer, id)))
            }
            (Some(line), None, Some(request)) => Self::Http2(Box::new(http2::Client::new(
                to,
                request.clone(),
                Arc::clone(line),
                connecting,
                observer,
                id,
            ))),
            _ => Self::Http1(Box::new(client::Client::new(to, connecting, observer, id))),
        }
    }

    /// Makes one call and reads as much of its answer as fortio reads.
    pub(crate) async fn call(&mut self) -> Reply {
        match self {
            Self::Http1(client) => client.call().await,
            Self::Http2(client) => client.call(None).await,
            Self::Grpc(client) => client.call().await,
        }
    }

    /// Makes one call and reads its whole answer, whatever its status.
    pub(crate) async fn fetch(&mut self, receiver: &mut dyn Receiver) -> Reply {
        match self {
            Self::Http1(client) => client.fetch(receiver).await,
            Self::Http2(client) => client.call(Some(receiver)).await,
            Self::Grpc(client) => client.call().await,
        }
    }

    /// As [`Client::fetch`], with a body that is sent as it comes.
    pub(crate) async fn upload(
        &mut self,
        pieces: &mut mpsc::Receiver<Vec<u8>>,
        receiver: &mut dyn Receiver,
    ) -> Reply {
        match self {
            Self::Http1(client) => client.upload(pieces, receiver).await,
            Self::Http2(client) => client.upload(pieces, receiver).await,
            Self::Grpc(client) => client.call().await,
        }
    }

    /// The sockets that are its own.
    pub(crate) fn into_sockets(self) -> SocketCounts {
        match self {
            Self::Http1(client) => client.into_sockets(),
            Self::Http2(client) => client.into_sockets(),
            Self::Grpc(client) => client.into_sockets(),
        }
    }
}
