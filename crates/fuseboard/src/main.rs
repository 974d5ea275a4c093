//! The `fuseboard` binary: one file per subcommand, wiring only. Decisions live in the crates.
//!
//! The name it is called by chooses a face: `fortio`, `istioctl` and `pilot-agent` behave as their namesakes do.

mod argument;
mod asking;
mod cmd;
mod document;
#[cfg(test)]
mod documented;
mod exit;
mod expecting;
mod explanation;
mod help;
mod hosts;
mod logging;
mod output;
mod progress_line;
mod service_manager;
mod serving;
mod signals;
mod table;
mod tree;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand, ValueEnum};

use exit::{Exit, Outcome};

/// musl's own allocator would cost more than all our work on a request.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Circuit breaking you can see, from Istio's own rules.
#[derive(Parser)]
#[command(
    name = "fuseboard",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
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

More: fuseboard help topics (flags, exit-codes, environment, reasons,
diagnostics, migrate), fuseboard help COMMAND, fuseboard help FB001"
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
    Run(Box<cmd::run::Arguments>),
    /// Call a URL over and over, with fortio's flags and output; `fuseboard load -h` lists them
    Load(cmd::load::Arguments),
    /// Call a URL once: body to stdout, head to stderr, exit 1 unless the status is 200
    Curl(cmd::load::Arguments),
    Nc(cmd::nc::Arguments),
    Report(cmd::report::Arguments),
    Httpbin(cmd::httpbin::Arguments),
    /// Serve what fortio serves: an echo whose failures the caller chooses, a redirector, TCP and UDP echo; `fuseboard
    /// server -h` lists the flags
    Server(cmd::server::Arguments),
    Analyze(cmd::analyze::Arguments),
    Explain(cmd::explain::Arguments),
    Why(cmd::why::Arguments),
    Stats(cmd::stats::Arguments),
    Endpoints(cmd::endpoints::Arguments),
    #[command(visible_alias = "br")]
    Breaker(cmd::breaker::Arguments),
    Admin(cmd::admin::Arguments),
    #[command(visible_alias = "pc")]
    ProxyConfig(cmd::proxy_config::Arguments),
    Version(cmd::version::Arguments),
    Completion(cmd::completion::Arguments),
    Man(cmd::man::Arguments),
    Help(cmd::help::Arguments),
}

fn main() -> ExitCode {
    let outcome = run(&std::env::args_os().collect::<Vec<_>>());
    match outcome {
        Ok(Exit::Ok) if output::is_lost() => Exit::Error.into(),
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
        Some("istioctl") => cmd::istioctl::run(&args[1..]),
        Some("pilot-agent") => cmd::pilot_agent::run(&args[1..]),
        _ => {
            // clap's own texts follow it too.
            output::choose_color(color_of(args));
            dispatch(Arguments::parse_from(args))
        }
    }
}

/// What `--color` says, read before everything else, because what is said about the other arguments follows it too.
fn color_of(args: &[OsString]) -> ColorChoice {
    let mut words = args.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let chosen = words.find_map(|word| word.strip_prefix("--color").map(str::to_owned));
    let value = match chosen.as_deref() {
        Some("") => words.next().map(str::to_owned),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    };
    value.and_then(|value| ColorChoice::from_str(&value, false).ok()).unwrap_or_default()
}

fn dispatch(arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::Demo(arguments) => cmd::demo::run(&arguments),
        Command::Run(arguments) => cmd::run::run(*arguments),
        Command::Load(arguments) => cmd::load::load(&arguments),
        Command::Curl(arguments) => cmd::load::curl(&arguments),
        Command::Nc(arguments) => cmd::nc::run(&arguments),
        Command::Report(arguments) => cmd::report::run(&arguments),
        Command::Httpbin(arguments) => cmd::httpbin::run(&arguments),
        Command::Server(arguments) => cmd::server::run(&arguments),
        Command::Analyze(arguments) => cmd::analyze::run(&arguments),
        Command::Explain(arguments) => cmd::explain::run(&arguments),
        Command::Why(arguments) => cmd::why::run(&arguments),
        Command::Stats(arguments) => cmd::stats::run(&arguments),
        Command::Endpoints(arguments) => cmd::endpoints::run(&arguments),
        Command::Breaker(arguments) => cmd::breaker::run(&arguments),
        Command::Admin(arguments) => cmd::admin::run(&arguments),
        Command::ProxyConfig(arguments) => cmd::proxy_config::run(&arguments),
        Command::Version(arguments) => Ok(cmd::version::run(&arguments)),
        Command::Completion(arguments) => Ok(cmd::completion::run(&arguments, tree::fuseboard())),
        Command::Man(arguments) => cmd::man::run(&arguments, tree::fuseboard()),
        Command::Help(arguments) => cmd::help::run(&arguments, tree::fuseboard()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_definitions_of_all_arguments_are_sound() {
        Arguments::command().debug_assert();
        cmd::istioctl::command().debug_assert();
        cmd::pilot_agent::command().debug_assert();
    }

    #[test]
    fn colour_is_known_before_the_arguments_are_read() {
        for line in ["fuseboard --color never nosuch", "fuseboard why --color=never --nosuch"] {
            assert_eq!(color_of(&words(line)), ColorChoice::Never, "{line}");
        }
        for line in [
            "fuseboard",
            "fuseboard why --color",
            "fuseboard why --color=purple",
            "fuseboard load -- --color=never",
        ] {
            assert_eq!(color_of(&words(line)), ColorChoice::Auto, "{line}");
        }
    }
}
