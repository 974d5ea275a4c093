//! Kubernetes `Service`s as services of the registry: their ports, and by which of their addresses each is reached.
//! Where addresses come from is left to [`super::addresses`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use fuseboard_api::Spanned;
use fuseboard_api::kubernetes::Service as RawService;
use fuseboard_api::kubernetes::service::ServicePort;
use fuseboard_api::scalar::IntOrText;
use fuseboard_snapshot::{Endpoint, EndpointId, Locality};

use super::addresses::{Address, AddressBook, Group};
use super::hostname;
use super::protocol::Protocol;
use super::registry::{self, Backend, Port, Registry, Service};
use crate::diagnostic::{Code, Diagnostics};
use crate::set::{Resource, ResourceSet};
use crate::workload::Workload;

/// Names the namespaces that see a `Service`, comma-separated.
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// All services that the workload's namespace sees and that have ports of their own; one of type `ExternalName` only
/// stands for another name.
pub(super) fn services<'a>(
    resources: &'a ResourceSet,
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) -> Vec<Service<'a>> {
    let book = AddressBook::new(resources, diagnostics);
    let has_ports =
        |raw: &&Resource<RawService>| raw.spec.kind.as_ref().is_none_or(|kind| kind.value != "ExternalName");
    let is_visible = |raw: &&Resource<RawService>| {
        let export_to = raw.annotations.get(EXPORT_TO).into_iter().flat_map(|list| list.split(','));
        registry::is_visible(&export_to.map(str::trim).collect(), &raw.id.namespace, &workload.namespace)
    };
    let raw = resources.services.iter().filter(has_ports).filter(is_visible);
    raw.map(|raw| service(raw, &book, workload, diagnostics)).collect()
}

fn service<'a>(
    raw: &'a Resource<RawService>,
    book: &AddressBook<'a>,
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) -> Service<'a> {
    let host = hostname::kubernetes(&raw.id.name, &raw.id.namespace, &workload.domain_suffix);
    let mut service = Service::new(raw, Registry::Kubernetes, host, raw.id.name.clone());
    service.addresses = virtual_addresses(&raw.spec);
    let unready_too = raw.spec.publish_not_ready_addresses.as_ref().is_some_and(|publish| publish.value);
    let groups = book.groups(&raw.id.namespace, &raw.id.name, unready_too);
    if groups.is_none() {
        let message =
            format!("no EndpointSlice or Endpoints for {}: requests to it are answered 503", service.host);
        diagnostics.push(
            service
                .diagnostic(Code::NoEndpoints, message)
                .help("add the EndpointSlice of the service; `kubectl get endpointslices -o yaml` prints it"),
        );
    }
    let mut groups = groups.unwrap_or_default();
    // The first family of a dual-stack service goes first, so that a pod with two addresses counts once, by that one.
    let first_is_ipv6 = service.addresses.first().is_some_and(IpAddr::is_ipv6);
    groups.sort_by_key(|group| {
        group.addresses.first().is_some_and(|address| address.ip.is_ipv6() != first_is_ipv6)
    });
    for port in raw.spec.ports.iter().flat_map(|ports| &ports.value) {
        let Some(number) = registry::port_number(port.port.value) else { continue };
        let name = text(port.name.as_ref());
        let app_protocol = port.app_protocol.as_ref().map(|declared| declared.value.as_str());
        let protocol = Protocol::of_port(name, app_protocol, text(port.protocol.as_ref()), number);
        if protocol == Protocol::Udp {
            continue;
        }
        let (backends, is_known) = backends(&groups, name, port);
        if !is_known && !groups.is_empty() {
            let message =
                format!("no EndpointSlice has a port {name:?}: requests to port {number} are answered 503");
            diagnostics.push(
                raw.diagnostic(Code::PortWithoutEndpoints, port.port.span, message)
                    .help("the port of a slice carries the name of the service port that it belongs to"),
            );
        }
        service.ports.push(Port { number, protocol, backends });
    }
    service
}

/// The addresses behind one port, and whether any source knows of the port.
fn backends<'a>(groups: &[Group<'a>], name: &str, port: &ServicePort) -> (Vec<Backend<'a>>, bool) {
    let mut backends = Vec::new();
    let mut is_known = false;
    let mut pods = BTreeSet::new();
    for group in groups {
        for target in group.ports.iter().filter(|target| text(target.name.as_ref()) == name) {
            is_known = true;
            let Some(number) = target_number(target.port.as_ref().map(|port| port.value), port) else {
                continue;
            };
            for address in &group.addresses {
                let pod = address.pod.as_ref().map(|pod| (pod.namespace, pod.name, pod.uid));
                let is_new_pod = pod.is_none_or(|pod| pods.insert(pod));
                if is_new_pod {
                    backends.push(backend(address, SocketAddr::new(address.ip, number)));
                }
            }
        }
    }
    (backends, is_known)
}

/// The port to connect to: the source's own, else what the service says.
fn target_number(written: Option<u32>, port: &ServicePort) -> Option<u16> {
    let number = written.or_else(|| match port.target_port.as_deref() {
        Some(IntOrText::Int(number)) => u32::try_from(*number).ok(),
        // By name only the pod knows it, and sources carry the number then.
        Some(IntOrText::Text(_)) => None,
        None => Some(port.port.value),
    })?;
    u16::try_from(number).ok().filter(|&number| number > 0)
}

fn backend<'a>(address: &Address<'a>, socket: SocketAddr) -> Backend<'a> {
    let pod = address.pod.as_ref();
    let endpoint = Endpoint {
        // Where nobody tells the UID, the name has to do: a new pod on an old address is a new host.
        id: EndpointId::new(
            pod.map_or("", |pod| if pod.uid.is_empty() { pod.name } else { pod.uid }),
            socket,
        ),
        address: socket,
        weight: NonZeroU32::MIN,
        health: address.health,
        hostname: pod.map(|pod| pod.name).filter(|name| !name.is_empty()).unwrap_or(address.hostname).into(),
        node: address.node.into(),
        locality: Locality { zone: address.zone.into(), ..Locality::default() },
    };
    Backend { endpoint, labels: pod.and_then(|pod| pod.labels.clone()) }
}

/// Addresses of the service itself. Headless services (`None`) have none.
fn virtual_addresses(spec: &RawService) -> Vec<IpAddr> {
    let first = spec.cluster_ip.iter().map(|ip| &ip.value);
    let all = spec.cluster_ips.iter().flat_map(|ips| &ips.value).map(|ip| &ip.value);
    let mut addresses = Vec::new();
    for address in first.chain(all).filter_map(|ip| ip.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn text(written: Option<&Spanned<String>>) -> &str {
    written.map_or("", |text| text.value.as_str())
}
