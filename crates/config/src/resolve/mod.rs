//! From resources to the [`Snapshot`] that one proxy runs: services, the rules that apply to them, clusters, routes.
//!
//! Precedence and translation are Istio's. Each step is a module: [`registry`] lists the services, [`rule_index`] chooses
//! their rules, [`destination_rule`] combines a rule's blocks, [`cluster`] translates them, [`route`] names the ways in.
//! Reading files is left to `load`, opinions on rules to `analyze`, and what serves while resources are broken to whoever
//! calls.

mod addresses;
mod circuit_breaker;
mod circuit_breaker_sense;
mod client_tls;
mod cluster;
pub(crate) mod connection_pool;
pub(crate) mod destination_policy;
mod destination_rule;
mod failures;
mod fallback;
mod fallback_sense;
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
mod port_plan;
pub(crate) mod protocol;
pub(crate) mod registry;
mod route;
pub(crate) mod rule_index;
mod secret;
mod server_tls;
mod service_entry;
mod tcp;
mod unknown_target;
pub(crate) mod upstream_http;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_snapshot::{
    Cluster, HttpSettings, Listener, ListenerTarget, RouteConfig, ServiceName, Snapshot, TcpProxy,
};

use self::circuit_breaker::BreakerIndex;
use self::client_tls::TlsSource;
use self::destination_policy::{Policies, PolicyIndex};
use self::fallback::FallbackIndex;
use self::fixed::FixedPlan;
use self::port_plan::{Carried, PortPlan, WayIn};
use self::protocol::Protocol;
use self::registry::{Port, Service};
use self::route::RouteTable;
use self::rule_index::{MergedRule, RuleIndex};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::listen::{Destination, ListenPlan, Takes};
use crate::material::Materials;
use crate::set::ResourceSet;
use crate::workload::Workload;

/// Bound of a whole exchange; `None`: off.
type Timeout = Option<Duration>;

/// What to do about a port whose protocol is not carried.
const SAY_HTTP: &str = "if it speaks HTTP, say which in its name or appProtocol: http, http2 or grpc";

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
    let Resolved { clusters, routes, mut listeners, mut secure } = match &plan.destination {
        Destination::ByHost => by_host(resources, workload, plan, &mut diagnostics),
        Destination::Fixed { to, host, takes } => {
            fixed(resources, workload, (to, host.as_deref(), *takes), plan, &mut diagnostics)
        }
    };
    let clusters = clusters.into_iter().map(Arc::new).collect();
    for listener in &mut listeners {
        listener.http.refusal_headers = plan.refusal_headers;
        listener.http.upgrade_idle_timeout = plan.upgrade_idle_timeout;
        listener.accept_proxy = plan.accept_proxy;
    }
    secure.extend(plan.tls.iter().flat_map(|tls| &tls.listeners));
    let listeners = secured(listeners, &secure, plan, &resources.materials, &mut diagnostics);
    let routes = routes.into_iter().map(Arc::new).collect();
    let snapshot = Snapshot::new(version, listeners, routes, clusters);
    let snapshot = snapshot.unwrap_or_else(|dangling| {
        diagnostics.push(Diagnostic::new(Code::Inconsistent, dangling.to_string()));
        Snapshot::default()
    });
    (snapshot, without_repetition(diagnostics))
}

/// What makes a snapshot.
struct Resolved {
    clusters: Vec<Cluster>,
    routes: Vec<RouteConfig>,
    listeners: Vec<Listener>,
    /// Positions in `listeners`, behind those of the plan, that have TLS.
    secure: BTreeSet<usize>,
}

fn by_host(
    resources: &ResourceSet,
    workload: &Workload,
    plan: &ListenPlan,
    diagnostics: &mut Diagnostics,
) -> Resolved {
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
    let port_plan = PortPlan::new(&plan.ports, &services, workload, diagnostics);
    let fallbacks = FallbackIndex::new(&resources.fallbacks, workload, diagnostics);
    fallbacks.report_unknown(&services, &rules, diagnostics);
    let mut clusters = Vec::new();
    let (mut ways_in, mut own_ways_in) = (Vec::new(), Vec::new());
    for service in &services {
        report_protocols(service, &port_plan, diagnostics);
        let rule = rules.choose(&service.host, &service.namespace, workload);
        for port in &service.ports {
            let own = policies.of(&service.host, &service.namespace, port.number);
            let tls = TlsSource { resources, workload, host: None };
            let timeout = own.timeout().map_or(plan.timeout, |(timeout, _)| timeout);
            let mut made = of_port(service, port, rule, (&own, timeout, tls), &breakers, diagnostics);
            if port_plan.carries(service, port) {
                tcp::report(service, port, rule, &own, diagnostics);
                for cluster in &mut made {
                    tcp::without_slow_calls(cluster, diagnostics);
                }
            } else {
                for cluster in &made {
                    tcp::report_shared(cluster, rule, diagnostics);
                }
            }
            for way_in in port_plan.openable(service, port, diagnostics) {
                own_ways_in
                    .extend(made.first().map(|default| (way_in, default.name.clone(), (rule, timeout))));
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
    let names: Vec<_> = clusters.iter().map(|cluster| cluster.service.clone()).collect();
    fallbacks.attach(&mut clusters, &names, &services, diagnostics);
    destination_policy::report_unanswered(&policies, &clusters, &names, diagnostics);
    let mut table = RouteTable::new();
    for (service, port, cluster, timeout) in ways_in {
        if let Ok(index) = clusters.binary_search_by(|other| other.name.cmp(&cluster)) {
            table.add(service, port, (index, timeout), workload, diagnostics);
        }
    }
    let mut made = Resolved {
        clusters,
        routes: vec![table.finish("outbound")],
        listeners: listeners(plan.listen.iter().map(|&address| (address, ListenerTarget::Routes(0)))),
        secure: BTreeSet::new(),
    };
    for own in own_ways_in {
        made.add(&own, plan.detection_timeout);
    }
    made
}

/// An address of a port, its cluster, and what the rule and policies say of its connections and requests.
type OwnWayIn<'p, 'r, 'a> = (WayIn<'p>, Arc<str>, (Option<&'r MergedRule<'a>>, Timeout));

impl Resolved {
    /// A listener for one port alone.
    fn add(&mut self, (way_in, cluster, (rule, timeout)): &OwnWayIn<'_, '_, '_>, patience: Duration) {
        let Ok(index) = self.clusters.binary_search_by(|other| other.name.cmp(cluster)) else { return };
        let table = self.own_table(way_in.carried, (index, *timeout));
        let target = way_in.carried.target(table, tcp::proxy(index, *rule), patience);
        self.secure.extend(way_in.listen.tls.then_some(self.listeners.len()));
        add_listener(&mut self.listeners, way_in.listen.address, target);
    }

    /// The table that leads all requests there whatever `Host` says, as Istio's for a service's own address. Without requests
    /// there is none.
    fn own_table(&mut self, carried: Carried, (cluster, timeout): (usize, Timeout)) -> usize {
        let service = &self.clusters[cluster].service;
        let name = format!("{}:{}", service.host, service.port);
        let known = self.routes.iter().position(|table| *table.name == *name);
        if carried == Carried::Bytes || known.is_some() {
            return known.unwrap_or(0);
        }
        let mut table = RouteTable::new();
        table.add_any(&name, cluster, timeout);
        self.routes.push(table.finish(&name));
        self.routes.len() - 1
    }
}

/// The clusters of a port with their breakers, the default one first.
fn of_port(
    service: &Service,
    port: &Port,
    rule: Option<&MergedRule>,
    (policies, timeout, tls): (&Policies<'_>, Timeout, TlsSource<'_>),
    breakers: &BreakerIndex<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Cluster> {
    let mut made = cluster::of_port(service, port, rule, policies, tls, diagnostics);
    for cluster in &mut made {
        let endpoints = cluster.endpoints.len();
        cluster.breaker = breakers.breaker(&cluster.service, timeout, endpoints, diagnostics);
    }
    made
}

fn fixed(
    resources: &ResourceSet,
    workload: &Workload,
    (to, host, takes): (&[SocketAddr], Option<&str>, Takes),
    listen: &ListenPlan,
    diagnostics: &mut Diagnostics,
) -> Resolved {
    // Addresses are given, so that what is said about those in the resources would only confuse.
    let services = registry::services(resources, workload, &mut Diagnostics::new());
    let rules = RuleIndex::new(&resources.destination_rules, workload);
    let policies = PolicyIndex::new(&resources.destination_policies, workload, diagnostics);
    let breakers = BreakerIndex::new(&resources.circuit_breakers, workload, diagnostics);
    let fallbacks = FallbackIndex::new(&resources.fallbacks, workload, diagnostics);
    let plan = FixedPlan {
        to,
        host,
        takes,
        resources,
        services: &services,
        rules: &rules,
        policies: &policies,
        breakers: &breakers,
        fallbacks: &fallbacks,
        workload,
    };
    let (cluster, timeout, proxy, name) = plan.cluster(listen.timeout, diagnostics);
    let bytes = takes == Takes::Bytes;
    let title = format!("{}:{}", cluster.service.host, cluster.service.port);
    outlier_sense::report_without_detection(
        &resources.destination_policies,
        std::slice::from_ref(&cluster),
        workload,
        diagnostics,
    );
    let mut clusters = vec![(cluster, name)];
    if !bytes {
        clusters.extend(stand_ins(&plan, &fallbacks, &clusters[0].1, listen.timeout, diagnostics));
    }
    // Of one name the one that was given comes first.
    let given = clusters[0].0.name.clone();
    clusters.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    clusters.dedup_by(|(a, _), (b, _)| a.name == b.name);
    let index = clusters.iter().position(|(cluster, _)| cluster.name == given).unwrap_or(0);
    let (mut clusters, names): (Vec<_>, Vec<_>) = clusters.into_iter().unzip();
    if !bytes {
        fallbacks.attach(&mut clusters, &names, &services, diagnostics);
    }
    destination_policy::report_unanswered(&policies, &clusters, &names, diagnostics);
    let mut table = RouteTable::new();
    table.add_any(&title, index, timeout);
    let proxy = TcpProxy { cluster: index, ..proxy };
    let target = Carried::by(takes).target(0, proxy, listen.detection_timeout);
    let listeners = listeners(listen.listen.iter().map(|&address| (address, target)));
    Resolved { clusters, routes: vec![table.finish("fixed")], listeners, secure: BTreeSet::new() }
}

/// The clusters that steps of fallbacks ask, beside the given one.
fn stand_ins(
    plan: &FixedPlan<'_, '_>,
    fallbacks: &FallbackIndex<'_>,
    given: &ServiceName,
    default_timeout: Timeout,
    diagnostics: &mut Diagnostics,
) -> Vec<(Cluster, ServiceName)> {
    let asked = fallbacks.asked(&given.host);
    let mut found = Vec::new();
    for service in plan.services.iter().filter(|service| asked.contains(&service.host)) {
        let rule = plan.rules.choose(&service.host, &service.namespace, plan.workload);
        for port in service.ports.iter().filter(|port| port.protocol.is_http()) {
            let own = plan.policies.of(&service.host, &service.namespace, port.number);
            let timeout = own.timeout().map_or(default_timeout, |(timeout, _)| timeout);
            let tls = TlsSource { resources: plan.resources, workload: plan.workload, host: None };
            let made = of_port(service, port, rule, (&own, timeout, tls), plan.breakers, diagnostics);
            found.extend(made.into_iter().map(|cluster| {
                let name = cluster.service.clone();
                (cluster, name)
            }));
        }
    }
    found
}

/// What nobody is served on as it is. Such ports have clusters all the same: their limits can be looked at.
fn report_protocols(service: &Service, plan: &PortPlan, diagnostics: &mut Diagnostics) {
    let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Opaque);
    let unserved = ports.filter(|port| plan.of(service, port).is_empty());
    let opaque: Vec<_> = unserved.map(|port| port.number.to_string()).collect();
    if let Some(first) = opaque.first() {
        let (host, ports) = (&service.host, opaque.join(", "));
        let message = format!("a TCP port has no address to listen on: nobody reaches {host}, port {ports}");
        let help = format!(
            "give it one, as --listen-tcp 127.0.0.1:{first}={host}:{first} of `fuseboard run`; {SAY_HTTP}"
        );
        diagnostics.push(service.diagnostic(Code::TcpNotListened, message).help(help));
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
fn listeners(wanted: impl Iterator<Item = (SocketAddr, ListenerTarget)>) -> Vec<Listener> {
    let mut listeners = Vec::new();
    wanted.for_each(|(address, target)| add_listener(&mut listeners, address, target));
    listeners
}

fn add_listener(listeners: &mut Vec<Listener>, address: SocketAddr, target: ListenerTarget) {
    let same = listeners.iter().filter(|listener| listener.address == address).count();
    let base = format!("{}_{}", address.ip(), address.port());
    // Only with port 0 does the same address twice make two sockets.
    let name = if same == 0 { base } else { format!("{base}#{}", same + 1) };
    let http = HttpSettings::default();
    listeners.push(Listener { name: name.into(), address, target, accept_proxy: false, tls: None, http });
}

/// With what flags say of TLS: the first listeners are those of the plan, in its order. One that is to have TLS (`secure`), and
/// for which there is none, is left out.
fn secured(
    mut listeners: Vec<Listener>,
    secure: &BTreeSet<usize>,
    plan: &ListenPlan,
    materials: &Materials,
    diagnostics: &mut Diagnostics,
) -> Vec<Listener> {
    for listener in &mut listeners {
        listener.http.forward_client_cert = plan.forward_client_cert;
    }
    let Some(tls) = &plan.tls else { return listeners };
    let policy = server_tls::policy(tls, materials, diagnostics);
    let mut position = 0;
    listeners.retain_mut(|listener| {
        let secure = secure.contains(&position);
        position += 1;
        if secure {
            listener.tls.clone_from(&policy);
        }
        !secure || policy.is_some()
    });
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
