//! `proxy-config cluster`: the clusters of a config dump.

use super::dump::{Dump, DumpError, order, parts, settings};
use super::{Tree, rule_of, table};

const HEADING: [&str; 6] = ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"];

/// Which clusters; as istioctl, each is looked for in the whole name, and what is empty or 0 is not looked for.
#[derive(Clone, Debug, Default)]
pub struct ClusterFilter {
    /// Part of the service's name.
    pub fqdn: String,
    /// Port of the service.
    pub port: u16,
    /// Part of the subset's name.
    pub subset: String,
    /// `inbound` or `outbound`.
    pub direction: String,
}

impl ClusterFilter {
    fn admits(&self, name: &str) -> bool {
        let port = if self.port == 0 { String::new() } else { format!("|{}|", self.port) };
        [&self.fqdn, &self.direction, &self.subset, &port].iter().all(|part| name.contains(part.as_str()))
    }
}

impl Dump {
    /// The table.
    pub fn cluster_table(&self, filter: &ClusterFilter) -> Result<String, DumpError> {
        let lines: Vec<Vec<String>> = self.clusters(filter)?.into_iter().map(line).collect();
        Ok(table::render(&HEADING, &lines))
    }

    /// The clusters themselves, as istioctl's JSON has them.
    pub fn cluster_settings(&self, filter: &ClusterFilter) -> Result<Tree, DumpError> {
        Ok(settings(self.clusters(filter)?))
    }

    /// Names of all clusters.
    pub fn cluster_names(&self) -> Vec<&str> {
        match self {
            Self::Config(_) => {
                let clusters = self.all_clusters().unwrap_or_default();
                clusters.into_iter().map(|cluster| cluster.text(&["name"])).collect()
            }
            Self::Clusters(tree) => {
                tree.items(&["cluster_statuses"]).iter().map(|cluster| cluster.text(&["name"])).collect()
            }
        }
    }

    fn all_clusters(&self) -> Result<Vec<&Tree>, DumpError> {
        self.resources("ClustersConfigDump", ["dynamic_active_clusters", "static_clusters"], "cluster")
    }

    fn clusters(&self, filter: &ClusterFilter) -> Result<Vec<&Tree>, DumpError> {
        let mut clusters = self.all_clusters()?;
        if clusters.is_empty() {
            return Err(DumpError::NoClusters);
        }
        clusters.retain(|cluster| filter.admits(cluster.text(&["name"])));
        clusters.sort_by_key(|cluster| order(cluster.text(&["name"])));
        Ok(clusters)
    }
}

fn line(cluster: &Tree) -> Vec<String> {
    let name = cluster.text(&["name"]);
    let or = |text: &str, absent: &str| if text.is_empty() { absent.to_owned() } else { text.to_owned() };
    let discovery = or(cluster.text(&["type"]), "STATIC");
    let rule = rule_of(cluster);
    let (host, port, subset, direction) = match parts(name) {
        Some((direction, port, subset, host)) => {
            (host, port.parse::<u64>().unwrap_or_default().to_string(), or(subset, "-"), direction)
        }
        None => (name, "-".to_owned(), "-".to_owned(), "-"),
    };
    vec![host.to_owned(), port, subset, direction.to_owned(), discovery, rule]
}
