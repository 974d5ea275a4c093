//! `cargo xtask bench --loader`: calls per second and CPU per call of `fuseboard load` beside wrk, on one core, against
//! the same nginx on the other. They take turns, and ratios of the same round are compared.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::load::Wrk;
use super::row::Back;
use super::{Bench, PROXY_CORE, note};
use crate::process;

/// Connections of both.
const CONNECTIONS: usize = 64;

/// What one of them did in one round.
struct Measured {
    calls: f64,
    cpu: Duration,
}

impl Measured {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls
    }
}

pub(super) fn run(bench: &Bench) -> anyhow::Result<()> {
    let rounds = bench.rounds;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let theirs = measured(|| calls_of_wrk(bench))?;
        let us = measured(|| calls_of_ours(bench, &bench.tools.fuseboard))?;
        rates.push(us.calls / theirs.calls);
        costs.push(us.cpu_us() / theirs.cpu_us());
        let second = |measured: &Measured| (measured.calls / bench.seconds as f64).round();
        note(&format!(
            "round {round}/{rounds}  wrk {} calls/s {:.1} us CPU per call  fuseboard load {} calls/s {:.1} us CPU per call",
            second(&theirs),
            theirs.cpu_us(),
            second(&us),
            us.cpu_us()
        ));
    }
    note(&format!(
        "fuseboard load / wrk, c={CONNECTIONS}, median of {rounds}: {:.2} of its calls per second, {:.2} of its CPU per call",
        median(&mut rates),
        median(&mut costs)
    ));
    Ok(())
}

fn origin(bench: &Bench) -> anyhow::Result<SocketAddr> {
    bench.origin.hosts(Back::Http1).first().copied().context("no origin")
}

fn calls_of_wrk(bench: &Bench) -> anyhow::Result<f64> {
    let url = format!("http://{}/", origin(bench)?);
    let wrk = Wrk { url, host: None, connections: CONNECTIONS, post: 0, refused: false };
    bench.tools.wrk(&wrk, PROXY_CORE, bench.seconds)
}

fn calls_of_ours(bench: &Bench, program: &Path) -> anyhow::Result<f64> {
    let result = bench.scratch.join("load.json");
    let output = process::pinned(Some(PROXY_CORE), program)
        .args(["load", "-quiet", "-qps", "0", "-c", &CONNECTIONS.to_string()])
        .args(["-t", &format!("{}s", bench.seconds), "-json"])
        .arg(&result)
        .arg(format!("http://{}/", origin(bench)?))
        .output()?;
    ensure!(output.status.success(), "load failed: {}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&fs::read(&result)?)?;
    let codes = document["RetCodes"].as_object().context("no codes")?;
    ensure!(codes.keys().eq(["200"]), "not every call was answered 200: {codes:?}");
    document["RetCodes"]["200"].as_f64().context("no count")
}

/// The calls, and the CPU time of the children that made them.
fn measured(work: impl FnOnce() -> anyhow::Result<f64>) -> anyhow::Result<Measured> {
    let before = cpu_of_children()?;
    let calls = work()?;
    Ok(Measured { calls, cpu: cpu_of_children()?.saturating_sub(before) })
}

/// CPU time of all children that have ended.
fn cpu_of_children() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("unexpected /proc stat")?.1;
    let ticks: u64 =
        fields.split_whitespace().skip(13).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    // The kernel reports in USER_HZ, which is 100 on every Linux of today.
    Ok(Duration::from_millis(ticks * 10))
}

fn median(ratios: &mut [f64]) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_cpu_time_of_a_child_counts_when_it_has_ended() {
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let measured = measured(|| {
            Command::new("sh").args(["-c", burn]).status()?;
            Ok(1.0)
        });
        assert!(measured.unwrap().cpu > Duration::ZERO);
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
