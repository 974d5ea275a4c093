//! `proxy-config endpoint`: the hosts of `/clusters`, with what health and outlier detection say of them, or the endpoints of
//! a config dump, which knows configuration only.

use super::dump::{Dump, DumpError, order};
use super::{Tree, table};

const HOSTS: [&str; 4] = ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"];
const CONFIGURED: [&str; 4] = ["NAME", "STATUS", "LOCALITY", "CLUSTER"];

/// Which endpoints; what is empty or 0 is not looked for. Upper and lower case are the same.
#[derive(Clone, Debug, Default)]
pub struct EndpointFilter {
    /// The address without its port.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The cluster's whole name.
    pub cluster: String,
    /// `HEALTHY`, `UNHEALTHY`, `DRAINING`, `TIMEOUT`, `DEGRADED` or `UNKNOWN`.
    pub status: String,
}

/// One endpoint as both pages have it.
struct Endpoint {
    address: String,
    port: u64,
    status: String,
}

impl EndpointFilter {
    fn admits(&self, endpoint: &Endpoint, cluster: &str) -> bool {
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(found);
        is(&self.address, &endpoint.address)
            && (self.port == 0 || u64::from(self.port) == endpoint.port)
            && is(&self.cluster, cluster)
            && is(&self.status, &endpoint.status)
    }
}

impl Endpoint {
    fn new(address: &Tree, status: &str, absent: &str) -> Self {
        let socket = address.field("socket_address");
        let path = address.text(&["pipe", "path"]);
        let status = if status.is_empty() { absent } else { status };
        Self {
            address: match socket {
                Some(socket) => socket.text(&["address"]).to_owned(),
                None if path.is_empty() => "unknown".to_owned(),
                None => path.to_owned(),
            },
            port: socket.map_or(0, |socket| socket.number(&["port_value"])),
            status: status.to_owned(),
        }
    }

    fn of_host(host: &Tree) -> Self {
        let status = host.text(&["health_status", "eds_health_status"]);
        let mut endpoint = Self::new(host.field("address").unwrap_or(&Tree::Null), status, "UNKNOWN");
        if host.at(&["address", "pipe"]).is_some() {
            endpoint.address.insert_str(0, "unix://");
        }
        endpoint
    }

    fn configured(endpoint: &Tree) -> Self {
        let address = endpoint.at(&["endpoint", "address"]).unwrap_or(&Tree::Null);
        Self::new(address, endpoint.text(&["health_status"]), "UNKNOWN")
    }

    fn name(&self) -> String {
        if self.port == 0 { self.address.clone() } else { format!("{}:{}", self.address, self.port) }
    }
}

impl Dump {
    /// The table, with `prefix` in front of each address.
    pub fn endpoint_table(&self, filter: &EndpointFilter, prefix: &str) -> Result<String, DumpError> {
        match self {
            Self::Clusters(tree) => Ok(hosts_table(tree, filter)),
            Self::Config(_) => {
                let lines =
                    self.assignments(filter)?.iter().flat_map(|one| lines(one, prefix)).collect::<Vec<_>>();
                Ok(table::render(&CONFIGURED, &lines))
            }
        }
    }

    /// The same as istioctl's JSON has it: clusters with one such host at least, or assignments with only such endpoints.
    pub fn endpoint_settings(&self, filter: &EndpointFilter) -> Result<Tree, DumpError> {
        let found = match self {
            Self::Clusters(tree) => {
                let clusters = tree.items(&["cluster_statuses"]).iter();
                clusters.filter(|cluster| hosts(cluster, filter).next().is_some()).cloned().collect()
            }
            Self::Config(_) => self.assignments(filter)?,
        };
        Ok(Tree::List(found.into_iter().map(Tree::into_camel_case).collect()))
    }

    /// The endpoints of each cluster that has such, in istioctl's order.
    fn assignments(&self, filter: &EndpointFilter) -> Result<Vec<Tree>, DumpError> {
        let mut sections = self.sections("EndpointsConfigDump").peekable();
        if sections.peek().is_none() {
            return Err(DumpError::NoEndpoints);
        }
        let lists = ["dynamic_endpoint_configs", "static_endpoint_configs"];
        let mut found: Vec<Tree> = sections
            .flat_map(|section| lists.into_iter().flat_map(move |list| section.items(&[list])))
            .filter_map(|entry| with_only(entry.field("endpoint_config")?, filter))
            .collect();
        found.sort_by(|a, b| order(a.text(&["cluster_name"])).cmp(&order(b.text(&["cluster_name"]))));
        Ok(found)
    }
}

/// The assignment with only the endpoints that the filter admits; `None` where none is left.
fn with_only(assignment: &Tree, filter: &EndpointFilter) -> Option<Tree> {
    let cluster = assignment.text(&["cluster_name"]);
    let mut left = 0;
    let mut assignment = assignment.clone();
    for locality in items_mut(&mut assignment, "endpoints") {
        let Some(endpoints) = list_mut(locality, "lb_endpoints") else { continue };
        endpoints.retain(|endpoint| {
            let configured = Endpoint::configured(endpoint);
            // Unlike in the table of hosts, addresses have their port here, and any of them will do.
            let named =
                |address| Endpoint { address, port: configured.port, status: configured.status.clone() };
            addresses(endpoint).into_iter().any(|address| filter.admits(&named(address), cluster))
        });
        left += endpoints.len();
    }
    (left > 0).then_some(assignment)
}

fn items_mut<'a>(tree: &'a mut Tree, field: &str) -> impl Iterator<Item = &'a mut Tree> {
    list_mut(tree, field).into_iter().flatten()
}

fn list_mut<'a>(tree: &'a mut Tree, field: &str) -> Option<&'a mut Vec<Tree>> {
    match tree.field_mut(field)? {
        Tree::List(items) => Some(items),
        _ => None,
    }
}

/// The address of a configured endpoint, and those of its other address families.
fn addresses(endpoint: &Tree) -> Vec<String> {
    let others = endpoint.items(&["endpoint", "additional_addresses"]).iter();
    let others =
        others.map(|other| Endpoint::new(other.field("address").unwrap_or(&Tree::Null), "", "").name());
    std::iter::once(Endpoint::configured(endpoint).name()).chain(others).collect()
}

/// The lines of one assignment.
fn lines(assignment: &Tree, prefix: &str) -> Vec<Vec<String>> {
    let cluster = assignment.text(&["cluster_name"]);
    let localities = assignment.items(&["endpoints"]).iter();
    let endpoints = localities.flat_map(|locality| {
        let place = ["region", "zone", "sub_zone"].map(|part| locality.text(&["locality", part]));
        let place = place.into_iter().take_while(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        locality.items(&["lb_endpoints"]).iter().map(move |endpoint| (place.clone(), endpoint))
    });
    endpoints
        .map(|(place, endpoint)| {
            let configured = Endpoint::configured(endpoint);
            let name = format!("{prefix}{}", addresses(endpoint).join(","));
            vec![name, configured.status, place, cluster.to_owned()]
        })
        .collect()
}

/// The hosts of one cluster that the filter admits.
fn hosts<'a>(cluster: &'a Tree, filter: &'a EndpointFilter) -> impl Iterator<Item = (Endpoint, &'a Tree)> {
    let name = cluster.text(&["name"]);
    let hosts = cluster.items(&["host_statuses"]).iter().map(|host| (Endpoint::of_host(host), host));
    hosts.filter(move |(endpoint, _)| filter.admits(endpoint, name))
}

fn hosts_table(tree: &Tree, filter: &EndpointFilter) -> String {
    let mut rows = Vec::new();
    for cluster in tree.items(&["cluster_statuses"]) {
        let name = cluster.text(&["name"]);
        rows.extend(hosts(cluster, filter).map(|(endpoint, host)| (endpoint, host, name)));
    }
    rows.sort_by(|(a, _, of_a), (b, _, of_b)| (&a.address, a.port, of_a).cmp(&(&b.address, b.port, of_b)));
    let line = |(endpoint, host, cluster): (Endpoint, &Tree, &str)| {
        let failed = host.flag(&["health_status", "failed_outlier_check"]);
        let check = if failed { "FAILED" } else { "OK" };
        vec![endpoint.name(), endpoint.status, check.to_owned(), cluster.to_owned()]
    };
    table::render(&HOSTS, &rows.into_iter().map(line).collect::<Vec<_>>())
}
