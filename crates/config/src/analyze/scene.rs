//! What lints look at: rules, the services they are for, and each policy at the place where it is written.

use std::collections::HashMap;
use std::sync::Arc;

use fuseboard_api::fuseboard::destination_policy::OutlierSettings;
use fuseboard_api::istio::DestinationRule;
use fuseboard_api::istio::destination_rule::{
    ConnectionPool, LoadBalancer, OutlierDetection, PortTrafficPolicy, Subset, TrafficPolicy,
};
use fuseboard_api::istio::tls::ClientTls;
use fuseboard_api::kubernetes::Pod;
use fuseboard_api::{Span, Spanned};
use fuseboard_snapshot::UpstreamHttp;

use crate::diagnostic::Diagnostics;
use crate::resolve::destination_policy::PolicyIndex;
use crate::resolve::registry::{self, Backend, Port, Service};
use crate::resolve::{hostname, labels, upstream_http};
use crate::set::{Resource, ResourceSet};
use crate::workload::Workload;

/// A `DestinationRule` as read.
pub(super) type Rule = Resource<DestinationRule>;

/// All rules and services.
pub(super) struct Scene<'a> {
    pub(super) rules: &'a [Rule],
    pub(super) services: Vec<Service<'a>>,
    /// Positions of the services that have exactly this host.
    by_host: HashMap<Arc<str>, Vec<usize>>,
    pub(super) pods: &'a [Resource<Pod>],
    own: PolicyIndex<'a>,
    pub(super) workload: &'a Workload,
}

/// A policy at the place where it is written.
pub(super) struct Written<'a> {
    pub(super) rule: &'a Rule,
    /// Path of the policy: `spec.subsets[0].trafficPolicy`.
    pub(super) path: String,
    /// The subset it is for; `None`: the rule's own.
    pub(super) subset: Option<&'a Subset>,
    /// The port it is for.
    pub(super) scope: Scope<'a>,
    /// Where that is written, for an entry of `portLevelSettings`.
    pub(super) port: Option<Span>,
    pub(super) connection_pool: Option<&'a Spanned<ConnectionPool>>,
    pub(super) outlier_detection: Option<&'a Spanned<OutlierDetection>>,
    pub(super) load_balancer: Option<&'a Spanned<LoadBalancer>>,
    pub(super) tls: Option<&'a Spanned<ClientTls>>,
}

/// Which ports a policy is for.
pub(super) enum Scope<'a> {
    /// All but those with an entry of their own.
    AllBut(&'a [Spanned<PortTrafficPolicy>]),
    /// One.
    Port(u32),
}

/// What is spoken to a port under a policy.
pub(super) struct Spoken<'s> {
    pub(super) service: &'s Service<'s>,
    pub(super) port: &'s Port<'s>,
    pub(super) http: UpstreamHttp,
}

/// How many endpoints a policy applies to, and where.
pub(super) struct Reach<'s> {
    pub(super) service: &'s Service<'s>,
    pub(super) hosts: usize,
}

impl<'a> Scene<'a> {
    pub(super) fn new(resources: &'a ResourceSet, workload: &'a Workload) -> Self {
        // What is wrong with services, `resolve` says.
        let services = registry::services(resources, workload, &mut Diagnostics::new());
        let own = PolicyIndex::new(&resources.destination_policies, workload, &mut Diagnostics::new());
        let mut by_host: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (position, service) in services.iter().enumerate() {
            by_host.entry(Arc::clone(&service.host)).or_default().push(position);
        }
        Self { rules: &resources.destination_rules, services, by_host, pods: &resources.pods, own, workload }
    }

    /// The full host of a rule.
    pub(super) fn host(&self, rule: &Rule) -> Arc<str> {
        hostname::expand(&rule.spec.host, &rule.id.namespace, &self.workload.domain_suffix)
    }

    /// The services that a rule's host names. Only a wildcard has to look at all of them.
    pub(super) fn services_of(&self, rule: &Rule) -> impl Iterator<Item = &Service<'a>> {
        let host = self.host(rule);
        let (named, all) = if hostname::is_wildcard(&host) {
            (&[][..], &self.services[..])
        } else {
            (self.by_host.get(&host).map_or(&[][..], Vec::as_slice), &[][..])
        };
        let named = named.iter().map(|position| &self.services[*position]);
        named.chain(all.iter().filter(move |service| hostname::covers(&host, &service.host)))
    }

    /// Whether a `DestinationPolicy` for a port of `service` completes its outlier detection so that `says` holds.
    pub(super) fn is_completed(&self, service: &Service<'_>, says: fn(&OutlierSettings) -> bool) -> bool {
        service.ports.iter().any(|port| {
            let policies = self.own.of(&service.host, &service.namespace, port.number);
            let mut blocks = policies.layers.iter().filter_map(|layer| layer.spec.outlier_detection.as_ref());
            blocks.any(|block| says(block))
        })
    }

    /// Whether a `DestinationPolicy` says for each port of `service` what happens while nobody is healthy.
    pub(super) fn says_when_none_healthy(&self, service: &Service<'_>) -> bool {
        service.ports.iter().all(|port| {
            self.own.of(&service.host, &service.namespace, port.number).when_none_healthy().is_some()
        })
    }

    /// All policies of all rules.
    pub(super) fn policies(&self) -> impl Iterator<Item = Written<'a>> {
        self.rules.iter().flat_map(policies)
    }

    /// What is spoken to each HTTP port that `policy` is for.
    pub(super) fn spoken(&self, policy: &Written<'_>) -> Vec<Spoken<'_>> {
        let pool = policy.connection_pool.map(|pool| &pool.value);
        let mut found = Vec::new();
        for service in self.services_of(policy.rule) {
            let ports = service.ports.iter().filter(|port| policy.scope.includes(port));
            found.extend(ports.filter(|port| port.protocol.is_http()).map(|port| {
                let http = upstream_http::of_port(port.protocol, pool);
                Spoken { service, port, http }
            }));
        }
        found
    }

    /// The endpoints that the clusters of `policy` have, for each service it applies to; of several ports the one with the
    /// most. Services without known endpoints are left out.
    pub(super) fn reach(&self, policy: &Written<'_>) -> Vec<Reach<'_>> {
        self.services_of(policy.rule)
            .filter_map(|service| {
                let ports = service.ports.iter().filter(|port| policy.scope.includes(port));
                let hosts = ports.map(|port| endpoints_of(port, policy.subset)).max()?;
                (hosts > 0).then_some(Reach { service, hosts })
            })
            .collect()
    }
}

impl Scope<'_> {
    pub(super) fn includes(&self, port: &Port<'_>) -> bool {
        let number = u32::from(port.number);
        match self {
            Self::Port(own) => *own == number,
            Self::AllBut(entries) => !entries.iter().any(|entry| port_of(entry) == Some(number)),
        }
    }
}

/// Endpoints of a port that belong to `subset`.
fn endpoints_of(port: &Port<'_>, subset: Option<&Subset>) -> usize {
    let Some(subset) = subset else { return port.backends.len() };
    port.backends.iter().filter(|backend| selects(subset, backend) == Some(true)).count()
}

/// Whether `subset` has `backend`; `None`: nobody knows, because the labels of the pod are not known.
pub(super) fn selects(subset: &Subset, backend: &Backend<'_>) -> Option<bool> {
    let selector = labels::plain(subset.labels.as_ref());
    if selector.is_empty() {
        return Some(true);
    }
    let own = backend.labels.as_ref()?;
    Some(labels::matches(&selector, |key| own.get(key).copied()))
}

/// Number of the port that an entry of `portLevelSettings` is for.
pub(super) fn port_of(entry: &PortTrafficPolicy) -> Option<u32> {
    entry.port.as_ref()?.number.map(|number| number.value)
}

fn policies(rule: &Rule) -> Vec<Written<'_>> {
    let mut found = Vec::new();
    if let Some(policy) = &rule.spec.traffic_policy {
        add(&mut found, rule, "spec.trafficPolicy", None, policy);
    }
    for (index, subset) in rule.spec.subsets.iter().flat_map(|subsets| subsets.iter().enumerate()) {
        if let Some(policy) = &subset.traffic_policy {
            let path = format!("spec.subsets[{index}].trafficPolicy");
            add(&mut found, rule, &path, Some(subset), policy);
        }
    }
    found
}

fn add<'a>(
    found: &mut Vec<Written<'a>>,
    rule: &'a Rule,
    path: &str,
    subset: Option<&'a Subset>,
    policy: &'a TrafficPolicy,
) {
    let entries = policy.port_level_settings.as_ref().map_or(&[][..], |entries| &entries.value);
    found.push(Written {
        rule,
        path: path.to_owned(),
        subset,
        scope: Scope::AllBut(entries),
        port: None,
        connection_pool: policy.connection_pool.as_ref(),
        outlier_detection: policy.outlier_detection.as_ref(),
        load_balancer: policy.load_balancer.as_ref(),
        tls: policy.tls.as_ref(),
    });
    for (index, entry) in entries.iter().enumerate() {
        let Some(number) = port_of(entry) else { continue };
        found.push(Written {
            rule,
            path: format!("{path}.portLevelSettings[{index}]"),
            subset,
            scope: Scope::Port(number),
            port: entry.port.as_ref().and_then(|port| port.number).map(|number| number.span),
            connection_pool: entry.connection_pool.as_ref(),
            outlier_detection: entry.outlier_detection.as_ref(),
            load_balancer: entry.load_balancer.as_ref(),
            tls: entry.tls.as_ref(),
        });
    }
}
