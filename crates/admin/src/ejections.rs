//! `/fuseboard/v1/ejections`: which hosts are out, since when and for how long. Version 1; fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::page::Page;
use crate::refusals::millis;
use crate::status::ClusterStatus;

/// Hosts ejected now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejections {
    /// 1
    pub version: u32,
    /// One entry per ejected host.
    pub ejections: Vec<Ejection>,
}

/// One ejected host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// Envoy's name of the cluster.
    pub cluster: String,
    /// The host's address.
    pub host: String,
    /// Which in a row; the n-th lasts n times the base ejection time.
    pub number: u32,
    /// Milliseconds since it was ejected.
    pub since_ms: u64,
    /// Milliseconds of ejection time left.
    pub remaining_ms: u64,
    /// Milliseconds until the sweep that will return it, the first one after its ejection time.
    pub returns_in_ms: u64,
    /// What found it, in Envoy's spelling.
    pub detector: String,
}

/// The page.
pub fn page(clusters: &[ClusterStatus]) -> Page {
    let ejections = clusters
        .iter()
        .flat_map(|status| status.hosts.iter().map(move |host| (&status.cluster.name, host)))
        .filter_map(|(cluster, host)| {
            let ejection = host.ejection.as_ref()?;
            Some(Ejection {
                cluster: cluster.to_string(),
                host: host.address.to_string(),
                number: ejection.number,
                since_ms: millis(ejection.since),
                remaining_ms: millis(ejection.remaining),
                returns_in_ms: millis(ejection.returns_in),
                detector: ejection.detector.event_type().to_owned(),
            })
        })
        .collect();
    Page::json(&Ejections { version: 1, ejections })
}
