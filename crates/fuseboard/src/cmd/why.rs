//! `fuseboard why`: which limit refused, whose rule, which line.

use std::time::Duration;

use clap::Args;
use fuseboard_admin::refusals::Refusals;

use crate::asking::{self, Target};
use crate::exit::{Exit, Outcome};
use crate::refusal_table::{self, Line};
use crate::{argument, output};

/// Say why calls were refused: which limit, what bound, whose rule, which line
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard why
  fuseboard why --last 5m -o json

The proxy keeps a bounded number of refusals; where older ones are gone, counts
are lower bounds and the output says so. Reasons are listed in docs/refusals.md.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How far to look back
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = argument::duration)]
    last: Duration,
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let target = format!("/fuseboard/v1/refusals?last={}ms", arguments.last.as_millis());
    if arguments.output == "json" {
        output::out_raw(&asking::text(&client, &target)?);
        return Ok(Exit::Ok);
    }
    let refusals: Refusals = asking::document(&client, &target)?;
    output::out_raw(&report(&refusals, arguments.last));
    Ok(Exit::Ok)
}

fn report(refusals: &Refusals, last: Duration) -> String {
    let last = humantime::format_duration(last);
    if refusals.refusals.is_empty() {
        return format!("Nothing was refused in the last {last}.\n");
    }
    let mut text = String::new();
    let lines = refusal_table::lines(&refusals.refusals);
    for lines in lines.chunk_by(|a, b| a.cluster == b.cluster) {
        text.push_str(&of_cluster(lines, &last.to_string()));
    }
    if refusals.truncated {
        text.push_str(
            "The proxy no longer remembers the older refusals of this time; the counts are lower bounds.\n",
        );
    }
    text
}

fn of_cluster(lines: &[Line], last: &str) -> String {
    let count: usize = lines.iter().map(|line| line.count).sum();
    let mut text = format!("{}  {count} refused in the last {last}\n", lines[0].cluster);
    for row in refusal_table::table(lines).lines() {
        text.extend(["  ", row, "\n"]);
    }
    for line in lines {
        text.extend(["  ", &line.reason, ": ", refusal_table::meaning(&line.reason), "\n"]);
    }
    text
}
