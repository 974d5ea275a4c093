//! `fuseboard endpoints`: which endpoint of a service gets traffic, and which does not, why, and until when.

use std::time::Duration;

use clap::Args;
use fuseboard_admin::Wanted;
use fuseboard_admin::hosts::{ClusterEndpoints, EndpointBreaker, EndpointState, Endpoints, State};

use crate::asking::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::table::{self, Cell};

/// Print the endpoints of services: which pod is ejected, what found it, and until when
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard endpoints
  fuseboard endpoints httpbin
  fuseboard endpoints httpbin.default:8000 -o json

WHY says which detector ejected an endpoint, and after how many failures in a row
or by what share of its calls; for one in rotation, how far a detector has come; or
why its breaker is open, where endpoints have breakers of their own. RETURNS IN
counts to the sweep that returns the endpoint, the first one after its ejection
time, or to the first probe. Names of pods, nodes and zones are those of the
EndpointSlices or Endpoints.")]
pub(crate) struct Arguments {
    /// Service: httpbin, httpbin.default or in full, with :PORT for one port; default: all
    #[arg(value_name = "HOST", value_parser = Wanted::parse)]
    service: Option<Wanted>,
    #[command(flatten)]
    target: Target,
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.target.client()?;
    let mut found: Endpoints = asking::document(&client, "/fuseboard/v1/endpoints")?;
    let known: Vec<String> = found.clusters.iter().map(|cluster| cluster.service.host.clone()).collect();
    if let Some(wanted) = &arguments.service {
        found.clusters.retain(|cluster| {
            let service = &cluster.service;
            wanted.is(&service.host, &service.name, &service.namespace, service.port)
        });
        if found.clusters.is_empty() {
            let failure = Failure::message(Exit::Error, "the proxy has no such service");
            return Err(match known.first() {
                Some(one) => failure.next(format!("fuseboard endpoints {one}")),
                None => failure,
            });
        }
    }
    if arguments.output == "json" {
        output::out_raw(&asking::pretty(&found)?);
    } else if found.clusters.is_empty() {
        output::out("The proxy has no service.");
    } else {
        let sections: Vec<String> = found.clusters.iter().map(section).collect();
        output::out_raw(&sections.join("\n"));
    }
    Ok(Exit::Ok)
}

/// A line about the cluster, and the table of its endpoints.
fn section(cluster: &ClusterEndpoints) -> String {
    let of = |state: State| cluster.endpoints.iter().filter(|one| one.state == state).count();
    let all = cluster.endpoints.len();
    let rotation = if all == 0 {
        "no endpoint: requests are answered 503".to_owned()
    } else {
        let words = [
            (of(State::Ejected), "ejected"),
            (of(State::Open), "with an open breaker"),
            (of(State::Unready), "not ready"),
        ];
        let others = words.iter().filter(|(count, _)| *count > 0);
        let others: Vec<String> = others.map(|(count, word)| format!(", {count} {word}")).collect();
        format!("{} of {all} in rotation{}", of(State::Healthy), others.concat())
    };
    let detection = if cluster.outlier_detection { "" } else { "; no outlier detection" };
    let name = output::styled(output::STRONG, &cluster.cluster);
    let mut text = format!("{name}\n{rotation}{detection}\n");
    if all > 0 {
        let rows: Vec<_> = cluster.endpoints.iter().map(row).collect();
        let heads = [
            "ENDPOINT",
            "POD",
            "NODE",
            "ZONE",
            "STATE",
            "WHY",
            "EJECTIONS",
            "RETURNS IN",
            "ERRORS",
            "REQUESTS",
        ];
        text.push_str(&table::lines("  ", &heads, &rows));
    }
    text
}

fn row(endpoint: &EndpointState) -> Vec<Cell> {
    let (style, state) = match endpoint.state {
        State::Healthy => (output::GOOD, "healthy"),
        State::Ejected => (output::BAD, "ejected"),
        State::Unready => (output::WARN, "not ready"),
        State::Open => (output::BAD, "open"),
    };
    let returns = match (&endpoint.ejection, open(endpoint)) {
        (Some(ejection), _) => Some(in_words(ejection.returns_in_ms)),
        (None, Some(breaker)) => breaker.next_probe_in_ms.map(|millis| match millis {
            0 => "next call".to_owned(),
            millis => in_words(millis),
        }),
        (None, None) => None,
    };
    vec![
        Cell::plain(&endpoint.address),
        Cell::plain(&endpoint.pod),
        Cell::plain(&endpoint.node),
        Cell::plain(&endpoint.zone),
        Cell::styled(style, state),
        why(endpoint),
        Cell::plain(endpoint.ejections.to_string()),
        Cell::plain(returns.unwrap_or_default()),
        Cell::plain(endpoint.errors.to_string()),
        Cell::plain(endpoint.requests.to_string()),
    ]
}

/// Its breaker, if that is what keeps it out.
fn open(endpoint: &EndpointState) -> Option<&EndpointBreaker> {
    endpoint.breaker.as_ref().filter(|_| endpoint.state == State::Open)
}

/// What ejected it, what its breaker says, or the detector that is nearest to ejecting it.
fn why(endpoint: &EndpointState) -> Cell {
    if let Some(ejection) = &endpoint.ejection {
        return Cell::plain(match ejection.seen.as_str() {
            "" => format!("{} {1}/{1}", ejection.detector, ejection.threshold),
            seen => format!("{}: {seen}", ejection.detector),
        });
    }
    if let Some(breaker) = &endpoint.breaker
        && (breaker.state != "closed" || breaker.traffic_percent < 100)
    {
        let shadow = if breaker.mode == "shadow" { " (shadow)" } else { "" };
        let state = match breaker.state.as_str() {
            "closed" => format!("breaker: {} % of traffic", breaker.traffic_percent),
            state => format!("breaker {}: {}", state.replace('_', "-"), breaker.cause.words),
        };
        return Cell::plain(state + shadow);
    }
    let counting = endpoint.streaks.iter().filter(|streak| streak.failures > 0);
    let nearest = counting.max_by_key(|streak| streak.failures * 1000 / streak.threshold.max(1));
    nearest.map_or_else(
        || Cell::plain(""),
        |streak| {
            let text = format!("{} {}/{}", streak.detector, streak.failures, streak.threshold);
            Cell::styled(output::FAINT, text)
        },
    )
}

/// Whole seconds, rounded up: 0s would be over.
fn in_words(millis: u64) -> String {
    humantime::format_duration(Duration::from_secs(millis.div_ceil(1000))).to_string()
}
