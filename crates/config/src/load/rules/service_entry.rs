//! `ServiceEntry`: hosts, ports, addresses.

use std::collections::HashSet;
use std::net::IpAddr;

use fuseboard_api::istio::service_entry::{Resolution, ServiceEntryPort, WorkloadEntry};
use fuseboard_api::tree::Node;
use fuseboard_api::{List, field};

use super::{invalid, key_span, name, port_number};
use crate::load::report::{FieldPath, Report};

pub(super) fn check(spec: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    hosts(spec, path, report);
    let ports: Vec<(usize, ServiceEntryPort)> = elements(spec, "ports");
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (index, port) in &ports {
        let path = path.item("ports", *index);
        port_number(port.number, &path.key("number"), report);
        if let Some(target) = port.target_port {
            port_number(target, &path.key("targetPort"), report);
        }
        if !names.insert(port.name.value.as_str()) {
            let message = format!("service entry port name {:?} already defined", port.name.value);
            invalid(report, port.name.span, &path.key("name"), message, "give each port its own name");
        }
        if !numbers.insert(port.number.value) {
            let message = format!("service entry port {} already defined", port.number.value);
            invalid(report, port.number.span, &path.key("number"), message, "write each port once");
        }
    }
    let resolution = field::<Resolution>(spec, "resolution").map(|resolution| resolution.value);
    for (index, endpoint) in elements::<WorkloadEntry>(spec, "endpoints") {
        let path = path.item("endpoints", index);
        self::endpoint(&endpoint, resolution, &names, &path, report);
    }
}

fn hosts(spec: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let Some(hosts) = field::<List<String>>(spec, "hosts") else { return };
    if hosts.is_empty() {
        let at = key_span(spec, "hosts", hosts.span);
        let message = "service entry must have at least one host";
        invalid(report, at, &path.key("hosts"), message, "write hosts: [name.of.the.service]");
    }
    for (index, host) in hosts.iter().enumerate() {
        name::host(host, &path.item("hosts", index), report);
    }
}

fn endpoint(
    endpoint: &WorkloadEntry,
    resolution: Option<Resolution>,
    ports: &HashSet<&str>,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    let by_address = matches!(resolution, Some(Resolution::Static));
    if let Some(address) =
        endpoint.address.as_ref().filter(|address| by_address && address.parse::<IpAddr>().is_err())
    {
        let message =
            format!("address {:?} is not an IP address, which resolution STATIC needs", address.value);
        let help = "write an IP address; names need resolution DNS, which is not acted upon yet";
        invalid(report, address.span, &path.key("address"), message, help);
    }
    for (name, port) in endpoint.ports.iter().flat_map(|ports| ports.iter()) {
        let path = path.key("ports");
        port_number(*port, &path.key(name), report);
        if !ports.contains(name.as_str()) {
            let message = format!("endpoint port {name:?} is not among the ports of the service entry");
            invalid(report, port.span, &path.key(name), message, "use the name of one of its ports");
        }
    }
}

/// The elements of the list `key` that can be read, with their positions.
fn elements<T: fuseboard_api::Decode>(node: &Node, key: &str) -> Vec<(usize, T)> {
    let nodes = node.get(key).map_or(&[][..], Node::elements);
    nodes.iter().enumerate().filter_map(|(index, node)| Some((index, T::decode(node)?))).collect()
}
