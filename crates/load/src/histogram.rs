//! fortio's histogram: 57 buckets whose width grows with the value, and percentiles interpolated inside them.
//! Coarse on purpose, so that numbers compare with fortio's; the exact ones are in `report::honest`.

use crate::go::number::{shortest, significant};

/// Upper bounds, in units of the resolution; what is above the last goes to one bucket more.
const BOUNDS: [f64; 56] = [
    0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 14., 16., 18., 20., 25., 30., 35., 40., 45., 50.,
    60., 70., 80., 90., 100., 120., 140., 160., 180., 200., 250., 300., 350., 400., 450., 500., 600., 700.,
    800., 900., 1000., 2000., 3000., 4000., 5000., 7500., 10_000., 20_000., 30_000., 40_000., 50_000.,
    75_000., 100_000.,
];

/// Count, extremes, mean and deviation of what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counter {
    /// How many values.
    pub count: u64,
    /// Smallest value; 0 when there is none.
    pub min: f64,
    /// Largest value; 0 when there is none.
    pub max: f64,
    /// Sum of the values.
    pub sum: f64,
    sum_of_squares: f64,
}

impl Counter {
    /// Adds a value.
    pub fn record(&mut self, value: f64) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        } else {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
        self.count += 1;
        self.sum += value;
        self.sum_of_squares += value * value;
    }

    /// Adds what the other recorded.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
    }

    /// Mean; 0 when there is no value.
    pub fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// Standard deviation of the population; 0 when there is no value.
    pub fn deviation(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let count = self.count as f64;
        ((self.sum_of_squares - self.sum * self.sum / count) / count).max(0.0).sqrt()
    }

    /// `count 2 avg 0.1 +/- 0 min 0.1 max 0.1 sum 0.2`.
    pub fn line(&self) -> String {
        format!(
            "count {} avg {} +/- {} min {} max {} sum {}",
            self.count,
            significant(self.average(), 8),
            significant(self.deviation(), 4),
            shortest(self.min),
            shortest(self.max),
            significant(self.sum, 9)
        )
    }
}

/// Values counted in buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    counter: Counter,
    offset: f64,
    resolution: f64,
    buckets: [u64; BOUNDS.len() + 1],
}

impl Histogram {
    /// `resolution` is the width of the lowest buckets, `offset` where they begin, both in the values' unit.
    /// A resolution that is not above zero becomes 0.001, as fortio does.
    pub fn new(offset: f64, resolution: f64) -> Self {
        let resolution = if resolution > 0.0 { resolution } else { 0.001 };
        Self { counter: Counter::default(), offset, resolution, buckets: [0; BOUNDS.len() + 1] }
    }

    /// One of the same buckets, with nothing in it.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.offset, self.resolution)
    }

    /// Adds a value.
    pub fn record(&mut self, value: f64) {
        self.counter.record(value);
        let scaled = (value - self.offset) / self.resolution;
        let bucket = BOUNDS.partition_point(|bound| *bound < scaled);
        self.buckets[bucket] += 1;
    }

    /// Adds what the other recorded; both must have been made with the same offset and resolution.
    pub fn merge(&mut self, other: &Self) {
        self.counter.merge(&other.counter);
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }

    /// What does not need the buckets.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// Share of the values in the lowest bucket, at or below the offset, in percent.
    pub fn percent_in_lowest(&self) -> f64 {
        if self.counter.count == 0 {
            return 0.0;
        }
        100.0 * self.buckets[0] as f64 / self.counter.count as f64
    }

    /// The buckets that hold something, with the first cut to the minimum and the last to the maximum.
    pub fn intervals(&self) -> Vec<Interval> {
        let mut intervals: Vec<Interval> = Vec::new();
        let bound = |index: usize| self.resolution * BOUNDS[index] + self.offset;
        let mut cumulative = 0;
        for (index, &count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            cumulative += count;
            let overflow = index == BOUNDS.len();
            let start = match index {
                // The overflow bucket begins at the last bound even when it is the only one.
                _ if intervals.is_empty() && !overflow => self.counter.min,
                0 => bound(0),
                _ => bound(index - 1),
            };
            let end = if overflow { self.counter.max } else { bound(index) };
            let percent = 100.0 * cumulative as f64 / self.counter.count as f64;
            intervals.push(Interval { start, end, percent, count });
        }
        if let Some(last) = intervals.last_mut() {
            last.end = self.counter.max;
        }
        intervals
    }

    /// The value below which `percentile` percent of the values are guessed to be: linear inside its bucket.
    pub fn percentile(&self, percentile: f64) -> f64 {
        if self.counter.count == 0 {
            return 0.0;
        }
        if percentile >= 100.0 {
            return self.counter.max;
        }
        // The minimum is a value of its own and covers its share.
        let mut below = 100.0 / self.counter.count as f64;
        if percentile <= below {
            return self.counter.min;
        }
        for interval in self.intervals() {
            if percentile <= interval.percent {
                let share = (percentile - below) / (interval.percent - below);
                return interval.start + share * (interval.end - interval.start);
            }
            below = interval.percent;
        }
        self.counter.max
    }
}

/// One bucket that holds something: values above `start` (from `start` on, for the first) up to `end`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub start: f64,
    /// Upper bound, included.
    pub end: f64,
    /// Share of all values up to `end`, in percent.
    pub percent: f64,
    /// Values inside.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(0.0, 0.001);
        for value in values {
            histogram.record(*value);
        }
        histogram
    }

    #[test]
    fn numbers_of_a_real_run_come_out_again() {
        // Two calls of a fortio 1.66.5 run against a closed port, with its own output beside.
        let histogram = of(&[0.000_111_05, 0.000_9, 0.000_9, 0.001_068_771]);
        let intervals = histogram.intervals();
        assert_eq!(intervals.len(), 2);
        assert_eq!((intervals[0].end, intervals[0].percent, intervals[0].count), (0.001, 75.0, 3));
        assert_eq!(significant(histogram.percentile(50.0), 6), "0.000555525");
        assert_eq!(significant(histogram.percentile(75.0), 6), "0.001");
        assert_eq!(significant(histogram.percentile(90.0), 6), "0.00104126");
        assert_eq!(significant(histogram.percentile(99.9), 6), "0.0010685");
    }

    #[test]
    fn everything_above_the_last_bound_is_one_bucket_from_that_bound() {
        // fortio issue 1080: 100 values of half a second at a resolution of a microsecond give a p50 of 0.299.
        let mut histogram = Histogram::new(0.0, 1e-6);
        (0..100).for_each(|_| histogram.record(0.5));
        let only = histogram.intervals()[0];
        assert_eq!((significant(only.start, 6), only.end, only.count), ("0.1".to_owned(), 0.5, 100));
        assert_eq!(significant(histogram.percentile(50.0), 4), "0.298");
    }

    #[test]
    fn nothing_recorded_is_all_zeros() {
        let histogram = of(&[]);
        assert_eq!(histogram.counter().line(), "count 0 avg 0 +/- 0 min 0 max 0 sum 0");
        assert!(histogram.intervals().is_empty());
        assert!(histogram.percentile(50.0).abs() < f64::EPSILON);
        assert!(histogram.percent_in_lowest().abs() < f64::EPSILON);
    }

    #[test]
    fn sleeps_behind_schedule_fall_into_the_lowest_bucket() {
        let mut sleeps = Histogram::new(-0.001, 0.001);
        for value in [-0.3, -0.001, -0.000_9, 0.2] {
            sleeps.record(value);
        }
        assert!((sleeps.percent_in_lowest() - 50.0).abs() < f64::EPSILON);
    }

    /// The same buckets, found by looking at all bounds one after the other.
    fn naive(values: &[f64]) -> Vec<(f64, u64)> {
        let mut counted = vec![0_u64; BOUNDS.len() + 1];
        for value in values {
            let at = BOUNDS.iter().position(|bound| value / 0.001 <= *bound).unwrap_or(BOUNDS.len());
            counted[at] += 1;
        }
        let max = values.iter().copied().fold(f64::MIN, f64::max);
        let mut found: Vec<(f64, u64)> = counted
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (BOUNDS.get(index).map_or(max, |bound| bound * 0.001), *count))
            .collect();
        if let Some(last) = found.last_mut() {
            last.0 = max;
        }
        found
    }

    proptest! {
        #[test]
        fn buckets_are_those_of_the_naive_search(
            values in prop::collection::vec(prop_oneof![0.0..0.02_f64, 0.0..200.0_f64], 1..60),
        ) {
            let histogram = of(&values);
            let found: Vec<(f64, u64)> = histogram.intervals().iter().map(|i| (i.end, i.count)).collect();
            prop_assert_eq!(found, naive(&values));
        }

        #[test]
        fn percentiles_rise_and_stay_between_the_extremes(
            values in prop::collection::vec(0.0..10.0_f64, 1..60),
        ) {
            let histogram = of(&values);
            let mut last = histogram.counter().min;
            for percentile in 0..=1_000 {
                let value = histogram.percentile(f64::from(percentile) / 10.0);
                prop_assert!(value >= last - 1e-12, "p{} {value} < {last}", f64::from(percentile) / 10.0);
                last = value;
            }
            prop_assert!((last - histogram.counter().max).abs() < 1e-12);
        }

        #[test]
        fn merging_parts_is_recording_all(
            left in prop::collection::vec(0.0..10.0_f64, 0..40),
            right in prop::collection::vec(0.0..10.0_f64, 0..40),
        ) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let all = of(&[left, right].concat());
            prop_assert_eq!(merged.buckets, all.buckets);
            let (merged, all) = (merged.counter(), all.counter());
            prop_assert_eq!((merged.count, merged.min, merged.max), (all.count, all.min, all.max));
            prop_assert!((merged.sum - all.sum).abs() < 1e-9);
            prop_assert!((merged.deviation() - all.deviation()).abs() < 1e-6);
        }
    }
}
