//! `DestinationPolicy`: what Istio's `DestinationRule` has no field for. Every field may be left to a `DestinationPolicy` for
//! more services, and in the end to its default, which is what Istio does.

use std::time::Duration;

use super::failures::Failures;
use crate::schema::{choice, object};

object! {
    /// `DestinationPolicy`: what is written under `spec`.
    pub struct DestinationPolicy {
        /// The service, as in a `DestinationRule`; a wildcard (`"*"`) gives defaults to the services that it covers.
        host: required String = "host", Supported;
        /// Service port; absent: all ports.
        port: optional u32 = "port", Supported;
        /// Longest time for a request with all its tries; absent or 0s: no bound.
        timeout: optional Duration = "timeout", Supported;
        /// Longest time from a request's head to the end of its answer, with all its tries; unlike `timeout` it runs while the request
        /// still comes, so that it ends streams that never do. Absent or 0s: no bound.
        max_stream_duration: optional Duration = "maxStreamDuration", Supported;
        /// Longest wait in the pending queue; absent or 0s: no bound.
        queue_timeout: optional Duration = "queueTimeout", Supported;
        /// To how many endpoints connections may be open at a time; absent: no bound.
        max_connection_pools: optional u32 = "maxConnectionPools", Supported;
        /// What becomes of requests while nobody is healthy, or fewer percent than `minHealthPercent`. Default: what Istio does.
        when_none_healthy: optional WhenNoneHealthy = "whenNoneHealthy", Supported;
        /// The hosts are Fuseboards: what they refuse without having processed it counts against nobody, and is sent to another host
        /// under the route's retries. Default: false.
        trust_refusals: optional bool = "trustRefusals", Supported;
        /// More of outlier detection; acts where the `DestinationRule` has an `outlierDetection` block, too.
        outlier_detection: optional OutlierSettings = "outlierDetection", Supported;
    }
}

choice! {
    /// What becomes of requests while nobody is healthy.
    pub enum WhenNoneHealthy {
        /// They are refused with 503.
        Refuse = "refuse", Supported;
        /// All hosts get them alike, ejected ones too.
        Spread = "spread", Supported;
        /// The host's `Fallback` answers them.
        Fallback = "fallback", Supported;
    }
}

object! {
    /// What Envoy's outlier detection has besides what Istio's block says.
    pub struct OutlierSettings {
        /// Ejects hosts that succeed clearly less often than the others. Default: off.
        success_rate: optional SuccessRate = "successRate", Supported;
        /// Ejects hosts that fail too often, whatever the others do. Default: off.
        failure_percentage: optional FailurePercentage = "failurePercentage", Supported;
        /// What counts as a failure, for every detector. Default: what Istio's rule says.
        failure_classifier: optional Failures = "failureClassifier", Supported;
        /// In how many percent of the cases a detector that found something ejects, 0 to 100.
        enforcing_percent: optional EnforcingPercent = "enforcingPercent", Supported;
        /// No ejection is longer, apart from the jitter. Default: 5m, or `baseEjectionTime` if that is longer.
        max_ejection_time: optional Duration = "maxEjectionTime", Supported;
        /// Up to so much is added to each ejection at random, so that many hosts don't return at once. Default: 0s.
        max_ejection_time_jitter: optional Duration = "maxEjectionTimeJitter", Supported;
        /// One host may be ejected even if `maxEjectionPercent` of so few hosts is less than one. Default: false.
        always_eject_one_host: optional bool = "alwaysEjectOneHost", Supported;
    }
}

object! {
    /// A host is an outlier if its success rate in an interval is below the mean by so many standard deviations.
    pub struct SuccessRate {
        /// With fewer hosts that had enough calls, nobody is judged. Default: 5.
        minimum_hosts: optional u32 = "minimumHosts", Supported;
        /// So many calls in an `interval` are enough. Default: 100.
        request_volume: optional u32 = "requestVolume", Supported;
        /// So many standard deviations, up to 100; Envoy's 1900 is 1.9 here. Default: 1.9. 0: the detector is off.
        stdev_factor: optional f64 = "stdevFactor", Supported;
    }
}

object! {
    /// A host is an outlier if so many percent of its calls in an interval failed.
    pub struct FailurePercentage {
        /// So many percent, 1 to 100. Default: 85. 0: the detector is off.
        threshold: optional u32 = "threshold", Supported;
        /// With fewer hosts that had enough calls, nobody is judged. Default: 5.
        minimum_hosts: optional u32 = "minimumHosts", Supported;
        /// So many calls in an `interval` are enough. Default: 50.
        request_volume: optional u32 = "requestVolume", Supported;
    }
}

object! {
    /// For each detector, the share of its findings that eject; the others are only counted and logged.
    pub struct EnforcingPercent {
        /// Default: 100.
        consecutive_5xx_errors: optional u32 = "consecutive5xxErrors", Supported;
        /// Default: 100 if the rule sets `consecutiveGatewayErrors`, else 0.
        consecutive_gateway_errors: optional u32 = "consecutiveGatewayErrors", Supported;
        /// Default: 100.
        consecutive_local_origin_failures: optional u32 = "consecutiveLocalOriginFailures", Supported;
        /// Default: 100.
        success_rate: optional u32 = "successRate", Supported;
        /// Of local failures, with `splitExternalLocalOriginErrors`. Default: 100.
        local_origin_success_rate: optional u32 = "localOriginSuccessRate", Supported;
        /// Default: 100.
        failure_percentage: optional u32 = "failurePercentage", Supported;
        /// Of local failures, with `splitExternalLocalOriginErrors`. Default: 100.
        local_origin_failure_percentage: optional u32 = "localOriginFailurePercentage", Supported;
    }
}
