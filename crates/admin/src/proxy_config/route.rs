//! `proxy-config route`: the routing tables of a config dump, a line for each route.

use std::collections::HashSet;

use super::dump::{Dump, DumpError, settings};
use super::{Tree, rule_of, table};

const HEADING: [&str; 5] = ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"];
/// So many domains are shown of one host.
const SHOWN: usize = 2;

/// Which tables.
#[derive(Clone, Debug, Default)]
pub struct RouteFilter {
    /// The whole name; empty: all.
    pub name: String,
}

impl Dump {
    /// The table.
    pub fn route_table(&self, filter: &RouteFilter) -> Result<String, DumpError> {
        let lines: Vec<Vec<String>> = self.routes(filter)?.into_iter().flat_map(lines).collect();
        Ok(table::render(&HEADING, &lines))
    }

    /// The routing tables themselves, as istioctl's JSON has them.
    pub fn route_settings(&self, filter: &RouteFilter) -> Result<Tree, DumpError> {
        Ok(settings(self.routes(filter)?))
    }

    fn routes(&self, filter: &RouteFilter) -> Result<Vec<&Tree>, DumpError> {
        let lists = ["dynamic_route_configs", "static_route_configs"];
        let mut routes = self.resources("RoutesConfigDump", lists, "route_config")?;
        if routes.is_empty() {
            return Err(DumpError::NoRoutes);
        }
        routes.retain(|config| filter.name.is_empty() || config.text(&["name"]) == filter.name);
        // Ports by their number, before other names.
        routes.sort_by_key(|config| {
            let name = config.text(&["name"]);
            name.parse::<u32>().map_or((u32::MAX, name), |port| (port, name))
        });
        Ok(routes)
    }
}

fn lines(config: &Tree) -> Vec<Vec<String>> {
    let line = |host: &Tree, matched: String, rule: String| {
        vec![config.text(&["name"]).to_owned(), host.text(&["name"]).to_owned(), domains(host), matched, rule]
    };
    let of_host = |host: &Tree| match host.items(&["routes"]) {
        [] => vec![line(host, "/*".to_owned(), "404".to_owned())],
        routes => {
            let leads = |route: &&Tree| route.text(&["route", "cluster"]) != "PassthroughCluster";
            routes.iter().filter(leads).map(|route| line(host, matched(route), rule_of(route))).collect()
        }
    };
    config.items(&["virtual_hosts"]).iter().flat_map(of_host).collect()
}

/// The first of a host's domains, without those that only spell one out or add the port.
pub(super) fn domains(host: &Tree) -> String {
    let all = host.texts(&["domains"]);
    if let [only] = all[..] {
        return only.to_owned();
    }
    let known: HashSet<&str> = all.iter().copied().collect();
    let spells_out = |name: &str| {
        [".svc.cluster.local", ".svc", "."]
            .iter()
            .filter_map(|end| name.strip_suffix(end))
            .any(|short| known.contains(short))
    };
    let without_port = all.into_iter().filter(|name| !has_port(name) && !spells_out(name));
    let names: Vec<&str> = without_port.collect();
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} + {more} more...", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}

fn has_port(name: &str) -> bool {
    match name.rsplit_once(']') {
        Some((_, rest)) => rest.starts_with(':'),
        // Two are an address of IPv6 without brackets.
        None => name.matches(':').count() == 1,
    }
}

/// The paths of a route.
pub(super) fn matched(route: &Tree) -> String {
    let of = |path: &[&str]| route.at(&["match"]).map_or("", |matched| matched.text(path));
    let prefix = of(&["prefix"]);
    let parts = [
        (!prefix.is_empty()).then(|| format!("{prefix}*")),
        Some(of(&["path_separated_prefix"]))
            .filter(|text| !text.is_empty())
            .map(|text| format!("PathPrefix:{text}")),
        Some(of(&["path"])).filter(|text| !text.is_empty()).map(str::to_owned),
        Some(of(&["safe_regex", "regex"]))
            .filter(|text| !text.is_empty())
            .map(|text| format!("regex {text}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
