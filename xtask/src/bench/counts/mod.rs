//! `cargo xtask bench --instructions`: what a request costs the proxy in instructions of its own and in system calls, with
//! and without each protection. Counts hardly depend on the machine and its mood, so they can be compared over months.
//!
//! Each is the difference of two runs that differ in their number of requests only: what starting and stopping cost cancels out.

mod check;
mod peers;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::process::{self, Server};
use crate::repository;
use peers::Caller;

/// Requests of the shorter run; the longer one makes [`LONG`].
const SHORT: u64 = 1_000;
const LONG: u64 = 6_000;
/// Where the page of the results begins.
const HEADING: &str = "## Instructions and system calls per request";

const RULE: &str = "limits and ejection";
const BREAKER: &str = "limits, ejection and a breaker";

/// One thing to count.
struct Row {
    name: &'static str,
    /// The limits and the ejection of a `DestinationRule`.
    rule: bool,
    /// The trip conditions of a `CircuitBreaker`.
    trip: Option<&'static str>,
    /// Bytes of body that go up and come down.
    up: usize,
    down: usize,
    origin: u16,
    /// What the counted calls get.
    status: u16,
}

const PLAIN: Row = Row { name: "no rule", rule: false, trip: None, up: 0, down: 6, origin: 200, status: 200 };
const ALL_CONDITIONS: &str = "consecutiveFailures: 5, failures: {count: 50, within: 10s}, failurePercent: 50, slowPercent: 50, slowerThan: 10s, minimumCalls: 20";

const ROWS: [Row; 6] = [
    PLAIN,
    Row { name: RULE, rule: true, ..PLAIN },
    Row { name: BREAKER, rule: true, trip: Some(ALL_CONDITIONS), ..PLAIN },
    Row {
        name: "refused by the open breaker",
        rule: true,
        trip: Some("consecutiveFailures: 1"),
        origin: 500,
        status: 503,
        ..PLAIN
    },
    Row { name: "no rule, 1 KB down", down: 1_024, ..PLAIN },
    Row { name: "no rule, POST of 1 KB", up: 1_024, ..PLAIN },
];

/// What a request of a row costs.
struct Cost {
    name: &'static str,
    instructions: f64,
    system_calls: Option<f64>,
}

struct Counting {
    fuseboard: PathBuf,
    valgrind: PathBuf,
    strace: Option<PathBuf>,
    scratch: PathBuf,
}

pub(super) fn run(arguments: &super::Arguments) -> anyhow::Result<()> {
    let valgrind = match crate::peers::debian("valgrind", "valgrind") {
        Ok(valgrind) => valgrind,
        Err(missing) => {
            super::note(&format!("instructions {missing}"));
            return Ok(());
        }
    };
    let strace = crate::peers::debian("strace", "strace").map_err(|missing| {
        super::note(&format!("system calls {missing}"));
    });
    let scratch = repository::root().join("target/bench");
    std::fs::create_dir_all(&scratch)?;
    let counting = Counting { fuseboard: arguments.fuseboard()?, valgrind, strace: strace.ok(), scratch };
    let mut costs = Vec::new();
    for row in &ROWS {
        let cost = counting.count(row)?;
        super::note(&format!("{:<32}{:>8.0} instructions", cost.name, cost.instructions));
        costs.push(cost);
    }
    super::note(&table(&costs));
    std::fs::write(counting.scratch.join("instructions.json"), format!("{:#}\n", document(&costs)))?;
    let page = repository::root().join("docs/benchmarks.md");
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    if arguments.check {
        let problems = check::problems(&costs, &before);
        ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    }
    if arguments.write {
        std::fs::write(&page, with_section(&before, &markdown(&costs)))?;
    }
    Ok(())
}

/// The page with another section on counts.
fn with_section(page: &str, section: &str) -> String {
    let (before, old) = page.split_at(page.find(HEADING).unwrap_or(page.len()));
    let after = old.find("\n## ").map(|next| &old[next..]).unwrap_or_default();
    format!("{}\n\n{section}{after}", before.trim_end())
}

impl Counting {
    fn count(&self, row: &Row) -> anyhow::Result<Cost> {
        let difference = |total: &dyn Fn(u64) -> anyhow::Result<u64>| -> anyhow::Result<f64> {
            let (short, long) = (total(SHORT)?, total(LONG)?);
            Ok(long.saturating_sub(short) as f64 / (LONG - SHORT) as f64)
        };
        let instructions = difference(&|requests| self.instructions(row, requests))?;
        let system_calls = self
            .strace
            .as_ref()
            .map(|strace| difference(&|requests| self.system_calls(strace, row, requests)));
        Ok(Cost { name: row.name, instructions, system_calls: system_calls.transpose()? })
    }

    fn instructions(&self, row: &Row, requests: u64) -> anyhow::Result<u64> {
        let out = self.scratch.join("callgrind.out");
        let tool = ["--tool=callgrind".to_owned(), format!("--callgrind-out-file={}", out.display())];
        self.serve(&self.valgrind, &tool, row, requests)?;
        let text = std::fs::read_to_string(&out).context("callgrind wrote nothing")?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.context("callgrind wrote no total")?.trim().parse()?)
    }

    fn system_calls(&self, strace: &Path, row: &Row, requests: u64) -> anyhow::Result<u64> {
        let out = self.scratch.join("strace.out");
        let tool = ["-f", "-c", "-o"].map(str::to_owned).into_iter().chain([out.display().to_string()]);
        self.serve(strace, &tool.collect::<Vec<_>>(), row, requests)?;
        let text = std::fs::read_to_string(&out).context("strace wrote nothing")?;
        let total = text.lines().find(|line| line.ends_with(" total")).context("strace wrote no total")?;
        Ok(total.split_whitespace().nth(3).context("strace wrote no count")?.parse()?)
    }

    /// The proxy below a tool, from its start to its end, with so many requests between.
    fn serve(&self, tool: &Path, flags: &[String], row: &Row, requests: u64) -> anyhow::Result<()> {
        let origin = peers::origin(row.answer())?;
        let address = process::free_address()?;
        let rules = self.scratch.join("counted.yaml");
        std::fs::write(&rules, row.rules())?;
        let line = format!(
            "run --listen {address} --to {origin} --admin 127.0.0.1:0 --concurrency 1 --seed 1 --drain-time 1s -f {}",
            rules.display()
        );
        let mut arguments = flags.to_vec();
        arguments.push(self.fuseboard.display().to_string());
        arguments.extend(line.split_whitespace().map(str::to_owned));
        let mut server =
            Server::start("fuseboard", None, tool, &arguments, &self.scratch.join("counted.out"))?;
        server.wait_for(address)?;
        let mut caller = Caller::connect(address)?;
        let request = row.request();
        caller.call(&request, row.origin, 1)?;
        caller.call(&request, row.status, requests)?;
        drop(caller);
        server.end()
    }
}

impl Row {
    fn request(&self) -> Vec<u8> {
        let head = match self.up {
            0 => "GET / HTTP/1.1\r\nhost: origin\r\n\r\n".to_owned(),
            length => format!("POST / HTTP/1.1\r\nhost: origin\r\ncontent-length: {length}\r\n\r\n"),
        };
        (head + &"x".repeat(self.up)).into_bytes()
    }

    fn answer(&self) -> Vec<u8> {
        let (status, length) = (self.origin, self.down);
        let body = "x".repeat(length);
        format!(
            "HTTP/1.1 {status} Some\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn rules(&self) -> String {
        let mut documents = vec!["# What is counted.\n".to_owned()];
        if self.rule {
            documents.push(super::contender::rule());
        }
        if let Some(trip) = self.trip {
            documents.push(format!(
                "apiVersion: fuseboard.dev/v1alpha1\nkind: CircuitBreaker\nmetadata: {{name: origin}}\n\
                 spec:\n  host: origin\n  trip: {{{trip}}}\n  open: {{openFor: 1h, maxOpenFor: 1h}}\n"
            ));
        }
        documents.join("---\n")
    }
}

fn ratio(cost: &Cost, costs: &[Cost]) -> f64 {
    costs.first().map_or(1.0, |first| cost.instructions / first.instructions)
}

fn table(costs: &[Cost]) -> String {
    let mut text = format!("\n{:<32}{:>13}{:>7}{:>14}\n", "request", "instructions", "ratio", "system calls");
    for cost in costs {
        let calls = cost.system_calls.map_or("-".to_owned(), |calls| format!("{calls:.2}"));
        let ratio = ratio(cost, costs);
        let _ = writeln!(text, "{:<32}{:>13.0}{ratio:>7.3}{calls:>14}", cost.name, cost.instructions);
    }
    text
}

fn document(costs: &[Cost]) -> Value {
    let rows: Vec<Value> = costs
        .iter()
        .map(|cost| {
            json!({"request": cost.name, "instructions": cost.instructions, "ratio": ratio(cost, costs),
                   "systemCalls": cost.system_calls})
        })
        .collect();
    json!({"apiVersion": "fuseboard.dev/v1", "requests": LONG - SHORT, "rows": rows})
}

fn markdown(costs: &[Cost]) -> String {
    let mut text = format!(
        "{HEADING}\n\n\
         Made by `cargo xtask bench --instructions --write`: one caller, one request after the other, connections kept alive, one worker. Instructions of the\n\
         proxy's own (callgrind, without the kernel's) and its system calls (strace), each the difference of a run of {LONG} and one of {SHORT} requests. The breaker\n\
         is closed, with every condition on.\n\n\
         | request | instructions | ÷ no rule | system calls |\n|---|--:|--:|--:|\n"
    );
    for cost in costs {
        let calls = cost.system_calls.map_or("-".to_owned(), |calls| format!("{calls:.1}"));
        let ratio = ratio(cost, costs);
        let _ = writeln!(text, "| {} | {:.0} | {ratio:.2} | {calls} |", cost.name, cost.instructions);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_another_section_and_keeps_the_rest() {
        let one = with_section("# Benchmarks\n\ntable\n", &format!("{HEADING}\n\none\n")) + "\n## More\n";
        let two = with_section(&one, &format!("{HEADING}\n\ntwo\n"));
        assert_eq!(two, format!("# Benchmarks\n\ntable\n\n{HEADING}\n\ntwo\n\n## More\n"));
    }
}
