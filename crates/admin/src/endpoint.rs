//! The table of admin paths: what each does, which method it takes, and the help made from it.

use std::fmt::Write as _;

use crate::page::Page;

/// A path of the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/`
    Home,
    /// `/clusters`
    Clusters,
    /// `/config_dump`
    ConfigDump,
    /// `/fuseboard/v1/ejections`
    Ejections,
    /// `/fuseboard/v1/refusals`
    Refusals,
    /// `/healthcheck/fail`
    HealthcheckFail,
    /// `/healthcheck/ok`
    HealthcheckOk,
    /// `/help`
    Help,
    /// `/listeners`
    Listeners,
    /// `/quitquitquit`
    Quit,
    /// `/ready`
    Ready,
    /// `/reset_counters`
    ResetCounters,
    /// `/server_info`
    ServerInfo,
    /// `/stats`
    Stats,
    /// `/stats/prometheus`
    StatsPrometheus,
}

/// What the help says of one path.
struct Entry {
    endpoint: Endpoint,
    path: &'static str,
    about: &'static str,
    params: &'static [(&'static str, &'static str)],
    changes: bool,
}

const fn reads(
    endpoint: Endpoint,
    path: &'static str,
    about: &'static str,
    params: &'static [(&'static str, &'static str)],
) -> Entry {
    Entry { endpoint, path, about, params, changes: false }
}

const fn changes(endpoint: Endpoint, path: &'static str, about: &'static str) -> Entry {
    Entry { endpoint, path, about, params: &[], changes: true }
}

const FILTER: (&str, &str) = ("filter", "regular expression, matched anywhere in a name");
const USED_ONLY: (&str, &str) = ("usedonly", "only what was written since start");
const INVERT: (&str, &str) = ("invert_filter", "what the filter does not match");

/// Sorted by path.
const TABLE: [Entry; 15] = [
    reads(Endpoint::Home, "/", "this list", &[]),
    reads(
        Endpoint::Clusters,
        "/clusters",
        "clusters and their hosts",
        &[FILTER, ("format", "one of (text, json)")],
    ),
    reads(
        Endpoint::ConfigDump,
        "/config_dump",
        "what runs now, in Envoy's shape: clusters",
        &[
            ("include_eds", "endpoints too"),
            ("name_regex", "only clusters whose name matches this regular expression"),
        ],
    ),
    reads(Endpoint::Ejections, "/fuseboard/v1/ejections", "hosts that are ejected now (JSON)", &[]),
    reads(
        Endpoint::Refusals,
        "/fuseboard/v1/refusals",
        "requests refused, with limit and rule (JSON)",
        &[("last", "how far to look back, for example 90s or 5m; one minute if absent")],
    ),
    changes(Endpoint::HealthcheckFail, "/healthcheck/fail", "answer /ready with 503"),
    changes(Endpoint::HealthcheckOk, "/healthcheck/ok", "answer /ready with 200 again"),
    reads(Endpoint::Help, "/help", "this list", &[]),
    reads(
        Endpoint::Listeners,
        "/listeners",
        "listeners and their addresses",
        &[("format", "one of (text, json)")],
    ),
    changes(Endpoint::Quit, "/quitquitquit", "drain, then end"),
    reads(Endpoint::Ready, "/ready", "the server's state; 200 if LIVE, else 503", &[]),
    changes(Endpoint::ResetCounters, "/reset_counters", "show all counters from zero on"),
    reads(Endpoint::ServerInfo, "/server_info", "version, state, uptime (JSON)", &[]),
    reads(
        Endpoint::Stats,
        "/stats",
        "all stats",
        &[
            USED_ONLY,
            FILTER,
            INVERT,
            ("format", "one of (text, json, prometheus)"),
            ("type", "one of (All, Counters, Gauges, Histograms, TextReadouts)"),
            ("histogram_buckets", "one of (cumulative, disjoint, summary)"),
        ],
    ),
    reads(
        Endpoint::StatsPrometheus,
        "/stats/prometheus",
        "all stats for Prometheus",
        &[USED_ONLY, FILTER, INVERT],
    ),
];

impl Endpoint {
    /// The endpoint with this path.
    pub fn find(path: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.path == path).map(|entry| entry.endpoint)
    }

    /// Whether it changes something, so that it takes POST only.
    pub fn changes_state(self) -> bool {
        TABLE.iter().any(|entry| entry.endpoint == self && entry.changes)
    }
}

/// `/help` and `/`.
pub fn help() -> Page {
    Page::text(listing("admin commands are:\n"))
}

/// The answer to a path that does not exist.
pub fn unknown_path() -> Page {
    Page::text_with(404, listing("invalid path. admin commands are:\n"))
}

/// The answer to a method that a path does not take.
pub fn method_refused(method: &str, needed: &str) -> Page {
    Page::text_with(405, format!("Method {method} not allowed, {needed} required."))
}

/// The answer of what changed something.
pub fn done() -> Page {
    Page::text("OK\n")
}

fn listing(title: &str) -> String {
    let mut out = title.to_owned();
    for entry in &TABLE {
        let method = if entry.changes { " (POST)" } else { "" };
        let _ = writeln!(out, "  {}{method}: {}", entry.path, entry.about);
        for (name, about) in entry.params {
            let _ = writeln!(out, "      {name}: {about}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_path_is_found() {
        assert!(TABLE.is_sorted_by_key(|entry| entry.path));
        for entry in &TABLE {
            assert_eq!(Endpoint::find(entry.path), Some(entry.endpoint));
            assert_eq!(entry.endpoint.changes_state(), entry.changes);
        }
        assert_eq!(Endpoint::find("/stats/"), None);
    }
}
