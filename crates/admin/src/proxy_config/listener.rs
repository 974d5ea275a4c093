//! `proxy-config listener`: the listeners of a config dump, a line for each of their filter chains.

use super::dump::{Dump, DumpError, settings};
use super::{Tree, table};

const HEADING: [&str; 4] = ["ADDRESSES", "PORT", "MATCH", "DESTINATION"];
/// The names of Envoy's filters for either protocol.
pub(crate) const HTTP: &str = "envoy.filters.network.http_connection_manager";
pub(crate) const TCP: &str = "envoy.filters.network.tcp_proxy";
/// istioctl leaves out where such connections would go.
const BLACK_HOLE: &str = "BlackHoleCluster";

/// Which listeners; what is empty or 0 is not looked for.
#[derive(Clone, Debug, Default)]
pub struct ListenerFilter {
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
    /// `HTTP`, `TCP` or `HTTP+TCP`, in upper or lower case.
    pub kind: String,
}

impl ListenerFilter {
    fn admits(&self, listener: &Tree) -> bool {
        (self.address.is_empty() || addresses(listener).contains(&self.address))
            && (self.port == 0 || u64::from(self.port) == port(listener))
            && (self.kind.is_empty() || self.kind.eq_ignore_ascii_case(kind(listener)))
    }
}

impl Dump {
    /// The table.
    pub fn listener_table(&self, filter: &ListenerFilter) -> Result<String, DumpError> {
        let lines: Vec<Vec<String>> = self.listeners(filter)?.into_iter().flat_map(lines).collect();
        Ok(table::render_close(&HEADING, &lines, 1))
    }

    /// The listeners themselves, as istioctl's JSON has them.
    pub fn listener_settings(&self, filter: &ListenerFilter) -> Result<Tree, DumpError> {
        Ok(settings(self.listeners(filter)?))
    }

    fn listeners(&self, filter: &ListenerFilter) -> Result<Vec<&Tree>, DumpError> {
        let lists = ["dynamic_listeners", "static_listeners"];
        let mut listeners = self.resources("ListenersConfigDump", lists, "listener")?;
        if listeners.is_empty() {
            return Err(DumpError::NoListeners);
        }
        listeners.retain(|listener| filter.admits(listener));
        listeners.sort_by_key(|listener| (port(listener), addresses(listener), kind(listener)));
        Ok(listeners)
    }
}

/// Its address, and those beside it.
fn addresses(listener: &Tree) -> Vec<String> {
    let others = listener.items(&["additional_addresses"]).iter().filter_map(|other| other.field("address"));
    listener.field("address").into_iter().chain(others).map(address).collect()
}

fn address(address: &Tree) -> String {
    match address.text(&["pipe", "path"]) {
        "" => address.text(&["socket_address", "address"]).to_owned(),
        path => format!("unix://{path}"),
    }
}

fn port(listener: &Tree) -> u64 {
    listener.at(&["address", "socket_address"]).map_or(0, |socket| socket.number(&["port_value"]))
}

fn chains(listener: &Tree) -> impl Iterator<Item = &Tree> {
    listener.items(&["filter_chains"]).iter().chain(listener.field("default_filter_chain"))
}

fn kind(listener: &Tree) -> &'static str {
    let has = |name: &str| {
        chains(listener).flat_map(|chain| chain.items(&["filters"])).any(|one| one.text(&["name"]) == name)
    };
    match (has(HTTP), has(TCP)) {
        (true, true) => "HTTP+TCP",
        (true, false) => "HTTP",
        (false, true) => "TCP",
        (false, false) => "UNKNOWN",
    }
}

fn lines(listener: &Tree) -> Vec<Vec<String>> {
    let (addresses, port) = (addresses(listener).join(","), port(listener).to_string());
    let mut chains: Vec<_> = chains(listener)
        .map(|chain| (destination(chain), matched(chain.field("filter_chain_match").unwrap_or(&Tree::Null))))
        .collect();
    chains.sort_by(|(a, _), (b, _)| b.cmp(a));
    let line = |(destination, matched)| vec![addresses.clone(), port.clone(), matched, destination];
    chains.into_iter().map(line).collect()
}

/// What a connection must be to come to this chain.
fn matched(chain: &Tree) -> String {
    let mut parts = Vec::new();
    let mut add = |what: &str, value: &str| {
        if !value.is_empty() {
            parts.push(format!("{what}: {value}"));
        }
    };
    add("SNI", &chain.texts(&["server_names"]).join(","));
    add("Trans", chain.text(&["transport_protocol"]));
    add("App", &chain.texts(&["application_protocols"]).join(","));
    let port = match chain.number(&["destination_port"]) {
        0 => String::new(),
        port => format!(":{port}"),
    };
    let range =
        |range: &Tree| format!("{}/{}", range.text(&["address_prefix"]), range.number(&["prefix_len"]));
    let ranges: Vec<_> = chain.items(&["prefix_ranges"]).iter().map(range).collect();
    match (ranges.is_empty(), port.is_empty()) {
        (true, true) => {}
        (true, false) => add("Addr", &format!("*{port}")),
        (false, _) => add("Addr", &format!("{}{port}", ranges.join(","))),
    }
    if parts.is_empty() { "ALL".to_owned() } else { parts.join("; ") }
}

/// Where its connections go.
fn destination(chain: &Tree) -> String {
    for filter in chain.items(&["filters"]) {
        let settings = filter.field("typed_config").unwrap_or(&Tree::Null);
        match filter.text(&["name"]) {
            HTTP => {
                return match (settings.field("route_config"), settings.text(&["rds", "route_config_name"])) {
                    (Some(routes), _) => inline(routes),
                    (None, "") => "HTTP".to_owned(),
                    (None, name) => format!("Route: {name}"),
                };
            }
            TCP if settings.text(&["cluster"]) != BLACK_HOLE => {
                return leads_to(settings.text(&["cluster"]));
            }
            _ => {}
        }
    }
    "Non-HTTP/Non-TCP".to_owned()
}

/// A cluster that is called so needs no word before it.
fn leads_to(cluster: &str) -> String {
    if cluster.contains("Cluster") { cluster.to_owned() } else { format!("Cluster: {cluster}") }
}

/// A table that stands in the listener itself: the cluster that it leads to, or its hosts and paths.
fn inline(routes: &Tree) -> String {
    let hosts = routes.items(&["virtual_hosts"]);
    if let [host] = hosts
        && let [route] = host.items(&["routes"])
        && route.text(&["match", "prefix"]) == "/"
        && let cluster = route.text(&["route", "cluster"])
        && !cluster.is_empty()
    {
        return leads_to(cluster);
    }
    let host = |host: &Tree| {
        let domains = super::route::domains(host);
        let paths: Vec<_> = host.items(&["routes"]).iter().map(super::route::matched).collect();
        let paths = paths.join(", ");
        if domains.is_empty() || domains == "*" { paths } else { format!("{domains} {paths}") }
    };
    format!("Inline Route: {}", hosts.iter().map(host).collect::<Vec<_>>().join("; "))
}
