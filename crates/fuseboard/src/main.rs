//! The `fuseboard` binary: one file per subcommand, wiring only. Decisions live in the crates.
//!
//! The name it is called by chooses a face: `fortio` and `pilot-agent` behave as their namesakes do.

mod argument;
mod asking;
mod cmd;
mod exit;
mod output;
mod refusal_table;
mod serving;
mod signals;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

use exit::Outcome;

/// Circuit breaking you can see, from Istio's own rules.
#[derive(Parser)]
#[command(
    name = "fuseboard",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  # watch a circuit break, in one process
  fuseboard demo
  # serve the services of a folder of rules, by Host
  fuseboard run -f rules/ --listen 127.0.0.1:15001
  # put one service behind its DestinationRule, and call it
  fuseboard run --listen :9000 --to 127.0.0.1:8080 -f dr.yaml
  fuseboard load -c 3 -qps 0 -n 30 http://127.0.0.1:9000/get
  # which limit refused, whose rule, which line
  fuseboard why

Exit codes:
  0 done                      69 nobody answers
  1 failed                    79 analyze found something
  2 wrong arguments           99 an expectation does not hold
  65 wrong input file        130 interrupted

Environment:
  FUSEBOARD_ADMIN   address of the proxy that tools ask
  NO_COLOR          no colour; CLICOLOR_FORCE: colour even in a pipe"
)]
struct Arguments {
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(cmd::demo::Arguments),
    Run(cmd::run::Arguments),
    /// Call a URL over and over, with fortio's flags and output; `fuseboard load -h` lists them
    Load(cmd::load::Arguments),
    /// Call a URL once: body to stdout, head to stderr, exit 1 unless the status is 200
    Curl(cmd::load::Arguments),
    Httpbin(cmd::httpbin::Arguments),
    Analyze(cmd::analyze::Arguments),
    Why(cmd::why::Arguments),
    Stats(cmd::stats::Arguments),
    Admin(cmd::admin::Arguments),
    Version(cmd::version::Arguments),
}

fn main() -> ExitCode {
    let outcome = run(&std::env::args_os().collect::<Vec<_>>());
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure.error, failure.next.as_deref());
            failure.exit.into()
        }
    }
}

fn run(args: &[OsString]) -> Outcome {
    let name = args.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    match name {
        Some("fortio") => cmd::fortio::run(&args[1..]),
        Some("pilot-agent") => cmd::pilot_agent::run(&args[1..]),
        _ => dispatch(Arguments::parse_from(args)),
    }
}

fn dispatch(arguments: Arguments) -> Outcome {
    output::choose_color(arguments.color);
    match arguments.command {
        Command::Demo(arguments) => cmd::demo::run(&arguments),
        Command::Run(arguments) => cmd::run::run(arguments),
        Command::Load(arguments) => cmd::load::load(&arguments),
        Command::Curl(arguments) => cmd::load::curl(&arguments),
        Command::Httpbin(arguments) => cmd::httpbin::run(&arguments),
        Command::Analyze(arguments) => cmd::analyze::run(&arguments),
        Command::Why(arguments) => cmd::why::run(&arguments),
        Command::Stats(arguments) => cmd::stats::run(&arguments),
        Command::Admin(arguments) => cmd::admin::run(&arguments),
        Command::Version(arguments) => Ok(cmd::version::run(&arguments)),
    }
}
