//! Whether a step of a chain may be tried now. The chain goes on with the next one where it may not.

use std::time::Duration;

use super::policy::{FallbackPolicy, MAX_HOPS, StepKind};
use super::trigger::Trigger;

/// A request that failed, when a step is thought of.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// How it failed.
    pub trigger: Trigger,
    /// Its method.
    pub method: &'a [u8],
    /// Its path, without query.
    pub path: &'a [u8],
    /// All of its body is there, or will come.
    pub body_kept: bool,
    /// It is a call of gRPC.
    pub grpc: bool,
    /// What its time-out leaves; `None`: it has none.
    pub time_left: Option<Duration>,
    /// The clusters that it was meant for so far, the first one included.
    pub visited: &'a [usize],
}

/// What is said of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be tried; for a service, in this time at most.
    Take {
        /// `None`: no bound.
        timeout: Option<Duration>,
    },
    /// It may not.
    Skip(Skip),
}

/// Why a step is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It is for other requests or failures. Says nothing to anybody.
    NotMeant,
    /// What was kept is given only to GET and HEAD.
    Unsafe,
    /// The body was too large to be kept.
    BodyTooLarge,
    /// The request's time is up, and the step has none of its own.
    NoTime,
    /// The request was meant for that cluster already.
    Loop,
    /// It was sent on as often as it may be.
    TooManyHops,
    /// What is written there is a good answer of HTTP, which a call of gRPC can do nothing with.
    NotGrpc,
}

impl Skip {
    /// The word for it; `None` where there is nothing to tell.
    pub const fn token(self) -> Option<&'static str> {
        Some(match self {
            Self::NotMeant => return None,
            Self::Unsafe => "unsafe_method",
            Self::BodyTooLarge => "body_too_large",
            Self::NoTime => "no_time",
            Self::Loop => "loop",
            Self::TooManyHops => "too_many_hops",
            Self::NotGrpc => "not_grpc",
        })
    }
}

impl FallbackPolicy {
    /// Whether step `index` may be tried.
    pub fn judge(&self, index: usize, situation: &Situation<'_>) -> Verdict {
        let Some(step) = self.steps.get(index) else { return Verdict::Skip(Skip::NotMeant) };
        let meant = step.on.is_none_or(|on| on.contains(situation.trigger))
            && step.matching.matches(situation.method, situation.path);
        if !meant {
            return Verdict::Skip(Skip::NotMeant);
        }
        match &step.kind {
            StepKind::Static(answer) if situation.grpc && !answer.answers_calls() => {
                Verdict::Skip(Skip::NotGrpc)
            }
            StepKind::Cached { .. } if !is_safe(situation.method) => Verdict::Skip(Skip::Unsafe),
            StepKind::Cached { .. } | StepKind::Static(_) => Verdict::Take { timeout: None },
            StepKind::Service { target, timeout } => service(*target, *timeout, situation),
        }
    }
}

fn service(target: usize, own: Option<Duration>, situation: &Situation<'_>) -> Verdict {
    let visited = situation.visited;
    let timeout = own.or(situation.time_left);
    if visited.contains(&target) {
        Verdict::Skip(Skip::Loop)
    } else if visited.len() > MAX_HOPS {
        Verdict::Skip(Skip::TooManyHops)
    } else if !situation.body_kept {
        Verdict::Skip(Skip::BodyTooLarge)
    } else if timeout.is_some_and(|timeout| timeout.is_zero()) {
        Verdict::Skip(Skip::NoTime)
    } else {
        Verdict::Take { timeout }
    }
}

/// The methods whose answers are kept, and given again.
fn is_safe(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD")
}
