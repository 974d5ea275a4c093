//! The binary under the name `pilot-agent`: `request`, `wait` and `version`, so that Istio's pages, probes and hooks can be followed as they
//! are.

mod version;
mod wait;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use super::admin::{self, Request};
use crate::asking;
use crate::exit::{Exit, Failure, Outcome};

/// Fuseboard under the name of Istio's agent
#[derive(Parser)]
#[command(
    name = "pilot-agent",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:
  pilot-agent request GET stats | grep httpbin | grep pending
  pilot-agent wait --timeoutSeconds 10
  pilot-agent version -o json"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a request to the proxy's admin server and print the answer
    Request(AgentRequest),
    Wait(wait::Arguments),
    Version(version::Arguments),
}

#[derive(Args)]
struct AgentRequest {
    /// Port of the admin server on this machine; default: where the running proxy has it
    #[arg(long, value_name = "PORT")]
    debug_port: Option<u16>,
    #[command(flatten)]
    request: Request,
}

/// The definition of its arguments, for tests of what pages say.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

pub(crate) fn run(args: &[OsString]) -> Outcome {
    let name = OsString::from("pilot-agent");
    let arguments = match Arguments::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(arguments) => arguments,
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => return Err(unknown(args)),
        Err(error) => error.exit(),
    };
    match arguments.command {
        Command::Request(AgentRequest { debug_port, request }) => {
            let client = match debug_port {
                Some(port) => asking::at_port(port),
                None => request.client()?,
            };
            admin::send(&client, &request)
        }
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Version(arguments) => Ok(version::run(&arguments)),
    }
}

/// Istio's agent has more commands, which start a proxy or change a pod's network; none of them can mean anything here.
fn unknown(args: &[OsString]) -> Failure {
    let command = args.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    Failure::message(
        Exit::Usage,
        format_args!(
            "unknown command {command:?}: this is Fuseboard as pilot-agent, with request, wait and version"
        ),
    )
    .next("to start a proxy, `fuseboard run`")
}
