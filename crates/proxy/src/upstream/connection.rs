//! One connection to a host, busy or idle. It owns its permit: open connections are counted by who holds one.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fuseboard_admin::logging::logger;
use fuseboard_core::Instant;
use fuseboard_core::limit::{CxPermit, HostCx, WorkerId};
use fuseboard_snapshot::ConnectionPolicy;
use fuseboard_tls::{ClientContext, ProtocolError, Session};
use tracing::trace;

use crate::buffer::Buffer;
use crate::live::Host;
use crate::stats::ClusterStats;
use crate::stream::{Spent, Stream, Wire};

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosedBy {
    /// We did.
    Local,
    /// The host did.
    Remote,
}

/// A connection to a host. Fields drop in order: the socket is closed before its permit is given back.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    stream: Stream,
    secured: Option<Secured>,
    pub(crate) host: Arc<Host>,
    pub(crate) opened: Instant,
    /// Requests begun on it.
    pub(crate) requests: u32,
    /// Once it was asked for.
    local_address: Option<SocketAddr>,
    _counted: HostCx,
    _permit: CxPermit,
}

/// What a connection's TLS is good for.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    /// What it was begun with.
    pub(crate) context: Arc<ClientContext>,
    /// Whom it asked for, where the rule leaves that to requests.
    pub(crate) host: Option<Box<str>>,
}

impl Secured {
    /// Begins a session.
    pub(crate) fn begin(&self) -> Result<Box<Session>, ProtocolError> {
        self.context.begin(self.host.as_deref().unwrap_or_default())
    }

    /// Whether what a connection has is what its cluster asks for: the same settings, or none on both sides.
    pub(super) fn matches(has: Option<&Self>, context: Option<&Arc<ClientContext>>) -> bool {
        match (has, context) {
            (None, None) => true,
            (Some(has), Some(context)) => Arc::ptr_eq(&has.context, context),
            _ => false,
        }
    }

    /// Whether what a connection has is what a request needs.
    pub(super) fn serves(has: Option<&Self>, wanted: Option<&Self>) -> bool {
        match (has, wanted) {
            (None, None) => true,
            (Some(has), Some(wanted)) => {
                Arc::ptr_eq(&has.context, &wanted.context) && has.host == wanted.host
            }
            _ => false,
        }
    }

    /// Begins a session for bytes of which nobody knows what they mean.
    pub(crate) fn begin_unnamed(&self) -> Result<Box<Session>, ProtocolError> {
        self.context.begin_unnamed(self.host.as_deref().unwrap_or_default())
    }
}

impl UpstreamConnection {
    /// `counted` and `permit` were taken before it was opened. In a box: it goes from hand to hand with every request.
    pub(crate) fn boxed(
        stream: Stream,
        secured: Option<Secured>,
        host: &Arc<Host>,
        (counted, permit): (HostCx, CxPermit),
        opened: Instant,
    ) -> Box<Self> {
        let host = Arc::clone(host);
        Box::new(Self {
            stream,
            secured,
            host,
            opened,
            requests: 0,
            local_address: None,
            _counted: counted,
            _permit: permit,
        })
    }

    /// Whether it is secured as its cluster is to be now: with the same settings, or both not at all.
    pub(crate) fn is_secured_with(&self, context: Option<&Arc<ClientContext>>) -> bool {
        Secured::matches(self.secured.as_ref(), context)
    }

    /// Whether a request that needs this may be sent on it.
    pub(crate) fn serves(&self, wanted: Option<&Secured>) -> bool {
        Secured::serves(self.secured.as_ref(), wanted)
    }

    /// Moves the socket from the event loop of worker `from` to that of worker `to`, on whose thread this runs.
    pub(crate) fn move_to(self: Box<Self>, from: WorkerId, to: WorkerId) -> io::Result<Box<Self>> {
        if from == to {
            return Ok(self);
        }
        let moved = *self;
        Ok(Box::new(Self { stream: moved.stream.moved()?, ..moved }))
    }

    /// Why an idle connection is of no use any more: closed by the host, or the host said something unasked. Costs no system
    /// call while the event loop has seen nothing.
    pub(crate) fn spent(&mut self) -> Option<Spent> {
        self.stream.spent()
    }

    /// The same, asked of the system: the event loop may not have heard of it yet. For requests that must not be sent twice.
    pub(crate) fn spent_now(&mut self) -> Option<Spent> {
        self.stream.spent_now()
    }

    /// A request begins. True: it is the last one that `max_requests` allows.
    pub(crate) fn begin_request(&mut self, max_requests: Option<NonZeroU32>) -> bool {
        self.requests = self.requests.saturating_add(1);
        max_requests.is_some_and(|max| self.requests == max.get())
    }

    /// Whether it may carry one more request as far as number and age go.
    pub(crate) fn may_continue(&self, policy: &ConnectionPolicy, now: Instant) -> bool {
        policy.max_requests.is_none_or(|max| self.requests < max.get()) && !self.is_aged(policy, now)
    }

    /// Whether it is older than `maxConnectionDuration`.
    pub(crate) fn is_aged(&self, policy: &ConnectionPolicy, now: Instant) -> bool {
        policy.max_duration.is_some_and(|max| now.saturating_since(self.opened) >= max)
    }

    /// Our address, as the access log shows it.
    pub(crate) fn local_address(&mut self) -> Option<SocketAddr> {
        self.local_address = self.local_address.or_else(|| self.stream.local_address().ok());
        self.local_address
    }

    /// For bytes that are carried as they are.
    pub(crate) fn wire(&mut self) -> Wire<'_> {
        self.stream.wire()
    }

    /// Tells the host that nothing was cut off. Before closing.
    pub(crate) fn say_end(&mut self) {
        self.stream.say_end();
    }

    /// The close will be a reset.
    pub(crate) fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    /// Reads into the room of `buffer`; `Ok(0)` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let read = self.stream.poll_read(cx, buffer.room());
        read.map_ok(|n| {
            buffer.advance(n);
            n
        })
    }

    /// Whether reading would give something; registers the task otherwise.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_readable(cx)
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bytes)
    }

    /// Closes it and counts that. `busy`: a request was in flight.
    pub(crate) fn close(mut self, stats: &ClusterStats, by: ClosedBy, busy: bool, now: Instant) {
        if by == ClosedBy::Local && !busy {
            self.stream.say_end();
        }
        trace!(target: logger::POOL, "closed after {} requests: {}", self.requests, self.host.endpoint.address);
        count_closed(stats, (by, busy), self.requests, now.saturating_since(self.opened));
    }
}

/// Who ends an idle connection that is spent. What a host says unasked is counted as an error of its, as in Envoy: unless it is a
/// 408, with which servers say that they have waited long enough.
pub(crate) fn count_spent(stats: &ClusterStats, spent: Spent) -> ClosedBy {
    match spent {
        Spent::Ended => ClosedBy::Remote,
        Spent::Unasked(beginning) => {
            if !(beginning.starts_with(b"HTTP/1.") && beginning.ends_with(b" 408")) {
                stats.upstream_cx_protocol_error.inc();
            }
            ClosedBy::Local
        }
    }
}

/// Counts that a connection was closed: by whom, whether a request was in flight, after how many and how long.
pub(super) fn count_closed(
    stats: &ClusterStats,
    (by, busy): (ClosedBy, bool),
    requests: u32,
    length: Duration,
) {
    stats.upstream_cx_destroy.inc();
    match by {
        ClosedBy::Local => stats.upstream_cx_destroy_local.inc(),
        ClosedBy::Remote => stats.upstream_cx_destroy_remote.inc(),
    }
    if busy {
        stats.upstream_cx_destroy_with_active_rq.inc();
        match by {
            ClosedBy::Local => stats.upstream_cx_destroy_local_with_active_rq.inc(),
            ClosedBy::Remote => stats.upstream_cx_destroy_remote_with_active_rq.inc(),
        }
    }
    stats.upstream_rq_per_cx.record(u64::from(requests));
    stats.upstream_cx_length_ms.record(millis(length));
}

/// Whole milliseconds, as histograms and headers want them.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as StdStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use fuseboard_core::limit::{ResourceManager, Thresholds};
    use fuseboard_core::pool::{Checkout, Found, HostKey, IdlePool};
    use fuseboard_snapshot::{Endpoint, EndpointHealth, EndpointId, Locality};
    use tokio::net::TcpStream;

    use super::*;

    /// Looks, when woken, whether the other end of its socket has closed.
    struct Look {
        socket: StdStream,
        closed: AtomicBool,
    }

    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            self.closed.store(matches!(self.socket.peek(&mut [0]), Ok(0)), Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn d01_who_waits_for_the_permit_is_woken_when_the_socket_is_closed_and_not_before() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Stream::plain(TcpStream::connect(address).await.unwrap());
        let look = Arc::new(Look { socket: listener.accept().unwrap().0, closed: AtomicBool::new(false) });
        look.socket.set_nonblocking(true).unwrap();
        let endpoint = Endpoint {
            id: EndpointId::new("", address),
            address,
            weight: NonZeroU32::MIN,
            health: EndpointHealth::Healthy,
            hostname: "".into(),
            node: "".into(),
            locality: Locality::default(),
        };
        let host = Arc::new(Host::new(HostKey(0), endpoint, 1));
        let one = Thresholds { max_connections: 1, ..Thresholds::UNLIMITED };
        let pool: IdlePool<Box<UpstreamConnection>> =
            IdlePool::new(1, Arc::new(ResourceManager::new(1, one)));
        let Checkout::Ready(Found::Connect(permit)) = pool.checkout(WorkerId(0), HostKey(0)) else {
            panic!()
        };
        let connection =
            UpstreamConnection::boxed(stream, None, &host, (host.connections.count(), permit), Instant::ZERO);
        let Checkout::Wait(mut waiter) = pool.checkout(WorkerId(0), HostKey(0)) else { panic!() };
        let waker = Waker::from(Arc::clone(&look));
        assert!(waiter.poll_found(&mut Context::from_waker(&waker)).is_pending());
        assert!(!look.closed.load(Ordering::SeqCst));
        drop(connection);
        assert!(look.closed.load(Ordering::SeqCst));
    }
}
