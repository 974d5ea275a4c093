//! `ClusterLoadAssignment` as Envoy prints it: hosts grouped by locality.

use fuseboard_snapshot::{Endpoint, EndpointHealth, Locality};
use serde::Serialize;

use crate::clusters::LocalityJson;
use crate::listeners::Address;
use crate::status::ClusterStatus;

/// Endpoints of one cluster.
#[derive(Serialize)]
pub(super) struct Assignment<'a> {
    #[serde(rename = "@type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    cluster_name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<LocalityEndpoints<'a>>,
}

#[derive(Serialize)]
struct LocalityEndpoints<'a> {
    locality: LocalityJson<'a>,
    lb_endpoints: Vec<LbEndpoint<'a>>,
}

#[derive(Serialize)]
struct LbEndpoint<'a> {
    endpoint: EndpointJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_status: Option<&'static str>,
    load_balancing_weight: u32,
}

#[derive(Serialize)]
struct EndpointJson<'a> {
    address: Address,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: &'a str,
}

impl<'a> Assignment<'a> {
    /// As configured: health is what the source said.
    pub(super) fn configured(name: &'a str, endpoints: &'a [Endpoint]) -> Self {
        let entry = |endpoint: &'a Endpoint| {
            let unready = endpoint.health == EndpointHealth::Unhealthy;
            let json = LbEndpoint {
                endpoint: EndpointJson { address: endpoint.address.into(), hostname: &endpoint.hostname },
                health_status: unready.then_some("UNHEALTHY"),
                load_balancing_weight: endpoint.weight.get(),
            };
            (&endpoint.locality, json)
        };
        Self { kind: None, cluster_name: name, endpoints: by_locality(endpoints.iter().map(entry)) }
    }

    /// As it runs: an ejected host is `UNHEALTHY` too, as in Envoy's dump.
    pub(super) fn live(status: &'a ClusterStatus) -> Self {
        let hosts = status.hosts.iter().map(|host| {
            let json = LbEndpoint {
                endpoint: EndpointJson { address: host.address.into(), hostname: &host.hostname },
                health_status: Some(if host.is_healthy() { "HEALTHY" } else { "UNHEALTHY" }),
                load_balancing_weight: host.weight,
            };
            (&host.locality, json)
        });
        Self {
            kind: Some("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"),
            cluster_name: &status.cluster.name,
            endpoints: by_locality(hosts),
        }
    }
}

/// Localities in the order of their first endpoint.
fn by_locality<'a>(
    endpoints: impl Iterator<Item = (&'a Locality, LbEndpoint<'a>)>,
) -> Vec<LocalityEndpoints<'a>> {
    let mut groups: Vec<(&Locality, LocalityEndpoints<'a>)> = Vec::new();
    for (locality, endpoint) in endpoints {
        match groups.iter_mut().find(|(known, _)| *known == locality) {
            Some((_, group)) => group.lb_endpoints.push(endpoint),
            None => groups.push((
                locality,
                LocalityEndpoints { locality: locality.into(), lb_endpoints: vec![endpoint] },
            )),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
