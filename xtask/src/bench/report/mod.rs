//! From samples to medians of ratios and goals that are met or missed: for people, and as JSON.

mod page;
mod spread;

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::contender::Contender;
use super::machine::Machine;
use super::measure::Sample;
use super::row::{Goal, Metric, Row, To};

pub(super) use page::page;
use spread::{Spread, median};

/// Everything measured in one run.
pub(super) struct Report {
    seconds: u64,
    rounds: usize,
    pub(super) machine: Machine,
    pub(super) versions: Vec<(&'static str, String)>,
    pub(super) rows: Vec<Measured>,
    pub(super) left_out: Vec<(&'static str, String)>,
}

/// A row and what its contenders did; the first of them is ours.
pub(super) struct Measured {
    pub(super) row: &'static Row,
    pub(super) columns: Vec<Column>,
}

/// A contender and its samples, each with the round it was taken in.
pub(super) struct Column {
    pub(super) contender: Contender,
    samples: Vec<(usize, Sample)>,
    /// What was measured once.
    once: Sample,
    failure: Option<String>,
}

/// What was compared: ours, as a multiple of a peer's, or by itself.
struct Compared {
    metric: Metric,
    peer: Option<String>,
    spread: Spread,
    goal: Option<Goal>,
}

impl Column {
    pub(super) const fn new(contender: Contender) -> Self {
        Self { contender, samples: Vec::new(), once: Sample::new(), failure: None }
    }

    /// The outcome of a step without which this contender has no part in the row.
    pub(super) fn get<T>(&mut self, step: anyhow::Result<T>) -> Option<T> {
        step.map_err(|error| self.failure = Some(format!("{error:#}"))).ok()
    }

    /// Keeps what was measured in a round.
    pub(super) fn take(&mut self, round: usize, sample: anyhow::Result<Sample>) {
        if let Some(sample) = self.get(sample) {
            self.samples.push((round, sample));
        }
    }

    /// Keeps what was measured beside the rounds.
    pub(super) fn add(&mut self, sample: anyhow::Result<Sample>) {
        if let Some(sample) = self.get(sample) {
            self.once.extend(sample);
        }
    }

    /// Whether it failed and has no more part in the row.
    pub(super) const fn is_out(&self) -> bool {
        self.failure.is_some()
    }

    fn median(&self, metric: Metric) -> Option<f64> {
        let values: Vec<f64> = self.values(metric).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| median(values)).or_else(|| self.once.get(&metric).copied())
    }

    fn values(&self, metric: Metric) -> impl Iterator<Item = (usize, f64)> {
        self.samples.iter().filter_map(move |(round, sample)| Some((*round, *sample.get(&metric)?)))
    }

    /// Everything about it in one line.
    fn text(&self) -> String {
        if let Some(failure) = &self.failure {
            return format!("left out: {}", failure.lines().next().unwrap_or_default());
        }
        let shown = |metric: &Metric| Some(shown(*metric, self.median(*metric)?));
        Metric::ALL.iter().filter_map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// A number with as many digits as mean something, and its unit.
fn shown(metric: Metric, value: f64) -> String {
    let number = spread::digits(value);
    match metric {
        Metric::Cpu => format!("{number} us CPU"),
        Metric::Memory => format!("{number} MB"),
        Metric::Rate | Metric::Switches | Metric::SystemCalls | Metric::Connections => {
            format!("{number} {metric}")
        }
        metric => format!("{metric} {number} {}", metric.unit()),
    }
}

impl Measured {
    /// Each metric beside each peer, and what was promised without one.
    fn compared(&self) -> Vec<Compared> {
        let Some((ours, peers)) = self.columns.split_first() else { return Vec::new() };
        let mut compared = Vec::new();
        for metric in self.row.work.compared() {
            for peer in peers {
                let name = peer.contender.name();
                let ratios = ours.values(*metric).filter_map(|(round, value)| {
                    let (_, theirs) = peer.values(*metric).find(|(other, _)| *other == round)?;
                    (theirs > 0.0).then(|| value / theirs)
                });
                let goal = self.goal(*metric, |to| matches!(to, To::Peer(peer) if peer == name));
                compared.extend(Spread::of(ratios.collect()).map(|spread| Compared {
                    metric: *metric,
                    peer: Some(name),
                    spread,
                    goal,
                }));
            }
            let goal = self.goal(*metric, |to| to == To::Itself);
            if goal.is_some() {
                let values = ours.values(*metric).map(|(_, value)| value).collect();
                compared.extend(Spread::of(values).map(|spread| Compared {
                    metric: *metric,
                    peer: None,
                    spread,
                    goal,
                }));
            }
        }
        compared
    }

    fn goal(&self, metric: Metric, to: impl Fn(To) -> bool) -> Option<Goal> {
        self.row.goals.iter().find(|goal| goal.metric == metric && to(goal.to)).copied()
    }

    /// What a person sees when the row is done.
    pub(super) fn text(&self) -> String {
        let mut text = format!("\n{}: {}\n", self.row.name, self.row.what);
        for column in &self.columns {
            let _ = writeln!(text, "  {:<28}{}", column.contender.name(), column.text());
        }
        for compared in self.compared() {
            let _ = writeln!(text, "  {}", compared.text());
        }
        text
    }

    fn json(&self) -> Value {
        let contenders: Vec<Value> = self
            .columns
            .iter()
            .map(|column| {
                let keys = |sample: &Sample| -> Value {
                    sample.iter().map(|(metric, value)| (metric.key().to_owned(), json!(value))).collect()
                };
                let rounds: Vec<Value> = column
                    .samples
                    .iter()
                    .map(|(round, sample)| json!({"round": round, "measured": keys(sample)}))
                    .collect();
                let name = column.contender.name();
                json!({"name": name, "rounds": rounds, "once": keys(&column.once), "leftOut": column.failure})
            })
            .collect();
        let compared: Vec<Value> = self.compared().iter().map(Compared::json).collect();
        let row = self.row;
        json!({"name": row.name, "what": row.what, "unit": row.work.unit(), "contenders": contenders,
               "compared": compared})
    }
}

impl Compared {
    fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| self.spread.median <= goal.at_most)
    }

    /// "met" or "missed", where something was promised.
    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        }
    }

    fn what(&self) -> String {
        match &self.peer {
            Some(peer) => format!("{} ÷ {peer}", self.metric),
            None => self.metric.to_string(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{:<28}{}", self.what(), self.spread);
        if let Some(goal) = self.goal {
            let _ = write!(text, "  goal {}: {}", goal.text(), self.verdict());
        }
        text
    }

    fn json(&self) -> Value {
        let Spread { median, low, high } = self.spread;
        json!({"metric": self.metric.key(), "peer": self.peer, "median": median, "low": low, "high": high,
               "atMost": self.goal.map(|goal| goal.at_most), "met": self.is_met()})
    }
}

impl Report {
    pub(super) const fn new(seconds: u64, rounds: usize, machine: Machine) -> Self {
        Self { seconds, rounds, machine, versions: Vec::new(), rows: Vec::new(), left_out: Vec::new() }
    }

    /// Every goal again, and what is not there.
    pub(super) fn summary(&self) -> String {
        let mut text = format!("\n{}\n\nGoals\n", self.machine.text());
        for measured in &self.rows {
            for compared in measured.compared().iter().filter(|compared| compared.goal.is_some()) {
                let _ = writeln!(text, "  {:<16}{}", measured.row.name, compared.text());
            }
        }
        for (name, reason) in self.absent() {
            let _ = writeln!(text, "left out: {name} ({reason})");
        }
        text
    }

    /// What was wanted and not measured, each with its reason.
    fn absent(&self) -> Vec<(String, String)> {
        let rows = self.left_out.iter().map(|(name, reason)| ((*name).to_owned(), reason.clone()));
        let failed = self.rows.iter().flat_map(|measured| {
            measured.columns.iter().filter_map(|column| {
                let reason = column.failure.as_ref()?.lines().next()?.to_owned();
                Some((format!("{} in {}", column.contender.name(), measured.row.name), reason))
            })
        });
        rows.chain(failed).collect()
    }

    /// All of it, for machines.
    pub(super) fn json(&self) -> Value {
        let versions: Value =
            self.versions.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
        let absent: Vec<Value> =
            self.absent().into_iter().map(|(what, reason)| json!({"what": what, "reason": reason})).collect();
        json!({"apiVersion": "fuseboard.dev/v1", "machine": self.machine.text(), "versions": versions,
               "secondsPerRound": self.seconds, "roundsPerRow": self.rounds, "leftOut": absent,
               "rows": self.rows.iter().map(Measured::json).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Variant;
    use super::super::rows::picked;
    use super::*;

    /// The row h1-64, with these of ours and of HAProxy in each round.
    pub(super) fn measured(rounds: &[(f64, f64)]) -> Measured {
        let row = picked(&["h1-64".to_owned()], false).unwrap()[0];
        let ours = Contender::new(super::super::contender::Proxy::Fuseboard, Variant::Plain);
        let mut columns: Vec<Column> = [ours].iter().chain(row.peers).copied().map(Column::new).collect();
        for (round, (our, theirs)) in rounds.iter().enumerate() {
            for (column, value) in [(0, our), (1, theirs)] {
                columns[column].take(round, Ok(Sample::from([(Metric::Cpu, *value)])));
            }
        }
        columns[2].take(0, Err(anyhow::anyhow!("not here\nreally")));
        Measured { row, columns }
    }

    #[test]
    fn ratios_compare_rounds_of_the_same_moment() {
        let compared = measured(&[(9.0, 10.0), (27.0, 30.0), (16.0, 20.0)]).compared();
        assert_eq!(compared.len(), 1, "nothing is said of one that failed");
        assert_eq!(compared[0].spread.to_string(), "0.90 (0.80 to 0.90)");
        assert_eq!(compared[0].is_met(), Some(false), "0.85 was promised");
    }

    #[test]
    fn a_report_names_goals_and_what_was_left_out() {
        let mut report = Report::new(1, 3, Machine::look());
        report.rows.push(measured(&[(8.0, 10.0)]));
        let text = report.summary();
        assert!(text.contains("goal ≤ 0.85: met"), "{text}");
        assert!(text.contains("left out: Envoy in h1-64 (not here)"), "{text}");
        let json = report.json();
        assert_eq!(json["rows"][0]["compared"][0]["met"], true);
        assert_eq!(json["leftOut"][0]["what"], "Envoy in h1-64");
    }
}
