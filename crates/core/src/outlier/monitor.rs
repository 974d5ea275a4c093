//! Counts one host's failures, in a row and in an interval, on the workers, without a lock; tells when a streak is long enough to look at.
//! Whether the host is then ejected is `detector`'s decision.

use std::sync::Arc;

use super::tally::Tallies;
use super::{DetectionKind, Origin, OutlierPolicy, Volume};
use crate::classifier::{self, FailureClassifier};
use crate::outcome::{FailureKind, Outcome};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Streaks and the ejected bit of one host; shared by all workers.
///
/// Its identity is the allocation: whoever keeps the `Arc` of an endpoint across snapshots keeps its state (difference D7),
/// and a new monitor is a fresh host. On cache lines of its own, which successes only read.
#[derive(Debug)]
#[repr(align(64))]
pub struct HostMonitor {
    id: Arc<str>,
    priority: u32,
    /// Even: in rotation; odd: ejected. Grows by one at each ejection and at each return. Written by the detector only.
    generation: AtomicU32,
    consecutive_5xx: Streak,
    consecutive_gateway_failure: Streak,
    consecutive_local_origin_failure: Streak,
    /// What detectors of rates ask for; not touched without one.
    tallies: Tallies,
}

/// Proof that a try began, and in which period of the host's life. A try that began before an ejection or a return says
/// nothing about the host after it; without this, stale results eject hosts that have just returned.
///
/// It is taken back once, because it cannot be copied:
/// ```compile_fail,E0382
/// # use fuseboard_core::{Outcome, outlier::{HostMonitor, OutlierPolicy}};
/// let (host, policy) = (HostMonitor::new("10.0.0.1:80", 0), OutlierPolicy::default());
/// let ticket = host.begin();
/// host.record(ticket, Outcome::of_status(500), &policy);
/// host.record(ticket, Outcome::of_status(500), &policy);
/// ```
#[derive(Debug)]
#[must_use = "the outcome must come back through `HostMonitor::record`"]
pub struct Ticket {
    generation: u32,
}

/// One or two streaks of a host reached their thresholds with the same outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the cluster's detector decides what follows"]
pub struct Trip {
    pub(super) generation: u32,
    kinds: [Option<DetectionKind>; 2],
}

impl Trip {
    /// What was detected, in the order in which Envoy looks at it: gateway failures before 5xx.
    pub fn kinds(self) -> impl Iterator<Item = DetectionKind> {
        self.kinds.into_iter().flatten()
    }
}

/// Envoy's reading of an outcome.
enum Verdict {
    Answer(u16),
    LocalOrigin { connected: bool },
    Nothing,
}

impl HostMonitor {
    /// A fresh host in rotation. `id` is the endpoint's identity and appears in events; `priority` 0 is the most preferred.
    pub fn new(id: impl Into<Arc<str>>, priority: u32) -> Self {
        Self {
            id: id.into(),
            priority,
            generation: AtomicU32::new(0),
            consecutive_5xx: Streak::new(),
            consecutive_gateway_failure: Streak::new(),
            consecutive_local_origin_failure: Streak::new(),
            tallies: Tallies::default(),
        }
    }

    /// The endpoint's identity.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The host's priority level; 0 is the most preferred.
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// Whether the host is out of rotation. Balancers read it at once, there is no merge window (difference D6).
    pub fn is_ejected(&self) -> bool {
        is_odd(self.generation.load(Ordering::Acquire))
    }

    /// Notes that a try begins.
    pub fn begin(&self) -> Ticket {
        Ticket { generation: self.generation.load(Ordering::Acquire) }
    }

    /// Counts what became of a try. Lock-free; a success on a host without failures writes nothing.
    ///
    /// Each streak that reaches its threshold starts again at 0 with the same atomic step, so that with ejection blocked
    /// detection repeats every `threshold` failures, and no failure in between is lost.
    pub fn record(
        &self,
        Ticket { generation }: Ticket,
        outcome: Outcome,
        policy: &OutlierPolicy,
    ) -> Option<Trip> {
        // The streaks would keep a dead period apart on their own; this saves the detector its trips.
        if is_odd(generation) || self.generation.load(Ordering::Acquire) != generation {
            return None;
        }
        let verdict = verdict(outcome, policy);
        if policy.counts_rates() {
            self.count_rates(&verdict, policy.split_external_local_origin_errors);
        }
        let kinds = match verdict {
            Verdict::Nothing => return None,
            Verdict::Answer(status) => self.count_answer(status, generation, policy),
            Verdict::LocalOrigin { connected } => {
                // Each made connection is a local success: only connects that fail in a row add up.
                if connected {
                    self.consecutive_local_origin_failure.clear(generation);
                }
                let threshold = policy.consecutive_local_origin_failure.threshold;
                let fired = self.consecutive_local_origin_failure.extend(generation, threshold);
                [fired.then_some(DetectionKind::ConsecutiveLocalOriginFailure), None]
            }
        };
        kinds.iter().any(Option::is_some).then_some(Trip { generation, kinds })
    }

    /// With split, an answer is also a success of the connection. A try that connected and then failed is one local failure;
    /// Envoy counts the connection as a success besides (difference D33).
    fn count_rates(&self, verdict: &Verdict, split: bool) {
        match verdict {
            Verdict::Answer(status) => {
                self.tallies.add(Origin::External, *status >= 500);
                if split {
                    self.tallies.add(Origin::Local, false);
                }
            }
            Verdict::LocalOrigin { .. } => self.tallies.add(Origin::Local, true),
            Verdict::Nothing => {}
        }
    }

    fn count_answer(
        &self,
        status: u16,
        generation: u32,
        policy: &OutlierPolicy,
    ) -> [Option<DetectionKind>; 2] {
        self.consecutive_local_origin_failure.clear(generation);
        let gateway = matches!(status, 502..=504) && {
            self.consecutive_gateway_failure.extend(generation, policy.consecutive_gateway_failure.threshold)
        };
        if !matches!(status, 502..=504) {
            self.consecutive_gateway_failure.clear(generation);
        }
        let any_5xx =
            status >= 500 && { self.consecutive_5xx.extend(generation, policy.consecutive_5xx.threshold) };
        if status < 500 {
            self.consecutive_5xx.clear(generation);
        }
        [
            gateway.then_some(DetectionKind::ConsecutiveGatewayFailure),
            any_5xx.then_some(DetectionKind::Consecutive5xx),
        ]
    }

    /// The length of the current streak of `kind`; 0 for a kind that is found by rates.
    pub fn streak(&self, kind: DetectionKind) -> u32 {
        let streak = match kind {
            DetectionKind::Consecutive5xx => &self.consecutive_5xx,
            DetectionKind::ConsecutiveGatewayFailure => &self.consecutive_gateway_failure,
            DetectionKind::ConsecutiveLocalOriginFailure => &self.consecutive_local_origin_failure,
            _ => return 0,
        };
        streak.length(self.generation.load(Ordering::Acquire))
    }

    /// What was counted since the last sweep. Only the detector takes it.
    pub(super) fn take_volume(&self, origin: Origin) -> Volume {
        self.tallies.take(origin)
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ends this period of the host's life: all streaks start at 0 (difference D20), tries under way no longer count.
    /// Only the detector calls it, under the cluster's lock.
    pub(super) fn flip(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Puts the host into rotation with empty streaks, whatever it was. Only the detector calls it, under the cluster's lock.
    pub(super) fn start_afresh(&self) {
        let step = if self.is_ejected() { 1 } else { 2 };
        self.generation.fetch_add(step, Ordering::AcqRel);
        for origin in Origin::ALL {
            self.tallies.take(origin);
        }
    }
}

/// What an outcome is taken for, where a classifier says what counts: as Envoy's error matcher, a status that it names is
/// a failure with at least 500, and any other answer a success.
fn classified(outcome: Outcome, classifier: &FailureClassifier) -> Outcome {
    match (classifier.judge(outcome), outcome.as_http()) {
        (classifier::Verdict::Ignored, _) => Outcome::Abandoned,
        (classifier::Verdict::Success, _) => Outcome::Success { status: 200 },
        (classifier::Verdict::Failure, Outcome::Success { status }) => {
            Outcome::Failure(FailureKind::Status(status))
        }
        (classifier::Verdict::Failure, failure) => failure,
    }
}

/// Without split, local failures count as the answers that the client gets for them: 504 for a time-out, else 503.
/// With split they touch only the local-origin streak, and answers count with their own status.
fn verdict(outcome: Outcome, policy: &OutlierPolicy) -> Verdict {
    let split = policy.split_external_local_origin_errors;
    let outcome = match &policy.classifier {
        Some(classifier) => classified(outcome, classifier),
        None => outcome.as_http(),
    };
    match outcome {
        Outcome::Abandoned => Verdict::Nothing,
        Outcome::Success { .. } | Outcome::Called(_) => Verdict::Answer(200),
        Outcome::Failure(FailureKind::Status(status)) if status >= 500 => Verdict::Answer(status),
        Outcome::Failure(FailureKind::Status(_)) => Verdict::Answer(500),
        Outcome::Failure(kind) if split => Verdict::LocalOrigin { connected: !kind.is_connect() },
        Outcome::Failure(FailureKind::Timeout) => Verdict::Answer(504),
        Outcome::Failure(_) => Verdict::Answer(503),
    }
}

const fn is_odd(generation: u32) -> bool {
    generation % 2 == 1
}

/// Failures in a row within one generation: generation in the upper half of the word, count in the lower. A word of an older
/// generation counts as 0, so an ejection or a return resets all streaks with one write elsewhere.
#[derive(Debug)]
struct Streak(AtomicU64);

impl Streak {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one failure; true: the threshold was reached, and the streak starts again. Threshold 0 never fires.
    fn extend(&self, generation: u32, threshold: u32) -> bool {
        if threshold == 0 {
            return false;
        }
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            if is_newer(word, generation) {
                return false;
            }
            let count = count_in(word, generation).saturating_add(1);
            // ">=" and not "==": a live change may lower the threshold below the streak.
            let fired = count >= threshold;
            let next = pack(generation, if fired { 0 } else { count });
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return fired,
                Err(actual) => word = actual,
            }
        }
    }

    /// Ends the streak; writes only where there is one.
    fn clear(&self, generation: u32) {
        let mut word = self.0.load(Ordering::Acquire);
        while count_in(word, generation) != 0 {
            match self.0.compare_exchange_weak(word, pack(generation, 0), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(actual) => word = actual,
            }
        }
    }

    fn length(&self, generation: u32) -> u32 {
        count_in(self.0.load(Ordering::Acquire), generation)
    }
}

const fn pack(generation: u32, count: u32) -> u64 {
    ((generation as u64) << 32) | count as u64
}

/// The count, if the word belongs to `generation`.
#[expect(clippy::cast_possible_truncation, reason = "the halves of the word are u32")]
const fn count_in(word: u64, generation: u32) -> u32 {
    if (word >> 32) as u32 == generation { word as u32 } else { 0 }
}

/// Whether the word belongs to a later generation; generations wrap.
const fn is_newer(word: u64, generation: u32) -> bool {
    let ahead = ((word >> 32) as u32).wrapping_sub(generation);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_newer_if_it_comes_within_half_of_all_that_there_are() {
        let newer = |of: u32, than: u32| is_newer(pack(of, 7), than);
        assert!(newer(6, 5) && newer(1 << 31, 1) && newer(0, u32::MAX) && newer((1 << 31) - 1, 0));
        assert!(!newer(5, 5) && !newer(5, 6) && !newer(u32::MAX, 0) && !newer(1 << 31, 0));
    }

    #[test]
    fn a_failure_of_an_earlier_generation_neither_counts_nor_fires() {
        let streak = Streak::new();
        assert!(!streak.extend(4, 2) && !streak.extend(3, 1));
        assert_eq!((streak.length(4), streak.length(3)), (1, 0));
        assert!(streak.extend(4, 2));
    }
}
