//! `fuseboard why`: which limit refused, whose rule, which line.

use std::time::Duration;

use clap::Args;
use fuseboard_admin::refusals::Refusals;

use crate::asking::{self, Target};
use crate::exit::{Exit, Outcome};
use crate::explanation::{self, Explanation};
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
    let last = humantime::format_duration(last).to_string();
    if refusals.refusals.is_empty() {
        return format!("Nothing was refused in the last {last}.\n");
    }
    let explanations = explanation::explain(&refusals.refusals);
    let of_clusters = explanations.chunk_by(|a, b| a.cluster == b.cluster);
    let mut text = of_clusters.map(|of_cluster| section(of_cluster, &last)).collect::<Vec<_>>().join("\n");
    if refusals.truncated {
        text.push_str("\nMore were refused than the proxy remembers: the counts are lower bounds.\n");
    }
    text
}

fn section(explanations: &[Explanation], last: &str) -> String {
    let count: usize = explanations.iter().map(|one| one.count).sum();
    let cluster = output::styled(output::STRONG, &explanations[0].cluster);
    let mut text = format!("{cluster}\n{count} refused in the last {last}\n");
    for line in explanations.iter().flat_map(Explanation::lines) {
        text.extend(["  ", &line, "\n"]);
    }
    text
}
