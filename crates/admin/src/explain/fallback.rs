//! The chain of fallbacks of a service: for what it is, and its steps in order.

use fuseboard_snapshot::{Cluster, FallbackSetting};

use super::ExplainedSetting;
use crate::refusals::Rule;

/// The settings that count, then the steps; nothing where there is no chain.
pub(super) fn settings(cluster: &Cluster) -> Vec<ExplainedSetting> {
    let Some(fallback) = &cluster.fallback else { return Vec::new() };
    let settings = FallbackSetting::ALL.into_iter().filter_map(|setting| {
        Some(ExplainedSetting {
            setting: format!("fallback {}", setting.path()),
            value: fallback.value(setting)?,
            meaning: meaning(setting).to_owned(),
            from: fallback.provenance.get(setting).map(|origin| Rule::from(&**origin)),
        })
    });
    let steps = fallback.steps.iter().enumerate().map(|(index, step)| ExplainedSetting {
        setting: format!("fallback steps[{index}]"),
        value: fallback.step(index),
        meaning: "answers in place of a failure, if the steps before it do not; the failure stays counted"
            .to_owned(),
        from: Some(Rule::from(&*step.origin)),
    });
    settings.chain(steps).collect()
}

const fn meaning(setting: FallbackSetting) -> &'static str {
    match setting {
        FallbackSetting::Methods => "methods of requests that it is for",
        FallbackSetting::Paths => "paths of requests that it is for",
        FallbackSetting::When => "failures that it is for, before a byte of the answer went out",
        FallbackSetting::MaxAge => "older answers are not given",
        FallbackSetting::MaxBytes => "memory for all answers that are kept",
        FallbackSetting::MaxAnswerBytes => "larger answers are not kept",
        FallbackSetting::Headers => "fields that requests must have in common to share an answer",
        FallbackSetting::MaxConcurrent => "requests in a step at a time; more go on to the next",
    }
}
