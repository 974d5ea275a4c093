//! The numbers of one breaker, in our words and in resilience4j's.

use std::num::NonZeroU32;
use std::time::Duration;

use fuseboard_core::Rng;
use fuseboard_core::breaker::{
    BreakerPolicy, FailureClassifier, HalfOpenPolicy, OpenPolicy, Percent, SlowPolicy, StatusSet, TripPolicy,
    WindowPolicy,
};

/// Longer than any course: what resilience4j has no bound for, or has switched off.
const FOREVER: Duration = Duration::from_secs(1 << 32);
/// The status that says nothing.
pub(super) const IGNORED: u16 = 404;

/// What a kind of course is about; all other numbers are random in each.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a side of the rules, independent of the others")]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The window is one of calls, not of time.
    pub(super) counts_calls: bool,
    /// Slow calls open it too.
    pub(super) slow: bool,
    /// Half-open takes more than one probe.
    pub(super) many_probes: bool,
    /// Each time that it opens again it stays open for longer.
    pub(super) grows: bool,
    /// Somebody opens, resets, and switches off.
    pub(super) by_hand: bool,
}

const PLAIN: Kind =
    Kind { name: "", counts_calls: true, slow: false, many_probes: false, grows: false, by_hand: false };

/// All of them, each a row of the table.
pub(super) const KINDS: [Kind; 8] = [
    Kind { name: "failures in a window of calls", ..PLAIN },
    Kind { name: "failures in a window of time", counts_calls: false, ..PLAIN },
    Kind { name: "slow calls in a window of calls", slow: true, ..PLAIN },
    Kind { name: "slow calls in a window of time", counts_calls: false, slow: true, ..PLAIN },
    Kind { name: "several probes", many_probes: true, ..PLAIN },
    Kind { name: "several probes, some of them slow", slow: true, many_probes: true, ..PLAIN },
    Kind { name: "growing open times", grows: true, ..PLAIN },
    Kind { name: "opened, reset and switched off by hand", grows: true, by_hand: true, ..PLAIN },
];

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    counts_calls: bool,
    /// Calls or seconds.
    size: u32,
    minimum: u32,
    failed: u8,
    slow: Option<(u8, Duration)>,
    /// Probes at once; resilience4j: in all.
    pub(super) probes: u32,
    wait_ms: u64,
    factor: u32,
    max_wait_ms: u64,
}

impl Rules {
    pub(super) fn random(kind: Kind, dice: &mut Rng) -> Self {
        let mut from = |low: u32, high: u32| low + dice.below(high - low + 1);
        let size = if kind.counts_calls { from(1, 40) } else { from(1, 20) };
        let percent = |number: u32| u8::try_from(number).unwrap_or(100);
        let wait_ms = u64::from(from(1, 20_000));
        let growth = if kind.grows { from(2, 3) } else { 1 };
        Self {
            counts_calls: kind.counts_calls,
            size,
            minimum: from(1, 30),
            failed: percent(from(1, 100)),
            slow: kind.slow.then(|| (percent(from(1, 100)), Duration::from_millis(from(1, 3_000).into()))),
            probes: if kind.many_probes { from(2, 6) } else { 1 },
            wait_ms,
            factor: growth,
            max_wait_ms: wait_ms * u64::from(from(1, 40)),
        }
    }

    /// Half-open is over after so many results. resilience4j never waits for more probes than it lets out.
    pub(super) fn successes(&self) -> u32 {
        let most = if self.counts_calls { self.size } else { u32::MAX };
        self.minimum.min(most).min(self.probes)
    }

    /// Whether one bad probe of all that are waited for is too many over there; here one always is.
    pub(super) fn one_failed_probe_is_too_many(&self) -> bool {
        100 >= u32::from(self.failed) * self.successes()
    }

    pub(super) fn one_slow_probe_is_too_many(&self) -> bool {
        self.slow.is_none_or(|(percent, _)| 100 >= u32::from(percent) * self.successes())
    }

    /// A call that takes longer is slow.
    pub(super) fn slower_than(&self) -> Option<Duration> {
        self.slow.map(|(_, bound)| bound)
    }

    pub(super) fn ours(&self) -> BreakerPolicy {
        let number = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let size = number(self.size);
        let length = Duration::from_secs(self.size.into());
        let slow = self.slow.and_then(|(percent, slower_than)| {
            Some(SlowPolicy { slower_than, percent: Percent::new(percent)? })
        });
        BreakerPolicy {
            classifier: FailureClassifier {
                ignored: StatusSet::of(&[IGNORED]),
                ..FailureClassifier::default()
            },
            window: if self.counts_calls {
                WindowPolicy::Calls(size)
            } else {
                // resilience4j keeps a bucket for each second.
                WindowPolicy::Time { length, buckets: size }
            },
            trip: TripPolicy {
                failure_percent: Percent::new(self.failed),
                slow,
                minimum_calls: self.minimum,
                ..TripPolicy::default()
            },
            open: OpenPolicy {
                open_for: Duration::from_millis(self.wait_ms),
                factor: self.factor.into(),
                max_open_for: Duration::from_millis(self.max_wait_ms),
                jitter_percent: 0,
                // Closing takes all growth back.
                decay: Duration::ZERO,
            },
            half_open: HalfOpenPolicy {
                probes: number(self.probes),
                successes: number(self.successes()),
                lease: FOREVER,
                patience: FOREVER,
            },
            ..BreakerPolicy::default()
        }
    }

    /// The first line of a course.
    pub(super) fn theirs(&self) -> String {
        let (slow, slower_than) = self.slow.unwrap_or((100, FOREVER));
        format!(
            "new 0 {} {} {} {} {slow} {} {} {} {} {}",
            if self.counts_calls { "calls" } else { "time" },
            self.size,
            self.minimum,
            self.failed,
            slower_than.as_nanos(),
            self.probes,
            self.wait_ms,
            self.factor,
            self.max_wait_ms
        )
    }
}
