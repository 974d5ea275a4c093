//! What Istio's metrics say of an exchange: one count when it is over, whatever ended it, retries included. Messages of gRPC are counted
//! while they pass, as a call may last for days.

use super::Exchange;
use crate::downstream::Downstream;
use crate::stats::{Ending, RequestStats};
use crate::worker::Worker;

/// Where the client's connection stood when the exchange began.
pub(super) struct Before {
    taken: u64,
    sent: u64,
}

/// How long an exchange took and what went over the client's connection for it, heads and framing included.
pub(super) struct Measured {
    pub(super) millis: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Before {
    /// The request is at the front of the input.
    pub(super) const fn new(down: &Downstream) -> Self {
        Self { taken: down.taken(), sent: down.sent() }
    }
}

impl Measured {
    pub(super) fn count(&self, stats: &RequestStats) {
        stats.istio_requests_total.inc();
        stats.istio_request_duration_milliseconds.record(self.millis);
        stats.istio_request_bytes.record(self.received);
        stats.istio_response_bytes.record(self.sent);
    }
}

/// Counts a request that found no cluster.
pub(super) fn count_unrouted(worker: &Worker, ending: &Ending, measured: &Measured) {
    measured.count(worker.shared.unrouted.block(worker.index, ending.key()).0);
}

impl Exchange<'_> {
    /// Counts the exchange, once its part of the input is consumed.
    pub(super) fn count_request(&self, millis: u64) {
        let measured = Measured {
            millis,
            received: self.down.taken() - self.before.taken,
            sent: self.down.sent() - self.before.sent,
        };
        self.count_measured(&measured);
    }

    /// Counts the messages of a call of gRPC that passed since this was last done.
    pub(super) fn count_messages(&mut self) {
        if self.grpc
            && let Some((came, went)) = self.down.take_messages()
        {
            let series = match self.account.destination() {
                Some(cluster) => cluster.view.live.grpc_messages(),
                None => &self.worker.shared.unrouted_messages,
            };
            let stats = series.shard(self.worker.index);
            stats.istio_request_messages_total.add(came);
            stats.istio_response_messages_total.add(went);
        }
    }

    /// Counts what the account says.
    pub(super) fn count_measured(&self, measured: &Measured) {
        let ending = self.account.ending();
        let Some(cluster) = self.account.destination() else {
            return count_unrouted(&self.worker, &ending, measured);
        };
        let live = &cluster.view.live;
        let (stats, shared) = live.requests.block(self.worker.index, ending.key());
        measured.count(stats);
        if shared {
            live.stats.shard(self.worker.index).own.request_series_overflow_total.inc();
        }
    }
}
