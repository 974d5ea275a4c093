//! A connection of HTTP/2 to a host, which many requests share. Its frames are driven by a task of the worker that opened it;
//! requests of any worker may have streams on it. When it is to be closed is the pool's to say.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use fuseboard_admin::logging::logger;
use fuseboard_core::Instant;
use fuseboard_core::limit::HostCx;
use fuseboard_core::pool::{Guard, Handle};
use fuseboard_snapshot::{ConnectionPolicy, Http2Ping};
use fuseboard_tls::{ClientContext, Session};
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::sync::oneshot;
use tracing::debug;

use super::connect::{ConnectError, count_not_connected, open};
use super::connection::{ClosedBy, Secured, count_closed, millis};
use super::pooled::Pooled;
use crate::clock;
use crate::http2::{CONNECTION_WINDOW, Carrier, Meter, STREAM_WINDOW};
use crate::live::{ClusterView, Host, LiveCluster};
use crate::stats::ClusterStats;
use crate::stream::Stream;
use crate::worker::Worker;

/// Answers' heads may be as large as those of HTTP/1.1.
const HEAD_BYTES: u32 = 60 * 1024;

/// A way to a shared connection; copies are the same connection.
#[derive(Clone, Debug)]
pub(crate) struct SharedConnection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: SendRequest<Bytes>,
    secured: Option<Secured>,
    host: Arc<Host>,
    opened: Instant,
    local_address: Option<SocketAddr>,
    /// Requests begun on it.
    begun: Arc<AtomicU32>,
    /// It was found to be too old, and that was counted.
    told_age: AtomicBool,
}

impl Handle<Pooled> for SharedConnection {
    fn into_item(self) -> Pooled {
        Pooled::Shared(self)
    }
}

impl SharedConnection {
    /// Where requests are sent.
    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.requests.clone()
    }

    /// Whether the request that was begun last is the last one that `max_requests` allows.
    pub(super) fn is_last(&self, max_requests: Option<NonZeroU32>) -> bool {
        max_requests.is_some_and(|max| self.0.begun.load(Ordering::Relaxed) == max.get())
    }

    pub(super) fn host(&self) -> &Arc<Host> {
        &self.0.host
    }

    pub(super) fn is_secure(&self) -> bool {
        self.0.secured.is_some()
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.0.local_address
    }

    /// Whether it is secured as its cluster is to be now.
    pub(crate) fn is_secured_with(&self, context: Option<&Arc<ClientContext>>) -> bool {
        Secured::matches(self.0.secured.as_ref(), context)
    }

    /// Whether a request that needs this may be sent on it.
    pub(crate) fn serves(&self, wanted: Option<&Secured>) -> bool {
        Secured::serves(self.0.secured.as_ref(), wanted)
    }

    /// Whether it is older than `maxConnectionDuration`.
    pub(crate) fn is_aged(&self, policy: &ConnectionPolicy, now: Instant) -> bool {
        policy.max_duration.is_some_and(|max| now.saturating_since(self.0.opened) >= max)
    }

    /// The same for a stream that begins or ends on it; who finds it first counts it.
    pub(crate) fn is_too_old(&self, policy: &ConnectionPolicy, now: Instant, stats: &ClusterStats) -> bool {
        let aged = self.is_aged(policy, now);
        if aged && !self.0.told_age.swap(true, Ordering::Relaxed) {
            stats.upstream_cx_max_duration_reached.inc();
        }
        aged
    }
}

/// What a connection is opened with.
pub(crate) struct Opening {
    pub(crate) view: Arc<ClusterView>,
    pub(crate) host: Arc<Host>,
    pub(crate) secured: Option<Secured>,
    pub(crate) counted: HostCx,
    pub(crate) guard: Guard<Pooled, SharedConnection>,
}

/// Why it could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// It was not there in time.
    Late,
    Failed(ConnectError),
}

/// Opens it, and drives it to its end, whatever becomes of who asked. Says once how the opening went.
pub(crate) fn open_shared(worker: &Rc<Worker>, opening: Opening) -> oneshot::Receiver<Result<(), OpenError>> {
    let (tell, told) = oneshot::channel();
    tokio::task::spawn_local(run(Rc::clone(worker), opening, tell));
    told
}

type Frames = Connection<Carrier<Stream, Traffic>, Bytes>;

/// Counts the connection's bytes.
#[derive(Debug)]
struct Traffic {
    cluster: Arc<LiveCluster>,
    worker: usize,
}

impl Meter for Traffic {
    fn received(&self, n: usize) {
        self.cluster.stats.shard(self.worker).stats.upstream_cx_rx_bytes_total.add(n as u64);
    }

    fn sent(&self, n: usize) {
        self.cluster.stats.shard(self.worker).stats.upstream_cx_tx_bytes_total.add(n as u64);
    }
}

async fn run(worker: Rc<Worker>, opening: Opening, tell: oneshot::Sender<Result<(), OpenError>>) {
    let Opening { view, host, secured, counted, guard } = opening;
    let began = clock::now();
    let block = view.live.stats.shard(worker.index);
    let traffic = Traffic { cluster: Arc::clone(&view.live), worker: worker.index };
    let shaken = shake_hands(&view, &host, secured.as_ref(), traffic);
    let shaken = match tokio::time::timeout(view.config.connect_timeout, shaken).await {
        Ok(shaken) => shaken.map_err(OpenError::Failed),
        Err(_elapsed) => Err(OpenError::Late),
    };
    let (requests, mut frames, local_address, peer) = match shaken {
        Ok(shaken) => shaken,
        Err(error) => {
            let at_host = host.stats.shard(worker.index);
            count_not_connected(&block.stats, at_host, matches!(error, OpenError::Late));
            drop((counted, guard));
            // Who asked may be gone.
            drop(tell.send(Err(error)));
            return;
        }
    };
    let opened = clock::now();
    block.stats.upstream_cx_connect_ms.record(millis(opened.saturating_since(began)));
    if let Some(peer) = peer {
        block.ssl().count_session(&peer);
    }
    let offered = offered(&frames);
    let probe = requests.clone();
    let requests_begun = Arc::<AtomicU32>::default();
    let counting = Arc::clone(&requests_begun);
    let shared = Arc::new(Shared {
        requests,
        secured,
        host,
        opened,
        local_address,
        begun: requests_begun,
        told_age: AtomicBool::new(false),
    });
    guard.opened(SharedConnection(shared), offered, opened);
    drop(tell.send(Ok(())));
    let pings = view.config.http.ping.and_then(|ping| Some((ping, frames.ping_pong()?)));
    let stats = &block.stats;
    let mut driver = Driver { guard: &guard, stats, probe: Some(probe), offered, dismissed: false };
    let by = match pings {
        None => poll_fn(|cx| driver.poll(cx, &mut frames)).await,
        Some((ping, pings)) => {
            tokio::select! {
                by = poll_fn(|cx| driver.poll(cx, &mut frames)) => by,
                () = answered_always(ping, pings) => ClosedBy::Local,
            }
        }
    };
    let requests = counting.load(Ordering::Relaxed);
    let length = clock::now().saturating_since(opened);
    // After GOAWAY it ends when no stream is left, be it that the last one's lease has not come back yet.
    let busy = guard.streams() > 0 && !(driver.dismissed && by == ClosedBy::Local);
    count_closed(stats, (by, busy), requests, length);
    // The descriptor first, then what counts it.
    drop(frames);
    drop(counted);
    drop(guard);
}

type Shaken = (SendRequest<Bytes>, Frames, Option<SocketAddr>, Option<fuseboard_tls::Peer>);

/// Connects, agrees on TLS, and exchanges SETTINGS: what the host offers is known before the first stream is opened.
async fn shake_hands(
    view: &ClusterView,
    host: &Host,
    secured: Option<&Secured>,
    traffic: Traffic,
) -> Result<Shaken, ConnectError> {
    let keepalive = view.config.connection.keepalive;
    let session = secured.map(Secured::begin);
    let stream = open(host.endpoint.address, keepalive, &[], session).await?;
    let (local, peer) = (stream.local_address().ok(), stream.tls().map(Session::peer));
    let no_http2 = |error: h2::Error| {
        debug!(target: logger::POOL, "no HTTP/2 with {}: {error}", host.endpoint.address);
        ConnectError::Remote(error.into_io().unwrap_or_else(|| io::Error::other("not HTTP/2")))
    };
    let (requests, mut frames) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES)
        // None until the host has said how many it takes.
        .initial_max_send_streams(0)
        .handshake(Carrier::new(stream, Vec::new(), traffic))
        .await
        .map_err(no_http2)?;
    poll_fn(|cx| match Pin::new(&mut frames).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(no_http2(error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectError::Remote(io::ErrorKind::ConnectionReset.into()))),
        Poll::Pending if frames.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((requests, frames, local, peer))
}

fn offered(frames: &Frames) -> u32 {
    u32::try_from(frames.max_concurrent_send_streams()).unwrap_or(u32::MAX)
}

struct Driver<'g> {
    guard: &'g Guard<Pooled, SharedConnection>,
    stats: &'g ClusterStats,
    /// Tells whether streams may still be opened; `None` once the connection is to be closed.
    probe: Option<SendRequest<Bytes>>,
    offered: u32,
    /// The host has said GOAWAY.
    dismissed: bool,
}

impl Driver<'_> {
    /// Ready when the connection is over, with who ended it.
    fn poll(&mut self, cx: &mut Context<'_>, frames: &mut Frames) -> Poll<ClosedBy> {
        let closing = self.guard.poll_close(cx).is_ready();
        if closing {
            // With the last way to it gone, the connection says GOAWAY and closes.
            self.probe = None;
        }
        let ended = Pin::new(&mut *frames).poll(cx);
        self.look_for_dismissal(cx);
        if let Poll::Ready(end) = ended {
            let by_us = closing || (self.dismissed && end.is_ok());
            return Poll::Ready(if by_us { ClosedBy::Local } else { ClosedBy::Remote });
        }
        let offered = offered(frames);
        if offered != self.offered {
            self.offered = offered;
            self.guard.set_capacity(offered);
        }
        Poll::Pending
    }

    /// After GOAWAY what runs goes on, and nothing new begins.
    fn look_for_dismissal(&mut self, cx: &mut Context<'_>) {
        if let Some(probe) = &mut self.probe
            && let Poll::Ready(Err(error)) = probe.poll_ready(cx)
        {
            if error.is_go_away() && error.is_remote() {
                self.dismissed = true;
                self.stats.upstream_cx_close_notify.inc();
            }
            self.guard.retire();
            self.probe = None;
        }
    }
}

/// Sends PING frames; ready when one was not answered in time.
async fn answered_always(ping: Http2Ping, mut pings: PingPong) {
    loop {
        tokio::time::sleep(ping.interval).await;
        let answered = tokio::time::timeout(ping.timeout, pings.ping(Ping::opaque())).await;
        match answered {
            Ok(Ok(_)) => {}
            // Its driver hears of that too.
            Ok(Err(_)) => std::future::pending().await,
            Err(_late) => return,
        }
    }
}
