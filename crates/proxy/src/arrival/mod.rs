//! What a client's connection brings before its protocol begins: a PROXY header, then TLS. Both have a bound of time, and
//! nothing that comes behind them is lost. What a failure means for the connection is decided by whoever serves it.

mod handshake;
mod proxy_header;

use std::io;
use std::rc::Rc;

use fuseboard_core::Instant;
use fuseboard_core::tcp::Proxied;
use tokio::net::TcpStream;

use crate::acceptor::Accepted;
use crate::clock;
use crate::listener::DownstreamPermit;
use crate::shared::Seat;
use crate::stream::Stream;
use crate::worker::Worker;
use crate::{downstream, tcp};

pub(crate) use handshake::handshake;
pub(crate) use proxy_header::NoHeader;

/// A connection whose protocol begins.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    /// Who calls, and which address was called.
    pub(crate) called: Proxied,
    /// A PROXY header said so; or why there is none, although there must be.
    pub(crate) header: Result<bool, NoHeader>,
    pub(crate) started: Instant,
    pub(crate) permit: DownstreamPermit,
    pub(crate) seat: Seat,
}

impl Arrival {
    fn new(accepted: Accepted) -> io::Result<Self> {
        let Accepted { stream, peer, permit, seat } = accepted;
        let stream = Stream::plain(TcpStream::from_std(stream)?);
        let destination = stream.local_address().unwrap_or(permit.listener().address);
        let called = Proxied { source: peer, destination };
        Ok(Self { stream, called, header: Ok(false), started: clock::now(), permit, seat })
    }

    async fn read_header(&mut self, worker: &Worker) {
        let timers = worker.deadlines.register();
        match proxy_header::read(&mut self.stream, &timers).await {
            Ok(None) => {}
            Ok(Some(proxied)) => (self.called, self.header) = (proxied, Ok(true)),
            Err(why) => self.header = Err(why),
        }
    }
}

/// Serves one connection to its end.
pub(crate) fn serve(worker: &Rc<Worker>, accepted: Accepted) {
    let worker = Rc::clone(worker);
    let listener = accepted.permit.listener();
    let (bytes, header) = (listener.carries_bytes(), listener.accepts_proxy());
    let Ok(mut arrival) = Arrival::new(accepted) else { return };
    if header {
        tokio::task::spawn_local(async move {
            arrival.read_header(&worker).await;
            if bytes {
                tcp::serve(worker, arrival).await;
            } else {
                downstream::serve(worker, arrival).await;
            }
        });
    } else if bytes {
        tokio::task::spawn_local(tcp::serve(worker, arrival));
    } else {
        tokio::task::spawn_local(downstream::serve(worker, arrival));
    }
}

impl NoHeader {
    /// Counts what a client did in place of sending its header.
    pub(crate) fn count(self, stats: &crate::stats::OwnListenerStats) {
        match self {
            Self::Malformed => stats.proxy_header_malformed.inc(),
            Self::Late => stats.proxy_header_timeout.inc(),
            Self::Gone => {}
        }
    }
}
