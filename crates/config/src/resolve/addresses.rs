//! Addresses of Kubernetes services, from `EndpointSlice`s or, where a service has none, from `Endpoints`: which of them
//! are usable, and by what ports. As in istiod: slices are found by their label, and an endpoint that is not ready counts
//! as terminating unless the slice denies it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fuseboard_api::Spanned;
use fuseboard_api::kubernetes::endpoint_slice::{
    AddressType, EndpointConditions, SERVICE_NAME_LABEL, SliceEndpoint,
};
use fuseboard_api::kubernetes::endpoints::{EndpointAddress, EndpointPort, EndpointSubset};
use fuseboard_api::kubernetes::{EndpointSlice, Endpoints};
use fuseboard_snapshot::EndpointHealth;

use super::pods::{KnownPod, Pods};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::set::{Resource, ResourceSet};

/// Addresses with the same ports.
pub(super) struct Group<'a> {
    /// Ports, each with the name of the service port that it belongs to.
    pub(super) ports: &'a [Spanned<EndpointPort>],
    /// Addresses, in the order of the source.
    pub(super) addresses: Vec<Address<'a>>,
}

/// One address.
pub(super) struct Address<'a> {
    /// The address.
    pub(super) ip: IpAddr,
    /// What the source says of it.
    pub(super) health: EndpointHealth,
    /// The pod, where anything is known of it.
    pub(super) pod: Option<KnownPod<'a>>,
    /// Name of the host that the source gives; empty where it gives none.
    pub(super) hostname: &'a str,
    /// Node it runs on; empty where unknown.
    pub(super) node: &'a str,
    /// Zone it runs in; empty where unknown.
    pub(super) zone: &'a str,
}

/// The resources that hold addresses, by namespace and service.
#[derive(Default)]
pub(super) struct AddressBook<'a> {
    slices: BTreeMap<(&'a str, &'a str), Vec<&'a Resource<EndpointSlice>>>,
    endpoints: BTreeMap<(&'a str, &'a str), &'a Resource<Endpoints>>,
    pods: Pods<'a>,
}

impl<'a> AddressBook<'a> {
    /// All addresses of `resources`; those that belong to no service are reported.
    pub(super) fn new(resources: &'a ResourceSet, diagnostics: &mut Diagnostics) -> Self {
        let mut book = Self { pods: Pods::new(&resources.pods), ..Self::default() };
        let services: BTreeSet<(&str, &str)> =
            resources.services.iter().map(|service| (&*service.id.namespace, &*service.id.name)).collect();
        let knows = |namespace: &str, name: &str| services.contains(&(namespace, name));
        for slice in &resources.endpoint_slices {
            match slice.labels.get(SERVICE_NAME_LABEL) {
                Some(owner) if knows(&slice.id.namespace, owner) => {
                    book.slices.entry((&slice.id.namespace, owner)).or_default().push(slice);
                }
                Some(owner) => diagnostics.push(stray(slice, owner)),
                None => {
                    let message =
                        "the slice does not say which Service it is for: these addresses are not used";
                    let help = format!("write the name of the Service in the label {SERVICE_NAME_LABEL}");
                    diagnostics.push(slice.diagnostic(Code::StrayEndpoints, slice.span, message).help(help));
                }
            }
        }
        for endpoints in &resources.endpoints {
            let (namespace, name) = (&*endpoints.id.namespace, &*endpoints.id.name);
            if knows(namespace, name) {
                book.endpoints.insert((namespace, name), endpoints);
            } else {
                diagnostics.push(stray(endpoints, name));
            }
        }
        book
    }

    /// Addresses of a service; `None` if no resource tells of any. `unready_too`: those that are not ready count as ready.
    pub(super) fn groups(&self, namespace: &str, service: &str, unready_too: bool) -> Option<Vec<Group<'a>>> {
        if let Some(slices) = self.slices.get(&(namespace, service)) {
            return Some(slices.iter().map(|slice| self.slice_group(slice, unready_too)).collect());
        }
        let endpoints = *self.endpoints.get(&(namespace, service))?;
        let subsets = endpoints.spec.subsets.iter().flat_map(|subsets| &subsets.value);
        Some(subsets.map(|subset| self.subset_group(&endpoints.id.namespace, subset, unready_too)).collect())
    }

    fn slice_group(&self, slice: &'a Resource<EndpointSlice>, unready_too: bool) -> Group<'a> {
        let has_names = slice.spec.address_type.value == AddressType::Fqdn;
        let endpoints = list(slice.spec.endpoints.as_ref()).iter().filter(|_| !has_names);
        let address = |endpoint: &'a Spanned<SliceEndpoint>| {
            let health = health(endpoint.conditions.as_deref(), unready_too)?;
            let ip = endpoint.addresses.first()?.parse().ok()?;
            let pod = self.pods.find(&slice.id.namespace, endpoint.value.target_ref.as_deref(), ip);
            let hostname = text(endpoint.value.hostname.as_ref());
            let (node, zone) = (text(endpoint.value.node_name.as_ref()), text(endpoint.value.zone.as_ref()));
            Some(Address { ip, health, pod, hostname, node, zone })
        };
        Group { ports: list(slice.spec.ports.as_ref()), addresses: endpoints.filter_map(address).collect() }
    }

    /// `notReadyAddresses` are left out: Kubernetes mirrors them into slices as not ready, without a word on terminating.
    fn subset_group(&self, namespace: &'a str, subset: &'a EndpointSubset, unready_too: bool) -> Group<'a> {
        let unready = list(subset.not_ready_addresses.as_ref()).iter().filter(|_| unready_too);
        let all = list(subset.addresses.as_ref()).iter().chain(unready);
        let address = |address: &'a Spanned<EndpointAddress>| {
            let ip = address.ip.parse().ok()?;
            let pod = self.pods.find(namespace, address.value.target_ref.as_deref(), ip);
            let (hostname, node) =
                (text(address.value.hostname.as_ref()), text(address.value.node_name.as_ref()));
            Some(Address { ip, health: EndpointHealth::Healthy, pod, hostname, node, zone: "" })
        };
        Group { ports: list(subset.ports.as_ref()), addresses: all.filter_map(address).collect() }
    }
}

/// Addresses for the Service `owner`, which does not exist.
fn stray<T>(resource: &Resource<T>, owner: &str) -> Diagnostic {
    let namespace = &resource.id.namespace;
    let message = format!("no Service {owner} in namespace {namespace}: these addresses are not used");
    resource
        .diagnostic(Code::StrayEndpoints, resource.span, message)
        .help("add the Service, or correct its name or namespace here")
}

/// Health of an endpoint of a slice; `None`: it is not to be used. Absent conditions mean ready.
fn health(conditions: Option<&EndpointConditions>, unready_too: bool) -> Option<EndpointHealth> {
    let ready = conditions.and_then(|conditions| conditions.ready.as_deref()).copied().unwrap_or(true);
    let terminating = conditions.and_then(|conditions| conditions.terminating.as_deref()).copied();
    match (ready || unready_too, terminating) {
        (true, _) => Some(EndpointHealth::Healthy),
        (false, Some(false)) => Some(EndpointHealth::Unhealthy),
        (false, Some(true) | None) => None,
    }
}

fn text(written: Option<&Spanned<String>>) -> &str {
    written.map_or("", |text| text.value.as_str())
}

fn list<T>(written: Option<&Spanned<Vec<Spanned<T>>>>) -> &[Spanned<T>] {
    written.map_or(&[], |list| list.value.as_slice())
}
