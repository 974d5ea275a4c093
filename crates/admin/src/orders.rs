//! POST `/fuseboard/v1/breakers/open`, `close` and `reset`: what somebody orders by hand, read from the parameters, and the answer to
//! it. An order to open or close always says for how long and why. Carrying it out is the proxy's business. Version 1; fields are
//! only ever added.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_core::breaker::Force;
use serde::{Deserialize, Serialize};

use crate::breakers::{self, Breaker};
use crate::endpoint::Endpoint;
use crate::hosts::Service;
use crate::page::Page;
use crate::query::Query;
use crate::status::ClusterStatus;

/// Longer is no order but configuration.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Bytes of a reason or a name: they go into logs and answers.
pub const MAX_TEXT: usize = 200;

/// Something that somebody orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Envoy's name of the cluster.
    pub cluster: String,
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
    /// A reset that found nothing to set back.
    Nothing,
    /// There is no such cluster.
    UnknownCluster,
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
    /// False: there was nothing to set back.
    pub changed: bool,
    /// The breaker now; null where there is none (any more).
    pub breaker: Option<Breaker>,
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
        let (reason, by) = (text(query, "reason")?, text(query, "by")?);
        if reason.is_empty() && action != Action::Reset {
            return Err(wrong("reason", "is missing; say why, others will ask"));
        }
        Ok(Self { cluster: cluster.to_owned(), action, reason, by })
    }

    /// The answer: `clusters` as they are after it.
    pub fn page(&self, outcome: Outcome, clusters: &[ClusterStatus], now: SystemTime) -> Page {
        let status = clusters.iter().find(|status| *status.cluster.name == *self.cluster);
        let Some(status) = status.filter(|_| outcome != Outcome::UnknownCluster) else {
            let text = format!("there is no cluster {}; /clusters lists them\n", self.cluster);
            return Page::text_with(404, text);
        };
        let state = breakers::of_cluster(status, &[], now);
        Page::json(&Ordered {
            version: 1,
            action: self.action.word().to_owned(),
            cluster: state.cluster,
            service: state.service,
            changed: outcome == Outcome::Done,
            breaker: state.breaker,
        })
    }

    /// What was ordered, by whom and why, as a line of the log has it.
    pub fn sentence(&self) -> String {
        let by = if self.by.is_empty() { "somebody" } else { &self.by };
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let cluster = &self.cluster;
        match self.action {
            Action::Force(force, time) => {
                let done = if force == Force::Open { "opened" } else { "closed" };
                let time = humantime::format_duration(time);
                format!("{cluster}: breaker {done} by hand for {time} by {by}{why}")
            }
            Action::Reset => format!("{cluster}: breaker reset by hand by {by}{why}"),
        }
    }
}

fn wrong(name: &str, problem: impl std::fmt::Display) -> Page {
    Page::text_with(400, format!("{name}: {problem}\n"))
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
        let reset = read(Endpoint::ResetBreaker, "cluster=a").unwrap();
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
