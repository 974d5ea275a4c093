//! Histograms: the numbers that Envoy 1.40 printed for the same values, and a comparison with a naive model.

// a panic is how a test fails; ranks are small
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use fuseboard_stats::{Buckets, Histogram, PROMETHEUS_BOUNDS, QUANTILES};
use proptest::prelude::*;

fn buckets_of(values: &[u64]) -> Buckets {
    let histogram = Histogram::default();
    for value in values {
        histogram.record(*value);
    }
    Buckets::sum_of(std::iter::once(&histogram))
}

fn quantiles(values: &[u64]) -> Vec<f64> {
    let buckets = buckets_of(values);
    QUANTILES.iter().map(|q| buckets.quantile(*q).unwrap()).collect()
}

#[test]
#[allow(clippy::float_cmp)] // the very digits are the point
fn quantiles_are_those_of_envoy() {
    // read off Envoy's /stats
    let seven = [1, 40, 43, 44, 56, 59, 145];
    assert_eq!(quantiles(&seven), [1.05, 40.5, 44.5, 59.5, 145.0, 145.0, 145.0, 145.0, 145.0, 145.0]);
    assert_eq!(quantiles(&[1; 3])[..5], [1.025, 1.025, 1.05, 1.075, 1.075]);
    assert_eq!(quantiles(&[1; 7])[..5], [1.0125, 1.025, 1.05, 1.075, 1.0875]);
    let third = 1.033_333_333_333_333_4;
    assert_eq!(quantiles(&[0, 0, 1, 1])[..4], [0.0, 0.0, 0.0, third]);
    assert_eq!(quantiles(&[44, 44, 44])[0], 44.25);
    assert_eq!(quantiles(&[0; 9]), [0.0; 10]);
}

#[test]
#[allow(clippy::float_cmp)] // the very digits are the point
fn sums_are_those_of_envoy() {
    assert_eq!(buckets_of(&[1, 40, 43, 44, 56, 59, 145]).sum(), 390.349_040_851_611_2);
    assert_eq!(buckets_of(&[43, 1022]).sum(), 1_091.113_300_492_611);
    assert_eq!(buckets_of(&[0]).sum(), 0.0);
}

#[test]
fn a_bucket_that_begins_at_a_bound_counts_in_it() {
    // Envoy counted an answer after 1022 ms in le="1000"
    assert_eq!(buckets_of(&[1022]).count_up_to(1000.0), 1);
    assert_eq!(buckets_of(&[1100]).count_up_to(1000.0), 0);
    assert_eq!(buckets_of(&[1]).count_up_to(0.5), 0);
    assert_eq!(buckets_of(&[0]).count_up_to(0.5), 1);
}

#[test]
fn nothing_recorded_has_no_quantile() {
    assert_eq!(buckets_of(&[]).quantile(0.5), None);
    assert_eq!(buckets_of(&[]).count(), 0);
}

#[test]
fn the_largest_values_are_kept_in_the_last_bucket() {
    let buckets = buckets_of(&[u64::MAX, 9_900_000_000, 123_456_789_012]);
    assert_eq!(buckets.count(), 3);
    assert_eq!(buckets.count_up_to(9.8e9), 0);
    assert_eq!(buckets.count_up_to(9.9e9), 3);
}

proptest! {
    /// The quantile lies in the bucket of the value that a sorted list has at that rank: off by 10 % at most.
    #[test]
    fn a_quantile_is_near_the_value_of_its_rank(mut values in prop::collection::vec(0u64..10_000_000, 1..200), q in 0.0f64..=1.0) {
        let got = buckets_of(&values).quantile(q).unwrap();
        values.sort_unstable();
        let rank = ((q * values.len() as f64).ceil() as usize).max(1);
        let exact = values[rank - 1] as f64;
        prop_assert!((got - exact).abs() <= exact * 0.1 + 1e-9, "{got} for {exact}");
    }

    /// Recording in two blocks and summing is recording in one.
    #[test]
    fn merging_loses_nothing(left in prop::collection::vec(any::<u64>(), 0..100), right in prop::collection::vec(0u64..5_000, 0..100)) {
        let (one, two) = (Histogram::default(), Histogram::default());
        for value in &left {
            one.record(*value);
        }
        for value in &right {
            two.record(*value);
        }
        let merged = Buckets::sum_of([&one, &two].into_iter());
        prop_assert_eq!(merged, buckets_of(&[left, right].concat()));
    }

    /// Counts grow with the bound, end at the total, and contain every value at or below the bound.
    #[test]
    fn cumulative_counts_grow_to_the_total(values in prop::collection::vec(0u64..3_600_000, 0..200)) {
        let buckets = buckets_of(&values);
        let counts: Vec<u64> = PROMETHEUS_BOUNDS.iter().map(|bound| buckets.count_up_to(*bound)).collect();
        prop_assert!(counts.is_sorted());
        prop_assert_eq!(counts.last().copied(), Some(values.len() as u64));
        for (bound, count) in PROMETHEUS_BOUNDS.iter().zip(counts) {
            prop_assert!(count >= values.iter().filter(|value| **value as f64 <= *bound).count() as u64);
        }
    }
}
