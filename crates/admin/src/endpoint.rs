//! The table of admin paths: what each does, which method it takes, which parameters it knows. The help, the home page and
//! the list that an unknown path gets are made from it.

use std::fmt::Write as _;

use crate::page::Page;

/// A path of the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/`
    Home,
    /// `/certs`
    Certs,
    /// `/clusters`
    Clusters,
    /// `/config_dump`
    ConfigDump,
    /// `/drain_listeners`
    DrainListeners,
    /// `/fuseboard/v1/breakers`
    Breakers,
    /// `/fuseboard/v1/breakers/close`
    CloseBreaker,
    /// `/fuseboard/v1/breakers/open`
    OpenBreaker,
    /// `/fuseboard/v1/breakers/reset`
    ResetBreaker,
    /// `/fuseboard/v1/ejections`
    Ejections,
    /// `/fuseboard/v1/endpoints`
    Hosts,
    /// `/fuseboard/v1/events`
    Events,
    /// `/fuseboard/v1/explain`
    Explain,
    /// `/fuseboard/v1/refusals`
    Refusals,
    /// `/healthcheck/fail`
    HealthcheckFail,
    /// `/healthcheck/ok`
    HealthcheckOk,
    /// `/help`
    Help,
    /// `/hot_restart_version`
    HotRestartVersion,
    /// `/listeners`
    Listeners,
    /// `/logging`
    Logging,
    /// `/memory`
    Memory,
    /// `/quitquitquit`
    Quit,
    /// `/ready`
    Ready,
    /// `/reset_counters`
    ResetCounters,
    /// `/runtime`
    Runtime,
    /// `/server_info`
    ServerInfo,
    /// `/stats`
    Stats,
    /// `/stats/prometheus`
    StatsPrometheus,
}

/// What the help says of one path.
pub(crate) struct Entry {
    endpoint: Endpoint,
    pub(crate) path: &'static str,
    pub(crate) about: &'static str,
    pub(crate) params: &'static [Param],
    /// Takes POST only.
    pub(crate) changes: bool,
}

/// A parameter of a path.
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: ParamKind,
}

/// What a parameter's value may be.
pub(crate) enum ParamKind {
    /// Any text.
    Text,
    /// It is there or not; a value does not matter.
    Flag,
    /// One of these; the first one is the default.
    OneOf(&'static [&'static str]),
}

const fn text(name: &'static str, about: &'static str) -> Param {
    Param { name, about, kind: ParamKind::Text }
}

const fn flag(name: &'static str, about: &'static str) -> Param {
    Param { name, about, kind: ParamKind::Flag }
}

const fn one_of(name: &'static str, about: &'static str, values: &'static [&'static str]) -> Param {
    Param { name, about, kind: ParamKind::OneOf(values) }
}

const fn reads(
    endpoint: Endpoint,
    path: &'static str,
    about: &'static str,
    params: &'static [Param],
) -> Entry {
    Entry { endpoint, path, about, params, changes: false }
}

const fn changes(
    endpoint: Endpoint,
    path: &'static str,
    about: &'static str,
    params: &'static [Param],
) -> Entry {
    Entry { endpoint, path, about, params, changes: true }
}

const FILTER: Param = text("filter", "regular expression, matched anywhere in a name");
const USED_ONLY: Param = flag("usedonly", "only what was written since start");
const INVERT: Param = flag("invert_filter", "what the filter does not match");
const FORMAT: Param = one_of("format", "how it is written", &["text", "json"]);

const CLUSTER: Param = text("cluster", "name of the cluster, as /clusters has it");
const FOR: Param = text("for", "how long, for example 10m; needed, at most 7 days");
const REASON: Param = text("reason", "why; needed, everybody who is refused can be told");
const BY: Param = text("by", "who orders it");

/// Sorted by path.
pub(crate) const TABLE: [Entry; 28] = [
    reads(Endpoint::Home, "/", "this list, to click", &[]),
    reads(Endpoint::Certs, "/certs", "certificates that are shown and trusted now (JSON)", &[]),
    reads(Endpoint::Clusters, "/clusters", "clusters and their hosts", &[FILTER, FORMAT]),
    reads(
        Endpoint::ConfigDump,
        "/config_dump",
        "what runs now, in Envoy's shape (JSON): clusters",
        &[
            one_of(
                "resource",
                "only the entries of this list",
                &[
                    "",
                    "static_clusters",
                    "dynamic_active_clusters",
                    "static_endpoint_configs",
                    "dynamic_endpoint_configs",
                ],
            ),
            text("mask", "only these fields, as paths with dots, separated by commas"),
            text("name_regex", "only clusters whose name matches this regular expression"),
            flag("include_eds", "endpoints too"),
        ],
    ),
    changes(
        Endpoint::DrainListeners,
        "/drain_listeners",
        "stop listening; what is connected stays",
        &[
            flag("graceful", "first ask clients to go, for the drain time"),
            flag("skip_exit", "ask clients to go, and go on listening"),
            flag("inboundonly", "inbound listeners only; a stand-alone proxy has none"),
        ],
    ),
    reads(
        Endpoint::Breakers,
        "/fuseboard/v1/breakers",
        "breakers: state, why, settings with rule and line, limits, what happened lately (JSON)",
        &[],
    ),
    changes(
        Endpoint::CloseBreaker,
        "/fuseboard/v1/breakers/close",
        "let every call through for a time, whatever the breaker says (JSON)",
        &[CLUSTER, FOR, REASON, BY],
    ),
    changes(
        Endpoint::OpenBreaker,
        "/fuseboard/v1/breakers/open",
        "refuse every call for a time (JSON)",
        &[CLUSTER, FOR, REASON, BY],
    ),
    changes(
        Endpoint::ResetBreaker,
        "/fuseboard/v1/breakers/reset",
        "end such an order, and close the breaker with nothing remembered (JSON)",
        &[CLUSTER, text("reason", "why, if anybody should know"), BY],
    ),
    reads(Endpoint::Ejections, "/fuseboard/v1/ejections", "hosts that are ejected now (JSON)", &[]),
    reads(
        Endpoint::Hosts,
        "/fuseboard/v1/endpoints",
        "all endpoints: pod, state, why ejected and until when (JSON)",
        &[],
    ),
    reads(
        Endpoint::Events,
        "/fuseboard/v1/events",
        "what happens to breakers, hosts and limits, as it happens (server-sent events)",
        &[
            text("service", "only of this one: httpbin, httpbin.default or in full, with :PORT for one port"),
            text("type", "only these, separated by commas: breaker, ejected, returned, limit_reached, …"),
        ],
    ),
    reads(
        Endpoint::Explain,
        "/fuseboard/v1/explain",
        "what limits and outlier detection mean for each service, with rule and line (JSON)",
        &[],
    ),
    reads(
        Endpoint::Refusals,
        "/fuseboard/v1/refusals",
        "requests refused, with limit and rule (JSON)",
        &[text("last", "how far to look back, for example 90s or 5m; one minute if absent")],
    ),
    changes(Endpoint::HealthcheckFail, "/healthcheck/fail", "answer /ready with 503, ask clients to go", &[]),
    changes(Endpoint::HealthcheckOk, "/healthcheck/ok", "answer /ready with 200 again", &[]),
    reads(Endpoint::Help, "/help", "this list", &[]),
    reads(Endpoint::HotRestartVersion, "/hot_restart_version", "`disabled`: there is no hot restart", &[]),
    reads(Endpoint::Listeners, "/listeners", "listeners and their addresses", &[FORMAT]),
    changes(
        Endpoint::Logging,
        "/logging",
        "levels of the loggers, to see and to change",
        &[
            one_of(
                "level",
                "level of all loggers",
                &["", "trace", "debug", "info", "warning", "error", "critical", "off"],
            ),
            text("paths", "levels of some, as name1:level1,name2:level2"),
        ],
    ),
    reads(Endpoint::Memory, "/memory", "memory that the process holds (JSON)", &[]),
    changes(Endpoint::Quit, "/quitquitquit", "drain, then end", &[]),
    reads(Endpoint::Ready, "/ready", "the server's state; 200 if LIVE, else 503", &[]),
    changes(Endpoint::ResetCounters, "/reset_counters", "show all counters from zero on", &[]),
    reads(Endpoint::Runtime, "/runtime", "runtime values (JSON); there are none", &[]),
    reads(Endpoint::ServerInfo, "/server_info", "version, state, uptime (JSON)", &[]),
    reads(
        Endpoint::Stats,
        "/stats",
        "all stats",
        &[
            USED_ONLY,
            FILTER,
            INVERT,
            one_of("format", "how they are written", &["text", "html", "json", "prometheus"]),
            one_of("type", "which of them", &["All", "Counters", "Gauges", "Histograms", "TextReadouts"]),
            one_of(
                "histogram_buckets",
                "how histograms are shown",
                &["summary", "cumulative", "disjoint", "detailed"],
            ),
        ],
    ),
    reads(
        Endpoint::StatsPrometheus,
        "/stats/prometheus",
        "all stats for Prometheus",
        &[
            USED_ONLY,
            FILTER,
            INVERT,
            one_of("histogram_buckets", "how histograms are shown", &["cumulative", "summary"]),
        ],
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

/// `/help`.
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
        for Param { name, about, kind } in entry.params {
            let _ = match kind {
                ParamKind::OneOf(values) => {
                    writeln!(out, "      {name}: {about}; One of ({})", values.join(", "))
                }
                ParamKind::Text | ParamKind::Flag => writeln!(out, "      {name}: {about}"),
            };
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
