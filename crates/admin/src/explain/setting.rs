//! Every value of a service: what it is, what it means, and where it was written.

use std::time::Duration;

use fuseboard_core::balance::{LbPolicy, NoneHealthy};
use fuseboard_core::limit::UNLIMITED;
use fuseboard_core::outlier::{DetectionKind, OutlierPolicy};
use fuseboard_snapshot::{ClassifierSetting, Cluster, Route, Setting};

use super::{ExplainedSetting, protocol, word};
use crate::refusals::Rule;

/// In the order in which a rule writes them.
pub(super) fn all(cluster: &Cluster, route: Option<&Route>, is_http: bool) -> Vec<ExplainedSetting> {
    let mut told = limits(cluster);
    if let Some(pools) = cluster.max_connection_pools {
        let meaning = "endpoints with open connections at a time; the request for one more is refused (limit.pools), unless an idle one makes room";
        told.push(one(cluster, Setting::MaxConnectionPools, pools.to_string(), meaning.to_owned()));
    }
    if is_http {
        told.extend(protocol::settings(cluster));
    }
    told.extend(connection(cluster));
    let off_or = |bound: Option<Duration>| bound.map_or_else(|| "off".to_owned(), word::time);
    told.push(one(
        cluster,
        Setting::LoadBalancer,
        balancer(cluster.lb).0.to_owned(),
        balancer(cluster.lb).1.to_owned(),
    ));
    if let Some(policy) = &cluster.outlier {
        told.extend(outlier(cluster, policy));
        told.extend(rates(cluster, policy));
        told.extend(more(cluster, policy));
    }
    let timeout = route.and_then(|route| route.timeout);
    told.push(one(
        cluster,
        Setting::Timeout,
        off_or(timeout),
        "of the whole exchange, waiting and retries included; then 504 (UT)".to_owned(),
    ));
    told.push(one(
        cluster,
        Setting::MaxStreamDuration,
        off_or(cluster.max_stream_duration),
        "from a request's head to the end of its answer; then 408, or broken off (UMSDR)".to_owned(),
    ));
    told.push(one(
        cluster,
        Setting::WhenNoneHealthy,
        match cluster.none_healthy {
            NoneHealthy::ByThreshold => "as Istio",
            NoneHealthy::Refuse => "refuse",
            NoneHealthy::Spread => "spread",
            NoneHealthy::Fallback => "fallback",
        }
        .to_owned(),
        "what becomes of requests while no host, or fewer percent than minHealthPercent, is healthy"
            .to_owned(),
    ));
    told.push(one(
        cluster,
        Setting::QueueTimeout,
        off_or(cluster.queue_timeout),
        "of the wait for a connection; then 503 (UO, limit.queue_timeout)".to_owned(),
    ));
    told
}

pub(super) fn one(cluster: &Cluster, setting: Setting, value: String, meaning: String) -> ExplainedSetting {
    let from = cluster.provenance.get(setting).map(|origin| Rule::from(&**origin));
    ExplainedSetting { setting: setting.field().to_owned(), value, meaning, from }
}

fn limits(cluster: &Cluster) -> Vec<ExplainedSetting> {
    let limits = &cluster.thresholds.default;
    let queue = if limits.max_connections == UNLIMITED {
        "requests that wait for a connection; without maxConnections none ever waits".to_owned()
    } else {
        "requests that wait for a connection, on HTTP/2 too; one more is refused (limit.queue_full)"
            .to_owned()
    };
    vec![
        one(
            cluster,
            Setting::MaxConnections,
            word::bound(limits.max_connections),
            format!("connections to all hosts together; {}", protocol::carries(cluster)),
        ),
        one(cluster, Setting::MaxPendingRequests, word::bound(limits.max_pending_requests), queue),
        one(
            cluster,
            Setting::MaxRequests,
            word::bound(limits.max_requests),
            "requests in flight, on HTTP/1.1 too; one more is refused (limit.requests)".to_owned(),
        ),
        one(
            cluster,
            Setting::MaxRetries,
            word::bound(limits.max_retries),
            "retries in flight; one more is not made, and the caller gets the answer that was there"
                .to_owned(),
        ),
    ]
}

fn connection(cluster: &Cluster) -> Vec<ExplainedSetting> {
    let policy = &cluster.connection;
    let reuse = match policy.max_requests.map(std::num::NonZero::get) {
        None => "a connection is used again and again".to_owned(),
        Some(1) => "no keep-alive: every request pays for a connection of its own".to_owned(),
        Some(_) => "after so many requests a connection is closed".to_owned(),
    };
    let requests = policy.max_requests.map_or_else(|| "unlimited".to_owned(), |bound| bound.to_string());
    let idle = policy.idle_timeout.map_or_else(|| "off".to_owned(), word::time);
    vec![
        one(cluster, Setting::MaxRequestsPerConnection, requests, reuse),
        one(
            cluster,
            Setting::ConnectTimeout,
            word::time(cluster.connect_timeout),
            "a host that takes longer to connect counts as failed".to_owned(),
        ),
        one(
            cluster,
            Setting::IdleTimeout,
            idle,
            "a connection that nobody used for so long is closed".to_owned(),
        ),
    ]
}

const fn balancer(policy: LbPolicy) -> (&'static str, &'static str) {
    match policy {
        LbPolicy::LeastRequest => ("LEAST_REQUEST", "of two hosts at random the one with fewer requests"),
        LbPolicy::RoundRobin => ("ROUND_ROBIN", "one host after the other"),
        LbPolicy::Random => ("RANDOM", "any host"),
    }
}

/// The detectors that Istio has no fields for, if they are on.
fn rates(cluster: &Cluster, policy: &OutlierPolicy) -> Vec<ExplainedSetting> {
    let mut told = Vec::new();
    let mut tell = |setting, value: String, meaning: &str| {
        told.push(one(cluster, setting, value, meaning.to_owned()));
    };
    let hosts = "with fewer hosts that had so many calls nobody is judged";
    let volume = "calls in an interval that are enough to judge a host";
    if let Some(rate) = policy.success_rate {
        let factor = word::thousandths(rate.stdev_factor_thousandths);
        let meaning = "standard deviations below the mean success rate of the hosts that eject one";
        tell(Setting::SuccessRateStdevFactor, factor, meaning);
        tell(Setting::SuccessRateMinimumHosts, rate.minimum_hosts.to_string(), hosts);
        tell(Setting::SuccessRateRequestVolume, rate.request_volume.to_string(), volume);
    }
    if let Some(share) = policy.failure_percentage {
        let meaning = "percent of failures in an interval that eject a host";
        tell(Setting::FailurePercentageThreshold, share.threshold.to_string(), meaning);
        tell(Setting::FailurePercentageMinimumHosts, share.minimum_hosts.to_string(), hosts);
        tell(Setting::FailurePercentageRequestVolume, share.request_volume.to_string(), volume);
    }
    told
}

/// What else Istio has no fields for, if somebody wrote it.
fn more(cluster: &Cluster, policy: &OutlierPolicy) -> Vec<ExplainedSetting> {
    let enforcing = DetectionKind::ALL.map(|kind| {
        let meaning = "percent of what this detector finds that eject; the rest is only counted";
        (Setting::EnforcingPercent(kind), policy.enforcing_percent(kind).to_string(), meaning)
    });
    let times = [
        (
            Setting::MaxEjectionTime,
            word::time(policy.max_ejection_time),
            "no ejection is longer, apart from the jitter",
        ),
        (
            Setting::MaxEjectionTimeJitter,
            word::time(policy.max_ejection_time_jitter),
            "up to so much is added at random to each ejection",
        ),
        (
            Setting::AlwaysEjectOneHost,
            policy.always_eject_one_host.to_string(),
            "whether one host may go whatever maxEjectionPercent says",
        ),
    ];
    let codes = policy.classifier.as_ref().map(|classifier| {
        let meaning = "answers that count as failures; no others do";
        (Setting::HttpErrorCodes, ClassifierSetting::Statuses.value(classifier), meaning)
    });
    let classifier = policy.classifier.iter().flat_map(|classifier| {
        ClassifierSetting::ALL.map(|setting| {
            let meaning = "what counts as a failure of a host, for every detector";
            (Setting::FailureClassifier(setting), setting.value(classifier), meaning)
        })
    });
    codes
        .into_iter()
        .chain(classifier)
        .chain(enforcing)
        .chain(times)
        .filter(|(setting, ..)| cluster.provenance.get(*setting).is_some())
        .map(|(setting, value, meaning)| one(cluster, setting, value, meaning.to_owned()))
        .collect()
}

fn outlier(cluster: &Cluster, policy: &OutlierPolicy) -> Vec<ExplainedSetting> {
    let threshold = |kind: DetectionKind| {
        let streak = policy.streak(kind).filter(|_| policy.can_eject(kind));
        streak.map_or_else(|| "off".to_owned(), |streak| streak.threshold.to_string())
    };
    let mut told = vec![
        one(
            cluster,
            Setting::Consecutive5xxErrors,
            threshold(DetectionKind::Consecutive5xx),
            "answers 5xx in a row that eject a host".to_owned(),
        ),
        one(
            cluster,
            Setting::ConsecutiveGatewayErrors,
            threshold(DetectionKind::ConsecutiveGatewayFailure),
            "answers 502, 503, 504 in a row that eject a host".to_owned(),
        ),
    ];
    if policy.split_external_local_origin_errors {
        told.push(one(
            cluster,
            Setting::ConsecutiveLocalOriginFailures,
            threshold(DetectionKind::ConsecutiveLocalOriginFailure),
            "failed connections and time-outs in a row that eject a host".to_owned(),
        ));
    }
    told.extend([
        one(
            cluster,
            Setting::Interval,
            word::time(policy.interval),
            "time between sweeps, which return hosts whose time is over".to_owned(),
        ),
        one(
            cluster,
            Setting::BaseEjectionTime,
            word::time(policy.base_ejection_time),
            "the first ejection; the n-th in a row lasts n times as long".to_owned(),
        ),
        one(
            cluster,
            Setting::MaxEjectionPercent,
            policy.max_ejection_percent.to_string(),
            "percent of the hosts, rounded down, that may be out at a time".to_owned(),
        ),
        one(
            cluster,
            Setting::MinHealthPercent,
            cluster.panic_threshold.to_string(),
            "percent of healthy hosts below which ejected ones are used too; 0: never".to_owned(),
        ),
    ]);
    told
}
