//! What the settings of a service mean together: what will happen to the next request, where each value was written, when a
//! host is ejected and for how long. `fuseboard explain` prints it, from files or from `/fuseboard/v1/explain` of a proxy;
//! both are made here from a snapshot, so that they cannot differ. Version 1; fields are only ever added.

mod admission;
mod ejection;
mod fallback;
mod health;
mod pipeline;
mod protocol;
mod reached;
mod setting;
mod word;

use fuseboard_snapshot::{Cluster, Route, Snapshot, UpstreamHttp, UpstreamVersion};
use serde::{Deserialize, Serialize};

use crate::hosts::Service;
use crate::page::Page;
use crate::refusals::Rule;

pub use admission::Admission;
pub use health::HealthOutcome;

/// All services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanations {
    /// 1
    pub version: u32,
    /// One entry per cluster, in the order of the snapshot.
    pub clusters: Vec<Explanation>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Envoy's name.
    pub cluster: String,
    /// The service it is for.
    pub service: Service,
    /// Endpoints that its source says are ready.
    pub hosts: usize,
    /// `DestinationRule httpbin.default`; absent: no rule applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Addresses that are for it alone, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<String>,
    /// What happens to request N+1, as numbers.
    pub admission: Admission,
    /// The same in sentences.
    pub requests: Vec<String>,
    /// Every value with its meaning and where it was written.
    pub settings: Vec<ExplainedSetting>,
    /// When a host is ejected and for how long, in sentences.
    pub ejection: Vec<String>,
    /// Who gets requests, for each count of healthy hosts.
    #[serde(default)]
    pub when_healthy: Vec<HealthOutcome>,
    /// In which order a request meets what there is for it, in sentences.
    #[serde(default)]
    pub order: Vec<String>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedSetting {
    /// The field as the user writes it.
    pub setting: String,
    /// `10`, `5s`, `unlimited`, `off`.
    pub value: String,
    /// What it means.
    pub meaning: String,
    /// Where it was written; absent: a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Rule>,
}

/// The page.
pub fn page(snapshot: &Snapshot) -> Page {
    Page::json(&of_snapshot(snapshot))
}

/// All services of `snapshot`.
pub fn of_snapshot(snapshot: &Snapshot) -> Explanations {
    let hosts = || snapshot.routes.iter().flat_map(|table| &table.virtual_hosts);
    let clusters = snapshot.clusters.iter().enumerate().map(|(index, cluster)| {
        let route = hosts().map(|host| &host.route).find(|route| route.cluster == index);
        let is_http = hosts().any(|host| {
            let known = snapshot.clusters.get(host.route.cluster).map(|cluster| &cluster.service);
            known
                .is_some_and(|known| known.host == cluster.service.host && known.port == cluster.service.port)
        });
        Explanation { reached: reached::sentences(snapshot, index), ..of_cluster(cluster, route, is_http) }
    });
    Explanations { version: 1, clusters: clusters.collect() }
}

/// One service, the route that leads to it, and whether requests reach its port at all: TCP has no version of HTTP.
pub fn of_cluster(cluster: &Cluster, route: Option<&Route>, is_http: bool) -> Explanation {
    let bytes;
    let cluster = if is_http || cluster.http.version == UpstreamVersion::Http1 {
        cluster
    } else {
        // A version that a rule gives to a TCP port is only shown in the dump: a connection is one caller's.
        bytes = Cluster { http: UpstreamHttp::default(), ..cluster.clone() };
        &bytes
    };
    let hosts = word::ready(cluster);
    let service = &cluster.service;
    Explanation {
        cluster: cluster.name.to_string(),
        service: Service {
            host: service.host.to_string(),
            name: service.name.to_string(),
            namespace: service.namespace.to_string(),
            port: service.port,
            subset: service.subset.to_string(),
        },
        hosts,
        rule: cluster.rule.as_ref().map(ToString::to_string),
        reached: Vec::new(),
        admission: Admission::of(cluster),
        requests: admission::sentences(cluster, route),
        settings: setting::all(cluster, route, is_http)
            .into_iter()
            .chain(fallback::settings(cluster))
            .collect(),
        ejection: ejection::sentences(cluster).into_iter().chain(health::sentence(cluster)).collect(),
        when_healthy: health::outcomes(cluster),
        order: pipeline::sentences(cluster, route),
    }
}
