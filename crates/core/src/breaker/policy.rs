//! The numbers of a breaker. Reading them from a resource, and their bounds as users see them, are `config`'s.

use std::num::NonZeroU32;
use std::time::Duration;

use super::FailureClassifier;

/// Everything that a breaker goes by.
///
/// [`Default`] is a breaker that is enforced and never trips: no trip condition is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BreakerPolicy {
    /// Whether decisions are acted on.
    pub mode: Mode,
    /// What counts as a failure.
    pub classifier: FailureClassifier,
    /// Which calls the percentages are of.
    pub window: WindowPolicy,
    /// What opens a closed breaker; any one is enough.
    pub trip: TripPolicy,
    /// How long it stays open.
    pub open: OpenPolicy,
    /// How it finds out whether to close.
    pub half_open: HalfOpenPolicy,
    /// How traffic comes back.
    pub ramp: RampPolicy,
}

/// What a breaker does with its decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Refuses.
    #[default]
    Enforce,
    /// Decides, counts what it would have refused, and refuses nothing. The outcome of a call that it would have refused
    /// is not recorded, so that its course is the one that it would have enforced.
    Shadow,
    /// Does nothing but keep overrides.
    Disabled,
}

/// A percentage from 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// `None` outside 1 to 100.
    pub const fn new(percent: u8) -> Option<Self> {
        if percent >= 1 && percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// The number, from 1 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether `part` is at least this percentage of `whole`, in integers; never of nothing.
    pub const fn is_reached(self, part: u64, whole: u64) -> bool {
        whole > 0 && part * 100 >= self.0 as u64 * whole
    }
}

/// The calls that percentages are computed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowPolicy {
    /// The last so many calls; at most [`WindowPolicy::MAX_CALLS`], of which each takes a byte.
    Calls(NonZeroU32),
    /// The calls of the last `length`, in `buckets` parts that are dropped as a whole; at most [`WindowPolicy::MAX_BUCKETS`].
    Time {
        /// How far back the window reaches, the part that is being filled included.
        length: Duration,
        /// Number of parts.
        buckets: NonZeroU32,
    },
}

impl WindowPolicy {
    /// More calls than this are not kept.
    pub const MAX_CALLS: u32 = 1 << 16;
    /// More buckets than this are not kept.
    pub const MAX_BUCKETS: u32 = 1_000;

    /// The length of a bucket in nanoseconds; `None`: this window counts calls.
    pub(super) fn bucket_nanos(&self) -> Option<u64> {
        match self {
            Self::Calls(_) => None,
            Self::Time { length, .. } => {
                let nanos = length.as_nanos() / u128::from(self.slots());
                Some(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
            }
        }
    }

    /// Calls or buckets that are kept.
    pub(super) fn slots(&self) -> u32 {
        match self {
            Self::Calls(calls) => calls.get().min(Self::MAX_CALLS),
            Self::Time { buckets, .. } => buckets.get().min(Self::MAX_BUCKETS),
        }
    }
}

impl Default for WindowPolicy {
    /// Ten seconds in ten buckets.
    fn default() -> Self {
        Self::Time { length: Duration::from_secs(10), buckets: const { NonZeroU32::new(10).unwrap() } }
    }
}

/// What opens a closed breaker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TripPolicy {
    /// So many failures with no success between them.
    pub consecutive_failures: Option<NonZeroU32>,
    /// So many failures in a time.
    pub failures: Option<FailureCount>,
    /// This share of the calls in the window failed.
    pub failure_percent: Option<Percent>,
    /// This share of the calls in the window was slow.
    pub slow: Option<SlowPolicy>,
    /// Percentages of fewer calls than this are not looked at; at most the size of a window of calls. Default 0.
    pub minimum_calls: u32,
}

/// A number of failures in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureCount {
    /// How many; at most [`FailureCount::MAX`], of which each takes 8 bytes.
    pub count: NonZeroU32,
    /// The last of them at most this long after the first.
    pub within: Duration,
}

impl FailureCount {
    /// A larger count is taken as this.
    pub const MAX: u32 = 1 << 12;
}

/// When slow calls open a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowPolicy {
    /// A call that takes longer is slow, and is counted as such the moment it passes this bound, even if it never ends.
    pub slower_than: Duration,
    /// This share of the calls in the window.
    pub percent: Percent,
}

/// How long a breaker stays open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPolicy {
    /// The first time. Default 30 s.
    pub open_for: Duration,
    /// Each further time it is so many times longer; below 1 counts as 1. Default 2.
    pub factor: f64,
    /// But at most this, apart from the jitter. Default 5 min.
    pub max_open_for: Duration,
    /// A random part of up to so many percent is added to each time, so that many proxies don't probe at once. Default 10.
    pub jitter_percent: u8,
    /// The next time gets one step shorter for each such time spent closed. Default 1 min; zero: at once.
    pub decay: Duration,
}

impl Default for OpenPolicy {
    fn default() -> Self {
        Self {
            open_for: Duration::from_secs(30),
            factor: 2.0,
            max_open_for: Duration::from_secs(300),
            jitter_percent: 10,
            decay: Duration::from_secs(60),
        }
    }
}

/// How a breaker finds out whether to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfOpenPolicy {
    /// Probes at a time. Default 1.
    pub probes: NonZeroU32,
    /// Good probes that close it; the first bad one opens it again. Default 1.
    pub successes: NonZeroU32,
    /// A probe that is not back by then gives its place to another, and its result no longer counts. Default 10 s.
    pub lease: Duration,
    /// Open again, for no longer than before, if so long after a probe was let out none has come back with a result.
    /// Half-open is over after at most `successes` such times once there are calls. Default 30 s.
    pub patience: Duration,
}

impl Default for HalfOpenPolicy {
    fn default() -> Self {
        Self {
            probes: NonZeroU32::MIN,
            successes: NonZeroU32::MIN,
            lease: Duration::from_secs(10),
            patience: Duration::from_secs(30),
        }
    }
}

/// How traffic comes back after closing: [`RampPolicy::STEPS`] percent of it, a quarter of the time each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RampPolicy {
    /// How long; zero: at once. Default zero.
    pub ramp_for: Duration,
    /// This share of the calls since the ramp began failed or were slow: open again. Default 50.
    pub failure_percent: Percent,
    /// Not looked at for fewer calls. Default 5.
    pub minimum_calls: u32,
}

impl RampPolicy {
    /// The shares of traffic, in percent.
    pub const STEPS: [u8; 4] = [10, 25, 50, 100];
}

impl Default for RampPolicy {
    fn default() -> Self {
        Self {
            ramp_for: Duration::ZERO,
            failure_percent: const { Percent::new(50).unwrap() },
            minimum_calls: 5,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_reached_when_it_is_met_exactly_and_never_of_nothing() {
        let half = Percent::new(50).unwrap();
        assert!(half.is_reached(5, 10) && half.is_reached(6, 10) && !half.is_reached(4, 9));
        assert!(!half.is_reached(0, 0));
        assert_eq!((Percent::new(0), Percent::new(101)), (None, None));
    }

    #[test]
    fn a_window_is_bounded_whatever_is_asked_for() {
        let calls = WindowPolicy::Calls(NonZeroU32::MAX);
        let time = WindowPolicy::Time { length: Duration::ZERO, buckets: NonZeroU32::MAX };
        assert_eq!(calls.slots(), WindowPolicy::MAX_CALLS);
        assert_eq!((time.slots(), time.bucket_nanos()), (WindowPolicy::MAX_BUCKETS, Some(1)));
    }
}
