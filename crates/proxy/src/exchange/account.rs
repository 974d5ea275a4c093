//! What is known of an exchange besides its bytes: for the access log, the refusal ring and the counters. Nothing here decides.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::limit::Refused;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::{Instant, Rng};
use fuseboard_grpc::Code;
use fuseboard_http1::HeaderName;
use fuseboard_tls::Failure;

use super::Exchange;
use super::route::Routed;
use crate::access_log::Entry;
use crate::clock;
use crate::downstream::Spoken;
use crate::live::Host;
use crate::local_reply::Cause;
use crate::refusal;
use crate::stats::{ClusterBlock, Ending, flags_text};
use crate::worker::{Worker, WorkerCluster};

/// Text of a request id (RFC 9562, version 4).
type RequestId = [u8; 36];

/// What the client was given in place of a failure.
pub(super) struct Replaced {
    /// How it would have ended.
    ending: Ending,
    /// What the answer says of itself.
    header: Box<str>,
}

/// Where any byte of the request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// To no host, or only to those that have not processed it.
    Nowhere,
    ByThisTry,
    ByAnEarlierTry,
}

/// The notes of one exchange.
pub(super) struct Account {
    pub(super) started: Instant,
    /// When the request was complete. Envoy measures service times from there, waiting and retries included.
    pub(super) complete_at: Instant,
    /// Tries so far, the running one included.
    pub(super) tries: u32,
    /// The running try is in `upstream_rq_total` already.
    pub(super) try_counted: bool,
    /// How often it was sent once more because its connection had been closed (difference D18): once, or more often if each time
    /// the host said that it has not looked at it.
    pub(super) resends: u32,
    pub(super) route_timeout: Option<Duration>,
    pub(super) try_timeout: Option<Duration>,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) upstream_local_address: Option<SocketAddr>,
    /// Whether a host may have processed the request.
    pub(super) sent: Sent,
    /// When the breaker that refused may let another request through.
    pub(super) retry_after: Option<Duration>,
    /// The failure is counted for its cluster.
    pub(super) settled: bool,
    /// The client gets another answer than the one that is counted.
    pub(super) replaced: Option<Box<Replaced>>,
    /// What is said of a chain of fallbacks that did not help.
    pub(super) fallback_in_vain: Option<Box<str>>,
    cluster: Option<Rc<WorkerCluster>>,
    route_name: Option<Arc<str>>,
    host: Option<SocketAddr>,
    request_id: Option<RequestId>,
    status: u16,
    /// In the order in which they were set.
    flags: [Option<&'static str>; 3],
    details: &'static str,
    reason: Option<RefusalReason>,
    transport_failure: Option<String>,
    service_time: Option<Duration>,
    grpc_status: Option<Code>,
}

impl Account {
    pub(super) const fn new(started: Instant) -> Self {
        Self {
            started,
            complete_at: started,
            tries: 0,
            try_counted: false,
            resends: 0,
            route_timeout: None,
            try_timeout: None,
            bytes_received: 0,
            bytes_sent: 0,
            upstream_local_address: None,
            sent: Sent::Nowhere,
            retry_after: None,
            settled: false,
            replaced: None,
            fallback_in_vain: None,
            cluster: None,
            route_name: None,
            host: None,
            request_id: None,
            status: 0,
            flags: [None; 3],
            details: "via_upstream",
            reason: None,
            transport_failure: None,
            service_time: None,
            grpc_status: None,
        }
    }

    /// The notes of a step that asks another cluster, within `timeout`, for the request of `of`.
    pub(super) fn of_step(of: &Self, now: Instant, timeout: Option<Duration>) -> Self {
        Self { route_timeout: timeout, request_id: of.request_id, ..Self::new(now) }
    }

    /// What a step that asked another cluster leaves.
    pub(super) fn take_over(&mut self, step: &Self) {
        self.request_id = step.request_id;
        if step.sent != Sent::Nowhere {
            self.sent = Sent::ByAnEarlierTry;
        }
        self.bytes_sent += step.bytes_sent;
        self.bytes_received = self.bytes_received.max(step.bytes_received);
    }

    /// The client has got this status in place of what is counted.
    pub(super) fn replaced_by(&mut self, status: u16, header: &str) {
        self.replaced = Some(Box::new(Replaced { ending: self.ending(), header: header.into() }));
        self.status = status;
    }

    /// What the route's time-out leaves; `None`: there is none. It begins when the request is complete.
    pub(super) fn time_left(&self, now: Instant, complete: bool) -> Option<Duration> {
        let used = if complete { now.saturating_since(self.complete_at) } else { Duration::ZERO };
        Some(self.route_timeout?.saturating_sub(used))
    }

    pub(super) fn route(&mut self, routed: &Routed) {
        self.cluster = Some(Rc::clone(&routed.cluster));
        if routed.logs() {
            self.route_name = Some(Arc::clone(&routed.route().name));
        }
    }

    /// The cluster as a newer snapshot has it.
    pub(super) fn cluster(&mut self, cluster: Rc<WorkerCluster>) {
        self.cluster = Some(cluster);
    }

    /// A try begins at this host.
    pub(super) fn host(&mut self, host: &Host) {
        self.tries += 1;
        self.try_counted = false;
        if self.sent == Sent::ByThisTry {
            self.sent = Sent::ByAnEarlierTry;
        }
        self.host = Some(host.endpoint.address);
    }

    /// The try goes to another host than the one that was picked.
    pub(super) fn moved_to(&mut self, host: &Host) {
        self.host = Some(host.endpoint.address);
    }

    /// How often the request has been sent, the time that comes now included: what hosts know it by, as Envoy's retries.
    pub(super) const fn sendings(&self) -> u32 {
        self.tries + self.resends
    }

    /// Counts something for the cluster, once one is known.
    pub(super) fn cluster_stats(&self, worker: &Worker, count: impl FnOnce(&ClusterBlock)) {
        if let Some(cluster) = &self.cluster {
            count(cluster.view.live.stats.shard(worker.index));
        }
    }

    /// Something of the request went out.
    pub(super) fn sends(&mut self) {
        if self.sent == Sent::Nowhere {
            self.sent = Sent::ByThisTry;
        }
    }

    /// The host says, and is believed, that it has not processed the request.
    pub(super) fn was_not_processed(&mut self) {
        if self.sent == Sent::ByThisTry {
            self.sent = Sent::Nowhere;
        }
    }

    /// The upstream's answer is final.
    pub(super) fn answered(&mut self, worker: &Worker, status: u16, now: Instant) {
        self.status = status;
        self.service_time = Some(now.saturating_since(self.complete_at));
        self.cluster_stats(worker, |block| block.codes.inc(status));
    }

    /// What the caller was told in gRPC.
    pub(super) const fn told_in_grpc(&mut self, code: Code) {
        self.grpc_status = Some(code);
    }

    /// The client gets this status, whatever is counted for the cluster.
    pub(super) const fn shows(&mut self, status: u16) {
        self.status = status;
    }

    /// Another try follows.
    pub(super) fn retried(&self, worker: &Worker) {
        self.cluster_stats(worker, |block| {
            block.stats.upstream_rq_retry.inc();
            block.stats.upstream_rq_retry_backoff_exponential.inc();
        });
    }

    /// The exchange ends with this cause; its status is what was answered, or was begun to be.
    pub(super) fn fail(&mut self, cause: Cause) {
        let row = cause.row();
        if row.status != 0 {
            self.status = row.status;
        }
        self.details = row.details;
        self.flag(row.flag);
    }

    /// The client went away.
    pub(super) fn gone(&mut self) {
        self.fail(Cause::ClientGone);
    }

    /// Adds a response flag.
    pub(super) fn flag(&mut self, flag: &'static str) {
        if flag == "-" || self.flags.contains(&Some(flag)) {
            return;
        }
        if let Some(free) = self.flags.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(flag);
        }
    }

    /// Why no connection was made, in Envoy's spelling.
    pub(super) fn transport_failure(&mut self, error: &io::Error) {
        let text = error.to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        self.transport_failure = Some(format!("delayed_connect_error:_{}", words.replace(' ', "_")));
    }

    /// Why there is no TLS, in Envoy's spelling.
    pub(super) fn handshake_failure(&mut self, failure: &Failure) {
        self.transport_failure = Some(failure.reason().replace(' ', "_"));
    }

    /// A connection ended with an error. With TLS 1.3 a host says so only now, if it does not take our certificate.
    pub(super) fn broke_off(&mut self, error: io::Error) {
        if let failure @ Failure::Protocol(_) = Failure::of(error) {
            self.handshake_failure(&failure);
        }
    }

    /// How it ended, for Istio's metrics.
    pub(super) fn ending(&self) -> Ending {
        match &self.replaced {
            Some(replaced) => replaced.ending,
            None => {
                Ending { status: self.status, flags: self.flags, reason: self.reason, grpc: self.grpc_status }
            }
        }
    }

    /// Where it went, once that is known.
    pub(super) fn destination(&self) -> Option<&Rc<WorkerCluster>> {
        self.cluster.as_ref()
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// How long the upstream took for its head; `None`: it sent none.
    pub(super) const fn service_time(&self) -> Option<Duration> {
        self.service_time
    }

    pub(super) const fn reason(&self) -> Option<RefusalReason> {
        self.reason
    }

    /// The id that we gave the request; the same for all its tries.
    pub(super) fn request_id(&mut self, worker: &Worker) -> RequestId {
        *self.request_id.get_or_insert_with(|| new_request_id(&mut worker.rng.borrow_mut()))
    }

    fn details(&self) -> Cow<'static, str> {
        match &self.transport_failure {
            Some(failure) if may_have_failure(self.details) => {
                format!("{}|{failure}}}", self.details.trim_end_matches('}')).into()
            }
            _ => self.details.into(),
        }
    }
}

impl Exchange<'_> {
    /// Counts and remembers that one of our limits decided.
    pub(super) fn note_refusal(&mut self, reason: RefusalReason, refused: Option<Refused>) {
        self.note_decision(reason, refused, false);
    }

    /// The same of a retry: the earlier answer stands.
    pub(super) fn note_refused_retry(&mut self, reason: RefusalReason, refused: Option<Refused>) {
        self.note_decision(reason, refused, true);
        self.account.flag("UO");
    }

    fn note_decision(&mut self, reason: RefusalReason, refused: Option<Refused>, stands: bool) {
        self.account.reason = Some(reason);
        self.account.cluster_stats(&self.worker, |block| block.refused.inc(reason));
        let Some(cluster) = &self.account.cluster else { return };
        let seen = if stands {
            (0, "UO")
        } else {
            let row = Cause::of_refusal(reason).row();
            (row.status, row.flag)
        };
        let listener = &self.down.listener().name;
        refusal::remember(&self.worker, cluster, listener, (reason, refused), seen, self.now);
    }

    /// Hands the access log its line. A request that was never sent has an id too, as in Envoy.
    pub(super) fn log(&mut self) {
        if self.worker.shared.access_log.is_none() {
            return;
        }
        let request_id = self.account.request_id(&self.worker);
        let (head, account) = (self.head(), &self.account);
        let field = |id| head.field(id).map(String::from_utf8_lossy);
        self.worker.log(|| Entry {
            start_time: clock::wall(account.started),
            method: String::from_utf8_lossy(head.method_bytes()),
            path: String::from_utf8_lossy(head.target()),
            protocol: match (self.down.spoken(), head.version()) {
                (Spoken::Http2, _) => "HTTP/2",
                (Spoken::Http1, version) => version.as_str(),
            },
            response_code: account.status,
            response_flags: flags_text(&account.flags),
            response_code_details: account.details(),
            transport_failure: account.transport_failure.as_deref(),
            bytes_received: account.bytes_received,
            bytes_sent: account.bytes_sent,
            duration: self.now.saturating_since(account.started),
            upstream_service_time: account.service_time,
            x_forwarded_for: field(HeaderName::XForwardedFor),
            user_agent: field(HeaderName::UserAgent),
            request_id: field(HeaderName::XRequestId).or_else(|| Some(String::from_utf8_lossy(&request_id))),
            authority: head.authority().map(String::from_utf8_lossy),
            upstream_host: account.host,
            upstream_cluster: account.cluster.as_ref().map(|cluster| &*cluster.view.live.name),
            upstream_local_address: account.upstream_local_address,
            downstream_local_address: self.down.local_address(),
            downstream_remote_address: self.down.peer(),
            requested_server_name: self.down.server_name(),
            route_name: account.route_name.as_deref(),
            reason: account.reason,
            fallback: account.replaced.as_ref().map(|replaced| &*replaced.header),
        });
    }
}

/// Whether Envoy adds the transport's failure to these details.
fn may_have_failure(details: &str) -> bool {
    [Cause::ConnectFailed, Cause::ConnectionTermination].iter().any(|cause| cause.row().details == details)
}

/// 122 random bits in the usual text form.
fn new_request_id(rng: &mut Rng) -> RequestId {
    let high = (rng.next_u64() & !0xf000) | 0x4000;
    let low = (rng.next_u64() & !(0b11 << 62)) | (0b10 << 62);
    let mut digits = [0; 32];
    digits[..16].copy_from_slice(&hex(high));
    digits[16..].copy_from_slice(&hex(low));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&digits[..8]);
    text[9..13].copy_from_slice(&digits[8..12]);
    text[14..18].copy_from_slice(&digits[12..16]);
    text[19..23].copy_from_slice(&digits[16..20]);
    text[24..].copy_from_slice(&digits[20..]);
    text
}

/// Sixteen digits, all at once: each nibble gets a byte of its own, and nine is where letters begin.
fn hex(number: u64) -> [u8; 16] {
    const fn each(byte: u8) -> u128 {
        u128::from_ne_bytes([byte; 16])
    }
    let mut spread = u128::from(number);
    for shift in [32, 16, 8, 4] {
        spread = (spread | spread << shift) & (u128::MAX / ((1 << shift) + 1));
    }
    let letters = (spread + each(6)) >> 4 & each(1);
    (spread + each(b'0') + letters * u128::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_the_form_of_a_random_uuid() {
        let id = String::from_utf8(new_request_id(&mut Rng::new(1)).to_vec()).unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
    }

    #[test]
    fn sixteen_digits_at_once_are_those_of_the_library() {
        let mut rng = Rng::new(1);
        for number in [0, u64::MAX, 0x0123_4567_89ab_cdef, 0x9a9a_9a9a_9a9a_9a9a]
            .into_iter()
            .chain(std::iter::repeat_with(|| rng.next_u64()).take(200))
        {
            assert_eq!(std::str::from_utf8(&hex(number)), Ok(format!("{number:016x}").as_str()));
        }
    }

    #[test]
    fn p52_what_a_step_has_sent_elsewhere_may_have_been_processed_too() {
        let mut outer = Account::new(Instant::ZERO);
        let mut step = Account::of_step(&outer, Instant::ZERO, None);
        outer.take_over(&step);
        assert_eq!(outer.sent, Sent::Nowhere);
        step.sends();
        step.was_not_processed();
        outer.take_over(&step);
        assert_eq!(outer.sent, Sent::Nowhere);
        step.sends();
        outer.take_over(&step);
        assert_eq!(outer.sent, Sent::ByAnEarlierTry);
        outer.was_not_processed();
        assert_eq!(outer.sent, Sent::ByAnEarlierTry, "that was another try");
    }

    #[test]
    fn flags_keep_their_order_and_are_dashes_where_there_is_none() {
        let mut account = Account::new(Instant::ZERO);
        assert_eq!(flags_text(&account.flags), "-");
        account.flag("URX");
        account.fail(Cause::ConnectFailed);
        assert_eq!(flags_text(&account.flags), "URX,UF");
    }

    #[test]
    fn a_refused_connect_has_envoys_details() {
        let mut account = Account::new(Instant::ZERO);
        account.transport_failure(&io::Error::from_raw_os_error(111));
        account.fail(Cause::ConnectFailed);
        assert_eq!(
            account.details(),
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
        );
    }
}
