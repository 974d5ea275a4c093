//! One connection to a host, busy or idle. It owns its permit: open connections are counted by who holds one.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fuseboard_admin::logging::logger;
use fuseboard_core::Instant;
use fuseboard_core::limit::{CxPermit, HostCx, WorkerId};
use fuseboard_snapshot::ConnectionPolicy;
use socket2::SockRef;
use std::mem::MaybeUninit;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::trace;

use crate::buffer::Buffer;
use crate::live::Host;
use crate::stats::ClusterStats;

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
    stream: TcpStream,
    pub(crate) host: Arc<Host>,
    pub(crate) opened: Instant,
    /// Requests begun on it.
    pub(crate) requests: u32,
    _counted: HostCx,
    _permit: CxPermit,
}

impl UpstreamConnection {
    /// `counted` and `permit` were taken before it was opened.
    pub(crate) fn new(
        stream: TcpStream,
        host: &Arc<Host>,
        (counted, permit): (HostCx, CxPermit),
        opened: Instant,
    ) -> Self {
        Self { stream, host: Arc::clone(host), opened, requests: 0, _counted: counted, _permit: permit }
    }

    /// Moves the socket from the event loop of worker `from` to that of worker `to`, on whose thread this runs.
    pub(crate) fn move_to(self, from: WorkerId, to: WorkerId) -> io::Result<Self> {
        if from == to {
            return Ok(self);
        }
        let stream = TcpStream::from_std(self.stream.into_std()?)?;
        Ok(Self { stream, ..self })
    }

    /// Whether an idle connection is of no use any more: closed by the host, or the host said something unasked. Costs no system
    /// call while the event loop has seen nothing.
    pub(crate) fn is_stale(&self) -> bool {
        let mut byte = [0];
        !matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, asked of the system: the event loop may not have heard of it yet. For requests that must not be sent twice.
    pub(crate) fn is_stale_now(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&self.stream).peek(&mut byte);
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
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
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// The socket itself, for bytes that are carried as they are.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads into the room of `buffer`; `Ok(0)` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(buffer.room());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let n = room.filled().len();
        read.map_ok(|()| {
            buffer.advance(n);
            n
        })
    }

    /// Whether reading would give something; registers the task otherwise.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Ends the sending direction of a tunnel.
    pub(crate) fn shut_down(&self) {
        // The other side may be gone already; then there is nothing to end.
        drop(SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write));
    }

    /// Closes it and counts that. `busy`: a request was in flight.
    pub(crate) fn close(self, stats: &ClusterStats, by: ClosedBy, busy: bool, now: Instant) {
        trace!(target: logger::POOL, "closed after {} requests: {}", self.requests, self.host.endpoint.address);
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
        stats.upstream_rq_per_cx.record(u64::from(self.requests));
        stats.upstream_cx_length_ms.record(millis(now.saturating_since(self.opened)));
    }
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
        let stream = TcpStream::connect(address).await.unwrap();
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
        let pool: IdlePool<UpstreamConnection> = IdlePool::new(1, Arc::new(ResourceManager::new(1, one)));
        let Checkout::Ready(Found::Connect(permit)) = pool.checkout(WorkerId(0), HostKey(0)) else {
            panic!()
        };
        let connection =
            UpstreamConnection::new(stream, &host, (host.connections.count(), permit), Instant::ZERO);
        let Checkout::Wait(mut waiter) = pool.checkout(WorkerId(0), HostKey(0)) else { panic!() };
        let waker = Waker::from(Arc::clone(&look));
        assert!(waiter.poll_found(&mut Context::from_waker(&waker)).is_pending());
        assert!(!look.closed.load(Ordering::SeqCst));
        drop(connection);
        assert!(look.closed.load(Ordering::SeqCst));
    }
}
