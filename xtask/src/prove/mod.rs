//! Whether limits are exact: bursts, steady callers, limits that change, callers that give up and TCP connections, counted at the origin and not by the proxy,
//! over HTTP/1.1 and over the streams of HTTP/2.
//!
//! Proxies and origins run in this process, over real sockets. What each setup is follows from its seed, so that a
//! deviation can be replayed. What must come out is `fuseboard_testkit::Split`, one line of arithmetic.

mod bursts;
mod calls;
mod cancelling;
mod changing;
mod report;
mod setup;
mod steady;
mod tcp;

use std::time::Instant;

use anyhow::bail;
use clap::Args;

use report::Report;

/// Burst clusters around their limits and count at the origin; exits 1 on any deviation
#[derive(Args)]
pub(crate) struct Arguments {
    /// A sample that ends within seconds
    #[arg(long)]
    quick: bool,
    /// Seed of the first setup; each further one uses the next number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Bursts, for each of the two versions of HTTP
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
}

/// How much is done.
struct Effort {
    seed: u64,
    rounds: u32,
    /// Bursts where hosts speak HTTP/2.
    stream_rounds: u32,
    /// Requests of the longest steady run; the others take a part of it.
    requests: u32,
    /// Calls of each run with callers that give up.
    calls: u32,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let effort = Effort {
        seed: arguments.seed,
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 120 } else { 1_000 }),
        stream_rounds: arguments.rounds.unwrap_or(if arguments.quick { 64 } else { setup::STREAM_GRID * 4 }),
        requests: if arguments.quick { 5_000 } else { 100_000 },
        calls: if arguments.quick { 400 } else { 4_000 },
    };
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    runtime.block_on(async {
        bursts::run(&effort, &mut report).await?;
        steady::run(&effort, &mut report).await?;
        changing::run(&effort, &mut report).await?;
        cancelling::run(&effort, &mut report).await?;
        tcp::run(&effort, &mut report).await
    })?;
    match report.finish(began.elapsed()) {
        0 => Ok(()),
        deviations => bail!("prove: {deviations} deviations"),
    }
}
