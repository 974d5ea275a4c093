//! The chain of fallbacks of a cluster: what it goes by, and where each part was written.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::classifier::StatusSet;
use fuseboard_core::fallback::{FailureWord, FallbackPolicy, Match, Path, StepKind, Trigger, Triggers};
use fuseboard_grpc::Code;

use crate::ServiceName;
use crate::failures::Answers;
use crate::provenance::{Origin, Provenance, ResourceRef};

/// What all `Fallback`s for a cluster make together, field by field. Steps that ask a service name it by its index in
/// `Snapshot::clusters`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterFallback {
    /// What the chain goes by; never without a step.
    pub policy: FallbackPolicy,
    /// The resources that say something, the closest first; never empty.
    pub rules: Vec<ResourceRef>,
    /// Where each setting was written; settings at their default are absent.
    pub provenance: Provenance<FallbackSetting>,
    /// Where each step was written, and whom it asks.
    pub steps: Vec<WrittenStep>,
}

/// What a step of a policy does not say of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenStep {
    /// Where it was written.
    pub origin: Arc<Origin>,
    /// The service that it asks; `None`: it asks none.
    pub asks: Option<ServiceName>,
}

/// Settings of a chain whose place is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FallbackSetting {
    /// The methods of requests.
    Methods,
    /// The paths of requests.
    Paths,
    /// The failures.
    When,
    /// How old a kept answer may be.
    MaxAge,
    /// Memory for kept answers.
    MaxBytes,
    /// Memory for one of them.
    MaxAnswerBytes,
    /// Fields that requests must have in common.
    Headers,
    /// Requests in a step at a time.
    MaxConcurrent,
}

impl FallbackSetting {
    /// Every setting, in the order in which one writes them.
    pub const ALL: [Self; 8] = [
        Self::Methods,
        Self::Paths,
        Self::When,
        Self::MaxAge,
        Self::MaxBytes,
        Self::MaxAnswerBytes,
        Self::Headers,
        Self::MaxConcurrent,
    ];

    /// Its field below `spec`, as the user writes it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Methods => "match.methods",
            Self::Paths => "match.paths",
            Self::When => "when",
            Self::MaxAge => "cache.maxAge",
            Self::MaxBytes => "cache.maxBytes",
            Self::MaxAnswerBytes => "cache.maxAnswerBytes",
            Self::Headers => "cache.headers",
            Self::MaxConcurrent => "maxConcurrent",
        }
    }
}

impl ClusterFallback {
    /// The value in force, as one would write it; `None`: there is none.
    pub fn value(&self, setting: FallbackSetting) -> Option<String> {
        let FallbackPolicy { matching, on, cache, max_concurrent, steps: _ } = &self.policy;
        Some(match setting {
            FallbackSetting::Methods => methods(matching),
            FallbackSetting::Paths => paths(matching)?,
            FallbackSetting::When => when(on),
            FallbackSetting::MaxAge => time(cache.as_ref()?.max_age),
            FallbackSetting::MaxBytes => size(cache.as_ref()?.max_bytes),
            FallbackSetting::MaxAnswerBytes => size(cache.as_ref()?.max_answer_bytes),
            FallbackSetting::Headers => {
                let headers = &cache.as_ref()?.headers;
                return (!headers.is_empty()).then(|| format!("[{}]", headers.join(", ")));
            }
            FallbackSetting::MaxConcurrent => max_concurrent.to_string(),
        })
    }

    /// A step in words: `cached, up to 10m old`.
    pub fn step(&self, index: usize) -> String {
        let Some(step) = self.policy.steps.get(index) else { return String::new() };
        let kind = match &step.kind {
            StepKind::Cached { max_age } => format!("cached, up to {} old", time(*max_age)),
            StepKind::Service { timeout, .. } => {
                let name = self.steps.get(index).and_then(|step| step.asks.as_ref()).map(service);
                let limit = timeout.map(|timeout| format!(", within {}", time(timeout))).unwrap_or_default();
                format!("service {}{limit}", name.unwrap_or_default())
            }
            StepKind::Static(answer) => {
                let call = answer.call.as_ref().map(|call| match call.code {
                    Code::Ok => format!(", gRPC OK with a message of {}", bytes(call.message.len())),
                    code => format!(", gRPC {code}"),
                });
                format!("static {}{}", answer.status, call.unwrap_or_default())
            }
        };
        let more = [
            step.on.as_ref().map(|on| format!("when {}", when(on))),
            (!step.matching.methods.is_empty()).then(|| format!("methods {}", methods(&step.matching))),
            paths(&step.matching).map(|paths| format!("paths {paths}")),
            (step.max_concurrent != self.policy.max_concurrent)
                .then(|| format!("{} at a time", step.max_concurrent)),
        ];
        let words: Vec<String> = [kind].into_iter().chain(more.into_iter().flatten()).collect();
        words.join(", ")
    }
}

/// `1 byte`
fn bytes(count: usize) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}

/// `shop.default.svc.cluster.local:80`, with the subset behind it where there is one.
fn service(name: &ServiceName) -> String {
    let subset = if name.subset.is_empty() { String::new() } else { format!(" subset {}", name.subset) };
    format!("{}:{}{subset}", name.host, name.port)
}

fn methods(matching: &Match) -> String {
    if matching.methods.is_empty() { "[*]".to_owned() } else { format!("[{}]", matching.methods.join(", ")) }
}

fn paths(matching: &Match) -> Option<String> {
    let words = matching.paths.iter().map(|path| match path {
        Path::Exact(path) => path.to_string(),
        Path::Prefix(path) => format!("{path}*"),
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| format!("[{}]", words.join(", ")))
}

/// A set of failures in the words of a rule, the widest that fit.
fn when(on: &Triggers) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut told = Triggers::NONE;
    for word in ["any", "breaker", "limit"] {
        let Some(group) = Triggers::of_word(word) else { continue };
        if on.covers(&group) && !told.covers(&group) {
            words.push(word.to_owned());
            told = told.or(group);
        }
    }
    let singles = Triggers::reasons().map(Trigger::Refused).chain(FailureWord::ALL.map(Trigger::Failed));
    let left = singles.filter(|one| on.contains(*one) && !told.contains(*one));
    words.extend(left.map(|one| one.to_string()));
    let statuses = (400..600)
        .filter(|status| on.contains(Trigger::Status(*status)) && !told.contains(Trigger::Status(*status)));
    let statuses = statuses.fold(StatusSet::EMPTY, StatusSet::with);
    if statuses != StatusSet::EMPTY || !on.codes().is_empty() {
        words.push(Answers(statuses, on.codes()).to_string().trim_matches(['[', ']']).to_owned());
    }
    format!("[{}]", words.join(", "))
}

/// `10m`, `300ms`
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds, time.subsec_nanos()) {
        (_, 1..) | (0, _) => format!("{time:?}"),
        (seconds, 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
    }
}

fn size(bytes: usize) -> String {
    for (unit, shift) in [("Gi", 30), ("Mi", 20), ("Ki", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_the_widest_words() {
        let of = |words: &[&str]| {
            let sets = words.iter().map(|word| Triggers::of_word(word).unwrap());
            when(&sets.fold(Triggers::NONE, Triggers::or))
        };
        assert_eq!(of(&["any"]), "[any]");
        assert_eq!(of(&["any", "429"]), "[any, 429]");
        assert_eq!(of(&["ABORTED", "any"]), "[any, ABORTED]");
        assert_eq!(
            of(&["breaker.open", "breaker.probe_busy", "breaker.ramp", "timeout"]),
            "[breaker, timeout]"
        );
        assert_eq!(of(&["5xx", "404", "no_healthy"]), "[no_healthy, 404, 5xx]");
    }

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        assert_eq!([size(16 << 20), size(1 << 30), size(1536), size(1000)], ["16Mi", "1Gi", "1536", "1000"]);
    }
}
