//! `fuseboard stats`: what the proxy counts.

use clap::Args;
use fuseboard_admin::AdminClient;
use fuseboard_admin::proxy_config::Dump;

use crate::asking::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::{hosts, output};

/// Print the statistics of a running proxy, under Envoy's names
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard stats | grep httpbin | grep pending
  fuseboard stats --cluster httpbin --usedonly
  fuseboard stats --filter 'circuit_breakers.*open' -o json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Only names that this regular expression finds
    #[arg(long, value_name = "REGEX", conflicts_with = "cluster")]
    filter: Option<String>,
    /// Only stats of clusters with this in their name
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only stats that were ever written
    #[arg(long)]
    usedonly: bool,
    /// text, json or prometheus
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json", "prometheus"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let text = asking::text(&client, &target(arguments))?;
    if let Some(name) = &arguments.cluster {
        see_that_it_exists(&client, name)?;
    }
    output::out_raw(&text);
    Ok(Exit::Ok)
}

/// No statistics of a cluster that does not exist would look like one that did nothing.
fn see_that_it_exists(client: &AdminClient, name: &str) -> Result<(), Failure> {
    let page = asking::text(client, "/clusters?format=json")?;
    let Ok(dump) = Dump::parse(&page) else { return Ok(()) };
    let clusters = dump.cluster_names();
    if clusters.iter().any(|cluster| cluster.contains(name)) {
        return Ok(());
    }
    let hint = hosts::hint(name, &clusters);
    Err(Failure::message(Exit::Error, format_args!("no cluster has `{name}` in its name; {hint}"))
        .next("fuseboard proxy-config cluster"))
}

fn target(arguments: &Arguments) -> String {
    let mut parameters = vec![format!("format={}", arguments.output)];
    if arguments.usedonly {
        parameters.push("usedonly".to_owned());
    }
    let of_cluster = arguments.cluster.as_deref().map(|name| format!("^cluster\\..*{}", literal(name)));
    if let Some(filter) = arguments.filter.as_deref().or(of_cluster.as_deref()) {
        parameters.push(format!("filter={}", percent_encoded(filter)));
    }
    format!("/stats?{}", parameters.join("&"))
}

/// The text as a regular expression that finds itself.
fn literal(text: &str) -> String {
    // Only these: a backslash before `<` would mean the beginning of a word.
    let means_something = |c: &char| r"\.+*?()|[]{}^$".contains(*c);
    text.chars().flat_map(|c| Some('\\').filter(|_| means_something(&c)).into_iter().chain([c])).collect()
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_name_is_taken_literally_and_travels_safely() {
        assert_eq!(literal("a.b|c-d<e"), "a\\.b\\|c-d<e");
        assert_eq!(percent_encoded("^a|b"), "%5Ea%7Cb");
    }
}
