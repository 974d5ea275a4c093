//! `cargo xtask bench`: what Fuseboard costs beside HAProxy, nginx and Envoy in one run.
//!
//! Load and origin share one core, the proxy under test has the other; contenders take turns over several rounds, and
//! ratios of the same round are compared, because absolute times on a shared machine mean nothing.

mod certificates;
mod contender;
mod counts;
mod idle;
mod load;
mod loader;
mod machine;
mod measure;
mod origin;
mod report;
mod row;
mod rows;
mod tcp;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::{peers, profile, repository};
use certificates::Certificates;
use contender::{Contender, Programs, Proxy, Running};
use load::Tools;
use machine::Machine;
use origin::Origin;
use report::{Column, Measured, Report};
use row::{Row, Work};

const LOAD_CORE: usize = 0;
const PROXY_CORE: usize = 1;

/// When `--quick` begins nothing new any more.
const QUICK: Duration = Duration::from_secs(165);

/// Measure what a request costs beside HAProxy, nginx and Envoy; prints ratios and goals
#[derive(Args, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag, independent of the others")]
pub(crate) struct Arguments {
    /// Only the rows that matter most, with fewer and shorter rounds: ends in 3 minutes, once peers are there and ours is built
    #[arg(long)]
    quick: bool,
    /// Only this row; may be repeated. A wrong name prints all
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Seconds of load per contender, row and round
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: Option<u64>,
    /// Rounds; ratios are medians over them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// Measure the loader beside wrk instead of the proxy
    #[arg(long)]
    loader: bool,
    /// Count instructions and system calls per request instead of measuring time
    #[arg(long, conflicts_with = "loader")]
    instructions: bool,
    /// With --instructions: fail where a request costs more than docs/benchmarks.md states
    #[arg(long, requires = "instructions")]
    check: bool,
    /// Leave Envoy out
    #[arg(long)]
    no_envoy: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "PATH", conflicts_with = "profile")]
    binary: Option<PathBuf>,
    /// Build what is measured with a profile of `cargo xtask profile`, as `dist --profile` does
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Write every number to this file; default: target/bench/bench.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result to docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

impl Arguments {
    /// What is measured.
    fn fuseboard(&self) -> anyhow::Result<PathBuf> {
        match (&self.binary, &self.profile) {
            (Some(path), _) => Ok(path.canonicalize()?),
            (None, Some(profile)) => profile::build_with(profile),
            (None, None) => repository::build(),
        }
    }
}

/// What every measurement of a run shares.
struct Bench {
    programs: Programs,
    tools: Tools,
    /// Counts system calls, where it is there.
    perf: Option<PathBuf>,
    origin: Origin,
    certificates: Certificates,
    scratch: PathBuf,
    seconds: u64,
    rounds: usize,
    quick: bool,
    /// When nothing new is begun.
    deadline: Option<Instant>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.instructions {
        return counts::run(arguments);
    }
    idle::raise_limit_of_files();
    let picked = rows::picked(&arguments.rows, arguments.quick)?;
    let Some(bench) = Bench::prepare(arguments, &picked)? else { return Ok(()) };
    if arguments.loader {
        return loader::run(&bench);
    }
    let mut report = Report::new(bench.seconds, bench.rounds, Machine::look());
    let versions = bench.programs.versions().into_iter().chain(bench.tools.versions());
    report.versions = versions.collect();
    if arguments.profile.is_some() {
        report
            .versions
            .push(("Fuseboard's code", "laid out for a profile of `cargo xtask profile`".to_owned()));
    }
    for row in &picked {
        if bench.is_over() {
            report.left_out.push((row.name, "time was up".to_owned()));
            continue;
        }
        let measured = bench.measure(row)?;
        note(&measured.text());
        report.rows.push(measured);
    }
    report.machine.look_again();
    note(&report.summary());
    let json = arguments.json.clone().unwrap_or_else(|| bench.scratch.join("bench.json"));
    std::fs::write(json, format!("{:#}\n", report.json()))?;
    if arguments.write {
        let page = repository::root().join("docs/benchmarks.md");
        let before = std::fs::read_to_string(&page).unwrap_or_default();
        std::fs::write(&page, report::page(&report, &before))?;
    }
    Ok(())
}

/// Has `binary` do the work of each row that is a load, without peers, and end in order.
pub(crate) fn exercise(binary: &Path, seconds: u64) -> anyhow::Result<()> {
    let arguments =
        Arguments { binary: Some(binary.to_owned()), seconds: Some(seconds), ..Arguments::default() };
    let loads = rows::ROWS.iter().filter(|row| row.work.is_load());
    let loads: Vec<Row> = loads.map(|row| Row { peers: &[], ..*row }).collect();
    let bench = Bench::prepare(&arguments, &loads.iter().collect::<Vec<_>>())?;
    let bench = bench.context("nothing can be exercised without wrk and nginx")?;
    for row in &loads {
        note(&format!("{}: {}", row.name, row.what));
        let contender = Contender::new(Proxy::Fuseboard, row.subject);
        let running = contender.start(&bench, row)?;
        bench.load(row, contender, &running, seconds)?;
        running.end()?;
    }
    Ok(())
}

impl Bench {
    /// Finds or fetches everything that the rows need and starts the origin; nothing where even that can't be had.
    fn prepare(arguments: &Arguments, rows: &[&Row]) -> anyhow::Result<Option<Self>> {
        let found =
            peers::debian("wrk", "wrk").and_then(|wrk| Ok((wrk, peers::debian("nginx", "nginx-light")?)));
        let (wrk, nginx) = match found {
            Ok(found) => found,
            Err(missing) => {
                note(&format!("bench {missing}"));
                return Ok(None);
            }
        };
        let fuseboard = arguments.fuseboard()?;
        let scratch = repository::root().join("target/bench");
        std::fs::create_dir_all(&scratch)?;
        let certificates = Certificates::make(&scratch.join("certificates"))?;
        let origin = Origin::start(&nginx, &fuseboard, &certificates, &scratch)?;
        let rows: &[&Row] = if arguments.loader { &[] } else { rows };
        let needs_h2load = rows.iter().any(|row| matches!(row.work, Work::H2load { .. }));
        let h2load = if needs_h2load {
            peers::debian("h2load", "nghttp2-client").map_err(|missing| missing.to_string())
        } else {
            Err("not looked for".to_owned())
        };
        let programs = Programs::find(rows.iter().copied(), fuseboard.clone(), arguments.no_envoy);
        let tools = Tools { wrk, h2load, fuseboard, scratch: scratch.clone() };
        let (quick, rounds) = (arguments.quick, arguments.rounds.map(usize::from));
        Ok(Some(Self {
            programs,
            tools,
            perf: peers::on_path("perf"),
            origin,
            certificates,
            scratch,
            seconds: arguments.seconds.unwrap_or(if quick { 1 } else { 2 }),
            rounds: rounds.unwrap_or(if quick { 3 } else { 5 }),
            quick,
            deadline: quick.then(|| Instant::now() + QUICK),
        }))
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    /// A row: all contenders, round after round. What one of them can't do is told, and the others go on.
    fn measure(&self, row: &'static Row) -> anyhow::Result<Measured> {
        let subject = Contender::new(Proxy::Fuseboard, row.subject);
        let contenders = [subject].into_iter().chain(row.peers.iter().copied());
        let mut measured = Measured { row, columns: contenders.map(Column::new).collect() };
        std::fs::create_dir_all(&self.scratch)?;
        match row.work {
            Work::Start | Work::Clusters | Work::Idle { .. } => self.afresh(&mut measured),
            _ => self.in_turns(&mut measured),
        }
        Ok(measured)
    }

    /// Each is started for each measurement.
    fn afresh(&self, measured: &mut Measured) {
        let row = measured.row;
        for round in 0..row.work.rounds(self.rounds, self.quick) {
            for column in measured.columns.iter_mut().filter(|column| !column.is_out()) {
                let contender = column.contender;
                column.take(
                    round,
                    match row.work {
                        Work::Idle { connections } => self.idle(row, contender, connections),
                        Work::Clusters => self.clusters(row, contender),
                        _ => self.start(row, contender).map(|(_, sample)| sample),
                    },
                );
            }
        }
    }

    /// All are started and warmed up, then they take turns.
    fn in_turns(&self, measured: &mut Measured) {
        let row = measured.row;
        let mut running: Vec<Option<Running>> = Vec::new();
        for column in &mut measured.columns {
            let warm = self.warm(row, column.contender);
            running.push(column.get(warm));
        }
        let mut all = measured.columns.iter_mut().zip(&running).collect::<Vec<_>>();
        for round in 0..self.rounds {
            if round > 0 && self.is_over() {
                return;
            }
            for (column, running) in &mut all {
                if let (false, Some(running)) = (column.is_out(), running) {
                    column.take(round, self.under_load(row, column.contender, running));
                }
            }
        }
        if self.quick {
            return;
        }
        for (column, running) in all {
            if let (false, Some(running)) = (column.is_out(), running) {
                column.add(self.system_calls(row, column.contender, running));
            }
        }
    }

    /// Starts a contender and lets it fill its pools and caches.
    fn warm(&self, row: &Row, contender: Contender) -> anyhow::Result<Running> {
        let running = contender.start(self, row)?;
        self.load(row, contender, &running, 1)?;
        Ok(running)
    }
}

#[expect(clippy::print_stdout, reason = "progress and result are this tool's output")]
fn note(line: &str) {
    println!("{line}");
}
