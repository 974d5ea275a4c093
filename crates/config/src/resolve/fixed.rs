//! The plan in front of one service, whatever `Host` says: which name the service gets, and with it which rules.
//!
//! With a name given, rules are found by it. Without, the rules say it: if all of them name one host, that is the one.
//! The cluster is called by that name, so that its statistics are found by the name that the rule has.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use fuseboard_snapshot::{
    Cluster, ClusterBreaker, Endpoint, EndpointHealth, EndpointId, Locality, ServiceName, TcpProxy,
};

use super::circuit_breaker::BreakerIndex;
use super::client_tls::TlsSource;
use super::destination_policy::{Policies, PolicyIndex};
use super::destination_rule::Effective;
use super::fallback::FallbackIndex;
use super::protocol::Protocol;
use super::registry::Service;
use super::rule_index::{MergedRule, RuleIndex};
use super::{Timeout, cluster, hostname, layers, tcp};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::listen::Takes;
use crate::set::ResourceSet;
use crate::workload::Workload;

/// What the cluster is made from.
pub(super) struct FixedPlan<'p, 'a> {
    pub(super) to: &'p [SocketAddr],
    pub(super) host: Option<&'p str>,
    pub(super) takes: Takes,
    pub(super) resources: &'a ResourceSet,
    pub(super) services: &'p [Service<'a>],
    pub(super) rules: &'p RuleIndex<'a>,
    pub(super) policies: &'p PolicyIndex<'a>,
    pub(super) breakers: &'p BreakerIndex<'a>,
    pub(super) fallbacks: &'p FallbackIndex<'a>,
    pub(super) workload: &'p Workload,
}

impl<'a> FixedPlan<'_, 'a> {
    /// The cluster of the given addresses, the bound of its route, what becomes of TCP connections to it, and the name by which
    /// rules are found for it.
    pub(super) fn cluster(
        &self,
        default_timeout: Timeout,
        diagnostics: &mut Diagnostics,
    ) -> (Cluster, Timeout, TcpProxy, ServiceName) {
        let host = self.host(diagnostics);
        let kubernetes =
            host.as_deref().and_then(|host| hostname::split_kubernetes(host, &self.workload.domain_suffix));
        let service = self.services.iter().find(|service| host.as_ref() == Some(&service.host));
        let namespace: Arc<str> = match (service, kubernetes) {
            (Some(service), _) => service.namespace.clone(),
            (None, Some((_, namespace))) => namespace.into(),
            (None, None) => self.workload.namespace.clone(),
        };
        let own_port = self.to.first().map_or(0, SocketAddr::port);
        let default_port = |service: &Service<'_>| {
            if self.takes == Takes::Bytes { service.tcp_port(own_port) } else { service.default_port() }
        };
        let port = service.and_then(default_port).unwrap_or(own_port);
        let rule = host.as_deref().and_then(|host| self.rule(host, &namespace, diagnostics));
        let policies = host.as_deref().map(|host| self.policies(host, &namespace, port, diagnostics));
        let policies = policies.unwrap_or_default();
        let label: Arc<str> = match &host {
            Some(host) if !hostname::is_wildcard(host) => host.clone(),
            _ => self.to.first().map_or_else(|| "nowhere".into(), |to| to.ip().to_string().into()),
        };
        let name = ServiceName {
            name: kubernetes.map_or_else(|| label.clone(), |(name, _)| name.into()),
            host: label,
            port,
            namespace,
            subset: "".into(),
        };
        let declared = service.and_then(|service| service.ports.iter().find(|known| known.number == port));
        // An address that no service declares has HTTP/1.1, as long as no rule says otherwise: what a client speaks to a proxy
        // in front of a server says little of what the server understands.
        let undeclared = match self.takes {
            Takes::Http1 | Takes::Either => Protocol::Http,
            Takes::Http2 => Protocol::Http2,
            Takes::Bytes => Protocol::Opaque,
        };
        let protocol = declared.map_or(undeclared, |port| port.protocol);
        let settings = Effective::of_port(rule.and_then(|rule| rule.policy.as_ref()), port);
        let timeout = policies.timeout().map_or(default_timeout, |(timeout, _)| timeout);
        let named = host.as_deref().filter(|host| !hostname::is_wildcard(host));
        let tls = TlsSource { resources: self.resources, workload: self.workload, host: named };
        let mut cluster = cluster::build(
            (name, protocol),
            self.endpoints(),
            rule,
            &settings,
            (&policies, tls),
            diagnostics,
        );
        let Some(host) = host else {
            let name = cluster.service.clone();
            return (cluster, timeout, tcp::proxy(0, rule), name);
        };
        let name = ServiceName { host, ..cluster.service.clone() };
        cluster.breaker = self.breaker(&name, timeout, cluster.endpoints.len(), diagnostics);
        if self.takes != Takes::Bytes && !self.resources.fallbacks.is_empty() && !self.fallbacks.is_for(&name)
        {
            let message = format!("no Fallback applies to {}, port {}", name.host, name.port);
            let help = "compare the fallback's host, port and subset with --host and --namespace";
            diagnostics.push(Diagnostic::new(Code::NoRuleForHost, message).help(help));
        }
        if self.takes == Takes::Bytes {
            tcp::without_slow_calls(&mut cluster, diagnostics);
        } else {
            tcp::report_shared(&cluster, rule, diagnostics);
        }
        (cluster, timeout, tcp::proxy(0, rule), name)
    }

    /// The name by which rules are found.
    fn host(&self, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
        let suffix = &self.workload.domain_suffix;
        if let Some(given) = self.host {
            return Some(hostname::expand(given, &self.workload.namespace, suffix));
        }
        let rules = self.resources.destination_rules.iter();
        let policies = self.resources.destination_policies.iter();
        let breakers = self.resources.circuit_breakers.iter();
        let fallbacks = self.resources.fallbacks.iter();
        let named: BTreeSet<Arc<str>> = rules
            .map(|rule| hostname::expand(&rule.spec.host, &rule.id.namespace, suffix))
            .chain(policies.map(|policy| layers::host(policy, self.workload)))
            .chain(breakers.map(|breaker| layers::host(breaker, self.workload)))
            .chain(fallbacks.map(|fallback| layers::host(fallback, self.workload)))
            .collect();
        // A wildcard beside the one name is for it too.
        let (wildcards, exact): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|host| hostname::is_wildcard(host));
        let candidates = if exact.is_empty() { wildcards } else { exact };
        if candidates.len() > 1 {
            let list = candidates.join(", ");
            let message = format!("the rules are for several hosts, so that none is applied: {list}");
            diagnostics.push(
                Diagnostic::new(Code::HostUnclear, message).help("say with --host which one the address is"),
            );
            return None;
        }
        candidates.into_iter().next()
    }

    /// The rule as a client of the workload's namespace sees it. If the name came from the rules themselves, one that only
    /// its own namespace sees counts too: the client is then taken to be in that namespace.
    fn rule(&self, host: &str, namespace: &str, diagnostics: &mut Diagnostics) -> Option<&MergedRule<'a>> {
        let seen = self.rules.choose(host, namespace, self.workload);
        let rules = &self.resources.destination_rules;
        if seen.is_some() || rules.is_empty() {
            return seen;
        }
        let in_its_own = || {
            rules.iter().find_map(|rule| {
                let workload = Workload { namespace: rule.id.namespace.clone(), ..self.workload.clone() };
                self.rules.choose(host, namespace, &workload)
            })
        };
        let found = self.host.is_none().then(in_its_own).flatten();
        if found.is_none() {
            let message =
                format!("no DestinationRule applies to {host}: it has no limits and no outlier detection");
            diagnostics.push(
                Diagnostic::new(Code::NoRuleForHost, message)
                    .help("compare the rule's host, exportTo and workloadSelector with --host, --namespace and --labels"),
            );
        }
        found
    }

    /// What `DestinationPolicy`s say, seen from the workload's namespace.
    fn policies(
        &self,
        host: &str,
        namespace: &str,
        port: u16,
        diagnostics: &mut Diagnostics,
    ) -> Policies<'a> {
        let found = self.policies.of(host, namespace, port);
        if found.layers.is_empty() && !self.resources.destination_policies.is_empty() {
            let message = format!("no DestinationPolicy applies to {host}, port {port}");
            let help = "compare the policy's host and port with --host and --namespace";
            diagnostics.push(Diagnostic::new(Code::NoRuleForHost, message).help(help));
        }
        found
    }

    /// What `CircuitBreaker`s say, seen from the workload's namespace.
    fn breaker(
        &self,
        name: &ServiceName,
        timeout: Timeout,
        endpoints: usize,
        diagnostics: &mut Diagnostics,
    ) -> Option<ClusterBreaker> {
        let breaker = self.breakers.breaker(name, timeout, endpoints, diagnostics);
        if breaker.is_none() && !self.resources.circuit_breakers.is_empty() {
            let message = format!("no CircuitBreaker applies to {}, port {}", name.host, name.port);
            let help = "compare the breaker's host, port and subset with --host and --namespace";
            diagnostics.push(Diagnostic::new(Code::NoRuleForHost, message).help(help));
        }
        breaker
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        self.to
            .iter()
            .map(|&address| Endpoint {
                id: EndpointId::new("", address),
                address,
                weight: NonZeroU32::MIN,
                health: EndpointHealth::Healthy,
                hostname: "".into(),
                node: "".into(),
                locality: Locality::default(),
            })
            .collect()
    }
}
