//! Scope `cluster.<name>.fuseboard.fallback`: what became of requests that the cluster had no good answer for.

use fuseboard_admin::status::FallbackStatus;
use fuseboard_core::fallback::StepKind;
use fuseboard_stats::stats;

/// All that one worker counts for the fallbacks of one cluster.
#[derive(Debug, Default)]
pub struct FallbackBlock {
    /// The chain.
    pub chain: FallbackStats,
    /// Steps that answer from what was kept.
    pub cached: FallbackStepStats,
    /// Steps that ask another cluster.
    pub service: FallbackStepStats,
    /// Steps that answer what is written.
    pub fixed: FallbackStepStats,
}

stats! {
    /// What the chain did; exists where the cluster has a `Fallback`.
    pub struct FallbackStats in "cluster.<name>.fuseboard.fallback" {
        /// Requests that failed and that the chain is for.
        triggered: Counter,
        /// Those of them that a step answered.
        answered: Counter,
        /// Those of them that no step answered: the failure went to the client.
        exhausted: Counter,
        /// Steps left out because the request's body was too large to be kept for them.
        body_too_large: Counter,
        /// Steps left out because the request was meant for their cluster already, or was sent on too often.
        loop_refused: Counter,
    }
}

stats! {
    /// What the steps of a kind did: `cached`, `service` or `static`; exists where the cluster has a `Fallback`.
    pub struct FallbackStepStats in "cluster.<name>.fuseboard.fallback.<step>" {
        /// Requests that came to such a step.
        attempt: Counter,
        /// Those that it answered.
        success: Counter,
        /// Those that it had no good answer for.
        failure: Counter,
        /// Requests that went on because the step had as many as it may have.
        refused: Counter,
    }
}

stats! {
    /// What is kept of good answers; exists where the cluster has a `Fallback`.
    pub struct FallbackLevels in "cluster.<name>.fuseboard.fallback.cache" {
        /// Answers.
        entries: Level,
        /// Memory that they take.
        bytes: Level,
    }
}

stats! {
    /// What happened to kept answers.
    pub struct FallbackCacheStats in "cluster.<name>.fuseboard.fallback.cache" {
        /// Answers that were kept.
        stored: Counter,
        /// Answers that were dropped to make room.
        evicted: Counter,
    }
}

impl FallbackBlock {
    /// The counters of a step's kind.
    pub(crate) const fn step(&self, kind: &StepKind) -> &FallbackStepStats {
        match kind {
            StepKind::Cached { .. } => &self.cached,
            StepKind::Service { .. } => &self.service,
            StepKind::Static(_) => &self.fixed,
        }
    }
}

impl From<&FallbackStatus> for FallbackLevels {
    fn from(status: &FallbackStatus) -> Self {
        let cache = &status.cache;
        Self { entries: (cache.entries as u64).into(), bytes: (cache.bytes as u64).into() }
    }
}

impl From<&FallbackStatus> for FallbackCacheStats {
    fn from(status: &FallbackStatus) -> Self {
        let block = Self::default();
        block.stored.add(status.cache.stored);
        block.evicted.add(status.cache.evicted);
        block
    }
}
