//! The loads of HTTP: wrk, h2load and `fuseboard load`, each on the core of loads, for a time, with every answer checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::LOAD_CORE;
use super::certificates::Certificates;
use super::row::Front;
use crate::process;

/// What may come on top of the time that a load was given.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the tools are; h2load only where a row needs it.
pub(super) struct Tools {
    pub(super) wrk: PathBuf,
    pub(super) h2load: Result<PathBuf, String>,
    pub(super) fuseboard: PathBuf,
    pub(super) scratch: PathBuf,
}

/// What a load of a fixed rate saw, in microseconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
}

impl Tools {
    /// Requests that wrk had answered: with 503 if `refused`, else with 2xx. Anything else is an error, because then the work was
    /// not the same.
    pub(super) fn wrk(&self, wrk: &Wrk<'_>, core: usize, seconds: u64) -> anyhow::Result<f64> {
        let mut command = process::pinned(Some(core), &self.wrk);
        command.args(["-t1", &format!("-c{}", wrk.connections), &format!("-d{seconds}s")]);
        if let Some(host) = wrk.host {
            command.arg("-H").arg(format!("Host: {host}"));
        }
        if wrk.post > 0 {
            let script = self.scratch.join("post.lua");
            let text = format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {})\n", wrk.post);
            std::fs::write(&script, text)?;
            command.arg("-s").arg(script);
        }
        command.arg(&wrk.url);
        let text = process::output_of(&mut command, Duration::from_secs(seconds) + PATIENCE)?;
        let requests = number_before(&text, " requests in ").context("wrk printed no count")?;
        let bad = number_after(&text, "Non-2xx or 3xx responses: ").unwrap_or_default();
        let wrong = if wrk.refused { requests - bad } else { bad };
        ensure!(requests > 0.0, "no request was answered");
        ensure!(wrong < 0.5, "{wrong} of {requests} answers were wrong ones");
        if let Some((_, errors)) = text.split_once("Socket errors: ") {
            bail!("connections failed: {}", errors.lines().next().unwrap_or_default());
        }
        Ok(requests)
    }

    pub(super) fn h2load(
        &self,
        url: &str,
        clients: usize,
        streams: usize,
        seconds: u64,
    ) -> anyhow::Result<f64> {
        let program = self.h2load.as_ref().map_err(|reason| anyhow::Error::msg(reason.clone()))?;
        let mut command = process::pinned(Some(LOAD_CORE), program);
        command.args([format!("-c{clients}"), format!("-m{streams}"), format!("-D{seconds}")]).arg(url);
        let text = process::output_of(&mut command, Duration::from_secs(seconds) + PATIENCE)?;
        let codes = text.lines().find(|line| line.starts_with("status codes:")).context("no status codes")?;
        ensure!(codes.contains(" 0 3xx, 0 4xx, 0 5xx"), "wrong answers: {codes}");
        let done = number_before(codes, " 2xx").context("no count")?;
        ensure!(done > 0.0, "no answers: {text}");
        Ok(done)
    }

    /// Calls of `fuseboard load` with these flags, and their latencies where it had a rate to keep.
    pub(super) fn load(&self, call: &Call<'_>, flags: &str, seconds: u64) -> anyhow::Result<(f64, Latency)> {
        let result = self.scratch.join("load.json");
        let mut command = process::pinned(Some(LOAD_CORE), &self.fuseboard);
        command.args(["load", "-quiet", "-p", "50,99,99.9", "-t", &format!("{seconds}s")]);
        if !flags.contains("-qps") {
            command.args(["-qps", "0"]);
        }
        command.args(flags.split_whitespace()).arg("-json").arg(&result);
        let Certificates { authority, client, client_key, .. } = call.certificates;
        let scheme = match call.front {
            Front::Tls | Front::MutualTls => "https://",
            _ if flags.contains("-grpc") => "",
            _ => "http://",
        };
        if scheme == "https://" {
            command.args(["-cacert", authority]);
        }
        if call.front == Front::MutualTls {
            command.args(["-cert", client, "-key", client_key]);
        }
        let slash = if scheme.is_empty() { "" } else { "/" };
        command.arg(format!("{scheme}{}{slash}", call.address));
        process::output_of(&mut command, Duration::from_secs(seconds) + PATIENCE)?;
        calls_of(&serde_json::from_slice(&std::fs::read(&result)?)?)
    }

    /// Each tool and what it says of its version.
    pub(super) fn versions(&self) -> Vec<(&'static str, String)> {
        let said = |name, program: &Path, flag: &str| Some((name, process::first_line(program, &[flag])?));
        let h2load = self.h2load.as_ref().ok().and_then(|program| said("h2load", program, "--version"));
        said("wrk", &self.wrk, "-v").into_iter().chain(h2load).collect()
    }
}

/// What wrk has to do.
pub(super) struct Wrk<'a> {
    pub(super) url: String,
    pub(super) host: Option<&'a str>,
    pub(super) connections: usize,
    pub(super) post: usize,
    pub(super) refused: bool,
}

/// Where `fuseboard load` calls.
pub(super) struct Call<'a> {
    pub(super) address: std::net::SocketAddr,
    pub(super) front: Front,
    pub(super) certificates: &'a Certificates,
}

fn calls_of(result: &Value) -> anyhow::Result<(f64, Latency)> {
    let codes = result["RetCodes"].as_object().context("no codes")?;
    let (code, count) = codes.iter().next().context("no call was answered")?;
    let good = codes.len() == 1 && ["200", "SERVING"].contains(&code.as_str());
    ensure!(good, "not every call was answered well: {codes:?}");
    let due = result["fuseboard"]["latency_from_due"].as_array().map(Vec::as_slice).unwrap_or_default();
    let micros = |position: usize| due.get(position).and_then(|one| one["seconds"].as_f64()).map(|s| s * 1e6);
    let [p50, p99, p999] = [0, 1, 2].map(|position| micros(position).unwrap_or_default());
    Ok((count.as_f64().context("no count")?, Latency { p50, p99, p999 }))
}

/// The last word before `mark`.
fn number_before(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.0.split_whitespace().last()?.parse().ok()
}

/// The rest of the line behind `mark`.
fn number_after(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.1.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_found_beside_their_words() {
        let text = "  4207 requests in 1.00s, 0.9MB read\n  Non-2xx or 3xx responses: 12\nx";
        assert_eq!(number_before(text, " requests in "), Some(4207.0));
        assert_eq!(number_after(text, "Non-2xx or 3xx responses: "), Some(12.0));
        assert_eq!(number_before("status codes: 17 2xx, 0 3xx", " 2xx"), Some(17.0));
    }

    #[test]
    fn calls_count_only_if_all_were_answered_well() {
        let due = json!([{"seconds": 0.001}, {"seconds": 0.002}, {"seconds": 0.003}]);
        let good = json!({"RetCodes": {"200": 5}, "fuseboard": {"latency_from_due": due}});
        let (calls, latency) = calls_of(&good).unwrap();
        assert!((calls - 5.0).abs() < 1e-9 && (latency.p999 - 3_000.0).abs() < 1e-6);
        assert!(calls_of(&json!({"RetCodes": {"200": 5, "503": 1}})).is_err());
        assert!(calls_of(&json!({"RetCodes": {"-1": 5}})).is_err());
    }
}
