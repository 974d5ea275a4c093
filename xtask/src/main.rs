//! `cargo xtask`: the tools that check and measure Fuseboard. Each subcommand is a module; this file only dispatches.

mod bench;
mod dist;
mod envoy;
mod interop;
mod peers;
mod process;
mod profile;
mod prove;
mod repository;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools of the Fuseboard repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Check crate edges, sizes of files and functions, module docs, and names; exits 1 with every finding
    Tidy,
    /// Rewrite golden files and generated docs from what the code does now; review the diff afterwards
    Bless,
    Prove(prove::Arguments),
    Bench(bench::Arguments),
    Interop(interop::Arguments),
    Dist(dist::Arguments),
    Profile(profile::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().tool) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "why it failed is this tool's last word")]
fn fail(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

fn run(tool: Tool) -> anyhow::Result<()> {
    match tool {
        Tool::Tidy => tidy::run(),
        Tool::Bless => repository::bless(),
        Tool::Prove(arguments) => prove::run(&arguments),
        Tool::Bench(arguments) => bench::run(&arguments),
        Tool::Interop(arguments) => interop::run(&arguments),
        Tool::Dist(arguments) => dist::run(&arguments),
        Tool::Profile(arguments) => profile::run(&arguments),
    }
}
