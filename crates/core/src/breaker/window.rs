//! What the calls of late came to: the last N, or the last T of time in buckets; and the times of the last failures.
//! What share of them is too much is `machine`'s decision.

use std::collections::VecDeque;

use super::{FailureCount, WindowPolicy};
use crate::time::Instant;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that ended, and calls in flight that are slow by now.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that were or are slow.
    pub slow: u64,
}

/// One call, as a window keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// Where a call that was counted before its end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordId {
    epoch: u32,
    slot: u64,
}

impl Tally {
    fn add(&mut self, sample: Sample, count: u64) {
        self.calls += count;
        self.failures += u64::from(sample.failed) * count;
        self.slow += u64::from(sample.slow) * count;
    }

    fn subtract(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

#[derive(Debug)]
enum Slots {
    Calls(VecDeque<Sample>),
    Buckets { nanos: u64, tallies: VecDeque<Tally> },
}

/// The calls that percentages are computed of. Each slot, a call or a bucket, has a number that never returns.
#[derive(Debug)]
pub(super) struct Window {
    slots: Slots,
    size: u64,
    /// Grows each time that everything is forgotten, so that no id from before is found again.
    epoch: u32,
    /// The number of the oldest slot that is kept.
    first: u64,
    total: Tally,
}

impl Window {
    pub(super) fn new(policy: &WindowPolicy) -> Self {
        Self::with_epoch(policy, 0)
    }

    /// An empty window by other numbers in the place of this one.
    pub(super) fn replace(&mut self, policy: &WindowPolicy) {
        *self = Self::with_epoch(policy, self.epoch.wrapping_add(1));
    }

    fn with_epoch(policy: &WindowPolicy, epoch: u32) -> Self {
        let slots = match policy.bucket_nanos() {
            None => Slots::Calls(VecDeque::new()),
            Some(nanos) => Slots::Buckets { nanos, tallies: VecDeque::new() },
        };
        Self { slots, size: u64::from(policy.slots()), epoch, first: 0, total: Tally::default() }
    }

    /// Forgets every call.
    pub(super) fn clear(&mut self) {
        match &mut self.slots {
            Slots::Calls(samples) => samples.clear(),
            Slots::Buckets { tallies, .. } => tallies.clear(),
        }
        self.epoch = self.epoch.wrapping_add(1);
        self.first = 0;
        self.total = Tally::default();
    }

    /// What the window holds at `now`.
    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        self.slide(now);
        self.total
    }

    pub(super) fn push(&mut self, sample: Sample, now: Instant) -> RecordId {
        self.push_many(sample, 1, now)
    }

    /// So many calls of one kind that ended at `at`, or in the same bucket.
    pub(super) fn push_many(&mut self, sample: Sample, count: u32, at: Instant) -> RecordId {
        self.slide(at);
        let slot = match &mut self.slots {
            Slots::Calls(samples) => {
                for _ in 0..count {
                    if samples.len() as u64 == self.size
                        && let Some(oldest) = samples.pop_front()
                    {
                        self.first += 1;
                        self.total.subtract(Tally {
                            calls: 1,
                            failures: oldest.failed.into(),
                            slow: oldest.slow.into(),
                        });
                    }
                    samples.push_back(sample);
                    self.total.add(sample, 1);
                }
                self.first + (samples.len() as u64).saturating_sub(1)
            }
            Slots::Buckets { nanos, tallies } => {
                // Before the window: forgotten already. Workers' clocks agree, so `at` is not ahead of the last bucket.
                let number = at.as_nanos() / *nanos;
                if let Some(tally) = number
                    .checked_sub(self.first)
                    .and_then(|index| tallies.get_mut(usize::try_from(index).ok()?))
                {
                    tally.add(sample, count.into());
                    self.total.add(sample, count.into());
                }
                number
            }
        };
        RecordId { epoch: self.epoch, slot }
    }

    /// A call that was counted as slow in flight ended as a failure: noted where the call stands, or as one that was not
    /// slow if the window has left that behind; so no window holds a call twice, and none is called slow twice.
    pub(super) fn fail(&mut self, id: RecordId, now: Instant) {
        self.slide(now);
        let slot = Some(id.slot).filter(|_| id.epoch == self.epoch);
        let index = slot.and_then(|slot| usize::try_from(slot.checked_sub(self.first)?).ok());
        let noted = match (&mut self.slots, index) {
            (Slots::Calls(samples), Some(index)) => samples.get_mut(index).map(|sample| sample.failed = true),
            (Slots::Buckets { tallies, .. }, Some(index)) => {
                tallies.get_mut(index).map(|tally| tally.failures += 1)
            }
            (_, None) => None,
        };
        match noted {
            Some(()) => self.total.failures += 1,
            None => {
                self.push(Sample { failed: true, slow: false }, now);
            }
        }
    }

    /// Drops the buckets that `now` leaves behind, and opens its own.
    fn slide(&mut self, now: Instant) {
        let Slots::Buckets { nanos, tallies } = &mut self.slots else { return };
        let current = now.as_nanos() / *nanos;
        let oldest = current.saturating_add(1).saturating_sub(self.size);
        while self.first < oldest {
            let Some(gone) = tallies.pop_front() else {
                self.first = oldest;
                break;
            };
            self.first += 1;
            self.total.subtract(gone);
        }
        while self.first + (tallies.len() as u64) <= current {
            tallies.push_back(Tally::default());
        }
    }
}

/// The times of the last failures, as many as the policy asks about.
#[derive(Debug, Default)]
pub(super) struct RecentFailures(VecDeque<Instant>);

impl RecentFailures {
    pub(super) fn push(&mut self, policy: FailureCount, now: Instant) {
        self.0.push_back(now);
        while self.0.len() > Self::count(policy) {
            self.0.pop_front();
        }
    }

    /// Whether the last failures are so many in the time.
    pub(super) fn is_reached(&self, policy: FailureCount) -> bool {
        let first = self.0.len().checked_sub(Self::count(policy)).and_then(|index| self.0.get(index));
        let last = self.0.back();
        first.zip(last).is_some_and(|(first, last)| last.saturating_since(*first) <= policy.within)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn count(policy: FailureCount) -> usize {
        policy.count.get().min(FailureCount::MAX) as usize
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    const GOOD: Sample = Sample { failed: false, slow: false };
    const BAD: Sample = Sample { failed: true, slow: false };
    const SLOW: Sample = Sample { failed: false, slow: true };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn calls(n: u32) -> Window {
        Window::new(&WindowPolicy::Calls(NonZeroU32::new(n).unwrap()))
    }

    /// Three buckets of 100 ms.
    fn time() -> Window {
        let buckets = NonZeroU32::new(3).unwrap();
        Window::new(&WindowPolicy::Time { length: Duration::from_millis(300), buckets })
    }

    #[test]
    fn the_last_calls_push_out_the_first() {
        let mut window = calls(3);
        for sample in [BAD, BAD, GOOD, SLOW] {
            window.push(sample, at(0));
        }
        assert_eq!(window.tally(at(0)), Tally { calls: 3, failures: 1, slow: 1 });
        window.push_many(GOOD, 10, at(0));
        assert_eq!(window.tally(at(0)), Tally { calls: 3, failures: 0, slow: 0 });
    }

    #[test]
    fn a_bucket_leaves_as_a_whole_and_a_late_batch_goes_where_it_belongs() {
        let mut window = time();
        window.push(BAD, at(10));
        window.push(GOOD, at(250));
        window.push_many(GOOD, 4, at(90));
        assert_eq!(window.tally(at(299)), Tally { calls: 6, failures: 1, slow: 0 });
        assert_eq!(window.tally(at(300)), Tally { calls: 1, failures: 0, slow: 0 });
        window.push_many(GOOD, 4, at(90));
        assert_eq!(window.tally(at(300)).calls, 1, "older than the window");
        assert_eq!(window.tally(at(10_000)), Tally::default());
    }

    #[test]
    fn a_call_that_was_counted_in_flight_is_completed_and_not_counted_again() {
        for mut window in [calls(3), time()] {
            let id = window.push(SLOW, at(10));
            window.push(GOOD, at(20));
            window.fail(id, at(30));
            assert_eq!(window.tally(at(30)), Tally { calls: 2, failures: 1, slow: 1 });
        }
    }

    #[test]
    fn a_call_is_found_again_however_many_have_left_the_window_before_it() {
        let mut window = calls(2);
        window.push_many(GOOD, 2, at(0));
        let id = window.push(SLOW, at(0));
        window.push(GOOD, at(0));
        window.fail(id, at(0));
        assert_eq!(window.tally(at(0)), Tally { calls: 2, failures: 1, slow: 1 });
        window.push(GOOD, at(0));
        assert_eq!(window.tally(at(0)), Tally { calls: 2, failures: 0, slow: 0 }, "it left as what it was");
    }

    #[test]
    fn calls_of_one_kind_count_one_by_one() {
        let mut window = time();
        window.push_many(BAD, 4, at(0));
        window.push_many(SLOW, 3, at(0));
        assert_eq!(window.tally(at(0)), Tally { calls: 7, failures: 4, slow: 3 });
    }

    #[test]
    fn the_end_of_a_call_that_left_the_window_counts_as_a_failure_but_not_as_slow_again() {
        let mut window = calls(2);
        let id = window.push(SLOW, at(10));
        window.push_many(GOOD, 2, at(20));
        window.fail(id, at(30));
        assert_eq!(window.tally(at(30)), Tally { calls: 2, failures: 1, slow: 0 });
        let mut window = time();
        let id = window.push(SLOW, at(10));
        window.fail(id, at(500));
        assert_eq!(window.tally(at(500)), Tally { calls: 1, failures: 1, slow: 0 });
        let id = window.push(SLOW, at(500));
        window.clear();
        window.fail(id, at(500));
        assert_eq!(window.tally(at(500)), Tally { calls: 1, failures: 1, slow: 0 });
    }

    #[test]
    fn failures_in_a_time_are_counted_from_the_first_of_them() {
        let policy = FailureCount { count: NonZeroU32::new(3).unwrap(), within: Duration::from_millis(100) };
        let mut failures = RecentFailures::default();
        let reached = [0, 50, 101, 150].map(|ms| {
            failures.push(policy, at(ms));
            failures.is_reached(policy)
        });
        assert_eq!(reached, [false, false, false, true]);
    }
}
