//! The result of each phase of a changing rate: a row of a table, and an entry in the JSON document.

use std::time::Duration;

use serde::Serialize;

use super::honest::milliseconds;
use crate::grpc::status;
use crate::profile::{Phase, Profile};
use crate::tally::Tally;

/// What was measured of the calls that were due within one phase.
#[derive(Debug, Clone)]
pub(super) struct PhaseResult {
    phase: Phase,
    /// Calls that were due.
    due: u64,
    tally: Tally,
}

pub(super) fn results(profile: &Profile, elapsed: Duration, tallies: Vec<Tally>) -> Vec<PhaseResult> {
    let results = profile.phases().zip(profile.due_by(elapsed)).zip(tallies);
    results.map(|((phase, due), tally)| PhaseResult { phase, due, tally }).collect()
}

impl PhaseResult {
    fn calls(&self) -> u64 {
        self.tally.durations.counter().count
    }

    pub(super) fn missed(&self) -> u64 {
        self.due.saturating_sub(self.calls())
    }
}

/// One phase in the JSON document.
#[derive(Serialize)]
pub(super) struct Entry {
    name: String,
    seconds: f64,
    calls: u64,
    errors: u64,
    missed: u64,
    held: u64,
    codes: std::collections::BTreeMap<String, u64>,
    p50_seconds: f64,
    p99_seconds: f64,
    p99_seconds_from_due: f64,
}

pub(super) fn entries(results: &[PhaseResult]) -> Vec<Entry> {
    let entry = |result: &PhaseResult| Entry {
        name: result.phase.name(),
        seconds: result.phase.length().as_secs_f64(),
        calls: result.calls(),
        errors: result.tally.errors.counter().count,
        missed: result.missed(),
        held: result.tally.held,
        codes: result.tally.codes.iter().map(|(code, count)| (status::shown(*code), *count)).collect(),
        p50_seconds: result.tally.service.percentile(50.0),
        p99_seconds: result.tally.service.percentile(99.0),
        p99_seconds_from_due: result.tally.from_due.percentile(99.0),
    };
    results.iter().map(entry).collect()
}

/// A row for each phase, when there are several.
pub(super) fn table(results: &[PhaseResult]) -> Vec<String> {
    if results.len() < 2 {
        return Vec::new();
    }
    let width = results.iter().map(|result| result.phase.name().len()).max().unwrap_or(0).max(6);
    let row = |name: &str, cells: [String; 6]| {
        cells.iter().fold(format!("{name:<width$}"), |line, cell| format!("{line} {cell:>13}"))
    };
    let heading = ["calls", "errors", "missed", "p50", "p99", "p99 since due"].map(str::to_owned);
    let mut lines = vec![row("Phases", heading)];
    for result in results {
        let cells = [
            result.calls().to_string(),
            result.tally.errors.counter().count.to_string(),
            result.missed().to_string(),
            milliseconds(&result.tally.service, 50.0),
            milliseconds(&result.tally.service, 99.0),
            milliseconds(&result.tally.from_due, 99.0),
        ];
        lines.push(row(&result.phase.name(), cells));
    }
    lines
}
