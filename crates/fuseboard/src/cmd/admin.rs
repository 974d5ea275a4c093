//! `fuseboard admin request`: any path of the admin server, as `pilot-agent request` does it.

use clap::{Args, Subcommand};
use fuseboard_admin::AdminClient;

use crate::asking::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Ask the admin server of a running proxy for any of its paths
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard admin request GET stats
  fuseboard admin request GET clusters?format=json
  fuseboard admin request POST reset_counters")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send a request and print the body of the answer
    #[command(after_help = "Examples:
  fuseboard admin request GET stats
  fuseboard admin request GET clusters?format=json
  fuseboard admin request POST reset_counters

`fuseboard admin request GET help` lists the paths.")]
    Request(Request),
}

/// A request as `pilot-agent request` takes it.
#[derive(Args)]
pub(crate) struct Request {
    #[command(flatten)]
    target: Target,
    /// GET or POST
    method: String,
    /// Path with or without the leading /, and query
    path: String,
    /// Body
    body: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let Verb::Request(request) = &arguments.verb;
    send(&request.client()?, request)
}

impl Request {
    /// Whom to ask.
    pub(crate) fn client(&self) -> Result<AdminClient, Failure> {
        self.target.client()
    }
}

/// Prints the body and a line end. A status above 399 is a failure, except 404, whose body lists the paths there are.
pub(crate) fn send(client: &AdminClient, request: &Request) -> Outcome {
    let body = request.body.as_deref().unwrap_or_default();
    let answer =
        client.request(&request.method, &request.path, body.as_bytes()).map_err(asking::unreachable)?;
    if answer.status > 399 && answer.status != 404 {
        let said = answer.text();
        return Err(Failure::message(
            Exit::Error,
            format_args!("status {}: {}", answer.status, said.trim_end()),
        ));
    }
    output::out_bytes(&answer.body);
    output::out("");
    Ok(Exit::Ok)
}
