//! `fuseboard breaker open | close | reset`: finds the one service that is meant, and gives the proxy the order.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use clap::Args;
use fuseboard_admin::Query;
use fuseboard_admin::Wanted;
use fuseboard_admin::breakers::{Breakers, ClusterState};
use fuseboard_admin::orders::Ordered;

use super::{Asked, by_hand, unknown_service};
use crate::exit::{Exit, Failure, Outcome};
use crate::{argument, asking, output};

#[derive(Args)]
pub(crate) struct Forced {
    #[command(flatten)]
    chosen: Chosen,
    /// For how long, at most 7 days
    #[arg(long = "for", value_name = "DURATION", value_parser = argument::duration)]
    time: Duration,
    /// Why; whoever asks what happened to their calls is told
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    chosen: Chosen,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
struct Chosen {
    /// Service: httpbin, httpbin.default or in full, with :PORT for one port
    #[arg(value_name = "HOST", value_parser = Wanted::parse)]
    service: Wanted,
    /// Its port, where it has several
    #[arg(long, value_name = "N")]
    port: Option<NonZeroU16>,
    /// One of its subsets; default: the service without them
    #[arg(long, value_name = "NAME")]
    subset: Option<String>,
    /// Only this endpoint of it: address and port, as `fuseboard endpoints` has them
    #[arg(long, value_name = "ADDR", value_parser = endpoint)]
    endpoint: Option<SocketAddr>,
}

fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an endpoint is an address with a port, as in 10.0.0.7:8080".to_owned())
}

pub(super) fn open(forced: &Forced) -> Outcome {
    force("open", forced)
}

pub(super) fn close(forced: &Forced) -> Outcome {
    force("close", forced)
}

fn force(action: &str, Forced { chosen, time, reason, asked }: &Forced) -> Outcome {
    let time = humantime::format_duration(*time).to_string();
    give(action, chosen, asked, &[("for", &time), ("reason", reason)])
}

pub(super) fn reset(Reset { chosen, reason, asked }: &Reset) -> Outcome {
    give("reset", chosen, asked, &[("reason", reason)])
}

fn give(action: &str, chosen: &Chosen, asked: &Asked, parameters: &[(&str, &str)]) -> Outcome {
    let found = asked.read()?;
    let cluster = &chosen.one_of(&found, action)?.cluster;
    let mut target = format!("/fuseboard/v1/breakers/{action}?cluster={}", Query::escape(cluster));
    if let Some(address) = chosen.endpoint {
        let _ = write!(target, "&endpoint={}", Query::escape(&address.to_string()));
    }
    for (name, value) in parameters.iter().chain(&[("by", &*who())]) {
        let _ = write!(target, "&{name}={}", Query::escape(value));
    }
    let answer = asked.target.client()?.post(&target).map_err(asking::unreachable)?;
    if answer.status >= 400 {
        let exit = if answer.status == 400 { Exit::Usage } else { Exit::Error };
        return Err(Failure::message(exit, answer.text().trim_end()));
    }
    let ordered: Ordered =
        serde_json::from_slice(&answer.body).map_err(|error| Failure::new(Exit::Error, error))?;
    output::out_raw(&if asked.output == "json" { asking::pretty(&ordered)? } else { sentence(&ordered) });
    Ok(Exit::Ok)
}

fn sentence(ordered: &Ordered) -> String {
    let whose = ordered.endpoint.as_ref().map(|address| format!(" {address}")).unwrap_or_default();
    let name = output::styled(output::STRONG, &ordered.cluster);
    let order = ordered.breaker.as_ref().and_then(|breaker| breaker.r#override.as_ref());
    let text = match order {
        Some(order) => by_hand(order),
        None if !ordered.changed && ordered.endpoint.is_some() => {
            "nothing to reset: no breaker, no override, and not ejected".to_owned()
        }
        None if !ordered.changed => "nothing to reset: no breaker, and no override".to_owned(),
        None if ordered.returned && ordered.breaker.is_none() => "not ejected any more".to_owned(),
        None if ordered.returned => "not ejected any more; closed, with nothing remembered".to_owned(),
        None if ordered.endpoint_breakers > 0 => {
            format!(
                "closed, with nothing remembered: the breakers of all {} endpoints",
                ordered.endpoint_breakers
            )
        }
        None if ordered.breaker.is_none() => "no override any more, and no breaker".to_owned(),
        None => "closed, with nothing remembered".to_owned(),
    };
    format!("{name}{whose}\n{text}\n")
}

impl Chosen {
    /// The one cluster that is meant.
    fn one_of<'a>(&self, found: &'a Breakers, action: &str) -> Result<&'a ClusterState, Failure> {
        let port = self.port.map(NonZeroU16::get);
        if let (Some(port), Some(written)) = (port, self.service.port())
            && port != written
        {
            let message = format!("--port {port} and :{written} contradict each other");
            return Err(Failure::message(Exit::Usage, message));
        }
        let is_meant = |cluster: &&ClusterState| {
            let service = &cluster.service;
            self.service.is(&service.host, &service.name, &service.namespace, service.port)
                && port.is_none_or(|port| port == service.port)
        };
        let of_service: Vec<&ClusterState> = found.clusters.iter().filter(is_meant).collect();
        if of_service.is_empty() {
            return Err(unknown_service(&self.service, found));
        }
        let subset = self.subset.as_deref().unwrap_or_default();
        let of_subset: Vec<_> =
            of_service.iter().copied().filter(|cluster| cluster.service.subset == subset).collect();
        match of_subset[..] {
            [one] => Ok(one),
            [] => Err(Failure::message(
                Exit::Error,
                format_args!("the service has no subset `{subset}`; there is {}", subsets(&of_service)),
            )),
            [first, ..] => Err(several(&of_subset).next(format!(
                "fuseboard breaker {action} {} --port {} …",
                first.service.host, first.service.port
            ))),
        }
    }
}

/// One order, one service: an incident is no time for guessing.
fn several(clusters: &[&ClusterState]) -> Failure {
    let names = clusters.iter().map(|cluster| {
        let service = &cluster.service;
        format!("{}:{}", service.host, service.port)
    });
    let names = names.collect::<Vec<_>>().join(", ");
    Failure::message(Exit::Usage, format_args!("the name is that of several: {names}; say which one"))
}

fn subsets(clusters: &[&ClusterState]) -> String {
    let names = clusters.iter().map(|cluster| cluster.service.subset.as_str());
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Who sits here, for the log; the proxy has no way to check it.
fn who() -> String {
    let name = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.unwrap_or_default().chars().filter(|char| !char.is_control()).take(64).collect()
}
