//! `/config_dump`: Envoy's envelope around what runs. Sections for what we do not have are absent.

mod cluster;
mod endpoints;

use serde::Serialize;

use crate::page::Page;
use crate::query::Query;
use crate::refusals::timestamp;
use crate::status::{ClusterStatus, ProxyStatus};

#[derive(Serialize)]
struct Dump<'a> {
    configs: Vec<Section<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Section<'a> {
    Clusters(ClustersSection<'a>),
    Endpoints(EndpointsSection<'a>),
}

#[derive(Serialize)]
struct ClustersSection<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    version_info: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_clusters: Vec<ClusterEntry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dynamic_active_clusters: Vec<ClusterEntry<'a>>,
}

#[derive(Serialize)]
struct ClusterEntry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    cluster: cluster::ClusterJson<'a>,
    last_updated: String,
}

#[derive(Serialize)]
struct EndpointsSection<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_endpoint_configs: Vec<EndpointEntry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dynamic_endpoint_configs: Vec<EndpointEntry<'a>>,
}

#[derive(Serialize)]
struct EndpointEntry<'a> {
    endpoint_config: endpoints::Assignment<'a>,
}

/// Clusters, and endpoints with `include_eds`; `name_regex` selects clusters by name. Envoy's `resource` and `mask` are
/// refused rather than ignored.
pub fn page(status: &ProxyStatus, query: &Query) -> Page {
    if query.has("resource") || query.has("mask") {
        return Page::text_with(400, "config_dump: resource and mask are not supported; use name_regex\n");
    }
    let filter = match query.regex("name_regex") {
        Ok(filter) => filter,
        Err(page) => return page,
    };
    let wanted = status
        .clusters
        .iter()
        .filter(|cluster| filter.as_ref().is_none_or(|filter| filter.is_match(&cluster.cluster.name)));
    let (dynamic, fixed): (Vec<_>, Vec<_>) = wanted.partition(|cluster| cluster.added_via_api);

    let version = status.snapshot.version.to_string();
    let last_updated = timestamp(status.applied_at);
    let mut configs = vec![Section::Clusters(ClustersSection {
        kind: "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
        static_clusters: cluster_entries(&fixed, None, &last_updated),
        dynamic_active_clusters: cluster_entries(&dynamic, Some(&version), &last_updated),
        version_info: version,
    })];
    if query.has("include_eds") {
        configs.push(Section::Endpoints(EndpointsSection {
            kind: "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump",
            static_endpoint_configs: endpoint_entries(&fixed),
            dynamic_endpoint_configs: endpoint_entries(&dynamic),
        }));
    }
    Page::json(&Dump { configs })
}

fn cluster_entries<'a>(
    clusters: &[&'a ClusterStatus],
    version: Option<&String>,
    last_updated: &str,
) -> Vec<ClusterEntry<'a>> {
    let entry = |status: &&'a ClusterStatus| ClusterEntry {
        version_info: version.cloned(),
        cluster: cluster::ClusterJson::new(status),
        last_updated: last_updated.to_owned(),
    };
    clusters.iter().map(entry).collect()
}

fn endpoint_entries<'a>(clusters: &[&'a ClusterStatus]) -> Vec<EndpointEntry<'a>> {
    clusters
        .iter()
        .map(|status| EndpointEntry { endpoint_config: endpoints::Assignment::live(status) })
        .collect()
}
