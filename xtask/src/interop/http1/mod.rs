//! Our HTTP/1.1 codec and Node's (llhttp) read the same streams, generated and known attacks. What both read as messages must be
//! the same messages: two ends that disagree about where one ends let requests be smuggled. What Node refuses and we read is
//! allowed for a listed reason only, none of which is about where a message ends.

#[expect(dead_code, reason = "the codec's own tests use all of it")]
#[path = "../../../../crates/http1/tests/streams/grammar.rs"]
mod grammar;
#[expect(dead_code, reason = "the codec's own tests use all of it")]
#[path = "../../../../crates/http1/tests/streams/reader.rs"]
mod reader;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fuseboard_http1::{Awaiting, Method};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use self::grammar::{damaged, requests, response};
use self::reader::{End, Message, Side, read};
use super::Table;
use crate::{peers, repository};

const PROGRAM: &str = include_str!("reader.js");
/// Streams of each kind.
const CASES: usize = 5_000;
/// Why Node may refuse what we read, and why that is no matter of framing.
const HARMLESS: &[(&str, &str)] = &[
    ("HPE_INVALID_METHOD", "it knows a list of methods, we pass on any token"),
    ("HPE_INVALID_URL", "it refuses characters in targets that we pass on"),
    ("connect", "a tunnel"),
    ("upgrade", "another protocol"),
];

/// A stream, and what it is: `requests`, or the method that it answers.
struct Case {
    kind: &'static str,
    stream: Vec<u8>,
}

/// A message as both tell it: its start and its body.
type Told = (String, Vec<u8>);

pub(super) fn run(scratch: &Path, table: &mut Table) -> anyhow::Result<()> {
    let Some(node) = peers::on_path("node") else {
        table.skip("HTTP/1.1 as Node reads it", "skipped: node (not installed)");
        return Ok(());
    };
    let cases = cases()?;
    let theirs = read_by_node(&node, scratch, &cases)?;
    let mut verdicts = Verdicts::default();
    for (case, (seen, fault)) in cases.iter().zip(&theirs) {
        verdicts.judge(case, seen, fault.as_deref());
    }
    verdicts.tell(table);
    Ok(())
}

/// The corpus of the codec, and generated streams; the same in every run.
fn cases() -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let corpus = repository::root().join("crates/http1/tests/corpus");
    for (folder, kind) in [("requests", "requests"), ("responses", "GET")] {
        for verdict in ["accepted", "refused"] {
            for entry in std::fs::read_dir(corpus.join(folder).join(verdict))? {
                cases.push(Case { kind, stream: std::fs::read(entry?.path())? });
            }
        }
    }
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut made = |strategy: &dyn Fn(&mut TestRunner) -> Result<Vec<u8>, proptest::test_runner::Reason>| {
        strategy(&mut runner).map_err(|reason| anyhow::anyhow!("{reason}"))
    };
    let (asked, answered) = (damaged(requests()), damaged(response()));
    for number in 0..CASES {
        cases.push(Case { kind: "requests", stream: made(&|runner| Ok(asked.new_tree(runner)?.current()))? });
        let kind = if number % 4 == 0 { "HEAD" } else { "GET" };
        cases.push(Case { kind, stream: made(&|runner| Ok(answered.new_tree(runner)?.current()))? });
    }
    Ok(cases)
}

fn read_by_node(
    node: &Path,
    scratch: &Path,
    cases: &[Case],
) -> anyhow::Result<Vec<(Vec<Told>, Option<String>)>> {
    let program = scratch.join("reader.js");
    std::fs::write(&program, PROGRAM)?;
    let input = scratch.join("streams.jsonl");
    let mut lines = std::io::BufWriter::new(std::fs::File::create(&input)?);
    for case in cases {
        writeln!(lines, "{}", json!([case.kind, BASE64.encode(&case.stream)]))?;
    }
    lines.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let output = Command::new(node)
        .arg(&program)
        .stdin(std::fs::File::open(&input)?)
        .stderr(Stdio::inherit())
        .output()
        .context("running node")?;
    ensure!(output.status.success(), "node failed: {}", output.status);
    let lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    ensure!(lines.len() == cases.len(), "node answered {} of {} streams", lines.len(), cases.len());
    lines.into_iter().map(told).collect()
}

fn told(line: &[u8]) -> anyhow::Result<(Vec<Told>, Option<String>)> {
    let (messages, fault): (Vec<(String, String)>, Option<String>) = serde_json::from_slice(line)?;
    let decoded = messages.into_iter().map(|(start, body)| Ok((start, BASE64.decode(body)?)));
    Ok((decoded.collect::<anyhow::Result<_>>()?, fault))
}

/// What we read: the requests, or the final answer.
fn ours(case: &Case) -> (Vec<Told>, End) {
    let told = |message: Message| (message.start, message.body);
    let method = if case.kind == "HEAD" { Method::Head } else { Method::Get };
    if case.kind == "requests" {
        let (messages, end) = read(Side::Requests, &case.stream);
        return (messages.into_iter().map(told).collect(), end);
    }
    let (messages, end) = read(Side::Responses(Awaiting::to(method)), &case.stream);
    let last = messages.into_iter().find(|message| !message.start.starts_with('1'));
    (last.map(told).into_iter().collect(), end)
}

/// What came of all streams.
#[derive(Default)]
struct Verdicts {
    /// Read alike by both, with at least one message.
    alike: usize,
    /// Both refused it before any message.
    refused: usize,
    /// We refuse, or stop, earlier.
    stricter: usize,
    /// Node refuses what we read, by reason.
    laxer: BTreeMap<String, usize>,
    /// The same bytes, other messages.
    different: Vec<String>,
}

impl Verdicts {
    fn judge(&mut self, case: &Case, theirs: &[Told], fault: Option<&str>) {
        let (ours, end) = ours(case);
        let common = ours.len().min(theirs.len());
        let hidden = case.kind == "requests" && end == End::Clean && theirs.len() > ours.len();
        if ours[..common] != theirs[..common] || hidden {
            let text = String::from_utf8_lossy(&case.stream);
            self.different.push(format!(
                "{}: {text:?}\n  ours {ours:?} {end:?}\n  theirs {theirs:?} {fault:?}",
                case.kind
            ));
        } else if ours.len() > theirs.len() {
            *self.laxer.entry(fault.unwrap_or("no reason").to_owned()).or_default() += 1;
        } else if ours.len() < theirs.len() {
            self.stricter += 1;
        } else if ours.is_empty() {
            self.refused += 1;
        } else {
            self.alike += 1;
        }
    }

    fn tell(&self, table: &mut Table) {
        let row = |what: &str| format!("HTTP/1.1 as Node reads it: {what}");
        let all = self.alike
            + self.refused
            + self.stricter
            + self.different.len()
            + self.laxer.values().sum::<usize>();
        let detail = self
            .different
            .first()
            .map_or_else(|| "0".to_owned(), |first| format!("{} such as {first}", self.different.len()));
        table.same(row("streams with other messages"), "0", detail);
        table.ours(row("streams read alike"), self.alike, self.alike, self.alike * 10 > all, "");
        table.ours(row("streams refused by both"), self.refused, self.refused, true, "");
        table.ours(row("streams that only we refuse"), 0, self.stricter, true, "");
        for (fault, count) in &self.laxer {
            let why = HARMLESS.iter().find(|(known, _)| known == fault);
            let name = row(&format!(
                "streams that only Node refuses, {fault} ({})",
                why.map_or("not listed", |(_, why)| why)
            ));
            table.ours(name, count, 0, why.is_some(), "");
        }
    }
}
