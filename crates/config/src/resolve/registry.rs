//! The services that a client may call, from `Service` and `ServiceEntry` resources; each host has one owner.
//! How addresses are found is left to [`super::kubernetes`] and [`super::service_entry`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use fuseboard_snapshot::{Endpoint, ResourceRef};

use super::labels::Labels;
use super::protocol::Protocol;
use super::{kubernetes, service_entry};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::set::{Resource, ResourceSet};
use crate::source::Place;
use crate::workload::Workload;

/// One host that may be called.
#[derive(Clone, Debug)]
pub(crate) struct Service<'a> {
    /// Full name, or a wildcard.
    pub(crate) host: Arc<str>,
    /// Name in Kubernetes; the host itself otherwise.
    pub(crate) name: Arc<str>,
    /// Namespace of the resource.
    pub(crate) namespace: Arc<str>,
    /// Who told of it.
    pub(crate) registry: Registry,
    /// Virtual addresses, which are names of the service too.
    pub(crate) addresses: Vec<IpAddr>,
    /// Ports, UDP left out.
    pub(crate) ports: Vec<Port<'a>>,
    /// The resource it is from.
    pub(crate) resource: ResourceRef,
    /// Where that is.
    pub(crate) place: Place,
    created: Option<&'a str>,
}

/// Where a service is written. Ordered: of two services with one host, the lesser registry's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Registry {
    /// A `Service`.
    Kubernetes,
    /// A `ServiceEntry`.
    ServiceEntry,
}

/// A port of a service.
#[derive(Clone, Debug)]
pub(crate) struct Port<'a> {
    /// Number, by which clients call.
    pub(crate) number: u16,
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// Its addresses.
    pub(crate) backends: Vec<Backend<'a>>,
}

/// An address and what subsets choose it by.
#[derive(Clone, Debug)]
pub(crate) struct Backend<'a> {
    /// The address.
    pub(crate) endpoint: Endpoint,
    /// Its labels; `None`: unknown, because the pod is not among the resources.
    pub(crate) labels: Option<Labels<'a>>,
}

impl<'a> Service<'a> {
    /// A service without ports.
    pub(super) fn new<T>(
        resource: &'a Resource<T>,
        registry: Registry,
        host: Arc<str>,
        name: Arc<str>,
    ) -> Self {
        Self {
            host,
            name,
            namespace: resource.id.namespace.clone(),
            registry,
            addresses: Vec::new(),
            ports: Vec::new(),
            resource: resource.id.clone(),
            place: resource.place(resource.span),
            created: resource.created.as_deref(),
        }
    }

    /// A problem of the service as a whole.
    pub(super) fn diagnostic(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, message).resource(self.resource.clone()).at(self.place.clone())
    }

    /// The port that is meant when a request names none: the only HTTP port, else 80. Ports that want HTTP/2 count only
    /// where there is no other.
    pub(super) fn default_port(&self) -> Option<u16> {
        let speaks = |wanted: &[Protocol]| -> Vec<u16> {
            let ports = self.ports.iter().filter(|port| wanted.contains(&port.protocol));
            ports.map(|port| port.number).collect()
        };
        let http1 = speaks(&[Protocol::Http, Protocol::Auto]);
        let candidates = if http1.is_empty() { speaks(&[Protocol::Http2]) } else { http1 };
        match candidates[..] {
            [only] => Some(only),
            _ => candidates.contains(&80).then_some(80),
        }
    }

    /// The port that a plan for bytes means: the only TCP port, else the one with the number of the address to connect to.
    pub(super) fn tcp_port(&self, own: u16) -> Option<u16> {
        let tcp = self.ports.iter().filter(|port| port.protocol == Protocol::Opaque);
        let tcp: Vec<u16> = tcp.map(|port| port.number).collect();
        match tcp[..] {
            [only] => Some(only),
            _ => self.ports.iter().map(|port| port.number).find(|number| *number == own),
        }
    }
}

/// All services that clients of the workload's namespace see, the owner of a disputed name before others: Kubernetes' own
/// first, then by age.
pub(crate) fn services<'a>(
    resources: &'a ResourceSet,
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) -> Vec<Service<'a>> {
    let mut services = kubernetes::services(resources, workload, diagnostics);
    services.extend(service_entry::services(resources, workload));
    services.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
    let mut owners: BTreeMap<Arc<str>, ResourceRef> = BTreeMap::new();
    services.retain(|service| {
        let Some(owner) = owners.get(&service.host) else {
            owners.insert(service.host.clone(), service.resource.clone());
            return true;
        };
        let message = format!("the host {} belongs to {owner} already; this one is not used", service.host);
        diagnostics.push(
            service
                .diagnostic(Code::HostTaken, message)
                .help("give each host to one Service or ServiceEntry only"),
        );
        false
    });
    services
}

impl Service<'_> {
    fn precedence(&self) -> (Registry, Option<&str>, &str, &str) {
        (self.registry, self.created, &self.name, &self.namespace)
    }
}

/// A port as sockets have it. Numbers out of range were refused when the resource was read.
pub(super) fn port_number(written: u32) -> Option<u16> {
    u16::try_from(written).ok().filter(|&number| number > 0)
}

/// Whether a resource of namespace `own` with these `exportTo` values is seen by clients of namespace `client`.
pub(super) fn is_visible(export_to: &BTreeSet<&str>, own: &str, client: &str) -> bool {
    export_to.is_empty()
        || export_to.contains("*")
        || export_to.contains(client)
        || (own == client && export_to.contains("."))
}
