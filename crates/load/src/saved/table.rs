//! Saved results as a table: a row for each thing that was measured, a column for each result, and behind each number of
//! the second and later ones how much more it is than in the first.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Saved, change};
use crate::go::number::shortest;

type Row = (String, Vec<String>);

/// Lines with their line feeds.
pub fn table(results: &[Saved]) -> String {
    let mut rows: Vec<Row> = vec![(String::new(), results.iter().map(|one| one.name.clone()).collect())];
    let mut add = |name: &str, cells: Vec<String>| {
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push((name.to_owned(), cells));
        }
    };
    let texts = |of: fn(&Saved) -> String| results.iter().map(of).collect::<Vec<_>>();
    add("labels", texts(|one| one.labels.clone()));
    add("url", texts(|one| one.url.clone()));
    add(
        "started",
        texts(|one| one.started.map(|at| at.strftime("%F %T UTC").to_string()).unwrap_or_default()),
    );
    add("asked", texts(|one| one.asked.clone()));
    add("connections", texts(|one| one.connections.to_string()));
    add("calls", texts(|one| one.calls.to_string()));
    add("errors", texts(|one| share(one.errors, one.calls)));
    add("duration", texts(|one| format!("{:.3} s", one.duration)));
    add("qps", compared(results, |one| Some(one.rate), |rate| format!("{rate:.1}")));
    add("average", compared(results, |one| Some(one.average), milliseconds));
    for (prefix, of) in [
        ("", (|one: &Saved| one.percentiles.as_slice()) as fn(&Saved) -> &[(f64, f64)]),
        ("exact ", |one| one.exact.as_slice()),
        ("since due ", |one| one.from_due.as_slice()),
    ] {
        for percentile in percentiles(results, of) {
            let value =
                |one: &Saved| of(one).iter().find(|found| same(found.0, percentile)).map(|found| found.1);
            let name = format!("{prefix}p{}", shortest(percentile));
            add(&name, compared(results, value, milliseconds));
        }
    }
    add("max", compared(results, |one| Some(one.longest), milliseconds));
    add("sockets", texts(|one| one.sockets.map(|used| used.to_string()).unwrap_or_default()));
    let codes: BTreeSet<&String> = results.iter().flat_map(|one| one.codes.keys()).collect();
    for code in codes {
        let cells = results.iter().map(|one| share(one.codes.get(code).copied().unwrap_or(0), one.calls));
        add(&format!("code {code}"), cells.collect());
    }
    layout(&rows)
}

/// All percentiles of all results, ascending.
fn percentiles(results: &[Saved], of: fn(&Saved) -> &[(f64, f64)]) -> Vec<f64> {
    let mut all: Vec<f64> = results.iter().flat_map(of).map(|(percentile, _)| *percentile).collect();
    all.sort_by(f64::total_cmp);
    all.dedup_by(|a, b| same(*a, *b));
    all
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// The values, from the second on with their change against the first.
fn compared(
    results: &[Saved],
    value: impl Fn(&Saved) -> Option<f64>,
    shown: impl Fn(f64) -> String,
) -> Vec<String> {
    let first = results.first().and_then(&value);
    let cell = |(index, one): (usize, &Saved)| {
        let Some(now) = value(one) else { return String::new() };
        match first.filter(|_| index > 0).and_then(|before| change(before, now)) {
            Some(percent) => format!("{} ({percent:+.1} %)", shown(now)),
            None => shown(now),
        }
    };
    results.iter().enumerate().map(cell).collect()
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

fn share(count: u64, of: u64) -> String {
    match (count, of) {
        (0, _) | (_, 0) => count.to_string(),
        _ => format!("{count} ({:.1} %)", 100.0 * count as f64 / of as f64),
    }
}

fn layout(rows: &[Row]) -> String {
    let columns = rows.first().map_or(0, |row| row.1.len());
    let width = |text: &str| text.chars().count();
    let first = rows.iter().map(|row| width(&row.0)).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().map(|row| width(&row.1[at])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (name, cells) in rows {
        let mut line = format!("{name:<first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "  {cell:<width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
