//! Blocks: one writer each, exact sums, readers on other threads.

#![allow(clippy::panic)] // how a test fails

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fuseboard_stats::{Baseline, Block, CodeOrigin, Codes, Gauge, Reading, Scope, Sharded, Value, stats};

stats! {
    /// For these tests.
    pub struct SampleStats in "sample.<name>" {
        /// Things begun.
        begun_total: Counter,
        /// Things going on.
        active: Gauge,
        /// How long they took.
        took_ms: Histogram,
        /// Renamed.
        odd as "odd.name": Counter,
    }
}

#[derive(Default)]
struct Combined {
    stats: SampleStats,
    codes: Codes,
}

fn read(blocks: &Sharded<Combined>) -> Reading {
    let mut reading = Reading::new();
    let scope = reading.scope(Scope::of_many("sample", "x;", "sample_name"));
    reading.block(scope, blocks.iter().map(|block| &block.stats));
    reading.codes(scope, "rq", &[CodeOrigin::All], blocks.iter().map(|block| &block.codes));
    reading
}

fn number(reading: &Reading, wanted: &str) -> u64 {
    let mut name = String::new();
    for row in reading.rows() {
        row.full_name(&mut name);
        if name == wanted {
            match row.value {
                Value::Counter(value) | Value::Gauge(value) => return value,
                Value::Histogram(buckets) => return buckets.count(),
            }
        }
    }
    panic!("no {wanted}");
}

#[test]
fn an_unused_scope_reads_as_zeros_and_allocates_no_block() {
    let blocks = Sharded::<Combined>::new(16);
    assert_eq!(blocks.iter().count(), 0);
    let reading = read(&blocks);
    for name in ["begun_total", "active", "took_ms", "odd.name", "rq_completed"] {
        assert_eq!(number(&reading, &format!("sample.x;.{name}")), 0);
    }
    assert!(reading.rows().all(|row| !row.used));
}

#[test]
fn a_gauge_raised_by_one_worker_and_lowered_by_another_is_their_sum() {
    let blocks = Sharded::<Combined>::new(2);
    blocks.shard(0).stats.active.add(3);
    blocks.shard(1).stats.active.sub(2);
    let sum = || Gauge::sum(blocks.iter().map(|block| &block.stats.active));
    assert_eq!((number(&read(&blocks), "sample.x;.active"), sum()), (1, 1));
    blocks.control().stats.active.dec();
    assert_eq!(sum(), 0);
    let reading = read(&blocks);
    assert_eq!(number(&reading, "sample.x;.active"), 0);
    assert!(reading.rows().any(|row| row.used), "back at zero, but it was used");
}

#[test]
fn statuses_classes_and_totals_come_from_one_count() {
    let blocks = Sharded::<Combined>::new(2);
    for status in [200, 200, 204, 503, 999, 42] {
        blocks.shard(0).codes.inc(status);
    }
    blocks.shard(1).codes.inc(503);
    let reading = read(&blocks);
    for (name, value) in [("200", 2), ("204", 1), ("2xx", 3), ("503", 2), ("5xx", 2), ("completed", 7)] {
        assert_eq!(number(&reading, &format!("sample.x;.rq_{name}")), value, "{name}");
    }
    assert!(
        reading.rows().all(|row| row.name.to_string() != "rq_404"),
        "a status that never occurred has no row"
    );
}

/// Four writers, one reader: totals never go down, the gauge never reads below zero or above what can be, and the end is exact.
#[test]
fn a_reader_beside_writers_sees_totals_that_only_grow() {
    const WRITERS: usize = 4;
    const ROUNDS: u64 = 50_000;
    let blocks = Arc::new(Sharded::<Combined>::new(WRITERS));
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|worker| {
            let blocks = Arc::clone(&blocks);
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let block = blocks.shard(worker);
                    block.stats.begun_total.inc();
                    block.stats.active.inc();
                    block.stats.took_ms.record(round % 2_000);
                    block.codes.inc(if round % 3 == 0 { 503 } else { 200 });
                    block.stats.active.dec();
                }
            })
        })
        .collect();
    let reader = {
        let (blocks, done) = (Arc::clone(&blocks), Arc::clone(&done));
        thread::spawn(move || {
            let mut last = [0; 3];
            while !done.load(Ordering::Acquire) {
                let reading = read(&blocks);
                let now = ["begun_total", "took_ms", "rq_completed"]
                    .map(|name| number(&reading, &format!("sample.x;.{name}")));
                assert!(now.iter().zip(last).all(|(now, last)| *now >= last), "{last:?} then {now:?}");
                last = now;
            }
        })
    };
    for writer in writers {
        writer.join().unwrap();
    }
    done.store(true, Ordering::Release);
    reader.join().unwrap();

    let reading = read(&blocks);
    let total = ROUNDS * WRITERS as u64;
    assert_eq!(number(&reading, "sample.x;.begun_total"), total);
    assert_eq!(number(&reading, "sample.x;.took_ms"), total);
    assert_eq!(number(&reading, "sample.x;.rq_completed"), total);
    assert_eq!(number(&reading, "sample.x;.active"), 0);
}

#[test]
fn a_reset_shows_counters_from_zero_and_leaves_gauges_and_histograms() {
    let blocks = Sharded::<Combined>::new(1);
    let stats = &blocks.shard(0).stats;
    stats.begun_total.add(5);
    stats.active.add(2);
    stats.took_ms.record(7);
    let mut baseline = Baseline::default();
    baseline.reset(&read(&blocks));
    stats.begun_total.inc();

    let mut reading = read(&blocks);
    reading.since(&mut baseline);
    assert_eq!(number(&reading, "sample.x;.begun_total"), 1);
    assert_eq!(number(&reading, "sample.x;.active"), 2);
    assert_eq!(number(&reading, "sample.x;.took_ms"), 1);
}

#[test]
fn a_counter_that_began_anew_after_a_reset_is_shown_as_it_is() {
    let before = Sharded::<Combined>::new(1);
    before.shard(0).stats.begun_total.add(5);
    let mut baseline = Baseline::default();
    baseline.reset(&read(&before));

    let after = Sharded::<Combined>::new(1);
    after.shard(0).stats.begun_total.add(3);
    let mut reading = read(&after);
    reading.since(&mut baseline);
    assert_eq!(number(&reading, "sample.x;.begun_total"), 3);
    after.shard(0).stats.begun_total.add(4);
    let mut reading = read(&after);
    reading.since(&mut baseline);
    assert_eq!(number(&reading, "sample.x;.begun_total"), 7);
}

#[test]
fn rows_are_sorted_as_envoy_sorts_them() {
    let reading = read(&Sharded::<Combined>::new(1));
    let mut names = Vec::new();
    reading.in_order(|_, _| true, |name, _| names.push(name.to_owned()));
    assert_eq!(
        names,
        [
            "sample.x;.active",
            "sample.x;.begun_total",
            "sample.x;.odd.name",
            "sample.x;.rq_completed",
            "sample.x;.took_ms"
        ],
        "counters and gauges by name, then histograms"
    );
}

#[test]
fn descriptions_come_from_the_declaration() {
    assert_eq!(SampleStats::SCOPE, "sample.<name>");
    let described: Vec<_> = SampleStats::DESCS.iter().map(|desc| (desc.name, desc.help())).collect();
    assert_eq!(
        described,
        [
            ("begun_total", "Things begun."),
            ("active", "Things going on."),
            ("took_ms", "How long they took."),
            ("odd.name", "Renamed."),
        ]
    );
}
