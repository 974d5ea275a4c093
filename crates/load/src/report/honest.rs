//! Exact percentiles beside fortio's guesses: of the time each call took, and, when there was a rate to keep, of
//! the time since the call was due, which a slow call before it does not hide (coordinated omission). And why our
//! proxy refused, when it did.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Report, phases};
use crate::expect::Verdict;
use crate::go::number::shortest;
use crate::tally::Latencies;

/// Our addition to the JSON document, under the key `fuseboard`.
#[derive(Serialize)]
pub(super) struct Honest<'a> {
    version: &'static str,
    /// From sending to the end of the answer.
    latency: Vec<Exact>,
    /// From when the call was due.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latency_from_due: Vec<Exact>,
    /// Calls that our proxy refused, by its reason.
    refused: BTreeMap<&'static str, u64>,
    /// Calls whose answer said `x-envoy-overloaded: true`.
    overloaded: u64,
    /// Calls that were due and were not made.
    missed: u64,
    /// Calls that waited at the bound of calls in flight.
    held: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<phases::Entry>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    expectations: &'a [Verdict],
}

#[derive(Serialize)]
struct Exact {
    percentile: f64,
    seconds: f64,
}

pub(super) fn document(report: &Report) -> Honest<'_> {
    Honest {
        version: env!("CARGO_PKG_VERSION"),
        latency: exact(report, &report.tally.service),
        latency_from_due: exact(report, &report.tally.from_due),
        refused: report.refused().map(|(reason, count)| (reason.token(), count)).collect(),
        overloaded: report.overloaded(),
        missed: report.missed(),
        held: report.held(),
        phases: phases::entries(&report.phases),
        expectations: report.verdicts(),
    }
}

fn exact(report: &Report, latencies: &Latencies) -> Vec<Exact> {
    if latencies.is_empty() {
        return Vec::new();
    }
    let exact = |&percentile: &f64| Exact { percentile, seconds: latencies.percentile(percentile) };
    report.options.percentiles.iter().map(exact).collect()
}

/// How many calls did not come to their turn in time, when there are such.
pub(super) fn shortfall(report: &Report) -> impl Iterator<Item = String> {
    let (held, bound) = (report.held(), report.options.connections);
    let missed =
        (report.missed() > 0).then(|| format!("Missed : {} calls were due and not made", report.missed()));
    let held = (held > 0).then(|| format!("Held : {held} calls waited because {bound} were in flight"));
    missed.into_iter().chain(held)
}

/// One line for each reason that the proxy gave for refusing.
pub(super) fn refusals(report: &Report) -> impl Iterator<Item = String> {
    report.refused().map(|(reason, count)| {
        let percent = 100.0 * count as f64 / report.calls() as f64;
        format!("Refused {} : {count} ({percent:.1} %)", reason.token())
    })
}

pub(super) fn milliseconds(latencies: &Latencies, percentile: f64) -> String {
    format!("{:.3} ms", latencies.percentile(percentile) * 1e3)
}

/// A small table: one column a percentile, one row a way of measuring.
pub(super) fn table(report: &Report) -> Vec<String> {
    let row = |name: &str, cell: &dyn Fn(f64) -> String| {
        let percentiles = report.options.percentiles.iter();
        percentiles.fold(format!("{name:<14}"), |line, &percentile| format!("{line}{:>13}", cell(percentile)))
    };
    let mut lines = vec![
        row("Exact latency", &|percentile| format!("p{}", shortest(percentile))),
        row("  since sent", &|percentile| milliseconds(&report.tally.service, percentile)),
    ];
    if !report.tally.from_due.is_empty() {
        lines.push(row("  since due", &|percentile| milliseconds(&report.tally.from_due, percentile)));
    }
    lines
}
