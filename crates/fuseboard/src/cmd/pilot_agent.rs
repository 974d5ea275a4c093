//! The binary under the name `pilot-agent`: `request METHOD PATH`, so that Istio's pages can be followed as they are.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use super::admin::{self, Request};
use crate::asking;
use crate::exit::Outcome;

/// Fuseboard under the name of Istio's agent
#[derive(Parser)]
#[command(
    name = "pilot-agent",
    version,
    after_help = "Example:\n  pilot-agent request GET stats | grep httpbin | grep pending"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a request to the proxy's admin server and print the answer
    Request(AgentRequest),
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
    let arguments = Arguments::parse_from(std::iter::once(&name).chain(args));
    let Command::Request(AgentRequest { debug_port, request }) = arguments.command;
    let client = match debug_port {
        Some(port) => asking::at_port(port),
        None => request.client()?,
    };
    admin::send(&client, &request)
}
