//! A cluster in the shape of Envoy's `Cluster` message. Fields at their protobuf default are absent.

use fuseboard_core::balance::LbPolicy;
use fuseboard_core::limit::Thresholds;
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_snapshot::{Cluster, Http2Ping, ResourceRef, TcpKeepalive, UpstreamHttp, UpstreamVersion};
use serde::Serialize;

use super::endpoints::Assignment;
use super::proto_duration;
use crate::clusters::{CircuitBreakers, is_false};
use crate::status::ClusterStatus;

const HTTP_OPTIONS: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Envoy's `Cluster`.
#[derive(Serialize)]
pub(super) struct ClusterJson<'a> {
    #[serde(rename = "@type")]
    at_type: &'static str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    connect_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lb_policy: Option<&'static str>,
    circuit_breakers: CircuitBreakers,
    #[serde(skip_serializing_if = "Option::is_none")]
    outlier_detection: Option<OutlierJson>,
    common_lb_config: CommonLb,
    alt_stat_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_connection_options: Option<ConnectionOptions>,
    load_assignment: Assignment<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    typed_extension_protocol_options: ProtocolOptions,
}

#[derive(Serialize)]
struct CommonLb {
    healthy_panic_threshold: Percent,
}

#[derive(Serialize)]
struct Percent {
    #[serde(skip_serializing_if = "is_zero")]
    value: u32,
}

#[derive(Serialize)]
struct OutlierJson {
    consecutive_5xx: u32,
    interval: String,
    base_ejection_time: String,
    max_ejection_percent: u32,
    enforcing_consecutive_5xx: u32,
    enforcing_success_rate: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate_minimum_hosts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate_request_volume: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate_stdev_factor: Option<u32>,
    consecutive_gateway_failure: u32,
    enforcing_consecutive_gateway_failure: u32,
    #[serde(skip_serializing_if = "is_false")]
    split_external_local_origin_errors: bool,
    consecutive_local_origin_failure: u32,
    enforcing_consecutive_local_origin_failure: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcing_local_origin_success_rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_percentage_threshold: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcing_failure_percentage: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforcing_failure_percentage_local_origin: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_percentage_minimum_hosts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_percentage_request_volume: Option<u32>,
    max_ejection_time: String,
    max_ejection_time_jitter: String,
    always_eject_one_host: bool,
}

#[derive(Serialize)]
struct ConnectionOptions {
    tcp_keepalive: KeepaliveJson,
}

#[derive(Serialize)]
struct KeepaliveJson {
    #[serde(rename = "keepalive_probes", skip_serializing_if = "Option::is_none")]
    probes: Option<u32>,
    #[serde(rename = "keepalive_time", skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(rename = "keepalive_interval", skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
}

#[derive(Serialize)]
struct Metadata {
    filter_metadata: FilterMetadata,
}

#[derive(Serialize)]
struct FilterMetadata {
    istio: IstioMetadata,
}

#[derive(Serialize)]
struct IstioMetadata {
    config: String,
}

#[derive(Serialize)]
struct ProtocolOptions {
    #[serde(rename = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions")]
    http: HttpOptions,
}

#[derive(Serialize)]
struct HttpOptions {
    #[serde(rename = "@type")]
    at_type: &'static str,
    common_http_protocol_options: CommonHttp,
    #[serde(flatten)]
    version: VersionJson,
}

#[derive(Serialize)]
struct CommonHttp {
    /// `0s`: never, as Envoy means it.
    idle_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connection_duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_stream_duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_requests_per_connection: Option<u32>,
}

/// Whose choice the version of HTTP is.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum VersionJson {
    ExplicitHttpConfig(ExplicitHttp),
    UseDownstreamProtocolConfig {
        http_protocol_options: Empty,
        /// As Istio writes it: without any of the bounds of a rule.
        http2_protocol_options: Empty,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ExplicitHttp {
    HttpProtocolOptions(Empty),
    Http2ProtocolOptions(Http2Json),
}

#[derive(Serialize)]
struct Http2Json {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent_streams: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_keepalive: Option<PingJson>,
}

#[derive(Serialize)]
struct PingJson {
    interval: String,
    timeout: String,
}

#[derive(Serialize)]
struct Empty {}

impl<'a> ClusterJson<'a> {
    /// The cluster as it runs.
    pub(super) fn new(status: &'a ClusterStatus) -> Self {
        let cluster: &'a Cluster = &status.cluster;
        let (default, high) = (status.limits.default.thresholds, status.limits.high.thresholds);
        Self {
            at_type: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            name: &cluster.name,
            kind: "STATIC",
            connect_timeout: proto_duration(cluster.connect_timeout),
            lb_policy: lb_policy(cluster.lb),
            circuit_breakers: CircuitBreakers::configured(
                default,
                (high != Thresholds::ENVOY).then_some(high),
            ),
            outlier_detection: cluster.outlier.as_ref().map(OutlierJson::from),
            common_lb_config: CommonLb {
                healthy_panic_threshold: Percent { value: cluster.panic_threshold },
            },
            alt_stat_name: &cluster.stat_name,
            upstream_connection_options: cluster
                .connection
                .keepalive
                .map(|keepalive| ConnectionOptions { tcp_keepalive: keepalive.into() }),
            load_assignment: Assignment::configured(&cluster.name, &cluster.endpoints),
            metadata: cluster.rule.as_ref().map(Metadata::from),
            typed_extension_protocol_options: ProtocolOptions { http: HttpOptions::new(cluster) },
        }
    }
}

/// Absent for round robin, the default of Envoy's enum.
const fn lb_policy(policy: LbPolicy) -> Option<&'static str> {
    match policy {
        LbPolicy::RoundRobin => None,
        LbPolicy::LeastRequest => Some("LEAST_REQUEST"),
        LbPolicy::Random => Some("RANDOM"),
    }
}

impl From<&OutlierPolicy> for OutlierJson {
    fn from(policy: &OutlierPolicy) -> Self {
        let (success, failure) = (policy.success_rate, policy.failure_percentage);
        Self {
            consecutive_5xx: policy.consecutive_5xx.threshold,
            interval: proto_duration(policy.interval),
            base_ejection_time: proto_duration(policy.base_ejection_time),
            max_ejection_percent: policy.max_ejection_percent,
            enforcing_consecutive_5xx: policy.consecutive_5xx.enforcing_percent,
            enforcing_success_rate: success.map_or(0, |rate| rate.enforcing_percent),
            success_rate_minimum_hosts: success.map(|rate| rate.minimum_hosts),
            success_rate_request_volume: success.map(|rate| rate.request_volume),
            success_rate_stdev_factor: success.map(|rate| rate.stdev_factor_thousandths),
            enforcing_local_origin_success_rate: success.map(|rate| rate.local_origin_enforcing_percent),
            failure_percentage_threshold: failure.map(|share| share.threshold),
            enforcing_failure_percentage: failure.map(|share| share.enforcing_percent),
            enforcing_failure_percentage_local_origin: failure
                .map(|share| share.local_origin_enforcing_percent),
            failure_percentage_minimum_hosts: failure.map(|share| share.minimum_hosts),
            failure_percentage_request_volume: failure.map(|share| share.request_volume),
            consecutive_gateway_failure: policy.consecutive_gateway_failure.threshold,
            enforcing_consecutive_gateway_failure: policy.consecutive_gateway_failure.enforcing_percent,
            split_external_local_origin_errors: policy.split_external_local_origin_errors,
            consecutive_local_origin_failure: policy.consecutive_local_origin_failure.threshold,
            enforcing_consecutive_local_origin_failure: policy
                .consecutive_local_origin_failure
                .enforcing_percent,
            max_ejection_time: proto_duration(policy.max_ejection_time),
            max_ejection_time_jitter: proto_duration(policy.max_ejection_time_jitter),
            always_eject_one_host: policy.always_eject_one_host,
        }
    }
}

impl From<TcpKeepalive> for KeepaliveJson {
    fn from(keepalive: TcpKeepalive) -> Self {
        Self {
            probes: keepalive.probes,
            time: keepalive.time.map(|time| time.as_secs()),
            interval: keepalive.interval.map(|interval| interval.as_secs()),
        }
    }
}

impl From<&ResourceRef> for Metadata {
    /// The path that istiod writes, from which `istioctl` reads the rule's name.
    fn from(rule: &ResourceRef) -> Self {
        let config = format!(
            "/apis/networking.istio.io/v1/namespaces/{}/destination-rule/{}",
            rule.namespace, rule.name
        );
        Self { filter_metadata: FilterMetadata { istio: IstioMetadata { config } } }
    }
}

impl HttpOptions {
    fn new(cluster: &Cluster) -> Self {
        let policy = &cluster.connection;
        Self {
            at_type: HTTP_OPTIONS,
            common_http_protocol_options: CommonHttp {
                idle_timeout: proto_duration(policy.idle_timeout.unwrap_or_default()),
                max_connection_duration: policy.max_duration.map(proto_duration),
                max_stream_duration: cluster.max_stream_duration.map(proto_duration),
                max_requests_per_connection: policy.max_requests.map(std::num::NonZeroU32::get),
            },
            version: cluster.http.into(),
        }
    }
}

impl From<UpstreamHttp> for VersionJson {
    fn from(http: UpstreamHttp) -> Self {
        match http.version {
            UpstreamVersion::Http1 => Self::ExplicitHttpConfig(ExplicitHttp::HttpProtocolOptions(Empty {})),
            UpstreamVersion::Http2 => {
                Self::ExplicitHttpConfig(ExplicitHttp::Http2ProtocolOptions(Http2Json {
                    max_concurrent_streams: http.max_concurrent_streams.map(std::num::NonZeroU32::get),
                    connection_keepalive: http.ping.map(PingJson::from),
                }))
            }
            UpstreamVersion::Client => Self::UseDownstreamProtocolConfig {
                http_protocol_options: Empty {},
                http2_protocol_options: Empty {},
            },
        }
    }
}

impl From<Http2Ping> for PingJson {
    fn from(ping: Http2Ping) -> Self {
        Self { interval: proto_duration(ping.interval), timeout: proto_duration(ping.timeout) }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_have_three_six_or_nine_decimals() {
        assert_eq!(proto_duration(Duration::from_secs(10)), "10s");
        assert_eq!(proto_duration(Duration::from_millis(250)), "0.250s");
        assert_eq!(proto_duration(Duration::from_micros(1)), "0.000001s");
        assert_eq!(proto_duration(Duration::from_nanos(1)), "0.000000001s");
    }
}
