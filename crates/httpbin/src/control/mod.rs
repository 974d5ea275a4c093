//! The knobs of one running instance, and what it counted. In code for the demo and for tests; from outside by `door`.

mod door;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

pub(crate) use door::Door;

/// Handle to one instance; clones act on the same instance.
#[derive(Debug, Clone, Default)]
pub struct Control {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Share of requests that fail, as the bits of an `f64`.
    fail_bits: AtomicU64,
    status: AtomicU16,
    delay_ns: AtomicU64,
    hang: watch::Sender<bool>,
    serving: watch::Sender<bool>,
    requests: Gauge,
    connections: Gauge,
}

impl Default for State {
    fn default() -> Self {
        Self {
            fail_bits: AtomicU64::default(),
            status: AtomicU16::new(StatusCode::SERVICE_UNAVAILABLE.as_u16()),
            delay_ns: AtomicU64::default(),
            hang: watch::Sender::new(false),
            serving: watch::Sender::new(true),
            requests: Gauge::default(),
            connections: Gauge::default(),
        }
    }
}

/// How the knobs stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Knobs {
    /// Share of requests that fail, 0 to 1.
    pub(crate) fail: f64,
    /// What they fail with.
    pub(crate) status: StatusCode,
    /// Wait before each answer.
    pub(crate) delay: Duration,
    /// Requests are taken and not answered.
    pub(crate) hang: bool,
    /// What gRPC health says.
    pub(crate) serving: bool,
}

impl Control {
    /// While set, every request is answered with 503 (or the status chosen at the control door), whatever its path.
    pub fn fail_all(&self, fail: bool) {
        self.fail_share(if fail { 1.0 } else { 0.0 });
    }

    /// This share of requests, 0 to 1, is answered with 503 (or the status chosen at the control door), whatever their
    /// path.
    pub fn fail_share(&self, share: f64) {
        self.state.fail_bits.store(share.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn fail_with(&self, status: StatusCode) {
        self.state.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Waits so long before each answer, besides what the request itself asks for. Zero (the default) switches it off.
    pub fn set_delay(&self, delay: Duration) {
        let ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.state.delay_ns.store(ns, Ordering::Relaxed);
    }

    /// While set, requests are taken and none is answered; those that wait are answered once it is not set any more.
    pub fn hang_all(&self, hang: bool) {
        self.state.hang.send_replace(hang);
    }

    /// While not set, the health service of gRPC says `NOT_SERVING`; everything is answered all the same.
    pub fn set_serving(&self, serving: bool) {
        self.state.serving.send_replace(serving);
    }

    /// What health says, and every change of it.
    pub(crate) fn watch_serving(&self) -> watch::Receiver<bool> {
        self.state.serving.subscribe()
    }

    /// Waits while the instance hangs.
    pub(crate) async fn answers(&self) {
        // The sender lives as long as this does.
        let _ = self.state.hang.subscribe().wait_for(|hang| !hang).await;
    }

    /// What the instance has seen so far.
    pub fn counts(&self) -> Counts {
        Counts { requests: self.state.requests.read(), connections: self.state.connections.read() }
    }

    /// Starts the totals again at zero and the peaks at what is active now.
    pub fn reset_counts(&self) {
        self.state.requests.reset();
        self.state.connections.reset();
    }

    pub(crate) fn knobs(&self) -> Knobs {
        let status = self.state.status.load(Ordering::Relaxed);
        Knobs {
            fail: f64::from_bits(self.state.fail_bits.load(Ordering::Relaxed)),
            // Only statuses are stored.
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            delay: Duration::from_nanos(self.state.delay_ns.load(Ordering::Relaxed)),
            hang: *self.state.hang.borrow(),
            serving: *self.state.serving.borrow(),
        }
    }

    pub(crate) fn enter_request(&self) -> Entered {
        Entered::new(self, |state| &state.requests)
    }

    pub(crate) fn enter_connection(&self) -> Entered {
        Entered::new(self, |state| &state.connections)
    }
}

/// Counts of one instance. A request is active from its head until its whole answer was handed to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Requests, whatever they were answered with.
    pub requests: Peak,
    /// TCP connections accepted.
    pub connections: Peak,
}

/// How many are active now, were active at most at the same time, and came in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak {
    /// Active at this moment.
    pub active: u64,
    /// The most that were ever active at once.
    pub peak: u64,
    /// All that ever came.
    pub total: u64,
}

#[derive(Debug, Default)]
struct Gauge {
    active: AtomicU64,
    peak: AtomicU64,
    total: AtomicU64,
}

impl Gauge {
    fn enter(&self) {
        let active = self.active.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(active, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Peak {
        Peak {
            active: self.active.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
        }
    }

    fn reset(&self) {
        self.total.store(0, Ordering::Relaxed);
        self.peak.store(self.active.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Counted as active until dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    state: Arc<State>,
    gauge: fn(&State) -> &Gauge,
}

impl Entered {
    fn new(control: &Control, gauge: fn(&State) -> &Gauge) -> Self {
        gauge(&control.state).enter();
        Self { state: Arc::clone(&control.state), gauge }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        (self.gauge)(&self.state).active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_remembers_the_most_that_were_active_at_once() {
        let control = Control::default();
        let first = control.enter_request();
        let second = control.enter_request();
        drop(first);
        let third = control.enter_request();
        assert_eq!(control.counts().requests, Peak { active: 2, peak: 2, total: 3 });
        assert_eq!(control.counts().connections, Peak::default());
        drop((second, third));
        control.reset_counts();
        assert_eq!(control.counts().requests, Peak::default());
    }
}
