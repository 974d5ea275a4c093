//! What was run and what deviated, as one table; the progress on a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use fuseboard_testkit::{Burst, Count, Split};

use super::setup::{Round, Setup};
use super::steady::Tally;

/// Deviations printed; bursts end when there are as many.
const SHOWN: usize = 20;

/// Everything found so far.
#[derive(Default)]
pub(super) struct Report {
    /// By workers and hosts.
    bursts: BTreeMap<(usize, usize), Row>,
    runs: Vec<String>,
    deviations: Vec<String>,
}

#[derive(Clone, Copy, Default)]
struct Row {
    rounds: u32,
    requests: u32,
    admitted: u32,
    to_admit: u32,
    refused: u32,
    to_refuse: u32,
}

impl Row {
    fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.requests += other.requests;
        self.admitted += other.admitted;
        self.to_admit += other.to_admit;
        self.refused += other.refused;
        self.to_refuse += other.to_refuse;
    }
}

impl Report {
    pub(super) fn burst(
        &mut self,
        setup: &Setup,
        round: Round,
        expected: Split,
        burst: &Burst,
        wrong: Vec<String>,
    ) {
        self.bursts.entry((setup.workers, setup.hosts)).or_default().add(Row {
            rounds: 1,
            requests: round.callers,
            admitted: burst.ok,
            to_admit: expected.admitted(),
            refused: burst.refused,
            to_refuse: expected.refused,
        });
        self.deviate(setup, &format!("{} burst of {}", round.before, round.callers), wrong);
    }

    pub(super) fn steady(
        &mut self,
        setup: &Setup,
        callers: u32,
        tally: Tally,
        count: Count,
        wrong: Vec<String>,
    ) {
        self.runs.push(format!(
            "{callers} callers, {setup}: {} requests, {} refused; at the origin at most {} requests, {} connections",
            tally.ok + tally.refused + tally.failed,
            tally.refused,
            count.peak_requests,
            count.peak_connections,
        ));
        self.deviate(setup, &format!("{callers} steady callers"), wrong);
    }

    pub(super) fn cancelling(
        &mut self,
        setup: &Setup,
        callers: u32,
        tally: Tally,
        count: Count,
        wrong: Vec<String>,
    ) {
        self.runs.push(format!(
            "{callers} callers that give up, {setup}: {} answered, {} refused, {} given up; at most {} connections",
            tally.ok, tally.refused, tally.given_up, count.peak_connections,
        ));
        self.deviate(setup, &format!("{callers} callers that give up"), wrong);
    }

    /// Whether more would only repeat what was found.
    pub(super) const fn is_full(&self) -> bool {
        self.deviations.len() >= SHOWN
    }

    /// How long to wait for what should happen at once; less when it was found not to happen.
    pub(super) const fn patience(&self) -> Duration {
        if self.deviations.is_empty() { Duration::from_secs(10) } else { Duration::from_millis(500) }
    }

    fn deviate(&mut self, setup: &Setup, what: &str, wrong: Vec<String>) {
        for wrong in wrong {
            self.deviations.push(format!("{setup}  {what}: {wrong}  (--seed {})", setup.seed));
        }
    }

    /// Prints the table; the number of deviations.
    #[expect(clippy::print_stdout, reason = "the table is this tool's output")]
    pub(super) fn finish(&self, took: Duration) -> usize {
        let mut all = Row::default();
        for ((workers, hosts), row) in &self.bursts {
            println!("workers {workers:>2}  hosts {hosts}  {}", row.text());
            all.add(*row);
        }
        println!("bursts, all          {}", all.text());
        for run in &self.runs {
            println!("{run}");
        }
        for deviation in &self.deviations {
            println!("DEVIATION  {deviation}");
        }
        let deviations = self.deviations.len();
        println!("{deviations} deviations in {} bursts and {} runs, {took:.1?}", all.rounds, self.runs.len());
        deviations
    }
}

impl Row {
    fn text(&self) -> String {
        format!(
            "{:>4} bursts  {:>6} requests  admitted {:>6}/{:<6}  refused {:>6}/{:<6}",
            self.rounds, self.requests, self.admitted, self.to_admit, self.refused, self.to_refuse
        )
    }
}

/// A line that counts up, where somebody watches.
pub(super) struct Progress {
    what: &'static str,
    done: u32,
    all: u32,
    watched: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, all: u32) -> Self {
        Self { what, done: 0, all, watched: std::io::stderr().is_terminal() }
    }

    pub(super) fn step(&mut self, by: u32) {
        self.done += by;
        if self.watched {
            show(&format!("\r{}: {} of {}", self.what, self.done, self.all));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.watched {
            show("\r\x1b[K");
        }
    }
}

fn show(text: &str) {
    let mut to = std::io::stderr();
    // Nobody is worse off without it.
    drop(write!(to, "{text}").and_then(|()| to.flush()));
}
