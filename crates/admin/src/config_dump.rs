//! `/config_dump`: Envoy's envelope around what runs. Sections for what we do not have are absent.

mod cluster;
mod endpoints;
mod listeners;
mod routes;
mod secrets;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::mask::FieldMask;
use crate::page::Page;
use crate::proxy_config::Tree;
use crate::query::Query;
use crate::refusals::timestamp;
use crate::status::{ClusterStatus, ProxyStatus};

pub(crate) use secrets::redacted;

const CLUSTERS: &str = "type.googleapis.com/envoy.admin.v3.ClustersConfigDump";
const ENDPOINTS: &str = "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump";
const LISTENERS: &str = "type.googleapis.com/envoy.admin.v3.ListenersConfigDump";
const ROUTES: &str = "type.googleapis.com/envoy.admin.v3.RoutesConfigDump";
const SECRETS: &str = "type.googleapis.com/envoy.admin.v3.SecretsConfigDump";

/// A list inside a section, as `resource` names it, and the message that its entries are.
struct List {
    section: &'static str,
    name: &'static str,
    entry: &'static str,
}

const LISTS: [List; 10] = [
    List { section: CLUSTERS, name: "static_clusters", entry: "StaticCluster" },
    List { section: CLUSTERS, name: "dynamic_active_clusters", entry: "DynamicCluster" },
    List { section: ENDPOINTS, name: "static_endpoint_configs", entry: "StaticEndpointConfig" },
    List { section: ENDPOINTS, name: "dynamic_endpoint_configs", entry: "DynamicEndpointConfig" },
    List { section: LISTENERS, name: "static_listeners", entry: "StaticListener" },
    List { section: LISTENERS, name: "dynamic_listeners", entry: "DynamicListener" },
    List { section: ROUTES, name: "static_route_configs", entry: "StaticRouteConfig" },
    List { section: ROUTES, name: "dynamic_route_configs", entry: "DynamicRouteConfig" },
    List { section: SECRETS, name: "static_secrets", entry: "StaticSecret" },
    List { section: SECRETS, name: "dynamic_active_secrets", entry: "DynamicSecret" },
];

#[derive(Serialize)]
struct Dump<T> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    configs: Vec<T>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Section<'a> {
    Clusters(ClustersSection<'a>),
    Endpoints(EndpointsSection<'a>),
    /// Listeners, routes or secrets.
    Other(Tree),
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

/// Clusters, endpoints with `include_eds`, listeners, routes and certificates. `name_regex` selects by name, `resource` one of the
/// lists, `mask` fields of each section, or of each entry of the list.
pub fn page(status: &ProxyStatus, query: &Query) -> Page {
    let filter = match query.regex("name_regex") {
        Ok(filter) => filter,
        Err(page) => return page,
    };
    let is_wanted = |name: &str| filter.as_ref().is_none_or(|filter| filter.is_match(name));
    let wanted = status.clusters.iter().filter(|cluster| is_wanted(&cluster.cluster.name));
    let (dynamic, fixed): (Vec<_>, Vec<_>) = wanted.partition(|cluster| cluster.added_via_api);

    let version = status.snapshot.version.to_string();
    let last_updated = timestamp(status.applied_at);
    let mut configs = vec![Section::Clusters(ClustersSection {
        kind: CLUSTERS,
        static_clusters: cluster_entries(&fixed, None, &last_updated),
        dynamic_active_clusters: cluster_entries(&dynamic, Some(&version), &last_updated),
        version_info: version,
    })];
    if query.has("include_eds") {
        configs.push(Section::Endpoints(EndpointsSection {
            kind: ENDPOINTS,
            static_endpoint_configs: endpoint_entries(&fixed),
            dynamic_endpoint_configs: endpoint_entries(&dynamic),
        }));
    }
    configs.extend(other_sections(status, &last_updated, is_wanted).map(Section::Other));
    match (query.get("resource").filter(|name| !name.is_empty()), mask_of(query)) {
        (None, None) => Page::json(&Dump { configs }),
        (resource, mask) => match selected(&configs, resource, mask) {
            Ok(configs) => Page::json(&Dump { configs }),
            Err(page) => page,
        },
    }
}

/// What is from files, and not from a control plane: listeners and routes; and certificates, which are followed as those of a secret
/// discovery service are.
fn other_sections(
    status: &ProxyStatus,
    last_updated: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = Tree> {
    let snapshot = &status.snapshot;
    let version = || Tree::from(snapshot.version.to_string());
    let entry =
        |what: &'static str, tree: Tree| Tree::of([(what, tree), ("last_updated", Tree::from(last_updated))]);
    let listeners = snapshot.listeners.iter().filter(|listener| is_wanted(&listener.name)).map(|listener| {
        let bound = status.listeners.iter().find(|bound| bound.name == listener.name);
        let address = bound.map_or(listener.address, |bound| bound.address);
        entry("listener", listeners::tree(listener, address, snapshot))
    });
    let routes = snapshot.routes.iter().filter(|config| is_wanted(&config.name));
    let routes = routes.map(|config| entry("route_config", routes::tree(config, snapshot)));
    let secrets = secrets::all(snapshot).into_iter().filter(|(name, _)| is_wanted(name));
    let secrets = secrets.map(|(name, secret)| {
        Tree::of([
            ("name", Tree::from(name)),
            ("version_info", version()),
            ("last_updated", Tree::from(last_updated)),
            ("secret", secret),
        ])
    });
    let listeners: Vec<_> = listeners.collect();
    let (routes, secrets): (Vec<_>, Vec<_>) = (routes.collect(), secrets.collect());
    let section = |kind: &str, name: &'static str, entries: Vec<Tree>| {
        let mut fields = vec![("@type", Tree::from(kind))];
        if kind == LISTENERS {
            fields.push(("version_info", version()));
        }
        fields.extend((!entries.is_empty()).then_some((name, Tree::List(entries))));
        Tree::of(fields)
    };
    [
        section(LISTENERS, "static_listeners", listeners),
        section(ROUTES, "static_route_configs", routes),
        section(SECRETS, "dynamic_active_secrets", secrets),
    ]
    .into_iter()
}

/// Protobuf's JSON of a duration: seconds with 0, 3, 6 or 9 decimals.
fn proto_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        n if n % 1_000_000 == 0 => format!("{seconds}.{:03}s", n / 1_000_000),
        n if n % 1_000 == 0 => format!("{seconds}.{:06}s", n / 1_000),
        n => format!("{seconds}.{n:09}s"),
    }
}

fn mask_of(query: &Query) -> Option<&str> {
    query.get("mask").filter(|mask| !mask.is_empty())
}

/// The entries of the list `resource`, or all sections; of each what `mask` names.
fn selected(configs: &[Section<'_>], resource: Option<&str>, mask: Option<&str>) -> Result<Vec<Value>, Page> {
    let sections =
        serde_json::to_value(configs).map_err(|problem| Page::text_with(500, format!("{problem}\n")))?;
    let sections = sections.as_array().map(Vec::as_slice).unwrap_or_default();
    let documents = match resource {
        Some(name) => entries_of(sections, name)?,
        None => sections.to_vec(),
    };
    let Some(mask) = mask else { return Ok(documents) };
    let fields = FieldMask::parse(mask);
    let kept: Vec<Value> = documents.iter().filter_map(|document| fields.apply(document)).collect();
    if kept.is_empty() && !documents.is_empty() {
        let said = format!("FieldMask {mask} could not be successfully applied to any configs.");
        return Err(Page::text_with(400, said));
    }
    Ok(kept)
}

/// The entries of a list, each with the type that it has inside Envoy's message.
fn entries_of(sections: &[Value], resource: &str) -> Result<Vec<Value>, Page> {
    let list = LISTS.iter().find(|list| {
        list.name == resource && sections.iter().any(|section| section["@type"] == list.section)
    });
    let Some(list) = list else {
        return Err(Page::text_with(404, format!("{resource} not found in config dump")));
    };
    let entries = sections.iter().filter(|section| section["@type"] == list.section);
    let entries = entries.filter_map(|section| section.get(list.name)?.as_array()).flatten();
    Ok(entries
        .map(|entry| {
            let mut entry = entry.clone();
            entry["@type"] = format!("{}.{}", list.section, list.entry).into();
            entry
        })
        .collect())
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
