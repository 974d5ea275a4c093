//! The part of a cluster that is compared, from either side.

use std::num::NonZeroU32;
use std::time::Duration;

use fuseboard_core::balance::LbPolicy;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Availability, Cluster, Http2Ping, TcpKeepalive, UpstreamHttp, UpstreamVersion};
use fuseboard_tls::Names;
use serde_json::Value;

/// Settings of one cluster; `None` in `lb` and `endpoints`: Istio leaves it to the client's address.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) rule: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) panic_threshold: u64,
    pub(crate) limits: Thresholds,
    pub(crate) outlier: Option<OutlierPolicy>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_duration: Option<Duration>,
    pub(crate) max_requests: Option<u64>,
    pub(crate) keepalive: Option<TcpKeepalive>,
    pub(crate) http: UpstreamHttp,
    pub(crate) lb: Option<LbPolicy>,
    pub(crate) tls: Tls,
    pub(crate) endpoints: Option<Vec<String>>,
}

/// What a cluster's connections are.
#[derive(Debug)]
#[expect(dead_code, reason = "what is compared is the text")]
pub(crate) enum Tls {
    Plain,
    /// With the mesh's certificates, which we do not have.
    Mesh,
    /// As a rule says it.
    Own {
        /// `None`: that of the request.
        sni: Option<String>,
        names: String,
        authorities: Option<String>,
        credential: Option<String>,
    },
}

impl Tls {
    fn of_ours(cluster: &Cluster) -> Self {
        if cluster.availability == Availability::Withheld(RefusalReason::TlsUnsupported) {
            return Self::Mesh;
        }
        assert_eq!(cluster.availability, Availability::Serving, "{}", cluster.name);
        let Some(tls) = &cluster.tls else { return Self::Plain };
        let file =
            |source: &str| source.rsplit_once("/tests/pem/").map_or(source, |(_, file)| file).to_owned();
        Self::Own {
            sni: tls.sni.as_ref().map(ToString::to_string),
            names: match &tls.names {
                Names::Any => "any".to_owned(),
                Names::Requested => "requested".to_owned(),
                Names::OneOf(names) => names.join(","),
            },
            authorities: tls
                .trust
                .as_ref()
                .map(|trust| file(trust.authorities.source()).replace("-cacert", "")),
            credential: tls.credential.as_ref().map(|credential| file(credential.source())),
        }
    }

    fn of_istiod(row: &Value) -> Self {
        let text = |name: &str| row[name].as_str().map(ToOwned::to_owned);
        if row == "tls" || row["certificate"] == "default" {
            return Self::Mesh;
        }
        let names: Vec<&str> =
            row["sans"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Self::Own {
            sni: text("sni"),
            names: match (&names[..], row["auto_san_validation"] == true) {
                ([], true) => "requested".to_owned(),
                ([], false) => "any".to_owned(),
                (names, _) => names.join(","),
            },
            authorities: text("ca").map(|ca| {
                // Istio asks for the authority of a secret under a name of its own.
                ca.replace("file-root:", "").replace("/etc/", "").replace("-cacert", "")
            }),
            credential: text("certificate").map(|pair| {
                let pair = pair.replace("file-cert:", "").replace("/etc/", "");
                pair.split('~').next().unwrap_or_default().to_owned()
            }),
        }
    }
}

impl Facts {
    pub(crate) fn of_ours(cluster: &Cluster) -> Self {
        let mut endpoints: Vec<_> =
            cluster.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
        endpoints.sort();
        Self {
            rule: cluster
                .rule
                .as_ref()
                .map(|rule| format!("destination-rule/{}/{}", rule.namespace, rule.name)),
            connect_timeout: cluster.connect_timeout,
            panic_threshold: cluster.panic_threshold.into(),
            limits: cluster.thresholds.default,
            // Istio sends nothing of the codes (difference D34).
            outlier: cluster.outlier.clone().map(|outlier| OutlierPolicy { classifier: None, ..outlier }),
            idle_timeout: cluster.connection.idle_timeout,
            max_duration: cluster.connection.max_duration,
            max_requests: cluster.connection.max_requests.map(|requests| requests.get().into()),
            keepalive: cluster.connection.keepalive,
            http: cluster.http,
            lb: Some(cluster.lb),
            tls: Tls::of_ours(cluster),
            endpoints: Some(endpoints),
        }
    }

    pub(crate) fn of_istiod(row: &Value) -> (&str, Self) {
        let limit = |name: &str| {
            row["limits"][name].as_u64().map_or(UNLIMITED, |limit| u32::try_from(limit).unwrap())
        };
        let facts = Self {
            rule: row["rule"].as_str().map(str::to_owned),
            connect_timeout: duration(&row["connect_timeout"]).unwrap(),
            panic_threshold: row["panic"].as_u64().unwrap(),
            limits: Thresholds {
                max_connections: limit("max_connections"),
                max_pending_requests: limit("max_pending_requests"),
                max_requests: limit("max_requests"),
                max_retries: limit("max_retries"),
            },
            outlier: row.get("outlier").map(outlier),
            idle_timeout: duration(&row["idle_timeout"])
                .map_or(Some(Duration::from_hours(1)), |idle| (!idle.is_zero()).then_some(idle)),
            max_duration: duration(&row["max_connection_duration"]),
            max_requests: row["max_requests_per_connection"].as_u64(),
            keepalive: row.get("keepalive").and_then(keepalive),
            http: http(&row["http_options"]),
            lb: balancer(row["lb"].as_str().unwrap()),
            tls: row.get("tls").map_or(Tls::Plain, Tls::of_istiod),
            endpoints: row.get("endpoints").filter(|_| row["type"] == "EDS").map(|list| {
                list.as_array().unwrap().iter().map(|address| address.as_str().unwrap().to_owned()).collect()
            }),
        };
        (row["name"].as_str().unwrap(), facts)
    }

    /// What `ours` has otherwise than these facts of istiod.
    pub(crate) fn differences(&self, ours: &Self) -> impl Iterator<Item = String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, theirs: &dyn std::fmt::Debug, ours: &dyn std::fmt::Debug| {
            let (theirs, ours) = (format!("{theirs:?}"), format!("{ours:?}"));
            if theirs != ours {
                found.push(format!("{what}: istiod {theirs}, ours {ours}"));
            }
        };
        compare("rule", &self.rule, &ours.rule);
        compare("connect timeout", &self.connect_timeout, &ours.connect_timeout);
        compare("panic threshold", &self.panic_threshold, &ours.panic_threshold);
        compare("limits", &self.limits, &ours.limits);
        compare("outlier detection", &self.outlier, &ours.outlier);
        compare("idle timeout", &self.idle_timeout, &ours.idle_timeout);
        compare("connection duration", &self.max_duration, &ours.max_duration);
        compare("requests per connection", &self.max_requests, &ours.max_requests);
        compare("keep-alive", &self.keepalive, &ours.keepalive);
        compare("HTTP", &self.http, &ours.http);
        compare("TLS", &self.tls, &ours.tls);
        if self.lb.is_some() {
            compare("balancer", &self.lb, &ours.lb);
        }
        if self.endpoints.is_some() {
            compare("endpoints", &self.endpoints, &ours.endpoints);
        }
        found.into_iter()
    }
}

/// Envoy's defaults where istiod writes nothing.
fn outlier(row: &Value) -> OutlierPolicy {
    let mut policy = OutlierPolicy::default();
    let number = |name: &str| row[name].as_u64().map(|number| u32::try_from(number).unwrap());
    policy.interval = duration(&row["interval"]).unwrap_or(policy.interval);
    policy.base_ejection_time = duration(&row["base_ejection_time"]).unwrap_or(policy.base_ejection_time);
    policy.max_ejection_time = policy.max_ejection_time.max(policy.base_ejection_time);
    policy.max_ejection_percent = number("max_ejection_percent").unwrap_or(policy.max_ejection_percent);
    for (name, detector) in [
        ("consecutive_5xx", &mut policy.consecutive_5xx),
        ("consecutive_gateway_failure", &mut policy.consecutive_gateway_failure),
        ("consecutive_local_origin_failure", &mut policy.consecutive_local_origin_failure),
    ] {
        detector.threshold = number(name).unwrap_or(detector.threshold);
        detector.enforcing_percent =
            number(&format!("enforcing_{name}")).unwrap_or(detector.enforcing_percent);
    }
    policy.split_external_local_origin_errors = row["split_external_local_origin_errors"] == true;
    policy
}

/// In Envoy a 0 turns keep-alive off.
fn keepalive(row: &Value) -> Option<TcpKeepalive> {
    let seconds = |name: &str| row[name].as_u64().map(Duration::from_secs);
    let keepalive = TcpKeepalive {
        time: seconds("keepalive_time"),
        interval: seconds("keepalive_interval"),
        probes: row["keepalive_probes"].as_u64().map(|probes| u32::try_from(probes).unwrap()),
    };
    let is_off = [keepalive.time, keepalive.interval].contains(&Some(Duration::ZERO));
    (!is_off).then_some(keepalive)
}

/// Without options Envoy speaks HTTP/1.1. What Istio writes for either version of the client's choice is always empty.
fn http(options: &Value) -> UpstreamHttp {
    let client = &options["use_downstream_protocol_config"];
    let http2 = &options["explicit_http_config"]["http2_protocol_options"];
    let version = match (client.is_object(), http2.is_object()) {
        (true, true) => panic!("two protocols: {options}"),
        (true, false) => UpstreamVersion::Client,
        (false, true) => UpstreamVersion::Http2,
        (false, false) => UpstreamVersion::Http1,
    };
    assert!(!client.is_object() || client["http2_protocol_options"] == serde_json::json!({}), "{options}");
    let streams = http2["max_concurrent_streams"].as_u64();
    let ping = &http2["connection_keepalive"];
    UpstreamHttp {
        version,
        max_concurrent_streams: streams.and_then(|streams| NonZeroU32::new(u32::try_from(streams).unwrap())),
        ping: duration(&ping["interval"])
            .map(|interval| Http2Ping { interval, timeout: duration(&ping["timeout"]).unwrap() }),
    }
}

/// `None`: a balancer that follows the client's address; consistent hashing is reported and not acted upon yet.
fn balancer(name: &str) -> Option<LbPolicy> {
    match name {
        "ROUND_ROBIN" => Some(LbPolicy::RoundRobin),
        "LEAST_REQUEST" | "RING_HASH" | "MAGLEV" => Some(LbPolicy::LeastRequest),
        "RANDOM" => Some(LbPolicy::Random),
        "CLUSTER_PROVIDED" => None,
        other => panic!("unknown balancer {other}"),
    }
}

/// `10s`, `0.250s`.
fn duration(value: &Value) -> Option<Duration> {
    let seconds: f64 = value.as_str()?.strip_suffix('s')?.parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}
