//! From rounds to medians of ratios: as a table, as JSON, and as the page in the documentation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

/// The contender that the others are divided by.
const BASE: &str = "HAProxy";
const OURS: &str = "Fuseboard";

/// One contender in one round of one row.
#[derive(Clone, Copy, Default)]
pub(super) struct Round {
    pub(super) connections: usize,
    /// Which turn it was, from 0.
    pub(super) turn: usize,
    /// CPU time of the proxy per request, in microseconds.
    pub(super) cpu_us: f64,
    pub(super) rate: f64,
    pub(super) idle_kib: u64,
    pub(super) loaded_kib: u64,
}

/// Everything measured in one run.
pub(super) struct Report {
    seconds: u64,
    rounds: BTreeMap<&'static str, Vec<Round>>,
    ready: BTreeMap<&'static str, Duration>,
}

/// Median and extremes of some ratios.
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Report {
    pub(super) fn new(seconds: u64) -> Self {
        Self { seconds, rounds: BTreeMap::new(), ready: BTreeMap::new() }
    }

    pub(super) fn ready(&mut self, contender: &'static str, after: Duration) {
        self.ready.insert(contender, after);
    }

    pub(super) fn add(&mut self, contender: &'static str, round: Round) {
        self.rounds.entry(contender).or_default().push(round);
    }

    /// What a person wants to know first.
    pub(super) fn table(&self) -> String {
        let mut text =
            format!("\n{:<12}{:>8}  CPU per request, as a multiple of {BASE}'s\n", "contender", "conns");
        for (contender, connections, spread) in self.ratios() {
            let _ = writeln!(
                text,
                "{contender:<12}{connections:>8}  {:.2}  ({:.2} to {:.2})",
                spread.median, spread.low, spread.high
            );
        }
        for (contender, rounds) in &self.rounds {
            let idle = median(rounds.iter().map(|round| round.idle_kib as f64).collect());
            let loaded = rounds.iter().map(|round| round.loaded_kib).max().unwrap_or_default() as f64;
            let ready = self.ready.get(contender).copied().unwrap_or_default();
            let _ = writeln!(
                text,
                "{contender:<12}{:>8}  {:.1} MB idle, {:.1} MB at most, accepts {} ms after exec",
                "",
                idle / 1024.0,
                loaded / 1024.0,
                ready.as_millis()
            );
        }
        text
    }

    /// All of it, for machines.
    pub(super) fn json(&self) -> Value {
        let ratios: Vec<Value> = self
            .ratios()
            .into_iter()
            .map(|(contender, connections, spread)| {
                json!({"contender": contender, "connections": connections, "base": BASE,
                       "median": spread.median, "low": spread.low, "high": spread.high})
            })
            .collect();
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .flat_map(|(contender, rounds)| {
                rounds.iter().map(move |round| {
                    json!({"contender": contender, "connections": round.connections, "round": round.turn,
                           "cpuMicrosPerRequest": round.cpu_us, "requestsPerSecond": round.rate,
                           "idleKiB": round.idle_kib, "loadedKiB": round.loaded_kib})
                })
            })
            .collect();
        json!({"apiVersion": "fuseboard.dev/v1", "secondsPerRound": self.seconds, "ratios": ratios, "rounds": rounds})
    }

    /// docs/benchmarks.md.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(
            "# Benchmarks\n\n\
             Made by `cargo xtask bench --write`. Load and origin (wrk, nginx) on one core, the proxy under test with one worker on\n\
             another; contenders take turns, and each number is the median over the rounds of the ratio to HAProxy in the same\n\
             round, with the lowest and highest round in brackets. Each contender keeps connections alive on both sides, has its\n\
             limits set high, counts statistics and writes no log; Fuseboard and Envoy have outlier detection on.\n\n\
             | contender | connections | CPU per request ÷ HAProxy's |\n|---|--:|---|\n",
        );
        for (contender, connections, spread) in self.ratios() {
            let _ = writeln!(
                text,
                "| {contender} | {connections} | {:.2} ({:.2} to {:.2}) |",
                spread.median, spread.low, spread.high
            );
        }
        if let Some(rounds) = self.rounds.get(OURS) {
            let idle = median(rounds.iter().map(|round| round.idle_kib as f64).collect()) / 1024.0;
            let ready = self.ready.get(OURS).copied().unwrap_or_default().as_millis();
            let _ = writeln!(
                text,
                "\nFuseboard idles at {idle:.1} MB and accepts connections {ready} ms after exec."
            );
        }
        text
    }

    fn ratios(&self) -> Vec<(&'static str, usize, Spread)> {
        let base: BTreeMap<(usize, usize), f64> = self
            .rounds
            .get(BASE)
            .into_iter()
            .flatten()
            .map(|round| ((round.connections, round.turn), round.cpu_us))
            .collect();
        let mut by_row: BTreeMap<(&'static str, usize), Vec<f64>> = BTreeMap::new();
        for (contender, rounds) in self.rounds.iter().filter(|(contender, _)| **contender != BASE) {
            for round in rounds {
                if let Some(base) = base.get(&(round.connections, round.turn)) {
                    by_row.entry((contender, round.connections)).or_default().push(round.cpu_us / base);
                }
            }
        }
        by_row
            .into_iter()
            .map(|((contender, connections), ratios)| {
                let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
                let high = ratios.iter().copied().fold(0.0, f64::max);
                (contender, connections, Spread { median: median(ratios), low, high })
            })
            .collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_compare_rounds_of_the_same_moment() {
        let mut report = Report::new(1);
        for (turn, slow) in [(0, 1.0), (1, 3.0), (2, 2.0)] {
            let base = Round { connections: 64, turn, cpu_us: 10.0 * slow, ..Round::default() };
            report.add(BASE, base);
            report.add(OURS, Round { cpu_us: 9.0 * slow, ..base });
        }
        let ratios = report.ratios();
        assert_eq!(ratios.len(), 1);
        assert!((ratios[0].2.median - 0.9).abs() < 1e-9);
        assert!(report.table().contains("0.90"));
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
