//! What the calls of one connection, or of all, add up to. Exact counts, fortio's histograms, and exact
//! latencies besides.

use std::collections::BTreeMap;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;

use crate::client::Reply;
use crate::histogram::Histogram;
use crate::options::Options;

/// Recorded calls. Times are in seconds, sizes in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Durations of all calls.
    pub(crate) durations: Histogram,
    /// Durations of the calls that were not OK.
    pub(crate) errors: Histogram,
    /// Pauses between calls; negative when the next call was already due.
    pub(crate) sleeps: Histogram,
    pub(crate) sizes: Histogram,
    pub(crate) head_sizes: Histogram,
    /// Calls by code.
    pub(crate) codes: BTreeMap<i32, u64>,
    /// Calls that a proxy refused, by the reason it gave, in the order of [`RefusalReason::ALL`].
    refused: [u64; RefusalReason::ALL.len()],
    /// Calls whose answer said `x-envoy-overloaded: true`.
    pub(crate) overloaded: u64,
    /// Calls that waited because as many as allowed were in flight.
    pub(crate) held: u64,
    /// From sending to the end of the answer.
    pub(crate) service: Latencies,
    /// From when the call was due to the end of its answer; empty when there is no rate.
    pub(crate) from_due: Latencies,
}

impl Tally {
    pub(crate) fn new(options: &Options) -> Self {
        let times = || Histogram::new(options.offset.as_secs_f64(), options.resolution);
        Self {
            durations: times(),
            errors: times(),
            sleeps: Histogram::new(-0.001, 0.001),
            sizes: Histogram::new(0.0, 100.0),
            head_sizes: Histogram::new(0.0, 5.0),
            codes: BTreeMap::new(),
            refused: [0; RefusalReason::ALL.len()],
            overloaded: 0,
            held: 0,
            service: Latencies::new(),
            from_due: Latencies::new(),
        }
    }

    /// `late` is how long after its due time the call was sent.
    pub(crate) fn record(&mut self, reply: Reply, took: Duration, late: Option<Duration>) {
        let seconds = took.as_secs_f64();
        self.durations.record(seconds);
        if !reply.is_ok() {
            self.errors.record(seconds);
        }
        self.sizes.record(reply.bytes as f64);
        self.head_sizes.record(reply.head_bytes as f64);
        *self.codes.entry(reply.code).or_default() += 1;
        if let Some(place) = reply.refusal.reason.and_then(|reason| self.place_of(reason)) {
            *place += 1;
        }
        self.overloaded += u64::from(reply.refusal.overloaded);
        self.service.record(took);
        if let Some(late) = late {
            self.from_due.record(late + took);
        }
    }

    fn place_of(&mut self, reason: RefusalReason) -> Option<&mut u64> {
        let index = RefusalReason::ALL.iter().position(|known| *known == reason)?;
        self.refused.get_mut(index)
    }

    /// The reasons that were given, and how often.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (RefusalReason, u64)> {
        RefusalReason::ALL.into_iter().zip(self.refused).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.durations.merge(&other.durations);
        self.errors.merge(&other.errors);
        self.sleeps.merge(&other.sleeps);
        self.sizes.merge(&other.sizes);
        self.head_sizes.merge(&other.head_sizes);
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
            *mine += theirs;
        }
        self.overloaded += other.overloaded;
        self.held += other.held;
        self.service.merge(&other.service);
        self.from_due.merge(&other.from_due);
    }
}

/// Latencies to three digits at any magnitude.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    /// Nanoseconds. `None` only if the histogram could not be made, which its constant bounds rule out.
    histogram: Option<hdrhistogram::Histogram<u64>>,
    /// The longest in nanoseconds: the histogram knows only the upper end of its bucket.
    longest: u64,
}

impl Latencies {
    /// Smallest difference that must be told apart.
    const FINEST_NS: u64 = 100;

    fn new() -> Self {
        let histogram = hdrhistogram::Histogram::new_with_bounds(Self::FINEST_NS, 1_000_000, 3).ok();
        let histogram = histogram.map(|mut histogram| {
            histogram.auto(true);
            histogram
        });
        Self { histogram, longest: 0 }
    }

    fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.longest = self.longest.max(ns);
        if let Some(histogram) = &mut self.histogram {
            // It grows as far as needed; what is beyond any histogram counts as the longest it knows.
            if histogram.record(ns).is_err() {
                histogram.saturating_record(ns);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.longest = self.longest.max(other.longest);
        if let (Some(mine), Some(theirs)) = (&mut self.histogram, &other.histogram) {
            // Only a histogram that may not grow can refuse; this one may.
            let _ = mine.add(theirs);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.histogram.as_ref().is_none_or(hdrhistogram::Histogram::is_empty)
    }

    /// The latency that `percentile` percent of the calls did not exceed, in seconds.
    pub(crate) fn percentile(&self, percentile: f64) -> f64 {
        let value = self.histogram.as_ref().map_or(0, |histogram| histogram.value_at_percentile(percentile));
        value.min(self.longest) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Refusal;

    #[test]
    fn exact_percentiles_are_within_a_thousandth() {
        let mut latencies = Latencies::new();
        (0..99).for_each(|_| latencies.record(Duration::from_millis(500)));
        latencies.record(Duration::from_secs(90));
        assert!((latencies.percentile(50.0) - 0.5).abs() < 0.000_5);
        assert!((latencies.percentile(99.0) - 0.5).abs() < 0.000_5);
        assert_eq!(latencies.percentile(99.9).to_string(), "90");
        let mut all = Latencies::new();
        all.merge(&latencies);
        assert_eq!(all.percentile(100.0).to_string(), "90");
    }

    fn reply(code: i32) -> Reply {
        Reply { code, bytes: 10, head_bytes: 5, refusal: Refusal::default() }
    }

    #[test]
    fn refusals_are_counted_by_the_reason_that_the_proxy_gave() {
        let (mut one, mut other) =
            (Tally::new(&Options::to("http://h/")), Tally::new(&Options::to("http://h/")));
        let full = Refusal { reason: Some(RefusalReason::LimitQueueFull), overloaded: true };
        let ejected = Refusal { reason: Some(RefusalReason::NoHealthy), overloaded: false };
        for refusal in [full, full, Refusal::default()] {
            one.record(Reply { refusal, ..reply(503) }, Duration::ZERO, None);
        }
        other.record(Reply { refusal: ejected, ..reply(503) }, Duration::ZERO, None);
        one.merge(&other);
        let refused: Vec<_> = one.refused().collect();
        assert_eq!(refused, [(RefusalReason::LimitQueueFull, 2), (RefusalReason::NoHealthy, 1)]);
        assert_eq!(one.overloaded, 2);
    }

    #[test]
    fn a_call_that_is_not_ok_counts_as_error_and_by_its_code() {
        let mut tally = Tally::new(&Options::to("http://h/"));
        for code in [200, 418, 503, -1, 301] {
            tally.record(reply(code), Duration::from_millis(1), None);
        }
        assert_eq!(tally.durations.counter().count, 5);
        assert_eq!(tally.errors.counter().count, 3);
        assert_eq!(tally.codes, BTreeMap::from([(-1, 1), (200, 1), (301, 1), (418, 1), (503, 1)]));
        assert!(tally.from_due.is_empty());
    }
}
