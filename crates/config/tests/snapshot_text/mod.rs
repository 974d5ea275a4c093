//! A snapshot as text that a reviewer can read: what is not at Istio's default, and where it was written.

use std::fmt::Write as _;
use std::time::Duration;

use fuseboard_config::Diagnostics;
use fuseboard_core::balance::NoneHealthy;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::retry::RetryPolicy;
use fuseboard_snapshot::{
    Availability, BreakerSetting, ClassifierSetting, ClientPolicy, Cluster, ClusterBreaker, ClusterFallback,
    ConnectionPolicy, Domain, Endpoint, EndpointHealth, FallbackSetting, ListenerTarget, Origin, RouteConfig,
    Snapshot, TcpProxy, UpstreamHttp, UpstreamVersion,
};
use fuseboard_tls::Names;

pub(crate) fn render(snapshot: &Snapshot, diagnostics: &Diagnostics) -> String {
    let mut out = String::new();
    for listener in &snapshot.listeners {
        let target = match listener.target {
            ListenerTarget::Routes(table) => snapshot.routes[table].name.to_string(),
            ListenerTarget::Detect(detect) => format!(
                "{} or tcp {} after {:?}",
                snapshot.routes[detect.routes].name,
                snapshot.clusters[detect.tcp.cluster].name,
                detect.patience
            ),
            ListenerTarget::Tcp(tcp) => {
                let mut target = format!("tcp {}", snapshot.clusters[tcp.cluster].name);
                if tcp != TcpProxy::to(tcp.cluster) {
                    let times = format!(" idle {:?} age {:?}", tcp.idle_timeout, tcp.max_duration);
                    target.push_str(&times);
                }
                target
            }
        };
        let behind = if listener.accept_proxy { " behind PROXY headers" } else { "" };
        let text = format!("listener {} on {} -> {target}{behind}", listener.name, listener.address);
        line(&mut out, 0, &text);
    }
    for table in &snapshot.routes {
        routes(&mut out, table, snapshot);
    }
    for cluster in &snapshot.clusters {
        out.push('\n');
        self::cluster(&mut out, cluster);
        if let Some(fallback) = &cluster.fallback {
            self::fallback(&mut out, fallback);
        }
    }
    if !diagnostics.is_empty() {
        out.push('\n');
    }
    for diagnostic in diagnostics {
        let at = diagnostic.at.as_ref().map_or_else(|| "-".to_owned(), |place| place.location().to_string());
        line(
            &mut out,
            0,
            &format!("{} {} {at}: {}", diagnostic.severity.as_str(), diagnostic.code, diagnostic.message),
        );
        if let Some(help) = &diagnostic.help {
            line(&mut out, 1, &format!("help: {help}"));
        }
    }
    out
}

fn fallback(out: &mut String, fallback: &ClusterFallback) {
    let rules: Vec<String> = fallback.rules.iter().map(ToString::to_string).collect();
    line(out, 1, &format!("fallback of {}", rules.join(", ")));
    for setting in FallbackSetting::ALL {
        let Some(value) = fallback.value(setting) else { continue };
        let from = fallback
            .provenance
            .get(setting)
            .map_or_else(|| "default".to_owned(), |origin| origin_text(origin));
        line(out, 2, &format!("{} {value} from {from}", setting.path()));
    }
    for (index, step) in fallback.steps.iter().enumerate() {
        line(out, 2, &format!("{} from {}", fallback.step(index), origin_text(&step.origin)));
    }
}

fn origin_text(origin: &Origin) -> String {
    let place = origin.location.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} {place}", origin.resource)
}

fn routes(out: &mut String, table: &RouteConfig, snapshot: &Snapshot) {
    for host in &table.virtual_hosts {
        let route = &host.route;
        line(
            out,
            0,
            &format!("\nroute {} {} -> {}", table.name, host.name, snapshot.clusters[route.cluster].name),
        );
        let domains: Vec<String> = host.domains.iter().map(domain).collect();
        line(out, 1, &format!("hosts {}", domains.join(" ")));
        if let Some(timeout) = route.timeout {
            line(out, 1, &format!("timeout {timeout:?}"));
        }
        if route.retry.as_deref() != Some(&RetryPolicy::istio_default()) {
            line(out, 1, &format!("retry {:?}", route.retry));
        }
    }
}

fn domain(domain: &Domain) -> String {
    match domain {
        Domain::Exact(host) => host.to_string(),
        Domain::Suffix(suffix) => format!("*{suffix}"),
        Domain::Any => "(any)".to_owned(),
    }
}

fn cluster(out: &mut String, cluster: &Cluster) {
    line(out, 0, &format!("cluster {}", cluster.name));
    if let Some(rule) = &cluster.rule {
        line(out, 1, &format!("rule {rule}"));
    }
    if let Some(tls) = &cluster.tls {
        self::tls(out, tls);
    }
    if let Availability::Withheld(reason) = cluster.availability {
        line(out, 1, &format!("withheld {}", reason.token()));
    }
    limits(out, cluster.thresholds.default);
    if cluster.thresholds.high != Thresholds::ENVOY {
        line(out, 1, &format!("limits high {:?}", cluster.thresholds.high));
    }
    connection(out, cluster.connect_timeout, &cluster.connection);
    http(out, cluster.http);
    line(out, 1, &format!("balancer {:?}, panic below {}%", cluster.lb, cluster.panic_threshold));
    if let Some(pools) = cluster.max_connection_pools {
        line(out, 1, &format!("connections to {pools} hosts at a time"));
    }
    if cluster.none_healthy != NoneHealthy::ByThreshold {
        line(out, 1, &format!("none healthy {:?}", cluster.none_healthy));
    }
    if let Some(outlier) = &cluster.outlier {
        self::outlier(out, outlier);
    }
    if let Some(breaker) = &cluster.breaker {
        self::breaker(out, breaker);
    }
    if cluster.trust_refusals {
        line(out, 1, "refusals of hosts are believed");
    }
    if let Some(version) = cluster.proxy_protocol {
        line(out, 1, &format!("PROXY header {version:?}"));
    }
    if let Some(bound) = cluster.max_stream_duration {
        line(out, 1, &format!("streams end after {bound:?}"));
    }
    if let Some(bound) = cluster.queue_timeout {
        line(out, 1, &format!("queue timeout {bound:?}"));
    }
    for endpoint in &cluster.endpoints {
        self::endpoint(out, endpoint);
    }
    for (setting, origin) in cluster.provenance.iter() {
        let place = origin.location.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        line(out, 1, &format!("{} from {} {} {place}", setting.field(), origin.resource, origin.field));
    }
}

fn tls(out: &mut String, tls: &ClientPolicy) {
    let mut text = format!("tls to {}", tls.sni.as_deref().unwrap_or("the host of the request"));
    let _ = match &tls.names {
        Names::Any => write!(text, ", whoever it is"),
        Names::Requested => write!(text, ", for that name"),
        Names::OneOf(names) => write!(text, ", for {}", names.join(" or ")),
    };
    if let Some(trust) = &tls.trust {
        let _ = write!(text, ", trusting {}", trust.authorities.source());
        if trust.revocations.is_some() {
            text.push_str(" but not what it revoked");
        }
    }
    if let Some(credential) = &tls.credential {
        let _ = write!(text, ", showing {}", credential.source());
    }
    line(out, 1, &text);
}

fn breaker(out: &mut String, breaker: &ClusterBreaker) {
    let rules: Vec<String> = breaker.rules.iter().map(ToString::to_string).collect();
    line(out, 1, &format!("breaker of {}", rules.join(", ")));
    for &setting in BreakerSetting::ALL {
        let Some(origin) = breaker.provenance.get(setting) else { continue };
        let value = breaker.value(setting).unwrap_or_else(|| "off".to_owned());
        let place = origin.location.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        line(out, 2, &format!("{} {value} from {} {place}", setting.path(), origin.resource));
    }
}

fn limits(out: &mut String, limits: Thresholds) {
    let bound = |bound: u32| if bound == UNLIMITED { "-".to_owned() } else { bound.to_string() };
    let text = format!(
        "limits connections {}, pending {}, requests {}, retries {}",
        bound(limits.max_connections),
        bound(limits.max_pending_requests),
        bound(limits.max_requests),
        bound(limits.max_retries)
    );
    line(out, 1, &text);
}

fn connection(out: &mut String, connect_timeout: Duration, connection: &ConnectionPolicy) {
    let mut text = format!("connection connect {connect_timeout:?}, idle {:?}", connection.idle_timeout);
    if let Some(requests) = connection.max_requests {
        let _ = write!(text, ", {requests} requests");
    }
    if let Some(age) = connection.max_duration {
        let _ = write!(text, ", age {age:?}");
    }
    if let Some(keepalive) = connection.keepalive {
        let _ = write!(text, ", {keepalive:?}");
    }
    line(out, 1, &text);
}

fn http(out: &mut String, http: UpstreamHttp) {
    let mut text = match http.version {
        UpstreamVersion::Http1 => String::new(),
        UpstreamVersion::Http2 => "HTTP/2".to_owned(),
        UpstreamVersion::Client => "HTTP as the client speaks it".to_owned(),
    };
    if let Some(streams) = http.max_concurrent_streams {
        let _ = write!(text, ", {streams} streams");
    }
    if let Some(ping) = http.ping {
        let _ = write!(text, ", ping every {:?} for {:?}", ping.interval, ping.timeout);
    }
    if !text.is_empty() {
        line(out, 1, &text);
    }
}

fn outlier(out: &mut String, outlier: &OutlierPolicy) {
    let text = format!(
        "outlier 5xx {}/{}%, gateway {}/{}%, local {}/{}%, split {}, every {:?}, eject {:?} up to {:?}, at most {}%",
        outlier.consecutive_5xx.threshold,
        outlier.consecutive_5xx.enforcing_percent,
        outlier.consecutive_gateway_failure.threshold,
        outlier.consecutive_gateway_failure.enforcing_percent,
        outlier.consecutive_local_origin_failure.threshold,
        outlier.consecutive_local_origin_failure.enforcing_percent,
        outlier.split_external_local_origin_errors,
        outlier.interval,
        outlier.base_ejection_time,
        outlier.max_ejection_time,
        outlier.max_ejection_percent
    );
    line(out, 1, &text);
    if let Some(rate) = outlier.success_rate {
        let text = format!(
            "success rate {}/1000 deviations of {} hosts with {} calls, enforced {}% and {}%",
            rate.stdev_factor_thousandths,
            rate.minimum_hosts,
            rate.request_volume,
            rate.enforcing_percent,
            rate.local_origin_enforcing_percent
        );
        line(out, 2, &text);
    }
    if let Some(share) = outlier.failure_percentage {
        let text = format!(
            "failure {}% of {} hosts with {} calls, enforced {}% and {}%",
            share.threshold,
            share.minimum_hosts,
            share.request_volume,
            share.enforcing_percent,
            share.local_origin_enforcing_percent
        );
        line(out, 2, &text);
    }
    if let Some(classifier) = &outlier.classifier {
        let shown = ClassifierSetting::ALL.map(|setting| setting.value(classifier));
        line(out, 2, &format!("failures {}", shown.join(" ")));
    }
    if outlier.always_eject_one_host || outlier.max_ejection_time_jitter > Duration::ZERO {
        let (always, jitter) = (outlier.always_eject_one_host, outlier.max_ejection_time_jitter);
        line(out, 2, &format!("jitter {jitter:?}, always one {always}"));
    }
}

fn endpoint(out: &mut String, endpoint: &Endpoint) {
    let mut text = format!("endpoint {} id {}", endpoint.address, endpoint.id);
    if endpoint.weight.get() != 1 {
        let _ = write!(text, ", weight {}", endpoint.weight);
    }
    if endpoint.health != EndpointHealth::Healthy {
        let _ = write!(text, ", {:?}", endpoint.health);
    }
    if !endpoint.hostname.is_empty() {
        let _ = write!(text, ", hostname {}", endpoint.hostname);
    }
    let locality = &endpoint.locality;
    if !(locality.region.is_empty() && locality.zone.is_empty()) {
        let _ = write!(text, ", in {}/{}/{}", locality.region, locality.zone, locality.sub_zone);
    }
    line(out, 1, &text);
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{}{text}", "  ".repeat(depth));
}
