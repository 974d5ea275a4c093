//! docs/benchmarks.md: the sections of this run, and those of others as they were.

use std::fmt::Write as _;

use super::super::row::Metric;
use super::Report;
use super::spread::digits;

const INTRODUCTION: &str = "# Benchmarks

Made by `cargo xtask bench --write`. Load and origin (wrk, h2load, `fuseboard load`, nginx) run on one core, the proxy under
test with one worker on another. All contenders of a row are started and warmed up, then they take turns; a ratio is the
median over the rounds of ours divided by a peer's in the same round, with the lowest and highest round in brackets. Each
contender keeps connections alive on both sides, has its limits set high, counts statistics and writes no log; it has outlier
detection on where it knows that. CPU is the processor time of the proxy (`/proc/PID/task/*/schedstat`) for each request, for
each MB with bulk, for each connection with short ones. `--row NAME` measures one row.
";

/// Metrics that a row under load has columns for.
const COLUMNS: [(Metric, &str); 5] = [
    (Metric::Cpu, "CPU us"),
    (Metric::Rate, "per second"),
    (Metric::Switches, "context switches"),
    (Metric::SystemCalls, "system calls"),
    (Metric::Memory, "memory MB"),
];

/// The page with what was measured now in place of what was measured before.
pub(in crate::bench) fn page(report: &Report, before: &str) -> String {
    let own =
        [("Beside peers", beside(report)), ("What each used", used(report)), ("Machine", machine(report))];
    let mut text = INTRODUCTION.to_owned();
    for (heading, section) in &own {
        let _ = write!(text, "\n## {heading}\n\n{}\n", section.trim_end());
    }
    for section in before.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        if !own.iter().any(|(own, _)| *own == heading) {
            let _ = write!(text, "\n## {}\n", section.trim_end());
        }
    }
    text
}

/// Ratios and goals.
fn beside(report: &Report) -> String {
    let mut text = "| work | row | measured | | goal | |\n|---|---|---|--:|--:|---|\n".to_owned();
    for measured in &report.rows {
        for compared in measured.compared() {
            let goal = compared.goal.map(|goal| goal.text()).unwrap_or_default();
            let unit = if compared.peer.is_none() { compared.metric.unit() } else { "" };
            let _ = writeln!(
                text,
                "| {} | `{}` | {} | {} {unit} | {goal} | {} |",
                measured.row.what,
                measured.row.name,
                compared.what(),
                compared.spread,
                compared.verdict()
            );
        }
    }
    for (name, reason) in report.absent() {
        let _ = write!(text, "\nLeft out: {name} ({reason}).\n");
    }
    text
}

/// The medians of each contender.
fn used(report: &Report) -> String {
    let heads = COLUMNS.map(|(_, head)| format!(" {head} |")).concat();
    let mut loads = format!("| row | contender |{heads}\n|---|---|{}\n", "--:|".repeat(COLUMNS.len()));
    let mut others = "| row | contender | medians |\n|---|---|---|\n".to_owned();
    for measured in &report.rows {
        let is_load = measured.row.work.compared() == [Metric::Cpu];
        for column in measured.columns.iter().filter(|column| !column.is_out()) {
            let (row, name) = (measured.row.name, column.contender.name());
            if is_load {
                let cell = |(metric, _): (Metric, _)| column.median(metric).map_or("-".to_owned(), digits);
                let cells = COLUMNS.map(cell).join(" | ");
                let _ = writeln!(loads, "| `{row}` | {name} | {cells} |");
            } else {
                let _ = writeln!(others, "| `{row}` | {name} | {} |", column.text());
            }
        }
    }
    format!("{loads}\n{others}")
}

fn machine(report: &Report) -> String {
    let mut text =
        format!("{}. {} rounds of {} s.\n\n", report.machine.text(), report.rounds, report.seconds);
    for (name, version) in &report.versions {
        let _ = writeln!(text, "- {name}: {version}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::Machine;
    use super::super::tests::measured;
    use super::*;

    #[test]
    fn sections_of_others_stay_and_own_ones_are_replaced() {
        let mut report = Report::new(1, 3, Machine::look());
        report.rows.push(measured(&[(8.0, 10.0)]));
        let before = "# Old\n\n## Beside peers\n\nold\n\n## Nanoseconds\n\n| a |\n";
        let once = page(&report, before);
        assert!(once.contains("\n## Nanoseconds\n\n| a |\n") && !once.contains("old"), "{once}");
        assert!(once.contains("CPU ÷ HAProxy | 0.80 (0.80 to 0.80)  | ≤ 0.85 | met |"), "{once}");
        assert!(once.contains("Left out: Envoy in h1-64 (not here)."), "{once}");
        assert_eq!(page(&report, &once), once);
    }
}
