//! Routing tables: which `Host` leads to which cluster. Every service port that speaks HTTP is one virtual host; a name
//! that two of them claim stays with the first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::limit::Priority;
use fuseboard_core::retry::RetryPolicy;
use fuseboard_snapshot::{Domain, Route, RouteConfig, VirtualHost};

use super::registry::{Port, Registry, Service};
use crate::diagnostic::{Code, Diagnostics};
use crate::workload::Workload;

/// A routing table in the making.
pub(super) struct RouteTable {
    virtual_hosts: Vec<VirtualHost>,
    /// Who has which domain.
    owners: HashMap<Domain, Arc<str>>,
    retry: Arc<RetryPolicy>,
}

impl RouteTable {
    /// One without routes.
    pub(super) fn new() -> Self {
        Self {
            virtual_hosts: Vec::new(),
            owners: HashMap::new(),
            retry: Arc::new(RetryPolicy::istio_default()),
        }
    }

    /// Leads requests for `port` of `service` to `cluster`, by all names that a client in the workload's namespace may use.
    pub(super) fn add(
        &mut self,
        service: &Service,
        port: &Port,
        (cluster, timeout): (usize, Option<Duration>),
        workload: &Workload,
        diagnostics: &mut Diagnostics,
    ) {
        let name: Arc<str> = format!("{}:{}", service.host, port.number).into();
        let mut own = Vec::new();
        let mut taken: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
        for spelling in spellings(service, port, workload) {
            let owner = self.owners.entry(domain(&spelling)).or_insert_with(|| name.clone());
            if *owner == name {
                own.push(spelling);
            } else {
                taken.entry(owner.clone()).or_default().push(spelling);
            }
        }
        for (owner, spellings) in taken {
            let spellings = spellings.join(", ");
            let message = format!("names that belong to {owner} and so do not lead to {name}: {spellings}");
            let help = own.first().map_or_else(
                || "give one of the two another host".to_owned(),
                |free| format!("call this one {free}, or give one of the two another host"),
            );
            diagnostics.push(service.diagnostic(Code::NameTaken, message).help(help));
        }
        let domains = own.iter().map(|spelling| domain(spelling)).collect();
        self.virtual_hosts.push(VirtualHost { name, domains, route: self.route(cluster, timeout) });
    }

    /// Leads every request to `cluster`.
    pub(super) fn add_any(&mut self, name: &str, cluster: usize, timeout: Option<Duration>) {
        let route = self.route(cluster, timeout);
        self.virtual_hosts.push(VirtualHost { name: name.into(), domains: vec![Domain::Any], route });
    }

    /// The table.
    pub(super) fn finish(self, name: &str) -> RouteConfig {
        RouteConfig { name: name.into(), virtual_hosts: self.virtual_hosts }
    }

    fn route(&self, cluster: usize, timeout: Option<Duration>) -> Route {
        Route {
            name: "default".into(),
            cluster,
            timeout,
            retry: Some(self.retry.clone()),
            priority: Priority::Default,
        }
    }
}

/// All names of a port of a service: without a port where it is the one that is meant then, and with it.
fn spellings(service: &Service, port: &Port, workload: &Workload) -> Vec<String> {
    let is_default = service.default_port() == Some(port.number);
    let forms = forms(service, workload).into_iter();
    forms
        .flat_map(|form| {
            let with_port = format!("{form}:{}", port.number);
            is_default.then_some(form).into_iter().chain([with_port])
        })
        .collect()
}

/// The names of a service, without ports: as Istio's domains for it.
fn forms(service: &Service, workload: &Workload) -> Vec<String> {
    if service.registry == Registry::ServiceEntry {
        return vec![service.host.to_lowercase()];
    }
    let (name, namespace, host) = (&service.name, &service.namespace, &service.host);
    let mut forms = vec![host.to_string(), format!("{host}.")];
    if *namespace == workload.namespace {
        forms.push(name.to_string());
    }
    forms.extend([format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")]);
    forms.extend(service.addresses.iter().map(|address| match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }));
    forms
}

fn domain(spelling: &str) -> Domain {
    match spelling.strip_prefix('*') {
        Some(suffix) => Domain::Suffix(suffix.into()),
        None => Domain::Exact(spelling.into()),
    }
}
