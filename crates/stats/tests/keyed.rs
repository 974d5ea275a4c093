//! Blocks by key and distributions: what they count, what they share, and how they read.

#![allow(clippy::unwrap_used, clippy::float_cmp)] // a panic is how a test fails; these numbers are exact

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use fuseboard_stats::{Buckets, KEYS, Keyed, PROMETHEUS_BOUNDS, Reading, Scope, Value};
use proptest::prelude::*;

fuseboard_stats::stats! {
    /// What one series counts.
    pub struct CallStats in "calls" {
        /// Calls.
        calls_total: Counter,
        /// How long they took.
        call_ms: Distribution,
    }
}

const WORKERS: usize = 4;

fn key(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

fn totals(calls: &Keyed<CallStats>) -> BTreeMap<Option<u64>, u64> {
    let total = |blocks: Vec<&CallStats>| blocks.iter().map(|block| block.calls_total.get()).sum();
    calls.iter().map(|(key, blocks)| (key.map(NonZeroU64::get), total(blocks))).collect()
}

#[test]
fn the_keys_that_find_no_place_share_one_block() {
    let calls = Keyed::<CallStats>::new(1);
    let keys = KEYS as u64 + 5;
    for n in 1..=keys {
        let (block, shared) = calls.block(0, key(n));
        block.calls_total.inc();
        assert_eq!(shared, n > KEYS as u64, "{n}");
    }
    calls.block(0, key(1)).0.calls_total.inc();
    let totals = totals(&calls);
    assert_eq!(totals.len(), KEYS + 1);
    assert_eq!((totals[&Some(1)], totals[&Some(2)], totals[&None]), (2, 1, 5));
}

#[test]
fn workers_that_meet_the_same_keys_at_once_agree_on_their_places() {
    const EACH: u64 = 2_000;
    let calls = Keyed::<CallStats>::new(WORKERS);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let calls = &calls;
            scope.spawn(move || {
                for n in 0..EACH {
                    let n = (n * (2 * worker as u64 + 1)) % 29 + 1;
                    calls.block(worker, key(n)).0.calls_total.inc();
                }
            });
        }
    });
    let totals = totals(&calls);
    assert_eq!(totals.len(), 29, "each key once");
    assert_eq!(totals.values().sum::<u64>(), EACH * WORKERS as u64);
}

#[test]
fn nothing_counted_is_nothing_shown() {
    assert_eq!(Keyed::<CallStats>::new(WORKERS).iter().count(), 0);
}

#[test]
fn stats_that_are_told_apart_by_labels_have_names_of_their_own() {
    let block = CallStats::default();
    let mut reading = Reading::new();
    for code in ["200", "503"] {
        let labels = vec![("code", Arc::from(code)), ("to", Arc::from("a"))];
        let scope = reading.scope(Scope::labelled("custom", labels));
        reading.block(scope, std::iter::once(&block));
    }
    let mut names = Vec::new();
    for row in reading.rows() {
        let mut name = String::new();
        row.full_name(&mut name);
        assert!(row.scope.labels_only() && row.scope.family().is_empty());
        names.push(name);
    }
    assert_eq!(names[0], "custom.code.200.to.a.calls_total");
    assert_eq!(names[2], "custom.code.503.to.a.calls_total");
}

fn read(values: &[u64]) -> Buckets {
    let blocks = [CallStats::default(), CallStats::default()];
    for (index, value) in values.iter().enumerate() {
        blocks[index % 2].call_ms.record(*value);
    }
    let mut reading = Reading::new();
    let scope = reading.scope(Scope::single("calls"));
    reading.block(scope, blocks.iter());
    let found = reading.rows().find_map(|row| match row.value {
        Value::Histogram(buckets) => Some(buckets.clone()),
        _ => None,
    });
    found.unwrap()
}

proptest! {
    #[test]
    fn a_distribution_counts_and_sums_as_a_list_would(values in prop::collection::vec(0u64..8_000_000, 0..200)) {
        let buckets = read(&values);
        prop_assert_eq!(buckets.count(), values.len() as u64);
        prop_assert_eq!(buckets.sum(), values.iter().sum::<u64>() as f64);
        for bound in PROMETHEUS_BOUNDS {
            let up_to = values.iter().filter(|value| **value as f64 <= bound).count();
            prop_assert_eq!(buckets.count_up_to(bound), up_to as u64, "up to {}", bound);
        }
    }
}

#[test]
fn values_beyond_the_last_bound_are_counted_and_summed() {
    let buckets = read(&[3_600_000, 3_600_001]);
    assert_eq!((buckets.count_up_to(3_600_000.0), buckets.count(), buckets.sum()), (1, 2, 7_200_001.0));
}

#[test]
fn who_reads_while_a_key_is_first_used_never_takes_it_for_what_is_shared() {
    for _ in 0..1_000 {
        let calls = Keyed::<CallStats>::new(1);
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                calls.block(0, key(1)).0.calls_total.inc();
            });
            start.wait();
            let read = loop {
                let read = totals(&calls);
                if !read.is_empty() {
                    break read;
                }
            };
            assert!(!read.contains_key(&None), "{read:?}");
        });
    }
}
