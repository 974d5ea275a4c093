//! Whether the chain in force for a cluster makes sense: steps that are never reached, a cache for requests that are never
//! kept, and circles.

use std::collections::BTreeSet;

use fuseboard_core::fallback::{FallbackPolicy, MAX_HOPS, Match, StepKind};
use fuseboard_snapshot::{FallbackSetting, ServiceName};

use super::fallback::{Cascaded, Chain, StepAt};
use crate::diagnostic::{Code, Diagnostics};

/// Reports what is odd about `policy`; `at` says where its steps were written.
pub(super) fn check(
    policy: &FallbackPolicy,
    settings: &Cascaded<'_>,
    at: &[StepAt<'_>],
    diagnostics: &mut Diagnostics,
) {
    report_calls(policy, settings, at, diagnostics);
    let mut ended: Option<usize> = None;
    for (index, (step, place)) in policy.steps.iter().zip(at).enumerate() {
        if let Some(ended) = ended {
            let message = format!(
                "step {} answers all that come so far: this one is tried only when that is full",
                ended + 1
            );
            place.report(Code::StepNeverReached, message, "write it before the static step", diagnostics);
        }
        let is_for_all = step.on.is_none_or(|on| on.covers(&policy.on)) && step.matching == Match::default();
        if ended.is_none() && is_for_all && matches!(step.kind, StepKind::Static(_)) {
            ended = Some(index);
        }
        let gets = |matching: &Match| {
            matching.methods.is_empty() || matching.methods.iter().any(|own| matches!(&**own, "GET" | "HEAD"))
        };
        let is_cached = matches!(step.kind, StepKind::Cached { .. });
        if is_cached && !(gets(&policy.matching) && gets(&step.matching)) {
            let message = "only answers to GET are kept, and given to GET and HEAD: the step answers nothing";
            let help = "add GET to match.methods, or delete the step";
            place.report(Code::CachedForUnsafeMethods, message.to_owned(), help, diagnostics);
        }
    }
    let Some(cache) = policy.cache.as_ref().filter(|cache| cache.max_answer_bytes > cache.max_bytes) else {
        return;
    };
    let written = [FallbackSetting::MaxAnswerBytes, FallbackSetting::MaxBytes];
    let place = settings.spans.iter().find(|(setting, ..)| written.contains(setting));
    if let Some((setting, resource, span)) = place {
        let message = format!(
            "one answer may have {} bytes, but all together only {}: none of that size is kept",
            cache.max_answer_bytes, cache.max_bytes
        );
        let found = resource.diagnostic(Code::AnswerLargerThanCache, *span, message);
        let help = "write a larger maxBytes, or a smaller maxAnswerBytes";
        diagnostics.push(found.field(format!("spec.{}", setting.path())).help(help));
    }
}

/// Says so where calls of gRPC are thought of, but never matched.
fn report_calls(
    policy: &FallbackPolicy,
    settings: &Cascaded<'_>,
    at: &[StepAt<'_>],
    diagnostics: &mut Diagnostics,
) {
    let posts =
        |matching: &Match| matching.methods.is_empty() || matching.methods.iter().any(|own| &**own == "POST");
    let help = "write match: {methods: [POST]}, and paths, as such a call may change something";
    let when = settings.spans.iter().find(|(setting, ..)| *setting == FallbackSetting::When);
    if let Some((setting, resource, span)) = when.filter(|_| !policy.on.codes().is_empty())
        && !posts(&policy.matching)
    {
        let message = "a code of gRPC is named, but the chain is for no POST, which every call of gRPC is";
        let found = resource.diagnostic(Code::CallsNotMatched, *span, message);
        diagnostics.push(found.field(format!("spec.{}", setting.path())).help(help));
    }
    for (step, place) in policy.steps.iter().zip(at) {
        let named = step.on.is_some_and(|on| !on.codes().is_empty());
        let written = matches!(&step.kind, StepKind::Static(answer) if answer.call.is_some());
        if (named || written) && !(posts(&policy.matching) && posts(&step.matching)) {
            let message = "the step speaks of gRPC, but gets no POST, which every call of gRPC is";
            place.report(Code::CallsNotMatched, message.to_owned(), help, diagnostics);
        }
    }
}

impl StepAt<'_> {
    fn report(&self, code: Code, message: String, help: &str, diagnostics: &mut Diagnostics) {
        let found = self.resource.diagnostic(code, self.span, message);
        diagnostics.push(found.field(self.field.clone()).help(help));
    }
}

/// Reports each circle once, at the step that leaves its first cluster.
pub(super) fn report_loops(
    chains: &[Option<Chain<'_>>],
    names: &[ServiceName],
    diagnostics: &mut Diagnostics,
) {
    let mut seen = BTreeSet::new();
    let mut done = vec![false; chains.len()];
    for start in 0..chains.len() {
        let mut trail = Vec::new();
        walk(start, chains, &mut trail, &mut done, &mut |circle: &[usize]| {
            let members: BTreeSet<usize> = circle.iter().copied().collect();
            let first = members.first().copied();
            let turned = circle.iter().position(|member| Some(*member) == first).unwrap_or(0);
            let circle: Vec<usize> = circle[turned..].iter().chain(&circle[..turned]).copied().collect();
            if !seen.insert(circle.clone()) {
                return;
            }
            let place = chains[circle[0]].as_ref().and_then(|chain| chain.leads_to(circle[1 % circle.len()]));
            let Some(place) = place else { return };
            let round = circle.iter().chain(&circle[..1]).map(|member| title(&names[*member]));
            let message = format!("a circle: {}", round.collect::<Vec<_>>().join(" -> "));
            let help = "let one of them end in a static step; no request is sent to a service twice";
            place.report(Code::FallbackLoop, message, help, diagnostics);
        });
    }
}

/// Depth first; a chain that was left is never entered again, so each is looked at once.
fn walk(
    at: usize,
    chains: &[Option<Chain<'_>>],
    trail: &mut Vec<usize>,
    done: &mut [bool],
    found: &mut impl FnMut(&[usize]),
) {
    if let Some(from) = trail.iter().position(|member| *member == at) {
        found(&trail[from..]);
        return;
    }
    // What is longer than any request's way is no circle that one could go.
    if done[at] || trail.len() > 4 * MAX_HOPS {
        return;
    }
    trail.push(at);
    let targets: Vec<usize> = chains[at].iter().flat_map(|chain| chain.fallback.policy.targets()).collect();
    for target in targets {
        walk(target, chains, trail, done, found);
    }
    trail.pop();
    done[at] = true;
}

impl<'a> Chain<'a> {
    fn leads_to(&self, target: usize) -> Option<&StepAt<'a>> {
        let steps = self.fallback.policy.steps.iter().zip(&self.at);
        let mut leading = steps
            .filter(|(step, _)| matches!(step.kind, StepKind::Service { target: own, .. } if own == target));
        leading.next().map(|(_, place)| place)
    }
}

fn title(name: &ServiceName) -> String {
    let subset = if name.subset.is_empty() { String::new() } else { format!("|{}", name.subset) };
    format!("{}:{}{subset}", name.host, name.port)
}
