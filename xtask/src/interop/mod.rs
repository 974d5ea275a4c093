//! `cargo xtask interop`: the same rules and the same traffic to the real thing and to Fuseboard, side by side.
//! A peer that can't be had here is skipped with its reason; a difference that docs/differences.md does not list fails.

mod envoy;
mod experiment;
mod loader;
mod pages;
mod prometheus;
mod results;
mod stats;
mod table;
mod wire;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::{peers, repository};
use table::Table;

/// Run real Envoy, fortio and Prometheus beside Fuseboard and print what each of them and Fuseboard say
#[derive(Args)]
pub(crate) struct Arguments {
    /// Compare this binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Compare the loader only
    #[arg(long)]
    loader: bool,
}

/// Where everything of a run lives.
struct Workbench {
    fuseboard: PathBuf,
    scratch: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let fuseboard = match &arguments.binary {
        Some(path) => path.canonicalize()?,
        None => repository::build()?,
    };
    let bench = Workbench { fuseboard, scratch: repository::root().join("target/interop") };
    std::fs::create_dir_all(&bench.scratch)?;
    let mut table = Table::default();
    if !arguments.loader {
        experiment::run(&bench, &mut table)?;
        compare_admin(&bench, &mut table)?;
        prometheus::run(&bench, &mut table)?;
    }
    loader::run(&bench, &mut table)?;
    print(&table.to_string());
    if table.failed() > 0 {
        bail!("interop: {} of {} comparisons failed", table.failed(), table.len());
    }
    Ok(())
}

/// The admin servers of both, after the same traffic.
fn compare_admin(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let program = match peers::envoy() {
        Ok(program) => program,
        Err(missing) => {
            table.skip("admin pages and names of stats", missing);
            return Ok(());
        }
    };
    let pair = experiment::Pair::start(bench, &program)?;
    pair.call_both(&["/get", "/status/404", "/status/200"])?;
    stats::compare(&pair, table)?;
    pages::compare(&pair, table)
}

#[expect(clippy::print_stdout, reason = "the table is this tool's output")]
fn print(text: &str) {
    println!("{text}");
}
