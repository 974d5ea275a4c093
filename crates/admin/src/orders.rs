//! POST `/fuseboard/v1/breakers/open`, `close` and `reset`: what somebody orders by hand, read from the parameters, and the answer to
//! it. An order to open or close always says for how long and why. Carrying it out is the proxy's business. Version 1; fields are
//! only ever added.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_core::breaker::Force;
use serde::{Deserialize, Serialize};

use crate::breakers::{self, Breaker, ClusterState};
use crate::endpoint::Endpoint;
use crate::hosts::Service;
use crate::page::Page;
use crate::query::Query;
use crate::status::ClusterStatus;

/// Longer is no order but configuration.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Bytes of a reason or a name: they go into logs and answers.
pub const MAX_TEXT: usize = 200;

/// Addresses that an answer lists.
const SHOWN: usize = 20;

/// Something that somebody orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Envoy's name of the cluster.
    pub cluster: String,
    /// One of its endpoints; `None`: all calls.
    pub endpoint: Option<SocketAddr>,
    /// What is to be done.
    pub action: Action,
    /// Why; empty only for [`Action::Reset`].
    pub reason: Arc<str>,
    /// Who, as far as they say.
    pub by: Arc<str>,
}

/// What can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An override, for so long.
    Force(Force, Duration),
    /// No override any more, and the breaker as if it were new.
    Reset,
}

impl Action {
    /// `open`, `close` or `reset`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Force(Force::Open, _) => "open",
            Self::Force(Force::Closed, _) => "close",
            Self::Reset => "reset",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was done, and the endpoint is not ejected any more.
    Returned,
    /// A reset that found nothing to set back.
    Nothing,
    /// There is no such cluster.
    UnknownCluster,
    /// The cluster has no such endpoint.
    UnknownEndpoint,
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    /// 1
    pub version: u32,
    /// `open`, `close` or `reset`.
    pub action: String,
    /// Envoy's name of the cluster.
    pub cluster: String,
    /// The service it is for.
    pub service: Service,
    /// The endpoint that it was for; absent for all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// False: there was nothing to set back.
    pub changed: bool,
    /// An ejection of the endpoint was ended.
    #[serde(default)]
    pub returned: bool,
    /// The breaker now; null where there is none (any more).
    pub breaker: Option<Breaker>,
    /// Of a reset without an endpoint: how many endpoints have breakers, each set back too.
    #[serde(default)]
    pub endpoint_breakers: usize,
}

impl Order {
    /// The order that a request to `endpoint` gives. Fails with the page that says what is wrong.
    pub fn read(endpoint: Endpoint, query: &Query) -> Result<Self, Page> {
        let cluster = query.get("cluster").filter(|cluster| !cluster.is_empty());
        let cluster = cluster.ok_or_else(|| wrong("cluster", "is missing; /clusters lists them"))?;
        let action = match endpoint {
            Endpoint::OpenBreaker => Action::Force(Force::Open, time(query)?),
            Endpoint::CloseBreaker => Action::Force(Force::Closed, time(query)?),
            _ => Action::Reset,
        };
        let endpoint =
            query.get("endpoint").filter(|address| !address.is_empty()).map(address).transpose()?;
        let (reason, by) = (text(query, "reason")?, text(query, "by")?);
        if reason.is_empty() && action != Action::Reset {
            return Err(wrong("reason", "is missing; say why, others will ask"));
        }
        Ok(Self { cluster: cluster.to_owned(), endpoint, action, reason, by })
    }

    /// The answer: `clusters` as they are after it.
    pub fn page(&self, outcome: Outcome, clusters: &[ClusterStatus], now: SystemTime) -> Page {
        let status = clusters.iter().find(|status| *status.cluster.name == *self.cluster);
        let Some(status) = status.filter(|_| outcome != Outcome::UnknownCluster) else {
            let text = format!("there is no cluster {}; /clusters lists them\n", self.cluster);
            return Page::text_with(404, text);
        };
        if let Some(address) = self.endpoint.filter(|_| outcome == Outcome::UnknownEndpoint) {
            return Page::text_with(404, no_endpoint(address, status));
        }
        let ClusterState { cluster, service, breaker, endpoint_breakers, .. } =
            breakers::of_cluster(status, &[], now);
        let endpoint = self.endpoint.map(|address| address.to_string());
        let of_endpoints = endpoint_breakers.map(|all| all.endpoints).unwrap_or_default();
        let count = if endpoint.is_none() { of_endpoints.len() } else { 0 };
        let breaker = match &endpoint {
            Some(address) => {
                of_endpoints.into_iter().find(|one| one.address == *address).map(|one| one.breaker)
            }
            None => breaker,
        };
        Page::json(&Ordered {
            version: 1,
            action: self.action.word().to_owned(),
            cluster,
            service,
            endpoint,
            changed: matches!(outcome, Outcome::Done | Outcome::Returned),
            returned: outcome == Outcome::Returned,
            breaker,
            endpoint_breakers: count,
        })
    }

    /// What was ordered, by whom and why, as a line of the log has it.
    pub fn sentence(&self) -> String {
        let by = if self.by.is_empty() { "somebody" } else { &self.by };
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let of = self.endpoint.map(|address| format!(" of {address}")).unwrap_or_default();
        let cluster = &self.cluster;
        match self.action {
            Action::Force(force, time) => {
                let done = if force == Force::Open { "opened" } else { "closed" };
                let time = humantime::format_duration(time);
                format!("{cluster}: breaker{of} {done} by hand for {time} by {by}{why}")
            }
            Action::Reset => format!("{cluster}: breaker{of} reset by hand by {by}{why}"),
        }
    }
}

fn wrong(name: &str, problem: impl std::fmt::Display) -> Page {
    Page::text_with(400, format!("{name}: {problem}\n"))
}

fn address(text: &str) -> Result<SocketAddr, Page> {
    text.parse().map_err(|_| {
        wrong("endpoint", format_args!("{text} is no address with a port; write for example 10.0.0.1:8080"))
    })
}

/// That the cluster has no such endpoint, and which it has.
fn no_endpoint(address: SocketAddr, status: &ClusterStatus) -> String {
    let cluster = &status.cluster.name;
    let known = status.hosts.iter().take(SHOWN).map(|host| host.address.to_string());
    let mut known = known.collect::<Vec<_>>().join(", ");
    match status.hosts.len() {
        0 => "none".clone_into(&mut known),
        all if all > SHOWN => known.push_str(", … (`fuseboard endpoints` has all)"),
        _ => {}
    }
    format!("{cluster} has no endpoint {address}; there is {known}\n")
}

fn time(query: &Query) -> Result<Duration, Page> {
    let text = query.get("for").filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| wrong("for", "is missing; every order ends, write for example 10m"))?;
    let time = humantime::parse_duration(text).map_err(|problem| {
        wrong("for", format_args!("{text} is no duration ({problem}); write for example 10m"))
    })?;
    if time.is_zero() || time > LONGEST {
        let longest = humantime::format_duration(LONGEST);
        let problem = format!("must be more than 0 and at most {longest}; what is to last longer is a rule");
        return Err(wrong("for", problem));
    }
    Ok(time)
}

/// A text for logs and answers: short, and on one line.
fn text(query: &Query, name: &str) -> Result<Arc<str>, Page> {
    let text = query.get(name).unwrap_or_default().trim();
    if text.len() > MAX_TEXT {
        return Err(wrong(name, format_args!("is {} bytes long; {MAX_TEXT} are allowed", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(name, "has a line break or another control character in it"));
    }
    Ok(Arc::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(endpoint: Endpoint, query: &str) -> Result<Order, String> {
        Order::read(endpoint, &Query::parse(query)).map_err(|page| {
            assert_eq!(page.status, 400);
            page.body
        })
    }

    #[test]
    fn p43_an_order_always_says_for_how_long_and_why() {
        let order = read(Endpoint::OpenBreaker, "cluster=a%7Cb&for=10m&reason=on%20fire&by=anna").unwrap();
        assert_eq!(order.action, Action::Force(Force::Open, Duration::from_mins(10)));
        assert_eq!((&*order.cluster, &*order.reason, &*order.by), ("a|b", "on fire", "anna"));
        assert_eq!(order.sentence(), "a|b: breaker opened by hand for 10m by anna: on fire");
        let one =
            read(Endpoint::OpenBreaker, "cluster=a&endpoint=10.0.0.1:80&for=1m&reason=x&by=bo").unwrap();
        assert_eq!(one.endpoint, Some(([10, 0, 0, 1], 80).into()));
        assert_eq!(one.sentence(), "a: breaker of 10.0.0.1:80 opened by hand for 1m by bo: x");
        let reset = read(Endpoint::ResetBreaker, "cluster=a&endpoint=").unwrap();
        assert_eq!(reset.endpoint, None);
        assert_eq!(
            (reset.action, reset.sentence()),
            (Action::Reset, "a: breaker reset by hand by somebody".into())
        );
        for (query, said) in [
            ("for=1m&reason=x", "cluster: is missing"),
            ("cluster=a&reason=x", "for: is missing"),
            ("cluster=a&for=&reason=x", "for: is missing"),
            ("cluster=a&for=10&reason=x", "for: 10 is no duration"),
            ("cluster=a&for=0s&reason=x", "for: must be more than 0"),
            ("cluster=a&for=8days&reason=x", "at most 7days"),
            ("cluster=a&for=1m", "reason: is missing"),
            ("cluster=a&for=1m&reason=x&endpoint=10.0.0.1", "endpoint: 10.0.0.1 is no address with a port"),
            ("cluster=a&for=1m&reason=%20", "reason: is missing"),
            ("cluster=a&for=1m&reason=x%0Ay", "line break"),
        ] {
            let problem = read(Endpoint::CloseBreaker, query).unwrap_err();
            assert!(problem.contains(said), "{query}: {problem}");
        }
        let long = format!("cluster=a&reason={}", "x".repeat(MAX_TEXT + 1));
        assert!(read(Endpoint::ResetBreaker, &long).unwrap_err().contains("201 bytes long"));
    }
}
