//! Envoy's bootstrap for a row, with what istiod tells it where that matters for the work.

use serde_json::{Value, json};

use super::super::certificates::name_of_cluster;
use super::super::row::{Back, Front, Variant};
use super::Job;
use crate::envoy::{EXTENSIONS, http_filter, http_options, load_assignment, socket};

pub(super) fn arguments(job: &Job<'_>) -> anyhow::Result<Vec<String>> {
    let file = job.write("envoy.json", &bootstrap(job).to_string())?;
    let line = format!("--concurrency 1 --disable-hot-restart --log-level error -c {file}");
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

fn bootstrap(job: &Job<'_>) -> Value {
    let filter = if job.is_http() { http(job) } else { tcp() };
    let mut chain = json!({"filters": [filter]});
    if job.has_tls() {
        chain["transport_socket"] = downstream_tls(job);
    }
    json!({
        "admin": {"address": socket(job.admin)},
        "static_resources": {
            "listeners": [{"address": socket(job.listen), "filter_chains": [chain]}],
            "clusters": names(job).into_iter().map(|name| cluster(job, &name)).collect::<Vec<_>>(),
        },
    })
}

fn names(job: &Job<'_>) -> Vec<String> {
    match job.setting.clusters {
        1 => vec!["origin".to_owned()],
        count => (0..count).map(name_of_cluster).collect(),
    }
}

fn http(job: &Job<'_>) -> Value {
    let route = |cluster: &str| {
        let mut route = json!({"cluster": cluster, "timeout": "0s"});
        if job.setting.back == Back::HalfGone {
            route["retry_policy"] = json!({
                "retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2,
                "host_selection_retry_max_attempts": 50,
                "retry_host_predicate": [{"name": "previous", "typed_config": {
                    "@type": format!("{EXTENSIONS}.retry.host.previous_hosts.v3.PreviousHostsPredicate")}}]});
        }
        json!({"match": {"prefix": "/"}, "route": route})
    };
    let hosts: Vec<Value> = names(job)
        .into_iter()
        .map(|name| {
            let domain = if job.setting.clusters > 1 { name.as_str() } else { "*" };
            json!({"name": name, "domains": [domain], "routes": [route(&name)]})
        })
        .collect();
    let mut config = json!({
        "stat_prefix": "in",
        "use_remote_address": true,
        "route_config": {"virtual_hosts": hosts},
    });
    if job.variant == Variant::Logged {
        let log = format!("{EXTENSIONS}.access_loggers.file.v3.FileAccessLog");
        config["access_log"] = json!([{"name": "file", "typed_config": {"@type": log, "path": "/dev/null"}}]);
    }
    http_filter(config)
}

fn tcp() -> Value {
    json!({"name": "tcp", "typed_config": {
        "@type": format!("{EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": "in", "cluster": "origin"}})
}

fn cluster(job: &Job<'_>, name: &str) -> Value {
    let most = if job.variant.refuses() { 0 } else { 10_000 };
    let limits = json!({"max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": most});
    let mut cluster = json!({
        "name": name,
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": load_assignment(name, &job.hosts),
    });
    if job.setting.back != Back::HalfGone {
        cluster["outlier_detection"] = json!({"consecutive_5xx": 50});
    }
    match job.setting.back {
        Back::Http2 | Back::Grpc => {
            cluster["typed_extension_protocol_options"] =
                http_options(&json!({}), &json!({"http2_protocol_options": {}}));
        }
        Back::MutualTls => cluster["transport_socket"] = upstream_tls(job),
        _ => {}
    }
    cluster
}

fn downstream_tls(job: &Job<'_>) -> Value {
    let certificates = job.certificates;
    let mut common = json!({"tls_certificates": [pair(&certificates.server, &certificates.server_key)]});
    let mutual = job.setting.front == Front::MutualTls;
    if mutual {
        common["validation_context"] = json!({"trusted_ca": {"filename": certificates.authority}});
    }
    json!({"name": "tls", "typed_config": {
        "@type": format!("{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": common, "require_client_certificate": mutual}})
}

fn upstream_tls(job: &Job<'_>) -> Value {
    let certificates = job.certificates;
    json!({"name": "tls", "typed_config": {
        "@type": format!("{EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext"),
        "sni": "origin",
        "common_tls_context": {
            "tls_certificates": [pair(&certificates.client, &certificates.client_key)],
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {"trusted_ca": {"filename": certificates.authority}}}}})
}

fn pair(certificate: &str, key: &str) -> Value {
    json!({"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}})
}
