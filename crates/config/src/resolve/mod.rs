//! From resources to the [`Snapshot`] that one proxy runs: services, the rules that apply to them, clusters, routes.
//!
//! Precedence and translation are Istio's. Each step is a module: [`registry`] lists the services, [`rule_index`] chooses
//! their rules, [`destination_rule`] combines a rule's blocks, [`cluster`] translates them, [`route`] names the ways in.
//! Reading files is left to `load`, opinions on rules to `analyze`, and what serves while resources are broken to whoever
//! calls.

mod addresses;
mod circuit_breaker;
mod circuit_breaker_sense;
mod cluster;
mod connection_pool;
pub(crate) mod destination_policy;
mod destination_rule;
mod failures;
mod fixed;
mod host_table;
pub(crate) mod hostname;
mod kubernetes;
pub(crate) mod labels;
pub(crate) mod layers;
mod outlier;
mod outlier_policy;
mod outlier_sense;
mod pods;
pub(crate) mod protocol;
pub(crate) mod registry;
mod route;
pub(crate) mod rule_index;
mod service_entry;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_snapshot::{Cluster, HttpSettings, Listener, ListenerTarget, RouteConfig, Snapshot};

use self::circuit_breaker::BreakerIndex;
use self::destination_policy::PolicyIndex;
use self::fixed::FixedPlan;
use self::protocol::Protocol;
use self::registry::Service;
use self::route::RouteTable;
use self::rule_index::RuleIndex;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::listen::{Destination, ListenPlan};
use crate::set::ResourceSet;
use crate::workload::Workload;

/// Bound of a whole exchange; `None`: off.
type Timeout = Option<Duration>;

/// What to do about a port whose protocol is not carried.
const SAY_HTTP: &str =
    "if it speaks HTTP/1.1 too, name the port http or http-something, or write appProtocol: http";

/// What a proxy for `workload` runs, and what is wrong with or missing from the resources. Always a complete snapshot: a
/// problem leaves out only what it is about.
///
/// A request whose `Host` names no service gets no route (404, flag NR): a stand-alone proxy knows no original destination
/// to pass it on to, and guessing one from `Host` would make it an open relay.
pub fn resolve(
    resources: &ResourceSet,
    workload: &Workload,
    plan: &ListenPlan,
    version: u64,
) -> (Snapshot, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let (clusters, routes) = match &plan.destination {
        Destination::ByHost => by_host(resources, workload, plan.timeout, &mut diagnostics),
        Destination::Fixed { to, host } => {
            fixed(resources, workload, (to, host.as_deref()), plan.timeout, &mut diagnostics)
        }
    };
    let clusters = clusters.into_iter().map(Arc::new).collect();
    let snapshot = Snapshot::new(version, listeners(&plan.listen), vec![Arc::new(routes)], clusters);
    let snapshot = snapshot.unwrap_or_else(|dangling| {
        diagnostics.push(Diagnostic::new(Code::Inconsistent, dangling.to_string()));
        Snapshot::default()
    });
    (snapshot, without_repetition(diagnostics))
}

fn by_host(
    resources: &ResourceSet,
    workload: &Workload,
    default_timeout: Timeout,
    diagnostics: &mut Diagnostics,
) -> (Vec<Cluster>, RouteConfig) {
    let services = registry::services(resources, workload, diagnostics);
    let rules = RuleIndex::new(&resources.destination_rules, workload);
    let policies = PolicyIndex::new(&resources.destination_policies, workload, diagnostics);
    destination_policy::report_unknown_hosts(
        &resources.destination_policies,
        &services,
        workload,
        diagnostics,
    );
    let breakers = BreakerIndex::new(&resources.circuit_breakers, workload, diagnostics);
    breakers.report_unknown(&services, &rules, diagnostics);
    let mut clusters = Vec::new();
    let mut ways_in = Vec::new();
    for service in &services {
        report_protocols(service, diagnostics);
        let rule = rules.choose(&service.host, &service.namespace, workload);
        for port in &service.ports {
            let own = policies.of(&service.host, &service.namespace, port.number);
            let mut made = cluster::of_port(service, port, rule, &own, diagnostics);
            let timeout = own.timeout().map_or(default_timeout, |(timeout, _)| timeout);
            for cluster in &mut made {
                cluster.breaker = breakers.breaker(&cluster.service, timeout, diagnostics);
            }
            if port.protocol.is_http() {
                ways_in.extend(made.first().map(|default| (service, port, default.name.clone(), timeout)));
            }
            clusters.extend(made);
        }
    }
    outlier_sense::report_without_detection(
        &resources.destination_policies,
        &clusters,
        workload,
        diagnostics,
    );
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    clusters.dedup_by(|a, b| a.name == b.name);
    let mut table = RouteTable::new();
    for (service, port, cluster, timeout) in ways_in {
        if let Ok(index) = clusters.binary_search_by(|other| other.name.cmp(&cluster)) {
            table.add(service, port, (index, timeout), workload, diagnostics);
        }
    }
    (clusters, table.finish("outbound"))
}

fn fixed(
    resources: &ResourceSet,
    workload: &Workload,
    (to, host): (&[SocketAddr], Option<&str>),
    default_timeout: Timeout,
    diagnostics: &mut Diagnostics,
) -> (Vec<Cluster>, RouteConfig) {
    // Addresses are given, so that what is said about those in the resources would only confuse.
    let services = registry::services(resources, workload, &mut Diagnostics::new());
    let rules = RuleIndex::new(&resources.destination_rules, workload);
    let policies = PolicyIndex::new(&resources.destination_policies, workload, diagnostics);
    let breakers = BreakerIndex::new(&resources.circuit_breakers, workload, diagnostics);
    let plan = FixedPlan {
        to,
        host,
        resources,
        services: &services,
        rules: &rules,
        policies: &policies,
        breakers: &breakers,
        workload,
    };
    let (cluster, timeout) = plan.cluster(default_timeout, diagnostics);
    outlier_sense::report_without_detection(
        &resources.destination_policies,
        std::slice::from_ref(&cluster),
        workload,
        diagnostics,
    );
    let mut table = RouteTable::new();
    table.add_any(&format!("{}:{}", cluster.service.host, cluster.service.port), 0, timeout);
    (vec![cluster], table.finish("fixed"))
}

/// What is not spoken yet. Such ports have clusters all the same: their limits can be looked at.
fn report_protocols(service: &Service, diagnostics: &mut Diagnostics) {
    let numbers = |wanted: Protocol| {
        let ports = service.ports.iter().filter(|port| port.protocol == wanted);
        ports.map(|port| port.number.to_string()).collect::<Vec<_>>().join(", ")
    };
    let opaque = numbers(Protocol::Opaque);
    if !opaque.is_empty() {
        let message =
            format!("TCP is not carried yet: no requests are accepted for {}, port {opaque}", service.host);
        diagnostics.push(service.diagnostic(Code::TcpNotCarried, message).help(SAY_HTTP));
    }
    let http2 = numbers(Protocol::Http2);
    if !http2.is_empty() {
        let message = format!("HTTP/2 is not spoken yet: {}, port {http2}, gets HTTP/1.1", service.host);
        diagnostics.push(service.diagnostic(Code::Http2NotSpoken, message).help(SAY_HTTP));
    }
    let http = service.ports.iter().filter(|port| port.protocol.is_http()).count();
    if http > 1 && service.default_port().is_none() {
        let message =
            format!("several HTTP ports, none of them 80: requests to {} must name the port", service.host);
        diagnostics.push(
            service.diagnostic(Code::PortMustBeNamed, message).help("nothing to do, if all callers do so"),
        );
    }
}

/// One listener for each address, named as Istio names them: `127.0.0.1_9000`.
fn listeners(addresses: &[SocketAddr]) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for &address in addresses {
        let same = listeners.iter().filter(|listener| listener.address == address).count();
        let base = format!("{}_{}", address.ip(), address.port());
        // Only with port 0 does the same address twice make two sockets.
        let name = if same == 0 { base } else { format!("{base}#{}", same + 1) };
        listeners.push(Listener {
            name: name.into(),
            address,
            target: ListenerTarget::Routes(0),
            http: HttpSettings::default(),
        });
    }
    listeners
}

/// The same problem is met once for each port and subset that it concerns.
fn without_repetition(diagnostics: Diagnostics) -> Diagnostics {
    let mut seen = BTreeSet::new();
    let mut distinct = Diagnostics::new();
    distinct.extend(diagnostics.into_iter().filter(|diagnostic| {
        let place = diagnostic.at.as_ref().map(|place| (place.source.path.clone(), place.span));
        seen.insert((diagnostic.code, place, diagnostic.message.clone()))
    }));
    distinct
}
