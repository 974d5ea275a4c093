//! What was run and what deviated, as tables; the progress on a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use fuseboard_testkit::{Burst, Count, Split};

use super::calls::Tally;
use super::envoy::Leeway;
use super::setup::{Round, Setup, bound};

/// Bursts end when this many deviations were found.
const ENOUGH: usize = 20;

/// Everything found so far.
#[derive(Default)]
pub(super) struct Report {
    /// By what is spoken and workers.
    bursts: BTreeMap<(&'static str, usize), Row>,
    runs: Vec<String>,
    faults: Vec<String>,
    chaos: Vec<String>,
    /// What bounded memory in the chaos.
    memory: Option<String>,
    /// Which Envoy there is, or why there is none.
    envoy: Option<String>,
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
    envoy: Leeway,
}

impl Row {
    fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.requests += other.requests;
        self.admitted += other.admitted;
        self.to_admit += other.to_admit;
        self.refused += other.refused;
        self.to_refuse += other.to_refuse;
        self.envoy += other.envoy;
    }

    fn text(&self) -> String {
        let admitted = format!("{}/{}", self.admitted, self.to_admit);
        let refused = format!("{}/{}", self.refused, self.to_refuse);
        let envoy = if self.envoy.bursts > 0 { format!("   {}", self.envoy) } else { String::new() };
        format!("{:>7} {:>9} {admitted:>15} {refused:>15}{envoy}", self.rounds, self.requests)
    }
}

/// A run of callers against one setup.
pub(super) struct Run<'a> {
    pub(super) what: &'static str,
    pub(super) setup: &'a Setup,
    pub(super) callers: u32,
    pub(super) tally: Tally,
    pub(super) count: Count,
}

impl Run<'_> {
    fn text(&self) -> String {
        let Setup { workers, hosts, thresholds, .. } = self.setup;
        let (n, r) = (bound(thresholds.max_connections), bound(thresholds.max_requests));
        let p = bound(thresholds.max_pending_requests);
        let (spoken, s) = (self.setup.spoken(), self.setup.at_a_time());
        let keep_alive = if self.setup.keep_alive { "on" } else { "off" };
        let per_connection = self.setup.max_requests.map_or_else(|| "inf".to_owned(), |max| max.to_string());
        let Tally { answered, refused, given_up, .. } = self.tally;
        let Count { peak_requests, peak_connections, .. } = self.count;
        format!(
            "{:<11} {spoken:>5} {:>7} {workers:>7} {hosts:>5} {n:>3} {s:>4} {p:>3} {r:>3} {keep_alive:>10} {per_connection:>9} \
             {answered:>8} {refused:>7} {given_up:>8} {peak_requests:>8} {peak_connections:>8}",
            self.what, self.callers
        )
    }
}

/// What became of the requests of callers whose hosts fail.
#[derive(Clone, Copy, Default)]
pub(super) struct FaultRow {
    /// Some are never answered.
    pub(super) silence: bool,
    pub(super) callers: u32,
    pub(super) answered: u32,
    /// Those that got the proxy's word for what went wrong.
    pub(super) flagged: u32,
    /// Answers that their host broke off.
    pub(super) broken: u32,
    /// Those that the proxy says to have sent again.
    pub(super) resent: u64,
    pub(super) refused: u64,
    pub(super) count: Count,
}

impl FaultRow {
    fn text(&self, setup: &Setup) -> String {
        let Self { callers, answered, flagged, broken, resent, refused, count, .. } = self;
        let Setup { workers, hosts, thresholds, .. } = setup;
        let (n, r) = (bound(thresholds.max_connections), bound(thresholds.max_requests));
        let p = bound(thresholds.max_pending_requests);
        let (spoken, s) = (setup.spoken(), setup.at_a_time());
        let silence = if self.silence { "some" } else { "none" };
        let Count { peak_requests, peak_connections, .. } = count;
        format!(
            "{spoken:>16} {silence:>7} {callers:>7} {workers:>7} {hosts:>5} {n:>3} {s:>4} {p:>3} {r:>3} {answered:>8} {flagged:>7} \
             {broken:>10} {resent:>10} {refused:>7} {peak_requests:>8} {peak_connections:>8}"
        )
    }
}

/// What a proxy went through, and what became of its requests.
#[derive(Clone, Copy, Default)]
pub(super) struct ChaosRow {
    pub(super) workers: usize,
    pub(super) tally: Tally,
    /// Answers that their host broke off.
    pub(super) broken: u32,
    /// Requests that a host saw after another had.
    pub(super) repeated: u64,
    /// Those that the proxy says to have sent again.
    pub(super) resent: u64,
    pub(super) pushes: u32,
    pub(super) kills: u32,
    pub(super) stalls: u32,
    pub(super) starved: u32,
    /// KiB before and after.
    pub(super) resident: (u64, u64),
}

impl std::ops::Add for ChaosRow {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tally: Tally {
                answered: self.tally.answered + other.tally.answered,
                refused: self.tally.refused + other.tally.refused,
                failed: self.tally.failed + other.tally.failed,
                given_up: self.tally.given_up + other.tally.given_up,
            },
            broken: self.broken + other.broken,
            repeated: self.repeated + other.repeated,
            pushes: self.pushes + other.pushes,
            kills: self.kills + other.kills,
            starved: self.starved + other.starved,
            ..self
        }
    }
}

impl ChaosRow {
    fn text(&self) -> String {
        let Self { workers, tally, broken, repeated, resent, pushes, kills, stalls, starved, resident } =
            self;
        let Tally { answered, refused, given_up, .. } = tally;
        let (before, after) = (resident.0 / 1024, resident.1 / 1024);
        format!(
            "chaos {workers:>7} {answered:>9} {refused:>8} {given_up:>8} {broken:>10} {resent:>10} {repeated:>9} {pushes:>6} {kills:>6} \
             {stalls:>6} {starved:>7} {before:>6} > {after} MiB"
        )
    }
}

const CHAOS: &str = "chaos workers  answered  flagged given-up broken-off sent-again ran-twice pushes killed stalls starved memory";
const FAULTS: &str = "faults      HTTP silence callers workers hosts   N    S   P   R answered flagged broken-off sent-again refused \
                      peak-rqs peak-cxs";
const BURSTS: &str = "bursts  HTTP workers  bursts  requests     admitted/of      refused/of    Envoy:    off -refused +admitted above N";
const RUNS: &str = "calls        HTTP callers workers hosts   N    S   P   R keep-alive rq-per-cx answered refused given-up \
                    peak-rqs peak-cxs";

impl Report {
    pub(super) fn burst(
        &mut self,
        setup: &Setup,
        round: Round,
        expected: Split,
        burst: &Burst,
        wrong: Vec<String>,
    ) {
        self.bursts.entry((setup.spoken(), setup.workers)).or_default().add(Row {
            rounds: 1,
            requests: round.callers,
            admitted: burst.ok,
            to_admit: expected.admitted(),
            refused: burst.refused,
            to_refuse: expected.refused,
            envoy: Leeway::default(),
        });
        self.deviate(setup, &format!("{} burst of {}", round.before, round.callers), wrong);
    }

    pub(super) fn run(&mut self, run: &Run<'_>, wrong: Vec<String>) {
        self.runs.push(run.text());
        self.deviate(run.setup, &format!("{} callers, {}", run.callers, run.what), wrong);
    }

    pub(super) fn leeway(&mut self, setup: &Setup, leeway: Leeway) {
        self.bursts.entry((setup.spoken(), setup.workers)).or_default().envoy += leeway;
    }

    /// Which Envoy there is, or why there is none.
    pub(super) fn envoy(&mut self, text: String) {
        self.envoy = Some(text);
    }

    /// What bounds memory in the chaos.
    pub(super) fn memory(&mut self, text: String) {
        self.memory = Some(text);
    }

    pub(super) fn faults(&mut self, setup: &Setup, row: &FaultRow, wrong: Vec<String>) {
        self.faults.push(row.text(setup));
        let silence = if row.silence { "hosts that fail and stay silent" } else { "hosts that fail" };
        self.deviate(setup, silence, wrong);
    }

    pub(super) fn chaos(&mut self, setup: &Setup, row: ChaosRow, wrong: Vec<String>) {
        self.chaos.push(row.text());
        self.deviate(setup, "chaos", wrong);
    }

    /// Whether more would only repeat what was found.
    pub(super) const fn is_full(&self) -> bool {
        self.deviations.len() >= ENOUGH
    }

    /// How long to wait for what should happen at once; less when it was found again and again not to happen.
    pub(super) const fn patience(&self) -> Duration {
        Duration::from_secs(if self.deviations.len() < 3 { 10 } else { 1 })
    }

    fn deviate(&mut self, setup: &Setup, what: &str, wrong: Vec<String>) {
        for wrong in wrong {
            self.deviations.push(format!("{setup}  {what}: {wrong}  (--seed {})", setup.seed));
        }
    }

    /// Prints the tables; the number of deviations.
    #[expect(clippy::print_stdout, reason = "the tables are this tool's output")]
    pub(super) fn finish(&self, took: Duration) -> usize {
        let mut all = Row::default();
        if !self.bursts.is_empty() {
            println!("{BURSTS}");
        }
        for ((spoken, workers), row) in &self.bursts {
            println!("{spoken:>12} {workers:>7} {}", row.text());
            all.add(*row);
        }
        if !self.bursts.is_empty() {
            println!("{:<20} {}\n", "all", all.text());
        }
        for (head, rows) in [(RUNS, &self.runs), (FAULTS, &self.faults), (CHAOS, &self.chaos)] {
            if !rows.is_empty() {
                println!("{head}\n{}\n", rows.join("\n"));
            }
        }
        if let Some(memory) = &self.memory {
            println!("memory in the chaos: {memory}");
        }
        if let Some(envoy) = &self.envoy {
            println!("Envoy: {envoy}");
        }
        for deviation in &self.deviations {
            println!("DEVIATION  {deviation}");
        }
        let runs = self.runs.len() + self.faults.len() + self.chaos.len();
        let deviations = self.deviations.len();
        println!("{deviations} deviations in {} bursts and {runs} runs, {took:.1?}", all.rounds);
        deviations
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
