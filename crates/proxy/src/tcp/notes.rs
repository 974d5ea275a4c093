//! What is known of a TCP connection besides its bytes: counters, Istio's metrics, the refusal ring, the access log. Written
//! when the connection is over, whatever ended it, be it the end of the worker.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use fuseboard_admin::logging::logger;
use fuseboard_core::Instant;
use fuseboard_core::limit::Refused;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::tcp::{Ending, Proxied};
use fuseboard_tls::{Failure, Session};
use tracing::debug;

use super::copy::Carried;
use crate::access_log::Entry;
use crate::arrival::NoHeader;
use crate::clock;
use crate::listener::{DownstreamPermit, LiveListener};
use crate::live::Host;
use crate::local_reply::Cause;
use crate::refusal;
use crate::stats::{ClusterBlock, Ending as Key, OPEN, TcpConnectionStats, flags_text};
use crate::upstream::{UpstreamConnection, millis};
use crate::worker::{Worker, WorkerCluster};

/// The notes of one connection.
pub(super) struct Notes {
    worker: Rc<Worker>,
    permit: DownstreamPermit,
    called: Proxied,
    started: Instant,
    cluster: Option<Rc<WorkerCluster>>,
    host: Option<SocketAddr>,
    upstream_local: Option<SocketAddr>,
    received: u64,
    sent: u64,
    transport_failure: Option<String>,
    /// The server that the client asked TLS for.
    server_name: Option<Box<str>>,
    /// How it ends: flags in the order in which they were set, and our reason.
    key: Key,
}

impl Notes {
    /// A connection begins: who calls, and which address was called.
    pub(super) fn new(
        worker: Rc<Worker>,
        permit: DownstreamPermit,
        called: Proxied,
        started: Instant,
    ) -> Self {
        let listener = &permit.listener().stats.shard(worker.index).listener;
        listener.downstream_cx_total.inc();
        listener.downstream_cx_active.inc();
        Self {
            worker,
            permit,
            called,
            started,
            cluster: None,
            host: None,
            upstream_local: None,
            received: 0,
            sent: 0,
            transport_failure: None,
            server_name: None,
            key: OPEN,
        }
    }

    pub(super) fn listener(&self) -> &LiveListener {
        self.permit.listener()
    }

    /// When it was accepted.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// Who calls, for a PROXY header of ours.
    pub(super) const fn proxied(&self) -> Proxied {
        self.called
    }

    /// The connection does not begin with the PROXY header that it must begin with.
    pub(super) fn no_proxy_header(&mut self, why: NoHeader) {
        why.count(&self.listener().stats.shard(self.worker.index).own);
        let cause = if why == NoHeader::Gone { Cause::ClientGone } else { Cause::BadRequest };
        self.flag(cause.row().flag);
    }

    /// The client speaks TLS with the host, and asks for this server.
    pub(super) fn asked_for(&mut self, server_name: Option<String>) {
        self.server_name = server_name.map(Into::into);
    }

    /// The client and we came to terms.
    pub(super) fn secured(&mut self, session: &Session) {
        self.server_name = session.server_name().map(Into::into);
        self.listener().stats.shard(self.worker.index).ssl.count_session(&session.peer());
    }

    /// The client and we did not; `None`: it took too long.
    pub(super) fn not_secured(&mut self, failure: Option<&Failure>, plain_text: bool) {
        let block = self.listener().stats.shard(self.worker.index);
        let cause = match failure {
            None => {
                block.listener.downstream_cx_transport_socket_connect_timeout.inc();
                Cause::BadRequest
            }
            Some(failure) => {
                block.ssl.count_failure(failure.kind());
                debug!(target: logger::CONN_HANDLER, "no TLS with {}: {}", self.called.source, failure.reason());
                if matches!(failure, Failure::Transport(_)) { Cause::ClientGone } else { Cause::BadRequest }
            }
        };
        if plain_text {
            block.own.plain_text_on_tls.inc();
        }
        self.flag(cause.row().flag);
    }

    /// Where it goes. Said once more if the cluster's rule has changed.
    pub(super) fn to(&mut self, cluster: &Rc<WorkerCluster>) {
        if self.cluster.is_some() {
            self.cluster = Some(Rc::clone(cluster));
            return;
        }
        self.cluster = Some(Rc::clone(cluster));
        self.cluster_stats(|block| block.tcp.downstream_cx_total.inc());
        self.series(&OPEN, |stats| stats.istio_tcp_connections_opened_total.inc());
    }

    /// No snapshot has its listener any more.
    pub(super) fn no_route(&mut self) {
        self.flag(Cause::NoRoute.row().flag);
    }

    /// A connect to this host begins.
    pub(super) fn host(&mut self, host: &Host) {
        self.host = Some(host.endpoint.address);
    }

    /// The host took the connection; what earlier ones did does not count.
    pub(super) fn connected(&mut self, connection: &mut UpstreamConnection) {
        self.upstream_local = connection.local_address();
        self.key = OPEN;
        self.transport_failure = None;
    }

    /// As many hosts as may be tried did not take it.
    pub(super) fn attempts_exceeded(&mut self) {
        self.cluster_stats(|block| block.stats.upstream_cx_connect_attempts_exceeded.inc());
        self.flag("URX");
    }

    /// Why a host was not connected to.
    pub(super) fn transport_failure(&mut self, error: &io::Error) {
        let text = error.to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        self.transport_failure = Some(format!("delayed_connect_error:_{}", words.replace(' ', "_")));
    }

    /// Why there is no TLS with a host, or none any more.
    pub(super) fn handshake_failure(&mut self, failure: &Failure) {
        self.transport_failure = Some(failure.reason().replace(' ', "_"));
    }

    /// The host broke off. With TLS 1.3 it says only now if it does not take our certificate.
    pub(super) fn broke_off(&mut self, error: io::Error) {
        if let failure @ Failure::Protocol(_) = Failure::of(error) {
            self.handshake_failure(&failure);
        }
    }

    /// One of our limits decided, the breaker, or the want of a host.
    pub(super) fn refused(&mut self, reason: RefusalReason, refused: Option<Refused>) {
        let flag = Cause::of_refusal(reason).row().flag;
        self.key.reason = Some(reason);
        self.flag(flag);
        self.cluster_stats(|block| block.refused.inc(reason));
        if let Some(cluster) = &self.cluster {
            // There is no answer, and so no status.
            let seen = (0, flag);
            refusal::remember(
                &self.worker,
                cluster,
                &self.listener().name,
                (reason, refused),
                seen,
                clock::now(),
            );
        }
    }

    /// Adds a response flag.
    pub(super) fn flag(&mut self, flag: &'static str) {
        let flags = &mut self.key.flags;
        if flag != "-"
            && !flags.contains(&Some(flag))
            && let Some(free) = flags.iter_mut().find(|slot| slot.is_none())
        {
            *free = Some(flag);
        }
    }

    /// Bytes moved: what was carried before, and what is now.
    pub(super) fn moved(&mut self, before: &Carried, now: &Carried) {
        let received = now.from_client - before.from_client;
        let sent = now.to_client - before.to_client;
        self.received += received;
        self.sent += sent;
        self.cluster_stats(|block| {
            block.stats.upstream_cx_tx_bytes_total.add(now.to_host - before.to_host);
            block.stats.upstream_cx_rx_bytes_total.add(now.from_host - before.from_host);
            block.tcp.downstream_cx_rx_bytes_total.add(received);
            block.tcp.downstream_cx_tx_bytes_total.add(sent);
        });
        self.series(&OPEN, |stats| {
            stats.istio_tcp_received_bytes_total.add(received);
            stats.istio_tcp_sent_bytes_total.add(sent);
        });
    }

    /// How a connection ended that had been made.
    pub(super) fn ended(&mut self, ending: Ending) {
        match ending {
            Ending::Closed | Ending::Drained => {}
            Ending::HostReset => self.flag(Cause::ConnectionTermination.row().flag),
            Ending::ClientReset => self.flag(Cause::ClientGone.row().flag),
            Ending::Idle => {
                self.flag(Cause::BodyTimeout.row().flag);
                self.cluster_stats(|block| block.tcp.idle_timeout.inc());
            }
            Ending::Aged => {
                self.flag("DT");
                self.cluster_stats(|block| block.tcp.max_downstream_connection_duration.inc());
            }
        }
    }

    /// Counts something for the cluster, once one is known.
    pub(super) fn cluster_stats(&self, count: impl FnOnce(&ClusterBlock)) {
        if let Some(cluster) = &self.cluster {
            count(cluster.view.live.stats.shard(self.worker.index));
        }
    }

    /// Counts something in Istio's series for connections that stand so.
    fn series(&self, key: &Key, count: impl FnOnce(&TcpConnectionStats)) {
        if let Some(cluster) = &self.cluster {
            count(cluster.view.live.tcp_connections().block(self.worker.index, key.key()).0);
        }
    }

    fn log(&self, now: Instant) {
        self.worker.log(|| Entry {
            start_time: clock::wall(self.started),
            method: "-".into(),
            path: "-".into(),
            protocol: "-",
            response_code: 0,
            response_flags: flags_text(&self.key.flags),
            response_code_details: "-".into(),
            transport_failure: self.transport_failure.as_deref(),
            bytes_received: self.received,
            bytes_sent: self.sent,
            duration: now.saturating_since(self.started),
            upstream_service_time: None,
            x_forwarded_for: None,
            user_agent: None,
            request_id: None,
            authority: None,
            upstream_host: self.host,
            upstream_cluster: self.cluster.as_ref().map(|cluster| &*cluster.view.live.name),
            upstream_local_address: self.upstream_local,
            downstream_local_address: self.called.destination,
            downstream_remote_address: self.called.source,
            requested_server_name: self.server_name.as_deref(),
            route_name: None,
            reason: self.key.reason,
            fallback: None,
        });
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let now = clock::now();
        let listener = &self.permit.listener().stats.shard(self.worker.index).listener;
        listener.downstream_cx_active.dec();
        listener.downstream_cx_destroy.inc();
        listener.downstream_cx_length_ms.record(millis(now.saturating_since(self.started)));
        self.series(&self.key, |stats| stats.istio_tcp_connections_closed_total.inc());
        debug!(target: logger::CONN_HANDLER, "{} closed: {} bytes in, {} out", self.called.source, self.received, self.sent);
        self.log(now);
    }
}
