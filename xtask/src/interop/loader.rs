//! Our loader beside the real fortio against one httpbin: the same lines in the same order, and the same counts. TLS, HTTP/2
//! and gRPC are in `secured`.

use std::path::Path;
use std::process::Command;

use super::table::Table;
use super::{Workbench, results, secured, wire};
use crate::peers;
use crate::process::{self, Server};

/// Calls whose outputs are compared: flags, and the path.
const CALLS: &[(&str, &str)] = &[
    ("-c 2 -qps 0 -n 20", "/get"),
    ("-c 2 -qps 0 -n 20", "/status/503"),
    ("-c 1 -qps 20 -n 6", "/get"),
    ("-c 2 -qps 0 -n 10 -keepalive=false", "/get"),
    ("-c 2 -qps 0 -n 10 -quiet", "/get"),
    ("-c 2 -qps 0 -n 10 -loglevel warning", "/get"),
    ("-c 2 -qps 0 -n 10 -loglevel verbose", "/get"),
    ("-c 2 -qps 0 -n 12 -connection-reuse 2:2", "/get"),
    ("-c 1 -qps 0 -n 4 -payload-size 100", "/post"),
    ("-c 1 -qps 0 -n 4 -X PUT -payload abc", "/put"),
    ("-c 1 -qps 0 -n 4 -stdclient", "/get"),
    ("-c 1 -qps 0 -n 4 -stdclient", "/status/503"),
    ("-c 1 -qps 0 -n 4 -http1.0", "/get"),
    ("-c 1 -qps 0 -n 4 -gomaxprocs 1 -no-reresolve -dns-method first", "/get"),
    ("-c 1 -qps 0 -n 4 -p 10,20 -r 0.0001 -offset 1ms", "/get"),
    ("-c 1 -calc-qps -n 6 -t 300ms", "/get"),
    ("-c 2 -t 200ms -qps 40 -uniform -jitter -nocatchup", "/get"),
    ("-c 1 -qps 0 -n 10 -abort-on 503", "/status/503"),
    ("-c 1 -qps 0 -n 2 -allow-initial-errors -log-errors=false", "/status/404"),
];

pub(super) fn run(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let fortio = match peers::fortio() {
        Ok(fortio) => fortio,
        Err(missing) => {
            table.skip("fortio's output", missing);
            return Ok(());
        }
    };
    let origin = process::free_address()?;
    let arguments = ["httpbin".into(), "--listen".into(), origin.to_string()];
    let log = bench.scratch.join("httpbin-load.out");
    let mut server = Server::start("httpbin", None, &bench.fuseboard, &arguments, &log)?;
    server.wait_for(origin)?;
    // Under its name, the binary is fortio and nothing else.
    let ours = bench.scratch.join("fortio");
    let _ = std::fs::remove_file(&ours);
    std::os::unix::fs::symlink(&bench.fuseboard, &ours)?;
    for (flags, path) in CALLS {
        let url = format!("http://{origin}{path}");
        compare_lines(&fortio, &ours, flags, &url, &format!("fortio load {flags} {path}"), table)?;
    }
    secured::compare(bench, &fortio, &ours, table)?;
    wire::compare(&fortio, &ours, table)?;
    results::compare(bench, &fortio, &ours, &format!("http://{origin}/get"), table)
}

/// What both print of the same run.
pub(super) fn compare_lines(
    fortio: &Path,
    ours: &Path,
    flags: &str,
    url: &str,
    shown: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut both = (shape(fortio, flags, url)?, shape(ours, flags, url)?);
    // On a busy machine either may fall behind its rate, and says so in lines of their own.
    for _ in 0..2 {
        if both.0 != both.1 {
            both = (shape(fortio, flags, url)?, shape(ours, flags, url)?);
        }
    }
    let (theirs, ours) = both;
    let (their_digest, our_digest) = digests(&theirs, &ours);
    table.same(format!("{shown}: lines but for numbers"), their_digest, our_digest);
    let counts = ["Code", "Health", "Ping"];
    let codes = |lines: &[String]| {
        let of_codes = |line: &&String| counts.iter().any(|start| line.starts_with(start));
        lines.iter().filter(of_codes).cloned().collect::<Vec<_>>().join(", ")
    };
    table.same(format!("{shown}: codes"), codes(&theirs), codes(&ours));
    Ok(())
}

/// Output of a loader without what differs from run to run: log lines, ranges, and numbers other than code counts.
fn shape(program: &Path, flags: &str, url: &str) -> anyhow::Result<Vec<String>> {
    let output = Command::new(program).arg("load").args(flags.split_whitespace()).arg(url).output()?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok(text
        .lines()
        .filter(|line| !line.starts_with('{') && !line.contains("[WRN]") && !line.contains("[INF]"))
        .filter(|line| !line.starts_with("> ") && !line.starts_with(">= "))
        .filter(|line| !line.is_empty())
        .map(|line| if keeps_numbers(line) { line.to_owned() } else { letters(line) })
        .collect())
}

/// Counts that follow from the flags.
fn keeps_numbers(line: &str) -> bool {
    ["Code", "Sockets used", "Uniform", "Health", "Ping"].iter().any(|start| line.starts_with(start))
}

fn letters(line: &str) -> String {
    let words = line.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.filter(|word| !word.starts_with("Fortio")).collect::<Vec<_>>().join(" ")
}

/// The lines themselves where they differ; how many there are where they don't.
fn digests(theirs: &[String], ours: &[String]) -> (String, String) {
    if theirs == ours {
        let count = format!("{} lines", ours.len());
        return (count.clone(), count);
    }
    let odd = |lines: &[String], others: &[String]| {
        let odd: Vec<&str> = lines.iter().filter(|line| !others.contains(line)).map(String::as_str).collect();
        format!("{} lines, alone here: {}", lines.len(), odd.join(" / "))
    };
    (odd(theirs, ours), odd(ours, theirs))
}
