//! Whether limits are exact: bursts, steady callers, limits that change, callers that give up, hosts that fail, TCP connections and chaos, counted at the origin
//! and not by the proxy, over HTTP/1.1 and over the streams of HTTP/2; and what a real Envoy makes of the same bursts.
//!
//! Proxies and origins run in this process, over real sockets. What each setup is follows from its seed, so that a
//! deviation can be replayed. What must come out is `fuseboard_testkit::Split`, one line of arithmetic.

mod bursts;
mod calls;
mod cancelling;
mod changing;
mod chaos;
mod envoy;
mod faults;
mod judge;
mod million;
mod report;
mod setup;
mod steady;
mod tcp;

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, ValueEnum};

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
    /// Requests of the two callers against limits of one [default: 1000000; with --quick 20000]
    #[arg(long, value_name = "N")]
    requests: Option<u32>,
    /// How long the chaos lasts, such as 2m [default: 10m; with --quick 20s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    chaos: Option<Duration>,
    /// Workers in the chaos; may be repeated [default: 1, 4 and 16, which share the time; below 1m 4]
    #[arg(long, value_name = "N")]
    workers: Vec<usize>,
    /// This part and no other; may be repeated
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
}

/// What is proven.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Bursts,
    Steady,
    Million,
    Changing,
    Cancelling,
    Faults,
    Tcp,
    Chaos,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        _ => return Err("needs a number with s or m, such as 20s or 10m".to_owned()),
    };
    let number: u64 = number.parse().map_err(|error| format!("{number:?}: {error}"))?;
    Ok(Duration::from_secs(number * seconds))
}

/// How much is done.
struct Effort {
    seed: u64,
    rounds: u32,
    /// Bursts where hosts speak HTTP/2.
    stream_rounds: u32,
    /// Requests of a steady run.
    requests: u32,
    /// Requests of the two callers against limits of one.
    million: u32,
    /// Calls of each run with callers that give up, or hosts that fail.
    calls: u32,
    chaos: Duration,
    chaos_workers: Vec<usize>,
}

impl Part {
    async fn run(self, effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::Bursts => bursts::run(effort, report).await,
            Self::Steady => steady::run(effort, report).await,
            Self::Million => million::run(effort, report).await,
            Self::Changing => changing::run(effort, report).await,
            Self::Cancelling => cancelling::run(effort, report).await,
            Self::Faults => faults::run(effort, report).await,
            Self::Tcp => tcp::run(effort, report).await,
            Self::Chaos => chaos::run(effort, report).await,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let effort = Effort {
        seed: arguments.seed,
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 120 } else { 1_000 }),
        stream_rounds: arguments.rounds.unwrap_or(if arguments.quick { 64 } else { setup::STREAM_GRID * 4 }),
        requests: if arguments.quick { 500 } else { 10_000 },
        million: arguments.requests.unwrap_or(if arguments.quick { 20_000 } else { 1_000_000 }),
        chaos: arguments.chaos.unwrap_or(Duration::from_secs(if arguments.quick { 20 } else { 600 })),
        chaos_workers: arguments.workers.clone(),
        calls: if arguments.quick { 400 } else { 4_000 },
    };
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    runtime.block_on(async {
        for part in Part::value_variants() {
            if arguments.only.is_empty() || arguments.only.contains(part) {
                part.run(&effort, &mut report).await?;
            }
        }
        anyhow::Ok(())
    })?;
    match report.finish(began.elapsed()) {
        0 => Ok(()),
        deviations => bail!("prove: {deviations} deviations"),
    }
}
