//! How busy one host is, over all workers: requests in flight, and local failures of the last seconds (difference D19).
//! What follows from it is the balancer's decision.

use std::time::Duration;

use crate::outcome::Outcome;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::time::Instant;

/// A host that refuses each connection at once has nothing in flight and would look idle. So local failures count like requests
/// in flight, and are forgotten by half in each such period.
const FAILURE_HALF_LIFE: Duration = Duration::from_secs(1);
/// More failures than this weigh no more: enough to lose every comparison, and forgotten after 16 periods.
const MAX_FAILURES: u64 = 0xffff;

/// Load of one host. On a cache line of its own; kept with the endpoint's identity across snapshots.
#[derive(Debug)]
#[repr(align(64))]
pub struct HostLoad {
    active: AtomicU32,
    /// Failures in the upper 16 bits; milliseconds of the last one in the lower 48.
    failures: AtomicU64,
}

impl Default for HostLoad {
    fn default() -> Self {
        Self { active: AtomicU32::new(0), failures: AtomicU64::new(0) }
    }
}

impl HostLoad {
    /// Counts a request as in flight for as long as the guard lives.
    pub fn begin(&self) -> ActiveGuard<'_> {
        self.active.fetch_add(1, Ordering::Relaxed);
        ActiveGuard(self)
    }

    /// Requests in flight: the host's gauge `rq_active`.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Remembers a local failure; other outcomes change nothing.
    pub fn record(&self, outcome: Outcome, now: Instant) {
        if !outcome.is_local_origin_failure() {
            return;
        }
        let mut word = self.failures.load(Ordering::Relaxed);
        loop {
            let next = pack((remaining(word, now) + 1).min(MAX_FAILURES), now);
            match self.failures.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
    }

    /// Requests in flight plus what is left of recent local failures.
    pub fn load(&self, now: Instant) -> u64 {
        u64::from(self.active()) + remaining(self.failures.load(Ordering::Relaxed), now)
    }
}

/// One request in flight to a host; ends by drop.
#[derive(Debug)]
#[must_use = "the request counts only while the guard lives"]
pub struct ActiveGuard<'a>(&'a HostLoad);

impl Drop for ActiveGuard<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

const MILLIS_BITS: u32 = 48;

fn millis(at: Instant) -> u64 {
    (at.as_nanos() / 1_000_000) & ((1 << MILLIS_BITS) - 1)
}

fn pack(failures: u64, at: Instant) -> u64 {
    failures << MILLIS_BITS | millis(at)
}

fn remaining(word: u64, now: Instant) -> u64 {
    if word == 0 {
        return 0;
    }
    let since = millis(now).saturating_sub(word & ((1 << MILLIS_BITS) - 1));
    let halvings = u128::from(since) / FAILURE_HALF_LIFE.as_millis();
    (word >> MILLIS_BITS) >> halvings.min(16)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::outcome::FailureKind;

    #[test]
    fn a_request_counts_while_its_guard_lives() {
        let host = HostLoad::default();
        let guards = [host.begin(), host.begin()];
        assert_eq!(host.active(), 2);
        drop(guards);
        assert_eq!(host.active(), 0);
    }

    #[test]
    fn local_failures_weigh_like_requests_and_fade_by_half_each_second() {
        let host = HostLoad::default();
        let at = Instant::from_millis;
        for _ in 0..8 {
            host.record(Outcome::Failure(FailureKind::ConnectFailed), at(5_000));
        }
        assert_eq!(host.load(at(5_999)), 8);
        assert_eq!(host.load(at(6_000)), 4);
        assert_eq!(host.load(at(8_000)), 1);
        assert_eq!(host.load(at(9_000)), 0);
        host.record(Outcome::Failure(FailureKind::Reset), at(6_000));
        assert_eq!(host.load(at(6_000)), 5, "what is left counts on");
    }

    #[test]
    fn answers_and_abandoned_tries_add_no_load_and_failures_have_a_bound() {
        let (host, at) = (HostLoad::default(), Instant::from_millis(1));
        host.record(Outcome::of_status(503), at);
        host.record(Outcome::Abandoned, at);
        assert_eq!(host.load(at), 0);
        for _ in 0..70_000 {
            host.record(Outcome::Failure(FailureKind::Timeout), at);
        }
        assert_eq!(host.load(at), MAX_FAILURES);
        assert_eq!(host.load(Instant::from_nanos(u64::MAX)), 0);
    }
}
