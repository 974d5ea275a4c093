//! What Kubernetes' API server would refuse in services and their addresses.

use std::collections::HashSet;
use std::net::IpAddr;

use fuseboard_api::kubernetes::endpoint_slice::AddressType;
use fuseboard_api::kubernetes::service::ServicePort;
use fuseboard_api::kubernetes::{EndpointSlice, Endpoints};
use fuseboard_api::scalar::IntOrText;
use fuseboard_api::tree::Node;
use fuseboard_api::{Decode, Spanned};

use super::{invalid, port_number};
use crate::load::report::{FieldPath, Report};

pub(super) fn service(spec: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let nodes = spec.get("ports").map_or(&[][..], Node::elements);
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (index, node) in nodes.iter().enumerate() {
        let path = path.item("ports", index);
        let Some(port) = ServicePort::decode(node) else { continue };
        port_number(port.port, &path.key("port"), report);
        if let Some(Spanned { value: IntOrText::Int(number), span }) = port.target_port {
            let number = u32::try_from(number).unwrap_or(0);
            port_number(Spanned::new(number, span), &path.key("targetPort"), report);
        }
        let protocol = port.protocol.as_ref().map_or("TCP", |protocol| protocol.value.as_str()).to_owned();
        if !numbers.insert((port.port.value, protocol)) {
            let message = format!("port {} is written twice", port.port.value);
            invalid(report, port.port.span, &path.key("port"), message, "write each port once");
        }
        match &port.name {
            None if nodes.len() > 1 => {
                let message = "a service with several ports needs a name for each";
                invalid(
                    report,
                    port.port.span,
                    &path,
                    message,
                    "write name: http, or another name of your choice",
                );
            }
            Some(name) if !names.insert(name.value.clone()) => {
                let message = format!("port name {:?} is written twice", name.value);
                invalid(report, name.span, &path.key("name"), message, "give each port its own name");
            }
            _ => {}
        }
    }
}

pub(super) fn endpoints(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let Some(endpoints) = Endpoints::decode(node) else { return };
    for (index, subset) in endpoints.subsets.iter().flat_map(|subsets| subsets.iter().enumerate()) {
        let path = path.item("subsets", index);
        let lists = [(&subset.addresses, "addresses"), (&subset.not_ready_addresses, "notReadyAddresses")];
        for (addresses, key) in lists {
            for (index, address) in addresses.iter().flat_map(|addresses| addresses.iter().enumerate()) {
                let path = path.item(key, index);
                ip(&address.ip, |_| true, "an IP address", &path.key("ip"), report);
            }
        }
        for (index, port) in subset.ports.iter().flat_map(|ports| ports.iter().enumerate()) {
            if let Some(number) = port.port {
                port_number(number, &path.item("ports", index).key("port"), report);
            }
        }
    }
}

pub(super) fn endpoint_slice(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let Some(slice) = EndpointSlice::decode(node) else { return };
    let (fits, what): (fn(IpAddr) -> bool, _) = match slice.address_type.value {
        AddressType::Ipv4 => (|ip| ip.is_ipv4(), "an IPv4 address"),
        AddressType::Ipv6 => (|ip| ip.is_ipv6(), "an IPv6 address"),
        AddressType::Fqdn => return,
    };
    for (index, endpoint) in slice.endpoints.iter().flat_map(|endpoints| endpoints.iter().enumerate()) {
        let path = path.item("endpoints", index);
        let path = path.key("addresses");
        for (index, address) in endpoint.addresses.iter().enumerate() {
            ip(address, fits, what, &path.index(index), report);
        }
    }
    for (index, port) in slice.ports.iter().flat_map(|ports| ports.iter().enumerate()) {
        if let Some(number) = port.port {
            port_number(number, &path.item("ports", index).key("port"), report);
        }
    }
}

fn ip(
    address: &Spanned<String>,
    fits: impl Fn(IpAddr) -> bool,
    what: &str,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    if !address.parse::<IpAddr>().is_ok_and(fits) {
        let message = format!("{:?} is not {what}", address.value);
        invalid(
            report,
            address.span,
            path,
            message,
            "write the address of a pod, such as 10.0.0.1 or 127.0.0.1",
        );
    }
}
