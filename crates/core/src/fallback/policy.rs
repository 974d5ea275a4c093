//! What a chain of fallbacks goes by. Reading it from a resource, and its bounds as users see them, are `config`'s.

use std::time::Duration;

use fuseboard_grpc::Code;

use super::template::Template;
use super::trigger::{Trigger, Triggers};

/// Steps of one chain.
pub const MAX_STEPS: usize = 8;

/// Destinations that one request may be sent to because the one before failed.
pub const MAX_HOPS: usize = 3;

/// Requests in one step at a time, where nothing else is written.
pub const DEFAULT_CONCURRENT: u32 = 100;

/// What happens to the requests of one cluster that fail.
#[derive(Clone, Debug, PartialEq)]
pub struct FallbackPolicy {
    /// The requests that it is for.
    pub matching: Match,
    /// The failures that it is for.
    pub on: Triggers,
    /// What is kept for the steps that answer from a cache; `None`: there is none, and nothing is kept.
    pub cache: Option<CachePolicy>,
    /// Requests in a step at a time, where it says nothing else; for those who show the chain.
    pub max_concurrent: u32,
    /// In the order in which they are tried; at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Requests that it is for, of those that the chain is for.
    pub matching: Match,
    /// Failures that it is for, of those that the chain is for.
    pub on: Option<Triggers>,
    /// Requests in it at a time.
    pub max_concurrent: u32,
    /// What it does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Gives the last good answer to the same request.
    Cached {
        /// Not an older one.
        max_age: Duration,
    },
    /// Asks another cluster.
    Service {
        /// Which; a number of whoever runs the chain.
        target: usize,
        /// How long it may take; `None`: what the request's own time-out leaves.
        timeout: Option<Duration>,
    },
    /// Gives this answer.
    Static(StaticAnswer),
}

/// An answer that is written in the rule.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticAnswer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Vec<(Box<str>, Template)>,
    /// Its body.
    pub body: Template,
    /// What a call of gRPC gets in place of status and body.
    pub call: Option<CallAnswer>,
}

/// How a call of gRPC is answered: with a message, or with an error.
#[derive(Clone, Debug, PartialEq)]
pub struct CallAnswer {
    /// How it ends.
    pub code: Code,
    /// The words of an error.
    pub text: Template,
    /// The message, encoded, of one that ends well.
    pub message: Box<[u8]>,
}

impl StaticAnswer {
    /// Whether a call of gRPC can be answered by it: an answer of HTTP that is no error holds no message.
    pub const fn answers_calls(&self) -> bool {
        self.call.is_some() || self.status >= 400
    }

    /// Everything in it that is filled in.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let call = self.call.as_ref().map(|call| &call.text);
        self.fields.iter().map(|(_, template)| template).chain([&self.body]).chain(call)
    }
}

/// What is kept of good answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// The age up to which steps give answers that say nothing else; for those who show the chain.
    pub max_age: Duration,
    /// Bytes of all answers together, what they are found by included.
    pub max_bytes: usize,
    /// Bytes of one answer.
    pub max_answer_bytes: usize,
    /// Fields of the request, in lower case, that must be the same beside method, authority and target.
    pub headers: Vec<Box<str>>,
}

/// Which requests; what is empty lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Methods, as they are written on the wire.
    pub methods: Vec<Box<str>>,
    /// Paths, without query.
    pub paths: Vec<Path>,
}

/// A pattern for paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// This path.
    Exact(Box<str>),
    /// All paths that begin so, byte by byte.
    Prefix(Box<str>),
}

impl Match {
    /// Whether a request is among them.
    pub fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        let method = self.methods.is_empty() || self.methods.iter().any(|own| own.as_bytes() == method);
        method && (self.paths.is_empty() || self.paths.iter().any(|own| own.matches(path)))
    }
}

impl Path {
    /// Whether `path` is one of them.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => path == exact.as_bytes(),
            Self::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
        }
    }
}

impl StepKind {
    /// The word for it: `cached`, `service` or `static`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Cached { .. } => "cached",
            Self::Service { .. } => "service",
            Self::Static(_) => "static",
        }
    }
}

impl FallbackPolicy {
    /// Whether the chain is for this failure of this request.
    pub fn applies(&self, trigger: Trigger, method: &[u8], path: &[u8]) -> bool {
        self.on.contains(trigger) && self.matching.matches(method, path)
    }

    /// Whether some step is meant for requests that end so.
    pub fn answers(&self, trigger: Trigger) -> bool {
        let meant = |step: &Step| step.on.is_none_or(|on| on.contains(trigger));
        self.on.contains(trigger) && self.steps.iter().any(meant)
    }

    /// Whether some step needs all of the request's body.
    pub fn may_send_again(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.kind, StepKind::Service { .. }))
    }

    /// The clusters that it sends to.
    pub fn targets(&self) -> impl Iterator<Item = usize> {
        self.steps.iter().filter_map(|step| match step.kind {
            StepKind::Service { target, .. } => Some(target),
            StepKind::Cached { .. } | StepKind::Static(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::RefusalReason;

    const OPEN: Trigger = Trigger::Refused(RefusalReason::BreakerOpen);
    const FULL: Trigger = Trigger::Refused(RefusalReason::LimitQueueFull);

    fn step(on: Option<&str>, kind: StepKind) -> Step {
        let on = on.map(|word| Triggers::of_word(word).unwrap());
        Step { matching: Match::default(), on, max_concurrent: 1, kind }
    }

    fn policy(on: &str, steps: Vec<Step>) -> FallbackPolicy {
        let on = Triggers::of_word(on).unwrap();
        FallbackPolicy { matching: Match::default(), on, cache: None, max_concurrent: 1, steps }
    }

    fn fixed() -> StepKind {
        let answer = StaticAnswer { status: 200, fields: Vec::new(), body: Template::default(), call: None };
        StepKind::Static(answer)
    }

    #[test]
    fn a_request_is_among_those_whose_method_and_path_are_named() {
        let both = Match {
            methods: vec!["GET".into(), "PUT".into()],
            paths: vec![Path::Exact("/a".into()), Path::Prefix("/b/".into())],
        };
        for (method, path, among) in [
            ("GET", "/a", true),
            ("PUT", "/b/c", true),
            ("POST", "/a", false),
            ("GET", "/a/", false),
            ("GET", "/b", false),
            ("get", "/a", false),
        ] {
            assert_eq!(both.matches(method.as_bytes(), path.as_bytes()), among, "{method} {path}");
        }
        assert!(Match::default().matches(b"PURGE", b"/"));
        let one = Match { methods: vec!["GET".into()], paths: Vec::new() };
        assert!(one.matches(b"GET", b"/") && !one.matches(b"PUT", b"/"));
    }

    #[test]
    fn a_chain_is_for_its_failures_of_its_requests() {
        let mut policy = policy("breaker", vec![step(Some("limit"), fixed())]);
        policy.matching.methods = vec!["GET".into()];
        assert!(policy.applies(OPEN, b"GET", b"/"));
        assert!(!policy.applies(OPEN, b"PUT", b"/") && !policy.applies(FULL, b"GET", b"/"));
    }

    #[test]
    fn what_no_step_is_meant_for_is_not_answered() {
        let of_all = |on: &str| policy(on, vec![step(None, fixed())]);
        let of_some = |on: &str| policy(on, vec![step(Some("limit"), fixed()), step(Some("504"), fixed())]);
        assert!(of_all("any").answers(OPEN) && !of_all("limit").answers(OPEN));
        assert!(of_some("any").answers(FULL) && of_some("any").answers(Trigger::Status(504)));
        assert!(!of_some("any").answers(OPEN) && !of_some("breaker").answers(FULL));
    }

    #[test]
    fn only_another_service_needs_the_body_and_is_a_target() {
        let cached = || step(None, StepKind::Cached { max_age: Duration::from_secs(1) });
        let service = |target| step(None, StepKind::Service { target, timeout: None });
        let without = policy("any", vec![cached(), step(None, fixed())]);
        assert!(!without.may_send_again());
        assert_eq!(without.targets().count(), 0);
        let with = policy("any", vec![cached(), service(7), service(3)]);
        assert!(with.may_send_again());
        assert!(with.targets().eq([7, 3]));
        let words = [cached(), service(0), step(None, fixed())].map(|step| step.kind.word());
        assert_eq!(words, ["cached", "service", "static"]);
    }

    #[test]
    fn fields_body_and_words_of_an_error_are_filled_in() {
        let text = |text| Template::parse(text).unwrap();
        let call = CallAnswer { code: Code::Unavailable, text: text("c"), message: Box::default() };
        let answer = StaticAnswer {
            status: 200,
            fields: vec![("x".into(), text("a"))],
            body: text("b"),
            call: Some(call),
        };
        assert!(answer.templates().eq([&text("a"), &text("b"), &text("c")]));
    }
}
