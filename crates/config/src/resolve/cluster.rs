//! Clusters of a service: one for each port, one more for each subset. Puts together what the modules of the single blocks
//! make of a rule, and remembers where each setting was written.

use std::collections::BTreeSet;

use fuseboard_api::istio::destination_rule::{LoadBalancer, SimpleLb};
use fuseboard_core::balance::{LbPolicy, NoneHealthy};
use fuseboard_snapshot::{Availability, Cluster, Endpoint, EndpointHealth, Provenance, ServiceName, Setting};

use super::client_tls::{self, Security, TlsSource};
use super::destination_policy::Policies;
use super::destination_rule::{Effective, SubsetAt};
use super::labels::{self, Labels};
use super::protocol::Protocol;
use super::registry::{Backend, Port, Service};
use super::rule_index::MergedRule;
use super::{connection_pool, outlier, outlier_policy, outlier_sense, tcp, upstream_http};
use crate::diagnostic::{Code, Diagnostics};

/// The clusters of `port`: the default one first, then one for each subset of the rule.
pub(super) fn of_port(
    service: &Service,
    port: &Port,
    rule: Option<&MergedRule>,
    policies: &Policies<'_>,
    tls: TlsSource<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Cluster> {
    let name = |subset: &str| ServiceName {
        host: service.host.clone(),
        port: port.number,
        name: service.name.clone(),
        namespace: service.namespace.clone(),
        subset: subset.into(),
    };
    let settings = Effective::of_port(rule.and_then(|rule| rule.policy.as_ref()), port.number);
    let all = port.backends.iter().map(|backend| backend.endpoint.clone()).collect();
    let mut clusters =
        vec![build((name(""), port.protocol), all, rule, &settings, (policies, tls), diagnostics)];
    for subset in rule.into_iter().flat_map(|rule| &rule.subsets) {
        let selector = labels::plain(subset.subset.labels.as_ref());
        report_unlabelled(subset, port, diagnostics);
        let chosen = port.backends.iter().filter(|backend| backend.has(&selector));
        let endpoints = chosen.map(|backend| backend.endpoint.clone()).collect();
        let settings = settings.of_subset(subset, port.number);
        clusters.push(build(
            (name(&subset.subset.name), port.protocol),
            endpoints,
            rule,
            &settings,
            (policies, tls),
            diagnostics,
        ));
    }
    clusters
}

/// Says so where endpoints are left out of `subset` because nothing tells their labels.
fn report_unlabelled(subset: &SubsetAt, port: &Port, diagnostics: &mut Diagnostics) {
    let asks = subset.subset.labels.as_ref().is_some_and(|labels| !labels.value.is_empty());
    let unknown = port.backends.iter().filter(|backend| backend.labels.is_none()).count();
    if asks && unknown > 0 {
        let all = port.backends.len();
        let name = &subset.subset.name;
        let message = format!(
            "{unknown} of {all} endpoints are not in subset {}: their labels are unknown",
            name.value
        );
        diagnostics.push(
            subset
                .rule
                .diagnostic(Code::SubsetLabelsUnknown, name.span, message)
                .field(format!("{}.name", subset.path()))
                .help("add the Pods of the service, which have the labels"),
        );
    }
}

/// The cluster called `service` of a port of this protocol, with the blocks in force for it. Its breaker, which is not the rule's, comes later.
pub(super) fn build(
    (service, protocol): (ServiceName, Protocol),
    mut endpoints: Vec<Endpoint>,
    rule: Option<&MergedRule>,
    settings: &Effective,
    (policies, tls): (&Policies<'_>, TlsSource<'_>),
    diagnostics: &mut Diagnostics,
) -> Cluster {
    // As Envoy: one address is one host, however often it is listed.
    let mut addresses = BTreeSet::new();
    endpoints.retain(|endpoint| addresses.insert(endpoint.address));
    let name = format!("outbound|{}|{}|{}", service.port, service.subset, service.host);
    let pool = settings.connection_pool.as_ref();
    let outlier = settings.outlier_detection.as_ref();
    let mut provenance = provenance(settings, policies);
    let detection = outlier.map(|outlier| {
        let mut policy = outlier::policy(outlier.block);
        let codes = provenance.get(Setting::HttpErrorCodes).cloned();
        let places = outlier_policy::complete(&mut policy, policies, &mut provenance);
        if codes.is_some() && provenance.get(Setting::HttpErrorCodes).is_none() {
            outlier::report_unused_codes(outlier, diagnostics);
        }
        outlier_sense::check(&policy, &places, endpoints.len(), diagnostics);
        policy
    });
    let panic_threshold = outlier.map_or(0, |outlier| outlier::panic_threshold(outlier.block));
    if panic_threshold > 0 {
        // As istiod: in panic even hosts that are not healthy get traffic, so those known to be down are not told at all.
        endpoints.retain(|endpoint| endpoint.health == EndpointHealth::Healthy);
    }
    let none_healthy = policies.when_none_healthy().map_or(NoneHealthy::ByThreshold, |(answer, _)| answer);
    if none_healthy == NoneHealthy::Refuse && panic_threshold > 0 {
        policies.report_refusal_below(panic_threshold, diagnostics);
    }
    let security = settings.tls.as_ref().map(|block| client_tls::security(block, tls, diagnostics));
    let (tls, availability) = match security {
        None | Some(Security::Plain) => (None, Availability::Serving),
        Some(Security::Tls(policy)) => (Some(policy), Availability::Serving),
        Some(Security::Withheld(reason)) => (None, Availability::Withheld(reason)),
    };
    let http = upstream_http::of_port(protocol, pool.map(|pool| &pool.block.value));
    if let Some(pool) = pool {
        connection_pool::report(pool, diagnostics);
        upstream_http::remember(protocol, http, pool, &mut provenance);
    }
    Cluster {
        stat_name: format!("{};", name.replace(':', "_")).into(),
        name: name.into(),
        service,
        connect_timeout: connection_pool::connect_timeout(pool.map(|pool| &pool.block.value)),
        thresholds: connection_pool::thresholds(pool.map(|pool| &pool.block.value)),
        max_connection_pools: policies.max_connection_pools().map(|(bound, _)| bound),
        connection: connection_pool::connection(pool.map(|pool| &pool.block.value)),
        lb: settings.load_balancer.as_ref().map_or_else(LbPolicy::default, |lb| lb_policy(lb.block)),
        outlier: detection,
        panic_threshold,
        none_healthy,
        breaker: None,
        fallback: None,
        max_stream_duration: policies.max_stream_duration().and_then(|(bound, _)| bound),
        queue_timeout: policies.queue_timeout().and_then(|(bound, _)| bound),
        trust_refusals: policies.trust_refusals(),
        http,
        proxy_protocol: settings.proxy_protocol.as_ref().map(|proxy| tcp::proxy_version(proxy.block)),
        endpoints,
        tls,
        availability,
        rule: rule.map(|rule| rule.first.id.clone()),
        provenance,
    }
}

/// Istio's default where nothing is written, and where what is written is reported as not acted upon.
fn lb_policy(raw: &LoadBalancer) -> LbPolicy {
    match raw.simple.as_deref() {
        Some(SimpleLb::RoundRobin) => LbPolicy::RoundRobin,
        Some(SimpleLb::Random) => LbPolicy::Random,
        Some(
            SimpleLb::Unspecified | SimpleLb::LeastRequest | SimpleLb::LeastConn | SimpleLb::Passthrough,
        )
        | None => LbPolicy::LeastRequest,
    }
}

fn provenance(settings: &Effective, policies: &Policies<'_>) -> Provenance {
    let mut provenance = Provenance::default();
    if let Some(pool) = &settings.connection_pool {
        connection_pool::remember(pool, &mut provenance);
    }
    if let Some(outlier) = &settings.outlier_detection {
        outlier::remember(outlier, &mut provenance);
    }
    if let Some(lb) = &settings.load_balancer {
        provenance.insert(Setting::LoadBalancer, lb.origin("loadBalancer", lb.block));
    }
    if let Some(tls) = &settings.tls {
        provenance.insert(Setting::Tls, tls.origin("tls", tls.block));
    }
    if let Some((_, origin)) = policies.max_connection_pools() {
        provenance.insert(Setting::MaxConnectionPools, origin);
    }
    if let Some((_, origin)) = policies.when_none_healthy() {
        provenance.insert(Setting::WhenNoneHealthy, origin);
    }
    for (setting, bound) in [
        (Setting::Timeout, policies.timeout()),
        (Setting::MaxStreamDuration, policies.max_stream_duration()),
        (Setting::QueueTimeout, policies.queue_timeout()),
    ] {
        if let Some((_, origin)) = bound {
            provenance.insert(setting, origin);
        }
    }
    provenance
}

impl Backend<'_> {
    /// Whether `selector` chooses it. One whose labels are unknown is only in a subset that asks for none: traffic for
    /// one version must not reach another.
    fn has(&self, selector: &Labels) -> bool {
        let own = |key: &str| self.labels.as_ref().and_then(|own| own.get(key).copied());
        labels::matches(selector, own)
    }
}
