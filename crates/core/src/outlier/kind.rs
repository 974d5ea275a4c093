//! The names of the detectors: what they find, and how Envoy spells them.

/// Which detector fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DetectionKind {
    /// 5xx in a row.
    Consecutive5xx,
    /// 502, 503 and 504 in a row.
    ConsecutiveGatewayFailure,
    /// Local failures in a row, with `splitExternalLocalOriginErrors`.
    ConsecutiveLocalOriginFailure,
    /// Succeeds less often than the other hosts.
    SuccessRate,
    /// The same of local failures alone, with the split.
    LocalOriginSuccessRate,
    /// Fails too often.
    FailurePercentage,
    /// The same of local failures alone, with the split.
    LocalOriginFailurePercentage,
}

/// Where failures come from, with `splitExternalLocalOriginErrors`; without, all are external.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Answers of the host.
    External,
    /// Connections that failed, time-outs and resets.
    Local,
}

impl Origin {
    /// Both.
    pub const ALL: [Self; 2] = [Self::External, Self::Local];
}

impl DetectionKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayFailure,
        Self::ConsecutiveLocalOriginFailure,
        Self::SuccessRate,
        Self::LocalOriginSuccessRate,
        Self::FailurePercentage,
        Self::LocalOriginFailurePercentage,
    ];

    /// Those that look at failures in a row, at each of them; the others look at rates, at the sweep.
    pub const STREAKS: [Self; 3] =
        [Self::Consecutive5xx, Self::ConsecutiveGatewayFailure, Self::ConsecutiveLocalOriginFailure];

    /// The success rate detector of failures of `origin`.
    pub const fn success_rate(origin: Origin) -> Self {
        match origin {
            Origin::External => Self::SuccessRate,
            Origin::Local => Self::LocalOriginSuccessRate,
        }
    }

    /// The failure percentage detector of failures of `origin`.
    pub const fn failure_percentage(origin: Origin) -> Self {
        match origin {
            Origin::External => Self::FailurePercentage,
            Origin::Local => Self::LocalOriginFailurePercentage,
        }
    }

    /// Whether it only looks at anything with `splitExternalLocalOriginErrors`.
    pub const fn needs_split(self) -> bool {
        matches!(
            self,
            Self::ConsecutiveLocalOriginFailure
                | Self::LocalOriginSuccessRate
                | Self::LocalOriginFailurePercentage
        )
    }

    /// The `type` in Envoy's event log.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "CONSECUTIVE_5XX",
            Self::ConsecutiveGatewayFailure => "CONSECUTIVE_GATEWAY_FAILURE",
            Self::ConsecutiveLocalOriginFailure => "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
            Self::SuccessRate => "SUCCESS_RATE",
            Self::LocalOriginSuccessRate => "SUCCESS_RATE_LOCAL_ORIGIN",
            Self::FailurePercentage => "FAILURE_PERCENTAGE",
            Self::LocalOriginFailurePercentage => "FAILURE_PERCENTAGE_LOCAL_ORIGIN",
        }
    }
}
