//! `ServiceEntry`s as services of the registry, with the IP addresses that they list. Names are not looked up yet.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use fuseboard_api::Spanned;
use fuseboard_api::istio::ServiceEntry;
use fuseboard_api::istio::service_entry::{ServiceEntryPort, WorkloadEntry};
use fuseboard_snapshot::{Endpoint, EndpointHealth, EndpointId, Locality};

use super::labels;
use super::protocol::Protocol;
use super::registry::{self, Backend, Port, Registry, Service};
use crate::set::ResourceSet;
use crate::workload::Workload;

/// One service for each host of each entry that the workload's namespace sees.
pub(super) fn services<'a>(resources: &'a ResourceSet, workload: &Workload) -> Vec<Service<'a>> {
    let mut services = Vec::new();
    for raw in &resources.service_entries {
        let export_to: BTreeSet<&str> =
            raw.spec.export_to.iter().flat_map(|list| &list.value).map(|to| to.value.as_str()).collect();
        if !registry::is_visible(&export_to, &raw.id.namespace, &workload.namespace) {
            continue;
        }
        let ports = ports(&raw.spec);
        for host in &raw.spec.hosts.value {
            let host: Arc<str> = host.value.as_str().into();
            let mut service = Service::new(raw, Registry::ServiceEntry, host.clone(), host);
            service.ports.clone_from(&ports);
            services.push(service);
        }
    }
    services
}

fn ports(raw: &ServiceEntry) -> Vec<Port<'_>> {
    let addresses = addresses(raw);
    let mut ports = Vec::new();
    for port in raw.ports.iter().flat_map(|ports| &ports.value) {
        let Some(number) = registry::port_number(port.number.value) else { continue };
        let declared = port.protocol.as_ref().map_or("", |protocol| protocol.value.as_str());
        let protocol = Protocol::of_entry_port(declared);
        if protocol == Protocol::Udp {
            continue;
        }
        let backends = addresses.iter().filter_map(|(ip, entry)| backend(*ip, entry, port));
        let backends = backends.collect();
        ports.push(Port { number, protocol, backends });
    }
    ports
}

/// The endpoints that have an IP address. Names are reported with the `resolution` that would look them up.
fn addresses(raw: &ServiceEntry) -> Vec<(IpAddr, &WorkloadEntry)> {
    let entries = raw.endpoints.iter().flat_map(|endpoints| &endpoints.value);
    entries.filter_map(|entry| Some((entry.address.as_ref()?.parse().ok()?, &entry.value))).collect()
}

fn backend<'a>(ip: IpAddr, entry: &'a WorkloadEntry, port: &ServiceEntryPort) -> Option<Backend<'a>> {
    let own = entry.ports.as_ref().and_then(|ports| ports.get(port.name.value.as_str()));
    let target = own.or(port.target_port.as_ref()).unwrap_or(&port.number);
    let address = SocketAddr::new(ip, registry::port_number(target.value)?);
    let weight =
        entry.weight.as_ref().and_then(|weight| NonZeroU32::new(weight.value)).unwrap_or(NonZeroU32::MIN);
    let endpoint = Endpoint {
        id: EndpointId::new("", address),
        address,
        weight,
        health: EndpointHealth::Healthy,
        hostname: "".into(),
        node: "".into(),
        locality: entry.locality.as_ref().map_or_else(Locality::default, locality),
    };
    Some(Backend { endpoint, labels: Some(labels::plain(entry.labels.as_ref())) })
}

/// `region/zone/subzone`, of which the later parts may be missing.
fn locality(written: &Spanned<String>) -> Locality {
    let mut parts = written.value.splitn(3, '/').map(Arc::from);
    let mut part = || parts.next().unwrap_or_else(|| "".into());
    Locality { region: part(), zone: part(), sub_zone: part() }
}
