//! Where a setting was written, so that a refusal can name the rule, the file and the line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fuseboard_core::outlier::DetectionKind;
use fuseboard_core::refusal::RefusalReason;

use crate::failures::ClassifierSetting;

/// Settings whose place is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// `connectionPool.tcp.maxConnections`
    MaxConnections,
    /// `connectionPool.http.http1MaxPendingRequests`
    MaxPendingRequests,
    /// `connectionPool.http.http2MaxRequests`
    MaxRequests,
    /// `connectionPool.http.maxRetries`
    MaxRetries,
    /// `connectionPool.http.maxRequestsPerConnection`
    MaxRequestsPerConnection,
    /// `connectionPool.http.h2UpgradePolicy`
    H2UpgradePolicy,
    /// `connectionPool.http.useClientProtocol`
    UseClientProtocol,
    /// `connectionPool.http.maxConcurrentStreams`
    MaxConcurrentStreams,
    /// `connectionPool.http.http2KeepAlive`
    Http2KeepAlive,
    /// `connectionPool.tcp.connectTimeout`
    ConnectTimeout,
    /// `connectionPool.http.idleTimeout` or `connectionPool.tcp.idleTimeout`
    IdleTimeout,
    /// `outlierDetection`
    OutlierDetection,
    /// `outlierDetection.consecutive5xxErrors`
    Consecutive5xxErrors,
    /// `outlierDetection.consecutiveGatewayErrors`, or the deprecated `consecutiveErrors`
    ConsecutiveGatewayErrors,
    /// `outlierDetection.consecutiveLocalOriginFailures`
    ConsecutiveLocalOriginFailures,
    /// `outlierDetection.interval`
    Interval,
    /// `outlierDetection.baseEjectionTime`
    BaseEjectionTime,
    /// `outlierDetection.maxEjectionPercent`
    MaxEjectionPercent,
    /// `outlierDetection.minHealthPercent`
    MinHealthPercent,
    /// `loadBalancer`
    LoadBalancer,
    /// `tls`
    Tls,
    /// `DestinationPolicy` `timeout`
    Timeout,
    /// `DestinationPolicy` `maxStreamDuration`
    MaxStreamDuration,
    /// `DestinationPolicy` `queueTimeout`
    QueueTimeout,
    /// `DestinationPolicy` `maxConnectionPools`
    MaxConnectionPools,
    /// `DestinationPolicy` `whenNoneHealthy`
    WhenNoneHealthy,
    /// `DestinationPolicy` `outlierDetection.successRate`
    SuccessRate,
    /// `DestinationPolicy` `outlierDetection.successRate.minimumHosts`
    SuccessRateMinimumHosts,
    /// `DestinationPolicy` `outlierDetection.successRate.requestVolume`
    SuccessRateRequestVolume,
    /// `DestinationPolicy` `outlierDetection.successRate.stdevFactor`
    SuccessRateStdevFactor,
    /// `DestinationPolicy` `outlierDetection.failurePercentage`
    FailurePercentage,
    /// `DestinationPolicy` `outlierDetection.failurePercentage.threshold`
    FailurePercentageThreshold,
    /// `DestinationPolicy` `outlierDetection.failurePercentage.minimumHosts`
    FailurePercentageMinimumHosts,
    /// `DestinationPolicy` `outlierDetection.failurePercentage.requestVolume`
    FailurePercentageRequestVolume,
    /// `DestinationPolicy` `outlierDetection.enforcingPercent`, of one detector
    EnforcingPercent(DetectionKind),
    /// `DestinationPolicy` `outlierDetection.failureClassifier`, one field of it
    FailureClassifier(ClassifierSetting),
    /// `outlierDetection.outlierDetectionHttpErrorCodes`
    HttpErrorCodes,
    /// `DestinationPolicy` `outlierDetection.maxEjectionTime`
    MaxEjectionTime,
    /// `DestinationPolicy` `outlierDetection.maxEjectionTimeJitter`
    MaxEjectionTimeJitter,
    /// `DestinationPolicy` `outlierDetection.alwaysEjectOneHost`
    AlwaysEjectOneHost,
}

impl Setting {
    /// The setting that decides when something is refused for `reason`; `None` where no rule does.
    pub const fn deciding(reason: RefusalReason) -> Option<Self> {
        match reason {
            RefusalReason::LimitConnections => Some(Self::MaxConnections),
            RefusalReason::LimitQueueFull => Some(Self::MaxPendingRequests),
            RefusalReason::LimitQueueTimeout => Some(Self::QueueTimeout),
            RefusalReason::LimitRequests => Some(Self::MaxRequests),
            RefusalReason::LimitPools => Some(Self::MaxConnectionPools),
            RefusalReason::LimitRetries => Some(Self::MaxRetries),
            RefusalReason::NoHealthy => Some(Self::OutlierDetection),
            RefusalReason::TlsUnsupported | RefusalReason::TlsNotReady => Some(Self::Tls),
            _ => None,
        }
    }

    /// The field's own name, as the user writes it; with its block, where the name alone says little.
    pub const fn field(self) -> &'static str {
        match self {
            Self::MaxConnections => "maxConnections",
            Self::MaxPendingRequests => "http1MaxPendingRequests",
            Self::MaxRequests => "http2MaxRequests",
            Self::MaxRetries => "maxRetries",
            Self::MaxRequestsPerConnection => "maxRequestsPerConnection",
            Self::H2UpgradePolicy => "h2UpgradePolicy",
            Self::UseClientProtocol => "useClientProtocol",
            Self::MaxConcurrentStreams => "maxConcurrentStreams",
            Self::Http2KeepAlive => "http2KeepAlive",
            Self::ConnectTimeout => "connectTimeout",
            Self::IdleTimeout => "idleTimeout",
            Self::OutlierDetection => "outlierDetection",
            Self::Consecutive5xxErrors => "consecutive5xxErrors",
            Self::ConsecutiveGatewayErrors => "consecutiveGatewayErrors",
            Self::ConsecutiveLocalOriginFailures => "consecutiveLocalOriginFailures",
            Self::Interval => "interval",
            Self::BaseEjectionTime => "baseEjectionTime",
            Self::MaxEjectionPercent => "maxEjectionPercent",
            Self::MinHealthPercent => "minHealthPercent",
            Self::LoadBalancer => "loadBalancer",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::MaxStreamDuration => "maxStreamDuration",
            Self::QueueTimeout => "queueTimeout",
            Self::MaxConnectionPools => "maxConnectionPools",
            Self::WhenNoneHealthy => "whenNoneHealthy",
            Self::SuccessRate => "successRate",
            Self::SuccessRateMinimumHosts => "successRate.minimumHosts",
            Self::SuccessRateRequestVolume => "successRate.requestVolume",
            Self::SuccessRateStdevFactor => "successRate.stdevFactor",
            Self::FailurePercentage => "failurePercentage",
            Self::FailurePercentageThreshold => "failurePercentage.threshold",
            Self::FailurePercentageMinimumHosts => "failurePercentage.minimumHosts",
            Self::FailurePercentageRequestVolume => "failurePercentage.requestVolume",
            Self::EnforcingPercent(kind) => match kind {
                DetectionKind::Consecutive5xx => "enforcingPercent.consecutive5xxErrors",
                DetectionKind::ConsecutiveGatewayFailure => "enforcingPercent.consecutiveGatewayErrors",
                DetectionKind::ConsecutiveLocalOriginFailure => {
                    "enforcingPercent.consecutiveLocalOriginFailures"
                }
                DetectionKind::SuccessRate => "enforcingPercent.successRate",
                DetectionKind::LocalOriginSuccessRate => "enforcingPercent.localOriginSuccessRate",
                DetectionKind::FailurePercentage => "enforcingPercent.failurePercentage",
                DetectionKind::LocalOriginFailurePercentage => {
                    "enforcingPercent.localOriginFailurePercentage"
                }
            },
            Self::FailureClassifier(setting) => match setting {
                ClassifierSetting::Statuses => "failureClassifier.statuses",
                ClassifierSetting::IgnoredStatuses => "failureClassifier.ignoredStatuses",
                ClassifierSetting::ConnectFailures => "failureClassifier.connectFailures",
                ClassifierSetting::ConnectTimeouts => "failureClassifier.connectTimeouts",
                ClassifierSetting::Timeouts => "failureClassifier.timeouts",
                ClassifierSetting::Resets => "failureClassifier.resets",
                ClassifierSetting::ProtocolErrors => "failureClassifier.protocolErrors",
            },
            Self::HttpErrorCodes => "outlierDetectionHttpErrorCodes",
            Self::MaxEjectionTime => "maxEjectionTime",
            Self::MaxEjectionTimeJitter => "maxEjectionTimeJitter",
            Self::AlwaysEjectOneHost => "alwaysEjectOneHost",
        }
    }
}

/// A resource by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceRef {
    /// `DestinationRule`
    pub kind: Arc<str>,
    /// `default`
    pub namespace: Arc<str>,
    /// `httpbin`
    pub name: Arc<str>,
}

impl fmt::Display for ResourceRef {
    /// `DestinationRule httpbin.default`, as istioctl writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.kind, self.name, self.namespace)
    }
}

/// A place in a file; line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Path as the user gave it, or as found under the folder given.
    pub file: Arc<str>,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl fmt::Display for Location {
    /// `httpbin.yaml:12`, what editors and people take.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Who set a value, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The resource.
    pub resource: ResourceRef,
    /// Path of the field inside it: `spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests`.
    pub field: Arc<str>,
    /// `None` for resources that never were text.
    pub location: Option<Location>,
}

/// The origin of each setting that somebody wrote. `S` names the settings of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance<S: Ord = Setting>(BTreeMap<S, Arc<Origin>>);

impl<S: Ord> Default for Provenance<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Ord + Copy> Provenance<S> {
    /// Remembers where `setting` was written.
    pub fn insert(&mut self, setting: S, origin: Arc<Origin>) {
        self.0.insert(setting, origin);
    }

    /// Forgets where `setting` was written: it does not count.
    pub fn remove(&mut self, setting: S) {
        self.0.remove(&setting);
    }

    /// Where `setting` was written; `None`: it is a default.
    pub fn get(&self, setting: S) -> Option<&Arc<Origin>> {
        self.0.get(&setting)
    }

    /// All remembered settings, in order.
    pub fn iter(&self) -> impl Iterator<Item = (S, &Arc<Origin>)> {
        self.0.iter().map(|(setting, origin)| (*setting, origin))
    }
}
