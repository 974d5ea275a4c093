//! What a client's connection brings before its protocol begins: a PROXY header, then TLS; and which protocol that is, where
//! nobody said so. All have a bound of time, and no byte is lost. What a failure means for the connection is decided by whoever
//! serves it.

mod detect;
mod handshake;
mod proxy_header;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_core::tcp::{Proxied, Spoken};
use fuseboard_snapshot::ListenerTarget;
use tokio::net::TcpStream;

use crate::acceptor::Accepted;
use crate::clock;
use crate::deadline::Timers;
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
    /// The server that the client asks for, where it speaks TLS with the host.
    pub(crate) server_name: Option<String>,
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
        Ok(Self { stream, called, header: Ok(false), server_name: None, started: clock::now(), permit, seat })
    }

    async fn read_header(&mut self, timers: &Timers) {
        match proxy_header::read(&mut self.stream, timers).await {
            Ok(None) => {}
            Ok(Some(proxied)) => (self.called, self.header) = (proxied, Ok(true)),
            Err(why) => self.header = Err(why),
        }
    }

    /// Whether bytes are carried, and not HTTP.
    async fn carries_bytes(&mut self, worker: &Worker, timers: &Timers) -> bool {
        let listener = self.permit.listener();
        let Some(patience) = patience(worker, listener.id) else { return listener.carries_bytes() };
        match detect::detect(&mut self.stream, timers, patience).await {
            Spoken::Http1 | Spoken::Http2 => false,
            Spoken::Other => true,
            Spoken::Tls(hello) => {
                self.server_name = hello.server_name;
                true
            }
            Spoken::Unclear => {
                self.permit.listener().stats.shard(worker.index).own.detection_timeout.inc();
                true
            }
        }
    }
}

/// How long it may take to find out what a connection to this listener carries; `None`: that is known.
fn patience(worker: &Worker, listener: u64) -> Option<Duration> {
    let view = worker.view();
    match view.live.snapshot.listeners[view.live.listener(listener)?].target {
        ListenerTarget::Detect(detect) => Some(detect.patience),
        ListenerTarget::Routes(_) | ListenerTarget::Tcp(_) => None,
    }
}

/// Serves one connection to its end.
pub(crate) fn serve(worker: &Rc<Worker>, accepted: Accepted) {
    let worker = Rc::clone(worker);
    let listener = accepted.permit.listener();
    let (bytes, header, detects) = (listener.carries_bytes(), listener.accepts_proxy(), listener.detects());
    let Ok(mut arrival) = Arrival::new(accepted) else { return };
    if header || detects {
        tokio::task::spawn_local(async move {
            let timers = worker.deadlines.register();
            if header {
                arrival.read_header(&timers).await;
            }
            let bytes = match arrival.header {
                Ok(_) => arrival.carries_bytes(&worker, &timers).await,
                // The log of TCP has a line for it.
                Err(_) => bytes || detects,
            };
            drop(timers);
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
